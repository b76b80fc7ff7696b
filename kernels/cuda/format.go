package cuda

import (
	"encoding/binary"
	"math"

	"github.com/llama31/llama31/gguf/block"
)

// tileRows and superK are the rows of a record and what k is padded to (weights.cuh).
const (
	tileRows = 16
	superK   = 256
)

// scaleKind says what scales a record has (weights.cuh).
type scaleKind int

const (
	perRow scaleKind = iota
	per32
	codes32
	codes16
	nibbles16
)

// format is how a weight lies in device memory: weights.cuh's Format, and how its blocks are taken apart.
type format struct {
	name      string // of its kernels
	low, high int    // bits in the planes
	kind      scaleKind
	offset    bool
	table     bool
	len       int                         // values that split takes
	split     func(s *splitRow, b []byte) // takes part of a row apart; nil: of floats
	places    *[2][superK]place           // by row/8 and k: where a value's low bits go
	highs     *[2][superK]place
}

// place is a value's byte in a record for rows 0 and 8, and its first bit there.
type place struct {
	at    uint16
	shift uint8
}

// splitRow is a row's part of a record.
type splitRow struct {
	q      [superK]uint8
	scale  [8]uint16 // float16
	offset [8]uint16 // float16
	codes  [16]byte
	d, m   uint16 // float16
}

func (f *format) k() int {
	if f.low < 16 {
		return superK
	}
	return 2048 / f.low
}

// lowBytes are the low plane's.
func (f *format) lowBytes() int { return 2 * f.low * f.k() }

// scaleBytes and factorBytes are a row's (weights.cuh).
func (f *format) scaleBytes() int {
	switch {
	case f.kind == perRow:
		return 0
	case f.kind == codes32 && !f.offset:
		return 8
	}
	return 16
}

func (f *format) offsetBytes() int {
	if f.kind == per32 && f.offset {
		return 16
	}
	return 0
}

func (f *format) factorBytes() int {
	switch {
	case f.kind < codes32:
		return 0
	case f.offset:
		return 4
	}
	return 2
}

// bytes are a record's.
func (f *format) bytes() int {
	return f.lowBytes() + 2*f.high*f.k() + tileRows*(f.scaleBytes()+f.offsetBytes()+f.factorBytes())
}

// formats are the block types that are kept as they are. Every other one becomes Q8_0.
var formats = map[block.Type]*format{
	block.TypeF32:    {name: "f32", low: 32},
	block.TypeF16:    {name: "f16", low: 16},
	block.TypeBF16:   {name: "f16", low: 16},
	block.TypeQ8_0:   {name: "q8_0", low: 8, kind: per32, len: 32, split: splitQ8_0},
	block.TypeQ4_0:   {name: "q4_0", low: 4, kind: per32, len: 32, split: splitQ4_0},
	block.TypeQ4_1:   {name: "q4_1", low: 4, kind: per32, offset: true, len: 32, split: splitQ4_1},
	block.TypeQ5_0:   {name: "q5_0", low: 4, high: 1, kind: per32, len: 32, split: splitQ5_0},
	block.TypeQ5_1:   {name: "q5_1", low: 4, high: 1, kind: per32, offset: true, len: 32, split: splitQ5_1},
	block.TypeQ2_K:   {name: "q2_k", low: 2, kind: nibbles16, offset: true, len: 256, split: splitQ2_K},
	block.TypeQ3_K:   {name: "q3_k", low: 2, high: 1, kind: codes16, len: 256, split: splitQ3_K},
	block.TypeQ4_K:   {name: "q4_k", low: 4, kind: codes32, offset: true, len: 256, split: splitQ4_K},
	block.TypeQ5_K:   {name: "q5_k", low: 4, high: 1, kind: codes32, offset: true, len: 256, split: splitQ5_K},
	block.TypeQ6_K:   {name: "q6_k", low: 4, high: 2, kind: codes16, len: 256, split: splitQ6_K},
	block.TypeIQ4_NL: {name: "iq4_nl", low: 4, kind: per32, table: true, len: 32, split: splitQ4_0},
	block.TypeIQ4_XS: {name: "iq4_xs", low: 4, kind: codes32, table: true, len: 256, split: splitIQ4_XS},
}

func init() {
	for _, f := range formats {
		if f.split == nil {
			continue
		}
		f.places, f.highs = new([2][superK]place), new([2][superK]place)
		for row := range 2 {
			for k := range superK {
				b, half, t, j := k/32, k%32/16, k%16/4, k%4
				value := 4*half + j // of the eight that a lane has of its row
				pair, second := value/2, value%2
				// A lane has 2·width bytes of a plane's block; bit counts in them.
				set := func(p *place, width, bit int) {
					*p = place{at: uint16(64*width*b + 2*width*t + bit/8), shift: uint8(bit % 8)}
				}
				low, high := &f.places[row][k], &f.highs[row][k]
				switch {
				case f.low == 8 || f.table:
					set(low, f.low, f.low*(8*row+value))
				case f.low == 4:
					set(low, 4, 32*row+4*pair+16*second)
				case f.low == 2:
					set(low, 2, 8*row+2*pair+16*second)
				}
				switch f.high {
				case 1:
					set(high, 1, 4*row+pair+8*second)
				case 2:
					set(high, 2, 8*row+2*pair+16*second)
				}
				high.at += uint16(f.lowBytes())
			}
		}
	}
}

// put writes a row's part of a record. rec is zero where the row goes.
func (f *format) put(rec []byte, row int, s *splitRow) {
	rec = rec[:f.bytes()]
	places, highs := &f.places[row/8], &f.highs[row/8]
	lane := 4 * (row % 8)
	mask := byte(1<<f.low - 1)
	for k, q := range &s.q {
		p := places[k]
		rec[int(p.at)+2*f.low*lane] |= q & mask << p.shift
	}
	if f.high > 0 {
		for k, q := range &s.q {
			p := highs[k]
			rec[int(p.at)+2*f.high*lane] |= q >> f.low << p.shift
		}
	}
	at := f.lowBytes() + 2*f.high*f.k()
	put16 := func(at int, v *[8]uint16) {
		for i, h := range v {
			binary.LittleEndian.PutUint16(rec[at+2*i:], h)
		}
	}
	if f.kind == per32 {
		put16(at+16*row, &s.scale)
	} else {
		n := f.scaleBytes()
		copy(rec[at+n*row:at+n*(row+1)], s.codes[:])
	}
	at += tileRows * f.scaleBytes()
	if f.offsetBytes() > 0 {
		put16(at+16*row, &s.offset)
	}
	at += tileRows * f.offsetBytes()
	if n := f.factorBytes(); n > 0 {
		binary.LittleEndian.PutUint16(rec[at+n*row:], s.d)
		if n == 4 {
			binary.LittleEndian.PutUint16(rec[at+n*row+2:], s.m)
		}
	}
}

// putFloats is put of values whose row has the given scale, a power of two.
func (f *format) putFloats(rec []byte, row int, values []float32, scale float32) {
	for k, v := range values {
		b, half, t, j := k/32, k%32/16, k%16/4, k%4
		at := 64*(row%8) + 16*t + 2*(4*half+j)
		v /= scale
		h := block.NewF16(v)
		if f.low == 16 {
			binary.LittleEndian.PutUint16(rec[512*(2*b+row/8)+at:], uint16(h))
			continue
		}
		binary.LittleEndian.PutUint16(rec[512*(4*b+row/8)+at:], uint16(h))
		binary.LittleEndian.PutUint16(rec[512*(4*b+2+row/8)+at:], uint16(block.NewF16(v-h.Float32())))
	}
}

// rowScale is the power of two that brings the largest of a row's values to between 2^12 and 2^13: what bfloat16 can tell apart in
// values down to 2^-29 of the largest, float16 then can too.
func rowScale(values []float32) float32 {
	top := 0.0
	for _, v := range values {
		top = max(top, math.Abs(float64(v)))
	}
	if !(top > 0) || math.IsInf(top, 0) {
		return 1
	}
	_, e := math.Frexp(top)
	return float32(math.Ldexp(1, min(max(e-13, -126), 127)))
}
