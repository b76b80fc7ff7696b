package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/llama31/llama31/llama"
)

// Perplexity scores a text: exp of the mean surprise, in nats, of its tokens.
type Perplexity struct {
	Model   string
	Text    string
	Window  int // tokens, the beginning-of-text token included; 0: the whole text at once
	Exact   bool
	KV      llama.KVType
	Threads int
	Device  string

	// Logits, if not nil, receives a .npy file: float32 [tokens, vocabulary],
	// the logits after each token, beginning-of-text tokens included.
	Logits io.Writer
}

// PerplexityResult is what a text scored.
type PerplexityResult struct {
	Perplexity float64
	Scored     int // tokens that have one before them in their window
	Tokens     int // rows of Logits
}

// Run cuts the text into windows, each begun afresh and with a
// beginning-of-text token if the model's file asks for it, and scores each token
// after those before it in its window.
func (p Perplexity) Run(ctx context.Context) (llama.Info, PerplexityResult, error) {
	if p.Window < 0 || p.Window == 1 {
		return llama.Info{}, PerplexityResult{}, fmt.Errorf("windows of %d tokens: expected 2 or more, or 0", p.Window)
	}
	m, err := llama.Open(ctx, p.Model, &llama.Options{
		Device: p.Device, Threads: p.Threads, Exact: p.Exact, KV: p.KV, Context: p.Window, MaxRunning: 1, KVBytes: 1,
	})
	if err != nil {
		return llama.Info{}, PerplexityResult{}, err
	}
	defer m.Close()
	r, err := p.score(ctx, m)
	return m.Info(), r, err
}

func (p Perplexity) score(ctx context.Context, m *llama.Model) (r PerplexityResult, err error) {
	windows := p.windows(m)
	for _, w := range windows {
		r.Tokens += len(w)
		r.Scored += len(w) - 1
	}
	if r.Scored == 0 {
		return r, errors.New("the text is too short: no token has one before it")
	}
	if have := m.Info().Context; len(windows[0]) > have {
		return r, fmt.Errorf("%w: take windows of fewer tokens", &llama.ContextLengthError{Need: len(windows[0]), Have: have})
	}
	rows := &npy{w: p.Logits}
	if p.Logits != nil {
		if err := rows.header(r.Tokens, m.Info().Vocabulary); err != nil {
			return r, err
		}
	}
	sum := 0.0
	for _, w := range windows {
		var ps []float64
		if p.Logits != nil {
			ps, err = logprobs(ctx, m, w, rows)
		} else {
			ps, err = m.Logprobs(ctx, w)
		}
		if err != nil {
			return r, err
		}
		for _, p := range ps {
			sum += p
		}
	}
	r.Perplexity = math.Exp(-sum / float64(r.Scored))
	return r, nil
}

// windows are the text's tokens, at most Window each.
func (p Perplexity) windows(m *llama.Model) [][]int32 {
	t := m.Tokenizer()
	var start []int32
	if bos, ok := t.BOS(); ok && t.AddBOS() {
		start = []int32{bos}
	}
	ids := t.Encode(nil, p.Text)
	size := p.Window - len(start)
	if p.Window == 0 {
		size = len(ids)
	}
	var windows [][]int32
	for len(ids) > 0 {
		n := min(size, len(ids))
		windows = append(windows, append(start[:len(start):len(start)], ids[:n]...))
		ids = ids[n:]
	}
	return windows
}

// logprobs is Model.Logprobs that also writes the logits.
func logprobs(ctx context.Context, m *llama.Model, ids []int32, rows *npy) ([]float64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ps := make([]float64, len(ids)-1)
	var failed error
	err := m.LogitRows(ctx, ids, func(i int, logits []float32) {
		if failed == nil {
			if failed = rows.row(logits); failed != nil {
				cancel(failed)
			}
		}
		if i < len(ps) {
			ps[i] = LogProb(logits, ids[i+1])
		}
	})
	return ps, errors.Join(failed, err)
}

// LogProb is the log-probability of a token under softmax of logits.
func LogProb(logits []float32, id int32) float64 {
	most := float64(logits[0])
	for _, x := range logits {
		most = max(most, float64(x))
	}
	sum := 0.0
	for _, x := range logits {
		sum += math.Exp(float64(x) - most)
	}
	return float64(logits[id]) - most - math.Log(sum)
}
