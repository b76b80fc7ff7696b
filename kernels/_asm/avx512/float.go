package avx512

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// floatFormat says how 16 values of a row become float32, or that pairs of bfloat16 are multiplied as they are.
type floatFormat struct {
	name  string
	size  int // bytes of a value
	load  func(m Mem) VecVirtual
	pairs bool
}

var floatFormats = []floatFormat{
	{name: "F32", size: 4, load: load},
	{name: "F16", size: 2, load: func(m Mem) VecVirtual {
		x := ZMM()
		VCVTPH2PS(m, x)
		return x
	}},
	{name: "BF16", size: 2, load: func(m Mem) VecVirtual {
		x := ZMM()
		VPMOVZXWD(m, x)
		VPSLLD(U8(16), x, x)
		return x
	}},
	{name: "Pairs", size: 2, load: load, pairs: true},
}

// floatRows is how many rows a float dot takes at once, since a single row's one chain of fused multiply-adds would wait for itself.
const floatRows = 4

// floatDot emits the dot of rows of floats with so many tokens.
func floatDot(f floatFormat, tokens int) {
	name := fmt.Sprintf("avx512Dot%s_%d", f.name, tokens)
	TEXT(name, NOSPLIT, "func(w *byte, stride, rows, nb int, x, y *float32, ldy int)")
	Doc(fmt.Sprintf("%s multiplies rows by %d tokens: see dotArgs.", name, tokens))
	Pragma("noescape")
	first, stride, y := ptr("w"), arg("stride"), ptr("y")
	ahead, k := GP64(), GP64()
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, ahead)
	ADDQ(stride, ahead) // a group of rows, which is what to prefetch
	Load(Param("nb"), k)
	if f.pairs {
		SHLQ(U8(4), k)
	} else {
		SHLQ(U8(5), k)
	}

	Label("rows")
	// Past the last row that row is taken again, and not stored.
	row := []Mem{first}
	left, next := arg("rows"), GP64()
	MOVQ(first.Base, next)
	for i := 1; i < floatRows; i++ {
		r := GP64()
		CMPQ(left, U8(i))
		MOVQ(next, r)
		LEAQ(Mem{Base: next, Index: stride, Scale: 1}, next)
		CMOVQGT(next, r)
		MOVQ(r, next)
		row = append(row, Mem{Base: r})
	}
	x := rowPointers(tokens, ptr("x"), k)
	acc := make([][]VecVirtual, tokens)
	for t := range acc {
		acc[t] = make([]VecVirtual, floatRows)
		for r := range acc[t] {
			acc[t][r] = zero()
		}
	}
	n := arg("nb")
	i := GP64()
	XORQ(i, i)
	Label("block")
	loads := 2 // of a block's 32 values
	if f.pairs {
		loads = 1
	}
	for h := range loads {
		w := make([]VecVirtual, floatRows)
		for r := range w {
			w[r] = f.load(row[r].Offset(16*h*f.size).Idx(i, 1))
		}
		for t := range acc {
			v := load(x.at(t).Offset(64 * h))
			for r := range w {
				if f.pairs {
					vdpbf16ps(v, w[r], acc[t][r])
				} else {
					VFMADD231PS(v, w[r], acc[t][r])
				}
			}
		}
	}
	for r := range row {
		at := GP64()
		LEAQ(row[r].Idx(ahead, 1), at)
		for b := 0; b < 32*f.size; b += 64 {
			PREFETCHT1(Mem{Base: at, Disp: b, Index: i, Scale: 1})
		}
	}
	ADDQ(I32(32*f.size), i)
	x.advance(64 * loads)
	DECQ(n)
	JNZ(LabelRef("block"))

	// Rows become lanes, so that all add their 16 sums at once and in order.
	all, bits, some := GP64(), GP64(), K()
	MOVQ(I32(-1), all)
	left = arg("rows")
	BZHIQ(left, all, bits)
	KMOVW(bits.As32(), some)
	out, ldy := GP64(), arg("ldy")
	MOVQ(y.Base, out)
	for t := range acc {
		s := XMM()
		VXORPS(s, s, s)
		parts := transpose4(acc[t])
		for lane := range 4 {
			for _, p := range parts {
				if lane == 0 {
					VADDPS(p.AsX(), s, s)
					continue
				}
				e := XMM()
				VEXTRACTF32X4(U8(lane), p, e)
				VADDPS(e, s, s)
			}
		}
		VMOVUPS(s, some, Mem{Base: out})
		if t < tokens-1 {
			LEAQ(Mem{Base: out, Index: ldy, Scale: 4}, out)
		}
	}
	LEAQ(Mem{Base: first.Base, Index: stride, Scale: floatRows}, first.Base)
	ADDQ(U8(4*floatRows), y.Base)
	SUBQ(U8(floatRows), mustParam("rows")) // the caller's copy, in the frame
	JG(LabelRef("rows"))
	VZEROUPPER()
	RET()
}
