package cuda

import (
	"fmt"
	"math"
)

// stream is a queue of work on a device: what is put in runs in order.
type stream struct {
	g      *gpu
	handle uintptr
}

// count counts kernels that are launched, or recorded.
func (s *stream) count(n int) {
	if s.g.recording {
		s.g.recorded += n
		return
	}
	launched.Add(int64(n))
}

// newStream makes a stream that does not wait for the default stream.
func (g *gpu) newStream() (*stream, error) {
	if g.poison != nil {
		return nil, g.poison
	}
	if err := g.check(g.call(g.streamCreate, g.outAddress(0), streamNonBlocking), "cuStreamCreate"); err != nil {
		return nil, err
	}
	s := &stream{g: g, handle: uintptr(g.out[0])}
	g.live[s] = true
	return s, nil
}

func (s *stream) free() error {
	delete(s.g.live, s)
	return s.g.check(s.g.call(s.g.streamDestroy, s.handle), "cuStreamDestroy")
}

// synchronize waits until the stream is empty. Errors of the work in it come out here.
func (s *stream) synchronize() error {
	if s.g.poison != nil {
		return s.g.poison
	}
	return s.g.check(s.g.call(s.g.streamSynchronize, s.handle), "cuStreamSynchronize")
}

// wait makes later work of the stream wait for the event, which may be of another device.
func (s *stream) wait(e *event) error {
	if s.g.poison != nil {
		return s.g.poison
	}
	return s.g.check(s.g.call(s.g.streamWaitEvent, s.handle, e.handle, 0), "cuStreamWaitEvent")
}

// event is a point in a stream.
type event struct {
	g      *gpu
	handle uintptr
}

// newEvent makes an event; one with timing costs more.
func (g *gpu) newEvent(timing bool) (*event, error) {
	if g.poison != nil {
		return nil, g.poison
	}
	var flags uintptr = eventDisableTiming
	if timing {
		flags = 0
	}
	if err := g.check(g.call(g.eventCreate, g.outAddress(0), flags), "cuEventCreate"); err != nil {
		return nil, err
	}
	e := &event{g: g, handle: uintptr(g.out[0])}
	g.live[e] = true
	return e, nil
}

func (e *event) free() error {
	delete(e.g.live, e)
	return e.g.check(e.g.call(e.g.eventDestroy, e.handle), "cuEventDestroy")
}

// record puts the event after what is in s now.
func (e *event) record(s *stream) error {
	if e.g.poison != nil {
		return e.g.poison
	}
	return e.g.check(e.g.call(e.g.eventRecord, e.handle, s.handle), "cuEventRecord")
}

// synchronize waits for the event.
func (e *event) synchronize() error {
	if e.g.poison != nil {
		return e.g.poison
	}
	return e.g.check(e.g.call(e.g.eventSynchronize, e.handle), "cuEventSynchronize")
}

// done reports whether the event has come to pass.
func (e *event) done() (bool, error) {
	if e.g.poison != nil {
		return false, e.g.poison
	}
	r := e.g.call(e.g.eventQuery, e.handle)
	if r == resultNotReady {
		return false, nil
	}
	return r == 0, e.g.check(r, "cuEventQuery")
}

// since is the time in seconds from an earlier event, both with timing and both past.
func (e *event) since(start *event) (float64, error) {
	g := e.g
	if g.poison != nil {
		return 0, g.poison
	}
	if err := g.check(g.call(g.eventElapsed, g.outAddress(0), start.handle, e.handle), "cuEventElapsedTime"); err != nil {
		return 0, err
	}
	return float64(math.Float32frombits(uint32(g.out[0]))) / 1e3, nil
}

// graph is a record of a stream's work that runs again with one call. The addresses in it are fixed: what changes between runs
// lies in device memory, or is changed by update.
type graph struct {
	g       *gpu
	handle  uintptr // CUgraphExec
	kernels int
}

// capture records what f puts into s, instead of running it. f must not synchronise, allocate or free.
func (s *stream) capture(f func() error) (*graph, error) {
	recorded, err := s.record(f)
	if err != nil {
		return nil, err
	}
	g := s.g
	defer g.call(g.graphDestroy, recorded)
	if err := g.check(g.call(g.graphInstantiate, g.outAddress(0), recorded, 0), "cuGraphInstantiateWithFlags"); err != nil {
		return nil, err
	}
	r := &graph{g: g, handle: uintptr(g.out[0]), kernels: g.recorded}
	g.live[r] = true
	return r, nil
}

// record gives a CUgraph, which the caller destroys.
func (s *stream) record(f func() error) (uintptr, error) {
	g := s.g
	if g.poison != nil {
		return 0, g.poison
	}
	if err := g.check(g.call(g.streamBeginCapture, s.handle, captureModeRelaxed), "cuStreamBeginCapture"); err != nil {
		return 0, err
	}
	g.recording, g.recorded = true, 0
	failed := f()
	g.recording = false
	g.out[0] = 0
	r := g.call(g.streamEndCapture, s.handle, g.outAddress(0))
	recorded := uintptr(g.out[0])
	if failed != nil {
		if recorded != 0 {
			g.call(g.graphDestroy, recorded)
		}
		return 0, failed
	}
	return recorded, g.check(r, "cuStreamEndCapture")
}

// launch puts the graph's work into s.
func (r *graph) launch(s *stream) error {
	if r.g.poison != nil {
		return r.g.poison
	}
	s.count(r.kernels)
	return r.g.ran(r.g.call(r.g.graphLaunch, r.handle, s.handle), "cuGraphLaunch")
}

// update records f anew into the graph; it reports false, and leaves the graph as it was, where the work is of another form
// than before and must be captured afresh.
func (r *graph) update(s *stream, f func() error) (bool, error) {
	recorded, err := s.record(f)
	if err != nil {
		return false, err
	}
	g := r.g
	defer g.call(g.graphDestroy, recorded)
	clear(g.out[:]) // CUgraphExecUpdateResultInfo: an int and two pointers
	result := g.call(g.graphExecUpdate, r.handle, recorded, g.outAddress(0))
	if result == resultGraphNotUpdate {
		return false, nil
	}
	r.kernels = g.recorded
	return result == 0, g.check(result, fmt.Sprintf("cuGraphExecUpdate, result %d", uint32(g.out[0])))
}

func (r *graph) free() error {
	delete(r.g.live, r)
	return r.g.check(r.g.call(r.g.graphExecDestroy, r.handle), "cuGraphExecDestroy")
}
