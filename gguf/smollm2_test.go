package gguf_test

import (
	"context"
	"encoding/hex"
	"math"
	"testing"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/internal/testenv"
)

// openSmolLM2 opens the real model.
func openSmolLM2(t *testing.T, o *gguf.Options) *gguf.File {
	t.Helper()
	f, err := gguf.Open(testenv.Fetched(t, "smollm2"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestSmolLM2 checks what is known of a real file, mapped and read.
func TestSmolLM2(t *testing.T) {
	for _, o := range []*gguf.Options{nil, {ReadAt: true}} {
		f := openSmolLM2(t, o)
		if arch, err := f.String("general.architecture"); err != nil || arch != "llama" {
			t.Errorf("architecture %q, %v", arch, err)
		}
		if n, err := f.Uint("llama.block_count"); err != nil || n != 30 {
			t.Errorf("%d layers, %v", n, err)
		}
		if tokens, err := f.Strings("tokenizer.ggml.tokens"); err != nil || len(tokens) != 49152 || tokens[0] != "<|endoftext|>" {
			t.Errorf("%d tokens, %v", len(tokens), err)
		}
		if merges, err := f.Strings("tokenizer.ggml.merges"); err != nil || len(merges) != 48900 {
			t.Errorf("%d merges, %v", len(merges), err)
		}
		types := map[block.Type]int{}
		for _, info := range f.Tensors() {
			types[info.Type]++
			d, err := f.Tensor(info.Name)
			if err != nil {
				t.Fatal(err)
			}
			values := make([]float32, info.Values())
			if err := block.Dequantize(info.Type, values, d.Uint8s()); err != nil {
				t.Fatal(err)
			}
			var sum float64
			for _, v := range values {
				sum += float64(v) * float64(v)
			}
			if rms := math.Sqrt(sum / float64(len(values))); !(rms > 1e-3 && rms < 30) {
				t.Errorf("%s: root mean square %g", info.Name, rms)
			}
		}
		if len(types) != 3 || types[block.TypeQ4_1] == 0 || types[block.TypeF32] != 61 {
			t.Errorf("types %v", types)
		}
	}
}

func TestSmolLM2Hash(t *testing.T) {
	f := openSmolLM2(t, nil)
	sum, err := f.SHA256(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	const want = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("SHA-256 %s, expected %s", got, want)
	}
}

func BenchmarkOpen(b *testing.B) {
	path := testenv.Fetched(b, "smollm2")
	for b.Loop() {
		f, err := gguf.Open(path, nil)
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}
