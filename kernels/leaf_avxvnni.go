//go:build amd64 && !noasm

package kernels

import (
	"maps"

	"github.com/llama31/llama31/gguf/block"
)

// newAVXVNNI is the row for AVX-VNNI, which Intel's processors without AVX-512 have from Alder Lake on: that for AVX2 but for products of bytes, with the same
// bits. Its assembly is written by _asm/avxvnni.go.
func newAVXVNNI() *leaf {
	l := avx2
	l.name, l.tile = "avxvnni", 6
	l.mul = func(f *format, a *mulArgs) {
		run := byScales(f, avxvnniMulBias, avxvnniMulOff, avxvnniMulHalf2Bias, avxvnniMulOff2)
		run(a.nb, a.q, a.scale, a.off, a.a, a.as, a.sum, a.init, a.c, a.ldc)
	}
	l.dots = maps.Clone(avx2.dots)
	for typ, run := range map[block.Type][2]avx2Rows{
		block.TypeQ4_0:   {avxvnniDotQ4_0, avxvnniDotQ4_0s},
		block.TypeQ4_1:   {avxvnniDotQ4_1, avxvnniDotQ4_1s},
		block.TypeQ5_0:   {avxvnniDotQ5_0, avxvnniDotQ5_0s},
		block.TypeQ5_1:   {avxvnniDotQ5_1, avxvnniDotQ5_1s},
		block.TypeQ8_0:   {avxvnniDotQ8_0, avxvnniDotQ8_0s},
		block.TypeIQ4_NL: {avxvnniDotIQ4_NL, avxvnniDotIQ4_NLs},
		block.TypeQ2_K:   {avxvnniDotQ2_K, avxvnniDotQ2_Ks},
		block.TypeQ3_K:   {avxvnniDotQ3_K, avxvnniDotQ3_Ks},
		block.TypeQ4_K:   {avxvnniDotQ4_K, avxvnniDotQ4_Ks},
		block.TypeQ5_K:   {avxvnniDotQ5_K, avxvnniDotQ5_Ks},
		block.TypeIQ4_XS: {avxvnniDotIQ4_XS, avxvnniDotIQ4_XSs},
		block.TypeQ6_K:   {avxvnniDotQ6_K, avxvnniDotQ6_Ks},
	} {
		l.dots[typ] = avx2Dot(avx2.dots[typ].arrange, run[0], run[1])
	}
	return &l
}
