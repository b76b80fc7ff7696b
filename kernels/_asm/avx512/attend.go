package avx512

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const pageSize = 32 // kernels.PageSize

// kvFormat is how a page holds its keys and values.
type kvFormat struct {
	name   string
	size   int  // bytes of an element
	scaled bool // int8, with a scale per 32 dimensions of a key or value
}

var kvFormats = []kvFormat{{"", 2, false}, {"Q8", 1, true}}

// attendRows are the numbers of query rows that share each conversion of keys and values. With 12 no time was left to gain.
var attendRows = []int{8, 4, 2, 1}

// attend emits one page of attention for so many query rows. Scores and weighted values have the same inner loop: two registers of a
// page times a number per row. That is a broadcast operand of both products: loading it once for the two took 9% longer on Zen 4.
func attend(f kvFormat, rows int) {
	signature := "func(headDim int, q *float32, k, v *uint16, count *int32, m, l, o *float32)"
	if f.scaled {
		signature = "func(headDim int, q *float32, k, v *int8, ks, vs *uint16, count *int32, m, l, o *float32)"
	}
	name := fmt.Sprintf("avx512Attend%s_%d", f.name, rows)
	TEXT(name, 0, signature)
	Doc(fmt.Sprintf("%s runs a page for %d rows, each with a count above 0: see attendArgs.", name, rows))
	Pragma("noescape")
	p := AllocLocal(4 * pageSize * rows) // [rows][pageSize]
	newMax, sum, c, scales := AllocLocal(64), AllocLocal(64), AllocLocal(64), Mem{}
	if f.scaled {
		scales = AllocLocal(4 * pageSize)
	}

	acc := make([][2]VecVirtual, rows)
	for r := range acc {
		acc[r] = [2]VecVirtual{ZMM(), ZMM()}
	}
	// add multiplies by the numbers at from(r).
	add := func(x [2]VecVirtual, from func(r int) Mem) {
		for r := range acc {
			for i := range 2 {
				VFMADD231PS_BCST(from(r), x[i], acc[r][i])
			}
		}
	}

	// Scores, keys as lanes.
	for r := range acc {
		for i := range 2 {
			VXORPS(acc[r][i], acc[r][i], acc[r][i])
		}
	}
	n, k := arg("headDim"), ptr("k")
	q := rowPointers(rows, ptr("q"), n)
	if f.scaled {
		blocks, ks := n, ptr("ks")
		SHRQ(U8(5), blocks)
		Label("block")
		s := halves(ks, nil)
		advance(ks, 2*pageSize)
		n = GP64()
		MOVQ(U32(32), n)
		Label("score")
		keys := int8s(k)
		for i := range 2 {
			VMULPS(s[i], keys[i], keys[i])
		}
		add(keys, q.at)
		advance(k, pageSize)
		q.advance(4)
		DECQ(n)
		JNZ(LabelRef("score"))
		DECQ(blocks)
		JNZ(LabelRef("block"))
	} else {
		Label("score")
		add(halves(k, nil), q.at)
		advance(k, 2*pageSize)
		q.advance(4)
		DECQ(n)
		JNZ(LabelRef("score"))
	}
	for r := range acc {
		for i := range 2 {
			VMOVUPS(acc[r][i], p.Offset(4*(pageSize*r+16*i)))
		}
	}

	// Softmax weights in place of the scores, row by row. Those past a row's count become 0.
	count, m, e := ptr("count"), ptr("m"), newExp32()
	scores, i, least := Mem{Base: GP64()}, GP64(), GP32()
	infinity := splatF(math.Inf(-1))
	LEAQ(p, scores.Base)
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
		VMOVUPS(t[h], scores.Offset(64*h))
	}
	VADDPS(t[1], t[0], t[0])
	fold(t[0], func(x, y VecVirtual) { VADDPS(x, y, y) })
	VMOVSS(t[0].AsX(), sum.Idx(i, 4))
	advance(scores, 4*pageSize)
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
	v, left, step := ptr("v"), arg("headDim"), GP64()
	o := rowPointers(rows, ptr("o"), left)
	LEAQ(Mem{Base: left, Index: left, Scale: 1}, step) // bytes from a key's values to the next
	second := Op(nil)
	if f.scaled {
		MOVQ(left, step)
	} else {
		second = kmask(0xffff)
	}
	Label("values")
	if f.scaled {
		vs := ptr("vs") // of these 32 dimensions
		for i, x := range halves(vs, nil) {
			VMOVUPS(x, scales.Offset(64*i))
		}
		advance(vs, 2*pageSize)
		Store(vs.Base, Param("vs"))
	} else {
		CMPQ(left, U8(32))
		JGE(LabelRef("whole"))
		KXORW(second, second, second)
		Label("whole")
	}
	for r := range acc {
		VBROADCASTSS(c.Offset(4*r), x)
		VMULPS(o.at(r), x, acc[r][0])
		if f.scaled {
			VMULPS(o.at(r).Offset(64), x, acc[r][1])
		} else {
			VMOVUPS_Z(o.at(r).Offset(64), second, acc[r][1])
			VMULPS(x, acc[r][1], acc[r][1])
		}
	}
	from, key := Mem{Base: GP64()}, GP64()
	MOVQ(v.Base, from.Base)
	XORQ(key, key)
	values := func(from Mem, key GPVirtual) [2]VecVirtual {
		if !f.scaled {
			return halves(from, second)
		}
		x, s := int8s(from), ZMM()
		VBROADCASTSS(scales.Idx(key, 4), s)
		for i := range 2 {
			VMULPS(s, x[i], x[i])
		}
		return x
	}
	Label("key")
	add(values(from, key), func(r int) Mem { return p.Offset(4*pageSize*r).Idx(key, 4) })
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
			x := values(at, i)
			for h := range 2 {
				VFMADD231PS_BCST(p.Offset(4*pageSize*r).Idx(i, 4), x[h], acc[r][h])
			}
			ADDQ(step, at.Base)
			INCQ(i)
			JMP(LabelRef(more))
			Label(next)
		}
	}
	for r := range acc {
		VMOVUPS(acc[r][0], o.at(r))
		if f.scaled {
			VMOVUPS(acc[r][1], o.at(r).Offset(64))
		} else {
			VMOVUPS(acc[r][1], second, o.at(r).Offset(64))
		}
	}
	advance(v, 32*f.size)
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

// int8s converts 32 int8.
func int8s(m Mem) [2]VecVirtual {
	x := [2]VecVirtual{ZMM(), ZMM()}
	for i := range x {
		VPMOVSXBD(m.Offset(16*i), x[i])
		VCVTDQ2PS(x[i], x[i])
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
	for r := 4; r < rows; r += 4 {
		next := GP64()
		LEAQ(Mem{Base: s.base[r/4-1], Index: s.stride, Scale: 4}, next)
		s.base = append(s.base, next)
	}
	return s
}
