package avx512

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// ordered lists the formats.
func ordered() []orderedFormat {
	return []orderedFormat{orderedIQ2_XXS(), orderedIQ2_XS(), orderedIQ2_S(), orderedIQ3_XXS(), orderedIQ3_S(), orderedIQ1_S(), orderedIQ1_M(), orderedTQ1_0(), orderedTQ2_0()}
}

// putFields takes 8 dwords of four sign fields of 7 bits and a scale of 4, and gives the scales times 2 plus 1.
func (s signs) putFields(words VecVirtual) VecVirtual {
	sc := ZMM()
	s.put(fields(words.AsY().(VecVirtual)))
	VPSRLD(U8(27), words, sc)
	oddScale(sc, 0x1e)
	return sc
}

// orderedIQ2_XXS: d, then for each 32 values 4 indices of a byte, 4 sign fields of 7 bits and 4 bits of scale.
func orderedIQ2_XXS() orderedFormat {
	f := orderedFormat{name: "IQ2_XXS", bytes: 66, bias: 64}
	var t table
	var s signs
	f.setup = func() { t, s = newTable("gridIQ2_XXS", 8), newSigns() }
	f.open = func(w Mem) ([]VecVirtual, VecVirtual) {
		words := ZMM()
		VPSRLQ(U8(32), load(w.Offset(2)), words)
		VPMOVQD(words, words.AsY())
		sc := s.putFields(words)
		x := t.entries(fromBytes(func(i int) GPVirtual { return fourBytes(w.Offset(2 + 8*i)) }))
		s.negate(x)
		return x, scaled(sc, w, 0.125)
	}
	return f
}

// halfScales are 8 bytes of two scales each, of the first 16 values in the low nibble.
type halfScales struct{ turn VecVirtual }

func newHalfScales() halfScales {
	return halfScales{load(vector("half_scales", 16, func(i int) uint32 { return uint32(i/8*4-1) & 31 }))}
}

func (c halfScales) decode(m, d Mem) VecVirtual {
	x := ZMM()
	VPBROADCASTQ(m, x.AsX())
	VPMOVZXBD(x.AsX(), x)
	VPRORVD(c.turn, x, x)
	oddScale(x, 0x1e)
	return scaled(x, d, 0.125)
}

// orderedIQ2_XS: d, 32 words of 9 bits of index and a sign field of 7, 8 bytes of scales.
func orderedIQ2_XS() orderedFormat {
	f := orderedFormat{name: "IQ2_XS", bytes: 74, bias: 64, halves: true}
	var t table
	var s signs
	var sc halfScales
	var low GPVirtual
	f.setup = func() { t, s, sc, low = newTable("gridIQ2_XS", 8), newSigns(), newHalfScales(), eachWord(0x1ff) }
	f.open = func(w Mem) ([]VecVirtual, VecVirtual) {
		words := ZMM()
		VPSRLW(U8(9), load(w.Offset(2)), words)
		VPMOVWB(words, words.AsY())
		even(words.AsY().(VecVirtual))
		s.put(words.AsY())
		x := t.entries(fromWords(func(i int) GPVirtual {
			r := GP64()
			MOVQ(w.Offset(2+8*i), r)
			ANDQ(low, r)
			return r
		}))
		s.negate(x)
		return x, sc.decode(w.Offset(66), w)
	}
	return f
}

// orderedIQ2_S: d, 32 bytes of indices, 32 of signs, 8 with two more bits for each index, 8 of scales.
func orderedIQ2_S() orderedFormat {
	f := orderedFormat{name: "IQ2_S", bytes: 82, bias: 64, halves: true}
	var t table
	var s signs
	var sc halfScales
	var low, high GPVirtual
	f.setup = func() {
		t, s, sc = newTable("gridIQ2_S", 8), newSigns(), newHalfScales()
		low, high = eachWord(0xff), eachWord(0x300)
	}
	f.open = func(w Mem) ([]VecVirtual, VecVirtual) {
		s.put(w.Offset(34))
		x := t.entries(fromWords(func(i int) GPVirtual {
			r := deposit(w.Offset(2+4*i), 4, low)
			ORQ(deposit(w.Offset(66+i), 1, high), r)
			return r
		}))
		s.negate(x)
		return x, sc.decode(w.Offset(74), w)
	}
	return f
}

// orderedIQ3_XXS: d, 64 bytes of indices, then for each 32 values 4 sign fields of 7 bits and 4 bits of scale.
func orderedIQ3_XXS() orderedFormat {
	f := orderedFormat{name: "IQ3_XXS", bytes: 98, bias: 64}
	var t table
	var s signs
	f.setup = func() { t, s = newTable("gridIQ3_XXS", 4), newSigns() }
	f.open = func(w Mem) ([]VecVirtual, VecVirtual) {
		words := ZMM()
		VBROADCASTI64X4(w.Offset(66), words)
		sc := s.putFields(words)
		x := t.entries(fromBytes(func(i int) GPVirtual { return fourBytes(w.Offset(2 + 4*i)) }))
		s.negate(x)
		return x, scaled(sc, w, 0.25)
	}
	return f
}

// orderedIQ3_S: d, 64 bytes of indices, 64 bits more for them, 32 bytes of signs, 8 nibbles of scales.
func orderedIQ3_S() orderedFormat {
	f := orderedFormat{name: "IQ3_S", bytes: 110, bias: 64}
	var t table
	var s signs
	var turn VecVirtual
	var low, high GPVirtual
	f.setup = func() {
		t, s, low, high = newTable("gridIQ3_S", 4), newSigns(), eachWord(0xff), eachWord(0x100)
		turn = load(vector("nibble_scales", 16, func(i int) uint32 { return uint32(4*i-1) & 31 }))
	}
	f.open = func(w Mem) ([]VecVirtual, VecVirtual) {
		s.put(w.Offset(74))
		x := t.entries(fromWords(func(i int) GPVirtual {
			r, h := deposit(w.Offset(2+4*i), 4, low), GP64()
			MOVBLZX(w.Offset(66+i/2), h.As32())
			if i%2 == 1 {
				SHRL(U8(4), h.As32())
			}
			PDEPQ(high, h, h)
			ORQ(h, r)
			return r
		}))
		s.negate(x)
		sc := ZMM()
		VPBROADCASTD(w.Offset(106), sc)
		VPRORVD(turn, sc, sc)
		oddScale(sc, 0x1e)
		return x, scaled(sc, w, 1)
	}
	return f
}
