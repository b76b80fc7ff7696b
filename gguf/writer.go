package gguf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/llama31/llama31/gguf/block"
)

// Writer writes a GGUF file, version 3, in one pass and in order: metadata by
// [Writer.Set], all tensors' names and sizes by [Writer.Declare], then their data
// by [Writer.WriteTensor] in the same order, and [Writer.Close]. After an error of
// the underlying writer all further calls return it. A Writer is for one
// goroutine.
type Writer struct {
	out       *bufio.Writer
	meta      Metadata
	alignment int64
	tensors   []TensorInfo // Offset relative to the data
	names     map[string]bool
	end       int64 // of the data so far declared
	next      int   // tensor to be written
	started   bool
	err       error
}

// NewWriter writes to w, which Close does not close.
func NewWriter(w io.Writer) *Writer {
	return &Writer{
		out:       bufio.NewWriterSize(w, 1<<20),
		meta:      Metadata{values: map[string]any{}},
		alignment: 32,
		names:     map[string]bool{},
	}
}

// Set adds a metadata entry, of one of the types that [Metadata] lists. A
// general.alignment, a uint32, must come before the first Declare.
func (w *Writer) Set(key string, value any) error {
	switch {
	case w.started:
		return fmt.Errorf("gguf: set %s: the header is already written", printable(key))
	case key == "" || len(key) > maxKeyLen:
		return fmt.Errorf("gguf: set %s: a key has 1 to %d bytes", printable(key), maxKeyLen)
	case w.meta.Has(key):
		return fmt.Errorf("gguf: set: %w: %s", ErrDuplicate, printable(key))
	case len(w.meta.keys) == maxKeys:
		return fmt.Errorf("gguf: set %s: %w: %d keys", printable(key), ErrLimit, maxKeys)
	}
	if t, _ := typeOf(value); t == typeNone {
		return fmt.Errorf("gguf: set %s: %w: %T is not a metadata type", printable(key), ErrValueType, value)
	}
	if key == "general.alignment" {
		a, ok := value.(uint32)
		if !ok || a < 8 || a&(a-1) != 0 || a > 1<<30 || len(w.tensors) > 0 {
			return fmt.Errorf("gguf: set %s: %w: expected a uint32, a power of two from 8 to 2^30, before the first tensor, found %T %v", key, ErrAlignment, value, value)
		}
		w.alignment = int64(a)
	}
	w.meta.keys = append(w.meta.keys, key)
	w.meta.values[key] = value
	return nil
}

// Declare announces a tensor; shape is in values, rows first.
func (w *Writer) Declare(name string, t block.Type, shape ...int) error {
	switch {
	case w.started:
		return fmt.Errorf("gguf: declare %s: the header is already written", printable(name))
	case name == "" || len(name) > maxTensorName:
		return fmt.Errorf("gguf: declare %s: a tensor's name has 1 to %d bytes", printable(name), maxTensorName)
	case w.names[name]:
		return fmt.Errorf("gguf: declare: %w: %s", ErrDuplicate, printable(name))
	case len(w.tensors) == maxTensors:
		return fmt.Errorf("gguf: declare %s: %w: %d tensors", printable(name), ErrLimit, maxTensors)
	}
	size, err := extent(t, shape)
	if err != nil {
		return fmt.Errorf("gguf: declare %s: %w", printable(name), err)
	}
	if size > math.MaxInt64-w.end-w.alignment {
		return fmt.Errorf("gguf: declare %s: %w: the file would be larger than 2^63 bytes", printable(name), ErrLimit)
	}
	w.names[name] = true
	w.tensors = append(w.tensors, TensorInfo{Name: name, Type: t, Shape: slices.Clone(shape), Offset: w.end, Size: size})
	w.end += size + padding(size, w.alignment)
	return nil
}

func padding(n, alignment int64) int64 { return (alignment - n%alignment) % alignment }

// WriteTensor copies the data of the next declared tensor, which must be name,
// from r: exactly its size.
func (w *Writer) WriteTensor(name string, r io.Reader) error {
	if err := w.start(); err != nil {
		return err
	}
	if w.next == len(w.tensors) || w.tensors[w.next].Name != name {
		expected := "no more tensors"
		if w.next < len(w.tensors) {
			expected = printable(w.tensors[w.next].Name)
		}
		return fmt.Errorf("gguf: write tensor %s: out of order, expected %s", printable(name), expected)
	}
	t := w.tensors[w.next]
	n, err := io.Copy(w.out, io.LimitReader(r, t.Size))
	if err != nil {
		w.err = fmt.Errorf("gguf: write tensor %s: %w", printable(name), err)
		return w.err
	}
	if n < t.Size {
		w.err = fmt.Errorf("gguf: write tensor %s: %w: expected %d bytes, found %d", printable(name), io.ErrUnexpectedEOF, t.Size, n)
		return w.err
	}
	w.zeros(padding(t.Size, w.alignment))
	w.next++
	return w.err
}

// Close writes what is buffered. It is an error if a tensor is missing.
func (w *Writer) Close() error {
	if err := w.start(); err != nil {
		return err
	}
	if w.next < len(w.tensors) {
		return fmt.Errorf("gguf: close: tensor %s was declared and not written", printable(w.tensors[w.next].Name))
	}
	if err := w.out.Flush(); err != nil {
		w.err = fmt.Errorf("gguf: close: %w", err)
		return w.err
	}
	w.err = errors.New("gguf: the writer is closed")
	return nil
}

// start writes the header, once.
func (w *Writer) start() error {
	if w.started || w.err != nil {
		return w.err
	}
	w.started = true
	b := []byte("GGUF")
	b = binary.LittleEndian.AppendUint32(b, 3)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(w.tensors)))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(w.meta.keys)))
	size := int64(0)
	flush := func() {
		if w.err == nil {
			_, w.err = w.out.Write(b)
		}
		size += int64(len(b))
		b = b[:0]
	}
	for _, key := range w.meta.keys {
		b = appendString(b, key)
		b = appendValue(b, w.meta.values[key])
		flush()
	}
	for _, t := range w.tensors {
		b = appendString(b, t.Name)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(t.Shape)))
		for _, s := range slices.Backward(t.Shape) {
			b = binary.LittleEndian.AppendUint64(b, uint64(s))
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(t.Type))
		b = binary.LittleEndian.AppendUint64(b, uint64(t.Offset))
	}
	flush()
	w.zeros(padding(size, w.alignment))
	if w.err != nil {
		w.err = fmt.Errorf("gguf: write header: %w", w.err)
	}
	return w.err
}

func (w *Writer) zeros(n int64) {
	var zero [4096]byte
	for ; n > 0 && w.err == nil; n -= min(n, int64(len(zero))) {
		_, w.err = w.out.Write(zero[:min(n, int64(len(zero)))])
	}
}

const typeNone = valueType(math.MaxUint32)

// typeOf gives the file's type of a Go value, and of its elements if it is a
// slice; typeNone for what cannot be stored.
func typeOf(v any) (t, elem valueType) {
	switch v.(type) {
	case uint8:
		return typeUint8, 0
	case int8:
		return typeInt8, 0
	case uint16:
		return typeUint16, 0
	case int16:
		return typeInt16, 0
	case uint32:
		return typeUint32, 0
	case int32:
		return typeInt32, 0
	case uint64:
		return typeUint64, 0
	case int64:
		return typeInt64, 0
	case float32:
		return typeFloat32, 0
	case float64:
		return typeFloat64, 0
	case bool:
		return typeBool, 0
	case string:
		return typeString, 0
	case []uint8:
		return typeArray, typeUint8
	case []int8:
		return typeArray, typeInt8
	case []uint16:
		return typeArray, typeUint16
	case []int16:
		return typeArray, typeInt16
	case []uint32:
		return typeArray, typeUint32
	case []int32:
		return typeArray, typeInt32
	case []uint64:
		return typeArray, typeUint64
	case []int64:
		return typeArray, typeInt64
	case []float32:
		return typeArray, typeFloat32
	case []float64:
		return typeArray, typeFloat64
	case []bool:
		return typeArray, typeBool
	case []string:
		return typeArray, typeString
	}
	return typeNone, 0
}

func appendString(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}

func appendValue(b []byte, v any) []byte {
	t, elem := typeOf(v)
	b = binary.LittleEndian.AppendUint32(b, uint32(t))
	if t == typeArray {
		b = binary.LittleEndian.AppendUint32(b, uint32(elem))
	}
	switch v := v.(type) {
	case string:
		return appendString(b, v)
	case []string:
		b = binary.LittleEndian.AppendUint64(b, uint64(len(v)))
		for _, s := range v {
			b = appendString(b, s)
		}
		return b
	}
	if t == typeArray {
		b = binary.LittleEndian.AppendUint64(b, uint64(binary.Size(v)/int(sizes[elem])))
	}
	b, err := binary.Append(b, binary.LittleEndian, v)
	if err != nil {
		panic("gguf: typeOf lets through " + strconv.Quote(fmt.Sprintf("%T", v))) // not reachable: Set has checked
	}
	return b
}
