package avx512

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// shift takes 2 from values of IQ1 that are marked.
func (s signs) shift(x []VecVirtual) {
	two := splat(0x02020202)
	for c, v := range x {
		VPSUBB(two, v, s.mask(c), v)
	}
}

// orderedIQ1_S: d, 32 bytes of indices, then for each 32 values a word with three more bits of 4 indices, 3 bits of scale and the shift.
func orderedIQ1_S() orderedFormat {
	f := orderedFormat{name: "IQ1_S", bytes: 50, bias: 16}
	var t table
	var s signs
	var low, high GPVirtual
	f.setup = func() { t, s, low, high = newTable("gridIQ1"), newSigns(), eachWord(0xff), eachWord(0x700) }
	f.open = func(w Mem) ([]VecVirtual, VecVirtual) {
		sc, less := ZMM(), YMM()
		VPMOVSXWD(w.Offset(34), less)
		VPSRLD(U8(11), less.AsZ(), sc)
		oddScale(sc, 0x0e)
		VPSRAD(U8(31), less, less)
		s.put(less)
		x := t.entries(fromWords(func(i int) GPVirtual {
			r := deposit(w.Offset(2+4*i), 4, low)
			ORQ(deposit(w.Offset(34+2*i), 2, high), r)
			return r
		}))
		s.shift(x)
		return x, scaled(sc, w, 0.125)
	}
	return f
}

// orderedIQ1_M: 32 bytes of indices, for each a nibble with three more bits and the shift, and for each 64 values a word with four scales of 3 bits and 4 bits of d.
func orderedIQ1_M() orderedFormat {
	f := orderedFormat{name: "IQ1_M", bytes: 56, bias: 16, halves: true}
	var t table
	var s signs
	var turn VecVirtual
	var low, high GPVirtual
	f.setup = func() {
		t, s, low, high = newTable("gridIQ1"), newSigns(), eachWord(0xff), eachWord(0xf00)
		turn = load(vector("iq1_m_scales", 16, func(i int) uint32 { return uint32(firstHalves(i)%4*3-1) & 31 }))
	}
	f.open = func(w Mem) ([]VecVirtual, VecVirtual) {
		nibbles, up, k := YMM(), YMM(), K()
		VPMOVZXBW(w.Offset(32), nibbles)
		VPSLLW(U8(4), nibbles, up)
		VPORD(up, nibbles, nibbles) // the low nibbles of bytes are those of the file in turn
		VPTESTMB(vector("eight_bytes", 8, func(int) uint32 { return 0x08080808 }), nibbles, k)
		VPMOVM2B(k, nibbles)
		s.put(nibbles)
		x := t.entries(fromWords(func(i int) GPVirtual {
			r, h := deposit(w.Offset(4*i), 4, low), GP64()
			MOVWLZX(w.Offset(32+2*i), h.As32())
			ANDL(U32(0x7777), h.As32())
			PDEPQ(high, h, h)
			ORQ(h, r)
			return r
		}))
		s.shift(x)

		sc, bits, mask, d := ZMM(), GP64(), GP64(), ZMM()
		VPBROADCASTQ(w.Offset(48), sc)
		VPSHUFB(bytes("iq1_m_words", 64, func(i int) byte {
			if i%4 > 1 {
				return 0x80
			}
			return byte(firstHalves(i/4)/4*2 + i%2)
		}), sc, sc)
		VPRORVD(turn, sc, sc)
		oddScale(sc, 0x0e)
		MOVQ(U64(0xf000f000f000f000), mask)
		MOVQ(w.Offset(48), bits)
		PEXTQ(mask, bits, bits)
		VMOVQ(bits, d.AsX())
		VPBROADCASTW(d.AsX(), d.AsY())
		VCVTPH2PS(d.AsY(), d)
		times(sc, d)
		VMULPS_BCST(splatMem(floatBits(0.125)), sc, sc)
		return x, sc
	}
	return f
}

// orderedTQ2_0: 64 bytes of two bits, of which each 32 have four blocks; d.
func orderedTQ2_0() orderedFormat {
	f := orderedFormat{name: "TQ2_0", bytes: 66, bias: 1}
	var mask VecVirtual
	f.setup = func() { mask = splat(0x03030303) }
	f.open = func(w Mem) ([]VecVirtual, VecVirtual) {
		raw, x := load(w), make([]VecVirtual, 4)
		for c := range x {
			x[c] = ZMM()
			VPSRLW(U8(2*c), raw, x[c])
			VPANDD(mask, x[c], x[c])
		}
		return x, half(w.Offset(64))
	}
	return f
}

// orderedTQ1_0: bytes of digits of base 3 as fractions of 256; the first five digits of 32 bytes, then of 16, and four of 4; d.
func orderedTQ1_0() orderedFormat {
	f := orderedFormat{name: "TQ1_0", bytes: 54, bias: 1}
	var high, three VecVirtual
	f.setup = func() { high, three = splat(0xff00ff00), splat(0x00030003) }
	// A power of 3 brings a digit to the front.
	power := func(c, i int) uint16 {
		digit := c
		switch {
		case i < 16:
		case c == 0:
			digit = 4
		case i < 24 || c < 3:
			digit = 2*c - 2 + i/8%2
		default:
			digit = i % 8 / 2
		}
		return [5]uint16{1, 3, 9, 27, 81}[digit]
	}
	f.open = func(w Mem) ([]VecVirtual, VecVirtual) {
		x := make([]VecVirtual, 4)
		rest, last := spread(w), XMM()
		for lane := range 2 {
			VINSERTI32X4(U8(2+lane), w.Offset(32), rest, rest)
		}
		for c := range x {
			raw, powers, even := rest, words("powers_"+string(rune('0'+c)), 32, func(i int) uint16 { return power(c, i) }), ZMM()
			switch c {
			case 0:
				raw = spread(w)
			case 3:
				VPBROADCASTD(w.Offset(48), last)
				VINSERTI32X4(U8(3), last, raw, raw)
			}
			x[c] = ZMM()
			VPSLLW(U8(8), raw, even)
			VPANDD(high, raw, x[c])
			for _, v := range []VecVirtual{even, x[c]} {
				VPMULLW(powers, v, v)
				VPMULHUW(three, v, v)
			}
			VPSLLW(U8(8), x[c], x[c])
			VPORD(even, x[c], x[c])
		}
		return x, half(w.Offset(52))
	}
	return f
}
