package llama

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// logSoftmax is what log-probabilities are checked against.
func logSoftmax(logits []float32) []float64 {
	top := math.Inf(-1)
	for _, l := range logits {
		top = max(top, float64(l))
	}
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l) - top)
	}
	p := make([]float64, len(logits))
	for i, l := range logits {
		p[i] = float64(l) - top - math.Log(sum)
	}
	return p
}

// logprobRows are log-probabilities after each of ids.
func logprobRows(t *testing.T, m *Model, ids []int32) (rows [][]float64) {
	t.Helper()
	err := m.LogitRows(t.Context(), ids, func(i int, logits []float32) {
		if i != len(rows) {
			t.Errorf("row %d came as number %d", i, len(rows))
		}
		rows = append(rows, logSoftmax(logits))
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func best(p []float64) int32 {
	id := 0
	for i := range p {
		if p[i] > p[id] {
			id = i
		}
	}
	return int32(id)
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s is %v, expected %v", what, got, want)
	}
}

func TestScore(t *testing.T) {
	m := openTiny(t, nil)
	prompt := strings.Repeat("The quick brown fox jumps. ", 10)
	before := m.encodeText(prompt)
	logprobRows(t, m, before)
	greedy, err := m.Generate(t.Context(), Request{Tokens: before, MaxTokens: 5, Sampling: &Sampling{Temperature: new(float64)}})
	if err != nil {
		t.Fatal(err)
	}
	answer := "" // its bytes, which need not be UTF-8
	for _, id := range greedy.Choices[0].Tokens {
		answer += string(m.tokenizer.Bytes(id))
	}
	continuations := []string{"x", "yes, it does", "", answer[:1], answer, strings.Repeat("z", 100)}
	ran := m.Stats().PromptTokens
	scores, err := m.Score(t.Context(), prompt, continuations...)
	if err != nil {
		t.Fatal(err)
	}
	// All but the last page of the prompt is computed once: it is in the cache from LogitRows on.
	if ran = m.Stats().PromptTokens - ran; ran > int64(6*pageSize+100+5+12) {
		t.Errorf("%d tokens ran for continuations of %d texts", ran, len(continuations))
	}
	for i, c := range continuations {
		ids := m.encodeText(prompt + c)
		rows := logprobRows(t, m, ids)
		want := Score{Greedy: true, Tokens: len(c)}
		for j := len(before); j < len(ids); j++ {
			want.Logprob += rows[j-1][ids[j]]
			want.Greedy = want.Greedy && best(rows[j-1]) == ids[j]
		}
		near(t, "log-probability of "+c, scores[i].Logprob, want.Logprob, 1e-9)
		if scores[i].Tokens != want.Tokens || scores[i].Greedy != want.Greedy {
			t.Errorf("%q: %+v, expected %+v", c, scores[i], want)
		}
	}
	if !scores[4].Greedy || scores[0].Greedy && scores[1].Greedy {
		t.Errorf("the greedy answer scores %+v, others %+v", scores[4], scores[:2])
	}
	if alone, err := m.Score(t.Context(), prompt, continuations[1]); err != nil || alone[0] != scores[1] {
		t.Errorf("alone %+v, %v; beside others %+v", alone, err, scores[1])
	}
}

// TestScoreBoundaries has texts whose tokens at the prompt's end depend on what follows.
func TestScoreBoundaries(t *testing.T) {
	m := openSmolLM2(t, nil)
	total := func(text string) float64 {
		ids := m.encodeText(text)
		ps, err := m.Logprobs(t.Context(), ids)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for _, p := range ps {
			sum += p
		}
		return sum
	}
	for _, c := range []struct {
		prompt, continuation, start string
		tokens                      int
	}{
		{"The capital of France is", " Paris", "The capital of France is", 1},
		{"The capital of France is ", "Paris", "The capital of France is", 1}, // the space goes to the continuation
		{"The capital of Fran", "ce is", "The capital of", 2},                 // so does what is no token of its own
	} {
		s, err := m.Score(t.Context(), c.prompt, c.continuation)
		if err != nil {
			t.Fatal(err)
		}
		if s[0].Tokens != c.tokens {
			t.Errorf("%q after %q: %d tokens, expected %d", c.continuation, c.prompt, s[0].Tokens, c.tokens)
		}
		near(t, c.prompt+c.continuation, s[0].Logprob, total(c.prompt+c.continuation)-total(c.start), 1e-9)
	}
	s, err := m.Score(t.Context(), "The capital of France is", " Paris", " banana", " London")
	if err != nil || !(s[0].Logprob > s[2].Logprob && s[2].Logprob > s[1].Logprob) {
		t.Errorf("Paris, banana, London: %+v, %v", s, err)
	}
	if _, err := m.Score(t.Context(), "", "Paris"); !errors.Is(err, ErrRequest) {
		t.Errorf("no prompt and no beginning-of-text: %v, expected %v", err, ErrRequest)
	}
}

// TestScanPreempted scores several long texts in a cache that holds but one of them.
func TestScanPreempted(t *testing.T) {
	m := openTiny(t, &Options{Context: 256, KVBytes: 1, MaxRunning: 4})
	want := openTiny(t, &Options{Context: 256})
	texts := []string{strings.Repeat("a", 200), strings.Repeat("b", 210), strings.Repeat("c", 220)}
	prompt := "p"
	got, err := m.Score(t.Context(), prompt, texts...)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		s, err := want.Score(t.Context(), prompt, text)
		if err != nil || got[i] != s[0] {
			t.Errorf("text %d: %+v, expected %+v, %v", i, got[i], s, err)
		}
	}
}

func TestScanErrors(t *testing.T) {
	m := openTiny(t, &Options{Context: 64})
	long := strings.Repeat("long ", 20)
	if _, err := m.Score(t.Context(), "a", "b", long); !errors.Is(err, ErrContextLength) {
		t.Errorf("Score: %v", err)
	}
	if _, err := m.Embed(t.Context(), []string{"b", long}, nil); !errors.Is(err, ErrContextLength) {
		t.Errorf("Embed: %v", err)
	}
	if _, err := m.Embed(t.Context(), []string{"b"}, &EmbedOptions{Pooling: 7}); !errors.Is(err, ErrRequest) {
		t.Errorf("Embed: %v", err)
	}
	if _, err := m.Logprobs(t.Context(), []int32{1, 2, 9999}); !errors.Is(err, ErrRequest) {
		t.Errorf("Logprobs: %v", err)
	}
	if s, err := m.Score(t.Context(), "a"); err != nil || len(s) != 0 {
		t.Errorf("no continuations: %v, %v", s, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Score(ctx, "a", "b"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestTopLogprobs checks what comes with tokens against the logits: log-probabilities of the model's own distribution, whatever
// the sampling, and raw bytes.
func TestTopLogprobs(t *testing.T) {
	m := openTiny(t, nil)
	hot, seed := 1.5, uint64(4)
	prompt := m.encodeText("Tell me")
	r := Request{Tokens: prompt, MaxTokens: 40, TopLogprobs: 5, Sampling: &Sampling{Temperature: &hot, TopK: 30, Repeat: 1.3, Bias: map[int32]float64{65: 4}, Seed: &seed}}
	ids := slices.Clone(prompt)
	var tokens []Token
	for tok, err := range m.Stream(t.Context(), r) {
		if err != nil {
			t.Fatal(err)
		}
		if tok.ID >= 0 {
			tokens, ids = append(tokens, tok), append(ids, tok.ID)
		}
	}
	rows := logprobRows(t, m, ids)
	raw := 0
	for i, tok := range tokens {
		p := rows[len(prompt)+i-1]
		near(t, "log-probability", tok.Logprob, p[tok.ID], 1e-9)
		if len(tok.Top) != 5 {
			t.Fatalf("%d alternatives, expected 5", len(tok.Top))
		}
		for j, a := range tok.Top {
			near(t, "alternative", a.Logprob, p[a.ID], 1e-9)
			if want := m.tokenizer.Bytes(a.ID); !slices.Equal(a.Bytes, want) || a.ID < 256 && (len(a.Bytes) != 1 || a.Bytes[0] != byte(a.ID)) {
				t.Errorf("token %d: bytes %q, expected %q", a.ID, a.Bytes, want)
			}
			if j > 0 && a.Logprob > tok.Top[j-1].Logprob {
				t.Error("alternatives are not in order")
			}
			if a.ID >= 0x80 && a.ID < 256 {
				raw++
			}
		}
		if tok.Top[0].ID != best(p) {
			t.Errorf("the most probable is %d, expected %d", tok.Top[0].ID, best(p))
		}
	}
	if raw == 0 {
		t.Error("no alternative was a part of a character: choose another seed")
	}
}

// TestScorePrompt compares a prompt's tokens with those that Stream gave, and with Logprobs.
func TestScorePrompt(t *testing.T) {
	m := openTiny(t, nil)
	greedy := 0.0
	q := Request{Prompt: "a prompt", MaxTokens: 20, TopLogprobs: 3, Sampling: &Sampling{Temperature: &greedy, IgnoreEOS: true}}
	ids, err := m.Prompt(q)
	if err != nil {
		t.Fatal(err)
	}
	var streamed []Token
	for tok, err := range m.Stream(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		if tok.ID >= 0 {
			streamed, ids = append(streamed, tok), append(ids, tok.ID)
		}
	}
	scored, err := m.ScorePrompt(t.Context(), Request{Tokens: ids, TopLogprobs: 3, Key: "k"})
	if err != nil || len(scored) != len(ids) {
		t.Fatalf("%d tokens of %d, %v", len(scored), len(ids), err)
	}
	logprobs, err := m.Logprobs(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	if first := scored[0]; first.Logprob != 0 || first.Top != nil || first.ID != ids[0] {
		t.Errorf("the first token: %+v", first)
	}
	for i, s := range scored[1:] {
		if s.ID != ids[i+1] || s.Logprob != logprobs[i] || len(s.Top) != 3 || string(s.Bytes) != m.Tokenizer().Token(s.ID) {
			t.Errorf("token %d: %+v", i+1, s)
		}
	}
	for i, want := range streamed {
		got := scored[len(ids)-len(streamed)+i]
		if got.ID != want.ID || got.Logprob != want.Logprob || got.Top[0].ID != want.Top[0].ID || got.Top[2].Logprob != want.Top[2].Logprob {
			t.Errorf("token %d scored %+v, streamed %+v", i, got, want)
		}
	}
	if one, err := m.ScorePrompt(t.Context(), Request{Tokens: ids[:1]}); err != nil || len(one) != 1 {
		t.Errorf("one token: %+v, %v", one, err)
	}
	for _, bad := range []Request{{Tokens: []int32{}}, {Tokens: []int32{-1}}, {Prompt: "x", TopLogprobs: -1}} {
		if _, err := m.ScorePrompt(t.Context(), bad); !errors.Is(err, ErrRequest) {
			t.Errorf("%+v: %v, expected ErrRequest", bad, err)
		}
	}
}

func TestEmbed(t *testing.T) {
	m := openTiny(t, nil)
	texts := []string{"a", "The quick brown fox.", strings.Repeat("long ", 80)}
	n := m.Info().Hidden
	get := func(o *EmbedOptions, texts ...string) []float32 {
		t.Helper()
		d, err := m.Embed(t.Context(), texts, o)
		if err != nil {
			t.Fatal(err)
		}
		if s := d.Shape(); len(s) != 2 || s[0] != len(texts) || s[1] != n {
			t.Fatalf("shape %v", s)
		}
		return d.Float32s()
	}
	for _, o := range []*EmbedOptions{nil, {Normalize: true}, {Pooling: PoolLast}, {Pooling: PoolLast, Normalize: true}} {
		all := get(o, texts...)
		for i, text := range texts {
			row := all[i*n : (i+1)*n]
			if alone := get(o, text); !slices.Equal(alone, row) {
				t.Errorf("%+v: text %d alone differs", o, i)
			}
			if ids, err := m.EmbedTokens(t.Context(), [][]int32{m.encodeText(text)}, o); err != nil || !slices.Equal(ids.Float32s(), row) {
				t.Errorf("%+v: text %d as tokens differs (%v)", o, i, err)
			}
			squares := 0.0
			for _, x := range row {
				squares += float64(x) * float64(x)
			}
			if o != nil && o.Normalize {
				near(t, "length", math.Sqrt(squares), 1, 1e-6)
			} else if !(squares > 1) {
				t.Errorf("text %d has length² %v", i, squares)
			}
		}
	}
	// The last token's state after the model's head is its logits.
	last := get(&EmbedOptions{Pooling: PoolLast}, texts[1])
	exact := openTiny(t, &Options{Exact: true})
	d, err := exact.Embed(t.Context(), texts[1:2], &EmbedOptions{Pooling: PoolLast})
	if err != nil {
		t.Fatal(err)
	}
	var diff, norm float64
	for i, x := range d.Float32s() {
		diff += math.Pow(float64(x-last[i]), 2)
		norm += float64(x) * float64(x)
	}
	if !(diff < 5e-3*norm) {
		t.Errorf("exact and quantised activations differ by %v of %v", diff, norm)
	}
	if empty, err := m.Embed(t.Context(), nil, nil); err != nil || empty.Shape()[0] != 0 {
		t.Errorf("no texts: %v, %v", empty, err)
	}
}

func TestMap(t *testing.T) {
	m := openTiny(t, &Options{MaxRunning: 4})
	greedy := &Sampling{Temperature: new(float64)}
	want := map[int]string{}
	request := func(i int) Request {
		return Request{Prompt: strings.Repeat(string(rune('a'+i%26)), i%40+1), MaxTokens: 1 + i%9, Sampling: greedy}
	}
	for i := range 40 {
		r, err := m.Generate(t.Context(), request(i))
		if err != nil {
			t.Fatal(err)
		}
		want[i] = r.Text()
	}
	taken, i := 0, 0
	for r, err := range m.Map(t.Context(), func(yield func(Request) bool) {
		for n := range 40 {
			taken++
			r := request(n)
			if n%7 == 3 {
				r.MaxTokens = -1
			}
			if !yield(r) {
				return
			}
		}
	}) {
		switch {
		case i%7 == 3 && !errors.Is(err, ErrRequest):
			t.Errorf("item %d: %v, expected %v", i, err, ErrRequest)
		case i%7 != 3 && (err != nil || r.Text() != want[i]):
			t.Errorf("item %d: %q, %v, expected %q", i, r.Text(), err, want[i])
		}
		i++
	}
	if i != 40 {
		t.Errorf("%d answers of 40", i)
	}

	// Endless input: bounded look-ahead, and leaving the loop ends everything.
	taken, i = 0, 0
	ended := false
	for range m.Map(t.Context(), func(yield func(Request) bool) {
		defer func() { ended = true }()
		for yield(request(taken)) {
			taken++
		}
	}) {
		if i++; i == 5 {
			time.Sleep(20 * time.Millisecond)
			break
		}
	}
	if !ended || taken > 5+4*4+2 {
		t.Errorf("ended %v; %d requests were taken for 5 answers", ended, taken)
	}
	if s := m.Stats(); s.Running+s.Waiting > 0 {
		time.Sleep(100 * time.Millisecond) // until the engine has swept
		if s = m.Stats(); s.Running+s.Waiting > 0 {
			t.Errorf("after the loop %d run and %d wait", s.Running, s.Waiting)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cancelled := 0
	for _, err := range m.Map(ctx, func(yield func(Request) bool) {
		most := 1 // the first ends at once, while the others have far to go: of one length, all may end in one step
		for yield(Request{Prompt: "x", MaxTokens: most, Sampling: &Sampling{IgnoreEOS: true}}) {
			most = 500
		}
	}) {
		cancel()
		if errors.Is(err, context.Canceled) {
			cancelled++
		}
	}
	if cancelled == 0 {
		t.Error("ctx ended, and no request with it")
	}
}
