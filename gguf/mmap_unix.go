//go:build unix && !aix && !solaris && !illumos

package gguf

import (
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

func mapFile(f *os.File, size int64) ([]byte, error) {
	if size > math.MaxInt {
		return nil, fmt.Errorf("gguf: %d bytes do not fit in the address space", size)
	}
	return unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
}

func unmapFile(m []byte) error { return unix.Munmap(m) }
