package hub

import (
	"errors"
	"fmt"
)

// What errors.Is finds in the errors of this package; those of the network and the file system are wrapped as well.
var (
	ErrName      = errors.New("not the name of a model")
	ErrNotFound  = errors.New("not found")
	ErrForbidden = errors.New("access denied")
	ErrChecksum  = errors.New("wrong SHA-256")
	ErrServer    = errors.New("unexpected answer of the server") // sizes that contradict each other, names that lead out of the folder, no GGUF
	ErrMemory    = errors.New("not enough memory")
	ErrSpace     = errors.New("not enough room on the disk")
)

// MemoryError says that a model is larger than the memory that is free.
type MemoryError struct {
	Model      string
	Need, Free int64  // bytes: the weights, and what new allocations may take without swapping
	Fits       string // the name of one that fits, "" if none is known
}

func (e *MemoryError) Error() string {
	s := fmt.Sprintf("hub: %s: %v: its weights take %s, %s are free", e.Model, ErrMemory, size(e.Need), size(e.Free))
	if e.Fits != "" {
		s += "; " + e.Fits + " would fit"
	}
	return s + " (LLAMA31_MEMORY=off leaves this check out)"
}

// Is reports whether target is ErrMemory.
func (e *MemoryError) Is(target error) bool { return target == ErrMemory }

// SpaceError says that a download would not fit on the disk.
type SpaceError struct {
	Folder     string
	Need, Free int64 // bytes
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("hub: %s: %v: %s are to be downloaded, %s are free; LLAMA31_CACHE names another folder", e.Folder, ErrSpace, size(e.Need), size(e.Free))
}

// Is reports whether target is ErrSpace.
func (e *SpaceError) Is(target error) bool { return target == ErrSpace }

// size prints bytes as the hub's pages do, in powers of ten.
func size(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%d bytes", n)
}
