package sim

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/llama31/llama31/internal/testenv"
)

// Counters are what the simulated driver counted since it was last set up. Bytes are of device memory, in use and at most.
type Counters struct {
	Allocs, Frees, HostAllocs, HostFrees, Streams, StreamsFreed, Events, EventsFreed, Modules, ModulesFreed, Graphs, GraphsFreed int64
	Contexts, ContextsReleased, Launches, Kernels, GraphLaunches, Bytes, Peak                                                    int64
}

// Leaks names what was made and not freed, "" if all was.
func (c Counters) Leaks() string {
	var b strings.Builder
	for _, p := range []struct {
		name        string
		made, freed int64
	}{
		{"allocations", c.Allocs, c.Frees}, {"pinned allocations", c.HostAllocs, c.HostFrees}, {"streams", c.Streams, c.StreamsFreed},
		{"events", c.Events, c.EventsFreed}, {"modules", c.Modules, c.ModulesFreed}, {"graphs", c.Graphs, c.GraphsFreed},
		{"contexts", c.Contexts, c.ContextsReleased},
	} {
		if p.made != p.freed {
			b.WriteString(p.name + ": " + strconv.FormatInt(p.made, 10) + " made, " + strconv.FormatInt(p.freed, 10) + " freed; ")
		}
	}
	return strings.TrimSuffix(b.String(), "; ")
}

// Machine is a simulated machine.
type Machine struct {
	Path                       string // of the library
	reset, counters, lastError uintptr
}

// Start sets up a simulated machine for the rest of a test, and makes kernels/cuda use it. options are "name=value" apart by spaces:
//
//	devices     number of devices (1)
//	memory      bytes of each (1 GiB)
//	seed        of the order of threads and of how late work runs (1)
//	capability  compute capability (80)
//	driver      the driver's CUDA version (12040)
//	ptx         the newest PTX version that it takes (84)
//	sms         streaming multiprocessors of each (4)
//	fail_launch the kernel of that number, from 1, fails
//	fail_alloc  the allocation of that number fails for lack of memory
//	fail_host   the pinned allocation of that number fails
//	fail_event  the event of that number cannot be made
//	fail_graphs 1: there is no memory for any graph
//	lazy        0: work runs as soon as it is put into a stream (1)
//	verbose     1: what is refused, and what a kernel does wrong, goes to standard error too (0)
//
// For a program, the environment has LLAMA31_SIM_DEVICES and so on. When the test ends, everything must have been freed.
func Start(t testing.TB, options string) *Machine {
	t.Helper()
	return start(t, Build(t), options)
}

// StartOrReal is Start, unless LLAMA31_REQUIRE has "cuda": then the test runs on the GPU of this machine, and fails without one.
func StartOrReal(t testing.TB, options string) {
	t.Helper()
	if !testenv.Required("cuda") {
		Start(t, options)
	}
}

// StartCopy is Start with a copy of the library, for what kernels/cuda asks a library only once.
func StartCopy(t testing.TB, options string) *Machine {
	t.Helper()
	b, err := os.ReadFile(Build(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "libcuda.so")
	if err := os.WriteFile(path, b, 0o700); err != nil {
		t.Fatal(err)
	}
	return start(t, path, options)
}

func start(t testing.TB, path, options string) *Machine {
	t.Helper()
	h, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	m := &Machine{Path: path}
	for name, p := range map[string]*uintptr{"sim_reset": &m.reset, "sim_counters": &m.counters, "sim_last_error": &m.lastError} {
		if *p, err = lookup(h, name); err != nil {
			t.Fatal(err)
		}
	}
	m.set(t, options)
	t.Setenv(Variable, path)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the simulated driver last refused: %s", m.LastError())
		}
		if leaks := m.Counters().Leaks(); leaks != "" {
			t.Errorf("left on the simulated devices: %s", leaks)
		}
	})
	return m
}

func (m *Machine) set(t testing.TB, options string) {
	t.Helper()
	text := append([]byte(options), 0)
	if call(m.reset, uintptr(unsafe.Pointer(&text[0]))) != 0 {
		t.Fatal("the simulated driver is still in use")
	}
}

// Counters reads the counters.
func (m *Machine) Counters() Counters {
	c := new(Counters)
	call(m.counters, uintptr(unsafe.Pointer(c)), unsafe.Sizeof(*c))
	return *c
}

// LastError says in words what the driver last refused, or what a kernel did wrong.
func (m *Machine) LastError() string {
	b := make([]byte, 2048)
	call(m.lastError, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}
