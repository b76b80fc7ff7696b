package llama

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestVocabErrors has vocabularies that make no tokenizer: each is an error that names what is wrong.
func TestVocabErrors(t *testing.T) {
	for _, c := range []struct {
		key   string
		value any
		kind  error
		says  string
	}{
		{"tokenizer.ggml.tokens", []int32{1}, ErrModel, "tokenizer.ggml.tokens"},
		{"tokenizer.ggml.token_type", []int32{1}, ErrModel, "1 types"},
		{"tokenizer.ggml.token_type", slices.Repeat([]int32{99}, 263), ErrModel, "type 99"},
		{"tokenizer.ggml.token_type", slices.Repeat([]int64{1<<32 + 1}, 263), ErrModel, "token_type[0]"},
		{"tokenizer.ggml.merges", []string{"a"}, ErrModel, "Merges[0]"},
		{"tokenizer.ggml.merges", "a b", ErrModel, "merges"},
		{"tokenizer.ggml.bos_token_id", uint32(263), ErrModel, "bos_token_id"},
		{"tokenizer.ggml.bos_token_id", int32(-1), ErrModel, "bos_token_id"},
		{"tokenizer.ggml.eos_token_id", "<|eot_id|>", ErrModel, "eos_token_id"},
		{"tokenizer.ggml.add_bos_token", uint32(1), ErrModel, "add_bos_token"},
		{"tokenizer.ggml.model", uint32(1), ErrModel, "tokenizer.ggml.model"},
		{"tokenizer.ggml.model", "rwkv", ErrUnsupported, `"rwkv"`},
		{"tokenizer.ggml.pre", "tekken", ErrUnsupported, `"tekken"`},
		{"tokenizer.ggml.pre", uint32(1), ErrModel, "tokenizer.ggml.pre"},
	} {
		m, err := openReader(t, tinyWith(t, change{set: map[string]any{c.key: c.value}}), small())
		if m != nil {
			m.Close()
		}
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s = %.40v: %v, expected %v with %q", c.key, c.value, err, c.kind, c.says)
		}
	}
}
