package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// The number of tokens of mul. 4 x 16 rows of int16 sums take 8 of the 16 registers, and the weights' loads and the scales are shared by 4 tokens. VPDPBUSD needs no
// register for products: 6 tokens, whose 12 sums also hide its latency.
const (
	avx2Tile    = 4
	avxvnniTile = 6
)

// avx2Muls are the shapes of format that mul distinguishes.
var avx2Muls = []avx2Mul{
	{name: "Off15", max: 15, scales: 1, offs: 1},
	{name: "Bias15", max: 15, scales: 1, bias: true},
	{name: "Off31", max: 31, scales: 1, offs: 1},
	{name: "Bias31", max: 31, scales: 1, bias: true},
	{name: "Bias127", max: 127, scales: 1, bias: true},
	{name: "Bias255", max: 255, scales: 1, bias: true},
	{name: "Off2", max: 45, scales: 1, offs: 2},
	{name: "Half2Bias7", max: 7, scales: 2, bias: true},
	{name: "Half2Bias63", max: 63, scales: 2, bias: true},
	{name: "Half2Bias127", max: 127, scales: 2, bias: true},
}

type avx2Mul struct {
	name         string
	max          int
	scales, offs int
	bias         bool
	vnni         bool // VPDPBUSD sums, whatever max is
}

func (m avx2Mul) function() string {
	if m.vnni {
		return "avxvnniMul" + m.name
	}
	return "avx2Mul" + m.name
}

func (m avx2Mul) tile() int {
	if m.vnni {
		return avxvnniTile
	}
	return avx2Tile
}

func (m avx2Mul) emit() {
	T := m.tile()
	TEXT(m.function(), 0, "func(nb int, q *byte, scale, off *float32, a *int8, as, sum *float32, init *int32, c *float32, ldc int)")
	Doc(fmt.Sprintf("%s is mul for stored values up to %d, %d scales and %d offsets.", m.function(), m.max, m.scales, m.offs))
	Pragma("noescape")
	nb := Load(Param("nb"), GP64())
	q, scale := Mem{Base: Load(Param("q"), GP64())}, Mem{Base: Load(Param("scale"), GP64())}
	a, as := Mem{Base: Load(Param("a"), GP64())}, Mem{Base: Load(Param("as"), GP64())}
	var off, sum, init Mem
	if m.offs > 0 {
		off, sum = Mem{Base: Load(Param("off"), GP64())}, Mem{Base: Load(Param("sum"), GP64())}
	}
	if m.bias && (m.vnni || m.max < 255) {
		init = Mem{Base: Load(Param("init"), GP64())}
	}
	// p_j, the integer sums between two widenings, the sum of the segments so far, and the products of blocks' first halves.
	p := aligned(4 * T * 64)
	wide, total, halves := p.Offset(T*64), p.Offset(2*T*64), p.Offset(3*T*64)

	zero := YMM()
	VXORPS(zero, zero, zero)
	for i := range 2 * T {
		VMOVAPS(zero, total.Offset(32*i))
	}
	seg := GP64()
	XORQ(seg, seg)
	Label("segment")
	left, rest := GP64(), GP64()
	MOVQ(nb, left)
	MOVQ(nb, rest)
	SHRQ(U8(3), left)
	ANDQ(U8(7), rest)
	CMPQ(seg, rest) // carry: seg < nb mod 8
	ADCQ(U8(0), left)
	JZ(LabelRef("next"))
	zero = YMM()
	VXORPS(zero, zero, zero)
	for i := range 2 * T {
		VMOVAPS(zero, p.Offset(32*i))
	}

	Label("block")
	acc := make([]ymm, 2*T)
	for h := range m.scales {
		if m.vnni {
			m.dwords(h, q, a, init, acc)
		} else {
			m.integers(h, q, a, acc, wide)
		}
		ws := [2]ymm{YMM(), YMM()}
		VMOVUPS(scale.Offset(64*h), ws[0])
		VMOVUPS(scale.Offset(64*h+32), ws[1])
		for t := range T {
			if init.Base != nil && !m.vnni {
				b := YMM()
				VPBROADCASTD(init.Offset(4*(h*T+t)), b)
				VPADDD(b, acc[2*t], acc[2*t])
				VPADDD(b, acc[2*t+1], acc[2*t+1])
			}
			at := YMM()
			if h+1 == m.scales {
				VBROADCASTSS(as.Offset(4*t), at)
			}
			for i := range 2 {
				s, slot, half := acc[2*t+i], p.Offset(64*t+32*i), halves.Offset(64*t+32*i)
				VCVTDQ2PS(s, s)
				if h+1 < m.scales {
					VMULPS(ws[i], s, s)
					VMOVAPS(s, half)
					continue
				}
				if m.scales == 1 {
					w := YMM()
					VMULPS(ws[i], at, w)
					VFMADD213PS(slot, w, s)
				} else {
					VFMADD213PS(half, ws[i], s)
					VFMADD213PS(slot, at, s)
				}
				if m.offs == 0 {
					VMOVAPS(s, slot)
				}
			}
		}
		if m.offs > 0 && h+1 == m.scales {
			for t := range T {
				for o := range m.offs {
					st := YMM()
					VBROADCASTSS(sum.Offset(4*(o*T+t)), st)
					VFMADD231PS(off.Offset(64*o), st, acc[2*t])
					VFMADD231PS(off.Offset(64*o+32), st, acc[2*t+1])
				}
				VMOVAPS(acc[2*t], p.Offset(64*t))
				VMOVAPS(acc[2*t+1], p.Offset(64*t+32))
			}
		}
	}
	ADDQ(I32(512), q.Base)
	ADDQ(I32(32*T), a.Base)
	ADDQ(I32(64*m.scales), scale.Base)
	ADDQ(I32(4*T), as.Base)
	if m.offs > 0 {
		ADDQ(I32(64*m.offs), off.Base)
		ADDQ(I32(4*T*m.offs), sum.Base)
	}
	if init.Base != nil {
		ADDQ(I32(4*T*m.scales), init.Base)
	}
	DECQ(left)
	JNZ(LabelRef("block"))

	for i := range 2 * T {
		y := YMM()
		VMOVAPS(total.Offset(32*i), y)
		VADDPS(p.Offset(32*i), y, y)
		VMOVAPS(y, total.Offset(32*i))
	}
	Label("next")
	INCQ(seg)
	CMPQ(seg, Imm(8))
	JNE(LabelRef("segment"))

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

// integers sums the products of one scale's k (a block, or half h of it) into acc, as int32.
func (m avx2Mul) integers(h int, q, a Mem, acc []ymm, wide Mem) {
	T := m.tile()
	fit := min(8, 32767/(2*127*m.max)) // products that an int16 sum holds
	first, last := 8*h/m.scales, 8*(h+1)/m.scales
	for g := first; g < last; g++ {
		w := [2]ymm{YMM(), YMM()}
		for i := range 2 {
			VMOVDQU(q.Offset(64*g+32*i), w[i])
		}
		if m.max == 255 { // signed: |w| · (a with w's sign)
			mag := [2]ymm{YMM(), YMM()}
			for i := range 2 {
				VPXOR(avx2Consts.flip, w[i], w[i])
				VPABSB(w[i], mag[i])
			}
			for t := range T {
				x := YMM()
				VPBROADCASTD(a.Offset(4*(g*T+t)), x)
				for i := range 2 {
					s := YMM()
					VPSIGNB(w[i], x, s)
					VPMADDUBSW(s, mag[i], s)
					if g == first {
						acc[2*t+i] = YMM()
						VPMADDWD(avx2Consts.ones, s, acc[2*t+i])
					} else {
						VPMADDWD(avx2Consts.ones, s, s)
						VPADDD(s, acc[2*t+i], acc[2*t+i])
					}
				}
			}
			continue
		}
		start := (g-first)%fit == 0
		for t := range T {
			x := YMM()
			VPBROADCASTD(a.Offset(4*(g*T+t)), x)
			for i := range 2 {
				s := YMM()
				VPMADDUBSW(x, w[i], s)
				if start {
					acc[2*t+i] = s
				} else {
					VPADDW(s, acc[2*t+i], acc[2*t+i])
				}
			}
		}
		if (g-first)%fit == fit-1 || g+1 == last { // widen
			for i, s := range acc {
				VPMADDWD(avx2Consts.ones, s, s)
				if g-first >= fit {
					VPADDD(wide.Offset(32*i), s, s)
				}
				if g+1 < last {
					VMOVDQA(s, wide.Offset(32*i))
				}
			}
		}
	}
}

// dwords is integers by VPDPBUSD: what init has is in the sums.
func (m avx2Mul) dwords(h int, q, a, init Mem, acc []ymm) {
	T := m.tile()
	for i := range acc {
		acc[i] = YMM()
		if init.Base != nil {
			VPBROADCASTD(init.Offset(4*(h*T+i/2)), acc[i])
		} else {
			VPXOR(acc[i], acc[i], acc[i])
		}
	}
	for g := 8 * h / m.scales; g < 8*(h+1)/m.scales; g++ {
		w := [2]ymm{YMM(), YMM()}
		for i := range w {
			VMOVDQU(q.Offset(64*g+32*i), w[i])
		}
		for i := range acc {
			if i%2 == 0 {
				x := YMM()
				VPBROADCASTD(a.Offset(4*(g*T+i/2)), x)
				VPDPBUSD(x, w[0], acc[i])
				VPDPBUSD(x, w[1], acc[i+1])
			}
		}
	}
}

// aligned is n bytes of the stack frame on a 32-byte boundary.
func aligned(n int) Mem {
	base := GP64()
	LEAQ(AllocLocal(n+32), base)
	ADDQ(U8(31), base)
	ANDQ(I8(-32), base)
	return Mem{Base: base}
}
