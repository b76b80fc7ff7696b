package kerneltest

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/llama31/llama31/kernels"
)

// side is one of the two devices that a rig compares.
type side struct {
	device  kernels.Device
	kv      kernels.KV
	forward func(kernels.Ops)
}

func newSide(t *testing.T, d kernels.Device, err error, m *Model, kv kernels.KVType, pages int) *side {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	s := &side{device: d}
	if s.forward, err = m.Load(d); err != nil {
		t.Fatal(err)
	}
	if s.kv, err = d.NewKV(m.Shape.Layers, pages, kv); err != nil {
		t.Fatal(err)
	}
	if got := s.kv.Pages(); got != pages {
		t.Fatalf("a cache of %d pages, expected %d", got, pages)
	}
	// NaN in every format of KV: what was not written must not be read.
	poison := bytes.Repeat([]byte{0xff}, s.kv.PageBytes())
	for p := range pages {
		if err := s.kv.Write(int32(p), poison); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// rig runs the same steps on a device and on the reference.
type rig struct {
	t         *testing.T
	model     *Model
	dev, ref  *side // ref is nil if the device is only compared with itself
	nmse, max float64
	free      []int32 // pages, shuffled
	rand      *rand.Rand
}

func newRig(t *testing.T, m *Model, open func(kernels.Shape) (kernels.Device, error), o *Options, kv kernels.KVType, pages int, compare bool) *rig {
	t.Helper()
	r := &rig{t: t, model: m, nmse: o.NMSE, max: o.Max, rand: rand.New(rand.NewPCG(uint64(pages), 7))}
	for _, p := range r.rand.Perm(pages) {
		r.free = append(r.free, int32(p))
	}
	d, err := open(m.Shape)
	r.dev = newSide(t, d, err, m, kv, pages)
	if compare {
		d, err = kernels.Open("reference", m.Shape, kernels.Options{})
		r.ref = newSide(t, d, err, m, kv, pages)
	}
	return r
}

// sequence is what the caller of a device keeps of one.
type sequence struct {
	slot  int
	ids   []int32
	pos   int // tokens that were run
	pages []int32
}

// sequence makes one of n random tokens.
func (r *rig) sequence(slot, n int) *sequence {
	s := &sequence{slot: slot}
	for range n {
		s.ids = append(s.ids, int32(r.rand.IntN(r.model.Shape.Vocab)))
	}
	return s
}

// chunk is the next n tokens of s, with pages for them.
func (r *rig) chunk(s *sequence, n int) kernels.Chunk {
	r.t.Helper()
	c := kernels.Chunk{Slot: s.slot, Pos: s.pos, IDs: s.ids[s.pos : s.pos+n]}
	s.pos += n
	for len(s.pages)*kernels.PageSize < s.pos {
		if len(r.free) == 0 {
			r.t.Fatal("kerneltest: the test has too few pages")
		}
		s.pages, r.free = append(s.pages, r.free[0]), r.free[1:]
	}
	c.Pages = s.pages
	return c
}

// out asks for all there is to know of a row.
func (r *rig) out(row, slot int) kernels.Out {
	return kernels.Out{Row: row, Slot: slot, Target: int32(r.rand.IntN(r.model.Shape.Vocab)), Top: r.rand.IntN(6),
		Logits: make([]float32, r.model.Shape.Vocab), Hidden: make([]float32, r.model.Shape.Hidden)}
}

// every asks for every row of the chunks.
func (r *rig) every(chunks ...kernels.Chunk) (outs []kernels.Out) {
	for _, c := range chunks {
		for range c.IDs {
			outs = append(outs, r.out(len(outs), c.Slot))
		}
	}
	return outs
}

// last asks for the last row of each chunk.
func (r *rig) last(chunks ...kernels.Chunk) (outs []kernels.Out) {
	row := -1
	for _, c := range chunks {
		row += len(c.IDs)
		outs = append(outs, r.out(row, c.Slot))
	}
	return outs
}

// step runs a batch on both devices, compares them, and checks that the results follow from the device's own logits.
func (r *rig) step(outs []kernels.Out, chunks ...kernels.Chunk) []kernels.Out {
	r.t.Helper()
	b := kernels.Batch{Chunks: chunks, Out: slices.Clone(outs)}
	if err := r.dev.device.Step(&b, r.dev.forward); err != nil {
		r.t.Fatal(err)
	}
	for i := range b.Out {
		r.results(&b.Out[i])
	}
	if r.ref == nil {
		return b.Out
	}
	want := kernels.Batch{Chunks: chunks, Out: slices.Clone(outs)}
	for i := range want.Out {
		o := &want.Out[i]
		o.Logits, o.Hidden = make([]float32, len(o.Logits)), make([]float32, len(o.Hidden))
	}
	if err := r.ref.device.Step(&want, r.ref.forward); err != nil {
		r.t.Fatal(err)
	}
	for i := range want.Out {
		r.equal("hidden", want.Out[i].Row, b.Out[i].Hidden, want.Out[i].Hidden)
		r.equal("logits", want.Out[i].Row, b.Out[i].Logits, want.Out[i].Logits)
	}
	return b.Out
}

// equal compares within the tolerance.
func (r *rig) equal(what string, row int, got, want []float32) {
	r.t.Helper()
	var diff, norm, most float64
	for i := range want {
		d := float64(got[i]) - float64(want[i])
		diff += d * d
		norm += float64(want[i]) * float64(want[i])
		most = math.Max(most, math.Abs(d)) // NaN if either is
	}
	rms := math.Sqrt(norm / float64(len(want)))
	if !(diff <= r.nmse*norm) || !(most <= r.max*rms) {
		r.t.Errorf("%s of row %d: normalised squared error %.2g, largest difference %.2g of the root mean square; tolerated are %.2g and %.2g",
			what, row, diff/norm, most/rms, r.nmse, r.max)
	}
}

// results checks a row's results against its logits.
func (r *rig) results(o *kernels.Out) {
	r.t.Helper()
	p := Distribution(o.Logits, &kernels.Sampling{Temperature: 1})
	logprob := func(what string, id int32, got float64) {
		r.t.Helper()
		if !(math.Abs(got-math.Log(p[id])) <= 1e-4) {
			r.t.Errorf("%s of row %d: log-probability of %d is %v, expected %v", what, o.Row, id, got, math.Log(p[id]))
		}
	}
	if o.Target >= 0 {
		logprob("target", o.Target, o.TargetLogprob)
	}
	if len(o.TopIDs) != o.Top || len(o.TopLogprobs) != o.Top {
		r.t.Errorf("top of row %d: %d ids and %d log-probabilities, expected %d", o.Row, len(o.TopIDs), len(o.TopLogprobs), o.Top)
		return
	}
	rest := slices.Clone(o.Logits)
	for i, id := range o.TopIDs {
		best := 0
		for j := range rest {
			if rest[j] > rest[best] {
				best = j
			}
		}
		if int(id) != best {
			r.t.Errorf("top of row %d: number %d is %d (%v), expected %d (%v)", o.Row, i, id, o.Logits[id], best, o.Logits[best])
		}
		logprob("top", id, o.TopLogprobs[i])
		rest[best] = float32(math.Inf(-1))
	}
	if o.Sample == nil {
		return
	}
	if o.ID < 0 || int(o.ID) >= len(p) {
		r.t.Errorf("row %d: sampled %d", o.Row, o.ID)
		return
	}
	logprob("sample", o.ID, o.Logprob)
	// A device may sum in float32: a draw beside a border, or a token at a filter's border, may fall on either side.
	const slack = 1e-5
	for _, by := range []float64{0, slack, -slack} {
		s := *o.Sample
		s.TopP, s.MinP, s.Typical = s.TopP*(1+by), s.MinP*(1+by), s.Typical*(1+by)
		d := Distribution(o.Logits, &s)
		below := 0.0
		for _, v := range d[:o.ID] {
			below += v
		}
		if d[o.ID] > 0 && below-slack <= s.Draw && s.Draw <= below+d[o.ID]+slack {
			return
		}
	}
	r.t.Errorf("row %d: sampled %d at %v with %+v", o.Row, o.ID, o.Sample.Draw, *o.Sample)
}
