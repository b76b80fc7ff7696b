package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// block is where byte i of the group's block b is.
func (d *dotState) block(b, i int) Mem {
	return d.w.Offset(d.size*b + i)
}

// columns loads 16 bytes at byte i of each of 8 blocks and transposes them: vector n has bytes 4n to 4n+3 of blocks 0 … 7.
func (d *dotState) columns(i int) [4]ymm {
	var x [4]ymm
	for b := range x {
		x[b] = YMM()
		VBROADCASTI128(d.block(b, i), x[b])
		VINSERTI128(Imm(1), d.block(b+4, i), x[b], x[b])
	}
	return transpose4(x)
}

// dwords gathers 4 bytes at byte i of each of 8 blocks: from 32 bytes that have block b's in dword b, all within the group.
func (d *dotState) dwords(i int) ymm {
	h := YMM()
	VMOVDQU(d.block(0, i), h)
	for b := 1; b < 8; b++ {
		VPBLENDD(Imm(1<<b), d.block(b, i-4*b), h, h)
	}
	return h
}

// transpose4 transposes 4 x 4 dwords in each half of x.
func transpose4(x [4]ymm) [4]ymm {
	a, b, c, e := YMM(), YMM(), YMM(), YMM()
	VPUNPCKLDQ(x[1], x[0], a)
	VPUNPCKLDQ(x[3], x[2], b)
	VPUNPCKHDQ(x[1], x[0], c)
	VPUNPCKHDQ(x[3], x[2], e)
	y := [4]ymm{YMM(), YMM(), YMM(), YMM()}
	VPUNPCKLQDQ(b, a, y[0])
	VPUNPCKHQDQ(b, a, y[1])
	VPUNPCKLQDQ(e, c, y[2])
	VPUNPCKHQDQ(e, c, y[3])
	return y
}

// nibbles splits bytes into their low and high nibbles.
func nibbles(y [4]ymm) (v [8]ymm) {
	mask := YMM()
	VMOVDQU(avx2Consts.nibble, mask)
	for i := range y {
		v[i], v[i+4] = YMM(), y[i]
		VPAND(mask, y[i], v[i])
		VPSRLW(Imm(4), y[i], y[i])
		VPAND(mask, y[i], y[i])
	}
	return v
}

// halfFloats converts the low or high float16 of each dword of h.
func halfFloats(h ymm) (low, high ymm) {
	low, high = YMM(), YMM()
	VPSHUFB(avx2Consts.pairs, h, h)
	VPERMQ(Imm(0xd8), h, h)
	VCVTPH2PS(h.AsX(), low)
	VEXTRACTI128(Imm(1), h, h.AsX())
	VCVTPH2PS(h.AsX(), high)
	return low, high
}

func decodeQ4_0(d *dotState) {
	d.scale[0], _ = halfFloats(d.dwords(0))
	d.v = nibbles(d.columns(2))
}

func decodeQ4_1(d *dotState) {
	d.scale[0], d.off[0] = halfFloats(d.dwords(0))
	d.v = nibbles(d.columns(4))
}

func decodeQ8_0(d *dotState) {
	d.scale[0], _ = halfFloats(d.dwords(0))
	a, b := d.columns(2), d.columns(18)
	copy(d.v[:], a[:])
	copy(d.v[4:], b[:])
	d.signed = true
}

// scaleMins decodes the 6-bit scales and mins of the block of Q4_K or Q5_K at w, in order: d·sc and dmin·m.
func scaleMins(w Mem) (scale, min ymm) {
	x, low, high := XMM(), XMM(), XMM()
	VMOVDQU(w.Offset(4), x) // dwords: sc 0-3 and m 0-3 with the two high bits of 4-7; the low bits of sc and of m 4-7
	VPAND(avx2Consts.low6, x, low)
	VPSRLD(Imm(2), x, high)
	VPAND(avx2Consts.bits45, high, high)
	VPSHUFD(Imm(2+2<<2), x, x)
	VPSRLVD(avx2Consts.shift04, x, x)
	VPAND(avx2Consts.nibble, x, x)
	VPOR(x, high, high)
	VPUNPCKLDQ(high, low, x)
	head, d := XMM(), YMM()
	scale, min = YMM(), YMM()
	VPMOVZXBD(x, scale)
	VPSRLDQ(Imm(8), x, x)
	VPMOVZXBD(x, min)
	VCVTDQ2PS(scale, scale)
	VCVTDQ2PS(min, min)
	VCVTPH2PS(w, head)
	VBROADCASTSS(head, d)
	VMULPS(d, scale, scale)
	VMOVSHDUP(head, head)
	d = YMM()
	VBROADCASTSS(head, d)
	VMULPS(d, min, min)
	return scale, min
}

func decodeQ4_K(d *dotState) {
	d.scale[0], d.off[0] = scaleMins(d.w)
	var x [4]ymm
	for c := range x {
		x[c] = YMM()
		VMOVDQU(d.w.Offset(16+32*c), x[c])
	}
	d.v = nibbles(transpose4(x))
}

func decodeQ5_K(d *dotState) {
	d.scale[0], d.off[0] = scaleMins(d.w)
	var x [4]ymm
	for c := range x {
		x[c] = YMM()
		VMOVDQU(d.w.Offset(48+32*c), x[c])
	}
	d.v = nibbles(transpose4(x))
	// Bits 2c and 2c+1 of qh belong to the low and high nibbles of chunk c, which is lane c.
	for i := range 4 {
		t, lo, hi := YMM(), YMM(), YMM()
		VPSHUFD(U8(i*0x55), d.w.Offset(16), t)
		VPSRLVD(avx2Consts.shift0246, t, t)
		VPAND(avx2Consts.bits01, t, t)
		VMOVDQU(avx2Consts.bit0to4, lo)
		VPSHUFB(t, lo, lo)
		VPOR(lo, d.v[i], d.v[i])
		VMOVDQU(avx2Consts.bit1to4, hi)
		VPSHUFB(t, hi, hi)
		VPOR(hi, d.v[i+4], d.v[i+4])
	}
}

// scalesIQ4_XS decodes the 8 scales of the block at w.
func scalesIQ4_XS(w Mem) ymm {
	low, high, d, head := YMM(), YMM(), YMM(), XMM()
	VPBROADCASTD(w.Offset(4), low)
	VPSRLVD(avx2Consts.shiftNibbles, low, low)
	VPAND(avx2Consts.dword15, low, low)
	VPBROADCASTD(w, high) // d, then scales_h
	VPSRLVD(avx2Consts.shiftPairs, high, high)
	VPAND(avx2Consts.dword3, high, high)
	VPSLLD(Imm(4), high, high)
	VPOR(high, low, low)
	VPSUBD(avx2Consts.dword32, low, low)
	VCVTDQ2PS(low, low)
	VCVTPH2PS(w, head)
	VBROADCASTSS(head, d)
	VMULPS(d, low, low)
	return low
}

func decodeIQ4_XS(d *dotState) {
	d.scale[0] = scalesIQ4_XS(d.w)
	group := *d
	group.size = 16
	d.iq4(group.columns(8))
}

// iq4 looks nibbles up in IQ4's values.
func (d *dotState) iq4(y [4]ymm) {
	d.v = nibbles(y)
	table := YMM()
	VMOVDQU(avx2Consts.iq4, table)
	for _, v := range d.v {
		VPSHUFB(v, table, v)
	}
	d.signed, d.whole = true, true
}

// halfOrder puts 16 bytes, each of half a block, in the order that decodeQ6_K has: the first halves of blocks 0 1 4 5 2 3 6 7, then the last.
func halfOrder(x ymm) ymm {
	VPSHUFB(avx2Consts.scales16, x, x)
	return x
}

// scaled makes floats of 16 bytes, of which extend makes dwords, and multiplies them by the float16 at d.
func scaled(x ymm, extend func(...Op), d Mem) [2]ymm {
	f, s := float16(d), floats(x, extend)
	for _, s := range s {
		VMULPS(f, s, s)
	}
	return s
}

// floats makes floats of 16 bytes, of which extend makes dwords.
func floats(x ymm, extend func(...Op)) (s [2]ymm) {
	for i := range s {
		s[i] = YMM()
		extend(x, s[i])
		VCVTDQ2PS(s[i], s[i])
		if i == 0 {
			VPSRLDQ(Imm(8), x, x)
		}
	}
	return s
}

// float16 is the float16 at m, as a float in every lane.
func float16(m Mem) ymm {
	h, f := XMM(), YMM()
	VPBROADCASTW(m, h)
	VCVTPH2PS(h, f)
	return f
}

func decodeQ6_K(d *dotState) {
	var x [4]ymm
	for c := range x {
		x[c] = YMM()
		VMOVDQU(d.w.Offset(32*c), x[c])
	}
	d.v = nibbles(transpose4(x)) // blocks 0 1 4 5, then 2 3 6 7
	// The fields of qh for those blocks are at bits 0, 2 and 4, 6 of each half's 32 bytes.
	var h [2]ymm
	for i := range h {
		h[i] = YMM()
		VMOVDQU(d.w.Offset(128+32*i), h[i])
	}
	mask := YMM()
	VMOVDQU(avx2Consts.bits45, mask)
	for i := range 4 {
		// lanes: dword i of half 0 twice, of half 1 twice; odd lanes are shifted by the block's parity
		t, lo, hi := YMM(), YMM(), YMM()
		VSHUFPS(U8(i*0x55), h[1], h[0], t)
		VPSRLVD(avx2Consts.shift02, t, t)
		VPSLLD(Imm(4), t, lo)
		VPAND(mask, lo, lo)
		VPOR(lo, d.v[i], d.v[i])
		VPAND(mask, t, hi)
		VPOR(hi, d.v[i+4], d.v[i+4])
	}
	sc := XMM()
	VMOVDQU(d.w.Offset(192), sc)
	d.scale = scaled(halfOrder(sc), VPMOVSXBD, d.w.Offset(208))
}
