package llama

import (
	"errors"
	"fmt"
	"slices"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/tokenizer"
)

// readTokenizer builds the tokenizer of the file's vocabulary.
func readTokenizer(f *gguf.File, vocab int) (*tokenizer.Tokenizer, error) {
	kind, err := f.String("tokenizer.ggml.model")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	if kind != "gpt2" && kind != "llama" {
		return nil, fmt.Errorf("%w: tokenizer %q, expected \"gpt2\" (byte-level BPE) or \"llama\" (SentencePiece)", ErrUnsupported, kind)
	}
	var v tokenizer.Vocab
	if kind == "llama" {
		// What llama.cpp's reader takes for granted: <unk>, <s> and </s> come first.
		v.UNK, v.BOS, v.EOS, v.SpacePrefix = new(int32(0)), new(int32(1)), new(int32(2)), true
		scores, err := f.Floats("tokenizer.ggml.scores")
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrModel, err)
		}
		v.Scores = make([]float32, len(scores))
		for i, s := range scores {
			v.Scores[i] = float32(s)
		}
		if f.Has("tokenizer.ggml.add_space_prefix") {
			if v.SpacePrefix, err = f.Bool("tokenizer.ggml.add_space_prefix"); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrModel, err)
			}
		}
	}
	if v.Tokens, err = f.Strings("tokenizer.ggml.tokens"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	if len(v.Tokens) != vocab {
		return nil, fmt.Errorf("%w: a vocabulary of %d tokens, token_embd.weight has %d rows", ErrModel, len(v.Tokens), vocab)
	}
	if f.Has("tokenizer.ggml.token_type") {
		types, err := f.Ints("tokenizer.ggml.token_type")
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrModel, err)
		}
		for i, t := range types {
			if t != int64(int32(t)) {
				return nil, fmt.Errorf("%w: tokenizer.ggml.token_type[%d] is %d", ErrModel, i, t)
			}
			v.Types = append(v.Types, int32(t))
		}
	}
	if f.Has("tokenizer.ggml.merges") {
		if v.Merges, err = f.Strings("tokenizer.ggml.merges"); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrModel, err)
		}
	}
	v.Pre = "default"
	if f.Has("tokenizer.ggml.pre") {
		if v.Pre, err = f.String("tokenizer.ggml.pre"); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrModel, err)
		}
	}
	// The first files of Llama 3, of April 2024, do not name it.
	if v.Pre == "default" && slices.Contains(v.Tokens, "<|begin_of_text|>") {
		v.Pre = "llama-bpe"
	}
	for key, to := range map[string]**int32{"bos": &v.BOS, "eos": &v.EOS, "eot": &v.EOT, "eom": &v.EOM, "padding": &v.PAD, "unknown": &v.UNK} {
		key = "tokenizer.ggml." + key + "_token_id"
		if !f.Has(key) {
			continue
		}
		id, err := f.Int(key)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrModel, err)
		}
		if id < 0 || id >= int64(vocab) {
			return nil, fmt.Errorf("%w: %s is %d, expected 0 to %d", ErrModel, key, id, vocab-1)
		}
		n := int32(id)
		*to = &n
	}
	// llama.cpp's converter omits add_bos_token for Llama 3, whose reader then adds it for this pre-tokenizer; for SentencePiece
	// it does so always.
	v.AddBOS = v.BOS != nil && (v.Pre == "llama-bpe" || kind == "llama")
	if f.Has("tokenizer.ggml.add_bos_token") {
		if v.AddBOS, err = f.Bool("tokenizer.ggml.add_bos_token"); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrModel, err)
		}
	}
	t, err := tokenizer.New(v)
	if pre := (*tokenizer.PretokenizerError)(nil); errors.As(err, &pre) {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	} else if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	return t, nil
}

// stopTokens are the tokens that end an answer: end of text, of turn, and of message (Llama 3.1's 128001, 128009 and 128008), under
// the names that models of this architecture give them.
func stopTokens(t *tokenizer.Tokenizer) map[int32]bool {
	stops := map[int32]bool{}
	for _, get := range []func() (int32, bool){t.EOS, t.EOT, t.EOM} {
		if id, ok := get(); ok {
			stops[id] = true
		}
	}
	for _, name := range []string{"<|end_of_text|>", "<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|endoftext|>", "</s>"} {
		if id, ok := t.ID(name); ok && t.IsControl(id) {
			stops[id] = true
		}
	}
	return stops
}
