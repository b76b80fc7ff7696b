package kernels

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// TestPoolOnce runs tasks of many sizes with many workers: each item runs once, and none after run has returned.
func TestPoolOnce(t *testing.T) {
	for _, workers := range []int{1, 2, 3, 7} {
		p := newPool(workers)
		counts := make([]atomic.Int32, 300)
		var open atomic.Bool
		task := func(worker, item int) {
			if !open.Load() || worker < 0 || worker >= workers {
				t.Errorf("worker %d of %d ran item %d, task open: %v", worker, workers, item, open.Load())
			}
			counts[item].Add(1)
		}
		for round := range 300 {
			if round%3 == 0 {
				p.begin()
			}
			open.Store(true)
			p.run(round, task)
			open.Store(false)
			for i := range counts {
				want := int32(0)
				if i < round {
					want = 1
				}
				if n := counts[i].Swap(0); n != want {
					t.Fatalf("%d workers, %d items: item %d ran %d times", workers, round, i, n)
				}
			}
			if round%3 == 2 {
				p.end()
			}
		}
		p.close()
	}
}

// TestPoolSpeeds lets one worker of the pool be half as fast as the others, as a core of a hybrid processor or one that another
// program shares. What its fellows wait for it at the end of tasks is at most 5% of the workers' time, over the products of a layer of
// Llama 3.1 8B Q4_K_M in the items that multiply makes of them. Items are slept, not computed, so that the test needs no cores of
// its own; a machine that wakes sleepers late gets five tries.
func TestPoolSpeeds(t *testing.T) {
	for _, c := range []struct {
		name    string
		workers int
		items   []int // of q, k and v, the attention's output, gate and up, down
		each    time.Duration
	}{
		{"a token, two workers", 2, []int{22, 10, 32, 52}, 2 * time.Millisecond}, // 1 MB
		{"a prompt, two workers", 2, []int{384, 256, 896, 256}, 300 * time.Microsecond},
		{"a prompt, four workers", 4, []int{384, 256, 896, 256}, time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			share := 1.0
			for try := 0; try < 5 && share > 0.05; try++ {
				share = waiting(c.workers, c.items, c.each)
				t.Logf("%.1f%% waiting", 100*share)
			}
			if !(share <= 0.05) {
				t.Errorf("workers wait for %.1f%% of their time, expected at most 5%%", 100*share)
			}
		})
	}
}

// waiting runs tasks of items that take each, twice that on the last worker, and gives the share of the workers' time that lies
// between the end of a worker's last item and the end of the task.
func waiting(workers int, tasks []int, each time.Duration) float64 {
	p := newPool(workers)
	defer p.close()
	p.begin()
	defer p.end()
	last := make([]time.Time, workers) // each written by its worker
	var idle, all time.Duration
	for _, items := range tasks {
		start := time.Now()
		for i := range last {
			last[i] = start
		}
		p.run(items, func(worker, _ int) {
			d := each
			if worker == workers-1 {
				d *= 2
			}
			time.Sleep(d)
			last[worker] = time.Now()
		})
		end := slices.MaxFunc(last, time.Time.Compare)
		for _, l := range last {
			idle += end.Sub(l)
		}
		all += time.Duration(workers) * end.Sub(start)
	}
	return float64(idle) / float64(all)
}
