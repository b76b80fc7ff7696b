package llama

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"github.com/llama31/llama31/kernels"
	"github.com/llama31/llama31/kernels/kerneltest"
)

// TestPhilox has the known answers of the authors' library, Random123.
func TestPhilox(t *testing.T) {
	for _, c := range []struct {
		counter [4]uint32
		key     uint64
		want    [4]uint32
	}{
		{[4]uint32{}, 0, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, 0xffffffff_ffffffff, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0_a4093822, [4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		if got := philox(c.counter, c.key); got != c.want {
			t.Errorf("counter %x, key %x: %x, expected %x", c.counter, c.key, got, c.want)
		}
	}
}

// chiSquared is how many standard deviations the chi-squared statistic of counts is above its mean, by Wilson and Hilferty's cube
// root. Cells of fewer than 5 expected counts are put together.
func chiSquared(counts []int, probability []float64) float64 {
	n := 0
	for _, c := range counts {
		n += c
	}
	chi2, cells, rest, restWant := 0.0, 0, 0.0, 0.0
	add := func(got, want float64) {
		chi2 += (got - want) * (got - want) / want
		cells++
	}
	for i, p := range probability {
		if want := p * float64(n); want < 5 {
			rest, restWant = rest+float64(counts[i]), restWant+want
		} else {
			add(float64(counts[i]), want)
		}
	}
	if restWant > 5 {
		add(rest, restWant)
	}
	k := float64(cells - 1)
	if k == 0 {
		return 0
	}
	return (math.Cbrt(chi2/k) - (1 - 2/(9*k))) / math.Sqrt(2/(9*k))
}

// TestUniform looks at draws along each of their coordinates, alone and in pairs of neighbours: five standard deviations, of draws
// that are always the same.
func TestUniform(t *testing.T) {
	const n, cells = 1 << 17, 64
	even := make([]float64, cells)
	pairs := make([]float64, cells*cells)
	for i := range even {
		even[i] = 1.0 / cells
	}
	for i := range pairs {
		pairs[i] = 1.0 / cells / cells
	}
	for name, draw := range map[string]func(i int) float64{
		"positions":      func(i int) float64 { return uniform(7, 0, i) },
		"choices":        func(i int) float64 { return uniform(7, i, 500) },
		"seeds":          func(i int) float64 { return uniform(uint64(i), 0, 500) },
		"high seeds":     func(i int) float64 { return uniform(uint64(i)<<32, 0, 500) },
		"high positions": func(i int) float64 { return uniform(7, 0, i<<(bits.UintSize/2)) },
		"diagonal":       func(i int) float64 { return uniform(uint64(i), i, i) },
	} {
		single, pair := make([]int, cells), make([]int, cells*cells)
		before := draw(n)
		for i := range n {
			u := draw(i)
			if !(u >= 0 && u < 1) {
				t.Fatalf("%s: draw %d is %v", name, i, u)
			}
			single[int(u*cells)]++
			pair[int(before*cells)*cells+int(u*cells)]++
			before = u
		}
		if z := chiSquared(single, even); !(math.Abs(z) < 5) {
			t.Errorf("%s: %.1f standard deviations from even", name, z)
		}
		if z := chiSquared(pair, pairs); !(math.Abs(z) < 5) {
			t.Errorf("%s: pairs are %.1f standard deviations from even", name, z)
		}
	}
}

// TestSamplers draws a thousand choices of one token with every sampler, and compares their counts with its definition on the
// model's logits.
func TestSamplers(t *testing.T) {
	cold, hot := 0.6, 1.7
	samplers := map[string]Sampling{
		"plain":            {},
		"temperature 0.6":  {Temperature: &cold},
		"temperature 1.7":  {Temperature: &hot},
		"top-k":            {TopK: 6},
		"top-p":            {TopP: 0.7},
		"min-p":            {MinP: 0.05},
		"typical":          {Typical: 0.5},
		"bias":             {Bias: map[int32]float64{65: 3, 66: math.Inf(-1), 200: 5}},
		"ignore end":       {IgnoreEOS: true},
		"all":              {Temperature: &hot, TopK: 100, TopP: 0.95, MinP: 0.01, Typical: 0.9, Bias: map[int32]float64{65: 2}},
		"Llama 3.1's own":  {Temperature: &cold, TopP: 0.9},
		"top-k of a greed": {Temperature: &hot, TopK: 1},
	}
	for _, device := range []string{"reference", "cpu"} {
		m := openTiny(t, &Options{Device: device})
		prompt := m.encodeText(strings.Repeat("p", pageSize)) // a page and a token, so that a choice runs one row
		logits, err := m.Logits(t.Context(), prompt)
		if err != nil {
			t.Fatal(err)
		}
		last := logits.Float32s()[(len(prompt)-1)*m.config.vocab:]
		seed := uint64(0)
		for name, s := range samplers {
			t.Run(device+"/"+name, func(t *testing.T) {
				seed++
				s.Seed = &seed
				const n = 1000
				r, err := m.Generate(t.Context(), Request{Tokens: prompt, MaxTokens: 1, N: n, Sampling: &s})
				if err != nil {
					t.Fatal(err)
				}
				counts := make([]int, m.config.vocab)
				for _, c := range r.Choices {
					counts[c.Tokens[0]]++
				}
				q := sequence{stops: m.stops}
				q.setSampling(&s)
				want := kerneltest.Distribution(last, &q.sampling)
				for id, n := range counts {
					if n > 0 && want[id] == 0 {
						t.Errorf("token %d was drawn, its probability is 0", id)
					}
				}
				if z := chiSquared(counts, want); !(z < 5) {
					t.Errorf("%.1f standard deviations from the definition", z)
				}
				if s.IgnoreEOS {
					for id := range m.stops {
						if want[id] > 0 {
							t.Errorf("stop token %d has the probability %v", id, want[id])
						}
					}
				}
			})
		}
	}
}

// TestPenalties has penalties that nothing survives twice, and checks the counts that weak ones see.
func TestPenalties(t *testing.T) {
	m := openTiny(t, nil)
	for name, s := range map[string]Sampling{"frequency": {Frequency: 1000}, "presence": {Presence: 1000}} {
		for _, temperature := range []float64{0, 1} {
			s.Temperature, s.IgnoreEOS = &temperature, true
			r, err := m.Generate(t.Context(), Request{Prompt: "aaaaaaaa", MaxTokens: 200, Sampling: &s})
			if err != nil {
				t.Fatal(err)
			}
			ids := slices.Clone(r.Choices[0].Tokens)
			slices.Sort(ids)
			if len(slices.Compact(ids)) != 200 {
				t.Errorf("%s, temperature %v: %d different tokens of 200", name, temperature, len(slices.Compact(ids)))
			}
		}
	}
	// A greedy answer, step by step, from the logits and the tokens before.
	s := Sampling{Temperature: new(float64), Repeat: 1.2, Frequency: 0.7, Presence: 0.4}
	prompt := m.encodeText("Go on: ")
	r, err := m.Generate(t.Context(), Request{Tokens: prompt, MaxTokens: 60, Sampling: &s})
	if err != nil {
		t.Fatal(err)
	}
	ids := append(prompt, r.Choices[0].Tokens...)
	rows, err := m.Logits(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	v := m.config.vocab
	counts := map[int32]int32{}
	for i := len(prompt); i < len(ids); i++ {
		p := kernels.Sampling{Repeat: s.Repeat, Frequency: s.Frequency, Presence: s.Presence}
		for id, n := range counts {
			p.Seen = append(p.Seen, kernels.Count{ID: id, N: n})
		}
		d := kerneltest.Distribution(rows.Float32s()[(i-1)*v:i*v], &p)
		if d[ids[i]] != 1 {
			t.Fatalf("token %d of the answer is %d, which the penalties do not give", i-len(prompt), ids[i])
		}
		counts[ids[i]]++
	}
}

// TestSeeds has the same text for the same seed, whatever runs beside it, and others for other seeds and choices.
func TestSeeds(t *testing.T) {
	m := openTiny(t, nil)
	hot := 1.2
	ask := func(seed *uint64, n int) *Response {
		t.Helper()
		r, err := m.Generate(t.Context(), Request{Prompt: "Tell me", MaxTokens: 30, N: n, Sampling: &Sampling{Temperature: &hot, Seed: seed}})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	free := ask(nil, 3)
	again := ask(&free.Seed, 3)
	seen := map[string]bool{}
	for i := range free.Choices {
		if !slices.Equal(free.Choices[i].Tokens, again.Choices[i].Tokens) {
			t.Errorf("choice %d with the seed of the response differs", i)
		}
		seen[fmt.Sprint(free.Choices[i].Tokens)] = true
	}
	if one := ask(&free.Seed, 1); !slices.Equal(one.Choices[0].Tokens, free.Choices[0].Tokens) {
		t.Error("the first choice depends on their number")
	}
	other := free.Seed + 1
	seen[fmt.Sprint(ask(&other, 1).Choices[0].Tokens)] = true
	if next := ask(nil, 1); next.Seed == free.Seed {
		t.Error("two requests drew the same seed")
	}
	if len(seen) != 4 {
		t.Errorf("%d different answers of 4", len(seen))
	}
}
