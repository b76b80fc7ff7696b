package llama

import (
	"context"
	"fmt"

	"github.com/llama31/llama31/kernels"
	"gorgonia.org/tensor"
)

// Logits runs ids through the model and gives the logits after each of them: float32 [len(ids), vocabulary], the caller's own. For
// long texts LogitRows takes less memory: Llama 3.1's logits of 8,192 tokens are 4.2 GB.
func (m *Model) Logits(ctx context.Context, ids []int32) (*tensor.Dense, error) {
	v := m.config.vocab
	all := make([]float32, len(ids)*v)
	err := m.rows(ctx, ids, func(i int, o *kernels.Out) { o.Logits = all[i*v : (i+1)*v] }, func(int, *kernels.Out) {})
	if err != nil {
		return nil, err
	}
	return tensor.New(tensor.WithShape(len(ids), v), tensor.WithBacking(all)), nil
}

// LogitRows runs ids through the model and calls row for each of them, in order, with the logits after it. The slice is valid until
// row returns; row runs on the engine's goroutine and must not call the model.
func (m *Model) LogitRows(ctx context.Context, ids []int32, row func(i int, logits []float32)) error {
	v := m.config.vocab
	var buf [][]float32
	next := 0
	return m.rows(ctx, ids, func(i int, o *kernels.Out) {
		if i == 0 {
			next = 0
		}
		if next == len(buf) {
			buf = append(buf, make([]float32, v))
		}
		o.Logits = buf[next]
		next++
	}, func(i int, o *kernels.Out) {
		row(i, o.Logits)
		next = 0
	})
}

// Logprobs gives the log-probability of each token after the first under the model, [len(ids)−1]: of ids[i+1] after ids[0…i].
func (m *Model) Logprobs(ctx context.Context, ids []int32) ([]float64, error) {
	p := make([]float64, max(0, len(ids)-1))
	err := m.rows(ctx, ids, func(i int, o *kernels.Out) {
		if i < len(p) {
			o.Target = ids[i+1]
		}
	}, func(i int, o *kernels.Out) {
		if i < len(p) {
			p[i] = o.TargetLogprob
		}
	})
	return p, err
}

// rows runs a text whose every row is wanted.
func (m *Model) rows(ctx context.Context, ids []int32, want, got func(int, *kernels.Out)) error {
	if len(ids) == 0 || len(ids) > m.context {
		if len(ids) == 0 {
			return fmt.Errorf("%w: no tokens", ErrRequest)
		}
		return &ContextLengthError{Need: len(ids), Have: m.context}
	}
	for i, id := range ids {
		if id < 0 || int(id) >= m.config.vocab {
			return fmt.Errorf("%w: ids[%d] is %d, expected 0 to %d", ErrRequest, i, id, m.config.vocab-1)
		}
	}
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.leave()
	j := newJob(m.tokenizer, 1, 0)
	j.seqs = []*sequence{{job: j, tokens: ids, prompt: len(ids), limit: len(ids), slot: -1, want: want, got: got}}
	if err := m.engine.submit(j); err != nil {
		return err
	}
	// The engine writes into the caller's buffers, so its last word is waited for even when ctx ends.
	stop := context.AfterFunc(ctx, func() { j.cancel(); m.engine.signal() })
	defer stop()
	_, _, err := j.take(context.WithoutCancel(ctx), nil)
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}
