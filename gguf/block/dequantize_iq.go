package block

import (
	_ "embed"
	"encoding/binary"
	"math/bits"
)

// The IQ1 to IQ3 formats store groups of 8 (IQ3: 4) values as an index into a grid
// of good magnitudes, and their signs apart. IQ1 has signed grids and shifts all
// values of a group by an eighth.

//go:embed grids.bin
var packedGrids []byte // testdata/grids.py; see NOTICE

var (
	gridIQ2_XXS [256][8]float32
	gridIQ2_XS  [512][8]float32
	gridIQ2_S   [1024][8]float32
	gridIQ3_XXS [256][4]float32
	gridIQ3_S   [512][4]float32
	gridIQ1     [2048][8]float32
)

func init() {
	packed := packedGrids
	// unpack reads levels of width bits, the first in the lowest bits of a byte.
	unpack := func(out []float32, width int, levels ...float32) {
		for i := range out {
			bit := i % (8 / width) * width
			out[i] = levels[packed[0]>>bit&(1<<width-1)]
			if bit+width == 8 {
				packed = packed[1:]
			}
		}
	}
	for i := range gridIQ2_XXS {
		unpack(gridIQ2_XXS[i][:], 2, 8, 25, 43)
	}
	for i := range gridIQ2_XS {
		unpack(gridIQ2_XS[i][:], 2, 8, 25, 43)
	}
	for i := range gridIQ2_S {
		unpack(gridIQ2_S[i][:], 2, 8, 25, 43)
	}
	for i := range gridIQ3_XXS {
		unpack(gridIQ3_XXS[i][:], 4, 4, 12, 20, 28, 36, 44, 52, 62)
	}
	for i := range gridIQ3_S {
		unpack(gridIQ3_S[i][:], 4, 1, 3, 5, 7, 9, 11, 13, 15)
	}
	for i := range gridIQ1 {
		unpack(gridIQ1[i][:], 2, -1, 0, 1)
	}
}

// Grid gives the grid of an IQ1, IQ2 or IQ3 type, 8 integers for each index and 4
// for IQ3: magnitudes, or for IQ1 -1, 0 and 1. It is nil for other types.
func Grid(t Type) []int8 {
	switch t {
	case TypeIQ2_XXS:
		return integers(gridIQ2_XXS[:])
	case TypeIQ2_XS:
		return integers(gridIQ2_XS[:])
	case TypeIQ2_S:
		return integers(gridIQ2_S[:])
	case TypeIQ3_XXS:
		return integers(gridIQ3_XXS[:])
	case TypeIQ3_S:
		return integers(gridIQ3_S[:])
	case TypeIQ1_S, TypeIQ1_M:
		return integers(gridIQ1[:])
	}
	return nil
}

func integers[T [4]float32 | [8]float32](grid []T) []int8 {
	var v []int8
	for _, g := range grid {
		for i := range len(g) {
			v = append(v, int8(g[i]))
		}
	}
	return v
}

// EvenSigns is the 8 sign bits, the first value's lowest, of the 7-bit indices of
// IQ2_XXS, IQ2_XS and IQ3_XXS: the eighth makes their number even.
func EvenSigns(i uint32) byte { return byte(i | uint32(bits.OnesCount32(i)&1)<<7) }

// signed writes d times a grid's magnitudes, negated where signs has a 1.
func signed(dst, grid []float32, d float32, signs byte) {
	for i, g := range grid {
		v := d * g
		if signs>>i&1 != 0 {
			v = -v
		}
		dst[i] = v
	}
}

func dequantizeIQ2_XXS(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[66:] {
		d := half(src)
		for g := range 8 {
			in := src[2+8*g : 10+8*g]
			word := binary.LittleEndian.Uint32(in[4:])
			db := d * (0.5 + float32(word>>28)) * 0.25
			for k := range 4 {
				signed(dst[32*g+8*k:], gridIQ2_XXS[in[k]][:], db, EvenSigns(word>>(7*k)&127))
			}
		}
	}
}

func dequantizeIQ2_XS(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[74:] {
		d, scales := half(src), src[66:74]
		for k := range 32 {
			q := uint32(binary.LittleEndian.Uint16(src[2+2*k:]))
			sc := scales[k/4] >> (k / 2 % 2 * 4) & 15
			db := d * (0.5 + float32(sc)) * 0.25
			signed(dst[8*k:], gridIQ2_XS[q&511][:], db, EvenSigns(q>>9))
		}
	}
}

func dequantizeIQ2_S(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[82:] {
		d, qs, signs, qh, scales := half(src), src[2:34], src[34:66], src[66:74], src[74:82]
		for k := range 32 {
			sc := scales[k/4] >> (k / 2 % 2 * 4) & 15
			db := d * (0.5 + float32(sc)) * 0.25
			index := int(qs[k]) | int(qh[k/4]>>(k%4*2)&3)<<8
			signed(dst[8*k:], gridIQ2_S[index][:], db, signs[k])
		}
	}
}

func dequantizeIQ3_XXS(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[98:] {
		d, qs := half(src), src[2:66]
		for g := range 8 {
			word := binary.LittleEndian.Uint32(src[66+4*g:])
			db := d * (0.5 + float32(word>>28)) * 0.5
			for k := range 8 {
				signs := EvenSigns(word >> (k / 2 * 7) & 127)
				signed(dst[32*g+4*k:], gridIQ3_XXS[qs[8*g+k]][:], db, signs>>(k%2*4))
			}
		}
	}
}

func dequantizeIQ3_S(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[110:] {
		d, qs, qh, signs, scales := half(src), src[2:66], src[66:74], src[74:106], src[106:110]
		for k := range 64 {
			sc := scales[k/16] >> (k / 8 % 2 * 4) & 15
			db := d * float32(1+2*sc)
			index := int(qs[k]) | int(qh[k/8]>>(k%8)&1)<<8
			signed(dst[4*k:], gridIQ3_S[index][:], db, signs[k/2]>>(k%2*4))
		}
	}
}

// shifted writes d·(grid ± 1/8).
func shifted(dst []float32, index int, d float32, negative bool) {
	delta := float32(0.125)
	if negative {
		delta = -delta
	}
	for i, g := range gridIQ1[index] {
		dst[i] = d * (g + delta)
	}
}

func dequantizeIQ1_S(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[50:] {
		d, qs := half(src), src[2:34]
		for g := range 8 {
			qh := binary.LittleEndian.Uint16(src[34+2*g:])
			dl := d * float32(2*(qh>>12&7)+1)
			for k := range 4 {
				index := int(qs[4*g+k]) | int(qh>>(3*k)&7)<<8
				shifted(dst[32*g+8*k:], index, dl, qh&0x8000 != 0)
			}
		}
	}
}

func dequantizeIQ1_M(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[56:] {
		qs, qh := src[:32], src[32:48]
		var scales [4]uint16
		var d16 F16
		for i := range scales {
			scales[i] = binary.LittleEndian.Uint16(src[48+2*i:])
			d16 |= F16(scales[i] >> 12 << (4 * i))
		}
		d := d16.Float32()
		for k := range 32 {
			sc := scales[k/8] >> (k / 2 % 4 * 3) & 7
			high := qh[k/2] >> (k % 2 * 4)
			shifted(dst[8*k:], int(qs[k])|int(high&7)<<8, d*float32(2*sc+1), high&8 != 0)
		}
	}
}
