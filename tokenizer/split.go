package tokenizer

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// A splitter returns the end of the piece of text that begins at i < len(text).
// The end is greater than i. Splitting a whole text takes time linear in it.
type splitter func(text string, i int) int

// A pretokenizer is how a model's text is cut before it is merged.
type pretokenizer struct {
	split splitter
	// ignoreMerges: a piece that is a token needs no merges. 588 tokens of
	// Llama 3.1 (" việc", for one) cannot be reached by merging.
	ignoreMerges bool
}

// The names are those that llama.cpp's conversion writes to tokenizer.ggml.pre.
var pretokenizers = map[string]pretokenizer{
	"llama-bpe": {splitLlama3, true},
	"llama3":    {splitLlama3, true},
	"llama-v3":  {splitLlama3, true},
	"smollm":    {splitSmolLM, false},
	"starcoder": {splitSmolLM, false},
	"refact":    {splitSmolLM, false},
	"gpt-2":     {splitGPT2, false},
}

// Pretokenizers returns the names that Vocab.Pre may have, sorted.
func Pretokenizers() []string { return slices.Sorted(maps.Keys(pretokenizers)) }

// The classes of characters that the splitters tell apart.
const (
	letter  = 1 << iota // \p{L}
	number              // \p{N}
	space               // \s
	newline             // \r and \n, which are space too
	wide                // in asciiClass only: not ASCII, ask classTable
)

// asciiClass is the class by a character's first byte.
var asciiClass = func() (c [256]uint8) {
	for i := range c {
		switch b := byte(i); {
		case b >= utf8.RuneSelf:
			c[i] = wide
		case 'a' <= b|0x20 && b|0x20 <= 'z':
			c[i] = letter
		case '0' <= b && b <= '9':
			c[i] = number
		case b == '\r' || b == '\n':
			c[i] = space | newline
		case b == ' ' || '\t' <= b && b <= '\r':
			c[i] = space
		}
	}
	return c
}()

// classTable has the classes of all characters up to the last letter or number,
// about 200 kB. Searching the ranges of package unicode instead takes 20 to 50 ns
// a character.
var classTable = sync.OnceValue(func() []uint8 {
	var table []uint8
	mark := func(t *unicode.RangeTable, class uint8) {
		set := func(lo, hi, stride rune) {
			if n := int(hi) + 1 - len(table); n > 0 {
				table = append(table, make([]uint8, n)...)
			}
			for r := lo; r <= hi; r += stride {
				table[r] |= class
			}
		}
		for _, r := range t.R16 {
			set(rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
		for _, r := range t.R32 {
			set(rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
	}
	mark(unicode.L, letter)
	mark(unicode.N, number)
	mark(unicode16Numbers, number)
	mark(unicode.White_Space, space)
	return table
})

// unicode16Numbers are numbers that are newer than Go 1.26's Unicode 15, and that
// Hugging Face's tokenizers know. New letters make no difference: no vocabulary
// has a token with one.
var unicode16Numbers = &unicode.RangeTable{R32: []unicode.Range32{
	{Lo: 0x10d40, Hi: 0x10d49, Stride: 1},
	{Lo: 0x116d0, Hi: 0x116e3, Stride: 1},
	{Lo: 0x11bf0, Hi: 0x11bf9, Stride: 1},
	{Lo: 0x16130, Hi: 0x16139, Stride: 1},
	{Lo: 0x16d70, Hi: 0x16d79, Stride: 1},
	{Lo: 0x1ccf0, Hi: 0x1ccf9, Stride: 1},
	{Lo: 0x1e5f1, Hi: 0x1e5fa, Stride: 1},
}}

// classAt returns the class of the character at i and its length, 0, 0 at the
// end of the text. A byte that is no UTF-8 has no class, like punctuation.
func classAt(text string, i int) (class uint8, n int) {
	if i >= len(text) {
		return 0, 0
	}
	if c := asciiClass[text[i]]; c != wide {
		return c, 1
	}
	return wideClassAt(text, i)
}

func wideClassAt(text string, i int) (class uint8, n int) {
	r, n := utf8.DecodeRuneInString(text[i:])
	if table := classTable(); n > 1 && int(r) < len(table) {
		class = table[r]
	}
	return class, n
}

// skip returns the end of the characters from i on that have one of the classes.
func skip(text string, i int, classes uint8) int {
	for i < len(text) {
		c, n := asciiClass[text[i]], 1
		if c == wide {
			c, n = wideClassAt(text, i)
		}
		if c&classes == 0 {
			break
		}
		i += n
	}
	return i
}

// skipOther is like skip for characters that have none of the classes.
func skipOther(text string, i int, classes uint8) int {
	for i < len(text) {
		c, n := asciiClass[text[i]], 1
		if c == wide {
			c, n = wideClassAt(text, i)
		}
		if c&classes != 0 {
			break
		}
		i += n
	}
	return i
}

// splitLlama3 matches the regular expression of Llama 3's tokenizer.json:
//
//	(?i:'s|'t|'re|'ve|'m|'ll|'d) | [^\r\n\p{L}\p{N}]?\p{L}+ | \p{N}{1,3} |
//	 ?[^\s\p{L}\p{N}]+[\r\n]* | \s*[\r\n]+ | \s+(?!\S) | \s+
func splitLlama3(text string, i int) int {
	if n := contraction(text[i:], true); n > 0 {
		return i + n
	}
	class, n := classAt(text, i)
	switch {
	case class&letter != 0:
		return skip(text, i+n, letter)
	case class&number != 0:
		end := i + n
		for range 2 {
			c, n := classAt(text, end)
			if c&number == 0 {
				break
			}
			end += n
		}
		return end
	case class&newline == 0:
		if end := skip(text, i+n, letter); end > i+n {
			return end
		}
	}
	if end := punctuation(text, i); end > i {
		for end < len(text) && (text[end] == '\r' || text[end] == '\n') {
			end++
		}
		return end
	}
	end := skip(text, i, space)
	if last := strings.LastIndexAny(text[i:end], "\r\n"); last >= 0 {
		return i + last + 1
	}
	return spaces(text, i, end)
}

// splitGPT2 matches the regular expression of GPT-2:
//
//	's|'t|'re|'ve|'m|'ll|'d | ?\p{L}+ | ?\p{N}+ | ?[^\s\p{L}\p{N}]+ | \s+(?!\S) | \s+
func splitGPT2(text string, i int) int {
	if n := contraction(text[i:], false); n > 0 {
		return i + n
	}
	j := i
	if text[i] == ' ' {
		j++
	}
	for _, class := range [...]uint8{letter, number} {
		if end := skip(text, j, class); end > j {
			return end
		}
	}
	if end := punctuation(text, i); end > i {
		return end
	}
	return spaces(text, i, skip(text, i, space))
}

// splitSmolLM is SmolLM's sequence of two: every number is a piece of its own,
// and what is between is split as GPT-2 does, as if the text ended there.
func splitSmolLM(text string, i int) int {
	if n := contraction(text[i:], false); n > 0 {
		return i + n
	}
	class, n := classAt(text, i)
	if class&number != 0 {
		return i + n
	}
	j := i
	if text[i] == ' ' {
		j++
	}
	if end := skip(text, j, letter); end > j {
		return end
	}
	if end := punctuation(text, i); end > i {
		return end
	}
	end := skip(text, i, space)
	if c, _ := classAt(text, end); c&number != 0 {
		return end
	}
	return spaces(text, i, end)
}

// punctuation matches ` ?[^\s\p{L}\p{N}]+` at i; it returns i if there is none.
func punctuation(text string, i int) int {
	j := i
	if text[i] == ' ' {
		j++
	}
	if end := skipOther(text, j, space|letter|number); end > j {
		return end
	}
	return i
}

// spaces matches `\s+(?!\S)|\s+` where text[i:end] is all of the white space: the
// last character of it goes with the next piece, if there is one to go with.
func spaces(text string, i, end int) int {
	if end == len(text) {
		return end
	}
	_, n := utf8.DecodeLastRuneInString(text[i:end])
	if end-n > i {
		return end - n
	}
	return end
}

// contraction returns the length of 's, 't, 're, 've, 'm, 'll or 'd at the start
// of the text, 0 if there is none. If fold, capitals are fine, and so is the long
// s, ſ, which is an s to the regular expression.
func contraction(text string, fold bool) int {
	if len(text) < 2 || text[0] != '\'' {
		return 0
	}
	lower := func(i int) byte {
		if i >= len(text) {
			return 0
		}
		if c := text[i]; fold && 'A' <= c && c <= 'Z' {
			return c | 0x20
		}
		return text[i]
	}
	switch c := lower(1); c {
	case 's', 't', 'm', 'd':
		return 2
	case 'r', 'v':
		if lower(2) == 'e' {
			return 3
		}
	case 'l':
		if lower(2) == 'l' {
			return 3
		}
	}
	if fold && strings.HasPrefix(text[1:], "ſ") {
		return 1 + len("ſ")
	}
	return 0
}
