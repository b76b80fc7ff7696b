package avx512

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// dotQ5 is Q5_0, 8 blocks of d, 4 bytes of fifth bits and 16 of nibbles, and Q5_1, which has m behind d.
func dotQ5(name string, min int) dotFormat {
	size := 11 + min // words of a block
	f := dotFormat{name: name, bytes: 16 * size, offs: min == 1, tail: true}
	if min == 0 {
		f.bias = 16
	}
	// Blocks 0 to 3 are in the words that begin at byte 0 and at byte 64, blocks 4 to 7 in those at byte 64 and in the group's last 32.
	tables := func(part string, from func(block, i int) int) [2]Mem {
		return [2]Mem{
			words(name+part, 32, func(i int) uint16 { return uint16(from(0, i)) }),
			words(name+part+"_high", 32, func(i int) uint16 {
				w := from(4, i)
				if w < 64 {
					return uint16(w - 32)
				}
				return uint16(w - (8*size - 32) + 32)
			}),
		}
	}
	low := tables("", func(block, i int) int { return size*(block+i/2%4) + 3 + min + 2*(i/8) + i%2 })
	// Lane 0 has four d, and four m; lane 1 the fifth bits of four blocks.
	heads := tables("_head", func(block, i int) int {
		switch {
		case i < 4:
			return size * (block + i)
		case i < 8:
			return size*(block+i-4) + min
		}
		return size*(block+i/2%4) + 1 + min + i%2
	})
	var nib nibbles
	var spread VecVirtual // four bits into the fifth of four bytes
	f.setup = func() {
		nib = newNibbles("half", secondHalf)
		spread = load(vector("fifth", 16, func(i int) (v uint32) {
			for b := range 4 {
				v |= uint32(i>>b&1) << (8*b + 4)
			}
			return v
		}))
	}
	f.decode = func(w Mem) ([]VecVirtual, []VecVirtual) {
		x, y, z := load(w), load(w.Offset(64)), load(w.Offset(f.bytes-64))
		var n, h [2]VecVirtual
		for i, from := range [][2]VecVirtual{{x, y}, {y, z}} {
			n[i], h[i] = load(low[i]), load(heads[i])
			VPERMI2W(from[1], from[0], n[i])
			VPERMI2W(from[1], from[0], h[i])
		}
		fifth, s := ZMM(), ZMM()
		VSHUFI32X4(U8(0x55), h[1], h[0], fifth)
		VPUNPCKLQDQ(h[1].AsX(), h[0].AsX(), s.AsX())
		if min == 1 {
			VPUNPCKHQDQ(h[1].AsX(), h[0].AsX(), h[0].AsX())
			VINSERTI32X4(U8(1), h[0].AsX(), s.AsY(), s.AsY())
		}
		VCVTPH2PS(s.AsY(), s)

		return openLanes(n[0], n[1], func(d int, x VecVirtual) {
			// The four bits of position i's dword are a nibble of its block's. They are looked up: with a test into a mask for each a Zen 5 read Q5_0 at 16 GB/s from memory,
			// whatever was prefetched, where it reads 31 to 44, and at 41 from cache of 49. That masks are few is a guess.
			t := ZMM()
			VPSRLVD(vector(fmt.Sprintf("fifth_%d", d), 16, func(i int) uint32 { return uint32(4 * laneDword(d, i)) }), fifth, t)
			VPERMD(spread, t, t)
			VPSRLVD(nib.shift, x, x)
			VPTERNLOGD(U8(0xec), nib.mask, t, x) // x & mask | t
		}), one(s)
	}
	return f
}

// planes gives two bits of each value from 64 bytes, of which each 32 have four blocks: dword d of a lane, shifted for each block.
func planes(qs, shift, mask VecVirtual) []VecVirtual {
	q := make([]VecVirtual, 4)
	for d := range q {
		q[d] = ZMM()
		VPSHUFD(U8(0x55*d), qs, q[d])
		VPSRLVD(shift, q[d], q[d])
		VPANDD(mask, q[d], q[d])
	}
	return q
}

// planeShift is how far the two bits of each position are shifted down.
func planeShift() VecVirtual {
	return load(vector("plane_shift", 16, func(i int) uint32 { return uint32(2 * (i % 4)) }))
}

// firstHalves is the order of groups of 16 values in which those of blocks' first halves precede those of second halves.
func firstHalves(i int) int { return i%8*2 + i/8 }

func firstHalvesBytes() Mem {
	return bytes("first_halves", 16, func(i int) byte { return byte(firstHalves(i)) })
}

// dotQ2_K: 16 bytes of scales and minima, 64 of two bits, d, dmin. A sum of 16 times its scale of 4 bits is exact as a float, and so are two of these: what unpackQ2_K multiplies
// into the values.
func dotQ2_K() dotFormat {
	f := dotFormat{name: "Q2_K", bytes: 84, halves: true, offs: true, negative: true}
	var shift, mask, four VecVirtual
	f.setup = func() { shift, mask, four = planeShift(), splat(0x03030303), splat(15) }
	f.decode = func(w Mem) ([]VecVirtual, []VecVirtual) {
		b, s, m := XMM(), ZMM(), ZMM()
		VMOVDQU32(w, b)
		VPSHUFB(firstHalvesBytes(), b, b)
		VPMOVZXBD(b, s)
		VPSRLD(U8(4), s, m)
		VPANDD(four, s, s)
		VCVTDQ2PS(s, s)
		times(m, half(w.Offset(82)))
		return planes(load(w.Offset(16)), shift, mask), []VecVirtual{s, m, half(w.Offset(80))}
	}
	return f
}

// q3Scales decodes the 16 scales of Q3_K, group order(i) at i.
type q3Scales struct{ low, high, lowShift, highTurn, lowBits, highBits, minus VecVirtual }

func newQ3Scales(name string, order func(i int) int) q3Scales {
	c := q3Scales{low: XMM(), high: XMM()}
	// Of the 16 bytes from 94 on, so as not to read past the block.
	VMOVDQU32(bytes(name+"_low", 16, func(i int) byte { return byte(2 + order(i)%8) }), c.low)
	VMOVDQU32(bytes(name+"_high", 16, func(i int) byte { return byte(10 + order(i)%4) }), c.high)
	c.lowShift = load(vector(name+"_shift", 16, func(i int) uint32 { return uint32(order(i) / 8 * 4) }))
	c.highTurn = load(vector(name+"_turn", 16, func(i int) uint32 { return uint32(order(i)/4*2-4) & 31 }))
	c.lowBits, c.highBits, c.minus = splat(15), splat(0x30), splat(32)
	return c
}

func (c q3Scales) decode(w Mem) VecVirtual {
	b, a, s, t := XMM(), XMM(), ZMM(), ZMM()
	VMOVDQU32(w.Offset(94), b)
	VPSHUFB(c.low, b, a)
	VPSHUFB(c.high, b, b)
	VPMOVZXBD(a, s)
	VPMOVZXBD(b, t)
	VPSRLVD(c.lowShift, s, s)
	VPANDD(c.lowBits, s, s)
	VPRORVD(c.highTurn, t, t)
	VPTERNLOGD(U8(0xf8), c.highBits, t, s)
	VPSUBD(c.minus, s, s)
	return times(s, half(w.Offset(108)))
}

// dotQ3_K: 32 bytes of third bits, bit b of byte i of value i of block b; 64 of two bits, 12 of scales, d.
func dotQ3_K() dotFormat {
	f := dotFormat{name: "Q3_K", bytes: 110, bias: 4, halves: true}
	var shift, mask, bit, turn VecVirtual
	var sc q3Scales
	f.setup = func() {
		shift, mask, bit = planeShift(), splat(0x03030303), splat(0x04040404)
		turn = load(vector("q3_k_bit_turn", 16, func(i int) uint32 { return uint32(laneBlock(i)-2) & 31 }))
		sc = newQ3Scales("q3_k_halves", firstHalves)
	}
	f.decode = func(w Mem) ([]VecVirtual, []VecVirtual) {
		third := spread(w)
		q := planes(load(w.Offset(32)), shift, mask)
		for d, x := range q {
			h := ZMM()
			VPSHUFD(U8(0x55*d), third, h)
			VPRORVD(turn, h, h)
			VPTERNLOGD(U8(0xf8), bit, h, x) // x | h & bit
		}
		return q, one(sc.decode(w))
	}
	return f
}
