package cuda

import (
	"unsafe"

	"github.com/llama31/llama31/kernels"
)

// pointer is an address in a device's memory.
type pointer uint64

// memory is a piece of a device's memory, 256-byte aligned.
type memory struct {
	pointer
	g    *gpu
	size int
}

// alloc takes bytes of the device's memory, undefined at first. Without enough it fails with a kernels.MemoryError, and the gpu
// stays usable.
func (g *gpu) alloc(size int) (*memory, error) {
	if g.poison != nil {
		return nil, g.poison
	}
	r := g.call(g.memAlloc, g.outAddress(0), uintptr(max(size, 1)))
	if r == resultOutOfMemory {
		return nil, g.outOfMemory(size)
	}
	if err := g.check(r, "cuMemAlloc"); err != nil {
		return nil, err
	}
	m := &memory{pointer: pointer(g.out[0]), g: g, size: size}
	g.live[m] = true
	return m, nil
}

func (g *gpu) outOfMemory(size int) error {
	free, _, err := g.memoryInfo()
	if err != nil {
		return err
	}
	return &kernels.MemoryError{Device: g.name, Need: int64(size), Free: free}
}

func (m *memory) free() error {
	delete(m.g.live, m)
	return m.g.check(m.g.call(m.g.memFree, uintptr(m.pointer)), "cuMemFree")
}

// pinned is host memory that the device reads and writes by itself, so that copies run beside the program.
type pinned struct {
	g     *gpu
	bytes []byte
}

// allocHost takes pinned host memory, zeroed.
func (g *gpu) allocHost(size int) (*pinned, error) {
	if g.poison != nil {
		return nil, g.poison
	}
	size = max(size, 1)
	r := g.call(g.memHostAlloc, g.outAddress(0), uintptr(size), hostAllocPortable)
	if r == resultOutOfMemory {
		return nil, &kernels.MemoryError{Device: g.name + " (pinned host memory)", Need: int64(size)}
	}
	if err := g.check(r, "cuMemHostAlloc"); err != nil {
		return nil, err
	}
	// The driver owns the memory, outside Go's heap, until free; g.out[0] holds its address as C wrote it.
	h := &pinned{g: g, bytes: unsafe.Slice(*(**byte)(unsafe.Pointer(&g.out[0])), size)}
	clear(h.bytes)
	g.live[h] = true
	return h, nil
}

func (h *pinned) free() error {
	delete(h.g.live, h)
	p := uintptr(unsafe.Pointer(&h.bytes[0]))
	h.bytes = nil
	return h.g.check(h.g.call(h.g.memFreeHost, p), "cuMemFreeHost")
}

// The copies below are queued on s. From or to pinned memory they return at once, and the memory belongs to the device until
// the stream is synchronised; from other memory the driver copies first.

func (s *stream) toDevice(dst pointer, src []byte) error {
	g := s.g
	if g.poison != nil || len(src) == 0 {
		return g.poison
	}
	return g.check(g.call(g.memcpyHtoDAsync, uintptr(dst), g.hold(src), uintptr(len(src)), s.handle), "cuMemcpyHtoDAsync")
}

func (s *stream) toHost(dst []byte, src pointer) error {
	g := s.g
	if g.poison != nil || len(dst) == 0 {
		return g.poison
	}
	return g.check(g.call(g.memcpyDtoHAsync, g.hold(dst), uintptr(src), uintptr(len(dst)), s.handle), "cuMemcpyDtoHAsync")
}

func (s *stream) copy(dst, src pointer, size int) error {
	g := s.g
	if g.poison != nil || size == 0 {
		return g.poison
	}
	return g.check(g.call(g.memcpyDtoDAsync, uintptr(dst), uintptr(src), uintptr(size), s.handle), "cuMemcpyDtoDAsync")
}

// copyFrom copies from another device's memory.
func (s *stream) copyFrom(dst pointer, other *gpu, src pointer, size int) error {
	g := s.g
	if g.poison != nil || size == 0 {
		return g.poison
	}
	return g.check(g.call(g.memcpyPeerAsync, uintptr(dst), g.context, uintptr(src), other.context, uintptr(size), s.handle), "cuMemcpyPeerAsync")
}

// fill sets bytes; fill32 sets 32-bit words.
func (s *stream) fill(dst pointer, b byte, size int) error {
	g := s.g
	if g.poison != nil || size == 0 {
		return g.poison
	}
	return g.check(g.call(g.memsetD8Async, uintptr(dst), uintptr(b), uintptr(size), s.handle), "cuMemsetD8Async")
}

func (s *stream) fill32(dst pointer, v uint32, words int) error {
	g := s.g
	if g.poison != nil || words == 0 {
		return g.poison
	}
	return g.check(g.call(g.memsetD32Async, uintptr(dst), uintptr(v), uintptr(words), s.handle), "cuMemsetD32Async")
}

// argumentArena hands out small pieces of pinned memory for what launches point to, so that no pointer into Go's heap is kept in
// memory that C reads.
type argumentArena struct {
	block *pinned
	used  int
}

const argumentBlock = 1 << 16

// arguments gives size bytes, zeroed and 64-byte aligned, that live as long as the gpu.
func (g *gpu) arguments(size int) (unsafe.Pointer, error) {
	a := &g.args
	size = (size + 63) &^ 63
	if a.block == nil || a.used+size > len(a.block.bytes) {
		b, err := g.allocHost(max(size, argumentBlock))
		if err != nil {
			return nil, err
		}
		a.block, a.used = b, 0
	}
	p := unsafe.Pointer(&a.block.bytes[a.used])
	a.used += size
	return p, nil
}
