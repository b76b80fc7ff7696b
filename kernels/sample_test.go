package kernels_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/llama31/llama31/kernels"
	"github.com/llama31/llama31/kernels/kerneltest"
)

func sample(logits []float32, p kernels.Sampling) int32 {
	var s kernels.SampleScratch
	o := kernels.Out{Sample: &p, Target: -1}
	kernels.SampleRow(&o, logits, nil, &s)
	return o.ID
}

func randomLogits(r *rand.Rand, n int, scale float64) []float32 {
	l := make([]float32, n)
	for i := range l {
		l[i] = float32(r.NormFloat64() * scale)
	}
	return l
}

// samplings has each step alone, and together.
func samplings(r *rand.Rand, vocab int) map[string]kernels.Sampling {
	mask := make([]uint32, (vocab+31)/32)
	for i := range mask {
		mask[i] = r.Uint32()
	}
	seen := []kernels.Count{{ID: 1, N: 3}, {ID: 4, N: 1}, {ID: int32(vocab - 1), N: 2}}
	bias := []kernels.Bias{{ID: 0, Value: 3}, {ID: 2, Value: float32(math.Inf(-1))}, {ID: 5, Value: -1}}
	return map[string]kernels.Sampling{
		"greedy":      {},
		"temperature": {Temperature: 0.7},
		"hot":         {Temperature: 5},
		"top-k":       {Temperature: 1, TopK: 7},
		"top-k 1":     {Temperature: 1, TopK: 1},
		"top-p":       {Temperature: 1, TopP: 0.8},
		"min-p":       {Temperature: 1, MinP: 0.1},
		"typical":     {Temperature: 1.3, Typical: 0.6},
		"mask":        {Temperature: 1, Mask: mask},
		"bias":        {Temperature: 1, Bias: bias},
		"penalties":   {Temperature: 1, Seen: seen, Repeat: 1.3, Frequency: 0.4, Presence: 0.2},
		"greedy all":  {Mask: mask, Bias: bias, Seen: seen, Repeat: 1.3, Frequency: 0.4, Presence: 0.2},
		"all": {Temperature: 0.9, TopK: 40, TopP: 0.95, MinP: 0.02, Typical: 0.9,
			Mask: mask, Bias: bias, Seen: seen, Repeat: 1.1, Frequency: 0.1, Presence: 0.1},
	}
}

// TestSampleDistribution draws at the midpoints of an even grid, so that a token's count may differ from its probability by one
// only, and at random, for a chi-squared test.
func TestSampleDistribution(t *testing.T) {
	for _, vocab := range []int{50, 1000} {
		r := rand.New(rand.NewPCG(1, uint64(vocab)))
		logits := randomLogits(r, vocab, 2)
		logits[7] = logits[9] // a tie
		for name, p := range samplings(r, vocab) {
			t.Run(fmt.Sprint(name, "/", vocab), func(t *testing.T) {
				want := kerneltest.Distribution(logits, &p)
				var s kernels.SampleScratch
				const n = 6000
				grid, drawn := make([]int, vocab), make([]int, vocab)
				for i := range n {
					o := kernels.Out{Sample: &p, Target: -1}
					p.Draw = (float64(i) + 0.5) / n
					kernels.SampleRow(&o, logits, nil, &s)
					grid[o.ID]++
					p.Draw = r.Float64()
					kernels.SampleRow(&o, logits, nil, &s)
					drawn[o.ID]++
				}
				var chi2, pooledWant, pooled float64
				cells := 0
				for id, w := range want {
					if !(math.Abs(float64(grid[id])-n*w) <= 1) {
						t.Errorf("token %d: %d of %d draws on a grid, expected %.2f", id, grid[id], n, n*w)
					}
					if w == 0 && drawn[id] > 0 {
						t.Errorf("token %d: drawn though its probability is 0", id)
					}
					if n*w < 5 {
						pooledWant += n * w
						pooled += float64(drawn[id])
						continue
					}
					chi2 += (float64(drawn[id]) - n*w) * (float64(drawn[id]) - n*w) / (n * w)
					cells++
				}
				if pooledWant > 5 {
					chi2 += (pooled - pooledWant) * (pooled - pooledWant) / pooledWant
					cells++
				}
				// Wilson-Hilferty: (chi2/k)^(1/3) is about normal; five standard deviations, with a fixed seed.
				if k := float64(cells - 1); k > 0 {
					z := (math.Cbrt(chi2/k) - (1 - 2/(9*k))) / math.Sqrt(2/(9*k))
					if !(z < 5) {
						t.Errorf("chi-squared %.1f with %d cells: %.1f standard deviations", chi2, cells, z)
					}
				}
			})
		}
	}
}

func TestSampleTies(t *testing.T) {
	logits := []float32{1, 3, 2, 3, 3, 0, float32(math.Copysign(0, -1)), 2}
	if id := sample(logits, kernels.Sampling{}); id != 1 {
		t.Errorf("greedy took %d, expected 1, the lowest of the largest", id)
	}
	for k, want := range map[int][]int32{1: {1}, 2: {1, 3}, 3: {1, 3, 4}, 4: {1, 2, 3, 4}, 5: {1, 2, 3, 4, 7}, 7: {0, 1, 2, 3, 4, 5, 7}} {
		got := map[int32]bool{}
		for i := range 1000 {
			got[sample(logits, kernels.Sampling{Temperature: 3, TopK: k, Draw: float64(i) / 1000})] = true
		}
		if len(got) != len(want) {
			t.Errorf("top-k %d drew %v, expected %v", k, got, want)
		}
		for _, id := range want {
			if !got[id] {
				t.Errorf("top-k %d drew %v, expected %v", k, got, want)
			}
		}
	}
	// Four equal tokens: half of the mass is the first two.
	for i := range 100 {
		if id := sample([]float32{1, 1, 1, 1}, kernels.Sampling{Temperature: 1, TopP: 0.5, Draw: float64(i) / 100}); id > 1 {
			t.Errorf("top-p 0.5 of four equal tokens drew %d", id)
		}
	}
	var s kernels.SampleScratch
	o := kernels.Out{Target: -1, Top: 6}
	kernels.SampleRow(&o, logits, nil, &s)
	if !slices.Equal(o.TopIDs, []int32{1, 3, 4, 2, 7, 0}) {
		t.Errorf("top ids %v", o.TopIDs)
	}
}

func TestSampleDegenerate(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	below1 := math.Nextafter(1, 0)
	rows := map[string][]float32{
		"plain": {1, 2, 3, 2}, "equal": {5, 5, 5, 5}, "nan": {nan, 2, nan, 1}, "all nan": {nan, nan, nan, nan}, "-inf": {-inf, -inf, 0, -inf},
		"all -inf": {-inf, -inf, -inf, -inf}, "inf": {0, inf, nan, inf}, "huge": {math.MaxFloat32, -math.MaxFloat32, math.MaxFloat32, 0}, "one": {4},
	}
	samplings := []kernels.Sampling{
		{}, {Temperature: 1}, {Temperature: 5e-324}, {Temperature: math.Inf(1)}, {Temperature: math.NaN()}, {Temperature: -1},
		{Temperature: 1, TopK: math.MaxInt}, {Temperature: 1, TopK: -3}, {Temperature: 1, TopP: 1e-300}, {Temperature: 1, TopP: math.NaN()}, {Temperature: 1, TopP: 2},
		{Temperature: 1, MinP: 1}, {Temperature: 1, MinP: 7}, {Temperature: 1, MinP: math.NaN()}, {Temperature: 1, Typical: 1e-300}, {Temperature: 1, Typical: below1, TopP: below1},
		{Temperature: 1, Mask: []uint32{}}, {Mask: []uint32{}}, {Mask: []uint32{0}}, {Temperature: 1, Mask: []uint32{^uint32(0), ^uint32(0)}}, {Mask: []uint32{^uint32(0), ^uint32(0)}},
		{Bias: []kernels.Bias{{ID: -5, Value: 1}, {ID: 99, Value: 1}, {ID: 0, Value: nan}, {ID: 0, Value: inf}}},
		{Temperature: 1, Seen: []kernels.Count{{ID: -1, N: 1}, {ID: 99, N: 1}, {ID: 0, N: math.MaxInt32}}, Repeat: math.Inf(1), Frequency: 1e300},
		{Temperature: 1, Seen: []kernels.Count{{ID: 0, N: 1}}, Repeat: math.NaN(), Presence: math.NaN()},
	}
	for name, row := range rows {
		for i, p := range samplings {
			for _, draw := range []float64{0, 0.5, below1, 1, -1, math.NaN()} {
				p.Draw = draw
				before := slices.Clone(row)
				var s kernels.SampleScratch
				o := kernels.Out{Sample: &p, Target: 0, Top: 3}
				kernels.SampleRow(&o, before, nil, &s)
				allowed := kerneltestAllowed(row, &p)
				if o.ID < -1 || int(o.ID) >= len(row) || len(allowed) > 0 && o.ID == -1 || len(allowed) == 0 && o.ID != -1 {
					t.Errorf("%s, sampling %d, draw %v: sampled %d of %v", name, i, draw, o.ID, row)
				}
				if o.ID >= 0 && !slices.Contains(allowed, o.ID) {
					t.Errorf("%s, sampling %d, draw %v: sampled %d, allowed are %v", name, i, draw, o.ID, allowed)
				}
				if o.Logprob != o.Logprob || o.Logprob > 1e-12 || o.TargetLogprob != o.TargetLogprob {
					t.Errorf("%s, sampling %d, draw %v: log-probabilities %v, %v", name, i, draw, o.Logprob, o.TargetLogprob)
				}
				for j := range row {
					if b, a := row[j], before[j]; b != inf && math.Float32bits(b) != math.Float32bits(a) {
						t.Errorf("%s, sampling %d: logit %d is %v after, %v before", name, i, j, a, b)
					}
				}
			}
		}
	}
}

// kerneltestAllowed are the ids of a degenerate row that a draw may give: a number, not masked, not forbidden by a bias or penalty.
func kerneltestAllowed(row []float32, p *kernels.Sampling) (ids []int32) {
	for i, l := range row {
		if p.Mask != nil && (i/32 >= len(p.Mask) || p.Mask[i/32]>>(i%32)&1 == 0) {
			continue
		}
		forbidden := i == 0 && (len(p.Bias) > 0 || len(p.Seen) > 0) // all of the test's forbid token 0, by NaN or -Inf
		if l > float32(math.Inf(-1)) && !forbidden {
			ids = append(ids, int32(i))
		}
	}
	return ids
}

func TestSampleDrawEnds(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	logits := randomLogits(r, 5000, 3)
	logits[0], logits[4999] = float32(math.Inf(-1)), -1e30 // never drawn
	if id := sample(logits, kernels.Sampling{Temperature: 1}); id != 1 {
		t.Errorf("draw 0 took %d, expected the first with a probability, 1", id)
	}
	if id := sample(logits, kernels.Sampling{Temperature: 1, Draw: math.Nextafter(1, 0)}); id != 4998 {
		t.Errorf("the largest draw took %d, expected the last with a probability, 4998", id)
	}
}

func TestSampleLogprobs(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	logits := randomLogits(r, 3000, 4)
	want := kerneltest.Distribution(logits, &kernels.Sampling{Temperature: 1})
	var s kernels.SampleScratch
	o := kernels.Out{Target: 17, Top: 5, Logits: make([]float32, len(logits)),
		Sample: &kernels.Sampling{Temperature: 2, TopK: 3, Draw: 0.9, Bias: []kernels.Bias{{ID: 8, Value: 40}}}}
	kernels.SampleRow(&o, logits, nil, &s)
	check := func(what string, id int32, got float64) {
		if !(math.Abs(got-math.Log(want[id])) <= 1e-12) {
			t.Errorf("%s: log-probability of %d is %.15f, expected %.15f", what, id, got, math.Log(want[id]))
		}
	}
	check("sample", o.ID, o.Logprob)
	check("target", 17, o.TargetLogprob)
	ids := make([]int32, len(want))
	for i := range ids {
		ids[i] = int32(i)
	}
	slices.SortStableFunc(ids, func(a, b int32) int { return -cmpFloat(want[a], want[b]) })
	if !slices.Equal(o.TopIDs, ids[:5]) {
		t.Errorf("top ids %v, expected %v", o.TopIDs, ids[:5])
	}
	for i, id := range o.TopIDs {
		check("top", id, o.TopLogprobs[i])
	}
	if !slices.Equal(o.Logits, logits) {
		t.Error("the copy of the logits differs")
	}
}

func cmpFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func TestExpNeg(t *testing.T) {
	for x := 0.0; x > -700; x -= 0.00137 {
		if got, want := kernels.ExpNeg(x), math.Exp(x); !(math.Abs(got-want) <= 3e-13*want) {
			t.Fatalf("exp(%v) is %v, expected %v", x, got, want)
		}
	}
}

func TestSampleAllocations(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	logits := randomLogits(r, 20000, 3)
	var s kernels.SampleScratch
	for name, p := range samplings(r, len(logits)) {
		o := kernels.Out{Sample: &p, Target: 5, Top: 20, Logits: make([]float32, len(logits))}
		kernels.SampleRow(&o, logits, nil, &s)
		if n := testing.AllocsPerRun(3, func() { kernels.SampleRow(&o, logits, nil, &s) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkSample(b *testing.B) {
	r := rand.New(rand.NewPCG(9, 10))
	logits := randomLogits(r, 128256, 2.5)
	for _, c := range []struct {
		name string
		p    kernels.Sampling
		top  int
	}{
		{"greedy", kernels.Sampling{}, 0},
		{"greedy-top20", kernels.Sampling{}, 20},
		{"temperature", kernels.Sampling{Temperature: 0.8, Draw: 0.5}, 0},
		{"top-p", kernels.Sampling{Temperature: 0.6, TopP: 0.9, Draw: 0.5}, 0},
		{"top-k", kernels.Sampling{Temperature: 0.6, TopK: 40, TopP: 0.9, Draw: 0.5}, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			var s kernels.SampleScratch
			o := kernels.Out{Sample: &c.p, Target: -1, Top: c.top}
			for b.Loop() {
				kernels.SampleRow(&o, logits, nil, &s)
			}
		})
	}
}
