// Package avx512 writes the assembly of the rows for AVX-512 F, BW, DQ, VL and VNNI, and for AMX beside them.
package avx512

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Emit writes all functions of the row.
func Emit() {
	mul("avx512MulBias", 1, 0, true, false)
	mul("avx512MulOff", 1, 1, false, false)
	mul("avx512MulBias2", 2, 0, true, false)
	mul("avx512MulOff2", 1, 2, false, false)
	mul("avx512Winograd", 1, 0, true, true)
	mul("avx512WinogradOff", 1, 1, false, true)
	mul("avx512Winograd2", 2, 0, true, true)
	mul("avx512WinogradOff2", 1, 2, false, true)
	for scales := 1; scales <= 2; scales++ {
		winogradPanel(scales)
		winogradTile(scales)
	}
	amxMul("amxMul", 1, 0)
	amxMul("amxMulOff", 1, 1)
	amxMul("amxMul2", 2, 0)
	amxMul("amxMulOff2", 1, 2)
	for n := range 4 {
		amxDot(1+n/2, 1+n%2)
	}
	amxCentre()
	amxProbe()
	mulFloat(false)
	mulFloat(true)
	toBF16()
	interleave()
	lanes()
	quantize()
	residue()
	elementwise()
	toF16()
	from16("F16", "float16", widenF16)
	from16("BF16", "bfloat16", widenBF16)
	for _, f := range kvFormats {
		for _, rows := range attendRows {
			attend(f, rows)
		}
	}
	for _, rows := range attendRows {
		attendPairs(rows, false)
		attendPairs(rows, true)
	}
	merge()
	arrange()
	for _, f := range dots() {
		dot(f, 1)
		dot(f, 2)
	}
	for _, f := range ordered() {
		dot(f.dot(), 1)
		dot(f.dot(), 2)
		f.unpack()
	}
	for _, f := range strips() {
		stripProducts(f)
		if f.blocks == 8 {
			stripPanel(f)
		}
	}
	for _, f := range floatFormats {
		for tokens := 4; tokens > 0; tokens /= 2 {
			floatDot(f, tokens)
		}
	}
	unpacks()
	probe()
}

func floatBits(f float64) uint32 { return math.Float32bits(float32(f)) }

// constants are the read-only vectors that were declared so far, by name.
var constants = map[string]Mem{}

// vector is a read-only vector of n dwords.
func vector(name string, n int, f func(i int) uint32) Mem {
	name = "avx512_" + name
	if m, ok := constants[name]; ok {
		return m
	}
	m := GLOBL(name, RODATA|NOPTR)
	for i := range n {
		DATA(4*i, U32(f(i)))
	}
	constants[name] = m
	return m
}

// words and bytes are vectors of n words or bytes.
func words(name string, n int, f func(i int) uint16) Mem {
	return vector(name, n/2, func(i int) uint32 { return uint32(f(2*i)) | uint32(f(2*i+1))<<16 })
}

func bytes(name string, n int, f func(i int) byte) Mem {
	return words(name, n/2, func(i int) uint16 { return uint16(f(2*i)) | uint16(f(2*i+1))<<8 })
}

// splat is a register of 16 equal dwords.
func splat(v uint32) VecVirtual {
	z := ZMM()
	VPBROADCASTD(splatMem(v), z)
	return z
}

// splatMem is a dword for instructions that broadcast it themselves.
func splatMem(v uint32) Mem {
	return vector(fmt.Sprintf("splat_%08x", v), 1, func(int) uint32 { return v })
}

func splatF(f float64) VecVirtual { return splat(floatBits(f)) }

func load(m Mem) VecVirtual {
	z := ZMM()
	VMOVDQU32(m, z)
	return z
}

// zero is a cleared register. avo knows VXORPS to be independent of what was there, and VPXORD not.
func zero() VecVirtual {
	z := ZMM()
	VXORPS(z, z, z)
	return z
}

func arg(name string) GPVirtual { return Load(Param(name), GP64()).(GPVirtual) }

func ptr(name string) Mem { return Mem{Base: arg(name)} }

// kmask is a mask register with constant bits.
func kmask(bits uint16) OpmaskVirtual {
	r, k := GP32(), K()
	MOVL(U32(bits), r)
	KMOVW(r, k)
	return k
}

// transpose4 turns dword c of each 128-bit lane of x[d] into dword d of the result's register c. It overwrites x.
func transpose4(x []VecVirtual) []VecVirtual {
	t := ZMM()
	VPUNPCKHDQ(x[1], x[0], t)
	VPUNPCKLDQ(x[1], x[0], x[0])
	VPUNPCKHDQ(x[3], x[2], x[1])
	VPUNPCKLDQ(x[3], x[2], x[2])
	VPUNPCKLQDQ(x[2], x[0], x[3])
	VPUNPCKHQDQ(x[2], x[0], x[0])
	VPUNPCKLQDQ(x[1], t, x[2])
	VPUNPCKHQDQ(x[1], t, t)
	return []VecVirtual{x[3], x[0], x[2], t}
}

// laneSum adds the 16 floats of p to 0 in order; the sum is in element 0 of the result.
func laneSum(p Vec) VecVirtual {
	s := XMM()
	VXORPS(s, s, s)
	for lane := range 4 {
		x := XMM()
		if lane == 0 {
			VMOVAPS(p.AsX(), x)
		} else {
			VEXTRACTF32X4(U8(lane), p.AsZ(), x)
		}
		VADDSS(x, s, s)
		for i := 1; i < 4; i++ {
			e := XMM()
			VPERMILPS(U8(i), x, e)
			VADDSS(e, s, s)
		}
	}
	return s
}

// exp32 holds the constants of exp32Generic's twin.
type exp32 struct{ hi, lo, log2e, ln2hi, ln2lo, c0, c1, c2, c3, c4, c5, one Op }

func newExp32() exp32 {
	// As memory operands broadcast by the instruction, they take no registers.
	c := func(f float64) Mem { return splatMem(floatBits(f)) }
	return exp32{c(88.3), c(-87.3), c(1.44269504), c(-0.693359375), c(2.12194440e-4),
		c(1.9875691500e-4), c(1.3981999507e-3), c(8.3334519073e-3), c(4.1665795894e-2), c(1.6666665459e-1), c(5.0000001201e-1), c(1)}
}

// apply replaces x by e^x. A NaN stays one: MIN and MAX give their last source then, which is x.
func (e exp32) apply(x VecVirtual) {
	t := ZMM()
	VBROADCASTSS(e.hi, t)
	VMINPS(x, t, x)
	e.negative(x)
}

// negative is apply for x of at most 88.3.
func (e exp32) negative(x VecVirtual) {
	t, n, y, r2 := ZMM(), ZMM(), ZMM(), ZMM()
	VBROADCASTSS(e.lo, t)
	VMAXPS(x, t, x)
	VMULPS_BCST(e.log2e, x, n)
	VRNDSCALEPS(U8(8), n, n)
	VFMADD231PS_BCST(e.ln2hi, n, x)
	VFMADD231PS_BCST(e.ln2lo, n, x)
	VBROADCASTSS(e.c0, y)
	for _, c := range []Op{e.c1, e.c2, e.c3, e.c4, e.c5} {
		VFMADD213PS_BCST(c, x, y)
	}
	VMULPS(x, x, r2)
	VFMADD213PS(x, r2, y)
	VADDPS_BCST(e.one, y, y)
	VSCALEFPS(n, y, x)
}
