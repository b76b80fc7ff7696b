package gguf

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"unsafe"

	"gorgonia.org/tensor"
)

// view makes a tensor of data, which must be exactly its elements.
//
// Safe: data is inside a mapping that outlives the view (Close says so), its
// length was checked against shape (extent), the offset in the file is a multiple
// of at least 8 and the mapping starts at a page, so the elements, structs of at
// most 8-byte alignment without pointers, are aligned. Any bits are valid values.
func view(dt tensor.Dtype, shape []int, data []byte) *tensor.Dense {
	return tensor.New(tensor.Of(dt), tensor.WithShape(shape...), tensor.FromMemory(uintptr(unsafe.Pointer(&data[0])), uintptr(len(data))))
}

// bytesOf is the memory of a tensor that tensor.New allocated: Uint8s does not look
// at the element type.
func bytesOf(d *tensor.Dense) []byte { return d.Uint8s() }

// Prefetch reads the mapped files into memory, so that the first pass over the
// weights does not wait for the disk. progress, if not nil, is told how many bytes
// are there. It is a hint: only ctx makes it fail. Files that are not mapped are
// left alone.
func (f *File) Prefetch(ctx context.Context, progress func(done, total int64)) error {
	const step = 64 << 20
	var done int64
	slow := 0
	for i := range f.shards {
		for at := int64(0); at < f.shards[i].size; at += step {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("gguf: prefetch: %w", err)
			}
			n := min(step, f.shards[i].size-at)
			f.mu.RLock()
			if f.closed {
				f.mu.RUnlock()
				return fmt.Errorf("gguf: prefetch: %w", ErrClosed)
			}
			if m := f.shards[i].mapping; m != nil {
				populate(f.shards[i].r, at, m[at:at+n], &slow)
			}
			f.mu.RUnlock()
			done += n
			if progress != nil {
				progress(done, f.Size)
			}
		}
	}
	return nil
}

// Guard runs use, which works on views of the file's tensors, and turns the memory
// fault of a file that was truncated after it was mapped into [ErrTruncated]. It
// covers the calling goroutine only, not others that use starts.
func (f *File) Guard(use func()) (err error) {
	old := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(old)
	defer func() {
		switch r := recover().(type) {
		case nil:
		case interface {
			runtime.Error
			Addr() uintptr
		}:
			if s := f.mapped(r.Addr()); s != nil {
				err = fmt.Errorf("gguf: %s: %w while in use", s.path, ErrTruncated)
				return
			}
			panic(r)
		default:
			panic(r)
		}
	}()
	use()
	return nil
}

// mapped is the file whose mapping has the address, nil if none has.
func (f *File) mapped(addr uintptr) *shard {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for i := range f.shards {
		s := &f.shards[i]
		// Safe: the pointer is only compared.
		if m := s.mapping; m != nil && addr >= uintptr(unsafe.Pointer(&m[0])) && addr-uintptr(unsafe.Pointer(&m[0])) < uintptr(len(m)) {
			return s
		}
	}
	return nil
}
