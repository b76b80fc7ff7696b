package llama

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llama31/llama31/kernels"
)

// TestPacing takes a step's tokens one after the other, at the times that they are due, and the rest at once when the answer ends.
func TestPacing(t *testing.T) {
	tok := byteTokenizer(t)
	synctest.Test(t, func(t *testing.T) {
		j := newJob(tok, 1, 0)
		s := &sequence{job: j, text: newStopText(tok.NewDecoder(), nil)}
		j.seqs = []*sequence{s}
		start := time.Now()
		for i, id := range []int32{'a', 'b', 'c', 'd', 'e'} {
			due := start.Add(time.Duration(i) * 10 * time.Millisecond)
			j.token(s, &kernels.Out{ID: id, TopIDs: []int32{id, id + 1}, TopLogprobs: []float64{0, -1}}, due)
		}
		for i, want := range []string{"a", "b", "c"} {
			tokens, r, err := j.take(t.Context(), nil)
			if len(tokens) != 1 || tokens[0].Text != want || r != nil || err != nil || len(tokens[0].Top) != 2 || tokens[0].Top[1].ID != tokens[0].ID+1 {
				t.Fatalf("%+v, %v, %v, expected %q", tokens, r, err, want)
			}
			if at := time.Since(start); at != time.Duration(i)*10*time.Millisecond {
				t.Errorf("%q came after %v", want, at)
			}
		}
		go j.finish(s, FinishStop, nil)
		tokens, r, err := j.take(t.Context(), nil)
		if len(tokens) != 2 || tokens[1].Text != "e" || tokens[1].Top[0].ID != 'e' || r == nil || err != nil {
			t.Errorf("%+v, %v, %v, expected d, e and the response", tokens, r, err)
		}
		if at := time.Since(start); at != 20*time.Millisecond {
			t.Errorf("the end came after %v", at)
		}
	})
}

// TestFinish: a choice's last token says why it ended, long before the others end.
func TestFinish(t *testing.T) {
	m := openTiny(t, nil)
	for _, n := range []int{1, 4} {
		early := 0
		for seed := range uint64(20) {
			q := Request{Prompt: "a story", N: n, MaxTokens: 40, Stop: []string{"e", " "}, Sampling: &Sampling{Temperature: pointer(1.), Seed: &seed}}
			finish := make([]Finish, n)
			var texts [4]string
			var r *Response
			for tok, err := range m.Stream(t.Context(), q) {
				if err != nil {
					t.Fatal(err)
				}
				if finish[tok.Choice] != "" {
					t.Fatalf("choice %d goes on with %+v after its end", tok.Choice, tok)
				}
				if tok.ID >= 0 && slices.ContainsFunc(finish, func(f Finish) bool { return f != "" }) {
					early++
				}
				texts[tok.Choice] += tok.Text
				finish[tok.Choice], r = tok.Finish, tok.Response
			}
			for i, c := range r.Choices {
				if finish[i] != c.Finish || texts[i] != c.Message.Content {
					t.Errorf("choice %d of %d ended by %q with %q, the response says %q, %q", i, n, finish[i], texts[i], c.Finish, c.Message.Content)
				}
			}
		}
		if n > 1 && early == 0 {
			t.Error("all choices ended at once")
		}
	}
}

// TestPatience: guesses make a step no longer than a stream can wait, beyond the tokens that it has to show; who waits for the whole
// answer can wait.
func TestPatience(t *testing.T) {
	guesses := func(slack float64) int {
		e := &engine{maxRows: 512, maxOut: 512, pages: newPages(8), slack: slack}
		for _, rows := range []int{1, 48} {
			e.costs.note(rows, time.Duration(5+rows)*time.Millisecond)
		}
		s := &sequence{limit: 1000, prompt: 64}
		for i := range int32(65) {
			s.tokens = append(s.tokens, i%32)
			s.lookup.update(s.tokens)
		}
		s.lookup.rate = [5]float64{1, 1, 1, 1, 1}
		s.done, s.chunk = 64, 1
		e.running = []*sequence{s}
		e.speculate()
		return len(s.draft)
	}
	// A step of n rows takes 5+n ms: 12 are to be no more than twice 6.
	if n := guesses(0); n != 6 {
		t.Errorf("%d guesses, expected 6", n)
	}
	if n := guesses(0.010); n != 16 {
		t.Errorf("%d guesses with tokens for 10 ms, expected 16", n)
	}
	if n := guesses(1e9); n != speculatedRows-1 {
		t.Errorf("%d guesses without a stream, expected %d", n, speculatedRows-1)
	}
}
