package avx512

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// attendPairs emits one page of attention in pairs of bfloat16 for so many query rows: see attend, whose steps are these, and which says why the rows share what they do. While
// it runs, each line of the next page is asked for once: one token's heads take the lines as soon as they come.
func attendPairs(rows int) {
	name := fmt.Sprintf("avx512AttendPairs_%d", rows)
	TEXT(name, 0, "func(headDim int, q, k, v *uint32, next *byte, count *int32, m, l, o *float32)")
	Doc(fmt.Sprintf("%s runs a page for %d rows, each with a count above 0: see bf16Leaf.attend.", name, rows))
	Pragma("noescape")
	p := AllocLocal(4 * pageSize * rows) // [rows][pageSize] scores, then [rows][pageSize/2] pairs of weights
	newMax, sum, c := AllocLocal(64), AllocLocal(64), AllocLocal(64)

	acc := make([][2]VecVirtual, rows)
	for r := range acc {
		acc[r] = [2]VecVirtual{ZMM(), ZMM()}
	}
	add := func(m Mem, from func(r int) Mem) {
		x := [2]VecVirtual{load(m), load(m.Offset(64))}
		for r := range acc {
			for i := range 2 {
				vdpbf16psBcst(from(r), x[i], acc[r][i])
			}
		}
	}
	next := ptr("next")
	ahead := func(lines int) {
		for i := range lines {
			PREFETCHT1(next.Offset(64 * i))
		}
		advance(next, 64*lines)
	}

	// Scores, keys as lanes; two pairs of dimensions at a time.
	for r := range acc {
		for i := range 2 {
			VXORPS(acc[r][i], acc[r][i], acc[r][i])
		}
	}
	n, k := arg("headDim"), ptr("k")
	half := GP64() // floats of a row's q
	MOVQ(n, half)
	SHRQ(U8(1), half)
	q := rowPointers(rows, ptr("q"), half)
	SHRQ(U8(2), n)
	Label("score")
	for i := range 2 {
		add(k.Offset(4*pageSize*i), func(r int) Mem { return q.at(r).Offset(4 * i) })
		ahead(2)
	}
	advance(k, 8*pageSize)
	q.advance(8)
	DECQ(n)
	JNZ(LabelRef("score"))
	for r := range acc {
		for i := range 2 {
			VMOVUPS(acc[r][i], p.Offset(4*(pageSize*r+16*i)))
		}
	}

	// Softmax weights in place of the scores, row by row, rounded to bfloat16. Those past a row's count become 0.
	count, m, e := ptr("count"), ptr("m"), newExp32()
	scores, weights, i, least := Mem{Base: GP64()}, Mem{Base: GP64()}, GP64(), GP32()
	infinity, odd := splatF(math.Inf(-1)), splat(0xffff0000)
	LEAQ(p, scores.Base)
	MOVQ(scores.Base, weights.Base)
	XORQ(i, i)
	MOVL(U32(pageSize), least)
	Label("softmax")
	seen, bits := GP32(), GP32()
	MOVL(count.Idx(i, 4), seen)
	CMPL(seen, least)
	CMOVLLT(seen, least)
	MOVL(U32(math.MaxUint32), bits)
	BZHIL(seen, bits, bits)
	valid := [2]OpmaskVirtual{K(), K()}
	KMOVW(bits, valid[0])
	SHRL(U8(16), bits)
	KMOVW(bits, valid[1])
	s, t, top := [2]VecVirtual{}, [2]VecVirtual{ZMM(), ZMM()}, ZMM()
	for h := range s {
		s[h] = load(scores.Offset(64 * h))
		VMOVAPS(infinity, t[h])
		VMOVAPS(s[h], valid[h], t[h])
	}
	VMAXPS(t[1], t[0], top)
	fold(top, func(x, y VecVirtual) { VMAXPS(x, y, y) })
	VMAXPS_BCST(m.Idx(i, 4), top, top)
	VMOVSS(top.AsX(), newMax.Idx(i, 4))
	for h := range s {
		VSUBPS(top, s[h], s[h])
		e.apply(s[h])
		VMOVAPS_Z(s[h], valid[h], t[h])
	}
	vcvtne2ps2bf16(t[0], t[1], t[0])
	VMOVUPS(t[0], weights)
	VPANDD(odd, t[0], t[1])
	VPSLLD(U8(16), t[0], t[0])
	VADDPS(t[1], t[0], t[0])
	fold(t[0], func(x, y VecVirtual) { VADDPS(x, y, y) })
	VMOVSS(t[0].AsX(), sum.Idx(i, 4))
	advance(scores, 4*pageSize)
	advance(weights, 2*pageSize)
	INCQ(i)
	CMPQ(i, U8(rows))
	JLT(LabelRef("softmax"))

	// The rows' old maxima and sums, rows as lanes.
	l, mask := ptr("l"), kmask(1<<rows-1)
	old, x := ZMM(), ZMM()
	VMOVUPS_Z(m, mask, old)
	VMOVUPS_Z(newMax, mask, top)
	VMOVUPS(top, mask, m)
	VSUBPS(top, old, old)
	e.apply(old)
	VMOVUPS(old, c)
	VMOVUPS_Z(l, mask, x)
	VMOVUPS_Z(sum, mask, top)
	VFMADD213PS(top, old, x)
	VMOVUPS(x, mask, l)

	// Weighted values, 32 of head_dim at a time; the last 16 alone if head_dim is an odd multiple.
	v, left, step, second := ptr("v"), arg("headDim"), GP64(), kmask(0xffff)
	o := rowPointers(rows, ptr("o"), left)
	MOVQ(left, step)
	SHLQ(U8(2), step) // bytes from a pair of keys' values to the next
	SHRL(U8(1), least)
	Label("values")
	CMPQ(left, U8(32))
	JGE(LabelRef("whole"))
	KXORW(second, second, second)
	Label("whole")
	for r := range acc {
		VBROADCASTSS(c.Offset(4*r), x)
		VMULPS(o.at(r), x, acc[r][0])
		VMOVUPS_Z(o.at(r).Offset(64), second, acc[r][1])
		VMULPS(x, acc[r][1], acc[r][1])
	}
	from, pair := Mem{Base: GP64()}, GP64()
	MOVQ(v.Base, from.Base)
	XORQ(pair, pair)
	TESTL(least, least)
	JZ(LabelRef("rest"))
	Label("pair")
	{
		x := [2]VecVirtual{load(from), ZMM()}
		VMOVDQU32_Z(from.Offset(64), second, x[1])
		for r := range acc {
			for i := range 2 {
				vdpbf16psBcst(p.Offset(2*pageSize*r).Idx(pair, 4), x[i], acc[r][i])
			}
		}
	}
	ahead(2)
	ADDQ(step, from.Base)
	INCQ(pair)
	CMPL(pair.As32(), least)
	JLT(LabelRef("pair"))
	Label("rest")
	// What rows see beyond the pairs that all of them see. The second key of a row's last pair may be one that it does not see: its weight is 0, and what is there may not
	// be a number.
	for r := range acc {
		at, i, seen := Mem{Base: GP64()}, GP64(), GP32()
		MOVQ(from.Base, at.Base)
		MOVQ(pair, i)
		next, more, both := fmt.Sprintf("next%d", r), fmt.Sprintf("more%d", r), fmt.Sprintf("both%d", r)
		Label(more)
		MOVL(count.Offset(4*r), seen)
		SUBL(i.As32(), seen)
		SUBL(i.As32(), seen)
		JLE(LabelRef(next))
		x := [2]VecVirtual{load(at), ZMM()}
		VMOVDQU32_Z(at.Offset(64), second, x[1])
		CMPL(seen, U8(1))
		JNE(LabelRef(both))
		for h := range 2 {
			VPANDND(x[h], odd, x[h])
		}
		Label(both)
		for h := range 2 {
			vdpbf16psBcst(p.Offset(2*pageSize*r).Idx(i, 4), x[h], acc[r][h])
		}
		ADDQ(step, at.Base)
		INCQ(i)
		JMP(LabelRef(more))
		Label(next)
	}
	for r := range acc {
		VMOVUPS(acc[r][0], o.at(r))
		VMOVUPS(acc[r][1], second, o.at(r).Offset(64))
	}
	advance(v, 128)
	o.advance(128)
	SUBQ(U8(32), left)
	JG(LabelRef("values"))
	VZEROUPPER()
	RET()
}

// merge emits the weighted sum of two segments' outputs.
func merge() {
	TEXT("avx512Merge", NOSPLIT, "func(n int, a, b float32, o, total *float32)")
	Doc("avx512Merge is leaf.merge.")
	Pragma("noescape")
	n, o, total := arg("n"), ptr("o"), ptr("total")
	a, b := ZMM(), ZMM()
	VBROADCASTSS(NewParamAddr("a", 8), a)
	VBROADCASTSS(NewParamAddr("b", 12), b)
	Label("loop")
	y := ZMM()
	VMULPS(total, a, y)
	VFMADD231PS(o, b, y)
	VMOVUPS(y, total)
	advance(o, 64)
	advance(total, 64)
	SUBQ(U8(16), n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
