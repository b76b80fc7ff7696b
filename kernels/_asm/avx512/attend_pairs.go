package avx512

import (
	"fmt"
	"math"
	"slices"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// attendPairs emits one page of attention in pairs of bfloat16 for so many query rows: see attend, whose steps are these, and which says why the rows share what they do. While
// it runs, each line of the next page is asked for once: one token's heads take the lines as soon as they come. Rows that see the whole page, as most do of a long context, have
// a function of their own, in which the scores stay in registers.
func attendPairs(rows int, whole bool) {
	if whole {
		name := fmt.Sprintf("avx512AttendWhole_%d", rows)
		TEXT(name, 0, "func(headDim int, q, k, v *uint32, next *byte, m, l, o *float32)")
		Doc(fmt.Sprintf("%s runs a page for %d rows that see all of it: see bf16Leaf.attend.", name, rows))
	} else {
		name := fmt.Sprintf("avx512AttendPairs_%d", rows)
		TEXT(name, 0, "func(headDim int, q, k, v *uint32, next *byte, count *int32, m, l, o *float32)")
		Doc(fmt.Sprintf("%s runs a page for %d rows, each with a count above 0: see bf16Leaf.attend.", name, rows))
	}
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
	count, e, least := Mem{}, newExp32(), GPVirtual(nil)
	m, l, mask := ptr("m"), ptr("l"), kmask(1<<rows-1)
	old, x, top := ZMM(), ZMM(), ZMM()
	if whole {
		// Rows as lanes where there is one number of each.
		each := make([]VecVirtual, rows)
		for r := range acc {
			each[r] = ZMM()
			VMAXPS(acc[r][1], acc[r][0], each[r])
		}
		top = foldRows(each, func(x, y VecVirtual) { VMAXPS(x, y, y) })
		VMOVUPS_Z(m, mask, old)
		VMAXPS(old, top, top)
		VMOVUPS(top, newMax)
		VMOVUPS(top, mask, m)
		VSUBPS(top, old, old)
		e.apply(old)
		VMOVUPS(old, c)
		for r := range acc {
			for h := range 2 {
				VSUBPS_BCST(newMax.Offset(4*r), acc[r][h], acc[r][h])
				e.negative(acc[r][h])
			}
			each[r] = weigh(acc[r], p.Offset(2*pageSize*r))
		}
		top = foldRows(each, func(x, y VecVirtual) { VADDPS(x, y, y) })
		VMOVUPS_Z(l, mask, x)
	} else {
		for r := range acc {
			for i := range 2 {
				VMOVUPS(acc[r][i], p.Offset(4*(pageSize*r+16*i)))
			}
		}
		count, least = ptr("count"), GP32()
		softmax(rows, e, count, m, p, newMax, sum, least)
		VMOVUPS_Z(m, mask, old)
		VMOVUPS_Z(newMax, mask, top)
		VMOVUPS(top, mask, m)
		VSUBPS(top, old, old)
		e.apply(old)
		VMOVUPS(old, c)
		VMOVUPS_Z(l, mask, x)
		VMOVUPS_Z(sum, mask, top)
		SHRL(U8(1), least)
	}
	VFMADD213PS(top, old, x)
	VMOVUPS(x, mask, l)

	// Weighted values, 32 of head_dim at a time; the last 16 alone if head_dim is an odd multiple.
	v, left, step, second := ptr("v"), arg("headDim"), GP64(), kmask(0xffff)
	o := rowPointers(rows, ptr("o"), left)
	MOVQ(left, step)
	SHLQ(U8(2), step) // bytes from a pair of keys' values to the next
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
	if !whole {
		TESTL(least, least)
		JZ(LabelRef("rest"))
	}
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
	if whole {
		CMPQ(pair, U8(pageSize/2))
		JLT(LabelRef("pair"))
	} else {
		CMPL(pair.As32(), least)
		JLT(LabelRef("pair"))
		Label("rest")
		valuesLeft(acc, count, p, from, step, pair, splat(0xffff0000), second)
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

// softmax emits the weights of each row's scores, in place of these: [rows][pageSize] floats become [rows][pageSize/2] pairs, 0 past the row's count. It leaves the rows' new maxima
// and sums in memory, and their least count in a register.
func softmax(rows int, e exp32, count, m, p, newMax, sum Mem, least GPVirtual) {
	scores, weights, i, infinity := Mem{Base: GP64()}, Mem{Base: GP64()}, GP64(), splatF(math.Inf(-1))
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
		e.negative(s[h])
		VMOVAPS_Z(s[h], valid[h], t[h])
	}
	t[0] = weigh(t, weights)
	fold(t[0], func(x, y VecVirtual) { VADDPS(x, y, y) })
	VMOVSS(t[0].AsX(), sum.Idx(i, 4))
	advance(scores, 4*pageSize)
	advance(weights, 2*pageSize)
	INCQ(i)
	CMPQ(i, U8(rows))
	JLT(LabelRef("softmax"))
}

// weigh rounds a row's 32 weights to bfloat16, stores them, and adds the first half of them to the second.
func weigh(w [2]VecVirtual, to Mem) VecVirtual {
	x := ZMM()
	vcvtne2ps2bf16(w[0], w[1], x)
	VMOVUPS(x, to)
	VADDPS(w[1], w[0], x)
	return x
}

// foldRows is fold of up to 8 registers: element r of the result is that of x[r]. Two registers whose halves were folded fit into one, and go on together.
func foldRows(x []VecVirtual, op func(x, y VecVirtual)) VecVirtual {
	rows := len(x)
	label := make([][16]int, rows) // whose element it is
	for r := range label {
		for i := range label[r] {
			label[r][i] = r
		}
	}
	// low and high give the elements of two registers, numbered 0 to 15 and 16 to 31, that are folded.
	steps := []struct {
		merge func(a, b, low, high VecVirtual)
		low   func(i int) int
		swap  func(x, y VecVirtual)
	}{
		{func(a, b, low, high VecVirtual) { VSHUFF32X4(U8(0x44), b, a, low); VSHUFF32X4(U8(0xee), b, a, high) },
			func(i int) int { return i/8*16 + i%8 }, func(x, y VecVirtual) { VSHUFF32X4(U8(0x4e), x, x, y) }},
		{func(a, b, low, high VecVirtual) { VSHUFF32X4(U8(0x88), b, a, low); VSHUFF32X4(U8(0xdd), b, a, high) },
			func(i int) int { return i/8*16 + i%8/4*8 + i%4 }, func(x, y VecVirtual) { VSHUFF32X4(U8(0xb1), x, x, y) }},
		{func(a, b, low, high VecVirtual) { VUNPCKLPD(b, a, low); VUNPCKHPD(b, a, high) },
			func(i int) int { return i%4/2*16 + i/4*4 + i%2 }, func(x, y VecVirtual) { VPERMILPS(U8(0x4e), x, y) }},
		{nil, nil, func(x, y VecVirtual) { VPERMILPS(U8(0xb1), x, y) }},
	}
	for _, s := range steps {
		if len(x) == 1 {
			y := ZMM()
			s.swap(x[0], y)
			op(y, x[0])
			continue
		}
		for i := range len(x) / 2 {
			low, high := ZMM(), ZMM()
			s.merge(x[2*i], x[2*i+1], low, high)
			op(high, low)
			var l [16]int
			for j := range l {
				from := s.low(j)
				l[j] = label[2*i+from/16][from%16]
			}
			x[i], label[i] = low, l
		}
		x = x[:len(x)/2]
	}
	y := ZMM()
	order := vector(fmt.Sprintf("fold_%d", rows), 16, func(i int) uint32 {
		return uint32(max(0, slices.Index(label[0][:], i)))
	})
	VMOVDQU32(order, y)
	VPERMPS(x[0], y, y)
	return y
}

// valuesLeft emits the values of what rows see beyond the pairs that all of them see. The second key of a row's last pair may be one that it does not see: its weight is 0, and
// what is there may not be a number.
func valuesLeft(acc [][2]VecVirtual, count, p, from Mem, step, pair GPVirtual, odd VecVirtual, second OpmaskVirtual) {
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
}
