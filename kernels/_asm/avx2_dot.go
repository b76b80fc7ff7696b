package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A row dot takes one weight row at a time, in groups of 8 blocks of 32. The weights of a group become 8 vectors whose int32
// lanes are the 8 blocks (or, in K-quants, halves of them), so that every token needs no more than 8 multiplications and adds,
// and the lanes of its accumulator are the 8 partial sums p_j. The activations are arranged in the same order beforehand.

// avx2MaxTokens is the most tokens in a call of a row dot; their accumulators live in the stack frame.
const avx2MaxTokens = 8

// avx2Ahead is how far row dots prefetch, in bytes. A Zen 5 generates 1.07 times as fast as with 2 KB (an 8B of Q4_K_M or Q8_0); from 4 to 8 KB is level.
const avx2Ahead = 5120

type ymm = reg.VecVirtual

// avx2Dots are the formats with a row dot.
var avx2Dots = []avx2Dot{
	{name: "Q4_0", size: 18, small: true, max: 15, sub: 3, decode: decodeQ4_0},
	{name: "Q4_1", size: 20, small: true, max: 15, offs: true, decode: decodeQ4_1},
	{name: "Q5_0", size: 22, small: true, max: 31, sub: 4, decode: decodeQ5_0},
	{name: "Q5_1", size: 24, small: true, max: 31, offs: true, decode: decodeQ5_1},
	{name: "Q8_0", size: 34, small: true, decode: decodeQ8_0},
	{name: "IQ4_NL", size: 18, small: true, decode: decodeIQ4_NL},
	{name: "Q2_K", size: 84, max: 3, halves: true, offs: true, decode: decodeQ2_K},
	{name: "Q3_K", size: 110, max: 7, halves: true, sub: 2, decode: decodeQ3_K},
	{name: "Q4_K", size: 144, max: 15, offs: true, decode: decodeQ4_K},
	{name: "Q5_K", size: 176, max: 31, offs: true, decode: decodeQ5_K},
	{name: "IQ4_XS", size: 136, decode: decodeIQ4_XS},
	{name: "Q6_K", size: 210, max: 63, halves: true, sub: 5, decode: decodeQ6_K},
}

type avx2Dot struct {
	name   string
	size   int  // bytes of a block of 32 (small) or 256
	small  bool // blocks of 32, a lane each: a row may end with fewer than 8
	max    int  // the largest stored value, of bytes without a sign
	halves bool // a scale per 16, and an offset if any
	offs   bool // an offset per scale: to be added in small, else subtracted
	sub    int  // stored values are q + 1<<sub
	vnni   bool // VPDPBUSD sums, whatever max is
	decode func(d *dotState)
}

func (dot avx2Dot) function() string {
	if dot.vnni {
		return "avxvnniDot" + dot.name
	}
	return "avx2Dot" + dot.name
}

// dotState is the code being written: what decode leaves for the tokens.
type dotState struct {
	avx2Dot
	one    bool // one token: scales stay in registers
	tail   bool // the last, incomplete group of a row
	w      Mem  // the group's bytes
	v      [8]ymm
	signed bool // v is int8, not uint8
	whole  bool // lanes of v are blocks, as they are in small, not halves of them
	scale  [2]ymm
	off    [2]ymm
	factor ymm // of all scales; nil: 1
}

// sums16 says whether an int16 holds the sums of so many vectors' products.
func (dot avx2Dot) sums16(vectors int) bool { return 2*vectors*127*dot.max <= 32767 }

// sums leaves the integer sums of a group and a token in lanes: one vector, or two for two scales per block.
// a(i) loads vector i of the token's activations, as an operand.
func (d *dotState) sums(a func(i int) Op) [2]ymm {
	if d.vnni {
		return d.lanes(d.products(a, 0), d.products(a, 4))
	}
	ones := avx2Consts.ones
	var m [8]ymm
	for i := range m {
		m[i] = YMM()
		if !d.signed {
			VPMADDUBSW(a(i), d.v[i], m[i])
		} else {
			mag, x := YMM(), YMM()
			VPABSB(d.v[i], mag)
			VMOVDQU(a(i), x)
			VPSIGNB(d.v[i], x, x)
			VPMADDUBSW(x, mag, m[i])
			VPMADDWD(ones, m[i], m[i])
			if i%2 == 1 {
				VPADDD(m[i], m[i-1], m[i-1])
				if i%4 == 3 {
					VPADDD(m[i-1], m[i-3], m[i-3])
				}
			}
			continue
		}
		if i%2 == 1 {
			VPADDW(m[i], m[i-1], m[i-1])
			if i%4 == 3 && d.sums16(4) {
				VPADDW(m[i-1], m[i-3], m[i-3])
			}
		}
	}
	if d.small && !d.signed && d.sums16(8) {
		VPADDW(m[4], m[0], m[0])
		VPMADDWD(ones, m[0], m[0])
		return [2]ymm{m[0]}
	}
	if !d.signed {
		for i := 0; i < 8; i += 4 {
			VPMADDWD(ones, m[i], m[i])
			if !d.small && !d.sums16(4) {
				VPMADDWD(ones, m[i+2], m[i+2])
				VPADDD(m[i+2], m[i], m[i])
			}
		}
	}
	return d.lanes(m[0], m[4])
}

// products are those of vectors first to first+3, by VPDPBUSD.
func (d *dotState) products(a func(i int) Op, first int) ymm {
	s := YMM()
	VPXOR(s, s, s)
	for i := first; i < first+4; i++ {
		VPDPBUSD(a(i), d.v[i], s)
	}
	return s
}

// lanes puts the sums of the first 4 vectors and of the last in lanes.
func (d *dotState) lanes(low, high ymm) [2]ymm {
	switch {
	case d.small || d.whole:
		VPADDD(high, low, low)
		return [2]ymm{low}
	case d.halves: // low has blocks 0 1 4 5, high 2 3 6 7; the lower lanes are the first 16 values, the upper the last
		first, last := YMM(), YMM()
		VPERM2I128(Imm(0x20), high, low, first)
		VPERM2I128(Imm(0x31), high, low, last)
		return [2]ymm{first, last}
	default: // low has blocks 0 2 4 6, high 1 3 5 7, each in two halves
		u, v, t := YMM(), YMM(), YMM()
		VPUNPCKLDQ(high, low, u)
		VPUNPCKHDQ(high, low, v)
		VPERM2I128(Imm(0x21), v, u, t) // u's upper half, v's lower half
		VPBLENDD(Imm(0xf0), v, u, u)
		VPADDD(t, u, u)
		return [2]ymm{u}
	}
}

func param(name string) Mem {
	p, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return p.Addr
}

// padTail finds the end of the last row and, if rows end with n < 8 blocks, fills the operands of those.
func (dot avx2Dot) padTail(nb, w reg.GPVirtual, limit, mask, tailQ, tailScale, tailSum, tailHalf Mem) {
	n, end, rows := GP64(), GP64(), GP64()
	MOVQ(param("rows"), rows)
	DECQ(rows)
	IMULQ(param("stride"), rows)
	IMUL3Q(U8(dot.size), nb, end)
	ADDQ(rows, end)
	ADDQ(w, end)
	MOVQ(end, limit)
	MOVQ(nb, n)
	ANDQ(U8(7), n)
	JZ(LabelRef("noTail"))

	table := GP64()
	LEAQ(avx2Consts.mask, table)
	NEGQ(n)
	lanes, pairs := YMM(), [2]ymm{YMM(), YMM()}
	VMOVDQU(Mem{Base: table, Index: n, Scale: 4, Disp: 128}, lanes)
	VMOVDQA(lanes, mask)
	for i := range pairs {
		VMOVDQU(Mem{Base: table, Index: n, Scale: 8, Disp: 128 + 32*i}, pairs[i])
	}
	NEGQ(n)
	tokens, whole, to := GP64(), GP64(), GP64()
	MOVQ(param("tokens"), tokens)
	MOVQ(nb, whole)
	SUBQ(n, whole)
	XORQ(to, to) // 32 bytes a token
	copyTo := func(arg string, scale uint8, dst Mem, stride uint8, masks ...ymm) {
		src := GP64()
		MOVQ(param(arg), src)
		LEAQ(Mem{Base: src, Index: whole, Scale: scale}, src)
		for i, m := range masks {
			v := YMM()
			VPMASKMOVD(Mem{Base: src, Disp: 32 * i}, m, v)
			VMOVDQA(v, Mem{Base: dst.Base, Index: to, Scale: stride, Disp: dst.Disp + 32*i})
		}
	}
	Label("pad")
	x := GP64() // [8][n][4] bytes
	MOVQ(whole, x)
	SHLQ(Imm(5), x)
	ADDQ(param("q"), x)
	for i := range 8 {
		v := YMM()
		VPMASKMOVD(Mem{Base: x}, lanes, v)
		VMOVDQA(v, Mem{Base: tailQ.Base, Index: to, Scale: 8, Disp: tailQ.Disp + 32*i})
		if i < 7 {
			LEAQ(Mem{Base: x, Index: n, Scale: 4}, x)
		}
	}
	copyTo("scale", 4, tailScale, 1, lanes)
	if dot.offs {
		copyTo("sum", 4, tailSum, 1, lanes)
	}
	if dot.sub > 0 {
		copyTo("half", 8, tailHalf, 2, pairs[:]...)
	}
	ADDQ(nb, whole)
	ADDQ(U8(32), to)
	DECQ(tokens)
	JNZ(LabelRef("pad"))
	Label("noTail")
}

func (dot avx2Dot) emit(one bool) {
	name, doc := dot.function(), "is the row dot of one token."
	if !one {
		name, doc = name+"s", "is the row dot of up to 8 tokens."
	}
	TEXT(name, 0, "func(w *byte, stride, rows, nb, tokens int, q *int8, scale, sum *float32, half *int32, y *float32, ldy int)")
	Doc(name + " " + doc)
	Pragma("noescape")
	d := &dotState{avx2Dot: dot, one: one}

	most := 1
	if !one {
		most = avx2MaxTokens
	}
	needSum, needHalf := dot.offs && !dot.halves, dot.halves || dot.sub > 0
	// The frame: accumulators, a group's scales, offsets and factor, and for rows that end with n < 8 blocks: a mask of n lanes, the
	// operands of those blocks padded with zeros to 8, and room for a row's end.
	size := 32*most + 160
	if dot.small {
		size += 32 + (256+32+32+64)*most + 8*dot.size
	}
	acc := aligned(size)
	kept := acc.Offset(32 * most)
	mask := kept.Offset(160)
	tailQ := mask.Offset(32)
	tailScale := tailQ.Offset(256 * most)
	tailSum := tailScale.Offset(32 * most)
	tailHalf := tailSum.Offset(32 * most)
	rowEnd := tailHalf.Offset(64 * most)

	nb4, row, at := GP64(), GP64(), GP64()
	Load(Param("nb"), nb4)
	Load(Param("w"), row)
	q, scale, sum, half := GP64(), GP64(), GP64(), GP64()
	bases := func() {
		Load(Param("q"), q)
		Load(Param("scale"), scale)
		if needSum {
			Load(Param("sum"), sum)
		}
		if needHalf {
			Load(Param("half"), half)
		}
	}
	var limit Mem
	if dot.small {
		limit = AllocLocal(8)
		dot.padTail(nb4, row, limit, mask, tailQ, tailScale, tailSum, tailHalf)
	}
	SHLQ(Imm(2), nb4)
	if one {
		bases()
	}

	Label("row")
	var p ymm
	if one {
		p = YMM()
		VXORPS(p, p, p)
	} else {
		z, n, slot := YMM(), GP64(), GP64()
		VXORPS(z, z, z)
		MOVQ(param("tokens"), n)
		MOVQ(acc.Base, slot)
		Label("clear")
		VMOVAPS(z, Mem{Base: slot})
		ADDQ(U8(32), slot)
		DECQ(n)
		JNZ(LabelRef("clear"))
	}
	d.w = Mem{Base: GP64()}
	MOVQ(row, d.w.Base)
	XORQ(at, at) // 4 bytes a block, as the scales have
	end := GP64()
	MOVQ(nb4, end)
	ANDQ(I8(-32), end)
	if dot.small {
		JZ(LabelRef("tail"))
	}

	tokens := func(label string) {
		var ws, off [2]Op
		for i := range 2 {
			ws[i], off[i] = d.scale[i], d.off[i]
		}
		var factor Op = d.factor
		var n, slot reg.GPVirtual
		if !one {
			for i := range 2 {
				if i == 1 && !dot.halves {
					break
				}
				ws[i] = kept.Offset(32 * i)
				VMOVAPS(d.scale[i], ws[i])
				if dot.offs {
					off[i] = kept.Offset(64 + 32*i)
					VMOVAPS(d.off[i], off[i])
				}
			}
			if d.factor != nil {
				factor = kept.Offset(128)
				VMOVAPS(d.factor, factor)
			}
			if !d.tail {
				bases()
			}
			n, slot = GP64(), GP64()
			MOVQ(param("tokens"), n)
			MOVQ(acc.Base, slot)
			Label(label)
			p = YMM()
			VMOVAPS(Mem{Base: slot}, p)
		}
		floats := func(base reg.GPVirtual) Mem { return Mem{Base: base, Index: at, Scale: 1} }
		s := d.sums(func(i int) Op { return Mem{Base: q, Index: at, Scale: 8, Disp: 32 * i} })
		halves := func() (u, v ymm) { // the 16 sums of 16, first halves and last, of blocks 0 1 4 5 2 3 6 7
			m, h := YMM(), Mem{Base: half, Index: at, Scale: 2}
			VMOVDQU(h, m)
			u, v = YMM(), YMM()
			VSHUFPS(Imm(0x88), h.Offset(32), m, u)
			VSHUFPS(Imm(0xdd), h.Offset(32), m, v)
			return u, v
		}
		a := YMM()
		switch {
		case dot.halves:
			if dot.sub > 0 {
				u, v := halves()
				VPSLLD(Imm(uint64(dot.sub)), u, u)
				VPSLLD(Imm(uint64(dot.sub)), v, v)
				VPSUBD(u, s[0], s[0])
				VPSUBD(v, s[1], s[1])
			}
			VPERMQ(Imm(0xd8), floats(scale), a)
		case dot.sub > 0:
			u, v := halves()
			VPADDD(v, u, u)
			VPSLLD(Imm(uint64(dot.sub)), u, u)
			VPERMQ(Imm(0xd8), u, u)
			VPSUBD(u, s[0], s[0])
			fallthrough
		default:
			if !one {
				VMOVUPS(floats(scale), a)
			}
		}
		VCVTDQ2PS(s[0], s[0])
		if dot.halves {
			VCVTDQ2PS(s[1], s[1])
			VMULPS(ws[0], s[0], s[0])
			VFMADD231PS(ws[1], s[1], s[0])
			w := a
			if d.factor != nil {
				w = YMM()
				VMULPS(factor, a, w)
			}
			VFMADD231PS(w, s[0], p)
		} else {
			w := YMM()
			if one {
				VMULPS(floats(scale), ws[0], w)
			} else {
				VMULPS(ws[0], a, w)
			}
			if d.tail { // what follows the row may look like infinity or NaN
				VANDPS(mask, w, w)
			}
			VFMADD231PS(s[0], w, p)
		}
		if dot.offs && dot.halves {
			var h [2]ymm
			h[0], h[1] = halves()
			for i, h := range h {
				VCVTDQ2PS(h, h)
				VMULPS(a, h, h)
				VFNMADD231PS(off[i], h, p)
			}
		} else if dot.offs {
			var st, o Op = floats(sum), off[0]
			if d.tail {
				m := YMM()
				VMOVUPS(off[0], m)
				VANDPS(mask, m, m)
				o = m
			} else if !one {
				m := YMM()
				VMOVUPS(st, m)
				st, o = off[0], m
			}
			if dot.small {
				VFMADD231PS(st, o, p)
			} else {
				VFNMADD231PS(st, o, p)
			}
		}
		if !one {
			VMOVAPS(p, Mem{Base: slot})
			ADDQ(U8(32), slot)
			step := nb4
			if d.tail {
				step = GP64()
				MOVQ(U32(32), step)
			}
			LEAQ(Mem{Base: q, Index: step, Scale: 8}, q)
			ADDQ(step, scale)
			if needSum {
				ADDQ(step, sum)
			}
			if needHalf {
				LEAQ(Mem{Base: half, Index: step, Scale: 2}, half)
			}
			DECQ(n)
			JNZ(LabelRef(label))
		}
	}

	Label("group")
	bytes := dot.size
	if dot.small {
		bytes *= 8
	}
	for i := 0; i < bytes; i += 64 {
		PREFETCHT0(d.w.Offset(avx2Ahead + i))
	}
	dot.decode(d)
	tokens("token")
	ADDQ(I32(bytes), d.w.Base)
	ADDQ(U8(32), at)
	CMPQ(at, end)
	JNE(LabelRef("group"))
	if dot.small {
		Label("tail")
		CMPQ(at, nb4)
		JEQ(LabelRef("reduce"))
		end := GP64()
		LEAQ(d.w.Offset(bytes), end)
		CMPQ(end, limit)
		JBE(LabelRef("inside"))
		// 8 blocks from here would pass the end of the last row: copy what there is.
		src, dst, stop := d.w.Base, GP64(), GP64()
		MOVQ(limit, stop)
		LEAQ(rowEnd, dst)
		Label("copy")
		v := GP32()
		MOVW(Mem{Base: src}, v.As16())
		MOVW(v.As16(), Mem{Base: dst})
		ADDQ(U8(2), src)
		ADDQ(U8(2), dst)
		CMPQ(src, stop)
		JB(LabelRef("copy"))
		LEAQ(rowEnd, src)
		Label("inside")
		XORQ(at, at)
		LEAQ(tailQ, q)
		LEAQ(tailScale, scale)
		if needSum {
			LEAQ(tailSum, sum)
		}
		if needHalf {
			LEAQ(tailHalf, half)
		}
		d.tail = true
		dot.decode(d)
		tokens("tailToken")
		d.tail = false
		if one {
			bases()
		}
	}

	Label("reduce")
	y := GP64()
	MOVQ(param("y"), y)
	var n, slot, ldy reg.GPVirtual
	if !one {
		n, slot, ldy = GP64(), GP64(), GP64()
		MOVQ(param("tokens"), n)
		MOVQ(param("ldy"), ldy)
		MOVQ(acc.Base, slot)
		Label("store")
		p = YMM()
		VMOVAPS(Mem{Base: slot}, p)
	}
	if dot.halves {
		VPERMPD(Imm(0xd8), p, p)
	}
	t := XMM()
	VXORPS(t, t, t)
	inOrder(p, t)
	VMOVSS(t, Mem{Base: y})
	if !one {
		LEAQ(Mem{Base: y, Index: ldy, Scale: 4}, y)
		ADDQ(U8(32), slot)
		DECQ(n)
		JNZ(LabelRef("store"))
	}
	ADDQ(U8(4), param("y"))
	ADDQ(param("stride"), row)
	DECQ(param("rows"))
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}
