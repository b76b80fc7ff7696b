package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/llama31/llama31/gguf/block"
)

// TestRefine: the largest logits of a row are what a wide operand gives, to the bit, and the others what a narrow one does, alone and beside other rows.
func TestRefine(t *testing.T) {
	const hidden, vocab = 512, 2*statsChunk + 907 // not of whole panels
	rng := rand.New(rand.NewPCG(1, 2))
	shape := Shape{Layers: 1, Hidden: hidden, FFN: hidden, Vocab: vocab, Heads: 4, KVHeads: 2, HeadDim: 64, Eps: 1e-5, MaxRows: 2 * outRows, MaxOut: 2 * outRows, Slots: 1}
	sizes := []float32{0, 0.003, 0.03, 0.3, 3} // of activations: all logits alike; more than refinedMost near the largest; few
	n := outRows + 7
	h := make([]float32, n*hidden)
	for i := range h {
		h[i] = sizes[i/hidden%len(sizes)] * float32(rng.NormFloat64())
	}
	h[9*hidden+5] = float32(math.NaN())
	for _, typ := range []block.Type{block.TypeQ8_0, block.TypeQ4_1, block.TypeQ4_K, block.TypeQ6_K, block.TypeQ2_K} {
		size, err := typ.Bytes(hidden)
		if err != nil {
			t.Fatal(err)
		}
		data, x := make([]byte, vocab*int(size)), make([]float32, vocab*hidden)
		for i := range x {
			x[i] = float32(rng.NormFloat64()) / 8
		}
		if err := block.Quantize(typ, data, x); err != nil {
			t.Fatal(err)
		}
		for _, name := range Features() {
			t.Run(fmt.Sprint(typ, "/", name), func(t *testing.T) {
				device, err := openCPU("", shape, Options{Leaf: name, Threads: 3})
				if err != nil {
					t.Fatal(err)
				}
				defer device.Close()
				d := device.(*cpuDevice)
				// logits are those of rows first to last, one after the other.
				logits := func(w *cpuWeight, first, last int) (all []float32) {
					all = make([]float32, (last-first)*vocab)
					d.batch = &Batch{}
					for i := range last - first {
						d.batch.Out = append(d.batch.Out, Out{Target: -1, Logits: all[i*vocab:][:vocab]})
					}
					copy(d.h, h[first*hidden:last*hidden])
					d.pool.begin()
					d.Logits(w)
					d.pool.end()
					return all
				}
				narrow := cpuWeight{t: typ, rows: vocab, cols: hidden, stride: int(size), data: data, format: formats[typ]}
				if dot, ok := d.leaf.dots[typ]; ok {
					narrow.dot = &dot
				}
				wide, head := narrow, narrow
				wide.wide, head.refined = true, true
				n := n
				if name == "generic" {
					n = 10 // it is slow
				}
				all := logits(&head, 0, n)
				want, others := logits(&wide, 0, n), logits(&narrow, 0, n)
				for r := range n {
					row, few := all[r*vocab:][:vocab], 0
					for i, refined := range refinedTwin(others[r*vocab:][:vocab]) {
						w := others[r*vocab+i]
						if refined {
							w = want[r*vocab+i]
							few++
						}
						if math.Float32bits(row[i]) != math.Float32bits(w) {
							t.Fatalf("row %d: logit %d is %v, expected %v (refined: %v)", r, i, row[i], w, refined)
						}
					}
					if size := sizes[r%len(sizes)]; size >= 0.3 && r != 9 && few == 0 || few > refinedMost {
						t.Errorf("row %d, of activations of %v: %d logits are refined", r, size, few)
					}
				}
				for r := 0; r < 10; r += 3 {
					for i, l := range logits(&head, r, r+1) {
						if math.Float32bits(l) != math.Float32bits(all[r*vocab+i]) {
							t.Fatalf("row %d alone: logit %d is %v, expected %v", r, i, l, all[r*vocab+i])
						}
					}
				}
			})
		}
	}
}

// refinedTwin says which logits of a row are to be refined, in the words of the constants' comment.
func refinedTwin(logits []float32) []bool {
	top, is := math.Inf(-1), make([]bool, len(logits))
	for _, l := range logits {
		if float64(l) > top {
			top = float64(l)
		}
	}
	for step := refinedWithin * refinedSteps; step > 0; step-- {
		n := 0
		for i, l := range logits {
			if is[i] = float32(top)-l < float32(step)/refinedSteps; is[i] {
				n++
			}
		}
		if n <= refinedMost {
			return is
		}
	}
	return make([]bool, len(logits))
}
