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

// signFields takes 8 dwords of four sign fields of 7 bits and a scale of 4, and gives the bytes of signs, and the scales times 2 plus 1.
func signFields(words VecVirtual) (y, sc VecVirtual) {
	sc = ZMM()
	y = fields(words.AsY().(VecVirtual))
	VPSRLD(U8(27), words, sc)
	oddScale(sc, 0x1e)
	return y, sc
}

// orderedIQ2_XXS: d, then for each 32 values 4 indices of a byte, 4 sign fields of 7 bits and 4 bits of scale.
func orderedIQ2_XXS() orderedFormat {
	f := orderedFormat{name: "IQ2_XXS", bytes: 66, bias: iqBias, dots: true}
	var grid codes
	var order, lanes, pick VecVirtual
	f.setup = func() {
		grid, order, lanes, pick = newCodes("IQ2_XXS", 256, 8, 25, 43, 43), pairOrder(), signOrder(), pairSigns()
	}
	f.open = func(w Mem) ([]VecVirtual, VecVirtual) {
		words, index := ZMM(), load(w.Offset(2))
		VPSRLQ(U8(32), index, words)
		VPMOVQD(words, words.AsY())
		y, sc := signFields(words)
		signs := signLanes(y, lanes)
		VPSHUFB(pick, signs, signs)
		VPMOVQD(index, index.AsY())
		VPMOVZXBW(index.AsY(), index)
		VPERMW(index, order, index)
		return grid.eights(grid.find(index), signs), scaled(sc, w, 0.125)
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
	f := orderedFormat{name: "IQ2_XS", bytes: 74, bias: iqBias, halves: true, dots: true}
	var grid codes
	var sc halfScales
	var order, odd VecVirtual
	f.setup = func() {
		grid, sc, order, odd = newCodes("IQ2_XS", 512, 8, 25, 43, 43), newHalfScales(), pairOrder(), ZMM()
		VBROADCASTI32X4(oddBytes(), odd)
	}
	f.open = func(w Mem) ([]VecVirtual, VecVirtual) {
		index, signs, high, low := ZMM(), ZMM(), ZMM(), ZMM()
		VPERMW(w.Offset(2), order, index)
		// As even, but in words, whose second bytes are made like the first.
		VPSRLW(U8(9), index, signs)
		VPSRLW(U8(4), signs, high)
		VPSHUFB(high, odd, high)
		VPSHUFB(signs, odd, low)
		VPTERNLOGD(U8(0x96), low, high, signs)
		VPSLLW(U8(8), signs, high)
		VPORD(high, signs, signs)
		return grid.eights(grid.find(index), signs), sc.decode(w.Offset(66), w)
	}
	return f
}

// orderedIQ2_S: d, 32 bytes of indices, 32 of signs, 8 with two more bits for each index, 8 of scales.
func orderedIQ2_S() orderedFormat {
	f := orderedFormat{name: "IQ2_S", bytes: 82, bias: iqBias, halves: true}
	var t table
	var s signs
	var sc halfScales
	var low, high GPVirtual
	f.setup = func() {
		t, s, sc = newTable("gridIQ2_S"), newSigns(), newHalfScales()
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

// foursIn is what IQ3's formats share: how their indices and signs come to the lanes of the dots.
type foursIn struct {
	codes
	order, transpose, lanes VecVirtual
	first, second           VecVirtual
}

func newFours(name string, entries int, levels ...byte) foursIn {
	return foursIn{
		codes: newCodes(name, entries, levels...),
		order: load(vector("four_order", 16, func(i int) uint32 { return uint32(i/8*8 + i%4*2 + i/4%2) })),
		// In a lane, four entries of each of four blocks become four blocks of each entry.
		transpose: load(bytes("four_transpose", 64, func(i int) byte { return byte(i%4*4 + i/4%4) })),
		lanes:     signOrder(),
		first:     load(bytes("four_signs_0", 64, func(i int) byte { return byte(i/2%4*4 + i/16%2*2) })),
		second:    load(bytes("four_signs_1", 64, func(i int) byte { return byte(i/2%4*4 + i/16%2*2 + 1) })),
	}
}

// toLanes brings 64 bytes, 8 of each block, to the order of a dot's registers, the first two in the first halves of lanes.
func (f foursIn) toLanes(from Op) VecVirtual {
	x := ZMM()
	VPERMD(from, f.order, x)
	VPSHUFB(f.transpose, x, x)
	return x
}

// values opens a block of indices in lanes, in the words of which are the bytes of high too; y has the signs.
func (f foursIn) values(index, high, y VecVirtual) []VecVirtual {
	low, signs, s := ZMM(), signLanes(y, f.lanes), ZMM()
	VPUNPCKLBW(high, index, low)
	VPSHUFB(f.first, signs, s)
	x := f.fours(f.find(low), s)
	VPUNPCKHBW(high, index, low)
	VPSHUFB(f.second, signs, signs)
	return append(x, f.fours(f.find(low), signs)...)
}

// orderedIQ3_XXS: d, 64 bytes of indices, then for each 32 values 4 sign fields of 7 bits and 4 bits of scale. Values are halved.
func orderedIQ3_XXS() orderedFormat {
	f := orderedFormat{name: "IQ3_XXS", bytes: 98, bias: iqBias, dots: true}
	var grid foursIn
	f.setup = func() { grid = newFours("IQ3_XXS", 256, 2, 6, 10, 14, 18, 22, 26, 31) }
	f.open = func(w Mem) ([]VecVirtual, VecVirtual) {
		words := ZMM()
		VBROADCASTI64X4(w.Offset(66), words)
		y, sc := signFields(words)
		index := grid.toLanes(w.Offset(2))
		return grid.values(index, index, y), scaled(sc, w, 0.5)
	}
	return f
}

// orderedIQ3_S: d, 64 bytes of indices, 64 bits more for them, 32 bytes of signs, 8 nibbles of scales.
func orderedIQ3_S() orderedFormat {
	f := orderedFormat{name: "IQ3_S", bytes: 110, bias: iqBias, dots: true}
	var grid foursIn
	f.setup = func() { grid = newFours("IQ3_S", 512, 1, 3, 5, 7, 9, 11, 13, 15) }
	f.open = func(w Mem) ([]VecVirtual, VecVirtual) {
		more, k, y := ZMM(), K(), YMM()
		KMOVQ(w.Offset(66), k)
		VPMOVM2B(k, more)
		VMOVDQU32(w.Offset(74), y)
		x := grid.values(grid.toLanes(w.Offset(2)), grid.toLanes(more), y)
		sc := ZMM()
		VPBROADCASTD(w.Offset(106), sc)
		VPRORVD(vector("nibble_scales", 16, func(i int) uint32 { return uint32(4*i-1) & 31 }), sc, sc)
		oddScale(sc, 0x1e)
		return x, scaled(sc, w, 1)
	}
	return f
}
