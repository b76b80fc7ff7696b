package tokenizer

import (
	"encoding/json"
	"errors"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

var sentencePieceFile = flag.String("sentencepiece", "testdata/sentencepiece.jsonl", "vocabulary and cases for TestSentencePiece, made by testdata/pieces.py")

// sentencePieceVocab reads the vocabulary of the file, and the decoder that goes on
// with its cases.
func sentencePieceVocab(t testing.TB) (Vocab, *json.Decoder) {
	t.Helper()
	f, err := os.Open(*sentencePieceFile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	var head struct {
		Tokens []string
		Scores []float32
		Types  []int32
	}
	d := json.NewDecoder(f)
	if err := d.Decode(&head); err != nil {
		t.Fatal(err)
	}
	return Vocab{Tokens: head.Tokens, Scores: head.Scores, Types: head.Types, SpacePrefix: true, UNK: new(int32(0)), BOS: new(int32(1)), EOS: new(int32(2))}, d
}

// TestSentencePiece compares ids with those of sentencepiece or tokenizers.
func TestSentencePiece(t *testing.T) {
	v, cases := sentencePieceVocab(t)
	tok := mustNew(t, v)
	n, failed := 0, 0
	for cases.More() {
		var c struct {
			Text string
			IDs  []int32
		}
		if err := cases.Decode(&c); err != nil {
			t.Fatal(err)
		}
		n++
		got := tok.Encode(nil, c.Text)
		if !slices.Equal(got, c.IDs) {
			if failed++; failed < 10 {
				t.Errorf("Encode(%q)\n got %d %q\nwant %d %q", c.Text, got, pieces(tok, got), c.IDs, pieces(tok, c.IDs))
			}
		}
		if text := tok.Decode(got); text != c.Text && !strings.Contains(c.Text, spaceMark) {
			t.Errorf("Decode(Encode(%q)) = %q", c.Text, text)
		}
	}
	if n < 150 || failed > 0 {
		t.Errorf("%d of %d texts differ", failed, n)
	}
	t.Logf("%d texts, %v", n, tok)
}

func pieces(t *Tokenizer, ids []int32) (s []string) {
	for _, id := range ids {
		s = append(s, t.Token(id))
	}
	return s
}

// TestSentencePieceCut: cutting at words makes no difference, and bytes come back.
func TestSentencePieceCut(t *testing.T) {
	v, _ := sentencePieceVocab(t)
	tok := mustNew(t, v)
	whole := mustNew(t, v)
	whole.split, whole.whole = splitNothing, newTokenTable(tok.tokens, 1)
	parts := []string{"the", " ", "  ", "\n", "é", "中", "\xff", "lazy", "ing ", "a", ".", "▁", "12", "<s>", "<0x0A>", "\x00"}
	rnd := rand.New(rand.NewPCG(8, 9))
	for range 5000 {
		var b strings.Builder
		for range rnd.IntN(60) {
			b.WriteString(parts[rnd.IntN(len(parts))])
		}
		text := b.String()
		got, want := tok.Encode(nil, text), whole.Encode(nil, text)
		if !slices.Equal(got, want) {
			t.Fatalf("%q\n got %q\nwant %q", text, pieces(tok, got), pieces(tok, want))
		}
		if back := tok.Decode(got); back != strings.ReplaceAll(text, spaceMark, " ") {
			t.Fatalf("%q came back as %q", text, back)
		}
		if slices.ContainsFunc(got, tok.IsControl) {
			t.Fatalf("%q has control tokens", text)
		}
	}
	if ids := tok.EncodeSpecial(nil, "<s>the</s>"); len(ids) < 3 || ids[0] != 1 || ids[len(ids)-1] != 2 {
		t.Errorf("EncodeSpecial: %q", pieces(tok, ids))
	}
}

func TestSentencePieceLongTexts(t *testing.T) {
	v, _ := sentencePieceVocab(t)
	tok := mustNew(t, v)
	const mb = 1 << 20
	for name, s := range map[string]string{
		"letter": strings.Repeat("a", mb), "spaces": strings.Repeat(" ", mb), "digits": strings.Repeat("1234567890", mb/10),
		"chinese": strings.Repeat("视野无限广窗外有蓝天人工智能", mb/42), "english": strings.Repeat("the quick brown fox ", mb/20), "invalid": strings.Repeat("\xff", mb),
	} {
		start := time.Now()
		ids := tok.Encode(nil, s)
		took := time.Since(start)
		if took > 10*time.Second { // a second is the aim; the rest is for slow machines and -race
			t.Errorf("%s: 1 MB took %v", name, took)
		}
		if tok.Decode(ids) != s {
			t.Errorf("%s: does not come back", name)
		}
		t.Logf("%-10s %6d ms, %7d ids", name, took.Milliseconds(), len(ids))
	}
}

// TestSentencePieceUnknown: without byte tokens, what is no token is one UNK.
func TestSentencePieceUnknown(t *testing.T) {
	v := Vocab{Tokens: []string{"<unk>", "▁", "a", "b", "ab", "▁ab"}, Types: []int32{2, 1, 1, 1, 1, 1}, Scores: []float32{0, -9, -9, -9, -1, -2}, UNK: new(int32(0))}
	tok := mustNew(t, v)
	if got := tok.Encode(nil, "abxyzé ab▁b"); !slices.Equal(got, []int32{4, 0, 5, 1, 3}) {
		t.Errorf("%d", got)
	}
	v.UNK = nil
	if got := mustNew(t, v).Encode(nil, "axb"); !slices.Equal(got, []int32{4}) && !slices.Equal(got, []int32{2, 3}) {
		t.Errorf("without UNK: %d", got)
	}
	for name, scores := range map[string][]float32{"too few": {1}, "NaN": {0, 0, 0, 0, 0, float32(math.NaN())}, "none": {}} {
		v.Scores = scores
		if _, err := New(v); !errors.Is(err, ErrVocab) {
			t.Errorf("%s: %v, expected ErrVocab", name, err)
		}
	}
}
