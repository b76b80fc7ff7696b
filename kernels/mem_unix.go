//go:build unix

package kernels

import "golang.org/x/sys/unix"

// allocate gets zeroed memory outside the Go heap, page-aligned: a KV cache of some GiB on the heap would double the next
// collection's goal. release gives it back.
func allocate(n int) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, &MemoryError{Device: "cpu", Need: int64(n), Free: FreeMemory()}
	}
	return b, nil
}

func release(b []byte) error {
	if b == nil {
		return nil
	}
	return unix.Munmap(b)
}
