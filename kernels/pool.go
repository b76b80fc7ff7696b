package kernels

import (
	"runtime"
	"sync/atomic"
	"time"
)

// pool is a fixed set of workers that share the items of one task at a time. The caller of run is worker 0; the others spin for
// a while after a task, since the next of a step comes within microseconds, then park. No goroutine starts and nothing is
// allocated per task.
type pool struct {
	n     int // workers, the caller included
	task  func(worker, item int)
	items int
	quit  bool
	_     [128]byte // the counters below are written by all workers: each on cache lines of its own
	next  atomic.Int64
	_     [128]byte
	busy  atomic.Int64 // helpers that have not finished the task
	_     [128]byte
	round atomic.Uint64 // counts tasks
	_     [128]byte
	help  []helper
}

type helper struct {
	parked atomic.Bool
	wake   chan struct{}
	done   chan struct{}
	_      [128]byte
}

// Both spinning loops yield their thread now and then: on a machine that other programs keep busy, the worker that is waited for may
// itself wait for the core on which the others spin, for milliseconds.

// spinTime is how long an idle worker spins before it parks: waking a parked one costs 5 to 50 µs, a gap between the
// operations of a step under 10 µs.
const spinTime = 60 * time.Microsecond

func newPool(n int) *pool {
	p := &pool{n: n, help: make([]helper, n-1)}
	for i := range p.help {
		h := &p.help[i]
		h.wake, h.done = make(chan struct{}, 1), make(chan struct{})
		go p.work(i+1, h)
	}
	return p
}

// run calls task for every item in 0 … items−1, each once, in no order, and returns when all have returned.
func (p *pool) run(items int, task func(worker, item int)) {
	if items == 0 {
		return
	}
	if items == 1 || p.n == 1 {
		for i := range items {
			task(0, i)
		}
		return
	}
	p.task, p.items = task, items
	p.start()
	p.claim(0)
	for spins := 1; p.busy.Load() != 0; spins++ {
		if spins%(1<<12) == 0 {
			yieldThread()
			runtime.Gosched()
		}
	}
}

// start opens a round for the helpers, waking those that are parked.
func (p *pool) start() {
	p.next.Store(0)
	p.busy.Store(int64(p.n - 1))
	p.round.Add(1)
	for i := range p.help {
		if h := &p.help[i]; h.parked.CompareAndSwap(true, false) {
			h.wake <- struct{}{}
		}
	}
}

func (p *pool) claim(worker int) {
	for {
		i := int(p.next.Add(1)) - 1
		if i >= p.items {
			return
		}
		p.task(worker, i)
	}
}

func (p *pool) work(worker int, h *helper) {
	defer close(h.done)
	for seen := uint64(0); ; {
		if !p.await(h, seen) {
			// Swap, not Store: qemu 7.2 lets an arm64 load pass the store before it, and then neither side sees the other.
			h.parked.Swap(true)
			// A round that opened before parked was set did not wake us: take it, unless start did wake us meanwhile.
			if p.round.Load() == seen || !h.parked.CompareAndSwap(true, false) {
				<-h.wake
			}
		}
		seen = p.round.Load()
		if p.quit {
			return
		}
		p.claim(worker)
		p.busy.Add(-1)
	}
}

// await spins until a round after seen opens, or spinTime is over.
func (p *pool) await(h *helper, seen uint64) bool {
	var since time.Time
	for spins := 1; ; spins++ {
		if p.round.Load() != seen {
			return true
		}
		if spins%(1<<10) == 0 {
			switch {
			case since.IsZero():
				since = time.Now()
			case time.Since(since) > spinTime:
				return false
			}
			yieldThread()
			runtime.Gosched()
		}
	}
}

func (p *pool) close() {
	p.quit = true
	p.start()
	for i := range p.help {
		<-p.help[i].done
	}
}
