package cuda

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/llama31/llama31/kernels"
)

// module is loaded code.
type module struct {
	g      *gpu
	name   string
	handle uintptr
	waits  bool // its kernels wait by themselves for the one before (griddep_wait)
}

// CUjit_option.
const (
	jitErrorLog     = 5
	jitErrorLogSize = 6
)

// jit is what a call of cuModuleLoadDataEx points to. Option values are void*: a pointer, or a number in a pointer's place.
type jit struct {
	options [2]uint32
	values  [2]uintptr
	log     [16 << 10]byte
}

// errNoBinary says that code is for another card.
var errNoBinary = fmt.Errorf("%w: no code for this card", kernels.ErrUnsupported)

// loadModule loads machine code (a cubin), or PTX, which the driver compiles: what it says of that is part of the error. Code that
// the device cannot run fails with errNoBinary and leaves the gpu usable.
func (g *gpu) loadModule(name string, image []byte) (*module, error) {
	if g.poison != nil {
		return nil, g.poison
	}
	if g.jit == nil {
		g.jit = &jit{options: [2]uint32{jitErrorLog, jitErrorLogSize}}
		g.jit.values = [2]uintptr{uintptr(unsafe.Pointer(&g.jit.log)), uintptr(len(g.jit.log) - 1)}
	}
	g.jit.log = [len(g.jit.log)]byte{}
	code := append(image[:len(image):len(image)], 0) // PTX is a C string
	r := g.call(g.moduleLoadDataEx, g.outAddress(0), g.hold(code), uintptr(len(g.jit.options)),
		uintptr(unsafe.Pointer(&g.jit.options)), uintptr(unsafe.Pointer(&g.jit.values)))
	switch {
	case r == 0:
		m := &module{g: g, name: name, handle: uintptr(g.out[0])}
		g.live[m] = true
		return m, nil
	case r == resultOutOfMemory:
		return nil, g.outOfMemory(len(image))
	case r == resultNoBinary:
		return nil, fmt.Errorf("%s on %s: %w", name, g.properties.name, errNoBinary)
	case r == resultPTXVersion:
		return nil, fmt.Errorf("%w: the driver is too old for %s: it has CUDA %s, needed is %s",
			kernels.ErrUnavailable, name, cudaVersion(g.version), cudaVersion(ptxVersion))
	}
	err := g.driver.check(r, "cuModuleLoadDataEx of "+name)
	if text, _, _ := strings.Cut(string(g.jit.log[:]), "\x00"); text != "" {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(text))
	}
	return nil, err
}

func (m *module) free() error {
	delete(m.g.live, m)
	return m.g.check(m.g.call(m.g.moduleUnload, m.handle), "cuModuleUnload")
}

// kernel is one function of a module.
type kernel struct {
	g                *gpu
	name             string
	handle           uintptr
	call             string // for errors
	waits            bool   // as its module
	registers, local int    // per thread; local is bytes, spills among them
	shared           int    // static bytes per block
}

// kernel finds a function by its name.
func (m *module) kernel(name string) (*kernel, error) {
	g := m.g
	if g.poison != nil {
		return nil, g.poison
	}
	err := g.check(g.call(g.moduleGetFunction, g.outAddress(0), m.handle, g.hold(append([]byte(name), 0))), "cuModuleGetFunction "+name)
	if err != nil {
		return nil, err
	}
	k := &kernel{g: g, name: name, handle: uintptr(g.out[0]), call: "launch of " + name, waits: m.waits}
	for _, a := range []struct {
		attribute uintptr
		value     *int
	}{{funcRegisters, &k.registers}, {funcLocalBytes, &k.local}, {funcStaticShared, &k.shared}} {
		if err := g.check(g.call(g.funcGetAttribute, g.outAddress(0), a.attribute, k.handle), "cuFuncGetAttribute"); err != nil {
			return nil, err
		}
		*a.value = int(int32(g.out[0]))
	}
	return k, nil
}

// allowShared lets blocks of k have up to that much dynamic shared memory; without it 48 KiB is the most.
func (k *kernel) allowShared(bytes int) error {
	if k.g.poison != nil {
		return k.g.poison
	}
	if bytes+k.shared > k.g.sharedMax {
		return fmt.Errorf("%w: %s needs %d bytes of shared memory, a block on %s has at most %d",
			kernels.ErrUnsupported, k.name, bytes+k.shared, k.g.properties.name, k.g.sharedMax)
	}
	return k.g.check(k.g.call(k.g.funcSetAttribute, k.handle, funcMaxDynamicShared, uintptr(bytes)), "cuFuncSetAttribute of "+k.name)
}

// blocksPerSM is how many blocks run on an SM at once; a cooperative grid has at most that many for each SM.
func (k *kernel) blocksPerSM(threads, shared int) (int, error) {
	g := k.g
	if g.poison != nil {
		return 0, g.poison
	}
	err := g.check(g.call(g.occupancy, g.outAddress(0), k.handle, uintptr(threads), uintptr(shared)), "cuOccupancyMaxActiveBlocksPerMultiprocessor")
	return int(int32(g.out[0])), err
}

// launchConfig is CUlaunchConfig.
type launchConfig struct {
	grid, block   [3]uint32
	shared        uint32
	stream        uintptr
	attributes    uintptr
	numAttributes uint32
}

// launchAttribute is CUlaunchAttribute.
type launchAttribute struct {
	id    uint32
	_     [4]byte
	value [64]byte
}

// CUlaunchAttributeID.
const (
	attributeCooperative  = 2
	attributeCluster      = 4
	attributeProgrammatic = 6
)

// CU_LAUNCH_PARAM_*: the words of extra.
const (
	launchEnd     = 0
	launchPointer = 1
	launchSize    = 2
)

// launchBlock is what a launch points to, all of it in one piece of memory outside Go's heap; the kernel's parameters follow it.
type launchBlock struct {
	config     launchConfig
	attributes [3]launchAttribute
	size       uintptr
	extra      [5]uintptr
}

const launchBlockSize = (unsafe.Sizeof(launchBlock{}) + 63) &^ 63

// launch is a kernel with its parameters, a struct P laid out as the kernel's own (pointers first, fields of fixed size). It is
// made once and run many times; run allocates nothing. The driver copies the parameters at each run, so they may be changed after it.
type launch[P any] struct {
	p      *P // the parameters, in memory that the driver reads
	kernel *kernel
	block  *launchBlock
}

// newLaunch makes a launch of k with blocks of that many threads.
func newLaunch[P any](k *kernel, threads int) (*launch[P], error) {
	size := unsafe.Sizeof(*new(P))
	mem, err := k.g.arguments(int(launchBlockSize + size))
	if err != nil {
		return nil, err
	}
	// mem is aligned to 64 and has room for both structs, which hold no Go pointers.
	b := (*launchBlock)(mem)
	l := &launch[P]{p: (*P)(unsafe.Add(mem, launchBlockSize)), kernel: k, block: b}
	b.config = launchConfig{grid: [3]uint32{1, 1, 1}, block: [3]uint32{uint32(threads), 1, 1}, attributes: uintptr(unsafe.Pointer(&b.attributes))}
	b.size = size
	b.extra = [5]uintptr{launchPointer, uintptr(unsafe.Pointer(l.p)), launchSize, uintptr(unsafe.Pointer(&b.size)), launchEnd}
	return l, nil
}

// shared sets the bytes of dynamic shared memory, and allows them.
func (l *launch[P]) shared(bytes int) error {
	l.block.config.shared = uint32(bytes)
	if bytes+l.kernel.shared <= 48<<10 {
		return nil
	}
	return l.kernel.allowShared(bytes)
}

// cooperative makes all blocks run at once, so that they can meet at a barrier.
func (l *launch[P]) cooperative() { l.attribute(attributeCooperative, 1) }

// programmatic lets the launch begin before the one before it in the stream ends (programmatic dependent launch), if the kernel itself
// waits where it must. PTX for 8.0 does not, on whatever card.
func (l *launch[P]) programmatic() {
	if l.kernel.waits {
		l.attribute(attributeProgrammatic, 1)
	}
}

// cluster makes clusters of n blocks along x (compute capability 9.0).
func (l *launch[P]) cluster(n int) { l.attribute(attributeCluster, uint32(n), 1, 1) }

func (l *launch[P]) attribute(id uint32, value ...uint32) {
	c := &l.block.config
	a := &l.block.attributes[c.numAttributes]
	a.id = id
	copy(unsafe.Slice((*uint32)(unsafe.Pointer(&a.value)), len(a.value)/4), value)
	c.numAttributes++
}

// run puts the launch into s with a grid of x·y·z blocks.
func (l *launch[P]) run(s *stream, x, y, z int) error {
	g := l.kernel.g
	if g.poison != nil {
		return g.poison
	}
	b := l.block
	b.config.grid = [3]uint32{uint32(x), uint32(y), uint32(z)}
	b.config.stream = s.handle
	s.count(1)
	return g.ran(g.call(g.launchKernelEx, uintptr(unsafe.Pointer(&b.config)), l.kernel.handle, 0, uintptr(unsafe.Pointer(&b.extra))), l.kernel.call)
}
