package llama

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/llama31/llama31/internal/testenv"
	"gorgonia.org/tensor"
)

// openSmolLM2 opens SmolLM2-135M-Instruct until the test ends.
func openSmolLM2(t testing.TB, o *Options) *Model {
	t.Helper()
	m, err := Open(t.Context(), testenv.Fetched(t, "smollm2"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// TestEmbedReference compares with the hidden states of Hugging Face's transformers, in float32 on the dequantised weights
// (testdata/embed.py).
func TestEmbedReference(t *testing.T) {
	var texts []struct {
		Text string
		IDs  []int32
	}
	data, err := os.ReadFile("testdata/embed.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &texts); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("testdata/embed.npy")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	golden := new(tensor.Dense)
	if err := golden.ReadNpy(f); err != nil {
		t.Fatal(err)
	}
	want := golden.Float32s()
	// In exact mode the difference is rounding; with activations of 8 bits and float16 keys and values it is theirs.
	for _, c := range []struct {
		exact     bool
		tolerance float64
	}{{true, 1e-4}, {false, 0.05}} {
		m := openSmolLM2(t, &Options{Exact: c.exact})
		var all []string
		for i, text := range texts {
			if ids := m.encodeText(text.Text); !slices.Equal(ids, text.IDs) {
				t.Fatalf("text %d has the ids %v, expected %v", i, ids, text.IDs)
			}
			all = append(all, text.Text)
		}
		if testing.Short() && c.exact {
			all = all[:len(all)-1] // the longest, which takes plain Go seconds
		}
		for pooling := PoolMean; pooling <= PoolLast; pooling++ {
			d, err := m.Embed(t.Context(), all, &EmbedOptions{Pooling: pooling})
			if err != nil {
				t.Fatal(err)
			}
			got := d.Float32s()
			w := want[int(pooling)*len(want)/2:][:len(got)]
			var diff, norm, most float64
			for i := range got {
				d := float64(got[i]) - float64(w[i])
				diff, norm, most = diff+d*d, norm+float64(w[i])*float64(w[i]), max(most, math.Abs(d))
			}
			t.Logf("exact %v, pooling %d: relative error %.1e, largest difference %.1e", c.exact, pooling, math.Sqrt(diff/norm), most)
			if !(math.Sqrt(diff/norm) <= c.tolerance) || c.exact && !(most <= 1e-3) {
				t.Errorf("exact %v, pooling %d: relative error %.1e, largest difference %.1e", c.exact, pooling, math.Sqrt(diff/norm), most)
			}
		}
	}
}
