package kernels

import "unsafe"

// arena hands out buffers of one allocation, each 64-byte aligned. A first pass over an arena without memory adds up the size;
// after allocate, the same calls give the buffers.
type arena struct {
	mem  []byte
	used int
}

func (a *arena) allocate() (err error) {
	a.mem, err = allocate(a.used)
	a.used = 0
	return err
}

// take is a buffer of n elements of plain data, nil in the first pass.
func take[T any](a *arena, n int) []T {
	var z T
	size := (n*int(unsafe.Sizeof(z)) + 63) &^ 63
	at := a.used
	a.used += size
	if a.mem == nil || n == 0 {
		return nil
	}
	// The range is inside a.mem, aligned to 64, and T has no pointers.
	return unsafe.Slice((*T)(unsafe.Pointer(&a.mem[at : at+size][0])), n)
}
