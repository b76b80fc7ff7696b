package tokenizer

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/pkoukk/tiktoken-go"
)

// A pattern encodes by tiktoken-go: for pre-tokenizers that are given as a
// regular expression. Of tiktoken-go only EncodeOrdinary is used, on text that
// it gets right; Encode is not, for it misplaces special tokens. It
//
//   - takes ids for ranks and any two tokens that make up a third for a merge, so
//     the ids must be in the order of the merges and each token must be what its
//     own bytes merge to. Then both ways of merging are the same: the first pair
//     that is no merge would, in the token that it makes up, come before that
//     token's own last merge.
//   - makes id 0 of bytes that the vocabulary lacks, so there must be none,
//   - makes U+FFFD of bytes that are no UTF-8, so it never sees them,
//   - leaves out text that the expression does not match, so what it returns
//     must decode to what it was given,
//   - is quadratic in the length of a piece, so it gets 32 kB at a time.
//
// Text for which that fails goes to this package's merger, as one piece.
type pattern struct {
	bpe *tiktoken.Tiktoken
}

// patternChunk is how much text tiktoken-go gets at once. Longer text is cut at
// a line's end before text where there is one, which in all known expressions
// is the end of a piece. 32,000 spaces take 0.5 s.
const patternChunk = 32 << 10

// newPattern takes the table of all tokens that text can become; t.whole has those
// that their own bytes merge to, unless merges are ignored for whole pieces.
func newPattern(t *Tokenizer, table *tokenTable, expr string) (*pattern, error) {
	for b, id := range t.merger.bytes {
		if id < 0 {
			return nil, &VocabError{"Tokens", -1, fmt.Sprintf("no token is the byte %#02x; Pattern needs all of them", b)}
		}
	}
	last := int32(-1)
	for rank, id := range t.merger.result {
		if id < last {
			return nil, &VocabError{"Merges", rank, fmt.Sprintf("makes token %d after %d; Pattern needs ids in the order of the merges", id, last)}
		}
		last = id
	}
	ranks := make(map[string]int, len(t.kinds))
	for id := range int32(len(t.kinds)) {
		s := t.tokens.at(id)
		if table.find(s) != id {
			continue
		}
		if t.whole.find(s) != id {
			return nil, &VocabError{"Tokens", int(id), "its bytes merge to other tokens; Pattern needs IgnoreMerges then"}
		}
		ranks[s] = int(id)
	}
	bpe, err := tiktoken.NewCoreBPE(ranks, nil, expr)
	if err != nil {
		return nil, &VocabError{"Pattern", -1, err.Error()}
	}
	return &pattern{tiktoken.NewTiktoken(bpe, nil, nil)}, nil
}

// append appends the ids of a text.
func (p *pattern) append(dst []int32, text string, t *Tokenizer) []int32 {
	for text != "" {
		if r, n := utf8.DecodeRuneInString(text); r == utf8.RuneError && n == 1 {
			dst = append(dst, t.merger.bytes[text[0]])
			text = text[1:]
			continue
		}
		chunk := patternCut(text)
		text = text[len(chunk):]
		start := len(dst)
		for _, id := range p.bpe.EncodeOrdinary(chunk) {
			dst = append(dst, int32(id))
		}
		if !t.spells(dst[start:], chunk) {
			dst = t.merger.append(dst[:start], chunk)
		}
	}
	return dst
}

// spells tells whether the ids decode to the text.
func (t *Tokenizer) spells(ids []int32, text string) bool {
	for _, id := range ids {
		rest, ok := strings.CutPrefix(text, t.Token(id))
		if !ok {
			return false
		}
		text = rest
	}
	return text == ""
}

// patternCut returns the part of the text that tiktoken-go gets next. The text
// begins with a character.
func patternCut(text string) string {
	n := min(len(text), patternChunk)
	for i, r := range text[:n] {
		if r != utf8.RuneError {
			continue
		}
		if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
			return text[:i]
		}
	}
	if n == len(text) {
		return text
	}
	for i := n; i > 0; i-- {
		if text[i-1] == '\n' && asciiClass[text[i]]&space == 0 {
			return text[:i]
		}
	}
	for !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
