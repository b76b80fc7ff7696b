package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// avx2 emits the row for AVX2 + FMA + F16C.
func avx2() {
	avx2Add()
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
