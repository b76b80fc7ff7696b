package llama

import (
	"context"
	"iter"
)

// Generator answers requests, as [Model.Generate] and [Model.Stream] describe. A *Model is one, and so is the scripted fake of package
// llamatest: code that takes a Generator can be tested without a model.
type Generator interface {
	Generate(ctx context.Context, r Request) (*Response, error)
	Stream(ctx context.Context, r Request) iter.Seq2[Token, error]
}

var _ Generator = (*Model)(nil)
