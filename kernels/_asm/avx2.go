package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// avx2 emits the row for AVX2 + FMA + F16C.
func avx2() {
	avx2Constants()
	for _, m := range avx2Muls {
		m.emit()
	}
	interleave()
	arranges()
	for _, d := range avx2Dots {
		d.emit(true)
		d.emit(false)
	}
	quantize()
	for _, f := range kvFormats {
		for rows := 1; rows <= 4; rows++ {
			attend(f.name, f.size, f.scaled, rows)
		}
	}
	mulFloat()
	for _, f := range avx2DotFloats {
		for n := 1; n <= avx2MaxTokensFloat; n++ {
			dotFloat(f.name, f.size, f.load, n)
		}
	}
	unpacks()
	elementwises()
	avx2Probes()
}

// avx2Consts are constants in memory; registers are scarce.
var avx2Consts struct {
	ones                     Mem // int16 1
	flip                     Mem // 0x80 bytes
	nibble                   Mem // 15 bytes
	bits45                   Mem // 0x30 bytes
	pairs                    Mem // shuffle: the low words of 4 dwords, then the high ones
	shift02                  Mem // dwords 0 2 0 2 …
	shift04                  Mem // dwords 0 4 0 4 …
	shift0246                Mem // dwords 0 2 4 6 …
	shiftNibbles             Mem // dwords 0 4 … 28
	shiftPairs               Mem // dwords 16 18 … 30
	dword3, dword15, dword32 Mem
	low6                     Mem // 0x3f bytes
	bits01                   Mem // 3 bytes
	bit0to4                  Mem // shuffle table: bit 0 of the index becomes 16
	bit1to4                  Mem // shuffle table: bit 1 of the index becomes 16
	iq4                      Mem // IQ4's 16 values
	tops                     Mem // bytes 16 32 64 128 16 …
	eighths                  Mem // shuffle: each of 4 bytes, eight times
	bitOf                    Mem // bytes 1 2 4 … 128 1 …
	bit2                     Mem // 4 bytes
	bits0145                 Mem // 0x33 bytes
	byte32                   Mem // 32 bytes
	scales16                 Mem // shuffle: scales of the first, then the last 16 values of blocks 0 1 4 5 2 3 6 7
	mask                     Mem // 32 dwords of ones, 32 of zeros
	bytes                    Mem // dwords 255
	order                    Mem // dwords 0 4 1 5 2 6 3 7
	abs                      Mem // all bits but a float's sign
	sign                     Mem // a float's sign
	bit4                     Mem // 16 bytes
	shiftHigh                Mem // dwords 0 0 0 0 4 4 4 4
	lowest                   Mem // float32 -infinity

	words16 [8]Mem // shuffles: byte 2n as words, then byte 2n+1
	byteOf  [4]Mem // shuffles: byte n of each dword, four times
	third   [2]Mem // shuffle tables: bits 0 and 2 of the index become 4 and 0x40; bits 1 and 3 do
	exp     [13]Mem
}

func avx2Constants() {
	c := &avx2Consts
	c.ones = words("avx2Ones", 0x0001000100010001)
	c.flip = words("avx2Flip", 0x8080808080808080)
	c.nibble = words("avx2Nibble", 0x0f0f0f0f0f0f0f0f)
	c.bits45 = words("avx2Bits45", 0x3030303030303030)
	c.pairs = words("avx2Pairs", 0x0d0c090805040100, 0x0f0e0b0a07060302)
	c.shift02 = words("avx2Shift02", 2<<32)
	c.shift04 = words("avx2Shift04", 4<<32)
	c.shift0246 = words("avx2Shift0246", 2<<32, 6<<32|4)
	c.shiftNibbles = words("avx2ShiftNibbles", 4<<32, 12<<32|8, 20<<32|16, 28<<32|24)
	c.shiftPairs = words("avx2ShiftPairs", 18<<32|16, 22<<32|20, 26<<32|24, 30<<32|28)
	c.dword3 = words("avx2Dword3", 3<<32|3)
	c.dword15 = words("avx2Dword15", 15<<32|15)
	c.dword32 = words("avx2Dword32", 32<<32|32)
	c.low6 = words("avx2Low6", 0x3f3f3f3f3f3f3f3f)
	c.bits01 = words("avx2Bits01", 0x0303030303030303)
	c.bit0to4 = words("avx2Bit0To4", 0x10001000)
	c.bit1to4 = words("avx2Bit1To4", 0x10100000)
	c.iq4 = words("avx2IQ4", 0xf6eaddcfbfad9881, 0x7159453526190d01)
	for i := range c.words16 {
		n := uint64(i) * 0x0002000200020002
		c.words16[i] = words(fmt.Sprintf("avx2Words16_%d", i), 0x8000800080008000+n, 0x8000800080008000+n, 0x8001800180018001+n, 0x8001800180018001+n)
	}
	for i := range c.byteOf {
		n := uint64(i) * 0x0101010101010101
		c.byteOf[i] = words(fmt.Sprintf("avx2ByteOf%d", i), n+0x0404040400000000, n+0x0c0c0c0c08080808)
	}
	c.tops = words("avx2Tops", 0x8040201080402010)
	c.eighths = words("avx2Eighths", 0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303)
	c.bitOf = words("avx2BitOf", 0x8040201008040201)
	c.bit2 = words("avx2Bit2", 0x0404040404040404)
	c.third = [2]Mem{words("avx2ThirdEven", 0x4440444004000400), words("avx2ThirdOdd", 0x0404000004040000, 0x4444404044444040)}
	c.bits0145 = words("avx2Bits0145", 0x3333333333333333)
	c.byte32 = words("avx2Byte32", 0x2020202020202020)
	c.scales16 = words("avx2Scales16", 0x0e0c06040a080200, 0x0f0d07050b090301)
	c.mask = GLOBL("avx2Mask", RODATA|NOPTR)
	for i := range 32 {
		v := ^uint64(0)
		if i >= 16 {
			v = 0
		}
		DATA(8*i, U64(v))
	}
	c.bytes = words("avx2Bytes", 0x000000ff000000ff)
	c.order = words("avx2Order", 4<<32, 5<<32|1, 6<<32|2, 7<<32|3)
	c.sign = words("avx2Sign", 0x8000000080000000)
	c.bit4 = words("avx2Bit4", 0x1010101010101010)
	c.shiftHigh = words("avx2ShiftHigh", 0, 0, 4<<32|4, 4<<32|4)
	c.abs = words("avx2Abs", 0x7fffffff7fffffff)
	c.lowest = words("avx2Lowest", 0xff800000ff800000)
	for i, v := range expConstants {
		c.exp[i] = words(fmt.Sprintf("avx2Exp%d", i), uint64(v)<<32|uint64(v))
	}
}

// words is a constant of 32 bytes that repeats v.
func words(name string, v ...uint64) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i := range 4 {
		DATA(8*i, U64(v[i%len(v)]))
	}
	return m
}

func quantize() {
	TEXT("avx2Quantize", NOSPLIT, "func(nb int, limit float32, x *float32, q *int8, scale, sum *float32, half *int32)")
	Doc("avx2Quantize is quantize.")
	Pragma("noescape")
	nb := Load(Param("nb"), GP64())
	arg := func(name string) Mem { return Mem{Base: Load(Param(name), GP64())} }
	x, q, scale, sum, half := arg("x"), arg("q"), arg("scale"), arg("sum"), arg("half")
	abs, low, order, limit := YMM(), YMM(), YMM(), YMM()
	VMOVDQU(avx2Consts.abs, abs)
	VMOVDQU(avx2Consts.bytes, low)
	VMOVDQU(avx2Consts.order, order)
	VBROADCASTSS(Load(Param("limit"), XMM()), limit)
	Label("loop")
	var v [4]ymm
	m := YMM()
	for i := range v {
		v[i] = YMM()
		VMOVUPS(x.Offset(32*i), v[i])
		// As integers, magnitudes compare as floats do, and NaN is above infinity.
		if i == 0 {
			VPAND(abs, v[i], m)
		} else {
			t := YMM()
			VPAND(abs, v[i], t)
			VPMAXUD(t, m, m)
		}
	}
	t := YMM()
	VPERM2I128(Imm(1), m, m, t)
	VPMAXUD(t, m, m)
	VPSHUFD(Imm(0x4e), m, t)
	VPMAXUD(t, m, m)
	VPSHUFD(Imm(0xb1), m, t)
	VPMAXUD(t, m, m)
	d, inv, zero := YMM(), YMM(), YMM()
	VDIVPS(limit, m, d)
	VXORPS(zero, zero, zero)
	VCMPPS(Imm(0x1e), zero, m, zero) // m > 0, and not NaN
	VDIVPS(m, limit, inv)
	VANDPS(zero, inv, inv)
	VMOVSS(d.AsX(), scale)
	for i := range v {
		VMULPS(inv, v[i], v[i])
		VCVTPS2DQ(v[i], v[i])
	}
	s, s1 := YMM(), YMM()
	VPADDD(v[1], v[0], s)
	VPADDD(v[3], v[2], s1)
	VPHADDD(s1, s, s)
	VEXTRACTI128(Imm(1), s, s1.AsX())
	VPADDD(s1.AsX(), s.AsX(), s.AsX())
	VPHADDD(s.AsX(), s.AsX(), s.AsX())
	VMOVQ(s.AsX(), half)
	VPHADDD(s.AsX(), s.AsX(), s.AsX())
	VCVTDQ2PS(s.AsX(), s.AsX())
	VMULSS(d.AsX(), s.AsX(), s.AsX())
	VMOVSS(s.AsX(), sum)
	for i := range v {
		VPAND(low, v[i], v[i])
	}
	VPACKUSDW(v[1], v[0], v[0])
	VPACKUSDW(v[3], v[2], v[2])
	VPACKUSWB(v[2], v[0], v[0])
	VPERMD(v[0], order, v[0])
	VMOVDQU(v[0], q)
	ADDQ(I32(128), x.Base)
	ADDQ(U8(32), q.Base)
	ADDQ(U8(4), scale.Base)
	ADDQ(U8(4), sum.Base)
	ADDQ(U8(8), half.Base)
	DECQ(nb)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
