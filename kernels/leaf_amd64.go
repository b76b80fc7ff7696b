//go:build amd64 && !noasm

package kernels

import (
	"sync"

	"golang.org/x/sys/cpu"
)

// leaves asks when it is first called, and not before, for what a process has to be allowed.
var leaves = sync.OnceValue(detect)

// detect lists the rows of the table that this machine can run, best first.
func detect() []*leaf {
	var ls []*leaf
	x := cpu.X86
	if x.HasAVX2 && x.HasFMA && x.HasF16C && x.HasBMI2 {
		if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasAVX512VNNI {
			if x.HasAVX512BF16 {
				avx512.bf16 = &avx512BF16
			}
			if x.HasAMXTile && x.HasAMXInt8 && allowTiles() {
				ls = append(ls, newAMX(x.HasAMXBF16 && x.HasAVX512BF16))
			}
			avx512.winogradFaster = newWinogradFaster(&avx512)
			ls = append(ls, &avx512)
		}
		if x.HasAVXVNNI {
			ls = append(ls, newAVXVNNI())
		}
		ls = append(ls, &avx2)
	}
	return append(ls, &generic)
}
