package avx512

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// quantize emits the int8 quantisation of activations. The maximum is taken of the bits without sign, so that a NaN is larger
// than everything and reaches the scale.
func quantize() {
	TEXT("avx512Quantize", NOSPLIT, "func(nb int, limit float32, x *float32, q *int8, scale, sum *float32, half *int32)")
	Doc("avx512Quantize turns blocks of 32 floats into int8: see leaf.quantize.")
	Pragma("noescape")
	nb, x, q, scale, sum, half := arg("nb"), ptr("x"), ptr("q"), ptr("scale"), ptr("sum"), ptr("half")
	abs, limit := splat(0x7fffffff), Load(Param("limit"), XMM())
	none := XMM()
	VXORPS(none, none, none)
	Label("block")
	v := []VecVirtual{load(x), load(x.Offset(64))}
	m, t := ZMM(), ZMM()
	VPANDD(abs, v[0], m)
	VPANDD(abs, v[1], t)
	VPMAXUD(t, m, m)
	for _, order := range []uint8{0x4e, 0xb1} {
		VSHUFI32X4(U8(order), m, m, t)
		VPMAXUD(t, m, m)
	}
	amax, u := XMM(), XMM()
	VMOVDQA32(m.AsX(), amax)
	for _, order := range []uint8{0x4e, 0xb1} {
		VPSHUFD(U8(order), amax, u)
		VPMAXUD(u, amax, amax)
	}
	d, inv, positive := XMM(), XMM(), K()
	VDIVPS(limit, amax, d)
	VCMPPS(U8(0x1e), none, amax, positive)
	VDIVPS_Z(amax, limit, positive, inv)
	factor := ZMM()
	VBROADCASTSS(inv, factor)
	packed, high := YMM(), XMM()
	for i := range v {
		VMULPS(factor, v[i], v[i])
		VCVTPS2DQ(v[i], v[i])
	}
	VPMOVDB(v[0], packed.AsX())
	VPMOVDB(v[1], high)
	VINSERTI32X4(U8(1), high, packed, packed)
	VMOVDQU32(packed, q)
	// The sums are of the int32, since those of an infinity do not fit in int8.
	s, r := ZMM(), ZMM()
	VSHUFI32X4(U8(0x44), v[1], v[0], s)
	VSHUFI32X4(U8(0xee), v[1], v[0], r)
	VPADDD(r, s, s)
	VSHUFI32X4(U8(0xb1), s, s, r)
	VPADDD(r, s, s)
	for _, order := range []uint8{0x4e, 0xb1} {
		VPSHUFD(U8(order), s, r)
		VPADDD(r, s, s)
	}
	VEXTRACTI32X4(U8(2), s, high)
	VMOVD(s.AsX(), half)
	VMOVD(high, half.Offset(4))
	VPADDD(s.AsX(), high, high)
	VCVTDQ2PS(high, high)
	VMULPS(d, high, high)
	VMOVSS(d, scale)
	VMOVSS(high, sum)
	advance(x, 128)
	advance(q, 32)
	advance(scale, 4)
	advance(sum, 4)
	advance(half, 8)
	DECQ(nb)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

func residue() {
	TEXT("avx512Residue", NOSPLIT, "func(nb int, x *float32, q *int8, scale, rest *float32)")
	Doc("avx512Residue computes what quantizing left over: see leaf.residue.")
	Pragma("noescape")
	nb, x, q, scale, rest := arg("nb"), ptr("x"), ptr("q"), ptr("scale"), ptr("rest")
	Label("block")
	d := ZMM()
	VBROADCASTSS(scale, d)
	for i := range 2 {
		v, f := load(x.Offset(64*i)), ZMM()
		VPMOVSXBD(q.Offset(16*i), f)
		VCVTDQ2PS(f, f)
		VMULPS(d, f, f)
		VSUBPS(f, v, v)
		VMOVUPS(v, rest.Offset(64*i))
	}
	advance(x, 128)
	advance(q, 32)
	advance(scale, 4)
	advance(rest, 128)
	DECQ(nb)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// elementwise emits the small loops over vectors.
func elementwise() {
	TEXT("avx512SumSquares", NOSPLIT, "func(n int, x *float32) float32")
	Doc("avx512SumSquares returns the sum of squares in 16 partial sums: see leaf.sumSquares.")
	Pragma("noescape")
	n, x := arg("n"), ptr("x")
	p := zero()
	Label("loop")
	for i := range 2 {
		v := load(x.Offset(64 * i))
		VFMADD231PS(v, v, p)
	}
	advance(x, 128)
	SUBQ(U8(32), n)
	JNZ(LabelRef("loop"))
	s := laneSum(p)
	Store(s, ReturnIndex(0))
	VZEROUPPER()
	RET()

	TEXT("avx512ScaleMul", NOSPLIT, "func(n int, r float32, x, w, y *float32)")
	Doc("avx512ScaleMul computes y = (x·r)·w.")
	Pragma("noescape")
	n, x = arg("n"), ptr("x")
	w, y := ptr("w"), ptr("y")
	r := ZMM()
	VBROADCASTSS(NewParamAddr("r", 8), r)
	Label("loop")
	for i := range 2 {
		v := ZMM()
		VMULPS(x.Offset(64*i), r, v)
		VMULPS(w.Offset(64*i), v, v)
		VMOVUPS(v, y.Offset(64*i))
	}
	advance(x, 128)
	advance(w, 128)
	advance(y, 128)
	SUBQ(U8(32), n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()

	TEXT("avx512Swiglu", NOSPLIT, "func(n int, gate, up *float32)")
	Doc("avx512Swiglu computes gate = gate/(1+exp32(-gate))·up.")
	Pragma("noescape")
	n = arg("n")
	g, u := ptr("gate"), ptr("up")
	e, one, sign := newExp32(), splatF(1), splat(1<<31)
	Label("loop")
	v, z := load(g), ZMM()
	VPXORD(sign, v, z)
	e.apply(z)
	VADDPS(one, z, z)
	VDIVPS(z, v, v)
	VMULPS(u, v, v)
	VMOVUPS(v, g)
	advance(g, 64)
	advance(u, 64)
	SUBQ(U8(16), n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()

	TEXT("avx512Rotate", NOSPLIT, "func(n int, r float32, x, cos, sin *float32)")
	Doc("avx512Rotate turns pairs: see leaf.rotate.")
	Pragma("noescape")
	n, x = arg("n"), ptr("x")
	cos, sin := ptr("cos"), ptr("sin")
	r = ZMM()
	VBROADCASTSS(NewParamAddr("r", 8), r)
	Label("loop")
	v, z = load(x), ZMM()
	VPERMILPS(U8(0xb1), v, z)
	VMULPS(cos, v, v)
	VMULPS(sin, z, z)
	VADDPS(z, v, v)
	VMULPS(r, v, v)
	VMOVUPS(v, x)
	advance(x, 64)
	advance(cos, 64)
	advance(sin, 64)
	SUBQ(U8(16), n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()

	TEXT("avx512Add", NOSPLIT, "func(n int, x, y *float32)")
	Doc("avx512Add computes y += x.")
	Pragma("noescape")
	n, x, y = arg("n"), ptr("x"), ptr("y")
	Label("loop")
	v = load(y)
	VADDPS(x, v, v)
	VMOVUPS(v, y)
	advance(x, 64)
	advance(y, 64)
	SUBQ(U8(16), n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

func toF16() {
	TEXT("avx512ToF16", NOSPLIT, "func(n int, x *float32, y *uint16)")
	Doc("avx512ToF16 rounds to float16, nearest even.")
	Pragma("noescape")
	n, x, y := arg("n"), ptr("x"), ptr("y")
	Label("loop")
	VCVTPS2PH(U8(0), load(x), y)
	advance(x, 64)
	advance(y, 32)
	SUBQ(U8(16), n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// widenF16 and widenBF16 load 16 values.
func widenF16(m Mem) VecVirtual {
	v := ZMM()
	VCVTPH2PS(m, v)
	return v
}

func widenBF16(m Mem) VecVirtual {
	v := ZMM()
	VPMOVZXWD(m, v)
	VPSLLD(U8(16), v, v)
	return v
}

func from16(name, what string, load func(Mem) VecVirtual) {
	TEXT("avx512From"+name, NOSPLIT, "func(n int, x *uint16, y *float32)")
	Doc("avx512From" + name + " widens " + what + ".")
	Pragma("noescape")
	n, x, y := arg("n"), ptr("x"), ptr("y")
	Label("loop")
	VMOVUPS(load(x), y)
	advance(x, 32)
	advance(y, 64)
	SUBQ(U8(16), n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
