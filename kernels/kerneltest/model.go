package kerneltest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"

	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/kernels"
	"gorgonia.org/tensor"
)

// Model is a small Llama with random weights.
type Model struct {
	Shape     kernels.Shape
	TokenEmbd *tensor.Dense
	Norm      *tensor.Dense // the last one
	Output    *tensor.Dense // nil: tied, TokenEmbd is used
	Layers    []Layer
}

// Layer is one block of a [Model].
type Layer struct {
	AttnNorm, AttnQ, AttnK, AttnV, AttnOutput *tensor.Dense
	FFNNorm, FFNGate, FFNUp, FFNDown          *tensor.Dense
}

// NewModel makes a model of shape s with matrices of type t. The residual stream starts small, so that what the layers add
// dominates it, and attention is peaked, so that a key missed or taken from the wrong place shows.
func NewModel(s kernels.Shape, t block.Type, seed uint64) (*Model, error) {
	r := rand.New(rand.NewPCG(seed, 0))
	var first error
	matrix := func(rows, cols int, scale float64) *tensor.Dense {
		w, err := NewWeight(t, rows, cols, scale/math.Sqrt(float64(cols)), r)
		if err != nil && first == nil {
			first = err
		}
		return w
	}
	norm := func() *tensor.Dense {
		w := make([]float32, s.Hidden)
		for i := range w {
			w[i] = float32(1 + 0.2*r.NormFloat64())
		}
		return tensor.New(tensor.WithShape(s.Hidden), tensor.WithBacking(w))
	}
	m := &Model{
		Shape:     s,
		TokenEmbd: matrix(s.Vocab, s.Hidden, 0.2*math.Sqrt(float64(s.Hidden))),
		Norm:      norm(),
		Output:    matrix(s.Vocab, s.Hidden, 2),
	}
	q, kv := s.Heads*s.HeadDim, s.KVHeads*s.HeadDim
	for range s.Layers {
		m.Layers = append(m.Layers, Layer{
			AttnNorm: norm(), AttnQ: matrix(q, s.Hidden, 2), AttnK: matrix(kv, s.Hidden, 1), AttnV: matrix(kv, s.Hidden, 1), AttnOutput: matrix(s.Hidden, q, 1),
			FFNNorm: norm(), FFNGate: matrix(s.FFN, s.Hidden, 1), FFNUp: matrix(s.FFN, s.Hidden, 1), FFNDown: matrix(s.Hidden, s.FFN, 1),
		})
	}
	return m, first
}

// NewWeight makes a [rows, cols] matrix of type t with values of the given standard deviation: normal ones, quantised, or random
// blocks where the type has no quantiser.
func NewWeight(t block.Type, rows, cols int, deviation float64, r *rand.Rand) (*tensor.Dense, error) {
	if t.Len() == 0 || cols%t.Len() != 0 {
		return nil, fmt.Errorf("kerneltest: rows of %d values are not whole blocks of %v", cols, t)
	}
	w := tensor.New(tensor.Of(t.Dtype()), tensor.WithShape(rows, cols/t.Len()))
	data := w.Uint8s()
	values := make([]float32, rows*cols)
	for i := range values {
		values[i] = float32(deviation * r.NormFloat64())
	}
	err := block.Quantize(t, data, values)
	if !errors.Is(err, block.ErrUnsupported) {
		return w, err
	}
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	for ; len(data) > 0; data = data[t.Size():] {
		if err := scaleBlock(t, data[:t.Size()], deviation); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// scaleBlock sets the float16 scales of a random block so that its values have the given root mean square.
func scaleBlock(t block.Type, b []byte, rms float64) error {
	set := func(d float32) {
		typ := t.Dtype().Type
		for i := range typ.NumField() {
			f := typ.Field(i)
			if f.Type == reflect.TypeFor[block.F16]() {
				binary.LittleEndian.PutUint16(b[f.Offset:], uint16(block.NewF16(d)))
			}
		}
		if t == block.TypeIQ1_M { // its scale lies in the top nibbles of the last four uint16
			h := uint16(block.NewF16(d))
			for i := range 4 {
				at := len(b) - 8 + 2*i + 1
				b[at] = b[at]&15 | byte(h>>(4*i)&15)<<4
			}
		}
	}
	set(1)
	values := make([]float32, t.Len())
	if err := block.Dequantize(t, values, b); err != nil {
		return err
	}
	sum := 0.0
	for _, v := range values {
		sum += float64(v) * float64(v)
	}
	set(float32(rms / math.Sqrt(sum/float64(len(values)))))
	return nil
}

// Load loads the model on a device and gives the forward pass, as package llama has it.
func (m *Model) Load(d kernels.Device) (forward func(kernels.Ops), err error) {
	load := func(role kernels.Role, w *tensor.Dense) kernels.Weight {
		if err != nil {
			return nil
		}
		var loaded kernels.Weight
		if loaded, err = d.Load(role, w); err != nil {
			err = fmt.Errorf("loading role %d, %v %v: %w", role, w.Dtype(), w.Shape(), err)
		}
		return loaded
	}
	type layer struct{ attnNorm, q, k, v, output, ffnNorm, gate, up, down kernels.Weight }
	var layers []layer
	embd, norm := load(kernels.TokenEmbd, m.TokenEmbd), load(kernels.Norm, m.Norm)
	output := embd
	if m.Output != nil {
		output = load(kernels.Output, m.Output)
	}
	for _, l := range m.Layers {
		layers = append(layers, layer{
			load(kernels.Norm, l.AttnNorm), load(kernels.AttnQ, l.AttnQ), load(kernels.AttnK, l.AttnK), load(kernels.AttnV, l.AttnV), load(kernels.AttnOutput, l.AttnOutput),
			load(kernels.Norm, l.FFNNorm), load(kernels.FFNGate, l.FFNGate), load(kernels.FFNUp, l.FFNUp), load(kernels.FFNDown, l.FFNDown),
		})
	}
	return func(o kernels.Ops) {
		o.Embed(embd)
		for i, l := range layers {
			o.NormQKV(l.attnNorm, l.q, l.k, l.v)
			o.RopeStore(i)
			o.Attend(i)
			o.ProjectAdd(l.output)
			o.NormGateUp(l.ffnNorm, l.gate, l.up)
			o.ProjectAdd(l.down)
		}
		o.Norm(norm)
		o.Logits(output)
	}, err
}

// RopeFreq are the frequencies base^(-2i/n) of the first n dimensions of a head.
func RopeFreq(n int, base float64) []float64 {
	f := make([]float64, n/2)
	for i := range f {
		f[i] = math.Pow(base, -2*float64(i)/float64(n))
	}
	return f
}
