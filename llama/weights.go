package llama

import (
	"context"
	"fmt"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/kernels"
)

// weights are the model's matrices on the device, by their names in the file. Shapes are [rows, cols].
type weights struct {
	tokenEmbd  kernels.Weight // [vocab, hidden]
	layers     []layer
	outputNorm kernels.Weight // [hidden]
	output     kernels.Weight // [vocab, hidden]; token_embd again where the model ties them
}

type layer struct {
	attnNorm   kernels.Weight // [hidden]
	attnQ      kernels.Weight // [heads*headDim, hidden]
	attnK      kernels.Weight // [kvHeads*headDim, hidden]
	attnV      kernels.Weight // [kvHeads*headDim, hidden]
	attnOutput kernels.Weight // [hidden, heads*headDim]
	ffnNorm    kernels.Weight // [hidden]
	ffnGate    kernels.Weight // [ffn, hidden]
	ffnUp      kernels.Weight // [ffn, hidden]
	ffnDown    kernels.Weight // [hidden, ffn]
}

// want is a tensor that the forward pass needs.
type want struct {
	name  string
	layer int // -1: before the first; the number of layers: behind the last
	role  kernels.Role
	to    *kernels.Weight
	rows  int // 0: a vector
	cols  int
}

// wants lists the tensors of a model in the order of their use.
func (c *config) wants(w *weights, tied bool) []want {
	h, q, kv := c.hidden, c.heads*c.headDim, c.kvHeads*c.headDim
	ws := []want{{"token_embd", -1, kernels.TokenEmbd, &w.tokenEmbd, c.vocab, h}}
	for i := range w.layers {
		l, blk := &w.layers[i], fmt.Sprintf("blk.%d.", i)
		ws = append(ws,
			want{blk + "attn_norm", i, kernels.Norm, &l.attnNorm, 0, h},
			want{blk + "attn_q", i, kernels.AttnQ, &l.attnQ, q, h},
			want{blk + "attn_k", i, kernels.AttnK, &l.attnK, kv, h},
			want{blk + "attn_v", i, kernels.AttnV, &l.attnV, kv, h},
			want{blk + "attn_output", i, kernels.AttnOutput, &l.attnOutput, h, q},
			want{blk + "ffn_norm", i, kernels.Norm, &l.ffnNorm, 0, h},
			want{blk + "ffn_gate", i, kernels.FFNGate, &l.ffnGate, c.ffn, h},
			want{blk + "ffn_up", i, kernels.FFNUp, &l.ffnUp, c.ffn, h},
			want{blk + "ffn_down", i, kernels.FFNDown, &l.ffnDown, h, c.ffn})
	}
	ws = append(ws, want{"output_norm", c.layers, kernels.Norm, &w.outputNorm, 0, h})
	if !tied {
		ws = append(ws, want{"output", c.layers, kernels.Output, &w.output, c.vocab, h})
	}
	return ws
}

// checkTensors compares the file's tensors with the hyper-parameters, before any of them is touched.
func (c *config) checkTensors(f *gguf.File) (tied bool, err error) {
	if _, err := f.Info("output.weight"); err != nil {
		tied = true
	}
	known := map[string]bool{"rope_freqs.weight": true}
	for _, w := range c.wants(&weights{layers: make([]layer, c.layers)}, tied) {
		name := w.name + ".weight"
		known[name] = true
		info, err := f.Info(name)
		if err != nil {
			return false, fmt.Errorf("%w: %w", ErrModel, err)
		}
		shape := []int{w.rows, w.cols}
		if w.rows == 0 {
			shape = shape[1:]
		}
		if len(info.Shape) != len(shape) || info.Shape[0] != shape[0] || info.Shape[len(shape)-1] != shape[len(shape)-1] {
			return false, fmt.Errorf("%w: %s has shape %v, expected %v from the hyper-parameters", ErrModel, name, info.Shape, shape)
		}
		if w.role == kernels.Norm && info.Type != block.TypeF32 {
			return false, fmt.Errorf("%w: %s is %v, expected %v", ErrUnsupported, name, info.Type, block.TypeF32)
		}
		if err := block.Dequantize(info.Type, nil, nil); err != nil {
			return false, fmt.Errorf("%w: %s: %w", ErrUnsupported, name, err)
		}
	}
	for _, t := range f.Tensors() {
		if !known[t.Name] {
			return false, fmt.Errorf("%w: tensor %q, which the llama architecture does not have (biases, adapters and experts are not loaded here)", ErrUnsupported, t.Name)
		}
	}
	return tied, nil
}

// loadWeights gives every tensor to the device of its layer. progress, if not nil, hears of bytes done.
func (c *config) loadWeights(ctx context.Context, f *gguf.File, p *kernels.Pipeline, tied bool, progress func(done, total int64)) (*weights, error) {
	w := &weights{layers: make([]layer, c.layers)}
	wants := c.wants(w, tied)
	if tied && p.At(-1) != p.At(c.layers) {
		wants = append(wants, want{"token_embd", c.layers, kernels.Output, &w.output, c.vocab, c.hidden})
	}
	var done int64
	for _, want := range wants {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		name := want.name + ".weight"
		t, err := f.Tensor(name)
		if err != nil {
			return nil, err
		}
		if *want.to, err = p.At(want.layer).Load(want.role, t); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if info, err := f.Info(name); err == nil && progress != nil {
			done = min(done+info.Size, f.Size)
			progress(done, f.Size)
		}
	}
	if w.output == nil {
		w.output = w.tokenEmbd
	}
	return w, nil
}
