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
	offs     bool             // offset per 32, or per 16 with halves
	negative bool             // offset is subtracted
	mixed    bool             // one token's rows take turns, see weave, and share none of its bytes in registers
	tail     bool             // rows need not be whole groups, but have one
	high     func(i int) bool // position i holds the high nibbles of bytes, times 16: sums are shifted down; nil: no position does
	setup    func()           // loads constants
	// decode gives the four registers of weights and the 8 scales, with 8 offsets or the second halves' scales above them; with both,
	// the offsets of first and second halves are a register of their own, and a factor of all scales is a third.
	decode func(w Mem) (q []VecVirtual, s []VecVirtual)
}

// parts is how many halves of decode's registers are used.
func (f dotFormat) parts() int {
	if f.halves || f.offs {
		return 2
	}
	return 1
}

// usesHalf says that the dot needs the sums of each 16 values.
func (f dotFormat) usesHalf() bool { return f.bias != 0 || f.halves && f.offs }

// dot emits the dot of rows with one token or two. Two rows are run at a time, in the halves of a register, since with one the vector units waited for each
// other: from cache Q4_K ran at 26.2 GB/s, and at 27.5 so; SmolLM2, whose rows are short, generated 162 tokens a second and 191 so. The rows of a pair are half of the rows
// apart, and an odd last one is taken twice: with neighbouring rows, the processor's prefetching began anew with each pair, and an 8B generated 6% less than with
// one row at a time.
func dot(f dotFormat, tokens int) {
	name, doc, more := "avx512Dot"+f.name, "one token", ""
	if tokens == 2 {
		name, doc, more = name+"Two", "two tokens", ", ldy int"
	}
	TEXT(name, dotFlags(f), "func(w *byte, stride, rows, nb int, q *int8, scale, sum *float32, half *int32, y *float32"+more+")")
	Doc(name + " multiplies rows by " + doc + ": see dotArgs.")
	Pragma("noescape")
	f.setup()
	halfOrder, shifts := halfPositions(f), blockShifts(f)
	var tail *dotTail
	if f.tail {
		tail = newDotTail(f)
	}
	p := []VecVirtual{ZMM(), ZMM()}[:tokens]
	// of is what m is for token t: step is the bytes of a token's scales.
	step := GP64()
	of := func(t int, m Mem, scale uint8) Mem {
		if t == 0 || m.Base == nil {
			return m
		}
		return m.Idx(step, scale)
	}

	group := func(w0, w1, q, scale, sum, half Mem, tail *dotTail) {
		d := make([][]VecVirtual, tokens)
		for t := range tokens {
			d[t] = []VecVirtual{biasSums(f, of(t, half, 2), halfOrder, tail), ZMM()}
			VMOVDQA32(d[t][0], d[t][1])
		}
		woven := f.mixed && tokens == 1
		var shared []Op // by both rows, where registers are left for that
		if tokens == 1 && !woven {
			shared = tokenBytes(q, tail)
			for i, b := range shared {
				if m, ok := b.(Mem); ok {
					shared[i] = load(m)
				}
			}
		}
		s := make([][]VecVirtual, 2)
		row := func(r int, w Mem) func() {
			return func() {
				var weights []VecVirtual
				weights, s[r] = f.decode(w)
				for t := range tokens {
					bytes := shared
					if bytes == nil {
						bytes = tokenBytes(of(t, q, 8), tail)
					}
					for i, x := range weights {
						VPDPBUSD(bytes[i], x, d[t][r])
					}
					pause()
				}
			}
		}
		if row0, row1 := row(0, w0), row(1, w1); woven {
			weave(row0, row1)
		} else {
			row0()
			row1()
		}
		var rows []VecVirtual // both rows' scales, then offsets, in the order of the partial sums
		for i := range s[0] {
			parts := f.parts()
			if i == 2 {
				parts = 1 // a factor, which all lanes have
			}
			for _, part := range []uint8{0x44, 0xee}[:parts] {
				x := ZMM()
				VSHUFF64X2(U8(part), s[1][i], s[0][i], x)
				rows = append(rows, x)
			}
		}
		for t := range tokens {
			tail.turn(p[t])
			addGroup(f, d[t], rows, tail.both(of(t, scale, 1)), func() VecVirtual { return tail.both(of(t, sum, 1)) }, of(t, half, 2), shifts, p[t])
			tail.turnBack(p[t])
		}
	}

	// A row's partner is that many bytes on, and its result that many floats.
	partner, apart := GP64(), arg("rows")
	INCQ(apart)
	SHRQ(U8(1), apart)
	MOVQ(apart, partner)
	IMULQ(mustParam("stride"), partner)

	Label("row")
	// The caller's copies of w, y and rows, in the frame, go on from pair to pair.
	w0, q, scale, sum, half := ptr("w"), ptr("q"), ptr("scale"), Mem{}, Mem{}
	if f.offs && !f.halves {
		sum = ptr("sum")
	}
	if f.usesHalf() {
		half = ptr("half")
	}
	n, zero := GP64(), GP64()
	XORQ(zero, zero)
	CMPQ(mustParam("rows"), U8(1))
	CMOVQEQ(zero, partner)
	w1 := w0.Idx(partner, 1)
	Load(Param("nb"), n)
	if tokens == 2 {
		MOVQ(n, step)
		SHLQ(U8(2), step)
	}
	for t := range tokens {
		VXORPS(p[t], p[t], p[t])
	}
	SHRQ(U8(3), n)
	Label("group")
	prefetch(f, w0)
	prefetch(f, w1)
	group(w0, w1, q, scale, sum, half, nil)
	advance(w0, f.bytes)
	advance(q, 256)
	advance(scale, 32)
	if f.offs && !f.halves {
		advance(sum, 32)
	}
	if f.usesHalf() {
		advance(half, 64)
	}
	DECQ(n)
	JNZ(LabelRef("group"))
	if f.tail {
		TESTQ(tail.n, tail.n)
		JZ(LabelRef("end"))
		ADDQ(tail.bytes, w0.Base)
		group(w0, w1, q, tail.last(scale, 4), tail.last(sum, 4), tail.last(half, 8), tail)
		Label("end")
	}
	y, sums := ptr("y"), make([]VecVirtual, tokens)
	for t := range tokens {
		sums[t] = groupSum(p[t])
	}
	var ldy GPVirtual
	if tokens == 2 {
		ldy = arg("ldy")
	}
	store := func(lane int) {
		for t, s := range sums {
			x := s.AsX()
			if lane > 0 {
				x = XMM()
				VEXTRACTF32X4(U8(lane), s, x)
			}
			if t == 0 {
				VMOVSS(x, y)
			} else {
				VMOVSS(x, y.Idx(ldy, 4))
			}
		}
	}
	store(0)
	CMPQ(mustParam("rows"), U8(1))
	JEQ(LabelRef("done"))
	LEAQ(y.Idx(apart, 4), y.Base)
	store(2)
	ADDQ(U8(4), mustParam("y"))
	next := GP64()
	Load(Param("stride"), next)
	ADDQ(next, mustParam("w"))
	SUBQ(U8(2), mustParam("rows"))
	JNZ(LabelRef("row"))
	Label("done")
	VZEROUPPER()
	RET()
}

// addGroup adds a group's sums, of two rows, to the partial sums in the halves of p: a are the token's scales, twice, rows the weights' scales and
// offsets.
func addGroup(f dotFormat, d, rows []VecVirtual, a VecVirtual, sum func() VecVirtual, half Mem, shifts, p VecVirtual) {
	g0, g1 := ZMM(), ZMM()
	VSHUFI32X4(U8(0x88), d[1], d[0], g0)
	VSHUFI32X4(U8(0xdd), d[1], d[0], g1)
	if f.halves {
		factor := a
		if f.offs {
			factor = ZMM()
			VMULPS(a, rows[4], factor)
		}
		addHalves(g0, g1, rows[0], rows[1], p, func(m, p VecVirtual) { VFMADD231PS(factor, m, p) })
		if f.offs {
			for h := range 2 {
				order := vector(fmt.Sprintf("half_sums_%d", h), 16, func(i int) uint32 { return uint32(2*(i%8) + h) })
				x := load(order)
				VPERMD(half, x, x)
				VCVTDQ2PS(x, x)
				VMULPS(a, x, x)
				fmaOffset(f, x, rows[2+h], p)
			}
		}
		return
	}
	VMULPS(a, rows[0], a)
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
		fmaOffset(f, sum(), rows[1], p)
	}
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

// prefetch asks for what comes 5 KB on: rows follow each other. With an 8B Q4_K_M a Zen 5 whose memory was fast generated 14.5 tokens a second so, 14.4 with 4 KB and 14.3 with 6, and the same
// with all while it was slow; a Zen 4 whose neighbours were busy 6.75 with 6 KB, 6.55 with 4 or 8 and 6.3 with 16, and with a prefetch of only one line of each group 20% less. Into the first cache,
// not the second, that Zen 5 generated 1 to 2% more, with Q8_0 6%.
func prefetch(f dotFormat, w Mem) {
	for i := 0; i < f.bytes; i += 64 {
		PREFETCHT0(w.Offset(5120 + i))
	}
}

// halfPositions is the order of dotArgs.half in sums' positions.
func halfPositions(f dotFormat) VecVirtual {
	if f.bias == 0 {
		return nil
	}
	return load(vector("halves", 16, func(i int) uint32 { return uint32(2*laneBlock(i) + i/4%2) }))
}

// biasSums begins a group's 16 sums with what takes the bias off: half·(-bias), a product of int16, since |half| <= 16·127.
func biasSums(f dotFormat, half Mem, halfOrder VecVirtual, tail *dotTail) VecVirtual {
	d := zero()
	if f.bias == 0 {
		return d
	}
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
	return d
}

// tokenBytes are a group's four vectors of a token, in memory but for the tail.
func tokenBytes(q Mem, tail *dotTail) []Op {
	a := make([]Op, 4)
	next := Mem{Base: GP64()}
	if tail != nil {
		LEAQ(q, next.Base)
	}
	for i := range a {
		if tail == nil {
			a[i] = q.Offset(64 * i)
			continue
		}
		x := ZMM()
		VPEXPANDD_Z(next, tail.dwords, x)
		LEAQ(next.Idx(tail.n, 8), next.Base)
		a[i] = x
	}
	return a
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

func shiftBlocks(f dotFormat, shifts, d VecVirtual) {
	if f.high != nil {
		VPSRAVD(shifts, d, d)
	}
}

func fmaOffset(f dotFormat, sum, off Op, p VecVirtual) {
	if f.negative {
		VFNMADD231PS(sum, off, p)
	} else {
		VFMADD231PS(sum, off, p)
	}
}

// groupSum adds the 8 floats of each half of p to 0 in order: the sums are in elements 0 and 8.
func groupSum(p VecVirtual) VecVirtual {
	q, s := ZMM(), zero()
	VSHUFF32X4(U8(0xf5), p, p, q)
	for _, v := range []VecVirtual{p, q} {
		VADDPS(v, s, s)
		for i := 1; i < 4; i++ {
			e := ZMM()
			VPERMILPS(U8(i*0x55), v, e)
			VADDPS(e, s, s)
		}
	}
	return s
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
