package kernels

import (
	"encoding/binary"
	"unsafe"

	"github.com/llama31/llama31/gguf/block"
)

// The values of IQ1 to IQ3 are a grid's, which an index stands for, with signs apart; those of IQ1 are eighths, 8·grid ± 1, those of IQ3_XXS are all even, and halved here, so that
// Winograd's sums fit in a byte. The grids here have stored values, with the bias, 8 of them to an element and 4 for IQ3: signs then take a value from twice the bias.

const (
	iqBias  = 64
	iq1Bias = 16
)

// The assembly uses those with an element more too, and reads 16 bytes at each.
var (
	gridIQ2_XXS [256]uint64
	gridIQ2_XS  [512]uint64
	gridIQ2_S   [1024 + 1]uint64
	gridIQ3_XXS [256]uint32
	gridIQ3_S   [512]uint32
	gridIQ1     [2048 + 1]uint64 // 8·grid + 1
)

// signBytes has a byte of ones for each bit, evenSignBytes for those of block.EvenSigns.
var (
	signBytes     [256]uint64
	evenSignBytes [128]uint64
)

func init() {
	plain := func(v int) int { return v + iqBias }
	fillGrid(gridIQ2_XXS[:], block.TypeIQ2_XXS, plain)
	fillGrid(gridIQ2_XS[:], block.TypeIQ2_XS, plain)
	fillGrid(gridIQ2_S[:], block.TypeIQ2_S, plain)
	fillGrid(gridIQ3_XXS[:], block.TypeIQ3_XXS, func(v int) int { return v/2 + iqBias })
	fillGrid(gridIQ3_S[:], block.TypeIQ3_S, plain)
	fillGrid(gridIQ1[:], block.TypeIQ1_S, func(v int) int { return 8*v + 1 + iq1Bias })
	for s := range signBytes {
		for i := range 8 {
			signBytes[s] |= uint64(s>>i&1*0xff) << (8 * i)
		}
	}
	for s := range evenSignBytes {
		evenSignBytes[s] = signBytes[block.EvenSigns(uint32(s))]
	}
}

// fillGrid sets the grid's values to the bytes that stored gives.
func fillGrid[T uint32 | uint64](grid []T, t block.Type, stored func(v int) int) {
	n := int(unsafe.Sizeof(grid[0]))
	for i, v := range block.Grid(t) {
		grid[i/n] |= T(stored(int(v))) << (i % n * 8)
	}
}

// eachByte is v in each byte.
func eachByte(v uint64) uint64 { return v * 0x0101010101010101 }

// putSigned writes 8 values, negated where signs has ones. Bytes are at most twice the bias, and nothing is borrowed.
func putSigned(q []byte, values, signs uint64) {
	values ^= (values ^ (eachByte(2*iqBias) - values)) & signs
	binary.LittleEndian.PutUint64(q, values)
}

// pair joins two values of IQ3's grids.
func pair(a, b uint32) uint64 { return uint64(a) | uint64(b)<<32 }

func unpackIQ2_XXS(nb int, w, q *byte, scale, off *float32) {
	qs, sc := slice(q, 32*nb), slice(scale, nb)
	for b, x := range blocks[block.IQ2_XXS](w, nb/8) {
		d := x.D.Float32() / 8
		for g := range 8 {
			in := x.Qs[4*g : 4*g+4]
			index, word := uint32(in[0])|uint32(in[1])<<16, uint32(in[2])|uint32(in[3])<<16
			sc[8*b+g] = float32(d * float32(word>>28*2+1))
			for k := range 4 {
				putSigned(qs[256*b+32*g+8*k:], gridIQ2_XXS[index>>(8*k)&255], evenSignBytes[word>>(7*k)&127])
			}
		}
	}
}

// putHalves sets the scales of IQ2_XS and IQ2_S, four bits for 16 values.
func putHalves(sc []float32, scales *[8]byte, d float32) {
	for i, s := range scales {
		sc[2*i], sc[2*i+1] = float32(d*float32(s&15*2+1)), float32(d*float32(s>>4*2+1))
	}
}

func unpackIQ2_XS(nb int, w, q *byte, scale, off *float32) {
	qs, sc := slice(q, 32*nb), slice(scale, 2*nb)
	for b, x := range blocks[block.IQ2_XS](w, nb/8) {
		putHalves(sc[16*b:], &x.Scales, x.D.Float32()/8)
		for k, v := range x.Qs {
			putSigned(qs[256*b+8*k:], gridIQ2_XS[v&511], evenSignBytes[v>>9])
		}
	}
}

func unpackIQ2_S(nb int, w, q *byte, scale, off *float32) {
	qs, sc := slice(q, 32*nb), slice(scale, 2*nb)
	for b, x := range blocks[block.IQ2_S](w, nb/8) {
		putHalves(sc[16*b:], &x.Scales, x.D.Float32()/8)
		for k := range 32 {
			index := int(x.Qs[k]) | int(x.Qh[k/4]>>(k%4*2)&3)<<8
			putSigned(qs[256*b+8*k:], gridIQ2_S[index], signBytes[x.Qs[32+k]])
		}
	}
}

func unpackIQ3_XXS(nb int, w, q *byte, scale, off *float32) {
	qs, sc := slice(q, 32*nb), slice(scale, nb)
	for b, x := range blocks[block.IQ3_XXS](w, nb/8) {
		d := x.D.Float32() / 2
		for g := range 8 {
			word := binary.LittleEndian.Uint32(x.Qs[64+4*g:])
			sc[8*b+g] = float32(d * float32(word>>28*2+1))
			for k, i := range [4]int{0, 2, 4, 6} {
				in := x.Qs[8*g+i : 8*g+i+2]
				putSigned(qs[256*b+32*g+8*k:], pair(gridIQ3_XXS[in[0]], gridIQ3_XXS[in[1]]), evenSignBytes[word>>(7*k)&127])
			}
		}
	}
}

func unpackIQ3_S(nb int, w, q *byte, scale, off *float32) {
	qs, sc := slice(q, 32*nb), slice(scale, nb)
	for b, x := range blocks[block.IQ3_S](w, nb/8) {
		d := x.D.Float32()
		for g := range 8 {
			sc[8*b+g] = float32(d * float32(x.Scales[g/2]>>(g%2*4)&15*2+1))
			high := int(x.Qh[g])
			for k := range 4 {
				in := x.Qs[8*g+2*k : 8*g+2*k+2]
				even, odd := int(in[0])|high<<(8-2*k)&256, int(in[1])|high<<(7-2*k)&256
				putSigned(qs[256*b+32*g+8*k:], pair(gridIQ3_S[even], gridIQ3_S[odd]), signBytes[x.Signs[4*g+k]])
			}
		}
	}
}

// putShifted writes 8 values of IQ1, of index's low 11 bits, as they are or less 2.
func putShifted(q []byte, index int, less bool) {
	v := gridIQ1[index&2047]
	if less {
		v -= eachByte(2)
	}
	binary.LittleEndian.PutUint64(q, v)
}

func unpackIQ1_S(nb int, w, q *byte, scale, off *float32) {
	qs, sc := slice(q, 32*nb), slice(scale, nb)
	for b, x := range blocks[block.IQ1_S](w, nb/8) {
		d := x.D.Float32() / 8
		for g, h := range x.Qh {
			sc[8*b+g] = float32(d * float32(h>>12&7*2+1))
			for k := range 4 {
				putShifted(qs[256*b+32*g+8*k:], int(x.Qs[4*g+k])|int(h>>(3*k))<<8, h>>15 != 0)
			}
		}
	}
}

func unpackIQ1_M(nb int, w, q *byte, scale, off *float32) {
	qs, sc := slice(q, 32*nb), slice(scale, 2*nb)
	for b, x := range blocks[block.IQ1_M](w, nb/8) {
		scales := binary.LittleEndian.Uint64(x.Scales[:])
		d := block.F16(scales>>12&15|scales>>24&0xf0|scales>>36&0xf00|scales>>48&0xf000).Float32() / 8
		for g := range 16 {
			sc[16*b+g] = float32(d * float32(scales>>(g/4*16+g%4*3)&7*2+1))
		}
		for k := range 32 {
			h := int(x.Qh[k/2] >> (k % 2 * 4))
			putShifted(qs[256*b+8*k:], int(x.Qs[k])|h<<8, h>>3&1 != 0)
		}
	}
}

// putThirds writes planes digits of each byte, the first of all bytes first: a byte is a fraction of 256 in base 3.
func putThirds(q []byte, in []byte, planes int) {
	for i, v := range in {
		for k := range planes {
			t := uint16(v) * 3
			q[k*len(in)+i], v = byte(t>>8), byte(t)
		}
	}
}

func unpackTQ1_0(nb int, w, q *byte, scale, off *float32) {
	qs, sc := slice(q, 32*nb), slice(scale, nb)
	for b, x := range blocks[block.TQ1_0](w, nb/8) {
		putThirds(qs[256*b:], x.Qs[:32], 5)
		putThirds(qs[256*b+160:], x.Qs[32:], 5)
		putThirds(qs[256*b+240:], x.Qh[:], 4)
		for g := range 8 {
			sc[8*b+g] = x.D.Float32()
		}
	}
}

func unpackTQ2_0(nb int, w, q *byte, scale, off *float32) {
	qs, sc := slice(q, 32*nb), slice(scale, nb)
	for b, x := range blocks[block.TQ2_0](w, nb/8) {
		for i, v := range x.Qs {
			o := qs[256*b+i/32*128+i%32:]
			o[0], o[32], o[64], o[96] = v&3, v>>2&3, v>>4&3, v>>6
		}
		for g := range 8 {
			sc[8*b+g] = x.D.Float32()
		}
	}
}
