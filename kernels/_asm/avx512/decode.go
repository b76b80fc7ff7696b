package avx512

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// iq4Values are block.IQ4Values.
var iq4Values = [16]int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// dots lists the integer formats that have fused row dots.
func dots() []dotFormat {
	return []dotFormat{dotQ4_0(), dotQ4_1(), dotQ5("Q5_0", 0), dotQ5("Q5_1", 1), dotQ8_0(), dotQ2_K(), dotQ3_K(), dotQ4_K(), dotQ5_K(), dotQ6_K(), dotIQ4_NL(), dotIQ4_XS()}
}

// nibbles is what turns raw bytes into one nibble each: a shift per dword and a mask.
type nibbles struct{ shift, mask VecVirtual }

func newNibbles(name string, high func(i int) bool) nibbles {
	return nibbles{load(vector("shift_"+name, 16, func(i int) uint32 {
		if high(i) {
			return 4
		}
		return 0
	})), splat(0x0f0f0f0f)}
}

// inPlace is the mask that leaves one nibble of each byte where it is.
func inPlace(name string, high func(i int) bool) VecVirtual {
	return load(vector("in_place_"+name, 16, func(i int) uint32 {
		if high(i) {
			return 0xf0f0f0f0
		}
		return 0x0f0f0f0f
	}))
}

func (n nibbles) apply(x VecVirtual) {
	VPSRLVD(n.shift, x, x)
	VPANDD(n.mask, x, x)
}

// secondHalf says whether position i belongs to the second 16 values of a block: the high nibbles of formats that split so.
func secondHalf(i int) bool { return i/4%2 == 1 }

// oddBlock says whether position i belongs to the second of two blocks that share bytes.
func oddBlock(i int) bool { return i%2 == 1 }

// pick is the four tables with which VPERMI2D takes dwords out of 128 bytes.
func pick(name string, from func(d, i int) int) []VecVirtual {
	t := make([]VecVirtual, 4)
	for d := range t {
		t[d] = load(vector(fmt.Sprintf("%s_%d", name, d), 16, func(i int) uint32 { return uint32(from(d, i)) }))
	}
	return t
}

// picked applies such tables to the 128 bytes at m. Both halves are loaded once: an unaligned load of 64 bytes takes the load ports
// twice, and with the second half as an operand of each permutation they, not the vector units, decided the speed.
func picked(tables []VecVirtual, m Mem) []VecVirtual {
	x, y, q := load(m), load(m.Offset(64)), make([]VecVirtual, 4)
	for d := range q {
		q[d] = ZMM()
		VMOVDQA32(tables[d], q[d])
		VPERMI2D(y, x, q[d])
	}
	return q
}

// spreadLanes takes dwords apart that both halves of a block share: lane d of a has dword d of blocks 0 to 3, lane d of b that of blocks 4 to 7.
func spreadLanes(a, b, mask VecVirtual) []VecVirtual {
	return openLanes(a, b, func(_ int, x VecVirtual) { VPANDD(mask, x, x) })
}

// openLanes is spreadLanes with an own way to open dwords, of register d.
func openLanes(a, b VecVirtual, open func(d int, x VecVirtual)) []VecVirtual {
	q := make([]VecVirtual, 4)
	for d := range q {
		q[d] = ZMM()
		VSHUFI32X4(U8(0x55*d), b, a, q[d])
		open(d, q[d])
	}
	return q
}

func one(x VecVirtual) []VecVirtual { return []VecVirtual{x} }

// half is a float16 as 16 floats.
func half(m Mem) VecVirtual {
	d := ZMM()
	VPBROADCASTW(m, d.AsY())
	VCVTPH2PS(d.AsY(), d)
	return d
}

// q4_0Group is how groups of Q4_0's layout are read, 8 blocks of d and 16 bytes of nibbles.
type q4_0Group struct{ low, high, scales VecVirtual }

func newQ4_0Group() q4_0Group {
	return q4_0Group{
		// Of the words that begin at byte 0, and at byte 64: dword d of block c begins at word 9c + 1 + 2d.
		load(words("q4_0", 32, func(i int) uint16 { return uint16(9*(i/2%4) + 1 + 2*(i/8) + i%2) })),
		// Of the words that begin at byte 64, which are 32, and at byte 80.
		load(words("q4_0_high", 32, func(i int) uint16 {
			w := 9*(4+i/2%4) + 1 + 2*(i/8) + i%2
			if w < 64 {
				return uint16(w - 32)
			}
			return uint16(w - 40 + 32)
		})),
		load(words("q4_0_d", 32, func(i int) uint16 { return uint16(9 * i % 64) })),
	}
}

// decode gives the bytes of blocks 0 to 3 and 4 to 7 as spreadLanes takes them, and the scales.
func (g q4_0Group) decode(w Mem) (a, b, s VecVirtual) {
	x, y, z := load(w), load(w.Offset(64)), load(w.Offset(80))
	a, b = ZMM(), ZMM()
	VMOVDQA32(g.low, a)
	VPERMI2W(y, x, a)
	VMOVDQA32(g.high, b)
	VPERMI2W(z, y, b)
	VPERMT2W(y, g.scales, x)
	VCVTPH2PS(x.AsX(), x.AsY())
	return a, b, x
}

// dotQ4_0: 8 blocks of d, 16 bytes of nibbles.
func dotQ4_0() dotFormat {
	f := dotFormat{name: "Q4_0", bytes: 144, bias: 8, tail: true, high: secondHalf}
	var mask VecVirtual
	var g q4_0Group
	f.setup = func() { mask, g = inPlace("half", secondHalf), newQ4_0Group() }
	f.decode = func(w Mem) ([]VecVirtual, []VecVirtual) {
		a, b, s := g.decode(w)
		return spreadLanes(a, b, mask), one(s)
	}
	return f
}

// dotIQ4_NL: as Q4_0, with levels in place of integers.
func dotIQ4_NL() dotFormat {
	f := dotFormat{name: "IQ4_NL", bytes: 144, bias: 128, tail: true}
	var n nibbles
	var levels VecVirtual
	var g q4_0Group
	f.setup = func() { n, levels, g = newNibbles("half", secondHalf), iq4Levels(), newQ4_0Group() }
	f.decode = func(w Mem) ([]VecVirtual, []VecVirtual) {
		a, b, s := g.decode(w)
		return openLanes(a, b, func(_ int, x VecVirtual) {
			n.apply(x)
			VPSHUFB(x, levels, x)
		}), one(s)
	}
	return f
}

// dotQ4_1: 8 blocks of d, m, 16 bytes of nibbles.
func dotQ4_1() dotFormat {
	f := dotFormat{name: "Q4_1", bytes: 160, offs: true, tail: true, high: secondHalf}
	var mask, low, high, scales VecVirtual
	f.setup = func() {
		mask = inPlace("half", secondHalf)
		// Of the dwords that begin at byte 0, and at byte 64: dword d of block c is 5c + 1 + d.
		low = load(vector("q4_1", 16, func(i int) uint32 { return uint32(5*(i%4) + 1 + i/4) }))
		// Of the dwords that begin at byte 64, which are 16, and at byte 96.
		high = load(vector("q4_1_high", 16, func(i int) uint32 {
			d := 5*(4+i%4) + 1 + i/4
			if d < 32 {
				return uint32(d - 16)
			}
			return uint32(d - 24 + 16)
		}))
		// Of words 0-31 and 40-71: 8 d, then 8 m.
		scales = load(words("q4_1_dm", 32, func(i int) uint16 { return uint16(i/4%2*32 + 10*(i%4) + i/8%2) }))
	}
	f.decode = func(w Mem) ([]VecVirtual, []VecVirtual) {
		x, y, z, a, b := load(w), load(w.Offset(64)), load(w.Offset(96)), ZMM(), ZMM()
		VMOVDQA32(low, a)
		VPERMI2D(y, x, a)
		VMOVDQA32(high, b)
		VPERMI2D(z, y, b)
		VPERMT2W(w.Offset(80), scales, x)
		VCVTPH2PS(x.AsY(), x)
		return spreadLanes(a, b, mask), one(x)
	}
	return f
}

// dotQ8_0: 8 blocks of d, 32 int8.
func dotQ8_0() dotFormat {
	f := dotFormat{name: "Q8_0", bytes: 272, bias: 128, tail: true}
	var sign, scales VecVirtual
	f.setup = func() {
		sign = splat(0x80808080)
		// Of 128 bytes that begin with a block: the d of four.
		scales = load(words("q8_0_d", 32, func(i int) uint16 { return uint16(17 * (i % 4)) }))
	}
	f.decode = func(w Mem) ([]VecVirtual, []VecVirtual) {
		x := make([]VecVirtual, 4)
		for c := range x {
			x[c] = ZMM()
			VBROADCASTI64X4(w.Offset(34*c+2), x[c]) // a load alone, and not a view of 32 bytes, which would want one of the first 16 registers
			VINSERTI64X4(U8(1), w.Offset(34*(c+4)+2), x[c], x[c])
			VPXORD(sign, x[c], x[c])
		}
		s, t := load(w), load(w.Offset(136))
		VPERMT2W(w.Offset(64), scales, s)
		VPERMT2W(w.Offset(200), scales, t)
		VPUNPCKLQDQ(t.AsX(), s.AsX(), s.AsX())
		VCVTPH2PS(s.AsX(), s.AsY())
		return transpose4(x), one(s)
	}
	return f
}

// scaleMin decodes the 6-bit scales and minima of Q4_K and Q5_K: 8 products d·sc, then 8 dmin·m.
type scaleMin struct{ shift, mask, mask2, split VecVirtual }

func newScaleMin() scaleMin {
	four := func(name string, v [4]uint32) VecVirtual {
		x := XMM()
		VMOVDQU32(vector("scalemin_"+name, 4, func(i int) uint32 { return v[i] }), x)
		return x
	}
	return scaleMin{
		four("shift", [4]uint32{0, 0, 0, 4}),
		four("mask", [4]uint32{0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f}),
		four("mask2", [4]uint32{0, 0x30303030, 0, 0x30303030}),
		load(vector("scalemin_split", 16, func(i int) uint32 { return uint32(i / 8) })),
	}
}

func (c scaleMin) decode(w Mem) VecVirtual {
	// The 12 bytes are dwords u0, u1, u2 of the scales: sc of blocks 0-3 are u0's low six bits, those of blocks 4-7 u2's low four and
	// u0's high two, and m alike from u1 and u2's high four.
	u, a, b, s, d := XMM(), XMM(), XMM(), ZMM(), ZMM()
	VMOVDQU32(w, u)
	VPSHUFD(U8(1|3<<2|2<<4|3<<6), u, a)
	VPSHUFD(U8(1|1<<2|2<<4|2<<6), u, b)
	VPSRLVD(c.shift, a, a)
	VPSRLD(U8(2), b, b)
	VPANDD(c.mask2, b, b)
	VPTERNLOGD(U8(0xf8), c.mask, a, b) // b | a & mask
	VPMOVZXBD(b, s)
	VCVTDQ2PS(s, s)
	VCVTPH2PS(u, d.AsX())
	VPERMPS(d, c.split, d)
	VMULPS(d, s, s)
	return s
}

// pairedBlocks says from which dword of 128 bytes of Q4_K's nibbles position i comes: two blocks share 32 bytes.
func pairedBlocks(d, i int) int { return 8*(laneBlock(i)/2) + laneDword(d, i) }

// dotQ4_K: d, dmin, 12 bytes of scales, 128 bytes of nibbles.
func dotQ4_K() dotFormat {
	f := dotFormat{name: "Q4_K", bytes: 144, offs: true, negative: true, high: oddBlock}
	var mask VecVirtual
	var sm scaleMin
	var tables []VecVirtual
	f.setup = func() {
		mask = inPlace("odd", oddBlock)
		sm = newScaleMin()
		tables = pick("q4_k", pairedBlocks)
	}
	f.decode = func(w Mem) ([]VecVirtual, []VecVirtual) {
		q := picked(tables, w.Offset(16))
		for _, x := range q {
			VPANDD(mask, x, x)
		}
		return q, one(sm.decode(w))
	}
	return f
}

// dotQ5_K: as Q4_K, with 32 bytes of fifth bits between scales and nibbles: bit b of byte i belongs to value i of block b.
func dotQ5_K() dotFormat {
	f := dotFormat{name: "Q5_K", bytes: 176, offs: true, negative: true}
	var n nibbles
	var sm scaleMin
	var tables []VecVirtual
	var turn, bit VecVirtual
	f.setup = func() {
		n = newNibbles("odd", oddBlock)
		sm = newScaleMin()
		tables = pick("q4_k", pairedBlocks)
		turn = load(vector("q5_k_turn", 16, func(i int) uint32 { return uint32(laneBlock(i)-4) & 31 }))
		bit = splat(0x10101010)
	}
	f.decode = func(w Mem) ([]VecVirtual, []VecVirtual) {
		q, high := picked(tables, w.Offset(48)), ZMM()
		VBROADCASTI64X4(w.Offset(16), high)
		for d, x := range q {
			n.apply(x)
			h := ZMM()
			VPSHUFD(U8(0x55*d), high, h)
			VPRORVD(turn, h, h)
			VPTERNLOGD(U8(0xf8), bit, h, x) // x | h & bit
		}
		return q, one(sm.decode(w))
	}
	return f
}

// dotQ6_K: 128 bytes of low nibbles, 64 of high bit pairs, 16 int8 scales, d.
func dotQ6_K() dotFormat {
	f := dotFormat{name: "Q6_K", bytes: 210, bias: 32, halves: true}
	var n nibbles
	var tables []VecVirtual
	var turn, bits, order VecVirtual
	f.setup = func() {
		n = newNibbles("q6_k", func(i int) bool { return i%4 >= 2 })
		tables = pick("q6_k", func(d, i int) int { return 16*(i/8) + 8*(i%2) + laneDword(d, i) })
		turn = load(vector("q6_k_turn", 16, func(i int) uint32 { return uint32(2*(i%4)-4) & 31 }))
		bits = splat(0x30303030)
		order = XMM()
		VMOVDQU32(firstHalvesBytes(), order)
	}
	f.decode = func(w Mem) ([]VecVirtual, []VecVirtual) {
		q, high := picked(tables, w), load(w.Offset(128))
		for d, x := range q {
			n.apply(x)
			h := ZMM()
			VPSHUFD(U8(0x55*d), high, h)
			VPRORVD(turn, h, h)
			VPTERNLOGD(U8(0xf8), bits, h, x)
		}
		b, s := XMM(), ZMM()
		VMOVDQU32(w.Offset(192), b)
		VPSHUFB(order, b, b)
		VPMOVSXBD(b, s)
		return q, one(times(s, half(w.Offset(208))))
	}
	return f
}

// iq4Levels are the IQ4 levels plus 128, in every lane.
func iq4Levels() VecVirtual {
	return load(bytes("iq4_levels", 64, func(i int) byte { return byte(iq4Values[i%16]) ^ 128 }))
}

// iq4xsScales decodes the 6-bit scales of IQ4_XS.
type iq4xsScales struct{ lowShift, highShift, low, high, minus VecVirtual }

func newIQ4XSScales() iq4xsScales {
	return iq4xsScales{
		load(vector("iq4_xs_low", 16, func(i int) uint32 { return uint32(4 * (i % 8)) })),
		load(vector("iq4_xs_high", 16, func(i int) uint32 { return uint32(12 + 2*(i%8)) })),
		splat(15), splat(0x30), splat(32),
	}
}

func (c iq4xsScales) decode(w Mem) VecVirtual {
	a, b, s, d := YMM(), YMM(), ZMM(), YMM()
	VPBROADCASTD(w.Offset(4), a)
	VPBROADCASTD(w, b) // d and the high bits
	VPSRLVD(c.lowShift.AsY(), a, a)
	VPSRLVD(c.highShift.AsY(), b, b)
	VPANDD(c.high.AsY(), b, b)
	VPTERNLOGD(U8(0xf8), c.low.AsY(), a, b) // b | a & low
	VPSUBD(c.minus.AsY(), b, b)
	VCVTDQ2PS(b, s.AsY())
	VPBROADCASTW(w, d.AsX())
	VCVTPH2PS(d.AsX(), d)
	VMULPS(d, s.AsY(), s.AsY())
	return s
}

// dotIQ4_XS: d, 8 high bit pairs of scales, 8 low nibbles of scales, 128 bytes of nibbles, 16 to a block.
func dotIQ4_XS() dotFormat {
	f := dotFormat{name: "IQ4_XS", bytes: 136, bias: 128}
	var n nibbles
	var tables []VecVirtual
	var levels VecVirtual
	var xs iq4xsScales
	f.setup = func() {
		n, xs, levels = newNibbles("half", secondHalf), newIQ4XSScales(), iq4Levels()
		tables = pick("iq4_xs", func(d, i int) int { return 16*(i/8) + 4*(i%4) + d })
	}
	f.decode = func(w Mem) ([]VecVirtual, []VecVirtual) {
		q := picked(tables, w.Offset(8))
		for _, x := range q {
			n.apply(x)
			VPSHUFB(x, levels, x)
		}
		return q, one(xs.decode(w))
	}
	return f
}
