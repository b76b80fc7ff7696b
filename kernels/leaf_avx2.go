//go:build amd64 && !noasm

package kernels

// avx2 is the row for AVX2 with FMA and F16C; its assembly is written by _asm/avx2*.go.
var avx2 = leaf{
	name:       "avx2",
	quantize:   quantizeGeneric,
	sumSquares: sumSquaresGeneric,
	scaleMul:   scaleMulGeneric,
	swiglu:     swigluGeneric,
	add:        avx2Add,
	tile:       4,
	tileFloat:  4,
	interleave: interleaveGeneric,
	mul:        avx2Mul,
	mulFloat:   func(a *mulFloatArgs) { mulFloatGeneric(a, 4) },
	attend:     attendGeneric,
	toF16:      toF16Generic,
}

func avx2Mul(f *format, a *mulArgs) {
	run := avx2MulBias255
	switch {
	case f.scales == 2 && f.bias == 0:
		run = avx2MulHalf2Off3
	case f.scales == 2 && f.max <= 7:
		run = avx2MulHalf2Bias7
	case f.scales == 2:
		run = avx2MulHalf2Bias63
	case f.max <= 15 && f.bias == 0:
		run = avx2MulOff15
	case f.max <= 15:
		run = avx2MulBias15
	case f.max <= 31 && f.bias == 0:
		run = avx2MulOff31
	case f.max <= 31:
		run = avx2MulBias31
	}
	run(a.nb, a.q, a.scale, a.off, a.a, a.as, a.sum, a.init, a.c, a.ldc)
}
