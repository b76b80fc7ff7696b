package avx512

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// The grids of IQ2 and IQ3 have few distinct values: an entry is one word of codes, 8 of 2 bits or 4 of 3. VPERMT2W looks up 32 indices at once among 64 words, so
// that a grid of 256 takes four and three blends, where general registers fetch one entry after the other. Indices and signs are brought into the order of the dots first,
// and so the values are.

const iqBias = 64

// codes is a grid of package kernels in this form.
type codes struct {
	base          Mem
	entries       int
	levels, twice VecVirtual   // the stored values, by code; what a negative value is taken from
	tests         []VecVirtual // bits of signs
}

// newCodes is for a grid of so many entries, whose values are levels.
func newCodes(name string, entries int, levels ...byte) codes {
	c := codes{Mem{Base: GP64()}, entries, ZMM(), splat(0x80808080), nil}
	MOVQ(NewDataAddr(Symbol{Name: "·codes" + name}, 0), c.base.Base)
	VBROADCASTI32X4(bytes("levels_"+name, 16, func(i int) byte { return levels[i%len(levels)] + iqBias }), c.levels)
	switch len(levels) {
	case 4: // bits 2i and 2i+1 of words' bytes
		for i := range 4 {
			c.tests = append(c.tests, splat(0x02010201<<(2*i)))
		}
	case 8: // bits 2i and 2i+1 too, but in the second half of 128 bits those four up
		for i := range 2 {
			c.tests = append(c.tests, load(vector(fmt.Sprintf("signs_%d", i), 16, func(j int) uint32 { return 0x02010201 << (2*i + j/2%2*4) })))
		}
	}
	return c
}

// find gives the codes of 32 indices, in whose words higher bits do not count.
func (c codes) find(index VecVirtual) VecVirtual {
	var bits []func() OpmaskVirtual
	for n := 64; n < c.entries; n *= 2 {
		test := func() OpmaskVirtual {
			k := K()
			VPTESTMW(words(fmt.Sprintf("bit_%d", n), 32, func(int) uint16 { return uint16(n) }), index, k)
			return k
		}
		if n < 256 { // used more than twice
			k := test()
			test = func() OpmaskVirtual { return k }
		}
		bits = append(bits, test)
	}
	return c.among(index, 0, bits)
}

// among looks among 64 entries from first on, and twice as many for each bit.
func (c codes) among(index VecVirtual, first int, bits []func() OpmaskVirtual) VecVirtual {
	if n := len(bits) - 1; n >= 0 {
		x, y := c.among(index, first, bits[:n]), c.among(index, first+64<<n, bits[:n])
		VPBLENDMW(y, x, bits[n](), x)
		pause()
		return x
	}
	x := load(c.base.Offset(2 * first))
	VPERMT2W(c.base.Offset(2*first+64), index, x)
	return x
}

// signed replaces codes by values, negative where signs has a bit that is tested.
func (c codes) signed(x, signs VecVirtual, test int) {
	k := K()
	VPSHUFB(x, c.levels, x)
	VPTESTMB(c.tests[test], signs, k)
	VPSUBB(x, c.twice, k, x)
	pause()
}

// eights gives the values of 32 entries of 8, which lie in pairOrder; both bytes of a word of signs have those of its entry.
func (c codes) eights(x, signs VecVirtual) []VecVirtual {
	nibble, w := splat(0x0f0f0f0f), make([]VecVirtual, 4)
	for i := range w {
		w[i] = masked(x, 2*i, nibble) // of each nibble two bits count
		c.signed(w[i], signs, i)
	}
	v := []VecVirtual{ZMM(), ZMM(), w[0], w[2]}
	VPUNPCKLWD(w[1], w[0], v[0])
	VPUNPCKLWD(w[3], w[2], v[1])
	VPUNPCKHWD(w[1], w[0], w[0])
	VPUNPCKHWD(w[3], w[2], w[2])
	pause()
	return v
}

// fours gives the values of 32 entries of 4, two registers of the four that foursIn gives, whose signs lie as those of eights.
func (c codes) fours(x, signs VecVirtual) []VecVirtual {
	y, low := ZMM(), ZMM()
	VPSRLW(U8(4), x, y)
	c.signed(x, signs, 0)
	c.signed(y, signs, 1)
	VPUNPCKLWD(y, x, low)
	VPUNPCKHWD(y, x, x)
	return []VecVirtual{low, x}
}

// In a lane of 128 bits a dot has four blocks, and of each the first or the second half: see laneBlock.

// pairOrder takes words, four of each block, to their lanes: of each block the half's first, then of each its second.
func pairOrder() VecVirtual {
	return load(words("pair_order", 32, func(i int) uint16 { return uint16(i/16*16 + i%4*4 + i/8%2*2 + i/4%2) }))
}

// signOrder takes the dwords of blocks' signs, of 4 bytes, to both lanes of their blocks.
func signOrder() VecVirtual {
	return load(vector("sign_order", 16, func(i int) uint32 { return uint32(i/8*4 + i%4) }))
}

// signLanes has the signs of 8 blocks in y.
func signLanes(y, order VecVirtual) VecVirtual {
	z := ZMM()
	VPERMD(y.AsZ(), order, z)
	return z
}

// pairSigns takes the bytes of signs to the words of pairOrder.
func pairSigns() VecVirtual {
	return load(bytes("pair_signs", 64, func(i int) byte { return byte(i/2%4*4 + i/16%2*2 + i/8%2) }))
}
