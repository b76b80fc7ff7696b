package gguf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits beyond what remains of the file. They keep the memory for names and
// tables proportional to the file where a hostile one has nothing but tiny
// entries; Llama 3.1 405B has 1,138 tensors and some 30 keys.
const (
	maxKeys       = 1 << 16
	maxTensors    = 1 << 17
	maxKeyLen     = 1<<16 - 1 // the specification's
	maxTensorName = 64        // the specification's
	maxDims       = 4
)

// decoder reads little-endian fields in order through a small window. It never
// allocates more than what the file still holds.
type decoder struct {
	r      io.ReaderAt
	path   string
	size   int64
	pos    int64
	window []byte // bytes [start, start+len) of the file
	start  int64
	buf    [1 << 16]byte
}

func (d *decoder) remaining() int64 { return d.size - d.pos }

func (d *decoder) fail(at int64, kind error, field, expected, found string) error {
	return &FormatError{Path: d.path, Offset: at, Field: field, Expected: expected, Found: found, Err: kind}
}

// bytes gives the next n bytes, at most len(d.buf), until the next call.
func (d *decoder) bytes(n int, field string) ([]byte, error) {
	if int64(n) > d.remaining() {
		return nil, d.fail(d.pos, ErrTruncated, field, fmt.Sprintf("%d bytes", n), fmt.Sprintf("%d", d.remaining()))
	}
	at := d.pos - d.start
	if at < 0 || at+int64(n) > int64(len(d.window)) {
		d.start, at = d.pos, 0
		ahead := d.buf[:min(int64(len(d.buf)), d.remaining())]
		got, err := d.r.ReadAt(ahead, d.pos)
		d.window = ahead[:max(got, 0)]
		if got < n { // what was read ahead may be missing
			d.window = nil
			return nil, d.short(n, got, d.pos, field, err)
		}
	}
	d.pos += int64(n)
	return d.window[at : at+int64(n)], nil
}

// readAt fills p.
func (d *decoder) readAt(p []byte, at int64, field string) error {
	if n, err := d.r.ReadAt(p, at); n < len(p) {
		return d.short(len(p), n, at, field, err)
	}
	return nil
}

// short is the error of a read that gave fewer bytes than the file's size
// promised: the file has shrunk, or err.
func (d *decoder) short(want, got int, at int64, field string, err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return d.fail(at, ErrTruncated, field, fmt.Sprintf("%d bytes", want), strconv.Itoa(got))
	}
	return fmt.Errorf("gguf: %s: read %d bytes at %d: %w", d.path, want, at, err)
}

func (d *decoder) u32(field string) (uint32, error) {
	b, err := d.bytes(4, field)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

func (d *decoder) u64(field string) (uint64, error) {
	b, err := d.bytes(8, field)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// length reads a uint64 that counts things of at least size bytes each, all of
// which follow in the file.
func (d *decoder) length(field string, size int64) (int64, error) {
	at := d.pos
	n, err := d.u64(field)
	if err != nil {
		return 0, err
	}
	if most := d.remaining() / size; n > uint64(most) {
		return 0, d.fail(at, ErrTruncated, field, fmt.Sprintf("at most %d (what the rest of the file can hold)", most), strconv.FormatUint(n, 10))
	}
	return int64(n), nil
}

func (d *decoder) string(field string, limit int64) (string, error) {
	at := d.pos
	n, err := d.length(field+" length", 1)
	if err != nil {
		return "", err
	}
	if n > limit {
		return "", d.fail(at, ErrLimit, field+" length", fmt.Sprintf("at most %d", limit), strconv.FormatInt(n, 10))
	}
	if n <= int64(len(d.buf)) {
		b, err := d.bytes(int(n), field)
		return string(b), err
	}
	b := make([]byte, n)
	if err := d.readAt(b, d.pos, field); err != nil {
		return "", err
	}
	d.pos += n
	return string(b), nil
}

// valueType is the number of a metadata value's type.
type valueType uint32

const (
	typeUint8 valueType = iota
	typeInt8
	typeUint16
	typeInt16
	typeUint32
	typeInt32
	typeFloat32
	typeBool
	typeString
	typeArray
	typeUint64
	typeInt64
	typeFloat64
)

// sizes are the bytes of each type in a file, for strings the least.
var sizes = [...]int64{1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8}

func (d *decoder) valueType(field string) (valueType, error) {
	at := d.pos
	t, err := d.u32(field + " type")
	if err == nil && t >= uint32(len(sizes)) {
		err = d.fail(at, nil, field+" type", "0 to 12", strconv.FormatUint(uint64(t), 10))
	}
	return valueType(t), err
}

// value reads a metadata value as its Go type, an array as a slice.
func (d *decoder) value(field string) (any, error) {
	t, err := d.valueType(field)
	if err != nil {
		return nil, err
	}
	switch t {
	case typeString:
		return d.string(field, math.MaxInt/2)
	case typeArray:
		return d.array(field)
	}
	at := d.pos
	b, err := d.bytes(int(sizes[t]), field)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	switch t {
	case typeUint8:
		return b[0], nil
	case typeInt8:
		return int8(b[0]), nil
	case typeUint16:
		return le.Uint16(b), nil
	case typeInt16:
		return int16(le.Uint16(b)), nil
	case typeUint32:
		return le.Uint32(b), nil
	case typeInt32:
		return int32(le.Uint32(b)), nil
	case typeFloat32:
		return math.Float32frombits(le.Uint32(b)), nil
	case typeBool:
		if b[0] > 1 {
			return nil, d.fail(at, nil, field, "a bool, 0 or 1", strconv.Itoa(int(b[0])))
		}
		return b[0] == 1, nil
	case typeUint64:
		return le.Uint64(b), nil
	case typeInt64:
		return int64(le.Uint64(b)), nil
	default:
		return math.Float64frombits(le.Uint64(b)), nil
	}
}

func (d *decoder) array(field string) (any, error) {
	at := d.pos
	t, err := d.valueType(field + " element")
	if err != nil {
		return nil, err
	}
	if t == typeArray {
		return nil, d.fail(at, ErrLimit, field+" element type", "no array inside an array", "array")
	}
	n, err := d.length(field+" count", sizes[t])
	if err != nil {
		return nil, err
	}
	if n > math.MaxInt/16 {
		return nil, d.fail(at, ErrLimit, field+" count", "what fits in memory", strconv.FormatInt(n, 10))
	}
	le := binary.LittleEndian
	switch t {
	case typeUint8:
		return elements(d, field, n, 1, func(b []byte) uint8 { return b[0] })
	case typeInt8:
		return elements(d, field, n, 1, func(b []byte) int8 { return int8(b[0]) })
	case typeUint16:
		return elements(d, field, n, 2, le.Uint16)
	case typeInt16:
		return elements(d, field, n, 2, func(b []byte) int16 { return int16(le.Uint16(b)) })
	case typeUint32:
		return elements(d, field, n, 4, le.Uint32)
	case typeInt32:
		return elements(d, field, n, 4, func(b []byte) int32 { return int32(le.Uint32(b)) })
	case typeFloat32:
		return elements(d, field, n, 4, func(b []byte) float32 { return math.Float32frombits(le.Uint32(b)) })
	case typeUint64:
		return elements(d, field, n, 8, le.Uint64)
	case typeInt64:
		return elements(d, field, n, 8, func(b []byte) int64 { return int64(le.Uint64(b)) })
	case typeFloat64:
		return elements(d, field, n, 8, func(b []byte) float64 { return math.Float64frombits(le.Uint64(b)) })
	case typeBool:
		at := d.pos
		raw, err := elements(d, field, n, 1, func(b []byte) uint8 { return b[0] })
		if err != nil {
			return nil, err
		}
		bools := make([]bool, n)
		for i, v := range raw {
			if v > 1 {
				return nil, d.fail(at+int64(i), nil, fmt.Sprintf("%s[%d]", field, i), "a bool, 0 or 1", strconv.Itoa(int(v)))
			}
			bools[i] = v == 1
		}
		return bools, nil
	default:
		return d.strings(field, n)
	}
}

// elements reads n values of size bytes, which are known to be there.
func elements[T any](d *decoder, field string, n, size int64, decode func([]byte) T) ([]T, error) {
	out := make([]T, n)
	for i := int64(0); i < n; {
		step := min(n-i, int64(len(d.buf))/size)
		b, err := d.bytes(int(step*size), field)
		if err != nil {
			return nil, err
		}
		for k := range step {
			out[i+k] = decode(b[k*size:])
		}
		i += step
	}
	return out, nil
}

// strings reads n strings into one piece of memory: apart, 280,000 merges would be
// as many objects for the garbage collector. A first pass over the lengths finds
// its size.
func (d *decoder) strings(field string, n int64) ([]string, error) {
	first := d.pos
	length := field + " string length"
	var total int64
	for range n {
		k, err := d.length(length, 1)
		if err != nil {
			return nil, err
		}
		total += k
		d.pos += k
	}
	if total > math.MaxInt/2 { // 32-bit machines
		return nil, d.fail(first, ErrLimit, field+" bytes", "what fits in memory", strconv.FormatInt(total, 10))
	}
	d.pos = first
	var text strings.Builder
	text.Grow(int(total))
	out := make([]string, n)
	for i := range out {
		at := d.pos
		k, err := d.length(length, 1)
		if err != nil {
			return nil, err
		}
		begin := text.Len()
		if k > total-int64(begin) { // changed between the passes
			return nil, d.fail(at, nil, length, fmt.Sprintf("at most %d", total-int64(begin)), strconv.FormatInt(k, 10))
		}
		for k > 0 {
			step := min(k, int64(len(d.buf)))
			b, err := d.bytes(int(step), field)
			if err != nil {
				return nil, err
			}
			text.Write(b)
			k -= step
		}
		out[i] = text.String()[begin:] // stays valid: text has its final capacity
	}
	return out, nil
}

// printable quotes a name from a file for an error message, cut short.
func printable(s string) string {
	const most = 80
	if len(s) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return strconv.Quote(s)
}
