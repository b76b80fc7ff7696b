package kernels_test

import (
	"testing"

	"github.com/llama31/llama31/kernels"
	"github.com/llama31/llama31/kernels/kerneltest"
)

// TestCPU runs the device suite on every row of the leaf table that this machine can run.
func TestCPU(t *testing.T) {
	for _, name := range kernels.Features() {
		t.Run(name, func(t *testing.T) {
			open := func(s kernels.Shape) (kernels.Device, error) {
				return kernels.Open("cpu", s, kernels.Options{Leaf: name, Threads: 3})
			}
			// Peaked attention enlarges the rounding of int8 activations: the models reach 1.6e-3.
			o := kerneltest.Options{Exact: true, KV: []kernels.KVType{kernels.KVF16}, NMSE: 5e-3, Max: 0.5}
			if name == "generic" { // its arithmetic is that of the others, a hundred times slower
				o.Types = o.Types[:0:0]
			}
			kerneltest.Run(t, open, o)
			kerneltest.Deterministic(t, open, o)
		})
	}
}
