package tokenizer

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// SentencePiece's BPE (Kudo and Richardson, 2018), the vocabulary of Llama 2,
// TinyLlama and Mistral. What is different from byte-level BPE:
//
//   - Tokens are merged from characters. A character that is no token is spelled in
//     tokens of kind Byte, which merge with nothing; without such tokens it is UNK,
//     one for all such characters in a row.
//   - Any two tokens merge that together make up a token, that of the highest score
//     first. Hugging Face's converter makes the same merges of the scores.
//   - Spaces are part of the tokens, as ▁ in the file. Here they are spaces from the
//     start, and a ▁ in a text counts as one.
//   - A text is not split. But where no token has a space behind another character,
//     nothing merges across the beginning of a word, so it can be cut there.

const spaceMark = "▁" // U+2581

// byteToken reads the name of a token of kind Byte, <0x0A>.
func byteToken(name string) (byte, bool) {
	if len(name) != 6 || name[:3] != "<0x" || name[5] != '>' {
		return 0, false
	}
	b, err := strconv.ParseUint(name[3:5], 16, 8)
	return byte(b), err == nil
}

// A charTable has the tokens that are one character.
type charTable struct {
	table *tokenTable
	ascii [utf8.RuneSelf]int32
	unk   int32 // -1: none
}

// buildByScore makes a merge of every way to split a token in two, ranked by the
// token's score; of equal scores the lower id goes first.
func (m *merger) buildByScore(table *tokenTable, v *Vocab) {
	for b := range m.bytes {
		m.bytes[b] = -1
	}
	for id, name := range v.Tokens {
		if b, ok := byteToken(name); ok && v.kind(id) == Byte {
			m.bytes[b] = int32(id)
		}
	}
	m.chars = &charTable{table: table, unk: -1}
	if v.UNK != nil {
		m.chars.unk = *v.UNK
	}
	for c := range m.chars.ascii {
		m.chars.ascii[c] = table.find(string(rune(c)))
	}
	for id := range int32(len(v.Tokens)) {
		if v.kind(int(id)) == Normal && table.find(table.tokens.at(id)) == id {
			m.result = append(m.result, id)
		}
	}
	slices.SortStableFunc(m.result, func(a, b int32) int { return cmp.Compare(v.Scores[b], v.Scores[a]) })
	type ranked struct {
		left, right int32
		rank        int
	}
	var rules []ranked
	for rank, id := range m.result {
		s := table.tokens.at(id)
		for i := range s {
			if i == 0 {
				continue
			}
			if left := table.find(s[:i]); left >= 0 {
				if right := table.find(s[i:]); right >= 0 {
					rules = append(rules, ranked{left, right, rank})
				}
			}
		}
	}
	m.pairs = newPairTable(len(rules))
	for _, r := range rules {
		m.pairs.put(r.left, r.right, r.rank)
	}
}

// symbols appends the tokens that merging begins with: at most one for each byte.
func (m *merger) symbols(dst []int32, piece string) []int32 {
	start := len(dst)
	for i := 0; i < len(piece); {
		id, n := int32(-1), 1
		if c := piece[i]; c < utf8.RuneSelf {
			id = m.chars.ascii[c]
		} else if _, n = utf8.DecodeRuneInString(piece[i:]); n > 1 {
			id = m.chars.table.find(piece[i : i+n])
		}
		if id >= 0 {
			dst = append(dst, id)
			i += n
			continue
		}
		for end := i + n; i < end; i++ {
			id := m.bytes[piece[i]]
			if id < 0 {
				if id = m.chars.unk; len(dst) > start && dst[len(dst)-1] == id {
					continue
				}
			}
			if id >= 0 {
				dst = append(dst, id)
			}
		}
	}
	return dst
}

// spacesInside tells whether a token has a space behind another character.
func (t *Tokenizer) spacesInside(table *tokenTable) bool {
	for _, e := range table.slots {
		if e != 0 && strings.Contains(strings.TrimLeft(t.tokens.at(int32(uint32(e)-1)), " "), " ") {
			return true
		}
	}
	return false
}

// splitWords cuts before the spaces in front of a word.
func splitWords(text string, i int) int {
	for i < len(text) && text[i] == ' ' {
		i++
	}
	if n := strings.IndexByte(text[i:], ' '); n >= 0 {
		return i + n
	}
	return len(text)
}

func splitNothing(text string, _ int) int { return len(text) }

// spaced is the text that is merged.
func (t *Tokenizer) spaced(text string) string {
	if text == "" {
		return ""
	}
	if strings.Contains(text, spaceMark) {
		text = strings.ReplaceAll(text, spaceMark, " ")
	}
	if t.vocab.SpacePrefix {
		text = " " + text
	}
	return text
}
