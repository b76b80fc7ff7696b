package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/gguf/gguftest"
)

func TestInfo(t *testing.T) {
	b := gguftest.New(t)
	b.Set("general.architecture", "llama")
	b.Set("general.name", strings.Repeat("long ", 100))
	b.Set("llama.block_count", uint32(32))
	b.Set("llama.embedding_length", uint32(4096))
	b.Set("llama.attention.head_count", uint32(32))
	b.Set("llama.attention.head_count_kv", uint32(8))
	b.Set("llama.context_length", uint32(131072))
	b.Set("tokens", []string{"a", "b", "c", "d", "e"})
	b.Tensor("blk.0.attn_q.weight", block.TypeQ4_0, gguftest.Normal(1, 64*64, 1), 64, 64)
	b.Tensor("output_norm.weight", block.TypeF32, gguftest.Normal(1, 64, 1), 64)
	var out strings.Builder
	if err := run(context.Background(), []string{"-tensors", "-sha256", b.File("m.gguf")}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"m.gguf", `"llama"`, "(500 bytes)", `5 × string ["a" "b" "c" "d" …]`, "[64 64]", "4.50", "2.25 KiB",
		"KV cache per token               128.00 KiB     68.00 KiB", "131072 tokens (all)", "16.00 GiB", "8.50 GiB", fmt.Sprintf("%x", sha256.Sum256(b.Bytes())),
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}

func TestInfoErrors(t *testing.T) {
	for _, args := range [][]string{{}, {"none.gguf"}, {"a", "b"}, {"-nosuch"}, {t.TempDir()}} {
		if err := run(context.Background(), args, io.Discard); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v, expected an error of one line", args, err)
		}
	}
	if err := run(context.Background(), []string{gguftest.New(t).File("empty.gguf")}, io.Discard); err != nil {
		t.Errorf("a file of nothing: %v", err)
	}
}

// TestInfoHostile: numbers that no model has are no panic.
func TestInfoHostile(t *testing.T) {
	b := gguftest.New(t)
	b.Set("general.architecture", "llama")
	for _, key := range []string{"block_count", "embedding_length", "attention.head_count", "attention.head_count_kv", "attention.key_length", "context_length"} {
		b.Set("llama."+key, uint32(1)<<31)
	}
	b.Set("x\x1b]0;key\x07\n", true)
	b.Tensor("t\x1b[31m", block.TypeF32, []float32{1}, 1)
	b.Set("general.name", "a\x00\x1b[2J\n\xff")
	var out strings.Builder
	if err := run(context.Background(), []string{"-tensors", b.File("m.gguf")}, &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "PiB") || strings.ContainsAny(out.String(), "\x00\x1b") {
		t.Error(out.String())
	}
}
