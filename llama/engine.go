package llama

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/llama31/llama31/kernels"
)

// engine runs all requests of a model on one goroutine: each step takes one token of every sequence that is generating, then chunks
// of prompts up to a budget (continuous batching, Yu et al., "Orca", 2022).
type engine struct {
	device     *kernels.Pipeline
	overlapped kernels.Overlapped // the device, where it can begin a step before the last has ended; nil: not
	forward    func(kernels.Ops)
	pages      *pages
	slots      []int // free
	maxRows    int
	maxOut     int
	maxPlaces  int // most sequences that run or wait; 0: any number
	speculates bool
	isolates   bool
	drafter    *drafter // nil: none

	running   []*sequence // in order of admission
	prompting []*sequence // of these, the ones on their prompts
	step      *ahead      // the one that runs, whose batch is planned or follows from the one before
	next      *ahead
	costs     costs
	guesses   []*sequence // whose draft each added row of a step is
	slack     float64     // seconds for which each stream has tokens of the last step to show

	mu    sync.Mutex
	queue queue
	calls []func() // to run between two steps
	stats Stats
	quit  bool
	wake  chan struct{}
	ended chan struct{}
}

// Stats counts what the engine does.
type Stats struct {
	Running, Waiting      int
	Pages, PagesAvailable int   // of the KV cache; available ones may hold a shared prefix
	Steps                 int64 // so far, as all below
	PromptTokens          int64 // run; cached ones are not
	CachedTokens          int64
	GeneratedTokens       int64
	DraftedTokens         int64 // guessed by speculation
	AcceptedTokens        int64 // of these, the ones that the model drew itself
	Preempted             int64 // sequences sent back to the queue, for want of pages or for another key's turn
}

func newEngine(d *kernels.Pipeline, s kernels.Shape, forward func(kernels.Ops), pages int, o *Options) *engine {
	e := &engine{device: d, overlapped: d.Overlapped(), step: new(ahead), next: new(ahead), forward: forward, pages: newPages(pages),
		maxRows: s.MaxRows, maxOut: s.MaxOut, speculates: !o.NoSpeculation, isolates: o.IsolateKeys,
		queue: queue{weights: o.Weights}, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	if o.RejectWhenFull {
		e.maxPlaces = o.MaxRunning + o.MaxQueued
	}
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
	t := e.queue.tenant(j.key)
	taken := e.queue.waiting + e.stats.Running
	if lacking := taken + len(j.seqs) - e.maxPlaces; e.maxPlaces > 0 && taken > 0 && lacking > 0 {
		other := e.queue.displace(t)
		if other == nil || len(other.seqs) < lacking {
			return busy(e.maxPlaces)
		}
		e.remove(other, busy(e.maxPlaces))
	}
	j.engine = e
	for _, s := range j.seqs {
		s.tenant = t
		s.owner = e.owner(j.key)
		e.queue.push(s)
	}
	e.signal()
	return nil
}

// owner says whose pages a key's are; "": everyone's.
func (e *engine) owner(key string) string {
	if e.isolates {
		return key
	}
	return ""
}

// cancel ends a job: its waiting sequences now, those that run at the next step.
func (e *engine) cancel(j *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range j.seqs {
		s.cancelled.Store(true)
	}
	e.remove(j, nil)
}

// remove takes a job's waiting sequences out of the queue and ends them. e.mu is held.
func (e *engine) remove(j *job, err error) {
	for _, s := range j.seqs {
		if s.tenant != nil && e.queue.take(s) {
			s.ended = true
			j.finish(s, FinishError, err)
		}
	}
}

func (e *engine) signal() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// do runs f on the engine's goroutine, between two steps, and waits for it.
func (e *engine) do(f func()) error {
	done := make(chan struct{})
	e.mu.Lock()
	if e.quit {
		e.mu.Unlock()
		return ErrClosed
	}
	e.calls = append(e.calls, func() {
		f()
		close(done)
	})
	e.mu.Unlock()
	e.signal()
	select {
	case <-done:
		return nil
	case <-e.ended:
		select {
		case <-done: // it was the last
			return nil
		default:
			return ErrClosed
		}
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
		if len(e.step.Chunks) == 0 {
			continue
		}
		if e.overlapped != nil {
			e.runAhead()
			continue
		}
		start := time.Now()
		err := e.device.Step(&e.step.Batch, e.forward)
		e.deliver(err, time.Since(start))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, t := range slices.Clone(e.queue.active) {
		for _, s := range slices.Clone(t.waiting) {
			e.remove(s.job, ErrClosed)
		}
	}
	for _, s := range e.running {
		e.end(s, FinishError, ErrClosed)
	}
	e.running = nil
}

// collect lets go of what was cancelled, and waits while there is nothing to do. It reports false at the end.
func (e *engine) collect() bool {
	for {
		e.mu.Lock()
		for _, s := range e.running {
			if s.cancelled.Load() {
				e.end(s, FinishError, nil)
			}
		}
		e.compact()
		quit, idle := e.quit, len(e.running)+e.queue.waiting == 0
		e.stats.Waiting = e.queue.waiting
		calls := e.calls
		e.calls = nil
		e.mu.Unlock()
		for _, f := range calls {
			f()
		}
		if quit || !idle {
			return !quit
		}
		e.forget()
		<-e.wake
	}
}

// forget lets go of what the last steps were about, lest an idle engine keeps prompts and grammars in memory.
func (e *engine) forget() {
	clear(e.prompting[:cap(e.prompting)])
	clear(e.guesses[:cap(e.guesses)])
	e.step.forget()
	e.next.forget()
}

// end finishes a running sequence; compact removes it. e.mu is held.
func (e *engine) end(s *sequence, f Finish, err error) {
	if s.ended {
		return
	}
	s.ended = true
	e.release(s)
	s.job.finish(s, f, err)
}

// release takes back what a running sequence holds. e.mu is held.
func (e *engine) release(s *sequence) {
	if e.drafter != nil {
		e.drafter.forget(s)
	}
	s.drop(e.pages)
	e.slots = append(e.slots, s.slot)
	s.slot, s.chunk = -1, 0
	e.queue.leave(s.tenant)
}

// compact drops the sequences that ended. e.mu is held.
func (e *engine) compact() {
	e.running = slices.DeleteFunc(e.running, func(s *sequence) bool { return s.ended })
	e.stats.Running, e.stats.PagesAvailable = len(e.running), e.pages.available()
}

// admit lets waiting sequences run: keys in the order of their clocks, each while there is a slot and there are pages for all of its
// tokens. A key with less than its share of the running sequences takes from one with more.
func (e *engine) admit() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.queue.waiting > 0 && e.admitNext() {
	}
	e.stats.Running = len(e.running)
}

func (e *engine) admitNext() bool {
	blocked := false // a key whose clock is behind waits for room, which is kept for it
	for _, t := range e.queue.order() {
		s := t.next(e.ready)
		if s == nil {
			continue
		}
		for blocked || !e.fits(s) {
			v := e.victim(func(v *sequence) bool { return v.tenant != t && t.share(1) <= v.tenant.share(-1) })
			if blocked = v == nil; blocked {
				break
			}
			e.preempt(v)
		}
		if blocked {
			continue
		}
		e.queue.take(s)
		s.aged = s.aged || t.oldestNext()
		e.queue.enter(t)
		s.slot = e.slots[len(e.slots)-1]
		e.slots = e.slots[:len(e.slots)-1]
		e.running = append(e.running, s)
		s.start(e.pages)
		if !s.admitted {
			s.admitted, s.cached = true, s.done
			e.stats.CachedTokens += int64(s.done)
			s.job.begin(s)
		}
		return true
	}
	return false
}

// fits reports whether a sequence could run beside those that do, each of which keeps a page to go on.
func (e *engine) fits(s *sequence) bool {
	if len(e.slots) == 0 {
		return false
	}
	s.start(e.pages)
	need := (len(s.tokens)+pageSize)/pageSize - len(s.table)
	ok := need <= e.pages.available()-len(e.running) || len(e.running) == 0
	s.drop(e.pages)
	return ok
}

// ready reports whether a waiting sequence need not wait for another of its key, its twin, that is computing what they have in common.
func (e *engine) ready(s *sequence) bool {
	if t := s.twin; t != nil && t.slot >= 0 && t.done < s.shared {
		return false
	}
	s.twin, s.shared = nil, 0
	known := -1
	tokens := s.cacheable()
	for _, r := range e.running {
		if r.tenant != s.tenant || r.pending() == 1 {
			continue
		}
		n := min(common(r.tokens, tokens), len(tokens)-1) / pageSize * pageSize
		if n <= max(r.done, s.shared) {
			continue
		}
		if known < 0 {
			known = e.pages.known(s.owner, tokens)
		}
		if n > known {
			s.twin, s.shared = r, n
		}
	}
	return s.twin == nil
}

// victim picks who goes back to the queue: of the key with the largest share the lowest rank, of these the youngest. May says who can
// be picked.
func (e *engine) victim(may func(*sequence) bool) *sequence {
	var v *sequence
	for _, s := range e.running {
		if may(s) && (v == nil || cmp.Or(cmp.Compare(s.tenant.share(0), v.tenant.share(0)), cmp.Compare(v.rank(), s.rank()), cmp.Compare(s.arrival, v.arrival)) > 0) {
			v = s
		}
	}
	return v
}

// preempt sends a running sequence back to the queue, with its tokens. Its turn comes again, and gives the same text. e.mu is held.
func (e *engine) preempt(s *sequence) {
	e.running = slices.DeleteFunc(e.running, func(r *sequence) bool { return r == s })
	e.release(s)
	e.queue.push(s)
	e.stats.Preempted++
}

// plan makes the next batch: one row for whoever generates, then chunks of prompts, or guesses.
func (e *engine) plan() {
	rows := 0
	e.prompting = e.prompting[:0]
	for _, s := range e.running {
		s.chunk, s.draft = 0, s.draft[:0]
		if s.generating() {
			s.chunk = 1
			rows++
		} else {
			e.prompting = append(e.prompting, s)
		}
	}
	e.planPrompts(rows, e.yield())
	for i := 0; i < len(e.running); {
		if s := e.running[i]; s.reserve(e.pages, s.chunk) {
			i++
			continue
		}
		v := e.victim(func(*sequence) bool { return true })
		if slices.Index(e.running, v) < i {
			i--
		}
		e.mu.Lock()
		e.preempt(v)
		e.mu.Unlock()
	}
	if len(e.prompting) == 0 && e.speculates {
		e.speculate()
		if e.drafter != nil && len(e.guesses) == 0 {
			e.draft()
		}
	}
	e.fill()
}

const (
	// pause is how long a step may become for prompts' sake while someone generates, in seconds, or pauseSteps times a step without
	// them if that is longer: so many tokens of a stream come late together, and prompts still advance by enough rows at once.
	pause      = 0.05
	pauseSteps = 3
	// leastRows of a prompt go with any step.
	leastRows = 16
)

// farBehind is how many rows, for a weight of 1, a key's clock is behind that of one which took far more than its share: beside such
// a one it need not wait.
const farBehind = credit / 2

// yield leaves the streams of keys that took far more than their share out of a step, for the sake of another's prompt, and gives their
// number. They yield every other step at most.
func (e *engine) yield() (yielding int) {
	first := math.Inf(1)
	for _, s := range e.prompting {
		first = min(first, s.tenant.clock+farBehind/s.tenant.weight)
	}
	for _, s := range e.running {
		if s.yields = s.chunk > 0 && s.tenant.clock > first && !s.yields; s.yields {
			s.chunk = 0
			yielding++
		}
	}
	if yielding > 0 {
		e.prompting = slices.DeleteFunc(e.prompting, func(s *sequence) bool { return s.tenant.clock > first })
	}
	return yielding
}

// planPrompts gives the prompts their rows of a step: keys in the order of their clocks; of the first key's half to the oldest, so
// that each ends; the rest by priority, and of these to the ones with the least to do.
func (e *engine) planPrompts(generating, yielding int) {
	if len(e.prompting) == 0 {
		return
	}
	budget := e.maxRows
	if generating > 0 {
		least := min(budget, generating+leastRows)
		budget = e.costs.within(max(pause, pauseSteps*e.costs.of(generating)), least, budget)
		budget = max(least, min((budget+8)/16*16, e.maxRows)) // kernels take rows by 16: 72 of an 8B of 4 layers take as long as 80
	}
	generating -= yielding
	budget -= generating
	out := e.maxOut - generating
	give := func(s *sequence, most int) {
		n := min(s.pending()-s.chunk, most, budget)
		if s.scan != nil {
			unwanted := max(0, s.scan.from-s.done-s.chunk)
			n = min(n, unwanted+out)
			out -= max(0, n-unwanted)
		} else if n == s.pending()-s.chunk {
			if out == 0 {
				return
			}
			out--
		}
		s.chunk += n
		budget -= n
	}
	slices.SortStableFunc(e.prompting, func(a, b *sequence) int {
		return cmp.Or(cmp.Compare(a.tenant.clock, b.tenant.clock), cmp.Compare(b.priority, a.priority), cmp.Compare(a.pending(), b.pending()))
	})
	oldest := e.prompting[0]
	for _, s := range e.prompting {
		if s.tenant == oldest.tenant && s.arrival < oldest.arrival {
			oldest = s
		}
	}
	give(oldest, budget/2)
	for _, s := range e.prompting {
		if budget > 0 && s.pending() > s.chunk {
			give(s, budget)
		}
	}
}

// fill writes the batch.
func (e *engine) fill() {
	b := e.step
	b.Chunks, b.Out = b.Chunks[:0], b.Out[:0]
	row := 0
	for _, s := range e.running {
		if s.chunk == 0 {
			continue
		}
		s.out = len(b.Out)
		switch {
		case s.scan != nil:
			for i := max(0, s.scan.from-s.done); i < s.chunk; i++ {
				s.scan.want(s.done+i, b.add(row+i, s.slot))
			}
		case s.chunk == s.pending():
			s.format.cut(s)
			for i := range len(s.draft) + 1 {
				o := b.add(row+s.chunk-1+i, s.slot)
				o.Sample, o.Top = s.sample(i), s.top
			}
		}
		s.outs = len(b.Out) - s.out
		ids := s.tokens[s.done : s.done+s.chunk]
		if len(s.draft) > 0 {
			n := len(s.tokens)
			s.tokens = append(s.tokens, s.draft...)[:n] // beyond the end, to be overwritten
			ids = s.tokens[s.done : n+len(s.draft)]
		}
		b.Chunks = append(b.Chunks, kernels.Chunk{Slot: s.slot, Pos: s.done, IDs: ids, Pages: s.table})
		row += len(ids)
	}
}

// deliver hands a step's results to their sequences.
func (e *engine) deliver(err error, took time.Duration) {
	scanned, rows := false, 0
	for _, s := range e.running {
		rows += s.chunk + len(s.draft)
		if s.scan == nil || s.chunk == 0 || err != nil {
			continue
		}
		scanned = true
		for i := range s.outs {
			at := s.done + s.chunk - s.outs + i
			s.scan.got(at, &e.step.Out[s.out+i])
			s.scan.from = at + 1
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	seconds := took.Seconds()
	if usual := e.costs.of(rows); usual > 0 {
		seconds = min(seconds, usual)
	}
	e.slack = math.Inf(1)
	for _, s := range e.running {
		if s.chunk == 0 {
			continue
		}
		if err != nil {
			// The device does not say whose rows failed, and their keys and values are undefined.
			e.end(s, FinishError, err)
			continue
		}
		e.queue.ran(s.tenant, s.chunk+len(s.draft))
		slack := e.advance(s, e.step.Out[s.out:s.out+s.outs], seconds)
		if s.scan == nil && !s.job.quiet {
			e.slack = min(e.slack, slack)
		}
	}
	if err == nil {
		e.stats.Steps++
		if !scanned {
			e.costs.note(rows, took)
		}
	}
	e.compact()
}

// advance takes note of a sequence's rows in a step of so many seconds, and of the tokens drawn: that after the last token, and those
// after each guess that was right. These are for the caller's eyes one by one, in the time that the next step takes, if it takes as
// long. It gives the seconds from the first to the last.
func (e *engine) advance(s *sequence, outs []kernels.Out, seconds float64) (slack float64) {
	if !s.generating() {
		e.stats.PromptTokens += int64(s.chunk)
	}
	s.advance(e.pages, s.chunk)
	if s.scan != nil {
		if s.pending() == 0 {
			e.end(s, FinishStop, nil)
		}
		return 0
	}
	e.stats.DraftedTokens += int64(len(s.draft))
	right := 0
	for right < len(s.draft) && s.draft[right] == outs[right].ID {
		right++
	}
	s.drafted.judge(len(s.draft), right)
	e.stats.AcceptedTokens += int64(right)
	gap := 0.
	if s.job.paced() {
		gap = seconds / float64(right+1)
	}
	now := time.Now()
	for i := range outs {
		if i > 0 {
			s.advance(e.pages, 1)
			slack += gap
		}
		e.generated(s, &outs[i], now.Add(time.Duration(slack*float64(time.Second))))
		if s.ended || i < len(s.draft) && s.draft[i] != outs[i].ID || s.beginCall() {
			break
		}
	}
	return slack
}

var errNoToken = errors.New("llama: no token can be drawn: every one is masked out or not a number")

var errAmbiguous = fmt.Errorf("%w: the format's grammar is too ambiguous: the answer can be read in too many ways", ErrUnsupported)

// generated takes a sampled token, to be shown from due on.
func (e *engine) generated(s *sequence, o *kernels.Out, due time.Time) {
	if o.ID < 0 {
		e.end(s, FinishError, errNoToken)
		return
	}
	e.stats.GeneratedTokens++
	s.tokens = append(s.tokens, o.ID)
	s.count(o.ID)
	s.lookup.update(s.tokens)
	stop := s.job.token(s, o, due)
	switch {
	case stop || !s.format.call && s.format.complete(s):
		e.end(s, FinishStop, nil)
	case s.format.lost(s):
		e.end(s, FinishError, errAmbiguous)
	case len(s.tokens) >= s.limit:
		e.end(s, FinishLength, nil)
	}
}
