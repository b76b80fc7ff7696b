package tokenizer_test

import (
	"testing"

	"github.com/llama31/llama31/tokenizer"
)

func TestFindControl(t *testing.T) {
	v := tokenizer.Vocab{Pre: "llama-bpe", Tokens: []string{"a", "<|x|>", "<|x|><", "<u", "|y|"}, Types: []int32{1, 3, 3, 4, 3}}
	tok, err := tokenizer.New(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text       string
		from       int
		start, end int
		id         int32
	}{
		{"a<|x|>", 0, 1, 6, 1},
		{"a<|x|>", 2, 6, 6, -1},
		{"<|x|><u", 0, 0, 6, 2}, // the longest
		{"<u|y|", 0, 2, 5, 4},   // not the user-defined one
		{"<u", 0, 2, 2, -1},
		{"", 0, 0, 0, -1},
	} {
		start, end, id, ok := tok.FindControl(c.text, c.from)
		if start != c.start || end != c.end || id != c.id || ok != (c.id >= 0) {
			t.Errorf("FindControl(%q, %d) = %d, %d, %d, %v, expected %d, %d, %d", c.text, c.from, start, end, id, ok, c.start, c.end, c.id)
		}
	}
	for text, want := range map[string]bool{"": false, "<": true, "b<|x": true, "<|x|>": true /* of <|x|>< */, "<|x|><": true, "|y|": true, "x|y": true, ">": false, "<|z": false} {
		if got := tok.EndsInControl(text); got != want {
			t.Errorf("EndsInControl(%q) = %v, expected %v", text, got, want)
		}
	}
	if !tok.InControl("x|") || !tok.InControl("u") || tok.InControl("a") {
		t.Error("InControl")
	}
}
