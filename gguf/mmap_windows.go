package gguf

import (
	"fmt"
	"io"
	"math"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

func mapFile(f *os.File, size int64) ([]byte, error) {
	if size > math.MaxInt {
		return nil, fmt.Errorf("gguf: %d bytes do not fit in the address space", size)
	}
	h, err := windows.CreateFileMapping(windows.Handle(f.Fd()), nil, windows.PAGE_READONLY, 0, 0, nil)
	if err != nil {
		return nil, err
	}
	defer windows.CloseHandle(h) // the view keeps the mapping alive
	addr, err := windows.MapViewOfFile(h, windows.FILE_MAP_READ, 0, 0, uintptr(size))
	if err != nil {
		return nil, err
	}
	// Safe: addr is the start of size mapped bytes outside Go's heap. The detour
	// over &addr says to vet that this is no pointer that the collector moves.
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&addr)), size), nil
}

func unmapFile(m []byte) error {
	// Safe: the address came from MapViewOfFile.
	return windows.UnmapViewOfFile(uintptr(unsafe.Pointer(&m[0])))
}

// populate does nothing: Windows reads mapped files ahead by itself.
func populate(io.ReaderAt, int64, []byte, *int) {}
