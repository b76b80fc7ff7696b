package cuda

import (
	"math/rand/v2"
	"testing"

	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/kernels"
	"github.com/llama31/llama31/kernels/cuda/sim"
	"github.com/llama31/llama31/kernels/kerneltest"
)

// No step's attention needs more room than what is made for it beforehand: that would be memory beyond the plan, in the middle of a run.
func TestMostPartial(t *testing.T) {
	for _, d := range []device{
		{shape: kernels.Shape{Heads: 32, KVHeads: 8, HeadDim: 128, MaxRows: 512, Context: 131072}},  // 8B
		{shape: kernels.Shape{Heads: 128, KVHeads: 8, HeadDim: 128, MaxRows: 512, Context: 131072}}, // 405B
		{shape: kernels.Shape{Heads: 9, KVHeads: 3, HeadDim: 64, MaxRows: 8, Context: 2048}},
	} {
		s := &d.shape
		for rows := 1; rows <= s.MaxRows; rows++ {
			for pos := 1; pos <= s.Context; pos *= 2 {
				for per := 1; per <= 16/(s.Heads/s.KVHeads); per++ {
					n := size{items: ceil(rows, per), per: per, segments: ceil(pos, segmentSize)}
					if need, most := n.partialBytes(&d), d.mostPartial(); need > most {
						t.Fatalf("%d rows at %d, %d to an item: %d bytes, at most %d were expected", rows, pos, per, need, most)
					}
				}
			}
		}
	}
}

// TestWeightBytes compares what weights are predicted to take with what they take, and bounds it by the size of their blocks: the
// shapes are those of Llama 3.1 8B and 70B, where nothing is padded.
func TestWeightBytes(t *testing.T) {
	for typ, format := range formats {
		for _, shape := range [][2]int{{4096, 4096}, {14336, 4096}, {4096, 14336}, {128256, 4096}, {8192, 28672}} {
			file, err := typ.Bytes(int64(shape[0]) * int64(shape[1]))
			if err != nil {
				t.Fatal(err)
			}
			if got := weightBytes(typ, shape[0], shape[1]); got < file || float64(got) > 1.04*float64(file) {
				t.Errorf("%v %v: %d bytes, %d in the file (%s)", typ, shape, got, file, format.name)
			}
		}
	}
	sim.Start(t, "")
	s := kernels.Shape{Layers: 1, Hidden: 576, FFN: 64, Vocab: 331, Heads: 1, KVHeads: 1, HeadDim: 32, Eps: 1e-5, MaxRows: 1, MaxOut: 1, Slots: 1}
	d, err := kernels.Open("cuda", s, kernels.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, typ := range []block.Type{block.TypeF32, block.TypeBF16, block.TypeQ8_0, block.TypeQ4_1, block.TypeIQ4_NL} {
		w, err := kerneltest.NewWeight(typ, s.Vocab, s.Hidden, 1, rand.New(rand.NewPCG(1, 1)))
		if err != nil {
			t.Fatal(err)
		}
		before := d.Info().FreeFunc()
		if _, err := d.Load(kernels.TokenEmbd, w); err != nil {
			t.Fatal(err)
		}
		took, want := before-d.Info().FreeFunc(), d.Info().WeightBytes(typ, s.Vocab, s.Hidden)
		if took < want || took > want+4096 {
			t.Errorf("%v took %d bytes, predicted were %d", typ, took, want)
		}
	}
}
