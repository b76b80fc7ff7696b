package avx512

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// The fused row dots take a row's blocks eight at a time, because eight partial sums make the result. A group's 256 bytes of
// weights are brought into four registers such that one VPDPBUSD each leaves, summed over the four, a register of 16 sums:
//
//	dword c of 128-bit lane l  =  sum of half l%2 (16 values) of block 4·(l/2) + c
//
// Register d has there dword d + 4·(l%2) of that block. The tokens' bytes are arranged alike beforehand. So formats with a scale per
// 16 need no reduction at all, others one addition, and nothing is ever reduced over the values of a block.

// laneBlock and laneDword say which block and which of its 8 dwords register d has at position i.
func laneBlock(i int) int    { return 4*(i/8) + i%4 }
func laneDword(d, i int) int { return d + 4*(i/4%2) }

// dotFormat says how one block type's group of 8 blocks is decoded.
type dotFormat struct {
	name     string
	bytes    int              // of a group
	bias     int              // of the stored values
	halves   bool             // scales per 16
	offs     bool             // offset per 32
	negative bool             // offset is subtracted
	tail     bool             // rows need not be whole groups, but have one
	high     func(i int) bool // position i holds the high nibbles of bytes, times 16: sums are shifted down; nil: no position does
	setup    func()           // loads constants
	// decode gives the four registers of weights and the 8 scales, with 8 offsets or the second halves' scales above them.
	decode func(w Mem) (q []VecVirtual, s VecVirtual)
}

// dot emits the dot of rows with one token.
func dot(f dotFormat) {
	name := "avx512Dot" + f.name
	TEXT(name, dotFlags(f), "func(w *byte, stride, rows, nb int, q *int8, scale, sum *float32, half *int32, y *float32)")
	Doc(name + " multiplies rows by one token: see dotArgs.")
	Pragma("noescape")
	f.setup()
	halfOrder, shifts := halfPositions(f), blockShifts(f)
	row, y, rows := ptr("w"), ptr("y"), arg("rows")
	var tail *dotTail
	if f.tail {
		tail = newDotTail(f)
	}
	p := YMM()

	group := func(w, q, scale, sum, half Mem, tail *dotTail) {
		weights, s := f.decode(w)
		d := dotSums(f, weights, q, half, halfOrder, tail)
		if f.halves {
			a, hs, ha := ZMM(), YMM(), YMM()
			VSHUFI32X4(U8(0xd8), d, d, d)
			VCVTDQ2PS(d, d)
			VBROADCASTF64X4(scale, a)
			VMULPS(s, a, a)
			VFMADD231PS(a.AsY(), d.AsY(), p)
			VEXTRACTF64X4(U8(1), d, hs)
			VEXTRACTF64X4(U8(1), a, ha)
			VFMADD231PS(ha, hs, p)
			return
		}
		h, a := ZMM(), YMM()
		VSHUFI32X4(U8(0xdd), d, d, h)
		VSHUFI32X4(U8(0x88), d, d, d)
		if sameHalf(f) {
			VPADDD(h.AsY(), d.AsY(), d.AsY())
			shiftBlocks(f, shifts, d.AsY())
		} else {
			VPSRAD(U8(4), h.AsY(), h.AsY())
			VPADDD(h.AsY(), d.AsY(), d.AsY())
		}
		VCVTDQ2PS(d.AsY(), d.AsY())
		VMULPS(tail.floats(scale), s.AsY(), a)
		VFMADD231PS(a, d.AsY(), p)
		if f.offs {
			off := YMM()
			VEXTRACTF64X4(U8(1), s, off)
			fmaOffset(f, tail.floats(sum), off, p)
		}
	}

	Label("row")
	w, q, scale, sum, half := Mem{Base: GP64()}, ptr("q"), ptr("scale"), Mem{}, Mem{}
	if f.offs {
		sum = ptr("sum")
	}
	if f.bias != 0 {
		half = ptr("half")
	}
	MOVQ(row.Base, w.Base)
	n := arg("nb")
	VXORPS(p, p, p)
	SHRQ(U8(3), n)
	Label("group")
	prefetch(f, w)
	group(w, q, scale, sum, half, nil)
	advance(w, f.bytes)
	advance(q, 256)
	advance(scale, 32)
	if f.offs {
		advance(sum, 32)
	}
	if f.bias != 0 {
		advance(half, 64)
	}
	DECQ(n)
	JNZ(LabelRef("group"))
	if f.tail {
		TESTQ(tail.n, tail.n)
		JZ(LabelRef("end"))
		tail.turn(p, tail.there)
		group(tail.weights(w), q, tail.last(scale, 4), tail.last(sum, 4), tail.last(half, 8), tail)
		tail.turn(p, tail.back)
		Label("end")
	}
	VMOVSS(groupSum(p), y)
	ADDQ(U8(4), y.Base)
	ADDQ(mustParam("stride"), row.Base)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// dotMany emits the dot of rows with 2 to 8 tokens, two at a time in the halves of a register. An odd last token is taken
// twice. A group is decoded once; the pairs' partial sums live on the stack.
func dotMany(f dotFormat) {
	name := "avx512Dot" + f.name + "Many"
	TEXT(name, dotFlags(f), "func(w *byte, stride, rows, nb, tokens int, q *int8, scale, sum *float32, half *int32, y *float32, ldy int)")
	Doc(name + " multiplies rows by up to 8 tokens: see dotArgs.")
	Pragma("noescape")
	f.setup()
	halfOrder, shifts := halfPositions(f), blockShifts(f)
	sums := AllocLocal(4 * 64)
	var tail *dotTail
	if f.tail {
		tail = newDotTail(f)
	}
	// first and second are byte offsets of a pair's tokens in scale; last that of the last token.
	step, last, first, second := GP64(), GP64(), GP64(), GP64()
	Load(Param("nb"), step)
	SHLQ(U8(2), step)
	Load(Param("tokens"), last)
	DECQ(last)
	IMULQ(step, last)
	row, y := ptr("w"), ptr("y")

	pairs := func(label string, weights []VecVirtual, s VecVirtual, q, scale, sum, half Mem, tail *dotTail) {
		low, high := ZMM(), ZMM()
		VSHUFF64X2(U8(0x44), s, s, low)
		if f.halves || f.offs {
			VSHUFF64X2(U8(0xee), s, s, high)
		}
		acc := Mem{Base: GP64()}
		LEAQ(sums, acc.Base)
		XORQ(first, first)
		Label(label)
		LEAQ(Mem{Base: first, Index: step, Scale: 1}, second)
		CMPQ(second, last)
		CMOVQGT(last, second)
		at := func(m Mem, token Register, scale uint8) Mem {
			if m.Base == nil {
				return m
			}
			return m.Idx(token, scale)
		}
		d0 := dotSums(f, weights, at(q, first, 8), at(half, first, 2), halfOrder, tail)
		d1 := dotSums(f, weights, at(q, second, 8), at(half, second, 2), halfOrder, tail)
		g0, g1, p := ZMM(), ZMM(), ZMM()
		VSHUFI32X4(U8(0x88), d1, d0, g0)
		VSHUFI32X4(U8(0xdd), d1, d0, g1)
		VMOVUPS(acc, p)
		tail.turn(p, tail.forward())
		a := tail.pair(at(scale, first, 1), at(scale, second, 1))
		if f.halves {
			b := ZMM()
			VMULPS(a, high, b)
			VMULPS(a, low, a)
			VCVTDQ2PS(g0, g0)
			VCVTDQ2PS(g1, g1)
			VFMADD231PS(a, g0, p)
			VFMADD231PS(b, g1, p)
		} else {
			VMULPS(a, low, a)
			if sameHalf(f) {
				VPADDD(g1, g0, g0)
				shiftBlocks(f, shifts, g0)
			} else {
				VPSRAD(U8(4), g1, g1)
				VPADDD(g1, g0, g0)
			}
			VCVTDQ2PS(g0, g0)
			VFMADD231PS(a, g0, p)
			if f.offs {
				fmaOffset(f, tail.pair(at(sum, first, 1), at(sum, second, 1)), high, p)
			}
		}
		tail.turn(p, tail.backward())
		VMOVUPS(p, acc)
		ADDQ(U8(64), acc.Base)
		LEAQ(Mem{Base: first, Index: step, Scale: 2}, first)
		CMPQ(first, last)
		JLE(LabelRef(label))
	}

	Label("row")
	z := zero()
	for i := range 4 {
		VMOVUPS(z, sums.Offset(64*i))
	}
	w, q, scale, sum, half := Mem{Base: GP64()}, ptr("q"), ptr("scale"), Mem{}, Mem{}
	if f.offs {
		sum = ptr("sum")
	}
	if f.bias != 0 {
		half = ptr("half")
	}
	MOVQ(row.Base, w.Base)
	n := arg("nb")
	SHRQ(U8(3), n)
	Label("group")
	prefetch(f, w)
	weights, s := f.decode(w)
	pairs("pair", weights, s, q, scale, sum, half, nil)
	advance(w, f.bytes)
	advance(q, 256)
	advance(scale, 32)
	if f.offs {
		advance(sum, 32)
	}
	if f.bias != 0 {
		advance(half, 64)
	}
	DECQ(n)
	JNZ(LabelRef("group"))
	if f.tail {
		TESTQ(tail.n, tail.n)
		JZ(LabelRef("end"))
		weights, s := f.decode(tail.weights(w))
		pairs("tailPair", weights, s, q, tail.last(scale, 4), tail.last(sum, 4), tail.last(half, 8), tail)
		Label("end")
	}

	acc, out, t, ldy := Mem{Base: GP64()}, Mem{Base: GP64()}, arg("tokens"), arg("ldy")
	LEAQ(sums, acc.Base)
	MOVQ(y.Base, out.Base)
	Label("out")
	p := load(acc)
	r := groupSum(p)
	VMOVSS(r.(Vec).AsX(), out)
	DECQ(t)
	JZ(LabelRef("rowEnd"))
	x := XMM()
	VEXTRACTF32X4(U8(2), r, x)
	VMOVSS(x, out.Idx(ldy, 4))
	LEAQ(out.Idx(ldy, 8), out.Base)
	ADDQ(U8(64), acc.Base)
	DECQ(t)
	JNZ(LabelRef("out"))
	Label("rowEnd")
	ADDQ(U8(4), y.Base)
	ADDQ(mustParam("stride"), row.Base)
	DECQ(mustParam("rows")) // the caller's copy, in the frame
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// dotFlags lets a function with a large frame grow the stack.
func dotFlags(f dotFormat) attr.Attribute {
	if f.tail {
		return 0
	}
	return attr.NOSPLIT
}

func mustParam(name string) Mem {
	b, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

// prefetch asks for the group 8 KB on: rows follow each other, so that is what comes next. An 8B Q4_K_M generated 7.5 tokens a second so, 7.1 with 4 KB,
// 6.8 with 16, and 6.0 with one line of each group, on two cores of a Zen 4 whose neighbours were busy.
func prefetch(f dotFormat, w Mem) {
	for i := 0; i < f.bytes; i += 64 {
		PREFETCHT1(w.Offset(8192 + i))
	}
}

// halfPositions is the order of dotArgs.half in sums' positions.
func halfPositions(f dotFormat) VecVirtual {
	if f.bias == 0 {
		return nil
	}
	return load(vector("halves", 16, func(i int) uint32 { return uint32(2*laneBlock(i) + i/4%2) }))
}

// dotSums multiplies a group by a token: the 16 sums. The bias is taken off as half·(-bias), a product of int16: |half| <= 16·127.
func dotSums(f dotFormat, w []VecVirtual, q, half Mem, halfOrder VecVirtual, tail *dotTail) VecVirtual {
	d := zero()
	if f.bias != 0 {
		h := ZMM()
		if tail == nil {
			VPERMD(half, halfOrder, h)
		} else {
			VMOVDQU32_Z(half, tail.halves, h)
			VPERMD(h, halfOrder, h)
		}
		minus := func(i int) uint32 {
			if f.high != nil && f.high(i) {
				return uint32(uint16(-16 * f.bias))
			}
			return uint32(uint16(-f.bias))
		}
		if f.high == nil {
			VPDPWSSD_BCST(vector(fmt.Sprintf("splat_%08x", minus(0)), 1, minus), h, d)
		} else {
			VPDPWSSD(vector("minus_"+f.name, 16, minus), h, d)
		}
	}
	for i, x := range w {
		if tail == nil {
			VPDPBUSD(q.Offset(64*i), x, d)
			continue
		}
		a := ZMM()
		VPEXPANDD_Z(q, tail.dwords, a)
		if i < len(w)-1 {
			next := GP64()
			LEAQ(q, next)
			LEAQ(Mem{Base: next, Index: tail.n, Scale: 8}, next)
			q = Mem{Base: next}
		}
		VPDPBUSD(a, x, d)
	}
	return d
}

// sameHalf says that both halves of a block are low nibbles, or both high ones, so that a block's whole sum is shifted.
func sameHalf(f dotFormat) bool { return f.high == nil || f.high(0) == f.high(4) }

// blockShifts is how far the sums of 8 blocks, twice, are shifted down.
func blockShifts(f dotFormat) VecVirtual {
	if f.high == nil || !sameHalf(f) {
		return nil
	}
	return load(vector("shifts_"+f.name, 16, func(i int) uint32 {
		if f.high(i%8/4*8 + i%4) {
			return 4
		}
		return 0
	}))
}

func shiftBlocks(f dotFormat, shifts VecVirtual, d Register) {
	switch {
	case f.high == nil:
	case d.Size() == 64:
		VPSRAVD(shifts, d, d)
	default:
		VPSRAVD(shifts.AsY(), d, d)
	}
}

func fmaOffset(f dotFormat, sum, off Op, p VecVirtual) {
	if f.negative {
		VFNMADD231PS(sum, off, p)
	} else {
		VFMADD231PS(sum, off, p)
	}
}

// groupSum adds the 8 floats of p to 0 in order, in both 256-bit halves of a 512-bit one: the sums are in elements 0 and 8.
func groupSum(p VecVirtual) Register {
	view, q := Vec.AsX, ZMM()
	if p.Size() == 64 {
		view = Vec.AsZ
		VSHUFF32X4(U8(0xf5), p, p, q)
	} else {
		VEXTRACTF32X4(U8(1), p, q.AsX())
	}
	s := view(ZMM())
	VXORPS(s, s, s)
	for _, v := range []Register{view(p), view(q)} {
		VADDPS(v, s, s)
		for i := 1; i < 4; i++ {
			e := view(ZMM())
			VPERMILPS(U8(i*0x55), v, e)
			VADDPS(e, s, s)
		}
	}
	return s
}

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

// weights is where the row's last 8 blocks begin, if w is past the last whole group.
func (t *dotTail) weights(w Mem) Mem { return t.moved(w, t.bytes, 1) }

// last is where the last 8 blocks' values of the given size begin, if m is past the last whole group.
func (t *dotTail) last(m Mem, size uint8) Mem {
	if m.Base == nil {
		return m
	}
	return t.moved(m, t.missing, size)
}

func (t *dotTail) moved(m Mem, by GPVirtual, scale uint8) Mem {
	p := GP64()
	LEAQ(m.Idx(by, scale), p)
	return Mem{Base: p}
}

func (t *dotTail) forward() VecVirtual {
	if t == nil {
		return nil
	}
	return t.there
}

func (t *dotTail) backward() VecVirtual {
	if t == nil {
		return nil
	}
	return t.back
}

// turn brings partial sums to the lanes of the tail's blocks, or back.
func (t *dotTail) turn(p, to VecVirtual) {
	switch {
	case t == nil:
	case p.Size() == 64:
		VPERMPS(p, to, p)
	default:
		VPERMPS(p, to.AsY(), p)
	}
}

// floats is 8 floats, 0 for what is not the tail's.
func (t *dotTail) floats(m Mem) Op {
	if t == nil {
		return m
	}
	x := YMM()
	VMOVUPS_Z(m, t.blocks, x)
	return x
}

// pair is 8 floats of each of two tokens.
func (t *dotTail) pair(m0, m1 Mem) VecVirtual {
	x := ZMM()
	if t == nil {
		VMOVUPS(m0, x.AsY())
		VINSERTF64X4(U8(1), m1, x, x)
		return x
	}
	VMOVUPS_Z(m0, t.blocks, x.AsY())
	VINSERTF64X4(U8(1), t.floats(m1), x, x)
	return x
}

// arrange emits the ordering of a token's whole groups for the dots. The tail's order is written in Go.
func arrange() {
	TEXT("avx512Arrange", NOSPLIT, "func(groups int, q *int8, o *int8)")
	Doc("avx512Arrange puts groups of 8 blocks of activations in the order of the row dots.")
	Pragma("noescape")
	n, q, o := arg("groups"), ptr("q"), ptr("o")
	Label("group")
	x := make([]VecVirtual, 4)
	for c := range x {
		x[c] = ZMM()
		VMOVDQU32(q.Offset(32*c), x[c].AsY())
		VINSERTI64X4(U8(1), q.Offset(32*(c+4)), x[c], x[c])
	}
	for d, y := range transpose4(x) {
		VMOVDQU32(y, o.Offset(64*d))
	}
	advance(q, 256)
	advance(o, 256)
	DECQ(n)
	JNZ(LabelRef("group"))
	VZEROUPPER()
	RET()
}
