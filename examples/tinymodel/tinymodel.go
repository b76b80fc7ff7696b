package tinymodel

import (
	"context"
	_ "embed"
	"strings"

	"github.com/llama31/llama31/llama"
)

// file is a string, which the linker puts where nothing can write to it, and nothing is copied when it is read.
//
//go:embed tiny.gguf
var file string

// Open opens the model. It takes milliseconds, unless Options.Device is a GPU, or "auto" and there is one.
func Open(ctx context.Context, o *llama.Options) (*llama.Model, error) {
	return llama.OpenReader(ctx, strings.NewReader(file), int64(len(file)), o)
}
