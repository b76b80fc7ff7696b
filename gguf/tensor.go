package gguf

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"

	"github.com/llama31/llama31/gguf/block"
)

// TensorInfo describes a tensor of a file. It has been checked: the extent is
// whole blocks, inside the file, and overlaps no other.
type TensorInfo struct {
	Name   string
	Type   block.Type
	Shape  []int // in values, rows first: a matrix is [rows, columns]
	Offset int64 // of the first byte, from the start of its file
	Size   int64 // in bytes
	Shard  int   // which file of a split model, from 0
}

// Values is the number of values.
func (t TensorInfo) Values() int64 { return t.Size / int64(t.Type.Size()) * int64(t.Type.Len()) }

// blockShape is the shape of the view: the last dimension counts blocks.
func (t TensorInfo) blockShape() []int {
	s := slices.Clone(t.Shape)
	s[len(s)-1] /= t.Type.Len()
	return s
}

// extent is the size in bytes of a tensor whose dimensions, in values and rows
// first, come from a file or a caller.
func extent(t block.Type, shape []int) (int64, error) {
	if t.Len() == 0 {
		return 0, fmt.Errorf("%w: %v", ErrUnsupportedType, t)
	}
	if len(shape) == 0 || len(shape) > maxDims {
		return 0, fmt.Errorf("%d dimensions, expected 1 to %d", len(shape), maxDims)
	}
	n := uint64(1)
	for _, s := range shape {
		if s < 1 {
			return 0, fmt.Errorf("dimension %d, expected at least 1", s)
		}
		high, low := bits.Mul64(n, uint64(s))
		if high != 0 || low > math.MaxInt64 {
			return 0, fmt.Errorf("shape %v has more than 2^63 values", shape)
		}
		n = low
	}
	if cols := shape[len(shape)-1]; cols%t.Len() != 0 {
		return 0, fmt.Errorf("rows of %d values are not whole blocks of %v (%d values)", cols, t, t.Len())
	}
	return t.Bytes(int64(n))
}

// readTensors reads n tensor descriptions; their offsets are still relative to the
// data.
func (d *decoder) readTensors(n int64) ([]TensorInfo, error) {
	infos := make([]TensorInfo, 0, n)
	seen := make(map[string]bool, n)
	for i := range n {
		at := d.pos
		field := "name of tensor " + strconv.FormatInt(i, 10)
		name, err := d.string(field, maxTensorName)
		if err != nil {
			return nil, err
		}
		if name == "" {
			return nil, d.fail(at, nil, field, "a name", "an empty string")
		}
		if seen[name] {
			return nil, d.fail(at, ErrDuplicate, field, "a new name", printable(name)+" again")
		}
		seen[name] = true
		field = "tensor " + printable(name)
		at = d.pos
		dims, err := d.u32(field + ": number of dimensions")
		if err != nil {
			return nil, err
		}
		if dims < 1 || dims > maxDims {
			return nil, d.fail(at, nil, field+": number of dimensions", fmt.Sprintf("1 to %d", maxDims), strconv.FormatUint(uint64(dims), 10))
		}
		shape := make([]int, dims)
		for k := range shape {
			at := d.pos
			s, err := d.u64(field + ": dimension")
			if err != nil {
				return nil, err
			}
			if s < 1 || s > math.MaxInt {
				return nil, d.fail(at, nil, fmt.Sprintf("%s: dimension %d", field, k), "1 to "+strconv.Itoa(math.MaxInt), strconv.FormatUint(s, 10))
			}
			shape[len(shape)-1-k] = int(s)
		}
		at = d.pos
		number, err := d.u32(field + ": type")
		if err != nil {
			return nil, err
		}
		t := block.Type(number)
		if t.Len() == 0 {
			return nil, d.fail(at, ErrUnsupportedType, field+": type", "a type this package decodes", t.String())
		}
		size, err := extent(t, shape)
		if err != nil {
			return nil, d.fail(at, nil, field+": size", "whole blocks that fit in 63 bits", err.Error())
		}
		at = d.pos
		offset, err := d.u64(field + ": offset")
		if err != nil {
			return nil, err
		}
		if offset > math.MaxInt64 {
			return nil, d.fail(at, ErrTruncated, field+": offset", "at most 2^63-1", strconv.FormatUint(offset, 10))
		}
		infos = append(infos, TensorInfo{Name: name, Type: t, Shape: shape, Offset: int64(offset), Size: size})
	}
	return infos, nil
}

// place turns relative offsets into absolute ones and checks that all tensors are
// aligned, inside the file and apart from each other.
func (d *decoder) place(infos []TensorInfo, alignment int64) error {
	pad := (alignment - d.pos%alignment) % alignment
	data := d.pos + pad
	if len(infos) > 0 && data > d.size {
		return d.fail(d.pos, ErrTruncated, "padding before the data", fmt.Sprintf("%d bytes", pad), strconv.FormatInt(d.remaining(), 10))
	}
	for i := range infos {
		t := &infos[i]
		field := "tensor " + printable(t.Name)
		if t.Offset%alignment != 0 {
			return d.fail(data, ErrAlignment, field+": offset", fmt.Sprintf("a multiple of %d", alignment), strconv.FormatInt(t.Offset, 10))
		}
		// No sum here can overflow: each side is checked before it is added to.
		if have := d.size - data; t.Offset > have || t.Size > have-t.Offset {
			return d.fail(data, ErrTruncated, field, fmt.Sprintf("%d bytes of data from offset %d", t.Size, t.Offset), fmt.Sprintf("%d bytes of data in all", have))
		}
		t.Offset += data
	}
	order := make([]int, len(infos))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(infos[a].Offset, infos[b].Offset) })
	for i := 1; i < len(order); i++ {
		a, b := infos[order[i-1]], infos[order[i]]
		if end := a.Offset + a.Size; b.Offset < end {
			return d.fail(b.Offset, ErrOverlap, "tensor "+printable(b.Name), fmt.Sprintf("data after byte %d, the end of %s", end, printable(a.Name)), strconv.FormatInt(b.Offset, 10))
		}
	}
	return nil
}
