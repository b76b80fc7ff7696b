package kernels_test

import (
	"testing"

	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/kernels"
	"github.com/llama31/llama31/kernels/kerneltest"
	"gorgonia.org/tensor"
)

// split makes a Device of a pipeline whose stages have a layer each, for the suite, which loads layers in order, behind the rest.
type split struct {
	*kernels.Pipeline
	layers, loaded int
}

func (d *split) Info() kernels.Info { return d.At(0).Info() }

func (d *split) NewKV(_, pages int, t kernels.KVType) (kernels.KV, error) {
	return d.Pipeline.NewKV(pages, t)
}

func (d *split) Load(role kernels.Role, w *tensor.Dense) (kernels.Weight, error) {
	layer := (d.loaded - 3) / 9 // after the embeddings, the last norm and the output head
	switch {
	case d.loaded == 0:
		layer = -1
	case d.loaded < 3:
		layer = d.layers
	}
	d.loaded++
	return d.At(layer).Load(role, w)
}

// splitOver opens devices in turn, one for each layer.
func splitOver(names ...string) kerneltest.Opener {
	return func(s kernels.Shape) (kernels.Device, error) {
		var stages []kernels.Stage
		for i := range s.Layers {
			d, err := kernels.Open(names[i%len(names)], s, kernels.Options{Threads: 2})
			if err != nil {
				return nil, err
			}
			stages = append(stages, kernels.Stage{Device: d, Layers: 1})
		}
		p, err := kernels.NewPipeline(s, stages...)
		return &split{Pipeline: p, layers: s.Layers}, err
	}
}

// TestPipeline holds a model that is split after each layer to what its devices are held to.
func TestPipeline(t *testing.T) {
	o := kerneltest.Options{Types: []block.Type{block.TypeQ8_0}, KV: []kernels.KVType{kernels.KVF16}, NMSE: 5e-3, Max: 0.5}
	kerneltest.Run(t, splitOver("cpu", "reference"), o)
	kerneltest.Deterministic(t, splitOver("cpu"), o)
}

func TestPipelineStages(t *testing.T) {
	s := kernels.Shape{Layers: 3}
	for _, layers := range [][]int{{3, 0}, {1, 1}, {2, 2}, {-1, 4}} {
		var stages []kernels.Stage
		for _, n := range layers {
			stages = append(stages, kernels.Stage{Layers: n})
		}
		if _, err := kernels.NewPipeline(s, stages...); err == nil {
			t.Errorf("stages of %v layers for a model of 3 are taken", layers)
		}
	}
}
