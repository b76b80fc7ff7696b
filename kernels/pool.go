package kernels

import (
	"math"
	"runtime"
	"sync/atomic"
	"time"
)

// pool is a fixed set of workers that share the items of one task at a time. The caller of run is worker 0; the others spin while
// a step is under way and for a while after it, then park. No goroutine starts and nothing is allocated per task.
//
// A task is over when its items are done, not when every worker has taken part: a worker that wakes late, or whose core other
// programs hold, finds nothing left and delays nobody. So claims go through one word, which holds the number of items and the next
// one, and what a late worker claims can only be an item of the task that is open.
type pool struct {
	n    int // workers, the caller included
	task func(worker, item int)
	quit atomic.Bool
	hot  atomic.Bool   // a step is under way: do not park
	_    [128]byte     // the counters below are written by all workers: each on cache lines of its own
	word atomic.Uint64 // items<<32 | next
	_    [128]byte
	done atomic.Int64 // items of the task that have returned
	_    [128]byte
	help []helper
}

type helper struct {
	parked atomic.Bool
	wake   chan struct{}
	done   chan struct{}
	_      [128]byte
}

// spinTime is how long an idle worker spins after a step before it parks. Waking a parked one costs 5 to 50 µs, and a step of a
// small model follows the last within 30 µs.
const spinTime = 200 * time.Microsecond

func newPool(n int) *pool {
	p := &pool{n: n, help: make([]helper, n-1)}
	for i := range p.help {
		h := &p.help[i]
		h.wake, h.done = make(chan struct{}, 1), make(chan struct{})
		go p.work(i+1, h)
	}
	return p
}

// begin and end bracket the tasks of a step: begin wakes the workers, which stay awake until end.
func (p *pool) begin() {
	p.hot.Swap(true) // not Store, as in work
	p.wakeAll()
}

func (p *pool) end() { p.hot.Store(false) }

// wakeAll wakes the workers that are parked.
func (p *pool) wakeAll() {
	for i := range p.help {
		if h := &p.help[i]; h.parked.CompareAndSwap(true, false) {
			h.wake <- struct{}{}
		}
	}
}

// run calls task for every item in 0 … items−1, each once, in no order, and returns when all have returned.
func (p *pool) run(items int, task func(worker, item int)) {
	if items <= 1 || p.n == 1 {
		for i := range items {
			task(0, i)
		}
		return
	}
	p.task = task
	p.done.Store(0)
	p.word.Store(uint64(items) << 32)
	p.claim(0)
	for spins := 1; p.done.Load() != int64(items); spins++ {
		yield(spins)
	}
}

// claim runs items of the open task until none is left.
func (p *pool) claim(worker int) {
	n := int64(0)
	for {
		w := p.word.Add(1) - 1
		item := w & math.MaxUint32
		if item >= w>>32 {
			break
		}
		p.task(worker, int(item)) // the task stays open until this item is done
		n++
	}
	if n > 0 {
		p.done.Add(n)
	}
}

// open says whether an item is left to claim.
func (p *pool) open() bool {
	w := p.word.Load()
	return w&math.MaxUint32 < w>>32
}

func (p *pool) work(worker int, h *helper) {
	defer close(h.done)
	for !p.quit.Load() {
		if p.await() {
			p.claim(worker)
			continue
		}
		// Swap, not Store: qemu 7.2 lets an arm64 load pass the store before it, and then neither side sees the other.
		h.parked.Swap(true)
		// A step that began before parked was set did not wake us: go on, unless it did wake us meanwhile.
		if !p.hot.Load() && !p.quit.Load() || !h.parked.CompareAndSwap(true, false) {
			<-h.wake
		}
	}
}

// await spins until there is something to claim, or reports false when no step has been under way for spinTime.
func (p *pool) await() bool {
	var since time.Time
	for spins := 1; ; spins++ {
		if p.open() {
			return true
		}
		if spins%(1<<10) == 0 {
			switch {
			case p.hot.Load():
				since = time.Time{}
			case p.quit.Load():
				return false
			case since.IsZero():
				since = time.Now()
			case time.Since(since) > spinTime:
				return false
			}
		}
		yield(spins)
	}
}

// yield lets others have this core now and then. On a machine that other programs keep busy, the worker that is waited for may
// itself wait for the core on which the others spin, for milliseconds. Other goroutines come second: giving them the thread moves
// this one to another, which takes longer than most tasks of a small model (SmolLM2 generated 96 tokens a second when every
// thousandth spin did so, with one worker of two doing nearly all of the work).
func yield(spins int) {
	if spins%(1<<12) == 0 {
		yieldThread()
	}
	if spins%(1<<17) == 0 {
		runtime.Gosched()
	}
}

func (p *pool) close() {
	p.quit.Swap(true)
	p.wakeAll()
	for i := range p.help {
		<-p.help[i].done
	}
}
