package bench

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/kernels"
	"github.com/llama31/llama31/kernels/cuda"
	"github.com/llama31/llama31/llama"
)

// Speed measures a model's prompts and generation apart, as llama.cpp's
// llama-bench does: random tokens, one sequence, generation from an empty
// context, no stop token.
type Speed struct {
	Model     string
	Prompt    int    // tokens of the prompt; 0: leave that test out
	Generate  int    // tokens to generate; 0: leave that test out
	Runs      int    // of which the median counts, after one to warm up
	Threads   int    // 0: physical cores
	Device    string // of llama.Options, as the next one
	GPULayers *int
	Peer      string // path of llama-bench, run in turn with each of ours; "": none

	// Progress, if not nil, is called after every run.
	Progress func(test string, run int, tokensPerSecond, peer float64)
}

// SpeedResult is the median of a test's runs.
type SpeedResult struct {
	Test           string  `json:"test"`                        // pp512: a prompt of 512 tokens; tg128: 128 generated ones
	TokensPerSec   float64 `json:"tok_s"`                       //
	GBPerSec       float64 `json:"gb_s"`                        // weights read, once per generated token or per prompt
	GMACPerSec     float64 `json:"gmac_s"`                      // over the products with weights
	PercentOfProbe float64 `json:"percent_of_probe,omitempty"`  // on a CPU of kernels.ProbeMul for prompts, of ProbeRead for generation; on a GPU of cuda.RunProbe's for generation; run in turn
	Launches       float64 `json:"launches_per_tok,omitempty"`  // kernels that a GPU started for each token
	LaunchMicros   float64 `json:"launch_us_per_tok,omitempty"` // what starting them takes by itself, in a graph, in microseconds
	PeerPerSec     float64 `json:"peer_tok_s,omitempty"`
	Ratio          float64 `json:"ratio,omitempty"` // the median of the pairs' ratios, ours to the peer's
}

// Run opens the model and runs the tests.
func (s Speed) Run(ctx context.Context) (llama.Info, []SpeedResult, error) {
	switch {
	case s.Prompt < 0 || s.Generate < 0 || s.Prompt+s.Generate == 0:
		return llama.Info{}, nil, fmt.Errorf("a prompt of %d tokens and %d to generate: expected 0 or more, and one above 0", s.Prompt, s.Generate)
	case s.Runs < 1:
		return llama.Info{}, nil, fmt.Errorf("%d runs: expected 1 or more", s.Runs)
	}
	work, err := workOf(s.Model)
	if err != nil {
		return llama.Info{}, nil, err
	}
	m, err := llama.Open(ctx, s.Model, &llama.Options{
		Device: s.Device, GPULayers: s.GPULayers, Threads: s.Threads, MaxRunning: 1, NoSpeculation: true,
		Context: max(s.Prompt, s.Generate+1) + 1,
		KVBytes: 1, // of that context only: each run finds the same pages
	})
	if err != nil {
		return llama.Info{}, nil, err
	}
	defer m.Close()
	var results []SpeedResult
	for _, t := range []test{s.prompts(m, work), s.generation(m, work)} {
		if t.tokens == 0 {
			continue
		}
		r, err := s.measure(ctx, m.Info(), t)
		if err != nil {
			return m.Info(), results, fmt.Errorf("%s: %w", t.name, err)
		}
		results = append(results, r)
	}
	return m.Info(), results, nil
}

// work is what a model's products cost.
type work struct {
	bytes  int64 // of weights that a token reads
	layers int64 // products with the weights of the layers, per token
	output int64 // products with the output head, per token whose logits are wanted
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
	}
	return w, nil
}

// A test is one of Speed's two.
type test struct {
	name   string
	tokens int
	flags  []string // of llama-bench
	run    func(ctx context.Context) (time.Duration, error)
	bytes  float64 // per run
	macs   float64
	probe  func(set string, threads int) (float64, error)
	share  func(r SpeedResult) float64 // what the probe limits
	reads  bool                        // reading memory limits it
}

func (s Speed) prompts(m *llama.Model, w work) test {
	n := s.Prompt
	return test{
		name: fmt.Sprintf("pp%d", n), tokens: n, flags: []string{"-p", fmt.Sprint(n), "-n", "0"},
		run: func(ctx context.Context) (time.Duration, error) {
			r, err := generate(ctx, m, n, 1)
			if err != nil {
				return 0, err
			}
			return r.Timings.Prompt, nil
		},
		bytes: float64(w.bytes), macs: float64(n)*float64(w.layers) + float64(w.output),
		probe: kernels.ProbeMul, share: func(r SpeedResult) float64 { return r.GMACPerSec },
	}
}

func (s Speed) generation(m *llama.Model, w work) test {
	n := s.Generate
	return test{
		name: fmt.Sprintf("tg%d", n), tokens: n, flags: []string{"-p", "0", "-n", fmt.Sprint(n)},
		run: func(ctx context.Context) (time.Duration, error) {
			// The prompt's step gives the first token; n more are timed.
			r, err := generate(ctx, m, 1, n+1)
			if err != nil {
				return 0, err
			}
			if r.Usage.Generated != n+1 {
				return 0, fmt.Errorf("%d tokens generated, expected %d", r.Usage.Generated, n+1)
			}
			return r.Timings.Generate, nil
		},
		bytes: float64(n) * float64(w.bytes), macs: float64(n) * float64(w.layers+w.output),
		probe: kernels.ProbeRead, share: func(r SpeedResult) float64 { return r.GBPerSec }, reads: true,
	}
}

// generate runs a prompt of random tokens, none of it in the cache.
func generate(ctx context.Context, m *llama.Model, prompt, n int) (*llama.Response, error) {
	t := m.Tokenizer()
	ids := make([]int32, prompt)
	for i := range ids {
		for {
			ids[i] = rand.Int32N(int32(t.Size()))
			if !t.IsControl(ids[i]) {
				break
			}
		}
	}
	greedy := 0.0
	r, err := m.Generate(ctx, llama.Request{Tokens: ids, MaxTokens: n, Sampling: &llama.Sampling{Temperature: &greedy, IgnoreEOS: true}})
	if err != nil {
		return nil, err
	}
	if r.Usage.Cached != 0 {
		return nil, fmt.Errorf("%d tokens of a random prompt were cached", r.Usage.Cached)
	}
	return r, nil
}

// measure runs a test, its probe and the peer in turn.
func (s Speed) measure(ctx context.Context, info llama.Info, t test) (SpeedResult, error) {
	if _, err := t.run(ctx); err != nil { // warm up
		return SpeedResult{}, err
	}
	gpu := gpuOf(info.Device)
	var ours, limits, peers, ratios, launches, micros []float64
	for i := range s.Runs {
		before := cuda.Launched()
		took, err := t.run(ctx)
		if err != nil {
			return SpeedResult{}, err
		}
		launched := float64(cuda.Launched()-before) / float64(t.tokens)
		speed := float64(t.tokens) / took.Seconds()
		ours = append(ours, speed)
		peer := 0.0
		if s.Peer != "" {
			if peer, err = runPeer(ctx, s.Peer, s.Model, info.Threads, t.flags); err != nil {
				return SpeedResult{}, err
			}
			peers = append(peers, peer)
			ratios = append(ratios, speed/peer)
		}
		if info.Device == "cpu" {
			limit, err := t.probe(info.Detail, info.Threads)
			if err != nil {
				return SpeedResult{}, fmt.Errorf("probe: %w", err)
			}
			limits = append(limits, limit)
		}
		if gpu >= 0 {
			p, err := cuda.RunProbe(gpu)
			if err != nil {
				return SpeedResult{}, fmt.Errorf("probe: %w", err)
			}
			if t.reads {
				limits = append(limits, p.Read)
			}
			launches = append(launches, launched)
			micros = append(micros, launched*p.Graph.Seconds()*1e6)
		}
		if s.Progress != nil {
			s.Progress(t.name, i+1, speed, peer)
		}
	}
	r := SpeedResult{Test: t.name, TokensPerSec: median(ours), PeerPerSec: median(peers), Ratio: median(ratios), Launches: median(launches), LaunchMicros: median(micros)}
	perSec := r.TokensPerSec / float64(t.tokens) / 1e9
	r.GBPerSec, r.GMACPerSec = t.bytes*perSec, t.macs*perSec
	if len(limits) > 0 {
		r.PercentOfProbe = 100 * t.share(r) / median(limits)
	}
	return r, nil
}

// gpuOf is the index of a device such as "cuda:0", -1 for others.
func gpuOf(device string) int {
	i := -1
	if _, err := fmt.Sscanf(device, "cuda:%d", &i); err != nil {
		return -1
	}
	return i
}

// median of no values is the zero value.
func median[T cmp.Ordered](s []T) T {
	if len(s) == 0 {
		var zero T
		return zero
	}
	s = slices.Sorted(slices.Values(s))
	return s[len(s)/2]
}

// Markdown is a table of the results.
func Markdown(results []SpeedResult) string {
	peer := slices.ContainsFunc(results, func(r SpeedResult) bool { return r.PeerPerSec > 0 })
	gpu := slices.ContainsFunc(results, func(r SpeedResult) bool { return r.Launches > 0 })
	var b strings.Builder
	b.WriteString("| test | tok/s | GB/s | GMAC/s | % of probe |")
	rule := "\n|---|--:|--:|--:|--:|"
	if gpu {
		b.WriteString(" launches/tok | starting them, µs |")
		rule += "--:|--:|"
	}
	if peer {
		b.WriteString(" peer tok/s | ratio |")
		rule += "--:|--:|"
	}
	b.WriteString(rule)
	for _, r := range results {
		percent := "–"
		if r.PercentOfProbe > 0 {
			percent = fmt.Sprintf("%.0f", r.PercentOfProbe)
		}
		fmt.Fprintf(&b, "\n| %s | %.2f | %.1f | %.1f | %s |", r.Test, r.TokensPerSec, r.GBPerSec, r.GMACPerSec, percent)
		if gpu {
			fmt.Fprintf(&b, " %.1f | %.1f |", r.Launches, r.LaunchMicros)
		}
		if peer {
			fmt.Fprintf(&b, " %.2f | %.2f |", r.PeerPerSec, r.Ratio)
		}
	}
	return b.String() + "\n"
}
