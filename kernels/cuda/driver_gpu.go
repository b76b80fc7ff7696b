package cuda

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"github.com/llama31/llama31/kernels"
)

// errGPUClosed says that a gpu is used after close.
var errGPUClosed = errors.New("the device is closed")

// gpu is one device of the driver: its primary context, and one goroutine, locked to an operating system thread because a context
// is current to a thread. Its methods other than do and close, and those of what it makes (streams, events, kernels, launches,
// graphs), are called inside do only. They do not allocate unless they make something.
//
// A failed launch, and every failure but lack of memory or a wrong argument, poisons the gpu: each later call gives that error again.
type gpu struct {
	*driver
	properties
	name    string // "cuda:0"
	device  uintptr
	context uintptr

	mu     sync.Mutex // of do
	jobs   chan func() error
	result chan error
	ended  bool

	poison error
	out    [4]uint64   // results of calls, here because a pointer to the stack must not be passed
	slab   [12]uintptr // arguments of a call
	held   []byte
	live   map[any]bool // what close frees, of the types below
	args   argumentArena
	jit    *jit

	recording bool // a stream is captured
	recorded  int  // kernels in it
}

// resource is something to free at close.
type resource interface{ free() error }

// open makes device i's context and starts its goroutine.
func (d *driver) open(i int) (*gpu, error) {
	dev, p, err := d.device(i)
	if err != nil {
		return nil, err
	}
	if p.capability() < minCapability {
		return nil, fmt.Errorf("%w: %s has compute capability %d.%d, needed is %d.%d",
			kernels.ErrUnavailable, p.name, p.major, p.minor, minCapability/10, minCapability%10)
	}
	g := &gpu{
		driver: d, properties: p, name: fmt.Sprintf("cuda:%d", i), device: dev,
		jobs: make(chan func() error), result: make(chan error), live: map[any]bool{},
	}
	started := make(chan error)
	go g.run(started)
	if err := <-started; err != nil {
		return nil, err
	}
	return g, nil
}

// run is the gpu's goroutine. It never unlocks its thread, which ends with it.
func (g *gpu) run(started chan<- error) {
	runtime.LockOSThread()
	err := g.driver.check(g.call(g.primaryCtxRetain, g.outAddress(0), g.device), "cuDevicePrimaryCtxRetain")
	if err == nil {
		g.context = uintptr(g.out[0])
		if err = g.driver.check(g.call(g.ctxSetCurrent, g.context), "cuCtxSetCurrent"); err != nil {
			g.call(g.primaryCtxRelease, g.device)
		}
	}
	started <- err
	if err != nil {
		return
	}
	for f := range g.jobs {
		g.result <- f()
	}
}

// do runs f on the gpu's thread and waits for it. f must not call do or close. Safe for concurrent use; allocates nothing.
func (g *gpu) do(f func() error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return errGPUClosed
	}
	g.jobs <- f
	return <-g.result
}

// close waits for what runs, frees everything that is left and gives the context back. It may be called twice. It does not wait for the
// whole context, which all gpus of a card share: that would spoil what another of them captures.
func (g *gpu) close() error {
	err := g.do(func() error {
		g.ended = true
		var errs []error
		for r := range g.live {
			if s, ok := r.(*stream); ok {
				errs = append(errs, s.synchronize())
			}
		}
		for r := range g.live {
			errs = append(errs, r.(resource).free())
		}
		errs = append(errs, g.driver.check(g.call(g.primaryCtxRelease, g.device), "cuDevicePrimaryCtxRelease"))
		if g.poison != nil {
			return g.poison // the rest follows from it, and giving back the context frees what is left
		}
		return errors.Join(errs...)
	})
	if err == errGPUClosed {
		return nil
	}
	close(g.jobs) // nobody sends any more
	return err
}

// call calls a function of the driver. Addresses among the arguments are of memory outside Go's heap, of g.out, or of what g.held
// keeps: a piece of a goroutine's stack could move meanwhile.
func (g *gpu) call(fn uintptr, args ...uintptr) uintptr {
	n := copy(g.slab[:], args)
	return syscallN(fn, g.slab[:n]...)
}

// hold gives the address of b, which stays alive and in place until the next hold.
func (g *gpu) hold(b []byte) uintptr {
	g.held = b // and so b is on the heap
	return uintptr(unsafe.Pointer(&b[0]))
}

// outAddress is the address of g.out[i], which lives on the heap and does not move.
func (g *gpu) outAddress(i int) uintptr { return uintptr(unsafe.Pointer(&g.out[i])) }

// check turns a result into an error, and remembers it where the context can no longer be trusted.
func (g *gpu) check(result uintptr, call string) error {
	switch int(int32(result)) {
	case 0:
		return nil
	case resultInvalidValue, resultOutOfMemory, resultNotFound, resultNotSupported:
		return g.driver.check(result, call)
	}
	return g.ran(result, call)
}

// ran is check of what runs a kernel: each failure poisons the gpu, since the step of which it was a part is undone half.
func (g *gpu) ran(result uintptr, call string) error {
	if result == 0 {
		return nil
	}
	if g.poison == nil {
		g.poison = fmt.Errorf("%s: %w", g.name, g.driver.check(result, call))
	}
	return g.poison
}

// memoryInfo gives the bytes that are free on the device now, and in all.
func (g *gpu) memoryInfo() (free, total int64, err error) {
	if g.poison != nil {
		return 0, 0, g.poison
	}
	if err := g.check(g.call(g.memGetInfo, g.outAddress(0), g.outAddress(1)), "cuMemGetInfo"); err != nil {
		return 0, 0, err
	}
	return int64(g.out[0]), int64(g.out[1]), nil
}

// enablePeer lets g's kernels read and write other's memory. It fails with kernels.ErrUnsupported where the hardware cannot.
func (g *gpu) enablePeer(other *gpu) error {
	if g.poison != nil {
		return g.poison
	}
	g.out[0] = 0
	if err := g.check(g.call(g.deviceCanAccessPeer, g.outAddress(0), g.device, other.device), "cuDeviceCanAccessPeer"); err != nil {
		return err
	}
	if int32(g.out[0]) == 0 {
		return fmt.Errorf("%w: %s cannot reach the memory of %s", kernels.ErrUnsupported, g.name, other.name)
	}
	if r := g.call(g.ctxEnablePeer, other.context, 0); r != resultPeerEnabled {
		return g.check(r, "cuCtxEnablePeerAccess")
	}
	return nil
}
