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
	{name: "F16", size: 2, load: widenF16},
	{name: "BF16", size: 2, load: widenBF16},
	{name: "Pairs", size: 2, load: load, pairs: true},
}

// floatRows is how many rows a float dot of several tokens takes at once, which then loads those less often. One token takes one row: its chain of fused
// multiply-adds still is as fast as memory, which a Zen 5 reads 12% faster in order than in four places.
const floatRows = 4

// floatAhead is how far a float dot prefetches, at least: of 2, 8 and 16 KB a Zen 5 generated 17.2, 18.9 and 17.8 tokens a second with 8.
const floatAhead = 8 << 10

// floatDot emits the dot of rows of floats with so many tokens.
func floatDot(f floatFormat, tokens int) {
	name := fmt.Sprintf("avx512Dot%s_%d", f.name, tokens)
	TEXT(name, NOSPLIT, "func(w *byte, stride, rows, nb int, x, y *float32, ldy int)")
	Doc(fmt.Sprintf("%s multiplies rows by %d tokens: see dotArgs.", name, tokens))
	Pragma("noescape")
	first, stride, y := ptr("w"), arg("stride"), ptr("y")
	near, k, rows := Mem{Base: GP64()}, GP64(), floatRows // near is what comes next, in order
	if tokens == 1 {
		rows = 1
	}
	Load(Param("nb"), k)
	if f.pairs {
		SHLQ(U8(4), k)
	} else {
		SHLQ(U8(5), k)
	}

	Label("rows")
	row := []Mem{first}
	if rows == 1 {
		LEAQ(first.Offset(floatAhead), near.Base)
	} else {
		// Past the last row that row is taken again, and not stored.
		left, next := arg("rows"), GP64()
		MOVQ(first.Base, next)
		for i := 1; i < rows; i++ {
			r := GP64()
			CMPQ(left, U8(i))
			MOVQ(next, r)
			LEAQ(Mem{Base: next, Index: stride, Scale: 1}, next)
			CMOVQGT(next, r)
			MOVQ(r, next)
			row = append(row, Mem{Base: r})
		}
		LEAQ(Mem{Base: first.Base, Index: stride, Scale: floatRows}, near.Base)
	}
	x := rowPointers(tokens, ptr("x"), k)
	acc := make([][]VecVirtual, tokens)
	for t := range acc {
		acc[t] = make([]VecVirtual, rows)
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
		w := make([]VecVirtual, rows)
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
	for b := 0; b < rows*32*f.size; b += 64 {
		PREFETCHT0(near.Offset(b))
	}
	advance(near, rows*32*f.size)
	ADDQ(I32(32*f.size), i)
	x.advance(64 * loads)
	DECQ(n)
	JNZ(LabelRef("block"))

	if rows == 1 {
		VMOVSS(laneSum(acc[0][0]), y)
		ADDQ(stride, first.Base)
		ADDQ(U8(4), y.Base)
		DECQ(mustParam("rows")) // the caller's copy, in the frame
		JNZ(LabelRef("rows"))
		VZEROUPPER()
		RET()
		return
	}
	// Rows become lanes, so that all add their 16 sums at once and in order.
	all, bits, some := GP64(), GP64(), K()
	MOVQ(I32(-1), all)
	left := arg("rows")
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
	SUBQ(U8(floatRows), mustParam("rows")) // as above
	JG(LabelRef("rows"))
	VZEROUPPER()
	RET()
}
