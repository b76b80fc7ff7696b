package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The probes measure what a core can do at most; benchmarks divide by them.
func avx2Probes() {
	TEXT("avx2ProbeMAC", NOSPLIT, "func(n int)")
	Doc("avx2ProbeMAC runs n times 16 VPMADDUBSW and as many VPADDW: 512 products of bytes, summed, each time.")
	n := Load(Param("n"), GP64())
	w, x := YMM(), YMM()
	VPXOR(w, w, w)
	VPXOR(x, x, x)
	var s [8]reg.VecVirtual
	for i := range s {
		s[i] = YMM()
		VPXOR(s[i], s[i], s[i])
	}
	Label("loop")
	for i := range 16 {
		p := YMM()
		VPMADDUBSW(x, w, p)
		VPADDW(p, s[i%8], s[i%8])
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()

	TEXT("avx2ProbeFMA", NOSPLIT, "func(n int)")
	Doc("avx2ProbeFMA runs n times 24 fused multiply-adds: 192 products of float32, summed, each time.")
	n = Load(Param("n"), GP64())
	var f [12]reg.VecVirtual
	for i := range f {
		f[i] = YMM()
		VPXOR(f[i], f[i], f[i])
	}
	zero := YMM()
	VPXOR(zero, zero, zero)
	Label("loopFMA")
	for i := range 24 {
		VFMADD231PS(zero, zero, f[i%12])
	}
	DECQ(n)
	JNZ(LabelRef("loopFMA"))
	VZEROUPPER()
	RET()

	TEXT("avx2ProbeRead", NOSPLIT, "func(n int, p *byte, ahead int)")
	Doc("avx2ProbeRead reads n lines of 64 bytes, n a multiple of 8, and prefetches the line that is ahead bytes further.")
	Pragma("noescape")
	n = Load(Param("n"), GP64())
	p := Load(Param("p"), GP64())
	ahead := Load(Param("ahead"), GP64())
	for i := range s {
		s[i] = YMM()
		VPXOR(s[i], s[i], s[i])
	}
	Label("loop2")
	for i := range 8 {
		PREFETCHT0(Mem{Base: p, Index: ahead, Scale: 1, Disp: 64 * i})
		VPADDD(Mem{Base: p, Disp: 64 * i}, s[i], s[i])
		VPADDD(Mem{Base: p, Disp: 64*i + 32}, s[i], s[i])
	}
	ADDQ(I32(512), p)
	SUBQ(U8(8), n)
	JNZ(LabelRef("loop2"))
	VZEROUPPER()
	RET()

	TEXT("avx2ProbeClock", NOSPLIT, "func(n int)")
	Doc("avx2ProbeClock runs a chain of 16·n additions: a cycle each.")
	n = Load(Param("n"), GP64())
	c := GP64()
	XORQ(c, c)
	Label("loop3")
	for range 16 {
		ADDQ(n, c)
	}
	DECQ(n)
	JNZ(LabelRef("loop3"))
	RET()
}
