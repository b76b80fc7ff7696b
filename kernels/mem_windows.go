package kernels

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// allocate gets zeroed memory outside the Go heap, page-aligned: a KV cache of some GiB on the heap would double the next
// collection's goal. release gives it back.
func allocate(n int) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	addr, err := windows.VirtualAlloc(0, uintptr(n), windows.MEM_RESERVE|windows.MEM_COMMIT, windows.PAGE_READWRITE)
	if err != nil {
		return nil, &MemoryError{Device: "cpu", Need: int64(n), Free: FreeMemory()}
	}
	// Safe: addr is the start of n bytes outside Go's heap. The detour over &addr says to vet that this is no pointer that the
	// collector moves.
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&addr)), n), nil
}

func release(b []byte) error {
	if b == nil {
		return nil
	}
	// Safe: the address came from VirtualAlloc.
	return windows.VirtualFree(uintptr(unsafe.Pointer(&b[0])), 0, windows.MEM_RELEASE)
}
