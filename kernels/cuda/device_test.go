package cuda_test

import (
	"os"
	"testing"

	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/kernels"
	_ "github.com/llama31/llama31/kernels/cuda"
	"github.com/llama31/llama31/kernels/cuda/sim"
	"github.com/llama31/llama31/kernels/kerneltest"
)

func open(s kernels.Shape) (kernels.Device, error) { return kernels.Open("cuda", s, kernels.Options{}) }

// options are what the device is held to with float16 KV: activations are float16 too, and peaked attention enlarges their rounding.
var options = kerneltest.Options{
	Types: []block.Type{block.TypeF32, block.TypeF16, block.TypeBF16, block.TypeQ8_0, block.TypeQ4_0, block.TypeQ4_1, block.TypeQ5_0, block.TypeQ5_1,
		block.TypeQ2_K, block.TypeQ3_K, block.TypeQ4_K, block.TypeQ5_K, block.TypeQ6_K, block.TypeIQ4_NL, block.TypeIQ4_XS},
	KV:   []kernels.KVType{kernels.KVF16},
	NMSE: 1e-5, Max: 0.05,
}

func TestDevice(t *testing.T) {
	sim.StartOrReal(t, "")
	kerneltest.Run(t, open, options)
}

// TestDeviceQ8 has KV of 8 bits, where the rounding of activations turns into a whole step now and then, and weights of types that
// become Q8_0.
func TestDeviceQ8(t *testing.T) {
	sim.StartOrReal(t, "")
	kerneltest.Run(t, open, kerneltest.Options{Types: []block.Type{block.TypeQ8_0, block.TypeIQ2_S, block.TypeIQ1_M, block.TypeTQ2_0},
		KV: []kernels.KVType{kernels.KVQ8}, NMSE: 2e-3, Max: 0.2})
}

// TestDeterministic checks that the kernels for few and for many tokens, and all ways to cut up a prompt, give the same bits.
func TestDeterministic(t *testing.T) {
	o := options
	o.KV = []kernels.KVType{kernels.KVF16, kernels.KVQ8}
	if os.Getenv("LLAMA31_LONG") == "" {
		o.Types = []block.Type{block.TypeF16, block.TypeQ4_K}
		o.KV = o.KV[:1]
	}
	sim.StartOrReal(t, "")
	kerneltest.Deterministic(t, open, o)
}
