//go:build amd64 && !noasm

package kernels

import "golang.org/x/sys/cpu"

//go:generate go -C _asm run . -set avx2 -pkg kernels -out ../leaf_avx2_amd64.s -stubs ../leaf_avx2_amd64.go
//go:generate go -C _asm run . -set avx512 -pkg kernels -out ../leaf_avx512_amd64.s -stubs ../leaf_avx512_amd64.go

var detected = detect()

// detect lists the rows of the table that this machine can run, best first.
func detect() []*leaf {
	var ls []*leaf
	if x := cpu.X86; x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasAVX512VNNI {
		ls = append(ls, &avx512)
	}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasF16C {
		ls = append(ls, &avx2)
	}
	return append(ls, &generic)
}

func leaves() []*leaf { return detected }
