package cuda_test

import (
	"bytes"
	"log/slog"
	"os"
	"slices"
	"strings"
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

// TestWgmma has prompts on the kernels for sm_90a: their bits are those of the kernels for single tokens. On the simulated driver that
// says nothing of the hardware's wgmma; on an H100 or H200 it is the experiment.
func TestWgmma(t *testing.T) {
	sim.StartOrReal(t, "capability=90")
	t.Setenv("LLAMA31_CUDA_WGMMA", "1")
	for _, typ := range []block.Type{block.TypeF16, block.TypeQ8_0, block.TypeQ4_K, block.TypeQ6_K} {
		var log bytes.Buffer
		s := kernels.Shape{Layers: 1, Hidden: 512, FFN: 256, Vocab: 300, Heads: 4, KVHeads: 1, HeadDim: 64, Eps: 1e-5, RopeFreq: kerneltest.RopeFreq(64, 10000), MaxRows: 200, MaxOut: 200, Slots: 1}
		m, err := kerneltest.NewModel(s, typ, 3)
		if err != nil {
			t.Fatal(err)
		}
		d, err := kernels.Open("cuda", s, kernels.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		forward, err := m.Load(d)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(log.String(), "kernel=mul_wgmma_") || strings.Contains(log.String(), "other bits") {
			t.Errorf("%v: the log has %q", typ, log.String())
		}
		if _, err := d.NewKV(1, 8, kernels.KVF16); err != nil {
			t.Fatal(err)
		}
		// The logits of a prompt's last row, run at once and in two pieces, of which the second is too short for these kernels.
		var rows [2][]float32
		ids := make([]int32, 150)
		for i := range ids {
			ids[i] = int32(i*37) % 300
		}
		pages := []int32{3, 1, 4, 0, 5}
		for i, cut := range []int{150, 140} {
			for _, c := range []kernels.Chunk{{IDs: ids[:cut], Pages: pages}, {Pos: cut, IDs: ids[cut:], Pages: pages}} {
				if len(c.IDs) == 0 {
					continue
				}
				b := kernels.Batch{Chunks: []kernels.Chunk{c}, Out: []kernels.Out{{Row: len(c.IDs) - 1, Target: -1, Logits: make([]float32, s.Vocab)}}}
				if err := d.Step(&b, forward); err != nil {
					t.Fatal(err)
				}
				rows[i] = b.Out[0].Logits
			}
		}
		if !slices.Equal(rows[0], rows[1]) {
			t.Errorf("%v: a prompt in two pieces gives other logits", typ)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
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
