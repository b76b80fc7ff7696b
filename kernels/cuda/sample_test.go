package cuda_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/kernels"
	"github.com/llama31/llama31/kernels/cuda/sim"
	"github.com/llama31/llama31/kernels/kerneltest"
)

// TestSample draws on the device with random parameters, and holds each draw against the definition, on the logits that the same
// step gives when the host asks for them.
func TestSample(t *testing.T) {
	sim.StartOrReal(t, "")
	s := kernels.Shape{Layers: 1, Hidden: 64, FFN: 64, Vocab: 1531, Heads: 2, KVHeads: 1, HeadDim: 32, Eps: 1e-5,
		RopeFreq: kerneltest.RopeFreq(32, 10000), MaxRows: 72, MaxOut: 72, Slots: 72}
	m, err := kerneltest.NewModel(s, block.TypeQ8_0, 3)
	if err != nil {
		t.Fatal(err)
	}
	d, err := open(s)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	forward, err := m.Load(d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.NewKV(s.Layers, 72, kernels.KVF16); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	maybe := func(v float64) float64 {
		if r.IntN(2) == 0 {
			return 0
		}
		return v
	}
	for round := range 12 {
		rows := []int{1, 3, 8, 72}[round%4]
		b := kernels.Batch{}
		for i := range rows {
			b.Chunks = append(b.Chunks, kernels.Chunk{Slot: i, Pos: 0, IDs: []int32{int32(r.IntN(s.Vocab))}, Pages: []int32{int32(i)}})
			p := &kernels.Sampling{Temperature: maybe(0.3 + r.Float64()), TopK: int(maybe(40)), TopP: maybe(r.Float64()), MinP: maybe(0.1 * r.Float64()),
				Typical: maybe(r.Float64()), Draw: r.Float64(), Repeat: maybe(1.2), Frequency: maybe(0.3), Presence: maybe(0.5)}
			for range r.IntN(4) {
				p.Bias = append(p.Bias, kernels.Bias{ID: int32(r.IntN(s.Vocab)), Value: float32(r.NormFloat64())})
			}
			for _, id := range r.Perm(s.Vocab)[:r.IntN(4)] {
				p.Seen = append(p.Seen, kernels.Count{ID: int32(id), N: int32(r.IntN(3))})
			}
			if r.IntN(2) == 0 {
				for range r.IntN(s.Vocab/32 + 3) {
					p.Mask = append(p.Mask, r.Uint32())
				}
			}
			b.Out = append(b.Out, kernels.Out{Row: i, Slot: i, Sample: p, Target: int32(r.IntN(s.Vocab+1)) - 1})
		}
		if err := d.Step(&b, forward); err != nil {
			t.Fatal(err)
		}
		drawn := append([]kernels.Out(nil), b.Out...)
		for i := range b.Out {
			b.Out[i].Logits = make([]float32, s.Vocab)
		}
		if err := d.Step(&b, forward); err != nil {
			t.Fatal(err)
		}
		for i := range drawn {
			o, p := &drawn[i], drawn[i].Sample
			logits := b.Out[i].Logits
			plain := kerneltest.Distribution(logits, &kernels.Sampling{Temperature: 1})
			if o.Target >= 0 && !(math.Abs(o.TargetLogprob-math.Log(plain[o.Target])) <= 1e-4) {
				t.Errorf("row %d: target's log-probability %v, expected %v", i, o.TargetLogprob, math.Log(plain[o.Target]))
			}
			if o.ID < 0 {
				for id, v := range kerneltest.Distribution(logits, p) {
					if v > 0 {
						t.Fatalf("row %d: nothing drawn, %d has probability %v", i, id, v)
					}
				}
				if !math.IsInf(o.Logprob, -1) {
					t.Errorf("row %d: nothing drawn, log-probability %v", i, o.Logprob)
				}
				continue
			}
			if !(math.Abs(o.Logprob-math.Log(plain[o.ID])) <= 1e-4) {
				t.Errorf("row %d: log-probability %v of %d, expected %v", i, o.Logprob, o.ID, math.Log(plain[o.ID]))
			}
			if !drawable(logits, p, o.ID) {
				t.Errorf("row %d of %d: drew %d (the host %d) at %v with %+v", i, rows, o.ID, b.Out[i].ID, p.Draw, *p)
			}
		}
	}
}

// drawable says whether the definition gives id, with a little slack at the borders of filters and of the draw.
func drawable(logits []float32, p *kernels.Sampling, id int32) bool {
	const slack = 1e-5
	for _, by := range []float64{0, slack, -slack} {
		s := *p
		s.TopP, s.MinP, s.Typical = s.TopP*(1+by), s.MinP*(1+by), s.Typical*(1+by)
		d := kerneltest.Distribution(logits, &s)
		below := 0.0
		for _, v := range d[:id] {
			below += v
		}
		if d[id] > 0 && below-slack <= s.Draw && s.Draw <= below+d[id]+slack {
			return true
		}
	}
	return false
}
