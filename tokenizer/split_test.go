package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

// The regular expressions that the splitters stand for. SmolLM's is two steps:
// numbers are cut out before GPT-2's sees what is between.
var splitters = map[string]struct {
	split   splitter
	pattern *regexp2.Regexp
	numbers bool
}{
	"llama-bpe": {splitLlama3, regexp2.MustCompile(llama3Pattern, regexp2.None), false},
	"gpt-2":     {splitGPT2, regexp2.MustCompile(gpt2Pattern, regexp2.None), false},
	"smollm":    {splitSmolLM, regexp2.MustCompile(gpt2Pattern, regexp2.None), true},
}

// byPattern splits valid UTF-8 with a regular expression.
func byPattern(t *testing.T, text string, pattern *regexp2.Regexp, numbers bool) []string {
	t.Helper()
	var pieces []string
	match := func(text string) {
		m, err := pattern.FindStringMatch(text)
		for ; m != nil && err == nil; m, err = pattern.FindNextMatch(m) {
			pieces = append(pieces, m.String())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !numbers {
		match(text)
		return pieces
	}
	start := 0
	for i, r := range text {
		if c, n := classAt(text, i); c&number != 0 && r != utf8.RuneError {
			match(text[start:i])
			pieces = append(pieces, text[i:i+n])
			start = i + n
		}
	}
	match(text[start:])
	return pieces
}

func bySplitter(t *testing.T, text string, split splitter) []string {
	t.Helper()
	var pieces []string
	for i := 0; i < len(text); {
		end := split(text, i)
		if end <= i || end > len(text) {
			t.Fatalf("%q: piece at %d ends at %d", text, i, end)
		}
		pieces = append(pieces, text[i:end])
		i = end
	}
	return pieces
}

func checkSplit(t *testing.T, text string) {
	t.Helper()
	for name, s := range splitters {
		got := bySplitter(t, text, s.split)
		if !utf8.ValidString(text) || strings.Contains(text, "'ſ") {
			// It has progressed. The expression knows characters only, and unlike
			// Hugging Face's engine regexp2 has no ſ in (?i:s).
			continue
		}
		if want := byPattern(t, text, s.pattern, s.numbers); !slices.Equal(got, want) {
			t.Errorf("%s\n got %q\nwant %q", name, got, want)
		}
	}
}

var splitTexts = []string{
	"Hello, world!", "it's IT'S we'Ve 'sam 'ſo ''s '", " a  b   c\td\t\te\n f\r\n\r\ng \n \n", "1234567 12a 1 2  3\n4",
	"  \n  x", "\n \n\n x", " !a !!\n\n b", "x\u00a0y\u2003\u3000z\u0085w", "视野，无限 广１２３４", "👩‍👩‍👧‍👦👍🏽 🇫🇷", "e\u0301 नमस्ते १२३४",
	"a.b_c-d+e", "\t\tif (x) {\r\n", "   ", "\r", "é'll É'LL", "\x00\x01 \x7f", "½⅓²", "a\xffb\xe2\x82 \xf0\x9f\x98", " \xff", "\u2028a \u2029", "'\u017f'\u212a",
}

func TestSplit(t *testing.T) {
	for _, s := range splitTexts {
		checkSplit(t, s)
	}
	parts := []string{"a", "B", "é", "中", "1", "２", " ", " ", "\n", "\r", "\t", "\u00a0", "\u3000", "'", "'s", "'LL", "'v", ".", "😀", "\u0301", "ſ", "_", "\xff"}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		var b strings.Builder
		for range 1 + rnd.IntN(12) {
			b.WriteString(parts[rnd.IntN(len(parts))])
		}
		if checkSplit(t, b.String()); t.Failed() {
			return
		}
	}
}

func TestSplitPieces(t *testing.T) {
	for _, c := range []struct{ name, text, pieces string }{
		{"llama-bpe", "I'Ve 12345 x\n\n y  z", "I|'Ve| |123|45| x|\n\n| y| | z"},
		{"smollm", "I've 123  y  z!\n", "I|'ve| |1|2|3| | y| | z|!|\n"},
		{"gpt-2", "I've 123  y", "I|'ve| 123| | y"},
	} {
		if got := strings.Join(bySplitter(t, c.text, splitters[c.name].split), "|"); got != c.pieces {
			t.Errorf("%s: %q, want %q", c.name, got, c.pieces)
		}
	}
}

func FuzzSplit(f *testing.F) {
	for _, s := range splitTexts {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) < 10000 {
			checkSplit(t, text)
		}
	})
}
