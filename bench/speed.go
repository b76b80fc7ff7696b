package bench

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/llama31/llama31/kernels"
	"github.com/llama31/llama31/kernels/cuda"
	"github.com/llama31/llama31/llama"
)

// Speed measures a model's prompts and generation apart, as llama.cpp's
// llama-bench does: random tokens, one sequence, no stop token.
type Speed struct {
	Model     string
	Prompt    int    // tokens of the prompt; 0: leave that test out
	Generate  int    // tokens to generate; 0: leave that test out
	Depth     int    // tokens that are in the KV cache before; a multiple of kernels.PageSize
	Sequences int    // that generate at once, in a test beside one that generates alone; 0 or 1: leave that test out
	Runs      int    // of which the median counts
	Threads   int    // 0: physical cores
	Device    string // of llama.Options, as the next two
	GPULayers *int
	Set       string   // InstructionSet
	Peer      string   // path of llama-bench, run in turn with each of ours; "": none
	PeerFlags []string // more arguments for it

	// Progress, if not nil, is called after every run.
	Progress func(test string, run int, tokensPerSecond, peer float64)
}

// SpeedResult is the median of a test's runs.
type SpeedResult struct {
	Test           string  `json:"test"`                        // pp512: a prompt of 512 tokens; tg128: 128 generated ones; tg128 @ d1024: behind 1024 others; tg128 x 8: in each of 8 sequences
	TokensPerSec   float64 `json:"tok_s"`                       //
	GBPerSec       float64 `json:"gb_s"`                        // weights and KV cache read, once per generated token or per prompt
	GMACPerSec     float64 `json:"gmac_s"`                      // over the products with weights
	PercentOfProbe float64 `json:"percent_of_probe,omitempty"`  // on a CPU of kernels.ProbeMul for prompts, of ProbeRead for generation; on a GPU of cuda.RunProbe's for generation; run in turn
	Launches       float64 `json:"launches_per_tok,omitempty"`  // kernels that a GPU started for each token
	LaunchMicros   float64 `json:"launch_us_per_tok,omitempty"` // what starting them takes by itself, in a graph, in microseconds
	PeerPerSec     float64 `json:"peer_tok_s,omitempty"`
	Ratio          float64 `json:"ratio,omitempty"`       // the median of the pairs' ratios, ours to the peer's
	TimesAlone     float64 `json:"times_alone,omitempty"` // the median of the pairs' ratios, several sequences' total to one that generates alone
}

// Run opens the model and runs the tests.
func (s Speed) Run(ctx context.Context) (llama.Info, []SpeedResult, error) {
	switch {
	case s.Prompt < 0 || s.Generate < 0 || s.Prompt+s.Generate == 0:
		return llama.Info{}, nil, fmt.Errorf("a prompt of %d tokens and %d to generate: expected 0 or more, and one above 0", s.Prompt, s.Generate)
	case s.Runs < 1:
		return llama.Info{}, nil, fmt.Errorf("%d runs: expected 1 or more", s.Runs)
	case s.Depth < 0 || s.Depth%kernels.PageSize != 0:
		return llama.Info{}, nil, fmt.Errorf("a depth of %d tokens: expected a multiple of %d", s.Depth, kernels.PageSize)
	case s.Sequences < 0:
		return llama.Info{}, nil, fmt.Errorf("%d sequences: expected 0 or more", s.Sequences)
	}
	w, err := workOf(s.Model)
	if err != nil {
		return llama.Info{}, nil, err
	}
	sequences, window := max(1, s.Sequences), s.Depth+max(s.Prompt, s.Generate+1)+1
	if sequences > 1 {
		window += kernels.PageSize // to go on with
	}
	m, err := llama.Open(ctx, s.Model, &llama.Options{
		Device: s.Device, GPULayers: s.GPULayers, InstructionSet: s.Set, Threads: s.Threads, MaxRunning: sequences, NoSpeculation: true, Context: window,
		KVBytes: int64(sequences) * int64(window+kernels.PageSize) * w.token, // no more: each run finds the same pages
	})
	if err != nil {
		return llama.Info{}, nil, err
	}
	defer m.Close()
	l := load{m: m, depth: s.Depth, begun: make([][]int32, sequences)}
	flags, err := s.peerFlags(ctx)
	if err != nil {
		return m.Info(), nil, err
	}
	tests := []test{l.prompt(s.Prompt, w), l.generation(s.Generate, 1, w)}
	for i := range tests {
		tests[i].flags = flags[i]
	}
	if sequences > 1 {
		tests = append(tests, l.generation(s.Generate, sequences, w))
	}
	var results []SpeedResult
	for _, t := range tests {
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

// measure runs a test, its probe and the peer in turn.
func (s Speed) measure(ctx context.Context, info llama.Info, t test) (SpeedResult, error) {
	if err := t.warm(ctx); err != nil {
		return SpeedResult{}, err
	}
	gpu := gpuOf(info.Device)
	var ours, limits, peers, ratios, alone, launches, micros []float64
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
		if t.flags != nil {
			if peer, err = runPeer(ctx, s.Peer, s.Model, info.Threads, t.flags); err != nil {
				return SpeedResult{}, err
			}
			peers = append(peers, peer)
			ratios = append(ratios, speed/peer)
		}
		if t.one != nil {
			took, err := t.one.run(ctx)
			if err != nil {
				return SpeedResult{}, err
			}
			alone = append(alone, speed*took.Seconds()/float64(t.one.tokens))
		}
		if info.Device == "cpu" {
			set, _, _ := strings.Cut(info.Detail, ",")
			limit, err := t.probe(set, info.Threads)
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
	r := SpeedResult{Test: t.name, TokensPerSec: median(ours), PeerPerSec: median(peers), Ratio: median(ratios), TimesAlone: median(alone), Launches: median(launches), LaunchMicros: median(micros)}
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
	several := slices.ContainsFunc(results, func(r SpeedResult) bool { return r.TimesAlone > 0 })
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
	if several {
		b.WriteString(" times one alone |")
		rule += "--:|"
	}
	b.WriteString(rule)
	for _, r := range results {
		or := func(format string, x float64) string { // a dash for what was not measured
			if x == 0 {
				return "–"
			}
			return fmt.Sprintf(format, x)
		}
		fmt.Fprintf(&b, "\n| %s | %.2f | %.1f | %.1f | %s |", r.Test, r.TokensPerSec, r.GBPerSec, r.GMACPerSec, or("%.0f", r.PercentOfProbe))
		if gpu {
			fmt.Fprintf(&b, " %.1f | %.1f |", r.Launches, r.LaunchMicros)
		}
		if peer {
			fmt.Fprintf(&b, " %s | %s |", or("%.2f", r.PeerPerSec), or("%.2f", r.Ratio))
		}
		if several {
			fmt.Fprintf(&b, " %s |", or("%.2f", r.TimesAlone))
		}
	}
	return b.String() + "\n"
}
