package tokenizer

import (
	"errors"
	"fmt"
	"math"
)

// A Vocab is a vocabulary as a GGUF file has it, below the key given with each
// field.
type Vocab struct {
	// Tokens are the tokens' texts by id, tokenizer.ggml.tokens. In those of
	// kind Normal each byte is written as a printable letter, as GPT-2 did:
	// " the" is "Ġthe". The others are plain text.
	Tokens []string
	// Types are the tokens' kinds by id, tokenizer.ggml.token_type. None at
	// all means that all are Normal.
	Types []int32
	// Merges are pairs of tokens with a space between, the ones to merge
	// first first, tokenizer.ggml.merges. None at all means that two tokens
	// merge if they make up a token, the lowest id first, as in tiktoken.
	Merges []string
	// Pre names the pre-tokenizer, tokenizer.ggml.pre; see Pretokenizers.
	Pre string
	// Pattern is a regular expression to use instead of Pre, in the syntax of
	// .NET; it matches one piece after the other and has to match them all.
	// The ids must be in the order of the merges. Patterns may take time
	// exponential in the text: do not accept them from strangers.
	Pattern string
	// IgnoreMerges is for Pattern: a piece that is a token needs no merges.
	IgnoreMerges bool

	// Scores make the vocabulary one of SentencePiece, tokenizer.ggml.model =
	// llama: by id, tokenizer.ggml.scores, of the tokens to merge first the
	// highest. A space in a token is ▁ (U+2581), and tokens of kind Byte,
	// <0x00> to <0xFF>, spell what no other token does. Pre, Pattern and Merges
	// have no meaning then. See sentencepiece.go.
	Scores []float32
	// SpacePrefix is for Scores: a text gets a space in front, so that its first
	// word is the token that it is elsewhere; tokenizer.ggml.add_space_prefix.
	SpacePrefix bool

	// Ids of tokens with a part to play, nil for none:
	// tokenizer.ggml.bos_token_id and so on.
	BOS, EOS, EOT, EOM, PAD, UNK *int32
	// AddBOS and AddEOS tell whether the model wants these tokens around a
	// text, tokenizer.ggml.add_bos_token. Encode never adds them.
	AddBOS, AddEOS bool
}

// A Kind is the type of a token, with GGUF's numbers.
type Kind int32

const (
	Normal      Kind = 1 // made of bytes by merging
	Unknown     Kind = 2 // stands for what the vocabulary lacks
	Control     Kind = 3 // <|eot_id|> and the like: never from user text
	UserDefined Kind = 4 // found in any text before it is split
	Unused      Kind = 5
	Byte        Kind = 6
)

// ErrVocab is what every error about the contents of a vocabulary matches by
// errors.Is.
var ErrVocab = errors.New("tokenizer: bad vocabulary")

// A VocabError says what is wrong with a vocabulary.
type VocabError struct {
	Field  string // of Vocab: "Tokens", "Types", ...
	Index  int    // into the field, -1 where it is not a list
	Reason string
}

func (e *VocabError) Error() string {
	if e.Index < 0 {
		return fmt.Sprintf("tokenizer: vocabulary's %s: %s", e.Field, e.Reason)
	}
	return fmt.Sprintf("tokenizer: vocabulary's %s[%d]: %s", e.Field, e.Index, e.Reason)
}

func (e *VocabError) Is(target error) bool { return target == ErrVocab }

// A PretokenizerError names a pre-tokenizer that this package does not have.
type PretokenizerError struct{ Name string }

func (e *PretokenizerError) Error() string {
	return fmt.Sprintf("tokenizer: unknown pre-tokenizer %q, expected one of %q or a Pattern", e.Name, Pretokenizers())
}

// Limits on a vocabulary. The largest known have 262,144 tokens; the longest
// token of Llama 3.1 has 128 bytes, the longest control token about 40.
const (
	maxTokens      = 1 << idBits
	maxTokenLength = 1 << 10
)

// check looks at everything that needs no table.
func (v *Vocab) check() error {
	if n := len(v.Tokens); n == 0 || n > maxTokens {
		return &VocabError{"Tokens", -1, fmt.Sprintf("%d tokens, expected 1 to %d", n, maxTokens)}
	}
	if len(v.Types) != 0 && len(v.Types) != len(v.Tokens) {
		return &VocabError{"Types", -1, fmt.Sprintf("%d types for %d tokens", len(v.Types), len(v.Tokens))}
	}
	for i, k := range v.Types {
		if k < 0 || k > int32(Byte) {
			return &VocabError{"Types", i, fmt.Sprintf("type %d, expected 1 to 6", k)}
		}
	}
	if v.Scores != nil && len(v.Scores) != len(v.Tokens) {
		return &VocabError{"Scores", -1, fmt.Sprintf("%d scores for %d tokens", len(v.Scores), len(v.Tokens))}
	}
	for i, s := range v.Scores {
		if math.IsNaN(float64(s)) {
			return &VocabError{"Scores", i, "not a number"}
		}
	}
	for i, s := range v.Tokens {
		if len(s) > maxTokenLength {
			return &VocabError{"Tokens", i, fmt.Sprintf("%d bytes, expected at most %d", len(s), maxTokenLength)}
		}
	}
	for _, s := range []struct {
		field string
		id    *int32
	}{{"BOS", v.BOS}, {"EOS", v.EOS}, {"EOT", v.EOT}, {"EOM", v.EOM}, {"PAD", v.PAD}, {"UNK", v.UNK}} {
		if s.id != nil && (*s.id < 0 || int(*s.id) >= len(v.Tokens)) {
			return &VocabError{s.field, -1, fmt.Sprintf("id %d, expected less than %d tokens", *s.id, len(v.Tokens))}
		}
	}
	return nil
}

// kind is the kind of token id. Files have 0 (undefined) for some; those count
// as normal.
func (v *Vocab) kind(id int) Kind {
	if len(v.Types) == 0 || v.Types[id] == 0 {
		return Normal
	}
	return Kind(v.Types[id])
}
