//go:build arm64 && !noasm

package kernels

import "github.com/llama31/llama31/gguf/block"

// neon is the row for NEON with SDOT (Armv8.4, and most cores of Armv8.2 since the Cortex-A55); its assembly is written by _asm/neon.
var neon = leaf{
	name:         "neon",
	quantize:     neonQuantize,
	residue:      residueGeneric,
	sumSquares:   neonSumSquares,
	scaleMul:     neonScaleMul,
	swiglu:       neonSwiGLU,
	rotate:       rotateGeneric,
	add:          neonAdd,
	tile:         4,
	abreast:      1,
	abreastFloat: 1,
	tileFloat:    4,
	interleave:   neonInterleave,
	mul:          neonMul,
	mulFloat:     func(a *mulFloatArgs) { neonMulFloat(a.k, a.w, a.a, a.c, a.ldc) },
	unpack: map[block.Type]func(nb int, w, q *byte, scale, off *float32){
		block.TypeQ4_0:   neonUnpackQ4_0,
		block.TypeQ4_1:   neonUnpackQ4_1,
		block.TypeQ5_0:   neonUnpackQ5_0,
		block.TypeQ5_1:   neonUnpackQ5_1,
		block.TypeQ8_0:   neonUnpackQ8_0,
		block.TypeIQ4_NL: neonUnpackIQ4_NL,
		block.TypeQ2_K:   func(nb int, w, q *byte, scale, off *float32) { neonUnpackQ2_K(nb/8, w, q, scale, off) },
		block.TypeQ3_K:   func(nb int, w, q *byte, scale, off *float32) { neonUnpackQ3_K(nb/8, w, q, scale, off) },
		block.TypeQ4_K:   func(nb int, w, q *byte, scale, off *float32) { neonUnpackQ4_K(nb/8, w, q, scale, off) },
		block.TypeQ5_K:   func(nb int, w, q *byte, scale, off *float32) { neonUnpackQ5_K(nb/8, w, q, scale, off) },
		block.TypeQ6_K:   func(nb int, w, q *byte, scale, off *float32) { neonUnpackQ6_K(nb/8, w, q, scale, off) },
		block.TypeIQ4_XS: func(nb int, w, q *byte, scale, off *float32) { neonUnpackIQ4_XS(nb/8, w, q, scale, off) },
	},
	dots: map[block.Type]dot{
		block.TypeQ4_0:   neonDot(neonDotQ4_0_1, neonDotQ4_0_2, neonDotQ4_0_4),
		block.TypeQ4_1:   neonDot(neonDotQ4_1_1, neonDotQ4_1_2, neonDotQ4_1_4),
		block.TypeQ5_0:   neonDot(neonDotQ5_0_1, neonDotQ5_0_2, neonDotQ5_0_4),
		block.TypeQ5_1:   neonDot(neonDotQ5_1_1, neonDotQ5_1_2, neonDotQ5_1_4),
		block.TypeQ8_0:   neonDot(neonDotQ8_0_1, neonDotQ8_0_2, neonDotQ8_0_4),
		block.TypeIQ4_NL: neonDot(neonDotIQ4_NL_1, neonDotIQ4_NL_2, neonDotIQ4_NL_4),
		block.TypeQ2_K:   neonDot(neonDotQ2_K_1, neonDotQ2_K_2),
		block.TypeQ3_K:   neonDot(neonDotQ3_K_1, neonDotQ3_K_2),
		block.TypeQ4_K:   neonDot(neonDotQ4_K_1, neonDotQ4_K_2, neonDotQ4_K_4),
		block.TypeQ5_K:   neonDot(neonDotQ5_K_1, neonDotQ5_K_2, neonDotQ5_K_4),
		block.TypeQ6_K:   neonDot(neonDotQ6_K_1, neonDotQ6_K_2),
		block.TypeIQ4_XS: neonDot(neonDotIQ4_XS_1, neonDotIQ4_XS_2, neonDotIQ4_XS_4),
		block.TypeF32:    neonFloatDot(neonDotF32_1, neonDotF32_2, neonDotF32_4),
		block.TypeF16:    neonFloatDot(neonDotF16_1, neonDotF16_2, neonDotF16_4),
		block.TypeBF16:   neonFloatDot(neonDotBF16_1, neonDotBF16_2, neonDotBF16_4),
	},
	attend:   neonAttend,
	merge:    neonMerge,
	toF16:    neonToF16,
	fromF16:  neonFromF16,
	fromBF16: neonFromBF16,
}

// neonMul picks the microkernel for a format's scales and offsets.
func neonMul(f *format, a *mulArgs) {
	run := byScales(f, neonMulBias, neonMulOff, neonMulBias2, neonMulOff2)
	if f.scales == 1 && f.bias == 128 {
		run = neonMulBias128
	}
	run(a.nb, a.q, a.scale, a.off, a.a, a.as, a.sum, a.init, a.c, a.ldc)
}

// neonDot joins a format's functions for 1, 2 and, where there is one, 4 tokens.
func neonDot(run ...func(w *byte, stride, rows, nb int, q *int8, scale, sum *float32, half *int32, y *float32, ldy int)) dot {
	return dot{tokens: 8, run: func(a *dotArgs) {
		neonRows(a, len(run), func(i, row, rows, t int) {
			run[i](at(a.w, row*a.stride), a.stride, rows, a.nb, at(a.q, 32*a.nb*t), at(a.scale, a.nb*t), at(a.sum, a.nb*t), at(a.half, 2*a.nb*t), at(a.y, t*a.ldy+row), a.ldy)
		})
	}}
}

// neonFloatDot is neonDot for float formats.
func neonFloatDot(run ...func(w *byte, stride, rows, nb int, x, y *float32, ldy int)) dot {
	return dot{tokens: 8, run: func(a *dotArgs) {
		neonRows(a, len(run), func(i, row, rows, t int) {
			run[i](at(a.w, row*a.stride), a.stride, rows, a.nb, at(a.x, 32*a.nb*t), at(a.y, t*a.ldy+row), a.ldy)
		})
	}}
}

// neonRows divides a's tokens among functions for 1<<i tokens, i below n. Tokens that do not fit one call come back to the same 4
// rows while they are in cache.
func neonRows(a *dotArgs, n int, run func(i, row, rows, t int)) {
	rows := a.rows
	if a.tokens&(a.tokens-1) != 0 || a.tokens >= 1<<n {
		rows = 4
	}
	for r := 0; r < a.rows; r += rows {
		for t := 0; t < a.tokens; {
			i := n - 1
			for 1<<i > a.tokens-t {
				i--
			}
			run(i, r, min(rows, a.rows-r), t)
			t += 1 << i
		}
	}
}

// neonAttend takes 2 neighbouring rows that see the same keys at once: the heads of a token that share a KV head do.
func neonAttend(a *attendArgs) {
	count := slice(a.count, a.rows)
	for r := 0; r < a.rows; {
		n, run := 1, neonAttend1
		if r+1 < a.rows && count[r+1] == count[r] {
			n, run = 2, neonAttend2
		}
		if count[r] > 0 {
			run(a.headDim, at(a.q, r*a.headDim), a.k, a.v, int(count[r]), at(a.m, r), at(a.l, r), at(a.o, r*a.headDim))
		}
		r += n
	}
}
