package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/gguf/gguftest"
)

func TestQuantize(t *testing.T) {
	b := gguftest.New(t)
	b.Set("general.architecture", "llama")
	b.Set("general.file_type", uint32(0))
	b.Set("llama.block_count", uint32(1))
	b.Set("llama.attention.head_count", uint32(4))
	b.Set("llama.attention.head_count_kv", uint32(2))
	shapes := map[string][]int{"token_embd.weight": {8, 256}, "blk.0.attn_norm.weight": {256}, "blk.0.attn_q.weight": {256, 256}, "blk.0.ffn_down.weight": {256, 96}, "output.weight": {8, 256}}
	for _, name := range []string{"token_embd.weight", "blk.0.attn_norm.weight", "blk.0.attn_q.weight", "blk.0.ffn_down.weight", "output.weight"} {
		n := 1
		for _, s := range shapes[name] {
			n *= s
		}
		b.Tensor(name, block.TypeF32, gguftest.Normal(uint64(len(name)), n, 0.02), shapes[name]...)
	}
	in := b.File("in.gguf")
	for kind, want := range map[string][]block.Type{
		"f16":    {block.TypeF16, block.TypeF32, block.TypeF16, block.TypeF16, block.TypeF16},
		"q8_0":   {block.TypeQ8_0, block.TypeF32, block.TypeQ8_0, block.TypeQ8_0, block.TypeQ8_0},
		"q4_0":   {block.TypeQ4_0, block.TypeF32, block.TypeQ4_0, block.TypeQ4_0, block.TypeQ6_K},
		"q4_k_m": {block.TypeQ4_K, block.TypeF32, block.TypeQ4_K, block.TypeQ8_0, block.TypeQ6_K},
		"Q5_K_M": {block.TypeQ5_K, block.TypeF32, block.TypeQ5_K, block.TypeQ8_0, block.TypeQ6_K},
		"q6_k":   {block.TypeQ6_K, block.TypeF32, block.TypeQ6_K, block.TypeQ8_0, block.TypeQ6_K},
	} {
		out := filepath.Join(t.TempDir(), "out.gguf")
		if err := run(context.Background(), []string{"-i", in, "-o", out, "-type", kind, "-threads", "3"}, io.Discard); err != nil {
			t.Fatal(err)
		}
		f, err := gguf.Open(out, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for i, info := range f.Tensors() {
			if info.Type != want[i] {
				t.Errorf("%s: %s is %v, expected %v", kind, info.Name, info.Type, want[i])
			}
		}
		if n, err := f.Uint("llama.block_count"); err != nil || n != 1 {
			t.Errorf("%s: metadata lost: %v", kind, err)
		}
	}
}

func TestErrors(t *testing.T) {
	in := gguftest.New(t).File("in.gguf")
	bad := filepath.Join(t.TempDir(), "bad.gguf")
	if err := os.WriteFile(bad, []byte("not a model"), 0o666); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out.gguf")
	for _, args := range [][]string{
		{}, {"-i", in}, {"-i", in, "-o", out, "-type", "q9"}, {"-i", in, "-o", out, "-threads", "0"}, {"-i", in, "-o", in},
		{"-i", in, "-o", out, "more"}, {"-i", bad, "-o", out}, {"-i", "none.gguf", "-o", out}, {"-nosuch"},
	} {
		err := run(context.Background(), args, io.Discard)
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v, expected an error of one line", args, err)
		}
	}
	if files, _ := filepath.Glob(out + "*"); len(files) > 0 {
		t.Errorf("left behind: %v", files)
	}
	var help bytes.Buffer
	if err := run(context.Background(), []string{"-h"}, &help); !errors.Is(err, flag.ErrHelp) || !strings.Contains(help.String(), "q4_k_m") {
		t.Errorf("-h: %v, %q", err, help.String())
	}
}

func TestCancel(t *testing.T) {
	b := gguftest.New(t)
	b.Tensor("blk.0.attn_q.weight", block.TypeF32, gguftest.Normal(1, 256*256, 0.02), 256, 256)
	in, out := b.File("in.gguf"), filepath.Join(t.TempDir(), "out.gguf")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := run(ctx, []string{"-i", in, "-o", out}, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, expected context.Canceled", err)
	}
	if files, _ := filepath.Glob(out + "*"); len(files) > 0 {
		t.Errorf("left behind: %v", files)
	}
}

func TestWritable(t *testing.T) {
	names := writable()
	for _, name := range []string{"q8_0", "q4_0", "q4_k_s", "q5_k_s", "q6_k", "q4_k_m", "q5_k_m", "f16", "bf16", "f32"} {
		if !slices.Contains(names, name) {
			t.Errorf("%s is missing", name)
		}
	}
	if slices.Contains(names, "iq2_xs") {
		t.Error("iq2_xs has no quantiser")
	}
}
