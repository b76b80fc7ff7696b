package kernels

import (
	"math"
	"unsafe"

	"github.com/llama31/llama31/gguf/block"
)

// formats are the block types whose products run on integers. The others, F32, F16 and BF16 among them, run as float32 panels.
var formats = map[block.Type]*format{
	block.TypeQ4_0:   {scales: 1, bias: 8, max: 15, unpack: unpackQ4_0},
	block.TypeQ4_1:   {scales: 1, offs: 1, max: 15, unpack: unpackQ4_1},
	block.TypeQ5_0:   {scales: 1, bias: 16, max: 31, unpack: unpackQ5_0},
	block.TypeQ5_1:   {scales: 1, offs: 1, max: 31, unpack: unpackQ5_1},
	block.TypeQ8_0:   {scales: 1, bias: 128, max: 255, unpack: unpackQ8_0},
	block.TypeQ2_K:   {scales: 1, offs: 2, max: 45, unpack: unpackQ2_K},
	block.TypeQ3_K:   {scales: 2, bias: 4, max: 7, unpack: unpackQ3_K},
	block.TypeQ4_K:   {scales: 1, offs: 1, max: 15, unpack: unpackQ4_K},
	block.TypeQ5_K:   {scales: 1, offs: 1, max: 31, unpack: unpackQ5_K},
	block.TypeQ6_K:   {scales: 2, bias: 32, max: 63, unpack: unpackQ6_K},
	block.TypeIQ4_NL: {scales: 1, bias: 128, max: 255, unpack: unpackIQ4_NL},
	block.TypeIQ4_XS: {scales: 1, bias: 128, max: 255, unpack: unpackIQ4_XS},

	block.TypeIQ1_S:   {scales: 1, bias: iq1Bias, min: iq1Bias - 9, max: iq1Bias + 9, unpack: unpackIQ1_S},
	block.TypeIQ1_M:   {scales: 2, bias: iq1Bias, min: iq1Bias - 9, max: iq1Bias + 9, unpack: unpackIQ1_M},
	block.TypeIQ2_XXS: {scales: 1, bias: iqBias, min: iqBias - 43, max: iqBias + 43, unpack: unpackIQ2_XXS},
	block.TypeIQ2_XS:  {scales: 2, bias: iqBias, min: iqBias - 43, max: iqBias + 43, unpack: unpackIQ2_XS},
	block.TypeIQ2_S:   {scales: 2, bias: iqBias, min: iqBias - 43, max: iqBias + 43, unpack: unpackIQ2_S},
	block.TypeIQ3_XXS: {scales: 1, bias: iqBias, min: iqBias - 31, max: iqBias + 31, unpack: unpackIQ3_XXS},
	block.TypeIQ3_S:   {scales: 1, bias: iqBias, min: iqBias - 15, max: iqBias + 15, unpack: unpackIQ3_S},
	block.TypeTQ1_0:   {scales: 1, bias: 1, max: 2, unpack: unpackTQ1_0},
	block.TypeTQ2_0:   {scales: 1, bias: 1, max: 3, unpack: unpackTQ2_0},
}

func f16to32(h uint16) float32 { return block.F16(h).Float32() }

func fromF16Generic(n int, x *uint16, y *float32) {
	ys := slice(y, n)
	for i, h := range slice(x, n) {
		ys[i] = f16to32(h)
	}
}

func fromBF16Generic(n int, x *uint16, y *float32) {
	ys := slice(y, n)
	for i, h := range slice(x, n) {
		ys[i] = math.Float32frombits(uint32(h) << 16)
	}
}

func toF16Generic(n int, x *float32, y *uint16) {
	ys := slice(y, n)
	for i, f := range slice(x, n) {
		ys[i] = uint16(block.NewF16(f))
	}
}

// blocks is n blocks of a row as their Go structs. The structs have the file's layout, and a row's bytes are aligned to at least 2
// because every block's size is even and gguf refuses tensors that are not aligned.
func blocks[T any](w *byte, n int) []T { return unsafe.Slice((*T)(unsafe.Pointer(w)), n) }

// nibbles writes the low nibbles of 16 bytes, then the high ones.
func nibbles(qs *[16]byte, q []byte) {
	for i, v := range qs {
		q[i], q[i+16] = v&15, v>>4
	}
}

func unpackQ4_0(nb int, w, q *byte, scale, off *float32) {
	qs, sc := slice(q, 32*nb), slice(scale, nb)
	for b, x := range blocks[block.Q4_0](w, nb) {
		nibbles(&x.Qs, qs[32*b:])
		sc[b] = x.D.Float32()
	}
}

func unpackQ4_1(nb int, w, q *byte, scale, off *float32) {
	qs, sc, of := slice(q, 32*nb), slice(scale, nb), slice(off, nb)
	for b, x := range blocks[block.Q4_1](w, nb) {
		nibbles(&x.Qs, qs[32*b:])
		sc[b], of[b] = x.D.Float32(), x.M.Float32()
	}
}

// fifth adds bit 4 of 32 values.
func fifth(qh *[4]byte, q []byte) {
	for i := range 32 {
		q[i] |= qh[i/8] >> (i % 8) & 1 << 4
	}
}

func unpackQ5_0(nb int, w, q *byte, scale, off *float32) {
	qs, sc := slice(q, 32*nb), slice(scale, nb)
	for b, x := range blocks[block.Q5_0](w, nb) {
		nibbles(&x.Qs, qs[32*b:])
		fifth(&x.Qh, qs[32*b:])
		sc[b] = x.D.Float32()
	}
}

func unpackQ5_1(nb int, w, q *byte, scale, off *float32) {
	qs, sc, of := slice(q, 32*nb), slice(scale, nb), slice(off, nb)
	for b, x := range blocks[block.Q5_1](w, nb) {
		nibbles(&x.Qs, qs[32*b:])
		fifth(&x.Qh, qs[32*b:])
		sc[b], of[b] = x.D.Float32(), x.M.Float32()
	}
}

func unpackQ8_0(nb int, w, q *byte, scale, off *float32) {
	qs, sc := slice(q, 32*nb), slice(scale, nb)
	for b, x := range blocks[block.Q8_0](w, nb) {
		for i, v := range x.Qs {
			qs[32*b+i] = byte(v) ^ 128
		}
		sc[b] = x.D.Float32()
	}
}

// unpackQ2_K multiplies values of 2 bits by their scales of 4, one per 16, and leaves d: one scale per 32.
func unpackQ2_K(nb int, w, q *byte, scale, off *float32) {
	qs, sc, of := slice(q, 32*nb), slice(scale, nb), slice(off, 2*nb)
	for b, x := range blocks[block.Q2_K](w, nb/8) {
		d, m := x.D.Float32(), x.DMin.Float32()
		for g, s := range x.Scales {
			sc[8*b+g/2], of[16*b+g] = d, -float32(m*float32(s>>4))
			half, plane, first := g/8, g%8/2, g%2*16
			for i := range 16 {
				qs[256*b+16*g+i] = x.Qs[32*half+first+i] >> (2 * plane) & 3 * (s & 15)
			}
		}
	}
}

func unpackQ3_K(nb int, w, q *byte, scale, off *float32) {
	qs, sc := slice(q, 32*nb), slice(scale, 2*nb)
	for b, x := range blocks[block.Q3_K](w, nb/8) {
		d := x.D.Float32()
		for g := range 16 {
			s := int(x.Scales[g%8]>>(g/8*4)&15|x.Scales[8+g%4]>>(g/4*2)&3<<4) - 32
			sc[16*b+g] = float32(d * float32(s))
			half, plane, first := g/8, g%8/2, g%2*16
			for i := range 16 {
				qs[256*b+16*g+i] = x.Qs[32*half+first+i]>>(2*plane)&3 | x.HMask[first+i]>>(g/2)&1<<2
			}
		}
	}
}

func unpackQ4_K(nb int, w, q *byte, scale, off *float32) {
	qs, sc, of := slice(q, 32*nb), slice(scale, nb), slice(off, nb)
	for b, x := range blocks[block.Q4_K](w, nb/8) {
		d, dm := x.D.Float32(), x.DMin.Float32()
		for g := range 8 {
			s, m := block.ScaleMin(&x.Scales, g)
			sc[8*b+g], of[8*b+g] = float32(d*float32(s)), -float32(dm*float32(m))
			for i, v := range x.Qs[g/2*32 : g/2*32+32] {
				qs[256*b+32*g+i] = v >> (g % 2 * 4) & 15
			}
		}
	}
}

func unpackQ5_K(nb int, w, q *byte, scale, off *float32) {
	qs, sc, of := slice(q, 32*nb), slice(scale, nb), slice(off, nb)
	for b, x := range blocks[block.Q5_K](w, nb/8) {
		d, dm := x.D.Float32(), x.DMin.Float32()
		for g := range 8 {
			s, m := block.ScaleMin(&x.Scales, g)
			sc[8*b+g], of[8*b+g] = float32(d*float32(s)), -float32(dm*float32(m))
			for i, v := range x.Qs[g/2*32 : g/2*32+32] {
				qs[256*b+32*g+i] = v>>(g%2*4)&15 | x.Qh[i]>>g&1<<4
			}
		}
	}
}

func unpackQ6_K(nb int, w, q *byte, scale, off *float32) {
	qs, sc := slice(q, 32*nb), slice(scale, 2*nb)
	for b, x := range blocks[block.Q6_K](w, nb/8) {
		d := x.D.Float32()
		for g, s := range x.Scales {
			sc[16*b+g] = float32(d * float32(s))
		}
		for g := range 8 {
			h, plane := g/4, g%4
			low, high := x.Ql[64*h+plane%2*32:], x.Qh[32*h:]
			for i := range 32 {
				qs[256*b+32*g+i] = low[i]>>(plane/2*4)&15 | high[i]>>(2*plane)&3<<4
			}
		}
	}
}

func unpackIQ4_NL(nb int, w, q *byte, scale, off *float32) {
	qs, sc := slice(q, 32*nb), slice(scale, nb)
	for b, x := range blocks[block.IQ4_NL](w, nb) {
		iq4(&x.Qs, qs[32*b:])
		sc[b] = x.D.Float32()
	}
}

func unpackIQ4_XS(nb int, w, q *byte, scale, off *float32) {
	qs, sc := slice(q, 32*nb), slice(scale, nb)
	for b, x := range blocks[block.IQ4_XS](w, nb/8) {
		d := x.D.Float32()
		for g := range 8 {
			s := int(x.ScalesL[g/2]>>(g%2*4)&15|byte(x.ScalesH>>(2*g)&3<<4)) - 32
			sc[8*b+g] = float32(d * float32(s))
			iq4((*[16]byte)(x.Qs[16*g:]), qs[256*b+32*g:])
		}
	}
}

// iq4 looks 32 nibbles up in the non-linear table, biased by 128.
func iq4(qs *[16]byte, q []byte) {
	for i, v := range qs {
		q[i] = byte(block.IQ4Values[v&15]) ^ 128
		q[i+16] = byte(block.IQ4Values[v>>4]) ^ 128
	}
}
