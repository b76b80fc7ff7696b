package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// exp32 emits exp32 of leaf_generic.go on x, in place.
func exp32(x ymm) {
	c := func(i int) Mem { return avx2Consts.exp[i] }
	n, y, r2 := YMM(), YMM(), YMM()
	for i := range 2 { // x is the second operand, so that NaN passes
		VMOVUPS(c(i), y)
		if i == 0 {
			VMINPS(x, y, x)
		} else {
			VMAXPS(x, y, x)
		}
	}
	VMULPS(c(2), x, n)
	VROUNDPS(Imm(0), n, n)
	VFMADD231PS(c(3), n, x)
	VFMADD231PS(c(4), n, x)
	VMOVUPS(c(5), y)
	for i := 6; i <= 10; i++ {
		VFMADD213PS(c(i), x, y)
	}
	VMULPS(x, x, r2)
	VFMADD213PS(x, r2, y)
	VADDPS(c(11), y, y)
	VCVTPS2DQ(n, n)
	VPADDD(c(12), n, n)
	VPSLLD(Imm(23), n, n)
	VMULPS(n, y, x)
}

// expConstants in the order that exp32 uses them; the last is an integer.
var expConstants = []uint32{
	math.Float32bits(88.3), math.Float32bits(-87.3), math.Float32bits(1.44269504),
	math.Float32bits(-0.693359375), math.Float32bits(2.12194440e-4),
	math.Float32bits(1.9875691500e-4), math.Float32bits(1.3981999507e-3), math.Float32bits(8.3334519073e-3),
	math.Float32bits(4.1665795894e-2), math.Float32bits(1.6666665459e-1), math.Float32bits(5.0000001201e-1),
	math.Float32bits(1), 127,
}

// kvFormats are how a page holds its keys and values: float16, or int8 with a float16 scale per 32 dimensions of a key or value.
var kvFormats = []struct {
	name   string
	size   int // bytes of an element
	scaled bool
}{{"", 2, false}, {"Q8", 1, true}}

// int8s converts 16 int8.
func int8s(m Mem) [2]ymm {
	var x [2]ymm
	for i := range x {
		x[i] = YMM()
		VPMOVSXBD(m.Offset(8*i), x[i])
		VCVTDQ2PS(x[i], x[i])
	}
	return x
}

// halves converts 16 float16.
func halves(m Mem) [2]ymm {
	x := [2]ymm{YMM(), YMM()}
	for i := range x {
		VCVTPH2PS(m.Offset(16*i), x[i])
	}
	return x
}

// attend emits one page against rows that all see the same number of keys: up to 4 of them share the conversions of K and V.
func attend(name string, size int, scaled bool, rows int) {
	signature := "func(headDim int, q *float32, k, v *uint16, count int, m, l, o *float32)"
	if scaled {
		signature = "func(headDim int, q *float32, k, v *int8, ks, vs *uint16, count int, m, l, o *float32)"
	}
	name = fmt.Sprintf("avx2Attend%s_%d", name, rows)
	TEXT(name, 0, signature)
	Doc(fmt.Sprintf("%s runs a page for %d rows that see the same keys.", name, rows))
	Pragma("noescape")
	hd := Load(Param("headDim"), GP64())
	hd4 := GP64()
	MOVQ(hd, hd4)
	SHLQ(Imm(2), hd4)
	p := aligned(rows*128 + 32*rows + 128) // scores, then probabilities; the rescaling of o; scales of V
	rescale, scales := p.Offset(rows*128), p.Offset(rows*160)

	// Scores, 16 keys at a time.
	for h := range 2 {
		q, k, n := GP64(), Mem{Base: Load(Param("k"), GP64())}, GP64()
		qs := strides(Load(Param("q"), q), hd4, rows)
		MOVQ(hd, n)
		var s [4][2]ymm
		for r := range rows {
			for i := range 2 {
				s[r][i] = YMM()
				VXORPS(s[r][i], s[r][i], s[r][i])
			}
		}
		label := fmt.Sprintf("scores%d", h)
		var ks Mem
		var scale [2]ymm
		if scaled {
			ks = Mem{Base: Load(Param("ks"), GP64())}
			Label(fmt.Sprintf("block%d", h))
			scale = halves(ks.Offset(32 * h))
		}
		Label(label)
		var keys [2]ymm
		if scaled {
			keys = int8s(k.Offset(16 * h))
			for i := range keys {
				VMULPS(scale[i], keys[i], keys[i])
			}
		} else {
			keys = halves(k.Offset(32 * h))
		}
		for r := range rows {
			x := YMM()
			VBROADCASTSS(qs(r), x)
			VFMADD231PS(keys[0], x, s[r][0])
			VFMADD231PS(keys[1], x, s[r][1])
		}
		ADDQ(U8(32*size), k.Base)
		ADDQ(U8(4), q)
		DECQ(n)
		if scaled {
			TESTQ(U32(31), n)
			JNZ(LabelRef(label))
			ADDQ(U8(64), ks.Base)
			TESTQ(n, n)
			JNZ(LabelRef(fmt.Sprintf("block%d", h)))
		} else {
			JNZ(LabelRef(label))
		}
		for r := range rows {
			for i := range 2 {
				VMOVAPS(s[r][i], p.Offset(128*r+64*h+32*i))
			}
		}
	}

	// Softmax over the page, and the running maximum and sum.
	table, count := GP64(), Load(Param("count"), GP64())
	LEAQ(avx2Consts.mask, table) // 32 dwords of ones, 32 of zeros
	shift := GP64()
	MOVQ(count, shift)
	NEGQ(shift)
	m, l := Mem{Base: Load(Param("m"), GP64())}, Mem{Base: Load(Param("l"), GP64())}
	for r := range rows {
		var s, mask [4]ymm
		top, t, old := YMM(), YMM(), YMM()
		for i := range s {
			s[i], mask[i] = YMM(), YMM()
			VMOVUPS(Mem{Base: table, Index: shift, Scale: 4, Disp: 128 + 32*i}, mask[i])
			VMOVAPS(p.Offset(128*r+32*i), s[i])
			// Lanes past count take the lowest value for the maximum.
			if i == 0 {
				VMOVUPS(avx2Consts.lowest, top)
				VBLENDVPS(mask[i], s[i], top, top)
			} else {
				VMOVUPS(avx2Consts.lowest, t)
				VBLENDVPS(mask[i], s[i], t, t)
				VMAXPS(t, top, top)
			}
		}
		t = YMM()
		VPERM2F128(Imm(1), top, top, t)
		VMAXPS(t, top, top)
		VPERMILPS(Imm(0x4e), top, t)
		VMAXPS(t, top, top)
		VPERMILPS(Imm(0xb1), top, t)
		VMAXPS(t, top, top)
		VBROADCASTSS(m.Offset(4*r), old)
		VMAXPS(old, top, top)
		VMOVSS(top.AsX(), m.Offset(4*r))
		VSUBPS(top, old, old)
		for i := range s {
			VSUBPS(top, s[i], s[i])
			exp32(s[i])
			VANDPS(mask[i], s[i], s[i])
			VMOVAPS(s[i], p.Offset(128*r+32*i))
		}
		exp32(old)
		VMOVAPS(old, rescale.Offset(32*r))
		VADDPS(s[2], s[0], s[0])
		VADDPS(s[3], s[1], s[1])
		VADDPS(s[1], s[0], s[0])
		u := XMM()
		VEXTRACTF128(Imm(1), s[0], u)
		VADDPS(u, s[0].AsX(), u)
		w := XMM()
		VPERMILPS(Imm(0x4e), u, w)
		VADDPS(w, u, u)
		VPERMILPS(Imm(0xb1), u, w)
		VADDPS(w, u, u)
		VFMADD231SS(l.Offset(4*r), old.AsX(), u)
		VMOVSS(u, l.Offset(4*r))
	}

	// o, 16 dimensions at a time.
	o, v, left := GP64(), Load(Param("v"), GP64()), hd
	os := strides(Load(Param("o"), o), hd4, rows)
	vstep := GP64() // bytes from a key's values to the next
	if scaled {
		MOVQ(hd, vstep)
	} else {
		LEAQ(Mem{Base: hd, Index: hd, Scale: 1}, vstep)
	}
	Label("dims")
	if scaled {
		// These dimensions' scales: every other time the next.
		vs, i := Mem{Base: Load(Param("vs"), GP64())}, GP64()
		for i := range 2 {
			for j, x := range halves(vs.Offset(32 * i)) {
				VMOVAPS(x, scales.Offset(64*i+32*j))
			}
		}
		MOVQ(left, i)
		SUBQ(vstep, i)
		ANDQ(U8(16), i)
		LEAQ(Mem{Base: vs.Base, Index: i, Scale: 4}, vs.Base)
		Store(vs.Base, Param("vs"))
	}
	var y [4][2]ymm
	for r := range rows {
		c := YMM()
		VMOVAPS(rescale.Offset(32*r), c)
		for i := range 2 {
			y[r][i] = YMM()
			VMULPS(os(r).Offset(32*i), c, y[r][i])
		}
	}
	vp, pp, n := GP64(), GP64(), GP64()
	MOVQ(v, vp)
	MOVQ(p.Base, pp)
	MOVQ(count, n)
	Label("keys")
	var vals [2]ymm
	if scaled {
		vals = int8s(Mem{Base: vp})
		x := YMM()
		VBROADCASTSS(Mem{Base: pp, Disp: rows * 160}, x)
		for i := range vals {
			VMULPS(x, vals[i], vals[i])
		}
	} else {
		vals = halves(Mem{Base: vp})
	}
	for r := range rows {
		x := YMM()
		VBROADCASTSS(Mem{Base: pp, Disp: 128 * r}, x)
		VFMADD231PS(vals[0], x, y[r][0])
		VFMADD231PS(vals[1], x, y[r][1])
	}
	ADDQ(U8(4), pp)
	ADDQ(vstep, vp)
	DECQ(n)
	JNZ(LabelRef("keys"))
	for r := range rows {
		for i := range 2 {
			VMOVUPS(y[r][i], os(r).Offset(32*i))
		}
	}
	ADDQ(U8(64), o)
	ADDQ(U8(16*size), v)
	SUBQ(U8(16), left)
	JNZ(LabelRef("dims"))
	VZEROUPPER()
	RET()
}

// strides addresses element 0 of rows that are stride bytes apart.
func strides(base reg.Register, stride reg.GPVirtual, rows int) func(r int) Mem {
	var stride3 reg.GPVirtual
	if rows > 3 {
		stride3 = GP64()
		LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, stride3)
	}
	return func(r int) Mem {
		switch r {
		case 0:
			return Mem{Base: base}
		case 3:
			return Mem{Base: base, Index: stride3, Scale: 1}
		}
		return Mem{Base: base, Index: stride, Scale: uint8(r)}
	}
}
