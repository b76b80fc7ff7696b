package avx512

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// dotTail is the state for the last n = nb mod 8 blocks of a row. They are run as the row's last 8 blocks, all of them whole, of which
// the first 8 − n meet zeros instead of the token's bytes and sums. Partial sum j of a whole group is then at lane (j − n) mod 8.
type dotTail struct {
	n                      GPVirtual // blocks
	missing                GPVirtual // n − 8
	bytes                  GPVirtual // of missing blocks, below 0
	there, back            VecVirtual
	dwords, blocks, halves OpmaskVirtual // of arranged bytes, of sum, of half
}

func newDotTail(f dotFormat) *dotTail {
	t := &dotTail{n: GP64(), missing: GP64(), bytes: GP64(), there: ZMM(), back: ZMM(), dwords: K(), blocks: K(), halves: K()}
	Load(Param("nb"), t.n)
	ANDQ(U8(7), t.n)
	LEAQ(Mem{Base: t.n, Disp: -8}, t.missing)
	IMUL3Q(I32(f.bytes/8), t.missing, t.bytes)

	lanes := load(vector("lanes", 16, func(i int) uint32 { return uint32(i % 8) }))
	upper := load(vector("upper", 16, func(i int) uint32 { return uint32(i / 8 * 8) }))
	seven, turn := splat(7), ZMM()
	VPBROADCASTD(t.n.As32(), turn)
	VPADDD(turn, lanes, t.there)
	VPSUBD(turn, lanes, t.back)
	for _, v := range []VecVirtual{t.there, t.back} {
		VPTERNLOGD(U8(0xea), upper, seven, v) // v & seven | upper
	}

	shift, bits, high := GP64(), GP64(), GP64()
	MOVQ(t.missing, shift)
	NEGQ(shift)
	MOVQ(U32(0xff), bits)
	SHLXQ(shift, bits, bits)
	ANDQ(U32(0xff), bits)
	KMOVQ(bits, t.blocks)
	MOVQ(bits, high)
	ANDQ(U8(15), bits)
	IMUL3Q(U8(0x11), bits, bits)
	SHRQ(U8(4), high)
	IMUL3Q(I32(0x1100), high, high)
	ORQ(high, bits)
	KMOVQ(bits, t.dwords)
	MOVQ(U32(0xffff), bits)
	ADDQ(shift, shift)
	SHLXQ(shift, bits, bits)
	KMOVW(bits.As32(), t.halves)
	return t
}

// last moves m, past the last whole group's values of the given size, to where those of the row's last 8 blocks begin.
func (t *dotTail) last(m Mem, size uint8) Mem {
	if m.Base != nil {
		LEAQ(m.Idx(t.missing, size), m.Base)
	}
	return m
}

// turn brings partial sums to the lanes of the tail's blocks, and turnBack where they were.
func (t *dotTail) turn(p VecVirtual) {
	if t != nil {
		VPERMPS(p, t.there, p)
	}
}

func (t *dotTail) turnBack(p VecVirtual) {
	if t != nil {
		VPERMPS(p, t.back, p)
	}
}

// both is 8 floats, twice, 0 for what is not the tail's.
func (t *dotTail) both(m Mem) VecVirtual {
	x := ZMM()
	if t == nil {
		VBROADCASTF64X4(m, x)
		return x
	}
	VMOVUPS_Z(m, t.blocks, x.AsY())
	VSHUFF64X2(U8(0x44), x, x, x)
	return x
}
