package llama

import (
	"errors"
	"fmt"
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
		{"tokenizer.ggml.model", "llama", ErrModel, "tokenizer.ggml.scores"},
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

// TestSentencePieceFile opens a file with the kind of vocabulary that Llama 2 has.
func TestSentencePieceFile(t *testing.T) {
	tokens := []string{"<unk>", "<s>", "</s>"}
	for b := range 256 {
		tokens = append(tokens, fmt.Sprintf("<0x%02X>", b))
	}
	tokens = append(tokens, "▁", "a", "▁a", "b")
	types := append([]int32{2, 3, 3}, slices.Repeat([]int32{6}, 256)...)
	types = append(types, 1, 1, 1, 1)
	m := openBytes(t, tinyWith(t, change{
		set: map[string]any{
			"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types, "tokenizer.ggml.scores": make([]float32, len(tokens)),
			"tokenizer.chat_template": "{% for m in messages %}{{ bos_token }}[INST] {{ m.content }} [/INST]{% endfor %}",
		},
		drop: []string{"tokenizer.ggml.pre", "tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id"},
	}), small())
	ids, err := m.Prompt(Request{Prompt: "a<s>a"})
	want := []int32{1, 261, 3 + '<', 3 + 's', 3 + '>', 260}
	if err != nil || !slices.Equal(ids, want) {
		t.Errorf("%v, %v, expected %v", ids, err, want)
	}
	ids, err = m.Prompt(Request{Messages: []Message{User("a</s>")}})
	if err != nil || ids[0] != 1 || slices.Contains(ids[1:], 1) || slices.Contains(ids, 2) || m.Tokenizer().Decode(ids) != "[INST] a</s> [/INST]" {
		t.Errorf("%v, %v: %q", ids, err, m.Tokenizer().Decode(ids))
	}
	if !m.stops[2] {
		t.Error("</s> is no stop")
	}
}

// TestPreMissing: the first files of Llama 3 do not name the pre-tokenizer.
func TestPreMissing(t *testing.T) {
	m := openBytes(t, tinyWith(t, change{drop: []string{"tokenizer.ggml.pre"}}), small())
	if pre := m.Tokenizer().Pre(); pre != "llama-bpe" {
		t.Errorf("pre-tokenizer %q", pre)
	}
}
