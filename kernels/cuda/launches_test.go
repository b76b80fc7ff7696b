package cuda_test

import (
	"testing"

	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/kernels"
	"github.com/llama31/llama31/kernels/cuda"
	"github.com/llama31/llama31/kernels/cuda/sim"
	"github.com/llama31/llama31/kernels/kerneltest"
)

// TestLaunches counts the kernels of a step of generation, which do not depend on a model's width: what a layer adds, and a token of a
// model of 32 layers.
func TestLaunches(t *testing.T) {
	sim.StartOrReal(t, "capability=90")
	count := func(layers, rows, pos int) int64 {
		t.Helper()
		s := kernels.Shape{Layers: layers, Hidden: 64, FFN: 64, Vocab: 331, Heads: 2, KVHeads: 1, HeadDim: 32, Eps: 1e-5,
			RopeFreq: kerneltest.RopeFreq(32, 10000), MaxRows: rows, MaxOut: rows, Slots: rows}
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
		pages := make([]int32, pos/kernels.PageSize+1) // one serves all: nobody looks at what comes out
		if _, err := d.NewKV(layers, 1, kernels.KVF16); err != nil {
			t.Fatal(err)
		}
		b := kernels.Batch{}
		for i := range rows {
			b.Chunks = append(b.Chunks, kernels.Chunk{Slot: i, Pos: pos, IDs: []int32{int32(i)}, Pages: pages})
			b.Out = append(b.Out, kernels.Out{Row: i, Slot: i, Target: -1, Sample: &kernels.Sampling{}})
		}
		before := cuda.Launched()
		if err := d.Step(&b, forward); err != nil {
			t.Fatal(err)
		}
		return cuda.Launched() - before
	}
	for _, c := range []struct {
		name        string
		rows, pos   int
		layer, of32 int64
	}{
		// Norm and QKV with rope and the store; attention; output and norm; gate and up with SwiGLU; down and norm.
		{"a token", 1, 100, 5, 166},
		{"a token with a context of two segments", 1, 600, 6, 198},                    // and combine
		{"tokens of four sequences", 4, 100, 7, 229},                                  // the norms apart
		{"tokens of forty sequences, whose products are a prompt's", 40, 100, 8, 261}, // and rope
	} {
		one, two := count(1, c.rows, c.pos), count(2, c.rows, c.pos)
		layer := two - one
		if all := one + 31*layer; layer != c.layer || all != c.of32 {
			t.Errorf("%s: %d launches for a layer, %d for 32; expected %d and %d", c.name, layer, all, c.layer, c.of32)
		}
	}
}
