package avx512

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// probe emits what measures the most that a core can do; benchmarks divide by it.
func probe() {
	TEXT("avx512ProbeMAC", NOSPLIT, "func(n int)")
	Doc("avx512ProbeMAC runs n times 64 VPDPBUSD: 4096 products of bytes, summed, each time.")
	n := arg("n")
	a, s := zero(), make([]VecVirtual, 16)
	for i := range s {
		s[i] = zero()
	}
	Label("loop")
	for i := range 64 {
		VPDPBUSD(a, a, s[i%16])
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
