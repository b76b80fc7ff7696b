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
	mul:        func(f *format, a *mulArgs) { mulGeneric(f, a, 4) },
	mulFloat:   func(a *mulFloatArgs) { mulFloatGeneric(a, 4) },
	attend:     attendGeneric,
	toF16:      toF16Generic,
}
