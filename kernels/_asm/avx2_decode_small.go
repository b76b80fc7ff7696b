package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// Decoders of the smaller formats, and of those with a fifth bit. See avx2_decode.go.

func decodeIQ4_NL(d *dotState) {
	d.scale[0], _ = halfFloats(d.dwords(0))
	d.iq4(d.columns(2))
}

// decodeQ5_0: 2 bytes of d, 4 of fifth bits, 16 of nibbles.
func decodeQ5_0(d *dotState) {
	d.scale[0], _ = halfFloats(d.dwords(0))
	d.v = nibbles(d.columns(6))
	d.fifth(d.dwords(2))
}

// decodeQ5_1: 2 bytes of d, 2 of m, 4 of fifth bits, 16 of nibbles.
func decodeQ5_1(d *dotState) {
	d.scale[0], d.off[0] = halfFloats(d.dwords(0))
	d.v = nibbles(d.columns(8))
	d.fifth(d.dwords(4))
}

// fifth adds 16 where a bit is set: bits 4n to 4n+3 of a block's dword are those of vector n.
func (d *dotState) fifth(bits ymm) {
	tops, bit := YMM(), YMM()
	VMOVDQU(avx2Consts.tops, tops)
	VMOVDQU(avx2Consts.bit4, bit)
	for i := range 4 {
		odd, even := YMM(), YMM()
		VPSHUFB(avx2Consts.byteOf[i], bits, odd)
		VPSLLD(Imm(4), odd, even)
		for j, x := range []ymm{even, odd} { // the bit of interest is 16 or above
			VPAND(tops, x, x)
			VPMINUB(bit, x, x)
			VPOR(x, d.v[2*i+j], d.v[2*i+j])
		}
	}
}

// pairs splits the 32 bytes at w, of 2 bits for each of 4 blocks, into those of blocks 0 and 2 and those of 1 and 3: in the lower halves of nibbles.
func pairs(w Mem) (even, odd ymm) {
	even, odd = YMM(), YMM()
	VMOVDQU(w, even)
	VPSRLW(Imm(2), even, odd)
	VPAND(avx2Consts.bits0145, even, even)
	VPAND(avx2Consts.bits0145, odd, odd)
	return even, odd
}

// decodeQ2_K: 16 bytes of scales and minima, 64 of two bits, d, dmin. Its lanes are those of decodeQ6_K. A sum of 16 times its scale of 4 bits is exact as a float, and so are
// two of these: what unpackQ2_K multiplies into the values.
func decodeQ2_K(d *dotState) {
	var x [4]ymm
	for h := range 2 {
		x[2*h], x[2*h+1] = pairs(d.w.Offset(16 + 32*h))
	}
	d.v = nibbles(transpose4(x))
	s, m := scaleMins2(d.w)
	d.scale, d.off = floats(halfOrder(s), VPMOVZXBD), scaled(halfOrder(m), VPMOVZXBD, d.w.Offset(82))
	d.factor = float16(d.w.Offset(80))
}

// scaleMins2 splits the 16 bytes at w into the nibbles of scales and those of minima.
func scaleMins2(w Mem) (scale, min ymm) {
	scale, min = XMM(), XMM()
	VMOVDQU(w, scale)
	VPSRLW(Imm(4), scale, min)
	VPAND(avx2Consts.nibble, scale, scale)
	VPAND(avx2Consts.nibble, min, min)
	return scale, min
}

// decodeQ3_K: 32 bytes of third bits, bit b of byte i of value i of block b; 64 of two bits, 12 of scales, d. Its lanes are those of decodeQ6_K.
func decodeQ3_K(d *dotState) {
	var x, third [4]ymm
	bits := [2]ymm{YMM(), YMM()}
	VMOVDQU(d.w, bits[0])
	VPSRLW(Imm(4), bits[0], bits[1])
	for h := range 2 {
		VPAND(avx2Consts.nibble, bits[h], bits[h])
		x[2*h], x[2*h+1] = pairs(d.w.Offset(32 + 32*h))
	}
	for i := range x { // 4, or 0x40, where a bit is set
		third[i] = YMM()
		VMOVDQU(avx2Consts.third[i%2], third[i])
		VPSHUFB(bits[i/2], third[i], third[i])
		VPOR(third[i], x[i], x[i])
	}
	d.v = nibbles(transpose4(x))
	d.scale = scaled(halfOrder(scales3(d.w)), VPMOVSXBD, d.w.Offset(108))
}

// scales3 decodes the 16 scales of the block of Q3_K at w, in order: low nibbles of bytes 0 to 7, then the high ones; their bits 4 and 5 are four planes of the last 4 bytes.
func scales3(w Mem) ymm {
	x, y := XMM(), XMM()
	VMOVQ(w.Offset(96), x)
	VPSRLW(Imm(4), x, y)
	VPUNPCKLQDQ(y, x, x)
	VPAND(avx2Consts.nibble, x, x)
	VPBROADCASTD(w.Offset(104), y)
	VPSRLVD(avx2Consts.shift0246, y, y)
	VPAND(avx2Consts.bits01, y, y)
	VPSLLW(Imm(4), y, y)
	VPOR(y, x, x)
	VPSUBB(avx2Consts.byte32, x, x)
	return x
}
