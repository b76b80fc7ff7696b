package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/kernels"
	"github.com/llama31/llama31/llama"
)

// work is what a model's steps cost.
type work struct {
	bytes  int64 // of weights that a token reads
	layers int64 // products with the weights of the layers, per token
	output int64 // products with the output head, per token whose logits are wanted
	token  int64 // bytes of a token in the KV cache, in float16
}

func workOf(path string) (w work, err error) {
	f, err := gguf.Open(path, nil)
	if err != nil {
		return w, err
	}
	defer f.Close()
	const embedding, output = "token_embd.weight", "output.weight"
	head := embedding // of a tied model
	if _, err := f.Info(output); err == nil {
		head = output
	}
	for _, t := range f.Tensors() {
		switch {
		case t.Name == embedding && head != embedding:
			continue // one row of it
		case t.Name == head:
			w.output = t.Values()
		case len(t.Shape) == 2:
			w.layers += t.Values()
		}
		w.bytes += t.Size
		if len(t.Shape) == 2 && (strings.HasSuffix(t.Name, "attn_k.weight") || strings.HasSuffix(t.Name, "attn_v.weight")) {
			w.token += 2 * int64(t.Shape[0])
		}
	}
	return w, nil
}

// A test is one of Speed's.
type test struct {
	name   string
	tokens int
	flags  []string                        // of llama-bench; nil: it is not run
	warm   func(ctx context.Context) error // runs a part of it
	run    func(ctx context.Context) (time.Duration, error)
	one    *test   // the same of one sequence, run in turn; nil: none
	bytes  float64 // per run
	macs   float64
	probe  func(set string, threads int) (float64, error)
	share  func(r SpeedResult) float64 // what the probe limits
	reads  bool                        // reading memory limits it
}

const (
	warmPrompt   = 512 // tokens that are run before a test
	warmGenerate = 8   // tokens that are generated before one
)

// load runs requests of random tokens on a model, each behind depth tokens that the KV cache holds.
type load struct {
	m     *llama.Model
	depth int
	begun [][]int32 // what a sequence begins with; nil: not yet in the cache
}

func (l *load) name(kind string, tokens int) string {
	name := fmt.Sprintf("%s%d", kind, tokens)
	if l.depth > 0 {
		name += fmt.Sprintf(" @ d%d", l.depth)
	}
	return name
}

func (l *load) prompt(n int, w work) test {
	return test{
		name: l.name("pp", n), tokens: n,
		warm: func(ctx context.Context) error {
			_, err := l.generate(ctx, 0, min(n, warmPrompt), 1)
			return err
		},
		run: func(ctx context.Context) (time.Duration, error) {
			r, err := l.generate(ctx, 0, n, 1)
			if err != nil {
				return 0, err
			}
			return r.Timings.Prompt, nil
		},
		bytes: float64(w.bytes) + float64(l.depth+n)*float64(w.token), macs: float64(n)*float64(w.layers) + float64(w.output),
		probe: kernels.ProbeMul, share: func(r SpeedResult) float64 { return r.GMACPerSec },
	}
}

// generation is of n tokens in each of so many sequences. One alone is timed from its first token on; of several counts all that they
// make in the time from the first's begin to the last's end.
func (l *load) generation(n, sequences int, w work) test {
	t := test{
		name: l.name("tg", n), tokens: n, bytes: float64(n) * float64(w.bytes),
		probe: kernels.ProbeRead, share: func(r SpeedResult) float64 { return r.GBPerSec }, reads: true,
	}
	t.warm = func(ctx context.Context) error {
		_, err := l.generate(ctx, 0, 1, min(n+1, warmGenerate))
		return err
	}
	// The prompt's step gives the first token; n more are timed.
	t.run = func(ctx context.Context) (time.Duration, error) {
		r, err := l.generate(ctx, 0, 1, n+1)
		if err != nil {
			return 0, err
		}
		return r.Timings.Generate, nil
	}
	if sequences > 1 && n > 0 {
		alone := t
		t.name, t.tokens, t.one = fmt.Sprintf("%s x %d", t.name, sequences), sequences*(n+1), &alone
		t.bytes += float64(w.bytes)
		t.run = func(ctx context.Context) (time.Duration, error) { return l.together(ctx, sequences, n+1) }
	}
	t.bytes += float64(t.tokens) * float64(l.depth) * float64(w.token)
	t.macs = float64(t.tokens) * float64(w.layers+w.output)
	return t
}

// together has several sequences generate n tokens each at once.
func (l *load) together(ctx context.Context, sequences, n int) (time.Duration, error) {
	for i := range sequences {
		if err := l.begin(ctx, i); err != nil {
			return 0, err
		}
	}
	start, errs := time.Now(), make([]error, sequences)
	var all sync.WaitGroup
	for i := range sequences {
		all.Go(func() { _, errs[i] = l.generate(ctx, i, 1, n) })
	}
	all.Wait()
	return time.Since(start), errors.Join(errs...)
}

// begin puts into the cache what a sequence begins with.
func (l *load) begin(ctx context.Context, sequence int) error {
	if l.depth == 0 || l.begun[sequence] != nil {
		return nil
	}
	ids := l.random(nil, l.depth)
	if _, err := l.m.Generate(ctx, llama.Request{Tokens: ids, MaxTokens: 1}); err != nil {
		return err
	}
	l.begun[sequence] = ids
	return nil
}

// generate runs a prompt of random tokens behind what the sequence begins with, and generates n more.
func (l *load) generate(ctx context.Context, sequence, prompt, n int) (*llama.Response, error) {
	if err := l.begin(ctx, sequence); err != nil {
		return nil, err
	}
	ids := l.random(l.begun[sequence], prompt)
	greedy := 0.0
	r, err := l.m.Generate(ctx, llama.Request{Tokens: ids, MaxTokens: n, Sampling: &llama.Sampling{Temperature: &greedy, IgnoreEOS: true}})
	switch {
	case err != nil:
		return nil, err
	case r.Usage.Cached != l.depth:
		return nil, fmt.Errorf("%d tokens of the prompt were cached, expected %d", r.Usage.Cached, l.depth)
	case r.Usage.Generated != n:
		return nil, fmt.Errorf("%d tokens generated, expected %d", r.Usage.Generated, n)
	}
	return r, nil
}

// random appends n tokens, none of them a control token, to a copy of ids.
func (l *load) random(ids []int32, n int) []int32 {
	t := l.m.Tokenizer()
	ids = slices.Grow(slices.Clone(ids), n)
	for range n {
		id := rand.Int32N(int32(t.Size()))
		for t.IsControl(id) {
			id = rand.Int32N(int32(t.Size()))
		}
		ids = append(ids, id)
	}
	return ids
}
