package gguf

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"sync"

	"gorgonia.org/tensor"
)

// Options of [Open]. The zero value maps the file.
type Options struct {
	// ReadAt reads tensors into memory instead of mapping the file: slower to
	// open and private memory, but a file that is truncated later does no harm.
	ReadAt bool
}

// File is an open GGUF file, or all files of a split one. Its methods are safe for
// concurrent use; views of tensors end with Close.
type File struct {
	Metadata         // of the first file of a split model
	Version   uint32 // 2 or 3
	Alignment int64  // of tensors, in bytes
	Size      int64  // in bytes, of all files

	shards  []shard
	tensors []TensorInfo
	index   map[string]int

	mu     sync.RWMutex // held for reading while a tensor is looked up or read
	closed bool
}

// shard is one file.
type shard struct {
	path    string
	r       io.ReaderAt
	close   func() error
	size    int64
	mapping []byte // nil if not mapped
}

// Open opens the file at path; of a split model, any of its files.
func Open(path string, o *Options) (*File, error) {
	if o == nil {
		o = &Options{}
	}
	f, err := openShard(path, o)
	if err != nil {
		return nil, err
	}
	count, err := f.splitCount()
	if err == nil && count <= 1 {
		return f, nil
	}
	f.Close()
	if err != nil {
		return nil, err
	}
	return openSplit(path, o)
}

func openShard(path string, o *Options) (*File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("gguf: %w", err)
	}
	f, err := read(file, info.Size(), path)
	if err != nil {
		file.Close()
		return nil, err
	}
	f.shards[0].close = file.Close
	if !o.ReadAt {
		// Where mapping fails (an odd file system, 32-bit address space), tensors
		// are read instead.
		f.shards[0].mapping, _ = mapFile(file, info.Size())
	}
	return f, nil
}

// NewReader reads a GGUF file of size bytes from r, which must stay usable and is
// not closed. Tensors are read into memory when asked for. Files of a split model
// are refused: they need [Open].
func NewReader(r io.ReaderAt, size int64) (*File, error) {
	f, err := read(r, size, "")
	if err != nil {
		return nil, err
	}
	count, err := f.splitCount()
	if err != nil {
		return nil, err
	}
	if count > 1 {
		return nil, fmt.Errorf("gguf: %w: one of %d files, which only Open can put together", ErrSplit, count)
	}
	return f, nil
}

// read reads and checks everything but the data.
func read(r io.ReaderAt, size int64, path string) (*File, error) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return nil, fmt.Errorf("gguf: %w: this machine is big-endian, and tensors are used as they are stored", ErrBigEndian)
	}
	d := &decoder{r: r, path: path, size: size}
	if size < 4 {
		return nil, d.fail(0, ErrMagic, "magic", `"GGUF"`, fmt.Sprintf("a file of %d bytes", size))
	}
	magic, err := d.bytes(4, "magic")
	if err != nil {
		return nil, err
	}
	if string(magic) != "GGUF" {
		return nil, d.fail(0, ErrMagic, "magic", `"GGUF"`, printable(string(magic)))
	}
	version, err := d.u32("version")
	if err != nil {
		return nil, err
	}
	if version != 0 && version&0xffff == 0 {
		return nil, d.fail(4, ErrBigEndian, "version", "2 or 3, little-endian", fmt.Sprintf("%#08x", version))
	}
	if version != 2 && version != 3 {
		return nil, d.fail(4, ErrVersion, "version", "2 or 3", strconv.FormatUint(uint64(version), 10))
	}
	// The least a tensor takes: name length and a byte, dimensions, one of them,
	// type, offset. The least an entry takes: key length and a byte, type, a byte.
	tensors, err := d.length("number of tensors", 8+1+4+8+4+8)
	if err != nil {
		return nil, err
	}
	if tensors > maxTensors {
		return nil, d.fail(8, ErrLimit, "number of tensors", fmt.Sprintf("at most %d", maxTensors), strconv.FormatInt(tensors, 10))
	}
	keys, err := d.length("number of metadata entries", 8+1+4+1)
	if err != nil {
		return nil, err
	}
	if keys > maxKeys {
		return nil, d.fail(16, ErrLimit, "number of metadata entries", fmt.Sprintf("at most %d", maxKeys), strconv.FormatInt(keys, 10))
	}
	f := &File{Version: version, Alignment: 32, Size: size, shards: []shard{{path: path, r: r, size: size}}}
	if f.Metadata, err = d.readMetadata(keys); err != nil {
		return nil, err
	}
	if f.Has("general.alignment") {
		a, err := f.Uint("general.alignment")
		if err != nil {
			return nil, err
		}
		if a < 8 || a&(a-1) != 0 || a > 1<<30 {
			return nil, d.fail(24, ErrAlignment, `value of "general.alignment"`, "a power of two, 8 to 2^30", strconv.FormatUint(a, 10))
		}
		f.Alignment = int64(a)
	}
	if f.tensors, err = d.readTensors(tensors); err != nil {
		return nil, err
	}
	if err := d.place(f.tensors, f.Alignment); err != nil {
		return nil, err
	}
	f.index = make(map[string]int, len(f.tensors))
	for i, t := range f.tensors {
		f.index[t.Name] = i
	}
	return f, nil
}

// Close ends all views of tensors. It may be called twice.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	var errs []error
	for i := range f.shards {
		s := &f.shards[i]
		if s.mapping != nil {
			errs = append(errs, unmapFile(s.mapping))
			s.mapping = nil
		}
		if s.close != nil {
			errs = append(errs, s.close())
		}
	}
	return errors.Join(errs...)
}

// Paths are the files, in order; none for a reader.
func (f *File) Paths() []string {
	var paths []string
	for _, s := range f.shards {
		if s.path != "" {
			paths = append(paths, s.path)
		}
	}
	return paths
}

// Mapped says whether tensors are views of mapped files.
func (f *File) Mapped() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return !slices.ContainsFunc(f.shards, func(s shard) bool { return s.mapping == nil })
}

// Tensors describes all tensors, in the file's order.
func (f *File) Tensors() []TensorInfo { return slices.Clone(f.tensors) }

// Info describes one tensor; [ErrNoTensor] where there is none of that name.
func (f *File) Info(name string) (TensorInfo, error) {
	i, ok := f.index[name]
	if !ok {
		return TensorInfo{}, fmt.Errorf("gguf: %w: %s", ErrNoTensor, printable(name))
	}
	return f.tensors[i], nil
}

// Tensor gives a tensor whose elements are blocks: Info's Shape with the last
// dimension divided by the type's Len, of the type's Dtype. Of a mapped file it is
// a read-only view, valid until Close; else a copy of the caller's own.
func (f *File) Tensor(name string) (*tensor.Dense, error) {
	t, err := f.Info(name)
	if err != nil {
		return nil, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return nil, fmt.Errorf("gguf: tensor %s: %w", printable(name), ErrClosed)
	}
	if t.Size > math.MaxInt {
		return nil, fmt.Errorf("gguf: tensor %s: %w: %d bytes do not fit in this machine's memory", printable(name), ErrLimit, t.Size)
	}
	dt, shape := t.Type.Dtype(), t.blockShape()
	s := &f.shards[t.Shard]
	if s.mapping != nil {
		return view(dt, shape, s.mapping[t.Offset:t.Offset+t.Size]), nil
	}
	dense := tensor.New(tensor.Of(dt), tensor.WithShape(shape...))
	d := decoder{r: s.r, path: s.path, size: s.size}
	if err := d.readAt(bytesOf(dense), t.Offset, "tensor "+printable(name)); err != nil {
		return nil, err
	}
	return dense, nil
}

// Reader reads a tensor's bytes as they are stored, from the file and not from the
// mapping: a file that has been truncated gives an error, [io.ErrUnexpectedEOF] or
// [io.EOF].
func (f *File) Reader(name string) (*io.SectionReader, error) {
	t, err := f.Info(name)
	if err != nil {
		return nil, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return nil, fmt.Errorf("gguf: tensor %s: %w", printable(name), ErrClosed)
	}
	return io.NewSectionReader(f.shards[t.Shard].r, t.Offset, t.Size), nil
}

// SHA256 reads all bytes of the file, of a split model of all files in order, and
// gives their SHA-256.
func (f *File) SHA256(ctx context.Context) ([sha256.Size]byte, error) {
	h := sha256.New()
	buf := make([]byte, 1<<20)
	for _, s := range f.shards {
		r := io.NewSectionReader(s.r, 0, s.size)
		for {
			if err := ctx.Err(); err != nil {
				return [sha256.Size]byte{}, fmt.Errorf("gguf: SHA-256: %w", err)
			}
			n, err := r.Read(buf)
			h.Write(buf[:n])
			if err == io.EOF {
				break
			}
			if err != nil {
				return [sha256.Size]byte{}, fmt.Errorf("gguf: SHA-256 of %s: %w", s.path, err)
			}
		}
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}
