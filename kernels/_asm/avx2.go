package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// avx2 emits the row for AVX2 + FMA + F16C.
func avx2() {
	ones := words("avx2Ones", 0x0001000100010001)
	flip := words("avx2Flip", 0x8080808080808080)
	for _, m := range avx2Muls {
		m.emit(ones, flip)
	}
	avx2Add()
}

// words is a constant of 32 bytes that repeats v.
func words(name string, v uint64) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i := range 4 {
		DATA(8*i, U64(v))
	}
	return m
}

func avx2Add() {
	TEXT("avx2Add", NOSPLIT, "func(n int, x, y *float32)")
	Doc("avx2Add computes y[i] += x[i].")
	Pragma("noescape")
	n, x, y := Load(Param("n"), GP64()), Mem{Base: Load(Param("x"), GP64())}, Mem{Base: Load(Param("y"), GP64())}
	Label("loop")
	for i := range 2 {
		v := YMM()
		VMOVUPS(y.Offset(32*i), v)
		VADDPS(x.Offset(32*i), v, v)
		VMOVUPS(v, y.Offset(32*i))
	}
	ADDQ(U8(64), x.Base)
	ADDQ(U8(64), y.Base)
	SUBQ(U8(16), n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
