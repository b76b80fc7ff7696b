package llama

import (
	"fmt"
	"math"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/kernels"
)

// config is a model's hyper-parameters, from the file's metadata. Sizes count elements.
type config struct {
	name                       string
	layers, hidden, ffn, vocab int
	heads, kvHeads, headDim    int
	context                    int // that the model was trained for
	eps                        float32
	ropeFreq                   []float64 // angle per position of each rotary pair
}

// Bounds on hyper-parameters: ten times those of Llama 3.1 405B, so that sizes computed from them stay far from overflow.
const (
	maxLayers  = 1 << 12
	maxWidth   = 1 << 19
	maxVocab   = 1 << 22
	maxContext = 1 << 24
)

func readConfig(f *gguf.File) (*config, error) {
	arch, err := f.String("general.architecture")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	if arch != "llama" {
		return nil, fmt.Errorf("%w: architecture %q, expected \"llama\"", ErrUnsupported, arch)
	}
	c := &config{}
	if f.Has("general.name") {
		c.name, _ = f.String("general.name")
	}
	r := metadata{f: f}
	c.layers = r.size("llama.block_count", maxLayers, 0)
	c.hidden = r.size("llama.embedding_length", maxWidth, 0)
	c.ffn = r.size("llama.feed_forward_length", maxWidth, 0)
	c.heads = r.size("llama.attention.head_count", maxWidth, 0)
	c.kvHeads = r.size("llama.attention.head_count_kv", maxWidth, c.heads)
	c.context = r.size("llama.context_length", maxContext, 0)
	if r.err == nil && c.hidden%c.heads != 0 && !f.Has("llama.attention.key_length") {
		r.err = fmt.Errorf("llama.embedding_length %d is not a multiple of llama.attention.head_count %d", c.hidden, c.heads)
	}
	if r.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, r.err)
	}
	c.headDim = r.size("llama.attention.key_length", maxWidth, c.hidden/c.heads)
	value := r.size("llama.attention.value_length", maxWidth, c.headDim)
	rotary := r.size("llama.rope.dimension_count", maxWidth, c.headDim)
	eps := r.float("llama.attention.layer_norm_rms_epsilon", 1e-5)
	base := r.float("llama.rope.freq_base", 10000)
	if r.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, r.err)
	}
	switch {
	case c.heads%c.kvHeads != 0:
		err = fmt.Errorf("%w: %d heads are not a multiple of %d KV heads", ErrModel, c.heads, c.kvHeads)
	case value != c.headDim:
		err = fmt.Errorf("%w: keys of %d and values of %d", ErrUnsupported, c.headDim, value)
	case rotary%2 != 0 || rotary > c.headDim:
		err = fmt.Errorf("%w: %d rotary dimensions in a head of %d", ErrModel, rotary, c.headDim)
	case !(eps > 0 && eps < 1):
		err = fmt.Errorf("%w: llama.attention.layer_norm_rms_epsilon is %g, expected between 0 and 1", ErrModel, eps)
	case !(base >= 1 && base < 1e12):
		err = fmt.Errorf("%w: llama.rope.freq_base is %g, expected 1 to 1e12", ErrModel, base)
	case f.Has("llama.expert_count") && r.size("llama.expert_count", maxWidth, 0) > 0:
		err = fmt.Errorf("%w: a mixture of %d experts", ErrUnsupported, r.size("llama.expert_count", maxWidth, 0))
	}
	if err != nil {
		return nil, err
	}
	c.eps = float32(eps)
	if c.ropeFreq, err = ropeFrequencies(f, rotary, base); err != nil {
		return nil, err
	}
	embd, err := f.Info("token_embd.weight")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	c.vocab = embd.Shape[0]
	if c.vocab > maxVocab || len(embd.Shape) != 2 {
		return nil, fmt.Errorf("%w: token_embd.weight has shape %v", ErrModel, embd.Shape)
	}
	return c, nil
}

// ropeFrequencies are base^(−2i/dims), divided by rope_freqs.weight where the file has it: Llama 3.1's scaling (factor 8, low 1,
// high 4, original context 8192) is carried by that tensor. Linear scaling divides all by its factor.
func ropeFrequencies(f *gguf.File, dims int, base float64) ([]float64, error) {
	freq := make([]float64, dims/2)
	for i := range freq {
		freq[i] = math.Pow(base, -2*float64(i)/float64(dims))
	}
	if f.Has("llama.rope.scaling.type") {
		kind, err := f.String("llama.rope.scaling.type")
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrModel, err)
		}
		switch kind {
		case "none", "llama3": // llama3: in rope_freqs.weight
		case "linear":
			factor, err := f.Float("llama.rope.scaling.factor")
			if err != nil || !(factor >= 1) {
				return nil, fmt.Errorf("%w: llama.rope.scaling.factor is %g (%v), expected 1 or more", ErrModel, factor, err)
			}
			for i := range freq {
				freq[i] /= factor
			}
		default:
			return nil, fmt.Errorf("%w: rope scaling %q", ErrUnsupported, kind)
		}
	}
	info, err := f.Info("rope_freqs.weight")
	if err != nil {
		return freq, nil // not scaled
	}
	if info.Type != block.TypeF32 || len(info.Shape) != 1 || info.Shape[0] != len(freq) {
		return nil, fmt.Errorf("%w: rope_freqs.weight is %v of %v, expected %v of [%d]", ErrModel, info.Type, info.Shape, block.TypeF32, len(freq))
	}
	t, err := f.Tensor("rope_freqs.weight")
	if err != nil {
		return nil, err
	}
	for i, x := range t.Float32s() {
		if !(x > 0) || math.IsInf(float64(x), 0) {
			return nil, fmt.Errorf("%w: rope_freqs.weight[%d] is %g, expected above 0", ErrModel, i, x)
		}
		freq[i] /= float64(x)
	}
	return freq, nil
}

// metadata reads values and keeps the first error.
type metadata struct {
	f   *gguf.File
	err error
}

// size is a count from 1 to limit; missing is allowed where otherwise is not 0.
func (r *metadata) size(key string, limit, otherwise int) int {
	if otherwise != 0 && !r.f.Has(key) {
		return otherwise
	}
	n, err := r.f.Uint(key)
	if err == nil && (n < 1 || n > uint64(limit)) && key != "llama.expert_count" {
		err = fmt.Errorf("%s is %d, expected 1 to %d", key, n, limit)
	}
	if err != nil && r.err == nil {
		r.err = err
	}
	return int(min(n, uint64(limit)))
}

func (r *metadata) float(key string, otherwise float64) float64 {
	if !r.f.Has(key) {
		return otherwise
	}
	x, err := r.f.Float(key)
	if err != nil && r.err == nil {
		r.err = err
	}
	return x
}

// kvBytes is what one position takes in the KV cache, all layers.
func (c *config) kvBytes(t kernels.KVType) int64 {
	values := 2 * int64(c.layers) * int64(c.kvHeads) * int64(c.headDim)
	switch t {
	case kernels.KVF32:
		return 4 * values
	case kernels.KVQ8:
		return values + values/32*2
	}
	return 2 * values
}
