package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	avx2TileFloat      = 6 // 12 accumulators, 2 vectors of weights, a broadcast
	avx2MaxTokensFloat = 4
)

// mulFloat emits the product of a float panel and a tile: 16 partial sums, one after the other.
func mulFloat() {
	const T = avx2TileFloat
	TEXT("avx2MulFloat", 0, "func(k int, w, a, c *float32, ldc int)")
	Doc("avx2MulFloat is mulFloat.")
	Pragma("noescape")
	k := Load(Param("k"), GP64())
	w, a := Mem{Base: Load(Param("w"), GP64())}, Mem{Base: Load(Param("a"), GP64())}
	total := aligned(T * 64)
	z := YMM()
	VXORPS(z, z, z)
	for i := range 2 * T {
		VMOVAPS(z, total.Offset(32*i))
	}
	seg, n := GP64(), GP64()
	SHRQ(Imm(4), k)
	MOVQ(U32(16), seg)
	Label("segment")
	var p [2 * T]ymm
	for i := range p {
		p[i] = YMM()
		VXORPS(p[i], p[i], p[i])
	}
	MOVQ(k, n)
	Label("k")
	w0, w1 := YMM(), YMM()
	VMOVUPS(w, w0)
	VMOVUPS(w.Offset(32), w1)
	for t := range T {
		x := YMM()
		VBROADCASTSS(a.Offset(4*t), x)
		VFMADD231PS(w0, x, p[2*t])
		VFMADD231PS(w1, x, p[2*t+1])
	}
	ADDQ(U8(64), w.Base)
	ADDQ(U8(4*T), a.Base)
	DECQ(n)
	JNZ(LabelRef("k"))
	for i := range p {
		VADDPS(total.Offset(32*i), p[i], p[i])
		VMOVAPS(p[i], total.Offset(32*i))
	}
	DECQ(seg)
	JNZ(LabelRef("segment"))
	c, ldc := Mem{Base: Load(Param("c"), GP64())}, Load(Param("ldc"), GP64())
	for t := range T {
		for i := range 2 {
			y := YMM()
			VMOVAPS(total.Offset(64*t+32*i), y)
			VMOVUPS(y, c.Offset(32*i))
		}
		if t+1 < T {
			LEAQ(Mem{Base: c.Base, Index: ldc, Scale: 4}, c.Base)
		}
	}
	VZEROUPPER()
	RET()
}

// avx2DotFloats are the float types with a row dot: how 8 weights become float32.
var avx2DotFloats = []struct {
	name string
	size int
	load func(w Mem, v ymm)
}{
	{"F32", 4, func(w Mem, v ymm) { VMOVUPS(w, v) }},
	{"F16", 2, func(w Mem, v ymm) { VCVTPH2PS(w, v) }},
	{"BF16", 2, func(w Mem, v ymm) { VPMOVZXWD(w, v); VPSLLD(Imm(16), v, v) }},
}

// dotFloat emits the row dot of a float type for a number of tokens: 16 partial sums a token, in two vectors.
func dotFloat(name string, size int, load func(w Mem, v ymm), tokens int) {
	name = fmt.Sprintf("avx2Dot%s_%d", name, tokens)
	TEXT(name, NOSPLIT, "func(w *byte, stride, rows, nb int, x, y *float32, ldy int)")
	Doc(fmt.Sprintf("%s is the row dot of %d tokens.", name, tokens))
	Pragma("noescape")
	row, y := Load(Param("w"), GP64()), Load(Param("y"), GP64())
	rows, stride := Load(Param("rows"), GP64()), Load(Param("stride"), GP64())
	nb, ldx := Load(Param("nb"), GP64()), GP64()
	MOVQ(nb, ldx)
	SHLQ(Imm(7), ldx)
	Label("row")
	x, n, w := GP64(), GP64(), GP64()
	xs := strides(Load(Param("x"), x), ldx, tokens)
	MOVQ(nb, n)
	MOVQ(row, w)
	p := make([][2]ymm, tokens)
	for t := range p {
		for i := range 2 {
			p[t][i] = YMM()
			VXORPS(p[t][i], p[t][i], p[t][i])
		}
	}
	Label("block")
	PREFETCHT0(Mem{Base: w, Disp: avx2Ahead})
	if size == 4 {
		PREFETCHT0(Mem{Base: w, Disp: avx2Ahead + 64})
	}
	for i := range 4 {
		v := YMM()
		load(Mem{Base: w, Disp: 8 * size * i}, v)
		for t := range p {
			VFMADD231PS(xs(t).Offset(32*i), v, p[t][i%2])
		}
	}
	ADDQ(U8(128), x)
	ADDQ(U8(32*size), w)
	DECQ(n)
	JNZ(LabelRef("block"))
	o, ldy := GP64(), GP64()
	MOVQ(y, o)
	Load(Param("ldy"), ldy)
	for t := range p {
		s := XMM()
		VXORPS(s, s, s)
		inOrder(p[t][0], s)
		inOrder(p[t][1], s)
		VMOVSS(s, Mem{Base: o})
		if t+1 < tokens {
			LEAQ(Mem{Base: o, Index: ldy, Scale: 4}, o)
		}
	}
	ADDQ(U8(4), y)
	ADDQ(stride, row)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// inOrder adds the 8 lanes of p to s, one after the other.
func inOrder(p ymm, s reg.VecVirtual) {
	x := XMM()
	for i := range 2 {
		if i == 1 {
			VEXTRACTF128(Imm(1), p, p.AsX())
		}
		VADDSS(p.AsX(), s, s)
		for l := 1; l < 4; l++ {
			VPERMILPS(Imm(uint64(l)), p.AsX(), x)
			VADDSS(x, s, s)
		}
	}
}

// elementwise emits a function over n floats, 8 at a time; bytes are the steps of its pointers, whose registers body gets.
func elementwise(name, doc, signature string, pointers []string, bytes []int, body func(p []Mem)) {
	TEXT(name, NOSPLIT, signature)
	Doc(name + " " + doc)
	Pragma("noescape")
	n := Load(Param("n"), GP64())
	var p []Mem
	for _, s := range pointers {
		p = append(p, Mem{Base: Load(Param(s), GP64())})
	}
	Label("loop")
	body(p)
	for i := range p {
		ADDQ(U8(bytes[i]), p[i].Base)
	}
	SUBQ(U8(8), n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

func elementwises() {
	elementwise("avx2Add", "computes y[i] += x[i].", "func(n int, x, y *float32)", []string{"x", "y"}, []int{32, 32}, func(p []Mem) {
		v := YMM()
		VMOVUPS(p[1], v)
		VADDPS(p[0], v, v)
		VMOVUPS(v, p[1])
	})
	elementwise("avx2ScaleMul", "computes y[i] = (x[i]·r)·w[i].", "func(n int, r float32, x, w, y *float32)", []string{"x", "w", "y"}, []int{32, 32, 32}, func(p []Mem) {
		v := YMM()
		VBROADCASTSS(param("r"), v)
		VMULPS(p[0], v, v)
		VMULPS(p[1], v, v)
		VMOVUPS(v, p[2])
	})
	elementwise("avx2Merge", "computes total[i] = fma(o[i], b, total[i]·a).", "func(n int, a, b float32, o, total *float32)", []string{"o", "total"}, []int{32, 32}, func(p []Mem) {
		v, w := YMM(), YMM()
		VBROADCASTSS(param("a"), v)
		VMULPS(p[1], v, v)
		VBROADCASTSS(param("b"), w)
		VFMADD231PS(p[0], w, v)
		VMOVUPS(v, p[1])
	})
	elementwise("avx2SwiGLU", "computes gate[i] = gate[i]/(1+exp32(-gate[i]))·up[i].", "func(n int, gate, up *float32)", []string{"gate", "up"}, []int{32, 32}, func(p []Mem) {
		g, e := YMM(), YMM()
		VMOVUPS(p[0], g)
		VXORPS(avx2Consts.sign, g, e)
		exp32(e)
		VADDPS(avx2Consts.exp[11], e, e)
		VDIVPS(e, g, g)
		VMULPS(p[1], g, g)
		VMOVUPS(g, p[0])
	})
	elementwise("avx2ToF16", "rounds to float16.", "func(n int, x *float32, y *uint16)", []string{"x", "y"}, []int{32, 16}, func(p []Mem) {
		v := YMM()
		VMOVUPS(p[0], v)
		VCVTPS2PH(Imm(0), v, p[1])
	})

	elementwise("avx2FromF16", "widens float16.", "func(n int, x *uint16, y *float32)", []string{"x", "y"}, []int{16, 32}, func(p []Mem) {
		v := YMM()
		VCVTPH2PS(p[0], v)
		VMOVUPS(v, p[1])
	})

	elementwise("avx2FromBF16", "widens bfloat16.", "func(n int, x *uint16, y *float32)", []string{"x", "y"}, []int{16, 32}, func(p []Mem) {
		v := YMM()
		VPMOVZXWD(p[0], v)
		VPSLLD(U8(16), v, v)
		VMOVUPS(v, p[1])
	})

	TEXT("avx2SumSquares", NOSPLIT, "func(n int, x *float32) float32")
	Doc("avx2SumSquares returns the sum of squares in 16 partial sums.")
	Pragma("noescape")
	n, x := Load(Param("n"), GP64()), Load(Param("x"), GP64())
	p := [2]ymm{YMM(), YMM()}
	for i := range p {
		VXORPS(p[i], p[i], p[i])
	}
	Label("loop")
	for i := range p {
		v := YMM()
		VMOVUPS(Mem{Base: x, Disp: 32 * i}, v)
		VFMADD231PS(v, v, p[i])
	}
	ADDQ(U8(64), x)
	SUBQ(U8(16), n)
	JNZ(LabelRef("loop"))
	s := XMM()
	VXORPS(s, s, s)
	inOrder(p[0], s)
	inOrder(p[1], s)
	Store(s, ReturnIndex(0))
	VZEROUPPER()
	RET()
}
