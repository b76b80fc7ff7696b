package avx512

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const pageSize = 32 // kernels.PageSize

// attend emits one page of attention for so many query rows, which share each conversion of keys and values from float16.
// Scores and weighted values have the same inner loop: two registers of a page times a broadcast number per row.
func attend(rows int) {
	TEXT(fmt.Sprintf("avx512Attend%d", rows), 0, "func(headDim int, q *float32, k, v *uint16, count *int32, m, l, o *float32)")
	Doc(fmt.Sprintf("avx512Attend%d runs a page for %d rows, each with a count above 0: see attendArgs.", rows, rows))
	Pragma("noescape")
	p := AllocLocal(4 * pageSize * rows) // [rows][pageSize]
	newMax, sum, c := AllocLocal(64), AllocLocal(64), AllocLocal(64)

	acc := make([][2]VecVirtual, rows)
	for r := range acc {
		acc[r] = [2]VecVirtual{ZMM(), ZMM()}
	}

	// Scores, keys as lanes.
	for r := range acc {
		for i := range 2 {
			VXORPS(acc[r][i], acc[r][i], acc[r][i])
		}
	}
	n, k := arg("headDim"), ptr("k")
	q := rowPointers(rows, ptr("q"), n)
	Label("score")
	keys := halves(k, nil)
	for r := range acc {
		for i := range 2 {
			VFMADD231PS_BCST(q.at(r), keys[i], acc[r][i])
		}
	}
	advance(k, 2*pageSize)
	q.advance(4)
	DECQ(n)
	JNZ(LabelRef("score"))

	// Softmax weights. Rows may see different numbers of keys; those past a row's count become 0.
	count, e := ptr("count"), newExp32()
	m, least := ptr("m"), GP32()
	for r := range acc {
		seen, bits, all := GP32(), GP32(), GP32()
		MOVL(count.Offset(4*r), seen)
		if r == 0 {
			MOVL(seen, least)
		} else {
			CMPL(seen, least)
			CMOVLLT(seen, least)
		}
		MOVL(U32(math.MaxUint32), all)
		BZHIL(seen, all, bits)
		mask := [2]OpmaskVirtual{K(), K()}
		KMOVW(bits, mask[0])
		SHRL(U8(16), bits)
		KMOVW(bits, mask[1])
		s, t := acc[r], [2]VecVirtual{}
		for i := range 2 {
			t[i] = splatF(math.Inf(-1))
			VMOVAPS(s[i], mask[i], t[i])
		}
		top := ZMM()
		VMAXPS(t[1], t[0], top)
		fold(top, func(x, y VecVirtual) { VMAXPS(x, y, y) })
		VMAXPS_BCST(m.Offset(4*r), top, top)
		VMOVSS(top.AsX(), newMax.Offset(4*r))
		for i := range 2 {
			VSUBPS(top, s[i], s[i])
			e.apply(s[i])
			VMOVAPS_Z(s[i], mask[i], t[i])
			VMOVUPS(t[i], p.Offset(4*(pageSize*r+16*i)))
		}
		VADDPS(t[1], t[0], t[0])
		fold(t[0], func(x, y VecVirtual) { VADDPS(x, y, y) })
		VMOVSS(t[0].AsX(), sum.Offset(4*r))
	}

	// The rows' old maxima and sums, rows as lanes.
	l, mask := ptr("l"), kmask(1<<rows-1)
	old, top, x := ZMM(), ZMM(), ZMM()
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
	v, left, step := ptr("v"), arg("headDim"), GP64()
	o := rowPointers(rows, ptr("o"), left)
	LEAQ(Mem{Base: left, Index: left, Scale: 1}, step) // bytes from a key's values to the next
	second := kmask(0xffff)
	Label("values")
	CMPQ(left, U8(32))
	JGE(LabelRef("whole"))
	KXORW(second, second, second)
	Label("whole")
	for r := range acc {
		VMULPS_BCST(c.Offset(4*r), load(o.at(r)), acc[r][0])
		VMOVUPS_Z(o.at(r).Offset(64), second, acc[r][1])
		VMULPS_BCST(c.Offset(4*r), acc[r][1], acc[r][1])
	}
	from, key := Mem{Base: GP64()}, GP64()
	MOVQ(v.Base, from.Base)
	XORQ(key, key)
	Label("key")
	vals := halves(from, second)
	for r := range acc {
		for i := range 2 {
			VFMADD231PS_BCST(p.Offset(4*pageSize*r).Idx(key, 4), vals[i], acc[r][i])
		}
	}
	ADDQ(step, from.Base)
	INCQ(key)
	CMPL(key.As32(), least)
	JLT(LabelRef("key"))
	if rows > 1 {
		// Rows that see more keys than the least.
		for r := range acc {
			at, i := Mem{Base: GP64()}, GP64()
			MOVQ(from.Base, at.Base)
			MOVQ(key, i)
			next, more := fmt.Sprintf("next%d", r), fmt.Sprintf("more%d", r)
			Label(more)
			CMPL(i.As32(), count.Offset(4*r))
			JGE(LabelRef(next))
			vals := halves(at, second)
			for h := range 2 {
				VFMADD231PS_BCST(p.Offset(4*pageSize*r).Idx(i, 4), vals[h], acc[r][h])
			}
			ADDQ(step, at.Base)
			INCQ(i)
			JMP(LabelRef(more))
			Label(next)
		}
	}
	for r := range acc {
		VMOVUPS(acc[r][0], o.at(r))
		VMOVUPS(acc[r][1], second, o.at(r).Offset(64))
	}
	advance(v, 64)
	o.advance(128)
	SUBQ(U8(32), left)
	JG(LabelRef("values"))
	VZEROUPPER()
	RET()
}

// halves converts 32 float16; the second 16 under a mask if there is one.
func halves(m Mem, second Op) [2]VecVirtual {
	x := [2]VecVirtual{ZMM(), ZMM()}
	VCVTPH2PS(m, x[0])
	if second == nil {
		VCVTPH2PS(m.Offset(32), x[1])
	} else {
		VCVTPH2PS_Z(m.Offset(32), second, x[1])
	}
	return x
}

// fold combines the 16 elements of x by halves: 8, 4, 2, 1. Every element holds the result.
func fold(x VecVirtual, op func(x, y VecVirtual)) {
	for _, order := range []uint8{0x4e, 0xb1} {
		y := ZMM()
		VSHUFF32X4(U8(order), x, x, y)
		op(y, x)
	}
	for _, order := range []uint8{0x4e, 0xb1} {
		y := ZMM()
		VPERMILPS(U8(order), x, y)
		op(y, x)
	}
}

// strided addresses up to 8 rows of float32 through 2 pointers and the stride's multiples.
type strided struct {
	base            []GPVirtual
	stride, stride3 GPVirtual
}

// rowPointers addresses rows of n floats from first on.
func rowPointers(rows int, first Mem, n GPVirtual) strided {
	s := strided{base: []GPVirtual{first.Base.(GPVirtual)}}
	if rows > 1 {
		s.stride = GP64()
		MOVQ(n, s.stride)
		SHLQ(U8(2), s.stride)
	}
	if rows > 2 {
		s.stride3 = GP64()
		LEAQ(Mem{Base: s.stride, Index: s.stride, Scale: 2}, s.stride3)
	}
	if rows > 4 {
		next := GP64()
		LEAQ(Mem{Base: first.Base, Index: s.stride, Scale: 4}, next)
		s.base = append(s.base, next)
	}
	return s
}

func (s strided) at(r int) Mem {
	m := Mem{Base: s.base[r/4]}
	switch r % 4 {
	case 1:
		m.Index, m.Scale = s.stride, 1
	case 2:
		m.Index, m.Scale = s.stride, 2
	case 3:
		m.Index, m.Scale = s.stride3, 1
	}
	return m
}

func (s strided) advance(bytes int) {
	for _, b := range s.base {
		ADDQ(I32(bytes), b)
	}
}
