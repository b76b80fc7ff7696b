package llama

import (
	"context"
	"iter"
	"sync"
)

// Map answers many requests, in their order, running as many of them at once as the model batches. An error ends its own item only,
// with what Generate gives beside it; the loop goes on. At most four times Options.MaxRunning requests are taken from rs ahead of
// the answers that were yielded, so rs may be endless. It is ranged over on a goroutine of its own.
//
// When ctx ends, requests in flight end with its error and no more are taken from rs. Leaving the loop cancels what is in flight; the
// loop is over when that, and rs, have returned.
func (m *Model) Map(ctx context.Context, rs iter.Seq[Request]) iter.Seq2[*Response, error] {
	type answer struct {
		response *Response
		err      error
	}
	return func(yield func(*Response, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var flight sync.WaitGroup
		defer flight.Wait()
		defer cancel()
		answers := make(chan chan answer, min(4*m.options.MaxRunning, m.options.MaxRunning+m.options.MaxQueued)-1) // and one is waited for
		flight.Go(func() {
			defer close(answers)
			for r := range rs {
				to := make(chan answer, 1)
				select {
				case answers <- to:
				case <-ctx.Done():
					return
				}
				flight.Go(func() {
					response, err := m.Generate(ctx, r)
					to <- answer{response, err}
				})
			}
		})
		for to := range answers {
			if a := <-to; !yield(a.response, a.err) {
				return
			}
		}
	}
}
