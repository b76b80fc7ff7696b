package cuda

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/llama31/llama31/kernels"
)

// Probe is what limits generation on a device, measured with nothing else running there.
type Probe struct {
	Name   string        // of the card
	Driver string        // CUDA version of the driver
	Read   float64       // reading memory, in GB/s (1e9 bytes a second)
	Call   time.Duration // of the program's time to launch a kernel
	Launch time.Duration // from one empty kernel's end to the next one's, launched one by one
	Graph  time.Duration // the same in a graph
}

const (
	probeBytes   = 4 << 30 // many times an L2 cache
	probePasses  = 5       // of which the median counts
	probeThreads = 512
	probeKernels = 1000
)

// RunProbe measures device i: of each figure the median of five passes. Reading is over 4 GiB, or half of the free memory if that is
// less. It fails with kernels.ErrUnavailable without such a device.
func RunProbe(i int) (*Probe, error) {
	d, err := loadDriver()
	if err != nil {
		return nil, err
	}
	g, err := d.open(i)
	if err != nil {
		return nil, err
	}
	defer g.close()
	p := &Probe{Name: g.properties.name, Driver: cudaVersion(d.version)}
	return p, g.do(func() error { return p.run(g) })
}

func (p *Probe) run(g *gpu) error {
	m, err := g.load("probe")
	if err != nil {
		return err
	}
	s, err := g.newStream()
	if err != nil {
		return err
	}
	if p.Read, err = probeRead(g, m, s); err != nil {
		return err
	}
	k, err := m.kernel("probe_empty")
	if err != nil {
		return err
	}
	l, err := newLaunch[struct{ y pointer }](k, 32)
	if err != nil {
		return err
	}
	l.programmatic()
	var call []time.Duration
	launches := func() error {
		start := time.Now()
		for range probeKernels {
			if err := l.run(s, 1, 1, 1); err != nil {
				return err
			}
		}
		call = append(call, time.Since(start)/probeKernels)
		return nil
	}
	seconds, err := timed(g, s, launches)
	if err != nil {
		return err
	}
	slices.Sort(call)
	p.Call = call[len(call)/2]
	p.Launch = time.Duration(seconds / probeKernels * 1e9)
	r, err := s.capture(launches)
	if err != nil {
		return err
	}
	if seconds, err = timed(g, s, func() error { return r.launch(s) }); err != nil {
		return err
	}
	p.Graph = time.Duration(seconds / probeKernels * 1e9)
	return nil
}

// probeRead is the speed of reading memory, in GB/s.
func probeRead(g *gpu, m *module, s *stream) (float64, error) {
	free, _, err := g.memoryInfo()
	if err != nil {
		return 0, err
	}
	k, err := m.kernel("probe_read")
	if err != nil {
		return 0, err
	}
	l, err := newLaunch[struct {
		x, y  pointer
		count int64
	}](k, probeThreads)
	if err != nil {
		return 0, err
	}
	perSM, err := k.blocksPerSM(probeThreads, 0)
	if err != nil {
		return 0, err
	}
	blocks := g.sms * perSM
	round := int64(4 * 16 * blocks * probeThreads)
	size := min(probeBytes, free/2) / round * round
	if size == 0 {
		return 0, fmt.Errorf("the probe: %w", &kernels.MemoryError{Device: g.name, Need: 2 * round, Free: free})
	}
	x, err := g.alloc(int(size))
	if err != nil {
		return 0, err
	}
	y, err := g.alloc(4 * blocks * probeThreads)
	if err != nil {
		return 0, err
	}
	if err := s.fill(x.pointer, 1, int(size)); err != nil {
		return 0, err
	}
	l.p.x, l.p.y, l.p.count = x.pointer, y.pointer, size/16
	seconds, err := timed(g, s, func() error { return l.run(s, blocks, 1, 1) })
	if err != nil {
		return 0, err
	}
	if err := x.free(); err != nil {
		return 0, err
	}
	return float64(size) / seconds / 1e9, y.free()
}

// timed is the median time on the device of what f puts into s, in seconds, after a first round.
func timed(g *gpu, s *stream, f func() error) (float64, error) {
	from, err := g.newEvent(true)
	if err != nil {
		return 0, err
	}
	to, err := g.newEvent(true)
	if err != nil {
		return 0, err
	}
	var times []float64
	for range 1 + probePasses {
		if err := from.record(s); err != nil {
			return 0, err
		}
		if err := f(); err != nil {
			return 0, err
		}
		if err := to.record(s); err != nil {
			return 0, err
		}
		if err := to.synchronize(); err != nil {
			return 0, err
		}
		t, err := to.since(from)
		if err != nil {
			return 0, err
		}
		times = append(times, t)
	}
	times = times[1:]
	slices.Sort(times)
	if err := from.free(); err != nil {
		return 0, err
	}
	return times[len(times)/2], to.free()
}

var launched atomic.Int64

// Launched is how many kernels this process has launched so far, those of graphs included, on all devices.
func Launched() int64 { return launched.Load() }
