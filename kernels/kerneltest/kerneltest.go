// Package kerneltest is the suite that every [kernels.Device] passes: [Run] compares a device with the reference through small
// random models, [Deterministic] checks the promise that a token's logits depend on nothing but the tokens before it.
//
// All goes through the public interface. KV pages start as NaN and are handed out in random order, so a slot that is read before
// it is written, or a page table that is ignored, shows at once.
package kerneltest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/kernels"
	"gorgonia.org/tensor"
)

// Options say what a device can do and how exact it is.
type Options struct {
	Types []block.Type     // of weights; nil: all that block can decode
	KV    []kernels.KVType // nil: KVF16 and KVQ8
	Exact bool             // the device knows Shape.Exact, and is then within the default tolerance

	// Tolerances for a row of logits or the hidden state, against the reference: Σ(difference²)/Σ(reference²), and the largest
	// difference over the root mean square. 0: 1e-7 and 1e-2, for float32 activations (a KV cache of 16 or 8 bits may round a
	// value the other way). A device with int8 activations needs about 5e-3 and 0.5, since peaked attention enlarges its rounding.
	NMSE, Max float64
}

func (o Options) withDefaults() Options {
	if o.Types == nil {
		for t := block.Type(0); t < 64; t++ {
			if t.Len() == 0 || t >= block.TypeI8 && t <= block.TypeF64 {
				continue
			}
			if block.Dequantize(t, make([]float32, t.Len()), make([]byte, t.Size())) == nil {
				o.Types = append(o.Types, t)
			}
		}
	}
	if o.KV == nil {
		o.KV = []kernels.KVType{kernels.KVF16, kernels.KVQ8}
	}
	if o.NMSE == 0 {
		o.NMSE = 1e-7
	}
	if o.Max == 0 {
		o.Max = 1e-2
	}
	return o
}

// has says whether the device takes weights of type t.
func (o *Options) has(t block.Type) bool {
	for _, u := range o.Types {
		if t == u {
			return true
		}
	}
	return false
}

// plain is the type of weights where any would do.
func (o *Options) plain() block.Type {
	for _, t := range []block.Type{block.TypeQ8_0, block.TypeF16, block.TypeF32} {
		if o.has(t) {
			return t
		}
	}
	return o.Types[0]
}

// Opener opens the device under test.
type Opener = func(kernels.Shape) (kernels.Device, error)

// small is a shape with whole blocks of 256 and a vocabulary that is no multiple of anything.
func small() kernels.Shape {
	return kernels.Shape{Layers: 2, Hidden: 256, FFN: 512, Vocab: 333, Heads: 4, KVHeads: 2, HeadDim: 64, Eps: 1e-5,
		RopeFreq: RopeFreq(64, 10000), MaxRows: 128, MaxOut: 128, Slots: 8}
}

func newModel(t *testing.T, s kernels.Shape, typ block.Type) *Model {
	t.Helper()
	m, err := NewModel(s, typ, uint64(typ)+1)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Run compares the device with the reference.
func Run(t *testing.T, open Opener, options Options) {
	o := options.withDefaults()
	t.Run("Types", func(t *testing.T) { types(t, open, &o) })
	t.Run("Shapes", func(t *testing.T) { shapes(t, open, &o) })
	t.Run("Operations", func(t *testing.T) { operations(t, open, &o) })
	t.Run("Lengths", func(t *testing.T) { lengths(t, open, &o) })
	for _, kv := range o.KV {
		t.Run(fmt.Sprintf("KV%d", kv), func(t *testing.T) {
			t.Run("Positions", func(t *testing.T) { positions(t, open, &o, kv) })
			t.Run("Far", func(t *testing.T) { far(t, open, &o, kv) })
			t.Run("Mix", func(t *testing.T) { mix(t, open, &o, kv) })
			t.Run("Truncated", func(t *testing.T) { truncated(t, open, &o, kv) })
			t.Run("Copy", func(t *testing.T) { copied(t, open, &o, kv) })
			t.Run("ReadWrite", func(t *testing.T) { readWrite(t, open, &o, kv) })
		})
	}
	t.Run("Sampling", func(t *testing.T) { sampling(t, open, &o) })
	t.Run("Errors", func(t *testing.T) { failures(t, open, &o) })
	if o.Exact {
		t.Run("Exact", func(t *testing.T) {
			exact := Options{Types: o.Types}.withDefaults()
			s := small()
			s.Exact = true
			for _, typ := range o.Types {
				t.Run(typ.String(), func(t *testing.T) {
					r := newRig(t, newModel(t, s, typ), open, &exact, kernels.KVF32, 4, true)
					c := r.chunk(r.sequence(0, 37), 37)
					r.step(r.every(c), c)
				})
			}
		})
	}
}

// types runs a model of each type: a prompt, then single tokens, then several sequences of one token each.
func types(t *testing.T, open Opener, o *Options) {
	for _, typ := range o.Types {
		t.Run(typ.String(), func(t *testing.T) {
			s := small()
			s.Layers = 1
			r := newRig(t, newModel(t, s, typ), open, o, o.KV[0], 16, true)
			var seqs []*sequence
			for slot, n := range []int{33, 1, 5, 18, 2} {
				s := r.sequence(slot, n+6)
				c := r.chunk(s, n)
				r.step(r.every(c), c)
				c = r.chunk(s, 1)
				r.step(r.last(c), c)
				seqs = append(seqs, s)
			}
			for n := 2; n <= len(seqs); n++ {
				var chunks []kernels.Chunk
				for _, s := range seqs[:n] {
					chunks = append(chunks, r.chunk(s, 1))
				}
				r.step(r.last(chunks...), chunks...)
			}
		})
	}
}

// shapes runs head sizes, group sizes and odd dimensions.
func shapes(t *testing.T, open Opener, o *Options) {
	try := func(name string, s kernels.Shape, typ block.Type, tied bool) {
		t.Run(name, func(t *testing.T) {
			m := newModel(t, s, typ)
			if tied {
				m.Output = nil
			}
			r := newRig(t, m, open, o, o.KV[0], 8, true)
			s := r.sequence(1, 39)
			c := r.chunk(s, 37)
			r.step(r.every(c), c)
			for range 2 {
				c = r.chunk(s, 1)
				r.step(r.last(c), c)
			}
		})
	}
	for _, dim := range []int{32, 64, 96, 128} {
		for group := 1; group <= 8; group++ {
			kvHeads := 1 + group%2
			s := small()
			s.Layers, s.Heads, s.KVHeads, s.HeadDim = 1, group*kvHeads, kvHeads, dim
			s.RopeFreq = RopeFreq(dim, 500000)
			if dim == 96 {
				s.RopeFreq = RopeFreq(64, 500000) // a part of the head
			}
			s.Hidden, s.FFN, s.Vocab = 128, 160, 97
			try(fmt.Sprintf("head%d-group%d", dim, group), s, o.plain(), group%2 == 0)
		}
	}
	for _, typ := range o.Types {
		if typ.Len() > 32 {
			continue
		}
		s := small() // SmolLM2's width
		s.Layers, s.Hidden, s.FFN, s.Heads, s.KVHeads, s.Vocab = 1, 576, 608, 9, 3, 499
		try("hidden576-"+typ.String(), s, typ, true)
	}
}

// operations leaves out parts of the forward pass, so that a failure points to an operation.
func operations(t *testing.T, open Opener, o *Options) {
	s := small()
	s.Layers = 1
	m := newModel(t, s, o.plain())
	r := newRig(t, m, open, o, o.KV[0], 8, true)
	seq := r.sequence(0, 40)
	c := r.chunk(seq, 40)
	run := func(name string, forward func(kernels.Ops, *weights)) {
		t.Run(name, func(t *testing.T) {
			step := func(s *side) []kernels.Out {
				w := load(t, m, s.device)
				b := kernels.Batch{Chunks: []kernels.Chunk{c}, Out: r.every(c)}
				if err := s.device.Step(&b, func(o kernels.Ops) { forward(o, w) }); err != nil {
					t.Fatal(err)
				}
				return b.Out
			}
			got, want := step(r.dev), step(r.ref)
			at := *r
			at.t = t
			for i := range want {
				at.equal("hidden", i, got[i].Hidden, want[i].Hidden)
				at.equal("logits", i, got[i].Logits, want[i].Logits)
			}
		})
	}
	finish := func(o kernels.Ops, w *weights) {
		o.Norm(w.norm)
		o.Logits(w.output)
	}
	run("Embed", func(o kernels.Ops, w *weights) {
		o.Embed(w.embd)
		finish(o, w)
	})
	run("FFN", func(o kernels.Ops, w *weights) {
		o.Embed(w.embd)
		o.NormGateUp(w.norm, w.gate, w.up)
		o.ProjectAdd(w.down)
		finish(o, w)
	})
	run("Attention", func(o kernels.Ops, w *weights) {
		o.Embed(w.embd)
		o.NormQKV(w.norm, w.q, w.k, w.v)
		o.RopeStore(0)
		o.Attend(0)
		o.ProjectAdd(w.attn)
		finish(o, w)
	})
}

type weights struct{ embd, norm, output, q, k, v, attn, gate, up, down kernels.Weight }

func load(t *testing.T, m *Model, d kernels.Device) *weights {
	one := func(role kernels.Role, from *tensor.Dense) kernels.Weight {
		w, err := d.Load(role, from)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	l := m.Layers[0]
	return &weights{
		embd: one(kernels.TokenEmbd, m.TokenEmbd), norm: one(kernels.Norm, m.Norm), output: one(kernels.Output, m.Output),
		q: one(kernels.AttnQ, l.AttnQ), k: one(kernels.AttnK, l.AttnK), v: one(kernels.AttnV, l.AttnV), attn: one(kernels.AttnOutput, l.AttnOutput),
		gate: one(kernels.FFNGate, l.FFNGate), up: one(kernels.FFNUp, l.FFNUp), down: one(kernels.FFNDown, l.FFNDown),
	}
}

// lengths runs prompts of 1 to 70 tokens, in one chunk.
func lengths(t *testing.T, open Opener, o *Options) {
	s := small()
	s.Layers = 1
	r := newRig(t, newModel(t, s, o.plain()), open, o, o.KV[0], 3, true)
	for n := 1; n <= 70; n++ {
		seq := r.sequence(n%s.Slots, n)
		c := r.chunk(seq, n)
		r.step(r.last(c), c)
		r.free = append(r.free, seq.pages...)
		if r.t.Failed() {
			t.Fatalf("at %d tokens", n)
		}
	}
}

// positions fills a cache to beyond two segments, in chunks of random sizes, and compares around the borders.
func positions(t *testing.T, open Opener, o *Options, kv kernels.KVType) {
	s := small()
	s.Layers, s.Hidden, s.FFN, s.Heads, s.KVHeads, s.MaxRows = 1, 128, 128, 2, 1, 160
	const n = 2*kernels.SegmentSize + 40
	r := newRig(t, newModel(t, s, o.plain()), open, o, kv, n/kernels.PageSize+2, true)
	seq := r.sequence(3, n)
	for seq.pos < n {
		first := seq.pos
		size := min(1+r.rand.IntN(s.MaxRows), n-seq.pos)
		if m := first % kernels.SegmentSize; m > kernels.SegmentSize-5 || m < 3 && first > 3 {
			size = 1
		}
		c := r.chunk(seq, size)
		var outs []kernels.Out
		for row := range c.IDs {
			if m := (first + row) % kernels.SegmentSize; m < 4 || m > kernels.SegmentSize-4 || row == size-1 {
				outs = append(outs, r.out(row, seq.slot))
			}
		}
		r.step(outs, c)
		if t.Failed() {
			t.Fatalf("at positions %d to %d", first, seq.pos-1)
		}
	}
}

// far runs the last tokens of Llama 3.1's context of 131,072, whose page table names a few pages over and over.
func far(t *testing.T, open Opener, o *Options, kv kernels.KVType) {
	const end = 131072
	s := small()
	s.Layers, s.Hidden, s.FFN, s.Heads, s.KVHeads = 1, 128, 128, 2, 1
	s.RopeFreq = RopeFreq(64, 500000)
	r := newRig(t, newModel(t, s, o.plain()), open, o, kv, 6, true)
	seq := r.sequence(0, 5*kernels.PageSize)
	for range 2 {
		c := r.chunk(seq, len(seq.ids)/2)
		r.step(r.last(c), c)
	}
	last := r.free[0]
	for len(seq.pages) < end/kernels.PageSize-1 {
		seq.pages = append(seq.pages, seq.pages[r.rand.IntN(5)])
	}
	for _, side := range []*side{r.dev, r.ref} {
		if err := side.kv.Copy(last, seq.pages[0]); err != nil {
			t.Fatal(err)
		}
	}
	seq.pages = append(seq.pages, last)
	seq.pos = end - 4
	seq.ids = append(make([]int32, seq.pos), seq.ids[:4]...)
	for _, n := range []int{1, 2, 1} {
		c := r.chunk(seq, n)
		r.step(r.last(c), c)
	}
}

// mix runs random steps of several sequences, prompts and generation together. A sampled token is forced by a mask, so that
// the devices cannot part.
func mix(t *testing.T, open Opener, o *Options, kv kernels.KVType) {
	s := small()
	s.MaxRows = 64
	r := newRig(t, newModel(t, s, o.plain()), open, o, kv, 24, true)
	seqs := make([]*sequence, 5)
	sampled := make([]bool, len(seqs)) // the next token is LastSampled
	for range 40 {
		var chunks []kernels.Chunk
		var outs []kernels.Out
		row := 0
		for _, slot := range r.rand.Perm(len(seqs))[:1+r.rand.IntN(len(seqs))] {
			seq := seqs[slot]
			if seq == nil || seq.pos == len(seq.ids) {
				if seq != nil {
					r.free = append(r.free, seq.pages...)
				}
				seq = r.sequence(slot, 1+r.rand.IntN(100))
				seqs[slot], sampled[slot] = seq, false
			}
			n := 1
			if !sampled[slot] {
				n = 1 + r.rand.IntN(min(len(seq.ids)-seq.pos, 12))
			}
			c := r.chunk(seq, n)
			if sampled[slot] {
				c.IDs = []int32{kernels.LastSampled}
			}
			chunks = append(chunks, c)
			row += n
			out := r.out(row-1, slot)
			if sampled[slot] = seq.pos < len(seq.ids) && r.rand.IntN(3) > 0; sampled[slot] {
				id := seq.ids[seq.pos]
				out.Sample = &kernels.Sampling{Temperature: float64(r.rand.IntN(2)), Mask: make([]uint32, (s.Vocab+31)/32), Draw: r.rand.Float64()}
				out.Sample.Mask[id/32] = 1 << (id % 32)
			}
			if out.Sample != nil || r.rand.IntN(2) == 0 {
				outs = append(outs, out)
			}
		}
		r.step(outs, chunks...)
	}
}

// truncated overwrites positions, as speculation does when a draft is rejected.
func truncated(t *testing.T, open Opener, o *Options, kv kernels.KVType) {
	r := newRig(t, newModel(t, small(), o.plain()), open, o, kv, 8, true)
	s := r.sequence(2, 80)
	c := r.chunk(s, 28)
	r.step(r.last(c), c)
	for s.pos < 70 {
		c = r.chunk(s, 1+r.rand.IntN(8))
		r.step(r.every(c), c)
		s.pos -= r.rand.IntN(len(c.IDs))
		for i := range s.ids[s.pos:] {
			s.ids[s.pos+i] = int32(r.rand.IntN(r.model.Shape.Vocab))
		}
	}
}

// copied forks a sequence inside a page.
func copied(t *testing.T, open Opener, o *Options, kv kernels.KVType) {
	r := newRig(t, newModel(t, small(), o.plain()), open, o, kv, 12, true)
	a := r.sequence(0, 90)
	c := r.chunk(a, 45)
	r.step(r.last(c), c)
	b := r.sequence(1, 90)
	copy(b.ids, a.ids[:45])
	b.pos = 45
	b.pages = []int32{a.pages[0], r.free[0]} // the first is shared
	r.free = r.free[1:]
	for _, s := range []*side{r.dev, r.ref} {
		if err := s.kv.Copy(b.pages[1], a.pages[1]); err != nil {
			t.Fatal(err)
		}
	}
	for b.pos+2 <= len(b.ids) {
		chunks := []kernels.Chunk{r.chunk(a, 1), r.chunk(b, 2)}
		r.step(r.every(chunks...), chunks...)
	}
}

// readWrite moves a sequence to other pages through host memory; nothing may change, to the bit.
func readWrite(t *testing.T, open Opener, o *Options, kv kernels.KVType) {
	r := newRig(t, newModel(t, small(), o.plain()), open, o, kv, 12, true)
	s := r.sequence(0, 60)
	c := r.chunk(s, 50)
	r.step(r.last(c), c)
	c = r.chunk(s, 1)
	want := r.step(r.last(c), c)[0].Logits

	s.pos--
	for i, p := range s.pages {
		to := r.free[0]
		r.free = r.free[1:]
		for _, side := range []*side{r.dev, r.ref} {
			page := make([]byte, side.kv.PageBytes())
			if err := side.kv.Read(p, page); err != nil {
				t.Fatal(err)
			}
			if err := side.kv.Write(to, page); err != nil {
				t.Fatal(err)
			}
			for j := range page {
				page[j] = 0xff
			}
			if err := side.kv.Write(p, page); err != nil {
				t.Fatal(err)
			}
		}
		s.pages[i] = to
	}
	c = r.chunk(s, 1)
	sameBits(t, "after the move", r.step(r.last(c), c)[0].Logits, want)

	for _, side := range []*side{r.dev, r.ref} {
		page := make([]byte, side.kv.PageBytes())
		for _, p := range []int32{-1, 12, math.MaxInt32} {
			if side.kv.Read(p, page) == nil || side.kv.Write(p, page) == nil || side.kv.Copy(p, 0) == nil || side.kv.Copy(0, p) == nil {
				t.Errorf("page %d of 12: no error", p)
			}
		}
		if side.kv.Read(0, page[1:]) == nil || side.kv.Write(0, page[1:]) == nil {
			t.Error("a short page: no error")
		}
	}
}

// sampling draws with random parameters; the rig checks each against the definition.
func sampling(t *testing.T, open Opener, o *Options) {
	s := small()
	s.Layers = 1
	r := newRig(t, newModel(t, s, o.plain()), open, o, o.KV[0], 8, true)
	maybe := func(v float64) float64 {
		if r.rand.IntN(2) == 0 {
			return 0
		}
		return v
	}
	for range 20 {
		seq := r.sequence(0, 16)
		c := r.chunk(seq, 16)
		outs := r.every(c)
		for i := range outs {
			p := &kernels.Sampling{Temperature: maybe(0.3 + r.rand.Float64()), TopK: int(maybe(20)), TopP: maybe(r.rand.Float64()), MinP: maybe(0.1 * r.rand.Float64()),
				Typical: maybe(r.rand.Float64()), Draw: r.rand.Float64(), Repeat: maybe(1.2), Frequency: maybe(0.3), Presence: maybe(0.5)}
			for range r.rand.IntN(4) {
				p.Bias = append(p.Bias, kernels.Bias{ID: int32(r.rand.IntN(s.Vocab)), Value: float32(r.rand.NormFloat64())})
			}
			for range r.rand.IntN(4) {
				p.Seen = append(p.Seen, kernels.Count{ID: int32(r.rand.IntN(s.Vocab)), N: int32(1 + r.rand.IntN(3))})
			}
			if r.rand.IntN(2) == 0 {
				for range (s.Vocab + 31) / 32 {
					p.Mask = append(p.Mask, r.rand.Uint32())
				}
			}
			outs[i].Sample = p
		}
		r.step(outs, c)
		r.free = append(r.free, seq.pages...)
	}

	// Nothing allowed.
	seq := r.sequence(0, 2)
	c := r.chunk(seq, 1)
	b := kernels.Batch{Chunks: []kernels.Chunk{c}, Out: []kernels.Out{{Target: -1, Sample: &kernels.Sampling{Mask: make([]uint32, (s.Vocab+31)/32)}}}}
	if err := r.dev.device.Step(&b, r.dev.forward); err != nil {
		t.Fatal(err)
	}
	if b.Out[0].ID != -1 {
		t.Errorf("with an empty mask: sampled %d, expected -1", b.Out[0].ID)
	}
}

// failures runs batches that cannot run; the device must say so and go on.
func failures(t *testing.T, open Opener, o *Options) {
	s := small()
	s.MaxRows, s.MaxOut = 8, 2
	r := newRig(t, newModel(t, s, o.plain()), open, o, o.KV[0], 4, true)
	ids := []int32{1, 2, 3}
	out := kernels.Out{Row: 2, Target: -1}
	for name, b := range map[string]kernels.Batch{
		"empty":           {},
		"rows":            {Chunks: []kernels.Chunk{{IDs: make([]int32, 9), Pages: []int32{0}}}},
		"outs":            {Chunks: []kernels.Chunk{{IDs: ids, Pages: []int32{0}}}, Out: []kernels.Out{{Row: 0}, {Row: 1}, {Row: 2}}},
		"slot":            {Chunks: []kernels.Chunk{{Slot: 8, IDs: ids, Pages: []int32{0}}}},
		"negative slot":   {Chunks: []kernels.Chunk{{Slot: -1, IDs: ids, Pages: []int32{0}}}},
		"position":        {Chunks: []kernels.Chunk{{Pos: -1, IDs: ids, Pages: []int32{0}}}},
		"no pages":        {Chunks: []kernels.Chunk{{IDs: ids}}},
		"too few pages":   {Chunks: []kernels.Chunk{{Pos: 30, IDs: ids, Pages: []int32{0}}}},
		"page":            {Chunks: []kernels.Chunk{{IDs: ids, Pages: []int32{4}}}},
		"negative page":   {Chunks: []kernels.Chunk{{IDs: ids, Pages: []int32{-1}}}},
		"id":              {Chunks: []kernels.Chunk{{IDs: []int32{int32(s.Vocab)}, Pages: []int32{0}}}},
		"negative id":     {Chunks: []kernels.Chunk{{IDs: []int32{-2}, Pages: []int32{0}}}},
		"nothing sampled": {Chunks: []kernels.Chunk{{Slot: 5, IDs: []int32{kernels.LastSampled}, Pages: []int32{0}}}},
		"row":             {Chunks: []kernels.Chunk{{IDs: ids, Pages: []int32{0}}}, Out: []kernels.Out{{Row: 3}}},
		"order":           {Chunks: []kernels.Chunk{{IDs: ids, Pages: []int32{0}}}, Out: []kernels.Out{out, out}},
		"target":          {Chunks: []kernels.Chunk{{IDs: ids, Pages: []int32{0}}}, Out: []kernels.Out{{Target: int32(s.Vocab)}}},
		"logits":          {Chunks: []kernels.Chunk{{IDs: ids, Pages: []int32{0}}}, Out: []kernels.Out{{Target: -1, Logits: make([]float32, 5)}}},
		"hidden":          {Chunks: []kernels.Chunk{{IDs: ids, Pages: []int32{0}}}, Out: []kernels.Out{{Target: -1, Hidden: make([]float32, 5)}}},
	} {
		if r.dev.device.Step(&b, r.dev.forward) == nil {
			t.Errorf("%s: no error", name)
		}
	}
	c := r.chunk(r.sequence(0, 8), 8)
	outs := r.every(c)
	r.step(outs[6:], c)
}

func sameBits(t *testing.T, what string, got, want []float32) bool {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) || want[i] != want[i] {
			t.Errorf("%s: value %d is %v, expected %v, to the bit", what, i, got[i], want[i])
			return false
		}
	}
	return true
}

// Deterministic checks that the logits of every token of a prompt have the same bits whether it is run in one chunk, one token at
// a time, in random chunks, or beside other sequences, on any pages.
func Deterministic(t *testing.T, open Opener, options Options) {
	o := options.withDefaults()
	try := func(name string, s kernels.Shape, typ block.Type, kv kernels.KVType, n int) {
		t.Run(name, func(t *testing.T) {
			m := newModel(t, s, typ)
			var ids []int32
			r := rand.New(rand.NewPCG(uint64(n), 1))
			for range n {
				ids = append(ids, int32(r.IntN(s.Vocab)))
			}
			want := prefill(t, m, open, &o, kv, ids, 0, func(left int) int { return left })
			random := func(left int) int { return 1 + r.IntN(min(left, 40)) }
			for name, size := range map[string]func(int) int{
				"one at a time": func(int) int { return 1 },
				"random chunks": random,
				"few":           func(left int) int { return min(left, 1+r.IntN(6)) },
			} {
				last := size
				size = func(left int) int { // a long prompt is cut like this at its end alone, around a segment's border
					if left > 100 {
						return min(random(left), left-100)
					}
					return last(left)
				}
				for _, others := range []int{0, 3} {
					got := prefill(t, m, open, &o, kv, ids, others, size)
					for i := range want {
						if !sameBits(t, fmt.Sprintf("%s, beside %d sequences, token %d of %d", name, others, i, n), got[i], want[i]) {
							break
						}
					}
				}
			}
		})
	}
	for _, typ := range o.Types {
		try(typ.String(), small(), typ, o.KV[0], 50)
	}
	for _, kv := range o.KV {
		s := small()
		s.Layers, s.Hidden, s.FFN, s.Heads, s.KVHeads = 1, 128, 128, 2, 1
		s.Vocab, s.MaxRows, s.MaxOut = 97, 1200, 1200
		try(fmt.Sprintf("Segments-KV%d", kv), s, o.plain(), kv, kernels.SegmentSize+50)
		if kv == o.KV[0] {
			s.HeadDim, s.RopeFreq = 128, RopeFreq(128, 10000)
			try(fmt.Sprintf("Segments-KV%d-head128", kv), s, o.plain(), kv, kernels.SegmentSize+50)
		}
	}
}

// prefill runs a prompt in chunks whose sizes size gives, beside other sequences, and returns the logits of each token.
func prefill(t *testing.T, m *Model, open Opener, o *Options, kv kernels.KVType, ids []int32, others int, size func(left int) int) (logits [][]float32) {
	t.Helper()
	pages := (len(ids) + kernels.PageSize - 1) / kernels.PageSize
	r := newRig(t, m, open, o, kv, (others+1)*pages+5*others, false)
	seq := r.sequence(0, len(ids))
	seq.ids = ids
	beside := make([]*sequence, others)
	for i := range beside {
		beside[i] = r.sequence(i+1, len(ids)+100)
	}
	for seq.pos < len(ids) {
		var chunks []kernels.Chunk
		add := func(some []*sequence) {
			for _, s := range some {
				if n := min(1+r.rand.IntN(5), len(s.ids)-s.pos); n > 0 && r.rand.IntN(4) > 0 {
					chunks = append(chunks, r.chunk(s, n))
				}
			}
		}
		add(beside[:others/2])
		row := 0
		for _, c := range chunks {
			row += len(c.IDs)
		}
		n := min(size(len(ids)-seq.pos), m.Shape.MaxRows-row-5*others)
		chunks = append(chunks, r.chunk(seq, n))
		var outs []kernels.Out
		for i := range n {
			outs = append(outs, kernels.Out{Row: row + i, Target: -1, Logits: make([]float32, m.Shape.Vocab)})
		}
		add(beside[others/2:])
		b := kernels.Batch{Chunks: chunks, Out: outs}
		if err := r.dev.device.Step(&b, r.dev.forward); err != nil {
			t.Fatal(err)
		}
		for _, out := range b.Out {
			logits = append(logits, out.Logits)
		}
	}
	return logits
}
