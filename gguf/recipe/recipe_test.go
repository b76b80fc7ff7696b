package recipe

import (
	"errors"
	"testing"

	"github.com/llama31/llama31/gguf/block"
)

func TestParse(t *testing.T) {
	for _, name := range Names() {
		if r, err := Parse(name); err != nil || r.Name != name {
			t.Errorf("Parse(%q): %v, %v", name, r.Name, err)
		}
	}
	if r, err := Parse("Q4_K_S"); err != nil || r.FileType != 14 {
		t.Errorf("Q4_K_S: %+v, %v", r, err)
	}
	if _, err := Parse("q9"); !errors.Is(err, ErrUnknown) {
		t.Errorf("q9: %v", err)
	}
}

// TestQ4KM compares with a file of llama.cpp's: Meta-Llama-3.1-8B Q4_K_M has
// attn_v and ffn_down in Q6_K in layers 0-3, 6, 9, ..., 27 and 28-31.
func TestQ4KM(t *testing.T) {
	r, err := Parse("q4_k_m")
	if err != nil {
		t.Fatal(err)
	}
	m := Model{Layers: 32, Heads: 32, KVHeads: 8}
	more := map[int]bool{0: true, 1: true, 2: true, 3: true, 6: true, 9: true, 12: true, 15: true, 18: true, 21: true, 24: true, 27: true, 28: true, 29: true, 30: true, 31: true}
	for layer := range 32 {
		want := block.TypeQ4_K
		if more[layer] {
			want = block.TypeQ6_K
		}
		for _, part := range []string{"attn_v", "ffn_down"} {
			name := "blk." + string(rune('0'+layer/10)) + string(rune('0'+layer%10)) + "." + part + ".weight"
			if got := r.Type(name, []int{4096, 4096}, m); got != want {
				t.Errorf("%s: %v, expected %v", name, got, want)
			}
		}
	}
	for _, c := range []struct {
		name  string
		shape []int
		m     Model
		want  block.Type
	}{
		{"output.weight", []int{128256, 4096}, m, block.TypeQ6_K},
		{"token_embd.weight", []int{128256, 4096}, m, block.TypeQ4_K},
		{"token_embd.weight", []int{128256, 2048}, Model{Layers: 16, Heads: 32, KVHeads: 8, Tied: true}, block.TypeQ6_K},
		{"blk.10.attn_q.weight", []int{4096, 4096}, m, block.TypeQ4_K},
		{"blk.10.attn_norm.weight", []int{4096}, m, block.TypeF32},
		{"rope_freqs.weight", []int{64}, m, block.TypeF32},
		{"blk.11.attn_v.weight", []int{1024, 8192}, Model{Layers: 80, Heads: 64, KVHeads: 8}, block.TypeQ5_K},
		{"blk.10.attn_q.weight", []int{576, 576}, m, block.TypeQ5_0},
		{"output.weight", []int{576, 576}, m, block.TypeQ8_0},
		{"blk.10.attn_q.weight", []int{576, 72}, m, block.TypeF16},
	} {
		if got := r.Type(c.name, c.shape, c.m); got != c.want {
			t.Errorf("%s %v: %v, expected %v", c.name, c.shape, got, c.want)
		}
	}
}
