package llama

import (
	"slices"
	"time"

	"github.com/llama31/llama31/kernels"
)

// A device that can begins each step of generation before the last one has ended: it takes the ids that it draws by itself, and works
// on while the host reads them. This is for steps that follow from the one before whatever is drawn there. A sequence that turns out to
// have ended has one row more, which nobody looks at.

// ahead is the step after the one that runs.
type ahead struct {
	kernels.Batch
	draws  []kernels.Sampling
	tables [][]int32 // copies: the sequences' own change when the step before is delivered
}

var lastSampled = []int32{kernels.LastSampled}

// runAhead runs the planned step, and those that follow from it.
func (e *engine) runAhead() {
	start := time.Now()
	err := e.overlapped.Begin(&e.step.Batch, e.forward)
	for err == nil {
		var began error
		more := e.follow(e.next)
		if more {
			began = e.overlapped.Begin(&e.next.Batch, e.forward)
		}
		err = e.overlapped.End()
		now := time.Now()
		e.deliver(err, now.Sub(start))
		if !more {
			return
		}
		if err != nil && began == nil {
			e.overlapped.End() // the sequences have ended with the first error
		}
		if err == nil {
			err = began
		}
		start = now
		e.step, e.next = e.next, e.step
		for _, s := range e.running {
			s.out = s.nextOut
		}
	}
	e.deliver(err, 0)
}

// follows says whether a step after the one that runs would do for a sequence, whose tokens lack the one that is being drawn.
func (s *sequence) follows(speculates bool) bool {
	switch {
	case s.chunk != 1 || s.outs != 1 || !s.generating() || len(s.draft) > 0 || s.cancelled.Load():
		return false
	case s.top > 0 || s.penalized() || s.format.machine != nil || s.arguments != nil: // the host has a word in the next draw
		return false
	case speculates && s.lookup.at > 0: // there is a guess
		return false
	}
	return len(s.tokens)+2 <= s.limit
}

// follow makes the step after the one that runs, which has a row of each sequence, or reports false where something else is to be done.
func (e *engine) follow(a *ahead) bool {
	if e.overlapped == nil || e.drafter != nil || len(e.running) == 0 {
		return false
	}
	e.mu.Lock()
	wanted := e.quit || len(e.calls) > 0 || e.queue.waiting > 0
	e.mu.Unlock()
	if wanted {
		return false
	}
	for _, s := range e.running {
		if !s.follows(e.speculates) || !s.reserve(e.pages, 2) {
			return false
		}
	}
	n := len(e.running)
	a.draws = slices.Grow(a.draws[:0], n)
	a.Chunks, a.Out = a.Chunks[:0], a.Out[:0]
	for len(a.tables) < n {
		a.tables = append(a.tables, nil)
	}
	for i, s := range e.running {
		a.tables[i] = append(a.tables[i][:0], s.table...)
		a.Chunks = append(a.Chunks, kernels.Chunk{Slot: s.slot, Pos: s.done + 1, IDs: lastSampled, Pages: a.tables[i]})
		a.draws = append(a.draws, s.sampling)
		a.draws[i].Draw = uniform(s.seed, s.choice, len(s.tokens)+1)
		o := a.add(i, s.slot)
		o.Sample = &a.draws[i]
		s.nextOut = i
	}
	return true
}

// add adds an Out row, keeping the slices of one used before.
func (a *ahead) add(row, slot int) *kernels.Out {
	var old kernels.Out
	if n := len(a.Out); n < cap(a.Out) {
		old = a.Out[:n+1][n]
	}
	a.Out = append(a.Out, kernels.Out{Row: row, Slot: slot, Target: -1, TopIDs: old.TopIDs[:0], TopLogprobs: old.TopLogprobs[:0]})
	return &a.Out[len(a.Out)-1]
}

// forget keeps nothing of the step but its memory.
func (a *ahead) forget() {
	clear(a.Chunks[:cap(a.Chunks)])
	clear(a.draws[:cap(a.draws)])
	for i := range a.Out[:cap(a.Out)] {
		a.Out[:cap(a.Out)][i].Sample = nil
	}
}
