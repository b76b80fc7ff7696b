package cuda_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/internal/testenv"
	"github.com/llama31/llama31/kernels"
	"github.com/llama31/llama31/kernels/cuda/sim"
	"github.com/llama31/llama31/kernels/kerneltest"
)

// generator makes sequences go on from a token each.
type generator struct {
	device  kernels.Overlapped
	forward func(kernels.Ops)
	batches [2]kernels.Batch
	ids     [][]int32 // that each step drew
}

func newGenerator(t testing.TB, s kernels.Shape, typ block.Type) *generator {
	t.Helper()
	m, err := kerneltest.NewModel(s, typ, 3)
	if err != nil {
		t.Fatal(err)
	}
	d, err := open(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	g := &generator{device: d.(kernels.Overlapped)}
	if g.forward, err = m.Load(d); err != nil {
		t.Fatal(err)
	}
	if _, err := d.NewKV(s.Layers, s.Slots*2, kernels.KVF16); err != nil {
		t.Fatal(err)
	}
	return g
}

// batch is that of step n for some sequences.
func (g *generator) batch(n, rows int) *kernels.Batch {
	b := &g.batches[n%2]
	b.Chunks, b.Out = b.Chunks[:0], b.Out[:0]
	for i := range rows {
		id := kernels.LastSampled
		if n == 0 {
			id = int32(7 * i)
		}
		b.Chunks = append(b.Chunks, kernels.Chunk{Slot: i, Pos: n, IDs: []int32{id}, Pages: []int32{int32(2 * i), int32(2*i + 1)}})
		b.Out = append(b.Out, kernels.Out{Row: i, Slot: i, Sample: &kernels.Sampling{Temperature: 0.8, Draw: float64((n*31+i*17)%101) / 101}, Target: -1})
	}
	return b
}

func (g *generator) note(b *kernels.Batch) {
	var ids []int32
	for i := range b.Out {
		ids = append(ids, b.Out[i].ID)
	}
	g.ids = append(g.ids, ids)
}

func (g *generator) oneByOne(t testing.TB, steps, rows int) {
	for n := range steps {
		b := g.batch(n, rows)
		if err := g.device.Step(b, g.forward); err != nil {
			t.Fatal(err)
		}
		g.note(b)
	}
}

// ahead begins each step before the results of the one before are read.
func (g *generator) ahead(t testing.TB, steps, rows int) {
	var last *kernels.Batch
	end := func() {
		if last == nil {
			return
		}
		if err := g.device.End(); err != nil {
			t.Fatal(err)
		}
		g.note(last)
	}
	for n := range steps {
		b := g.batch(n, rows)
		if err := g.device.Begin(b, g.forward); err != nil {
			t.Fatal(err)
		}
		end()
		last = b
	}
	end()
}

// TestOverlap draws the same ids whether the host waits for each step or begins the next one before: then a row's id never leaves the
// device on its way to the next step.
func TestOverlap(t *testing.T) {
	sim.StartOrReal(t, "")
	s := kernels.Shape{Layers: 1, Hidden: 64, FFN: 64, Vocab: 331, Heads: 2, KVHeads: 1, HeadDim: 32, Eps: 1e-5,
		RopeFreq: kerneltest.RopeFreq(32, 10000), MaxRows: 8, MaxOut: 8, Slots: 8, Context: 64}
	g := newGenerator(t, s, block.TypeQ8_0)
	for _, rows := range []int{1, 3, 8} {
		g.ids = nil
		g.oneByOne(t, 12, rows)
		want := g.ids
		g.ids = nil
		g.ahead(t, 12, rows)
		if !slices.EqualFunc(g.ids, want, slices.Equal) {
			t.Errorf("%d rows: drew %v ahead, %v one by one", rows, g.ids, want)
		}
	}
	if err := g.device.End(); err == nil {
		t.Error("End without a step: no error")
	}
	for range 2 {
		if err := g.device.Begin(g.batch(0, 1), g.forward); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.device.Begin(g.batch(0, 1), g.forward); err == nil {
		t.Error("a third step: no error")
	}
	if err := g.device.Step(g.batch(0, 1), g.forward); err == nil {
		t.Error("a whole step in between: no error")
	}
}

// BenchmarkGenerate shows on a GPU what waiting for the host costs: one layer of an 8B model and its output head, in Q4_K.
func BenchmarkGenerate(b *testing.B) {
	testenv.Have(b, "cuda", testenv.Required("cuda"), "it measures a GPU")
	s := kernels.Shape{Layers: 1, Hidden: 4096, FFN: 14336, Vocab: 128256, Heads: 32, KVHeads: 8, HeadDim: 128, Eps: 1e-5,
		RopeFreq: kerneltest.RopeFreq(128, 500000), MaxRows: 64, MaxOut: 64, Slots: 64, Context: 64}
	g := newGenerator(b, s, block.TypeQ4_K)
	for _, rows := range []int{1, 16, 64} {
		for name, run := range map[string]func(testing.TB, int, int){"one by one": g.oneByOne, "ahead": g.ahead} {
			b.Run(fmt.Sprint(rows, " rows ", name), func(b *testing.B) {
				for b.Loop() {
					run(b, 64, rows)
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/64, "µs/step")
			})
		}
	}
}
