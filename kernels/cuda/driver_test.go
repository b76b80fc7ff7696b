package cuda

import (
	"embed"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/internal/testenv"
	"github.com/llama31/llama31/kernels"
	"github.com/llama31/llama31/kernels/cuda/sim"
)

//go:embed testdata/selftest.*.ptx
var selftest embed.FS

type (
	addParams struct {
		y, x pointer
		a    float32
		n    int32
	}
	sumParams struct {
		y, x            pointer
		barrier, beyond int32
	}
	wrongParams struct {
		y    pointer
		at   int64
		what int32
	}
	gridParams struct {
		state, y pointer
		rounds   int32
	}
	mmaParams struct {
		d, di, a, b, ai, bi pointer
		bf16, copies        int32
	}
	bulkParams struct {
		y, x                              pointer
		rounds                            int32
		to, from, size, announced, parity int32
		unmade, unfenced, unawaited       int32
	}
)

// openGPU opens a device that is closed when the test ends.
func openGPU(t testing.TB, i int) *gpu {
	t.Helper()
	d, err := loadDriver()
	if err != nil {
		t.Fatal(err)
	}
	g, err := d.open(i)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.close() })
	return g
}

// rig is a device with a stream and the kernels of testdata/selftest.cu.
type rig struct {
	g *gpu
	s *stream
	m *module
}

// failure carries an error out of the device's goroutine, which FailNow would end.
type failure struct{ error }

func ok(err error) {
	if err != nil {
		panic(failure{err})
	}
}

func made[T any](v T, err error) T {
	ok(err)
	return v
}

// on runs f in the device's goroutine.
func on(t testing.TB, g *gpu, f func(r *rig)) {
	t.Helper()
	if err := try(g, f); err != nil {
		t.Fatal(err)
	}
}

func try(g *gpu, f func(r *rig)) error {
	return g.do(func() (err error) {
		defer func() {
			if e, ok := recover().(failure); ok {
				err = e.error
			}
		}()
		name := "testdata/selftest.compute_80.ptx"
		if g.capability() == 90 {
			name = "testdata/selftest.compute_90a.ptx"
		}
		f(&rig{g: g, s: made(g.newStream()), m: made(g.loadModule("selftest", made(selftest.ReadFile(name))))})
		return nil
	})
}

// floats puts values into device memory.
func (r *rig) floats(x ...float32) *memory {
	m := made(r.g.alloc(4 * len(x)))
	ok(r.s.toDevice(m.pointer, asBytes(x)))
	return m
}

func (r *rig) read(m *memory) []float32 {
	x := make([]float32, m.size/4)
	ok(r.s.toHost(asBytes(x), m.pointer))
	ok(r.s.synchronize())
	return x
}

func asBytes[T any](x []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), len(x)*int(unsafe.Sizeof(x[0])))
}

func (r *rig) add(y, x *memory, a float32) *launch[addParams] {
	l := made(newLaunch[addParams](made(r.m.kernel("selftest_add")), 64))
	*l.p = addParams{y: y.pointer, x: x.pointer, a: a, n: int32(min(x.size, y.size) / 4)}
	return l
}

func ramp(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(i)
	}
	return x
}

func TestMissingLibrary(t *testing.T) {
	path := filepath.Join(t.TempDir(), "libcuda.so.1")
	t.Setenv(libraryVariable, path)
	_, err := loadDriver()
	if !errors.Is(err, kernels.ErrUnavailable) || !strings.Contains(err.Error(), "no CUDA driver") {
		t.Errorf("a library that is not there: %v", err)
	}
}

// A library without some symbols: all of them are named, and nothing panics.
func TestMissingSymbol(t *testing.T) {
	t.Setenv(libraryVariable, nullLibrary(t, "cuLaunchKernelEx cuMemAlloc_v2"))
	_, err := loadDriver()
	if !errors.Is(err, kernels.ErrUnavailable) || !strings.Contains(err.Error(), "lacks cuMemAlloc_v2, cuLaunchKernelEx") {
		t.Errorf("a library without two symbols: %v", err)
	}
}

func TestOldDriver(t *testing.T) {
	sim.StartCopy(t, "driver=11080")
	_, err := loadDriver()
	if !errors.Is(err, kernels.ErrUnavailable) || !strings.Contains(err.Error(), "too old: it has CUDA 11.8, needed is 12.0") {
		t.Errorf("an old driver: %v", err)
	}
}

// A driver that is new enough for machine code but not for our PTX says so, and the device stays usable.
func TestOldPTX(t *testing.T) {
	sim.StartCopy(t, "driver=12020 ptx=82")
	g := openGPU(t, 0)
	err := try(g, func(*rig) {})
	if !errors.Is(err, kernels.ErrUnavailable) || !strings.Contains(err.Error(), "it has CUDA 12.2, needed is 12.4") {
		t.Errorf("PTX on an old driver: %v", err)
	}
	if err := g.do(func() error { return g.poison }); err != nil {
		t.Errorf("the device is poisoned: %v", err)
	}
	if err := g.close(); err != nil {
		t.Error(err)
	}
}

func TestNoDevice(t *testing.T) {
	sim.StartCopy(t, "devices=0")
	_, err := loadDriver()
	if !errors.Is(err, kernels.ErrUnavailable) || !strings.Contains(err.Error(), "CUDA_ERROR_NO_DEVICE (100)") {
		t.Errorf("no device: %v", err)
	}
	sim.Start(t, "devices=2")
	d, err := loadDriver()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{-1, 2} {
		if _, err := d.open(i); !errors.Is(err, kernels.ErrUnavailable) {
			t.Errorf("device %d of 2: %v", i, err)
		}
	}
}

func TestOldCard(t *testing.T) {
	sim.Start(t, "capability=75")
	d, err := loadDriver()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.open(0); !errors.Is(err, kernels.ErrUnavailable) || !strings.Contains(err.Error(), "has compute capability 7.5, needed is 8.0") {
		t.Errorf("compute capability 7.5: %v", err)
	}
}

func TestProperties(t *testing.T) {
	sim.Start(t, "memory=100000000 sms=7 capability=90")
	g := openGPU(t, 0)
	if g.properties.name != "Simulated GPU" || g.sms != 7 || g.capability() != 90 || g.memory != 100000000 || g.sharedMax != 227<<10 || !g.cooperative || g.version != 12040 {
		t.Errorf("properties %+v, driver %d", g.properties, g.version)
	}
}

func TestCopyAndLaunch(t *testing.T) {
	for seed := range 10 {
		m := sim.Start(t, fmt.Sprintf("seed=%d", seed+1))
		g := openGPU(t, 0)
		on(t, g, func(r *rig) {
			const n = 1000
			x, y := r.floats(ramp(n)...), made(g.alloc(4*n))
			ok(r.s.fill32(y.pointer, math.Float32bits(1), n))
			l := r.add(y, x, 2)
			ok(l.run(r.s, (n+63)/64, 1, 1))
			l.p.a = -1 // the launch above keeps the parameters that it had
			for i, v := range r.read(y) {
				if v != 2*float32(i)+1 {
					t.Fatalf("seed %d: y[%d] = %v, want %d", seed, i, v, 2*i+1)
				}
			}
			z := made(g.alloc(4 * n))
			ok(r.s.copy(z.pointer, y.pointer, y.size))
			ok(r.s.fill(z.pointer, 0, 8))
			if got := r.read(z); got[1] != 0 || got[2] != 5 {
				t.Errorf("copied and filled: %v", got[:3])
			}
		})
		if c := m.Counters(); c.Launches != 1 || c.Kernels != 1 {
			t.Errorf("%d launches, %d kernels run, want 1 of each", c.Launches, c.Kernels)
		}
		if err := g.close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Copies to pinned memory are not there before the stream is synchronised, and the simulated driver shows it.
func TestPinned(t *testing.T) {
	sim.Start(t, "")
	g := openGPU(t, 0)
	late := false
	on(t, g, func(r *rig) {
		host := made(g.allocHost(4000))
		x := r.floats(ramp(1000)...)
		for range 20 {
			clear(host.bytes)
			ok(r.s.toHost(host.bytes, x.pointer))
			late = late || host.bytes[4+3] == 0
			ok(r.s.synchronize())
			if host.bytes[4+3] != 0x3f {
				t.Errorf("pinned memory after synchronising: % x", host.bytes[:8])
			}
		}
		ok(host.free())
	})
	if !late {
		t.Error("every copy was there before it was waited for: the simulated driver is too kind")
	}
}

func TestEvents(t *testing.T) {
	sim.Start(t, "devices=2")
	a, b := openGPU(t, 0), openGPU(t, 1)
	var x, y *memory
	var filled, copied *event
	var sa *stream
	on(t, a, func(r *rig) {
		x, sa = r.floats(ramp(100)...), r.s
		filled = made(a.newEvent(true))
		ok(filled.record(r.s))
	})
	on(t, b, func(r *rig) {
		ok(b.enablePeer(a))
		ok(b.enablePeer(a)) // twice is fine
		y = made(b.alloc(400))
		ok(r.s.wait(filled))
		ok(r.s.copyFrom(y.pointer, a, x.pointer, 400))
		copied = made(b.newEvent(false))
		ok(copied.record(r.s))
		ok(copied.synchronize())
		if done := made(copied.done()); !done {
			t.Error("an event that was waited for is not done")
		}
		if got := r.read(y); got[99] != 99 {
			t.Errorf("from the other device: %v, want 99", got[99])
		}
	})
	on(t, a, func(r *rig) {
		end := made(a.newEvent(true))
		ok(end.record(sa))
		for {
			if made(end.done()) {
				break
			}
		}
		if s := made(end.since(filled)); !(s >= 0 && s < 60) {
			t.Errorf("%v s between two events", s)
		}
	})
}

func TestOutOfMemory(t *testing.T) {
	sim.Start(t, fmt.Sprint("memory=", 3<<29))
	g := openGPU(t, 0)
	on(t, g, func(r *rig) {
		m := made(g.alloc(1 << 28))
		_, err := g.alloc(11 << 27)
		var e *kernels.MemoryError
		if !errors.As(err, &e) || !errors.Is(err, kernels.ErrOutOfMemory) || e.Need != 11<<27 || e.Free != 5<<28 {
			t.Errorf("out of memory: %v", err)
		} else if e.Error() != "cuda:0: 1.38 GiB needed, 1.25 GiB free" {
			t.Errorf("out of memory: %v", e)
		}
		ok(m.free())
		free, total, err := g.memoryInfo()
		ok(err)
		if free != 3<<29 || total != 3<<29 {
			t.Errorf("%d of %d bytes free", free, total)
		}
		ok(made(g.alloc(11 << 27)).free())
	})
}

// A kernel that does wrong poisons its device: the error comes at the next wait and at every later call, and another device and a
// reopened one work.
func TestPoison(t *testing.T) {
	for _, c := range []struct {
		name string
		at   int64
		what int32
		want string
	}{
		{"past the end", 64, 0, "CUDA_ERROR_ILLEGAL_ADDRESS"},
		{"before the start", -1, 0, "CUDA_ERROR_ILLEGAL_ADDRESS"},
		{"far off", 1 << 40, 0, "CUDA_ERROR_ILLEGAL_ADDRESS"},
		{"divergence", 0, 1, "CUDA_ERROR_LAUNCH_FAILED"},
		{"deadlock", 0, 2, "CUDA_ERROR_LAUNCH_FAILED"},
		{"misaligned", 0, 3, "CUDA_ERROR_LAUNCH_FAILED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := sim.Start(t, "devices=2")
			g := openGPU(t, 0)
			err := try(g, func(r *rig) {
				y := made(g.alloc(64 * 4))
				l := made(newLaunch[wrongParams](made(r.m.kernel("selftest_wrong")), 64))
				*l.p = wrongParams{y: y.pointer, at: c.at, what: c.what}
				ok(l.run(r.s, 1, 1, 1))
				ok(r.s.synchronize())
				ok(y.free()) // where it was before an allocation, only this finds it
			})
			var e *Error
			if !errors.As(err, &e) || e.Name != c.want {
				t.Fatalf("%v, want %s", err, c.want)
			}
			t.Log(m.LastError())
			err = g.do(func() error {
				if _, again := g.alloc(4); again != g.poison {
					t.Errorf("a later call: %v", again)
				}
				_, again := g.newStream()
				return again
			})
			if !errors.As(err, &e) || e.Name != c.want {
				t.Errorf("a later call: %v", err)
			}
			if err := g.close(); !errors.As(err, &e) {
				t.Errorf("close: %v", err)
			}
			for i := range 2 {
				on(t, openGPU(t, i), func(r *rig) {
					y := r.floats(1, 2, 3)
					ok(r.add(y, y, 1).run(r.s, 1, 1, 1))
					if got := r.read(y); got[2] != 6 {
						t.Errorf("on device %d afterwards: %v", i, got)
					}
				})
			}
		})
	}
}

func TestFailedLaunch(t *testing.T) {
	sim.Start(t, "fail_launch=2")
	g := openGPU(t, 0)
	err := try(g, func(r *rig) {
		y := r.floats(1)
		l := r.add(y, y, 1)
		ok(l.run(r.s, 1, 1, 1))
		ok(r.s.synchronize())
		ok(l.run(r.s, 1, 1, 1))
		ok(r.s.synchronize())
		t.Error("the second launch did not fail")
	})
	var e *Error
	if !errors.As(err, &e) || e.Name != "CUDA_ERROR_LAUNCH_FAILED" || e.Text != "unspecified launch failure" || !strings.HasPrefix(err.Error(), "cuda:0: ") {
		t.Errorf("%v", err)
	}
}

// Launches that are refused poison as well: a step would be done half.
func TestRefusedLaunch(t *testing.T) {
	m := sim.Start(t, "")
	for name, f := range map[string]func(r *rig, l *launch[addParams]) error{
		"empty grid":             func(r *rig, l *launch[addParams]) error { return l.run(r.s, 0, 1, 1) },
		"cooperative, too large": func(r *rig, l *launch[addParams]) error { l.cooperative(); return l.run(r.s, 1000, 1, 1) },
		"wrong parameters": func(r *rig, l *launch[addParams]) error {
			return made(newLaunch[mmaParams](l.kernel, 32)).run(r.s, 1, 1, 1)
		},
		"cluster on an old card": func(r *rig, l *launch[addParams]) error { l.cluster(2); return l.run(r.s, 2, 1, 1) },
	} {
		g := openGPU(t, 0)
		err := try(g, func(r *rig) {
			y := r.floats(1)
			if err := f(r, r.add(y, y, 1)); err == nil {
				t.Errorf("%s: the launch was taken", name)
			}
			ok(r.s.synchronize())
		})
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), "launch of selftest_add") {
			t.Errorf("%s: %v (%s)", name, err, m.LastError())
		}
		g.close()
	}
}

func TestShared(t *testing.T) {
	sim.Start(t, "")
	on(t, openGPU(t, 0), func(r *rig) {
		y := r.floats(1)
		l := r.add(y, y, 1)
		ok(l.shared(100 << 10))
		ok(l.run(r.s, 1, 1, 1))
		ok(r.s.synchronize())
		if err := l.shared(200 << 10); !errors.Is(err, kernels.ErrUnsupported) {
			t.Errorf("200 KiB of shared memory on a card with 163: %v", err)
		}
	})
}

func TestModuleErrors(t *testing.T) {
	sim.Start(t, "")
	on(t, openGPU(t, 0), func(r *rig) {
		_, err := r.g.loadModule("broken", []byte("nonsense"))
		if err == nil || !strings.Contains(err.Error(), "cuModuleLoadDataEx of broken: CUDA_ERROR_INVALID_PTX (218): a PTX JIT compilation failed: ptxas fatal: Missing .version") {
			t.Errorf("broken PTX: %v", err)
		}
		if _, err = r.g.loadModule("cubin", []byte("\x7fELF...")); !errors.Is(err, errNoBinary) {
			t.Errorf("machine code for another card: %v", err)
		}
		if _, err = r.m.kernel("selftest_none"); err == nil || !strings.Contains(err.Error(), "selftest_none") {
			t.Errorf("a kernel that is not there: %v", err)
		}
		ok(r.s.synchronize()) // none of that poisons
	})
}

func TestGraph(t *testing.T) {
	m := sim.Start(t, "")
	on(t, openGPU(t, 0), func(r *rig) {
		x, y := r.floats(ramp(100)...), r.floats(make([]float32, 100)...)
		l := r.add(y, x, 1)
		record := func() error {
			for range 3 {
				if err := l.run(r.s, 2, 1, 1); err != nil {
					return err
				}
			}
			return nil
		}
		gr := made(r.s.capture(record))
		if got := r.read(y); got[99] != 0 {
			t.Errorf("recording ran the kernels: %v", got[99])
		}
		for range 5 {
			ok(gr.launch(r.s))
		}
		if got := r.read(y); got[99] != 15*99 {
			t.Errorf("15 times: %v, want %d", got[99], 15*99)
		}
		if c := m.Counters(); c.GraphLaunches != 5 || c.Kernels != 15 || c.Launches != 0 {
			t.Errorf("%d graph launches of %d kernels, %d launches", c.GraphLaunches, c.Kernels, c.Launches)
		}
		// New parameters in the same form; then another form, which cannot be an update.
		l.p.a = -5
		if !made(gr.update(r.s, record)) {
			t.Error("an update of the same form was refused")
		}
		ok(gr.launch(r.s))
		if got := r.read(y); got[99] != 0 {
			t.Errorf("after the update: %v, want 0", got[99])
		}
		if made(gr.update(r.s, func() error { return l.run(r.s, 1, 1, 1) })) {
			t.Error("an update of another form was taken")
		}
		ok(gr.free())
		// What fails while recording comes out, and the stream goes on.
		why := errors.New("why")
		if _, err := r.s.capture(func() error { return why }); err != why {
			t.Errorf("a failed recording: %v", err)
		}
		ok(r.s.synchronize())
	})
}

// Work that may not be captured ends the capture, with the reason.
func TestGraphUnsupported(t *testing.T) {
	sim.Start(t, "")
	err := try(openGPU(t, 0), func(r *rig) {
		_, err := r.s.capture(func() error { return r.s.synchronize() })
		ok(err)
	})
	if err == nil || !strings.Contains(err.Error(), "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED") {
		t.Errorf("synchronising while recording: %v", err)
	}
}

// A graph may fork to a second stream and join again.
func TestGraphFork(t *testing.T) {
	sim.Start(t, "")
	on(t, openGPU(t, 0), func(r *rig) {
		x, y, z := r.floats(ramp(100)...), r.floats(make([]float32, 100)...), r.floats(make([]float32, 100)...)
		s2 := made(r.g.newStream())
		fork, join := made(r.g.newEvent(false)), made(r.g.newEvent(false))
		l1, l2, l3 := r.add(y, x, 1), r.add(z, x, 2), r.add(z, y, 1)
		gr := made(r.s.capture(func() error {
			ok(fork.record(r.s))
			ok(s2.wait(fork))
			ok(l1.run(r.s, 2, 1, 1))
			ok(l2.run(s2, 2, 1, 1))
			ok(join.record(s2))
			ok(r.s.wait(join))
			return l3.run(r.s, 2, 1, 1)
		}))
		ok(gr.launch(r.s))
		if got := r.read(z); got[7] != 21 {
			t.Errorf("forked and joined: %v, want 21", got[7])
		}
		ok(s2.synchronize())
	})
}

// Close frees what is left; the simulated driver counts.
func TestClose(t *testing.T) {
	m := sim.Start(t, "")
	g := openGPU(t, 0)
	on(t, g, func(r *rig) {
		for range 10 {
			made(g.alloc(1000))
			made(g.allocHost(1000))
			made(g.newEvent(true))
		}
		y := r.floats(1)
		l := r.add(y, y, 1)
		made(r.s.capture(func() error { return l.run(r.s, 1, 1, 1) }))
		ok(l.run(r.s, 1, 1, 1)) // still queued
	})
	if c := m.Counters(); c.Leaks() == "" {
		t.Error("nothing to free")
	}
	if err := g.close(); err != nil {
		t.Error(err)
	}
	if err := g.close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if c := m.Counters(); c.Leaks() != "" || c.Allocs != 11 || c.Kernels != 1 || c.Bytes != 0 || c.Peak != 10*1024+512 {
		t.Errorf("after close: %s: %+v", c.Leaks(), c)
	}
	if err := g.do(func() error { return nil }); err != errGPUClosed {
		t.Errorf("use after close: %v", err)
	}
}

// Two gpus of one card, as two models on it have, share its context: one is closed while the other captures.
func TestCloseBeside(t *testing.T) {
	sim.Start(t, "")
	a, b := openGPU(t, 0), openGPU(t, 0)
	on(t, b, func(r *rig) { made(b.alloc(1000)) })
	on(t, a, func(r *rig) {
		y := r.floats(1)
		l := r.add(y, y, 1)
		gr := made(r.s.capture(func() error { return errors.Join(l.run(r.s, 1, 1, 1), b.close()) }))
		ok(gr.launch(r.s))
		if got := r.read(y); got[0] != 2 {
			t.Errorf("captured beside a close: %v, want 2", got)
		}
	})
}

func TestReduction(t *testing.T) {
	for seed := range 20 {
		sim.Start(t, fmt.Sprintf("seed=%d", seed+1))
		sum := func(barrier, beyond int32) ([]float32, error) {
			g := openGPU(t, 0)
			defer g.close()
			var got []float32
			err := try(g, func(r *rig) {
				x, y := r.floats(ramp(4*1024)...), made(g.alloc(4*4))
				l := made(newLaunch[sumParams](made(r.m.kernel("selftest_sum")), 1024))
				*l.p = sumParams{y: y.pointer, x: x.pointer, barrier: barrier, beyond: beyond}
				ok(l.run(r.s, 4, 1, 1))
				got = r.read(y)
			})
			return got, err
		}
		got, err := sum(1, 0)
		if err != nil {
			t.Fatal(err)
		}
		for b, v := range got {
			if want := float32(1024*1024*b + 1024*1023/2); v != want {
				t.Errorf("seed %d: block %d: %v, want %v", seed, b, v, want)
			}
		}
		// Without its barrier the kernel reads shared memory before it is written, which is NaN here.
		got, err = sum(0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if s := got[0] + got[1] + got[2] + got[3]; s == s {
			t.Errorf("seed %d: the missing barrier went unseen: %v", seed, got)
		}
		if _, err = sum(1, 1); err == nil {
			t.Errorf("seed %d: a write past a shared array went unseen", seed)
		}
	}
}

func TestCooperative(t *testing.T) {
	sim.Start(t, "sms=8")
	on(t, openGPU(t, 0), func(r *rig) {
		k := made(r.m.kernel("selftest_grid"))
		blocks := made(k.blocksPerSM(64, 0)) * r.g.sms
		state, y := made(r.g.alloc(4)), made(r.g.alloc(4*blocks))
		ok(r.s.fill32(state.pointer, 0, 1))
		ok(r.s.fill32(y.pointer, 1, blocks))
		l := made(newLaunch[gridParams](k, 64))
		l.cooperative()
		*l.p = gridParams{state: state.pointer, y: y.pointer, rounds: 3}
		for range 2 { // the barrier's state is fit for another launch
			ok(l.run(r.s, blocks, 1, 1))
		}
		want := uint32(1)
		for range 6 {
			want *= uint32(blocks)
		}
		for i, v := range r.read(y) {
			if math.Float32bits(v) != want {
				t.Errorf("block %d: %d, want %d", i, math.Float32bits(v), want)
			}
		}
	})
}

// The tensor cores' fragment layouts: products of small integers, exact in every order.
func TestMma(t *testing.T) {
	for seed := range 4 {
		sim.Start(t, fmt.Sprintf("seed=%d", seed+1))
		g := openGPU(t, 0)
		on(t, g, func(r *rig) {
			for _, bf16 := range []int32{0, 1} {
				for _, copies := range []int32{0, 1} {
					a, b := make([]uint16, 16*16), make([]uint16, 8*16)
					ai, bi := make([]int8, 16*32), make([]int8, 8*32)
					fa, fb := make([]float32, len(a)), make([]float32, len(b))
					for i := range a {
						fa[i] = float32((i*7+seed)%11 - 5)
						a[i] = storage(fa[i], bf16)
					}
					for i := range b {
						fb[i] = float32((i*5+seed)%13 - 6)
						b[i] = storage(fb[i], bf16)
					}
					for i := range ai {
						ai[i] = int8(i*31 + seed)
					}
					for i := range bi {
						bi[i] = int8(i*17 + seed)
					}
					put := func(b []byte) *memory {
						m := made(g.alloc(len(b)))
						ok(r.s.toDevice(m.pointer, b))
						return m
					}
					d, di := r.floats(ramp(128)...), made(g.alloc(128*4))
					l := made(newLaunch[mmaParams](made(r.m.kernel("selftest_mma")), 32))
					*l.p = mmaParams{
						d: d.pointer, di: di.pointer, a: put(asBytes(a)).pointer, b: put(asBytes(b)).pointer,
						ai: put(asBytes(ai)).pointer, bi: put(asBytes(bi)).pointer, bf16: bf16, copies: copies,
					}
					ok(l.run(r.s, 1, 1, 1))
					got, gotInt := r.read(d), r.read(di)
					for i := range 16 {
						for j := range 8 {
							want, wantInt := float32(i*8+j), int32(1+j%2)+int32(i/8*2)
							for k := range 16 {
								want += fa[i*16+k] * fb[j*16+k]
							}
							for k := range 32 {
								wantInt += int32(ai[i*32+k]) * int32(bi[j*32+k])
							}
							if got[i*8+j] != want {
								t.Fatalf("bf16 %d, copies %d: d[%d][%d] = %v, want %v", bf16, copies, i, j, got[i*8+j], want)
							}
							if v := int32(math.Float32bits(gotInt[i*8+j])); v != wantInt {
								t.Fatalf("int8: d[%d][%d] = %d, want %d", i, j, v, wantInt)
							}
						}
					}
				}
			}
		})
		g.close()
	}
}

// Bulk copies arrive in the phase that waits for them. Each wrong use of them fails, or, where hardware may forgive it too, is seen
// with most seeds.
func TestBulk(t *testing.T) {
	const rounds, seeds = 8, 20
	for _, c := range []struct {
		name, want string
		wrong      bulkParams
	}{
		{name: "right"},
		{"a size of no multiple of 16", "a bulk copy of 120 bytes", bulkParams{size: -8, announced: -8}},
		{"to an address of no multiple of 16", "a bulk copy to 0x", bulkParams{to: 8}},
		{"from an address of no multiple of 16", "a bulk copy from the address 0x", bulkParams{from: 4}},
		{"to no shared memory", "which is not in shared memory", bulkParams{to: 1 << 20}},
		{"from outside of an allocation", "0 bytes past the end of 1024 bytes of device memory", bulkParams{from: 128}},
		{"more bytes than announced", "got 16 bytes more", bulkParams{announced: -16}},
		{"fewer bytes than announced", "mbarrier's phase: 16 bytes are to come", bulkParams{announced: 16}},
		{"an mbarrier that was not made", "mbarrier_init has not made", bulkParams{unmade: 1}},
		{"an mbarrier without a fence", "behind mbarrier_fence", bulkParams{unfenced: 1}},
		{"the other parity", "most", bulkParams{parity: 1}},
		{"not waited for", "most", bulkParams{unawaited: 1}},
	} {
		seen := 0
		for seed := range seeds {
			m := sim.Start(t, fmt.Sprintf("capability=90 seed=%d", seed+1))
			g := openGPU(t, 0)
			missing := 0
			err := try(g, func(r *rig) {
				x, y := r.floats(ramp(32*rounds)...), made(g.alloc(4*32*rounds))
				l := made(newLaunch[bulkParams](made(r.m.kernel("selftest_bulk")), 32))
				*l.p = c.wrong
				l.p.y, l.p.x, l.p.rounds = y.pointer, x.pointer, rounds
				ok(l.run(r.s, 1, 1, 1))
				for i, v := range r.read(y) {
					if v != float32(i) {
						missing++
					}
				}
			})
			g.close()
			if err != nil || missing > 0 {
				seen++
			}
			if c.want != "" && c.want != "most" && (err == nil || !strings.Contains(m.LastError(), c.want)) {
				t.Errorf("%s: %v (%s), want %q", c.name, err, m.LastError(), c.want)
			}
		}
		if seen < seeds && c.want != "" && c.want != "most" || seen < seeds/2 && c.want == "most" || seen > 0 && c.want == "" {
			t.Errorf("%s: wrong with %d seeds of %d", c.name, seen, seeds)
		}
	}
}

// storage is a small integer in float16 or bfloat16.
func storage(v float32, bf16 int32) uint16 {
	if bf16 != 0 {
		return uint16(math.Float32bits(v) >> 16)
	}
	return uint16(block.NewF16(v))
}

func TestLaunchAllocates(t *testing.T) {
	sim.Start(t, "lazy=0")
	on(t, openGPU(t, 0), func(r *rig) {
		y := r.floats(1)
		l := r.add(y, y, 1)
		gr := made(r.s.capture(func() error { return l.run(r.s, 1, 1, 1) }))
		host := made(r.g.allocHost(4))
		e := made(r.g.newEvent(false))
		if n := testing.AllocsPerRun(100, func() {
			ok(l.run(r.s, 1, 1, 1))
			ok(gr.launch(r.s))
			ok(r.s.toHost(host.bytes, y.pointer))
			ok(e.record(r.s))
			ok(e.synchronize())
			ok(r.s.synchronize())
		}); n != 0 {
			t.Errorf("%v allocations for a launch, a graph's launch, a copy, an event and a wait, want 0", n)
		}
	})
}

// BenchmarkLaunch is what the program itself spends on a launch: the library here does nothing. A library named by the environment
// is measured in its place.
func BenchmarkLaunch(b *testing.B) {
	if os.Getenv(libraryVariable) == "" {
		b.Setenv(libraryVariable, nullLibrary(b, ""))
	}
	g := openGPU(b, 0)
	if err := try(g, func(r *rig) {
		l := made(newLaunch[addParams](made(r.m.kernel("selftest_add")), 64))
		b.ReportAllocs()
		for b.Loop() {
			ok(l.run(r.s, 1, 1, 1))
		}
	}); err != nil {
		b.Fatal(err)
	}
}

// nullLibrary builds a driver that does nothing: it has one device of compute capability 8.0 whose attributes are all 80, and every
// symbol but the missing ones.
func nullLibrary(t testing.TB, missing string) string {
	t.Helper()
	_, err := exec.LookPath("gcc")
	testenv.Have(t, "cuda-sim", err == nil, "gcc, which builds the library, is not installed")
	bodies := map[string]string{
		"cuDriverGetVersion":   "(int *v) { *v = 12040; return 0; }",
		"cuDeviceGetCount":     "(int *n) { *n = 1; return 0; }",
		"cuDeviceGetAttribute": "(int *v, int a) { *v = a == 75 ? 8 : a == 76 ? 0 : 80; return 0; }",
		"cuMemHostAlloc":       "(void **p, unsigned long n) { *p = calloc(n, 1); return 0; }",
		"cuMemFreeHost":        "(void *p) { free(p); return 0; }",
	}
	c := "#include <stdlib.h>\n"
	for _, s := range new(symbols).table() {
		body := bodies[s.name]
		if body == "" {
			body = "(void) { return 0; }"
		}
		if !strings.Contains(missing, s.name) {
			c += "int " + s.name + body + "\n"
		}
	}
	path := filepath.Join(t.TempDir(), "libcuda.so.1")
	cmd := exec.Command("gcc", "-shared", "-fPIC", "-o", path, "-x", "c", "-")
	cmd.Stdin = strings.NewReader(c)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}
