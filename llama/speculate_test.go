package llama

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/llama31/llama31/internal/testenv"
)

func TestLookup(t *testing.T) {
	var l lookup
	var tokens []int32
	add := func(ids ...int32) {
		for _, id := range ids {
			tokens = append(tokens, id)
			l.update(tokens)
		}
	}
	guess := func(n int) (draft []int32) {
		for i := range n {
			if l.chance(i) == 0 {
				break
			}
			draft = append(draft, l.guess(tokens, draft))
		}
		return draft
	}
	add(1, 2, 3, 4, 5, 6)
	if g := guess(3); g != nil {
		t.Errorf("guess %v after %v", g, tokens)
	}
	add(1, 2)
	if g := guess(6); !slices.Equal(g, []int32{3, 4, 5, 6, 1, 2}) {
		t.Errorf("guess %v after %v, expected it to go on as before, and round", g, tokens)
	}
	// Of two places the one with more in common, and after a wrong guess another.
	tokens, l = nil, lookup{}
	add(9, 1, 2, 3, 7, 8, 1, 2, 4, 9, 1, 2)
	if g := guess(1); !slices.Equal(g, []int32{3}) {
		t.Errorf("guess %v after %v, expected the place where 9 came before too", g, tokens)
	}
	add(4)
	if g := guess(1); !slices.Equal(g, []int32{9}) {
		t.Errorf("guess %v after %v", g, tokens)
	}
	// After an edit it goes on from where the old text was left, though another place has as much in common.
	tokens, l = nil, lookup{}
	add(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 50, 51, 52, 60, 11, 61, 62)
	add(1, 2, 3, 4, 5, 6, 7, 8, 9, 99)
	if g := guess(1); g != nil {
		t.Errorf("guess %v after %v", g, tokens)
	}
	for _, c := range []struct {
		edit []int32
		want int32
	}{{[]int32{10}, 11}, {[]int32{11}, 12}, {[]int32{98, 13}, 50}} { // 99 is put in, stands for 10, and with 98 for 10 to 12
		saved, n := l, len(tokens)
		add(c.edit...)
		if g := guess(1); !slices.Equal(g, []int32{c.want}) {
			t.Errorf("guess %v after %v, expected %d", g, tokens, c.want)
		}
		tokens, l = tokens[:n], saved
	}
	// What is never right is soon believed no more.
	tokens, l = nil, lookup{}
	add(1, 2, 3, 1, 2)
	before := l.chance(0)
	r := rand.New(rand.NewPCG(1, 1))
	for range 1000 {
		add(1, 2, 100+int32(r.IntN(1_000_000)))
	}
	add(1, 2)
	if l.chance(0) > before/3 {
		t.Errorf("chance %g of guesses that are all wrong, %g before", l.chance(0), before)
	}
}

// TestCosts: a single slow step is soon tried again; what was measured often is believed for longer.
func TestCosts(t *testing.T) {
	var c costs
	note := func(rows, ms, n int) {
		for range n {
			c.note(rows, time.Duration(ms)*time.Millisecond)
		}
	}
	note(4, 8, 10)
	note(3, 50, 1)
	note(1, 5, 10)
	if got := c.of(3); got < 0.049 {
		t.Errorf("%g s for 3 rows, expected what was measured", got)
	}
	note(1, 5, 100)
	if got := c.of(3); math.Abs(got-0.007) > 1e-6 {
		t.Errorf("%g s for 3 rows, expected 7 ms, between those of 1 and 4", got)
	}
	note(4, 30, 10)
	note(4, 8, 40)
	if got := c.of(4); got > 0.009 {
		t.Errorf("%g s for 4 rows, expected about 8 ms again", got)
	}
}

// TestEditing repeats a text with a small change, which prompt lookup is for. The answers are equal; LLAMA31_LONG=1 requires 1.5 times
// the tokens per second, of the best of each in a few rounds.
func TestEditing(t *testing.T) {
	path := testenv.Fetched(t, "smollm2")
	const essay = `The harbour of the town lies between two hills. Every morning at six the boats come back with their fish, and the people of the
market wait for them with carts and baskets. In winter the water is dark and the wind comes from the north; in summer children swim
between the boats until the sun is down. The oldest of the boats is called Maria. It belongs to a man of eighty years who has never
lived in another place, and who says that he would not know what to do there.`
	ask := Request{Messages: []Message{User("Repeat this text word for word, but write Anna for Maria:\n\n" + essay)}, MaxTokens: 110,
		Sampling: &Sampling{Temperature: pointer(0.)}}
	models := map[bool]*Model{}
	for _, without := range []bool{true, false} {
		m, err := Open(t.Context(), path, &Options{NoSpeculation: without, Context: 1024})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		models[without] = m
	}
	speed := map[bool]float64{}
	text := map[bool]string{}
	ratio := 0.
	for round := 0; round < 3 || testenv.Long() && ratio < 1.5 && round < 12; round++ { // the first measures what steps cost
		for without, m := range models {
			r, err := m.Generate(t.Context(), ask)
			if err != nil {
				t.Fatal(err)
			}
			text[without] = r.Text()
			speed[without] = max(speed[without], float64(r.Usage.Generated-1)/r.Timings.Generate.Seconds())
		}
		if text[true] != text[false] {
			t.Fatalf("with speculation %q, without %q", text[false], text[true])
		}
		ratio = speed[false] / speed[true]
	}
	for without, m := range models {
		t.Logf("without speculation %v: %.0f tokens/s, %+v", without, speed[without], m.Stats())
	}
	t.Logf("%.2f times as fast: %q", ratio, text[false])
	if testenv.Long() && ratio < 1.5 {
		t.Errorf("%.2f times as fast, expected 1.5", ratio)
	}
}

// draftFile is a model that differs a little from another.
func draftFile(t *testing.T, file []byte) string {
	t.Helper()
	other := slices.Clone(file)
	for i := len(other) - 4000; i < len(other); i++ {
		other[i] ^= 4
	}
	path := filepath.Join(t.TempDir(), "draft.gguf")
	if err := os.WriteFile(path, other, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestDraft: with a draft model the texts are the same; of the guesses of the model itself all are right, of another's some.
func TestDraft(t *testing.T) {
	file := tinyFile(t, 512)
	itself := filepath.Join(t.TempDir(), "itself.gguf")
	if err := os.WriteFile(itself, file, 0o600); err != nil {
		t.Fatal(err)
	}
	alone := openBytes(t, file, &Options{NoSpeculation: true})
	for path, all := range map[string]bool{draftFile(t, file): false, itself: true} {
		m := openBytes(t, file, &Options{Draft: path})
		m.engine.drafter.fixed = 4
		for i := range 20 {
			q := Request{Prompt: "a draft model guesses " + string(rune('a'+i)), MaxTokens: 100, Sampling: &Sampling{Temperature: pointer(float64(i%3) / 2), Seed: pointer(uint64(i)), IgnoreEOS: true}}
			want, err := alone.Generate(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			got, err := m.Generate(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			same(t, q.Prompt, got, want)
		}
		// Guesses by lookup, which may be wrong, come beside the draft model's.
		s := m.Stats()
		share := float64(s.AcceptedTokens) / float64(s.DraftedTokens)
		t.Logf("of the model itself %v: %d of %d guesses were right, %d steps", all, s.AcceptedTokens, s.DraftedTokens, s.Steps)
		if all && share < 0.8 || !all && (share == 0 || share > 0.8) {
			t.Errorf("of the model itself %v: %.2f of the guesses were right", all, share)
		}
	}
}

// TestDraftVocabulary: a draft model with other tokens is refused.
func TestDraftVocabulary(t *testing.T) {
	file := tinyFile(t, 512)
	path := filepath.Join(t.TempDir(), "draft.gguf")
	other := bytes.Replace(file, []byte("<|eot_id|>"), []byte("<|eot_ID|>"), -1)
	if err := os.WriteFile(path, other, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := OpenReader(t.Context(), bytes.NewReader(file), int64(len(file)), &Options{Draft: path})
	if !errors.Is(err, ErrRequest) {
		t.Errorf("%v, expected ErrRequest", err)
	}
}
