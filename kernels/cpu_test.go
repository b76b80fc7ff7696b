package kernels_test

import (
	"testing"

	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/internal/testenv"
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
			o := kerneltest.Options{Exact: true, NMSE: 5e-3, Max: 0.5}
			// Plain Go takes 90% of this test's time, and the other rows are compared with it, bit for bit, leaf by leaf. So
			// beside one of them it runs a few types, of one scale, of scales and offsets, and of two scales per 32 values.
			few := name == "generic" && !testenv.Long()
			if few {
				o.Types = []block.Type{block.TypeQ8_0, block.TypeQ4_K, block.TypeQ6_K}
			}
			kerneltest.Run(t, open, o)
			if !few || len(kernels.Features()) == 1 {
				kerneltest.Deterministic(t, open, o)
			}
		})
	}
}
