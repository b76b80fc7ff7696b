package llama

import (
	"errors"
	"slices"
	"sync"

	"github.com/llama31/llama31/kernels"
)

// engine runs all requests of a model on one goroutine: each step takes one token of every sequence that is generating, then chunks
// of prompts up to a budget (continuous batching, Yu et al., "Orca", 2022).
type engine struct {
	device  kernels.Device
	forward func(kernels.Ops)
	pages   *pages
	slots   []int // free
	maxRows int
	maxOut  int

	waiting []*sequence // in order of arrival; preempted ones in front
	running []*sequence // in order of admission
	batch   kernels.Batch
	owners  []*sequence // of batch.Out

	mu       sync.Mutex
	incoming []*sequence
	stats    Stats
	quit     bool
	wake     chan struct{}
	ended    chan struct{}
}

// mixedRows is the budget of a step in which someone generates, prompts included: a step of 64 rows takes a CPU about as long as
// 4 generated tokens of a large model, so that a long prompt does not stall running streams.
const mixedRows = 64

// Stats counts what the engine does.
type Stats struct {
	Running, Waiting      int
	Pages, PagesAvailable int   // of the KV cache; available ones may hold a shared prefix
	Steps                 int64 // so far, as all below
	PromptTokens          int64 // run; cached ones are not
	CachedTokens          int64
	GeneratedTokens       int64
	Preempted             int64 // sequences sent back to the queue for want of pages
}

func newEngine(d kernels.Device, s kernels.Shape, forward func(kernels.Ops), pages int) *engine {
	e := &engine{device: d, forward: forward, pages: newPages(pages), maxRows: s.MaxRows, maxOut: s.MaxOut,
		wake: make(chan struct{}, 1), ended: make(chan struct{})}
	for i := range s.Slots {
		e.slots = append(e.slots, s.Slots-1-i)
	}
	e.stats.Pages = pages
	return e
}

// submit queues a job's sequences.
func (e *engine) submit(j *job) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.quit {
		return ErrClosed
	}
	e.incoming = append(e.incoming, j.seqs...)
	e.signal()
	return nil
}

func (e *engine) signal() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// stop ends the engine after the step in flight, and every sequence with ErrClosed.
func (e *engine) stop() {
	e.mu.Lock()
	e.quit = true
	e.mu.Unlock()
	e.signal()
	<-e.ended
}

func (e *engine) run() {
	defer close(e.ended)
	for e.collect() {
		e.admit()
		e.plan()
		if len(e.batch.Chunks) == 0 {
			continue // all were cancelled
		}
		err := e.device.Step(&e.batch, e.forward)
		e.deliver(err)
	}
	for _, s := range slices.Concat(e.running, e.waiting) {
		e.end(s, FinishError, ErrClosed)
	}
}

// collect takes what came in, drops what was cancelled, and waits while there is nothing to do. It reports false at the end.
func (e *engine) collect() bool {
	for {
		e.mu.Lock()
		e.waiting = append(e.waiting, e.incoming...)
		e.incoming = e.incoming[:0]
		quit := e.quit
		e.sweep()
		e.stats.Running, e.stats.Waiting, e.stats.PagesAvailable = len(e.running), len(e.waiting), e.pages.available()
		e.mu.Unlock()
		if quit {
			return false
		}
		if len(e.running)+len(e.waiting) > 0 {
			return true
		}
		<-e.wake
	}
}

// sweep removes cancelled sequences.
func (e *engine) sweep() {
	gone := func(s *sequence) bool {
		if !s.cancelled.Load() {
			return false
		}
		e.release(s)
		s.ended = true
		s.job.finish(s.choice, "", FinishError, nil)
		return true
	}
	e.running = slices.DeleteFunc(e.running, gone)
	e.waiting = slices.DeleteFunc(e.waiting, gone)
}

// release gives back what a sequence holds.
func (e *engine) release(s *sequence) {
	s.drop(e.pages)
	if s.slot >= 0 {
		e.slots = append(e.slots, s.slot)
		s.slot = -1
	}
}

// admit lets waiting sequences run, in order, while there are slots and pages for all of their tokens.
func (e *engine) admit() {
	for i := 0; i < len(e.waiting) && len(e.slots) > 0; {
		s := e.waiting[i]
		if s.after != nil && !s.after.ended && s.after.done < s.after.prompt {
			i++ // its twin is still on the prompt that they share
			continue
		}
		s.start(e.pages)
		need := (len(s.tokens)+pageSize)/pageSize - len(s.table)
		if need > e.pages.available()-len(e.running) && len(e.running) > 0 {
			s.drop(e.pages)
			return
		}
		s.slot = e.slots[len(e.slots)-1]
		e.slots = e.slots[:len(e.slots)-1]
		e.waiting = slices.Delete(e.waiting, i, i+1)
		e.running = append(e.running, s)
		s.job.begin(s)
	}
}

// plan makes the next batch: one row for whoever generates, then chunks of prompts, oldest first.
func (e *engine) plan() {
	rows := 0
	for _, s := range e.running {
		if s.generating() {
			s.chunk = 1
			rows++
		}
	}
	budget := e.maxRows
	if rows > 0 {
		budget = min(budget, max(mixedRows, rows+16))
	}
	out := rows
	for _, s := range e.running {
		if s.generating() {
			continue
		}
		s.chunk = max(0, min(s.pending(), budget-rows))
		if s.scan != nil {
			unwanted := max(0, s.scan.from-s.done)
			s.chunk = min(s.chunk, unwanted+e.maxOut-out)
			out += max(0, s.chunk-unwanted)
		} else if s.chunk == s.pending() {
			out++
		}
		rows += s.chunk
	}
	for i := 0; i < len(e.running); i++ {
		for !e.running[i].reserve(e.pages, e.running[i].chunk) {
			// The youngest goes back to the queue with its tokens. Its turn comes again, and gives the same text.
			e.preempt()
			if i >= len(e.running) {
				break
			}
		}
	}
	e.fill()
}

// preempt sends the youngest running sequence back to the front of the queue.
func (e *engine) preempt() {
	s := e.running[len(e.running)-1]
	e.running = e.running[:len(e.running)-1]
	e.release(s)
	s.chunk = 0
	e.waiting = slices.Insert(e.waiting, 0, s)
	e.mu.Lock()
	e.stats.Preempted++
	e.mu.Unlock()
}

// fill writes the batch.
func (e *engine) fill() {
	b := &e.batch
	b.Chunks, b.Out, e.owners = b.Chunks[:0], b.Out[:0], e.owners[:0]
	row := 0
	for _, s := range e.running {
		if s.chunk == 0 {
			continue
		}
		b.Chunks = append(b.Chunks, kernels.Chunk{Slot: s.slot, Pos: s.done, IDs: s.tokens[s.done : s.done+s.chunk], Pages: s.table})
		switch {
		case s.scan != nil:
			for i := max(0, s.scan.from-s.done); i < s.chunk; i++ {
				s.scan.want(s.done+i, e.out(s, row+i))
			}
		case s.chunk == s.pending():
			o := e.out(s, row+s.chunk-1)
			o.Sample, o.Top = s.sample(), s.top
		}
		row += s.chunk
	}
}

// out adds an Out row, keeping the slices of one used before.
func (e *engine) out(s *sequence, row int) *kernels.Out {
	b := &e.batch
	var old kernels.Out
	if n := len(b.Out); n < cap(b.Out) {
		old = b.Out[:n+1][n]
	}
	b.Out = append(b.Out, kernels.Out{Row: row, Slot: s.slot, Target: -1, TopIDs: old.TopIDs[:0], TopLogprobs: old.TopLogprobs[:0]})
	e.owners = append(e.owners, s)
	return &b.Out[len(b.Out)-1]
}

// deliver hands a step's results to their sequences.
func (e *engine) deliver(err error) {
	if err != nil {
		// The device does not say whose rows failed, and their keys and values are undefined.
		for _, s := range e.running {
			if s.chunk > 0 {
				e.end(s, FinishError, err)
			}
		}
		e.running = slices.DeleteFunc(e.running, func(s *sequence) bool { return s.ended })
		return
	}
	e.mu.Lock()
	e.stats.Steps++
	for _, s := range e.running {
		if n := int64(s.chunk); s.done < s.prompt {
			if s.done == s.cached {
				e.stats.CachedTokens += int64(s.cached)
			}
			e.stats.PromptTokens += n
		}
	}
	e.mu.Unlock()
	for i := range e.batch.Out {
		o, s := &e.batch.Out[i], e.owners[i]
		if s.scan != nil {
			at := s.done + o.Row - e.firstRow(s)
			s.scan.got(at, o)
			s.scan.from = at + 1
		}
	}
	generated := int64(0)
	for i := range e.batch.Out {
		if o, s := &e.batch.Out[i], e.owners[i]; s.scan == nil {
			s.advance(e.pages)
			e.generated(s, o)
			generated++
		}
	}
	for _, s := range e.running {
		s.advance(e.pages) // what has no Out row
		if s.scan != nil && s.done == len(s.tokens) {
			e.end(s, FinishStop, nil)
		}
	}
	e.mu.Lock()
	e.stats.GeneratedTokens += generated
	e.mu.Unlock()
	e.running = slices.DeleteFunc(e.running, func(s *sequence) bool { return s.ended })
}

// firstRow is the batch row of a sequence's first token.
func (e *engine) firstRow(s *sequence) int {
	row := 0
	for i := range e.batch.Chunks {
		if e.batch.Chunks[i].Slot == s.slot {
			break
		}
		row += len(e.batch.Chunks[i].IDs)
	}
	return row
}

var errNoToken = errors.New("llama: no token can be drawn: every one is masked out or not a number")

// generated takes a sampled token.
func (e *engine) generated(s *sequence, o *kernels.Out) {
	id := o.ID
	if id < 0 {
		e.end(s, FinishError, errNoToken)
		return
	}
	s.tokens = append(s.tokens, id)
	s.count(id)
	tok := s.job.tokenizer
	t := Token{Choice: s.choice, ID: id, Bytes: tok.Bytes(id), Logprob: o.Logprob}
	for i, id := range o.TopIDs {
		t.Top = append(t.Top, Alternative{ID: id, Bytes: tok.Bytes(id), Logprob: o.TopLogprobs[i]})
	}
	stop := s.stops[id]
	if !stop {
		t.Text, stop = s.text.next(id)
	}
	s.job.token(t)
	switch {
	case stop:
		e.end(s, FinishStop, nil)
	case len(s.tokens) >= s.limit:
		e.end(s, FinishLength, nil)
	}
}

// end finishes a sequence; the caller removes it from running.
func (e *engine) end(s *sequence, f Finish, err error) {
	if s.ended {
		return
	}
	s.ended = true
	e.release(s)
	text := ""
	if s.scan == nil {
		text = s.text.flush()
	}
	s.job.finish(s.choice, text, f, err)
}
