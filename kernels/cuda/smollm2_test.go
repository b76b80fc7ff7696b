package cuda_test

import (
	"slices"
	"testing"

	"github.com/llama31/llama31/internal/testenv"
	"github.com/llama31/llama31/kernels/cuda/sim"
	"github.com/llama31/llama31/llama"
)

// TestSmolLM2 runs a real model on the simulated driver, an eighth of a page of prompt and half a page of greedy text, and expects
// the text that the CPU gives with float32 activations.
func TestSmolLM2(t *testing.T) {
	sim.StartOrReal(t, "")
	path := testenv.Fetched(t, "smollm2")
	generate := func(o llama.Options) []int32 {
		o.Context, o.MaxRunning = 64, 1
		m, err := llama.Open(t.Context(), path, &o)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		ids := m.Tokenizer().Encode(nil, "The capital of France is the city of")
		r, err := m.Generate(t.Context(), llama.Request{Tokens: ids[:min(8, len(ids))], MaxTokens: 16, Sampling: &llama.Sampling{Temperature: new(float64)}})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %q after %d tokens", m.Info().Device, r.Choices[0].Message.Content, len(ids))
		return r.Choices[0].Tokens
	}
	want := generate(llama.Options{Device: "cpu", Exact: true})
	if got := generate(llama.Options{Device: "cuda"}); !slices.Equal(got, want) {
		t.Errorf("tokens %v, expected %v", got, want)
	}
}
