package cuda_test

import (
	"testing"

	"github.com/llama31/llama31/internal/testenv"
	"github.com/llama31/llama31/kernels/cuda/sim"
	"github.com/llama31/llama31/llama"
)

// TestSmolLM2 runs a real model on the simulated driver, 8 tokens of prompt and 16 of greedy text, and expects each of these to be the
// one that the CPU gives with float32 activations, which it says in one pass.
func TestSmolLM2(t *testing.T) {
	sim.StartOrReal(t, "")
	path := testenv.Fetched(t, "smollm2")
	const prompt, n = "The capital of France is the city of", 16
	open := func(o llama.Options) *llama.Model {
		o.Context, o.MaxRunning = 64, 1
		m, err := llama.Open(t.Context(), path, &o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		return m
	}
	r, err := open(llama.Options{Device: "cuda"}).Generate(t.Context(), llama.Request{Prompt: prompt, MaxTokens: n, Sampling: &llama.Sampling{Temperature: new(float64)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%q after %d tokens", r.Text(), r.Usage.Prompt)
	s, err := open(llama.Options{Device: "cpu", Exact: true}).Score(t.Context(), prompt, r.Text())
	if err != nil {
		t.Fatal(err)
	}
	if !s[0].Greedy || s[0].Tokens != n {
		t.Errorf("%q is not what the CPU says: %+v", r.Text(), s[0])
	}
}
