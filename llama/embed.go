package llama

import (
	"context"
	"fmt"
	"math"

	"github.com/llama31/llama31/kernels"
	"gorgonia.org/tensor"
)

// Pooling says how the hidden states of a text's tokens become one vector.
type Pooling uint8

const (
	PoolMean Pooling = iota // the mean over all tokens, beginning-of-text included
	PoolLast                // that of the last token, which has seen all others
)

// EmbedOptions of Model.Embed. The zero value, or nil, takes means as they are.
type EmbedOptions struct {
	Pooling   Pooling
	Normalize bool   // to length 1, so that inner products are cosines
	Key       string // for whom it is, as Request.Key
}

// Embed gives a vector for each text: float32 [len(texts), hidden], the caller's own. It pools the hidden states after the last
// layer's RMSNorm, which are Hugging Face's last_hidden_state; texts are begun as Request.Prompt is. Each text's vector is its own:
// it does not depend on the others. The texts share steps, so many at once take less time than one by one. Of no texts it is a matrix
// of no rows, which fmt cannot print: gorgonia.org/tensor's Format method looks for a first element.
//
// Errors: ErrContextLength for a text that is too long, ErrRequest for one without tokens (named by its index), those of Generate.
func (m *Model) Embed(ctx context.Context, texts []string, o *EmbedOptions) (*tensor.Dense, error) {
	ids := make([][]int32, len(texts))
	for i, text := range texts {
		ids[i] = m.encodeText(text)
	}
	return m.EmbedTokens(ctx, ids, o)
}

// EmbedTokens is Embed for texts that are tokens already, taken as they are.
func (m *Model) EmbedTokens(ctx context.Context, texts [][]int32, o *EmbedOptions) (*tensor.Dense, error) {
	if o == nil {
		o = &EmbedOptions{}
	}
	if o.Pooling > PoolLast {
		return nil, fmt.Errorf("%w: EmbedOptions.Pooling is %d, expected PoolMean or PoolLast", ErrRequest, o.Pooling)
	}
	n := m.config.hidden
	all := make([]float32, len(texts)*n)
	rows := rowBuffers{n: n}
	scans := make([]*scan, len(texts))
	for i, ids := range texts {
		to := all[i*n : (i+1)*n]
		if len(ids) == 0 {
			return nil, fmt.Errorf("%w: text %d has no tokens", ErrRequest, i)
		}
		if len(ids) > m.context {
			return nil, fmt.Errorf("text %d: %w", i, &ContextLengthError{Need: len(ids), Have: m.context})
		}
		s := &scan{ids: ids, want: func(_ int, o *kernels.Out) { o.Hidden = rows.take() }}
		if o.Pooling == PoolLast {
			s.from = len(ids) - 1
			s.got = func(_ int, o *kernels.Out) {
				copy(to, o.Hidden)
				rows.give(o.Hidden)
			}
		} else {
			var sum []float64
			s.got = func(i int, o *kernels.Out) {
				if sum == nil {
					sum = make([]float64, n)
				}
				for j, x := range o.Hidden {
					sum[j] += float64(x)
				}
				rows.give(o.Hidden)
				if i == len(ids)-1 {
					for j, x := range sum {
						to[j] = float32(x / float64(len(ids)))
					}
					sum = nil
				}
			}
		}
		scans[i] = s
	}
	if err := m.scan(ctx, o.Key, scans...); err != nil {
		return nil, err
	}
	if o.Normalize {
		for i := range texts {
			normalize(all[i*n : (i+1)*n])
		}
	}
	return tensor.New(tensor.WithShape(len(texts), n), tensor.WithBacking(all)), nil
}

// normalize makes x of length 1; zeros stay.
func normalize(x []float32) {
	var squares float64
	for _, v := range x {
		squares += float64(v) * float64(v)
	}
	if squares == 0 {
		return
	}
	r := 1 / math.Sqrt(squares)
	for i, v := range x {
		x[i] = float32(float64(v) * r)
	}
}
