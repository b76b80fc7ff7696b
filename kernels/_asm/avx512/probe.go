package avx512

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// probe emits what measures the most that a core can do; benchmarks divide by it.
func probe() {
	TEXT("avx512ProbeFMA", NOSPLIT, "func(n int)")
	Doc("avx512ProbeFMA runs n times 64 fused multiply-adds: 1024 products of float32, summed, each time.")
	probeLoop(VFMADD231PS)

	TEXT("avx512ProbeMAC", NOSPLIT, "func(n int)")
	Doc("avx512ProbeMAC runs n times 64 VPDPBUSD: 4096 products of bytes, summed, each time.")
	probeLoop(func(a ...Op) { VPDPBUSD(a[0], a[1], a[2]) })
}

// probeLoop runs 64 times n of one instruction of three registers, in 16 chains.
func probeLoop(instruction func(...Op)) {
	n := arg("n")
	a, s := zero(), make([]VecVirtual, 16)
	for i := range s {
		s[i] = zero()
	}
	Label("loop")
	for i := range 64 {
		instruction(a, a, s[i%16])
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
