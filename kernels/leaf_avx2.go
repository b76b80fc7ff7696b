//go:build amd64 && !noasm

package kernels

import "github.com/llama31/llama31/gguf/block"

// avx2 is the row for AVX2 with FMA and F16C; its assembly is written by _asm/avx2*.go.
var avx2 = leaf{
	name:         "avx2",
	quantize:     avx2Quantize,
	residue:      residueGeneric,
	sumSquares:   avx2SumSquares,
	scaleMul:     avx2ScaleMul,
	swiglu:       avx2SwiGLU,
	rotate:       rotateGeneric,
	add:          avx2Add,
	tile:         4,
	abreast:      1,
	abreastFloat: 1,
	tileFloat:    6,
	interleave:   avx2Interleave,
	mul:          avx2Mul,
	mulFloat:     func(a *mulFloatArgs) { avx2MulFloat(a.k, a.w, a.a, a.c, a.ldc) },
	unpack: map[block.Type]func(nb int, w, q *byte, scale, off *float32){
		block.TypeQ4_0:   avx2UnpackQ4_0,
		block.TypeQ4_1:   avx2UnpackQ4_1,
		block.TypeQ5_0:   avx2UnpackQ5_0,
		block.TypeQ5_1:   avx2UnpackQ5_1,
		block.TypeQ8_0:   avx2UnpackQ8_0,
		block.TypeIQ4_NL: avx2UnpackIQ4_NL,
		block.TypeQ2_K:   func(nb int, w, q *byte, scale, off *float32) { avx2UnpackQ2_K(nb/8, w, q, scale, off) },
		block.TypeQ3_K:   func(nb int, w, q *byte, scale, off *float32) { avx2UnpackQ3_K(nb/8, w, q, scale, off) },
		block.TypeQ4_K:   func(nb int, w, q *byte, scale, off *float32) { avx2UnpackQ4_K(nb/8, w, q, scale, off) },
		block.TypeQ5_K:   func(nb int, w, q *byte, scale, off *float32) { avx2UnpackQ5_K(nb/8, w, q, scale, off) },
		block.TypeQ6_K:   func(nb int, w, q *byte, scale, off *float32) { avx2UnpackQ6_K(nb/8, w, q, scale, off) },
		block.TypeIQ4_XS: func(nb int, w, q *byte, scale, off *float32) { avx2UnpackIQ4_XS(nb/8, w, q, scale, off) },
	},
	dots: map[block.Type]dot{
		block.TypeF32:    avx2DotFloat(avx2DotF32_1, avx2DotF32_2, avx2DotF32_3, avx2DotF32_4),
		block.TypeF16:    avx2DotFloat(avx2DotF16_1, avx2DotF16_2, avx2DotF16_3, avx2DotF16_4),
		block.TypeBF16:   avx2DotFloat(avx2DotBF16_1, avx2DotBF16_2, avx2DotBF16_3, avx2DotBF16_4),
		block.TypeQ4_0:   avx2Dot(arrange8(avx2Arrange), avx2DotQ4_0, avx2DotQ4_0s),
		block.TypeQ4_1:   avx2Dot(arrange8(avx2Arrange), avx2DotQ4_1, avx2DotQ4_1s),
		block.TypeQ5_0:   avx2Dot(arrange8(avx2Arrange), avx2DotQ5_0, avx2DotQ5_0s),
		block.TypeQ5_1:   avx2Dot(arrange8(avx2Arrange), avx2DotQ5_1, avx2DotQ5_1s),
		block.TypeQ8_0:   avx2Dot(arrange8(avx2Arrange), avx2DotQ8_0, avx2DotQ8_0s),
		block.TypeIQ4_NL: avx2Dot(arrange8(avx2Arrange), avx2DotIQ4_NL, avx2DotIQ4_NLs),
		block.TypeQ2_K:   avx2Dot(arrange8(avx2ArrangeQ6_K), avx2DotQ2_K, avx2DotQ2_Ks),
		block.TypeQ3_K:   avx2Dot(arrange8(avx2ArrangeQ6_K), avx2DotQ3_K, avx2DotQ3_Ks),
		block.TypeQ4_K:   avx2Dot(arrange8(avx2ArrangeQ4_K), avx2DotQ4_K, avx2DotQ4_Ks),
		block.TypeQ5_K:   avx2Dot(arrange8(avx2ArrangeQ4_K), avx2DotQ5_K, avx2DotQ5_Ks),
		block.TypeIQ4_XS: avx2Dot(arrange8(avx2Arrange), avx2DotIQ4_XS, avx2DotIQ4_XSs),
		block.TypeQ6_K:   avx2Dot(arrange8(avx2ArrangeQ6_K), avx2DotQ6_K, avx2DotQ6_Ks),
	},
	attend:   avx2Attend,
	attendQ8: avx2AttendQ8,
	merge:    avx2Merge,
	toF16:    avx2ToF16,
	fromF16:  avx2FromF16,
	fromBF16: avx2FromBF16,
}

func avx2Mul(f *format, a *mulArgs) {
	run := avx2MulBias255
	switch {
	case f.offs == 2:
		run = avx2MulOff2
	case f.scales == 2 && f.max <= 7:
		run = avx2MulHalf2Bias7
	case f.scales == 2 && f.max <= 63:
		run = avx2MulHalf2Bias63
	case f.scales == 2:
		run = avx2MulHalf2Bias127
	case f.max <= 15 && f.bias == 0:
		run = avx2MulOff15
	case f.max <= 15:
		run = avx2MulBias15
	case f.max <= 31 && f.bias == 0:
		run = avx2MulOff31
	case f.max <= 31:
		run = avx2MulBias31
	case f.max <= 127:
		run = avx2MulBias127
	}
	run(a.nb, a.q, a.scale, a.off, a.a, a.as, a.sum, a.init, a.c, a.ldc)
}

type avx2Rows = func(w *byte, stride, rows, nb, tokens int, q *int8, scale, sum *float32, half *int32, y *float32, ldy int)

// avx2Dot is a row dot of one function for a single token and one for up to 8.
func avx2Dot(arrange func(nb int, q, o *int8), one, many avx2Rows) dot {
	return dot{tokens: 8, arrange: arrange, run: func(a *dotArgs) {
		run := many
		if a.tokens == 1 {
			run = one
		}
		run(a.w, a.stride, a.rows, a.nb, a.tokens, a.q, a.scale, a.sum, a.half, a.y, a.ldy)
	}}
}

// avx2DotFloat is a float row dot of a function per number of tokens.
func avx2DotFloat(run ...func(w *byte, stride, rows, nb int, x, y *float32, ldy int)) dot {
	return dot{tokens: len(run), run: func(a *dotArgs) {
		run[a.tokens-1](a.w, a.stride, a.rows, a.nb, a.x, a.y, a.ldy)
	}}
}

// arrange8 arranges whole groups of 8 blocks by groups, and the blocks behind them so that each vector has a dword of every block.
func arrange8(groups func(n int, q, o *int8)) func(nb int, q, o *int8) {
	return func(nb int, q, o *int8) {
		n := nb / 8
		if n > 0 {
			groups(n, q, o)
		}
		if rest := nb % 8; rest > 0 {
			in, out := slice(at(q, 256*n), 32*rest), slice(at(o, 256*n), 32*rest)
			for b := range rest {
				for g := range 8 {
					copy(out[4*(g*rest+b):][:4], in[32*b+4*g:][:4])
				}
			}
		}
	}
}

// avx2Attend takes up to 4 neighbouring rows that see the same keys at once: the heads of a token that share a KV head do.
func avx2Attend(a *attendArgs) {
	run := [...]func(headDim int, q *float32, k, v *uint16, count int, m, l, o *float32){1: avx2Attend_1, avx2Attend_2, avx2Attend_3, avx2Attend_4}
	for r, n := a.alike(0); n > 0; r, n = a.alike(r + n) {
		n = min(n, 4)
		run[n](a.headDim, at(a.q, r*a.headDim), a.k, a.v, int(*at(a.count, r)), at(a.m, r), at(a.l, r), at(a.o, r*a.headDim))
	}
}

func avx2AttendQ8(a *attendArgs) {
	run := [...]func(headDim int, q *float32, k, v *int8, ks, vs *uint16, count int, m, l, o *float32){1: avx2AttendQ8_1, avx2AttendQ8_2, avx2AttendQ8_3, avx2AttendQ8_4}
	for r, n := a.alike(0); n > 0; r, n = a.alike(r + n) {
		n = min(n, 4)
		run[n](a.headDim, at(a.q, r*a.headDim), a.k8, a.v8, a.ks, a.vs, int(*at(a.count, r)), at(a.m, r), at(a.l, r), at(a.o, r*a.headDim))
	}
}
