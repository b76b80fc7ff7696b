//go:build amd64 && !noasm

package kernels

import (
	"unsafe"

	"github.com/llama31/llama31/gguf/block"
)

// avx512 is the row for AVX-512 with VNNI (Zen 4, Ice Lake and later); its assembly is written by _asm/avx512.
var avx512 = leaf{
	name:       "avx512",
	quantize:   avx512Quantize,
	residue:    avx512Residue,
	sumSquares: avx512SumSquares,
	scaleMul:   avx512ScaleMul,
	swiglu:     avx512Swiglu,
	rotate:     avx512Rotate,
	add:        avx512Add,
	tile:       16,
	tileFloat:  16,
	interleave: avx512Interleave,
	abreast:    2,
	mul:        avx512Mul,
	winograd:   &avx512Winograds,
	mulFloat: func(a *mulFloatArgs) {
		avx512MulFloat(a.k, a.w, a.apart, a.tiles, a.a, a.part, a.c, a.ldc, a.apartC, a.near.row, a.near.ahead)
	},
	abreastFloat: 2,
	strips:       48, // with 64 tokens panels are 1.1 times as fast for Q4_K and IQ4_XS, and 0.93 to 1.0 for Q8_0 and Q6_K; with 48 they are level, and 0.85 for Q8_0; with 40 0.75 to 0.87
	dots: map[block.Type]dot{
		block.TypeQ4_0:   avx512Dot(avx512DotQ4_0, avx512DotQ4_0Two, avx512StripQ4_0),
		block.TypeQ4_1:   avx512Dot(avx512DotQ4_1, avx512DotQ4_1Two, avx512StripQ4_1),
		block.TypeQ5_0:   avx512Dot(avx512DotQ5_0, avx512DotQ5_0Two, nil),
		block.TypeQ5_1:   avx512Dot(avx512DotQ5_1, avx512DotQ5_1Two, nil),
		block.TypeQ8_0:   avx512Dot(avx512DotQ8_0, avx512DotQ8_0Two, avx512StripQ8_0),
		block.TypeQ2_K:   avx512Dot(avx512DotQ2_K, avx512DotQ2_KTwo, nil),
		block.TypeQ3_K:   avx512Dot(avx512DotQ3_K, avx512DotQ3_KTwo, nil),
		block.TypeQ4_K:   avx512Dot(avx512DotQ4_K, avx512DotQ4_KTwo, avx512StripQ4_K),
		block.TypeQ5_K:   avx512Dot(avx512DotQ5_K, avx512DotQ5_KTwo, avx512StripQ5_K),
		block.TypeQ6_K:   avx512Dot(avx512DotQ6_K, avx512DotQ6_KTwo, avx512StripQ6_K),
		block.TypeIQ4_NL: avx512Dot(avx512DotIQ4_NL, avx512DotIQ4_NLTwo, nil),
		block.TypeIQ4_XS: avx512Dot(avx512DotIQ4_XS, avx512DotIQ4_XSTwo, avx512StripIQ4_XS),

		block.TypeIQ1_S:   avx512Dot(avx512DotIQ1_S, avx512DotIQ1_STwo, nil),
		block.TypeIQ1_M:   avx512Dot(avx512DotIQ1_M, avx512DotIQ1_MTwo, nil),
		block.TypeIQ2_XXS: avx512Dot(avx512DotIQ2_XXS, avx512DotIQ2_XXSTwo, nil),
		block.TypeIQ2_XS:  avx512Dot(avx512DotIQ2_XS, avx512DotIQ2_XSTwo, nil),
		block.TypeIQ2_S:   avx512Dot(avx512DotIQ2_S, avx512DotIQ2_STwo, nil),
		block.TypeIQ3_XXS: avx512Dot(avx512DotIQ3_XXS, avx512DotIQ3_XXSTwo, nil),
		block.TypeIQ3_S:   avx512Dot(avx512DotIQ3_S, avx512DotIQ3_STwo, nil),

		block.TypeTQ1_0: avx512Dot(avx512DotTQ1_0, avx512DotTQ1_0Two, nil),
		block.TypeTQ2_0: avx512Dot(avx512DotTQ2_0, avx512DotTQ2_0Two, nil),

		block.TypeF32:  avx512FloatDot(32, avx512DotF32_1, avx512DotF32_2, avx512DotF32_4),
		block.TypeF16:  avx512FloatDot(32, avx512DotF16_1, avx512DotF16_2, avx512DotF16_4),
		block.TypeBF16: avx512FloatDot(32, avx512DotBF16_1, avx512DotBF16_2, avx512DotBF16_4),
	},
	unpack: map[block.Type]func(nb int, w, q *byte, scale, off *float32){
		block.TypeQ4_0:   avx512UnpackQ4_0,
		block.TypeQ4_1:   avx512UnpackQ4_1,
		block.TypeQ5_0:   avx512UnpackQ5_0,
		block.TypeQ5_1:   avx512UnpackQ5_1,
		block.TypeQ8_0:   avx512UnpackQ8_0,
		block.TypeQ2_K:   avx512UnpackQ2_K,
		block.TypeQ3_K:   avx512UnpackQ3_K,
		block.TypeIQ4_NL: avx512UnpackIQ4_NL,

		block.TypeIQ1_S:   avx512UnpackIQ1_S,
		block.TypeIQ1_M:   avx512UnpackIQ1_M,
		block.TypeIQ2_XXS: avx512UnpackIQ2_XXS,
		block.TypeIQ2_XS:  avx512UnpackIQ2_XS,
		block.TypeIQ2_S:   avx512UnpackIQ2_S,
		block.TypeIQ3_XXS: avx512UnpackIQ3_XXS,
		block.TypeIQ3_S:   avx512UnpackIQ3_S,
		block.TypeTQ1_0:   avx512UnpackTQ1_0,
		block.TypeTQ2_0:   avx512UnpackTQ2_0,
	},
	panels: map[block.Type]func(w *byte, stride, nb int, q *byte, scale, off *float32){
		block.TypeQ4_K:   avx512PanelQ4_K,
		block.TypeQ5_K:   avx512PanelQ5_K,
		block.TypeQ6_K:   avx512PanelQ6_K,
		block.TypeIQ4_XS: avx512PanelIQ4_XS,
	},
	attend:   avx512Attend,
	attendQ8: avx512AttendQ8,
	merge:    avx512Merge,
	toF16:    avx512ToF16,
	fromF16:  avx512FromF16,
	fromBF16: avx512FromBF16,
	lanes: map[block.Type]func(k int, rows *byte, stride int, w *float32){
		block.TypeF32:  avx512Lanes,
		block.TypeF16:  avx512LanesF16,
		block.TypeBF16: avx512LanesBF16,
	},
}

// avx512BF16 is bf16 of the row for AVX-512, where the CPU has VDPBF16PS (Zen 4, Cooper Lake, Sapphire Rapids and later).
var avx512BF16 = bf16Leaf{
	round: avx512ToBF16,
	mul: func(a *mulFloatArgs) {
		avx512MulPairs(a.k, a.w, a.apart, a.tiles, a.a, a.part, a.c, a.ldc, a.apartC, a.near.row, a.near.ahead)
	},
	dot:    avx512FloatDot(16, avx512DotPairs_1, avx512DotPairs_2, avx512DotPairs_4),
	attend: avx512AttendPairs,
}

// avx512Mul picks the microkernel for a format's scales and offsets.
func avx512Mul(f *format, a *mulArgs) {
	run := byScales(f, avx512MulBias, avx512MulOff, avx512MulBias2, avx512MulOff2)
	run(a.nb, a.q, a.scale, a.off, a.apart, a.tiles, a.a, a.as, a.sum, a.init, nil, a.part, a.c, a.ldc, a.apartC, a.near.row, a.near.ahead)
}

var avx512Winograds = winogradLeaf{
	panel: func(f *format, nb int, q *byte, cross *int32) {
		run := avx512WinogradPanel
		if f.scales == 2 {
			run = avx512WinogradPanel2
		}
		run(nb, int(f.mid()), q, cross)
	},
	tile: func(f *format, nb int, a *int8, init *int32) {
		run := avx512WinogradTile
		if f.scales == 2 {
			run = avx512WinogradTile2
		}
		run(nb, int(f.mid()), int(f.bias), a, init)
	},
	mul: func(f *format, a *mulArgs) {
		run := byScales(f, avx512Winograd, avx512WinogradOff, avx512Winograd2, avx512WinogradOff2)
		run(a.nb, a.q, a.scale, a.off, a.apart, a.tiles, a.a, a.as, a.sum, a.init, a.cross, a.part, a.c, a.ldc, a.apartC, a.near.row, a.near.ahead)
	},
}

// avx512Dot joins a format's functions, for one token, for two, and, if there is one, for more.
func avx512Dot(
	one func(w *byte, stride, rows, nb int, q *int8, scale, sum *float32, half *int32, y *float32),
	two func(w *byte, stride, rows, nb int, q *int8, scale, sum *float32, half *int32, y *float32, ldy int),
	strip avx512Strip,
) dot {
	d := dot{
		tokens:  2,
		arrange: avx512ArrangeRow,
		run: func(a *dotArgs) {
			if a.tokens == 1 {
				one(a.w, a.stride, a.rows, a.nb, a.q, a.scale, a.sum, a.half, a.y)
			} else {
				two(a.w, a.stride, a.rows, a.nb, a.q, a.scale, a.sum, a.half, a.y, a.ldy)
			}
		},
	}
	if strip != nil {
		d.strip = func(a *stripArgs) { avx512Strips(a, strip) }
	}
	return d
}

type avx512Strip = func(w *byte, stride, nb, tokens int, near *byte, q *int8, scale, sum *float32, init *int32, ld int, y *float32, ldy int)

// avx512StripTokens is how many tokens a strip takes. With 16, which opened weights twice as often, 20 to 64 tokens took 3 to 11% longer; with 64 the partial
// sums fill the cache of the first level, and nothing is gained.
const avx512StripTokens = 32

// avx512Strips runs rows 16 at a time, and of the tokens 32. Meanwhile the bytes of the next rows are brought near: 16 rows of a file are read
// here and there, the next 16 in order. Without that an 8B generated 21 tokens a second in 8 sequences, and 47 with it. What is left of the rows is run as 16 times the same.
func avx512Strips(a *stripArgs, strip avx512Strip) {
	run := func(r, stride int, near *byte, y *float32, ldy, t int) {
		var init *int32
		if a.init != nil {
			init = at(a.init, a.scales*t)
		}
		strip(at(a.w, r*a.stride), stride, a.nb, min(avx512StripTokens, a.tokens-t), near, at(a.q, 32*t), at(a.scale, t), at(a.sum, t), init, a.ld, y, ldy)
	}
	r := 0
	for ; r+panelRows <= a.rows; r += panelRows {
		near := a.near
		if r+2*panelRows <= a.rows {
			near = at(a.w, (r+panelRows)*a.stride)
		}
		for t := 0; t < a.tokens; t += avx512StripTokens {
			run(r, a.stride, near, at(a.y, t*a.ldy+r), a.ldy, t)
		}
	}
	for ; r < a.rows; r++ {
		for t := 0; t < a.tokens; t += avx512StripTokens {
			var y [avx512StripTokens][panelRows]float32
			run(r, 0, a.near, &y[0][0], panelRows, t)
			for i := range min(avx512StripTokens, a.tokens-t) {
				*at(a.y, (t+i)*a.ldy+r) = y[i][0]
			}
		}
	}
}

// avx512FloatDot joins a float format's functions for 1, 2 and 4 tokens. Each takes 4 rows at a time; more tokens come back to the
// same 4 rows while they are in cache. A token has so many dwords for 32 values.
func avx512FloatDot(dwords int, run1, run2, run4 func(w *byte, stride, rows, nb int, x, y *float32, ldy int)) dot {
	return dot{tokens: 8, run: func(a *dotArgs) {
		if a.tokens == 1 {
			run1(a.w, a.stride, a.rows, a.nb, a.x, a.y, a.ldy)
			return
		}
		for r := 0; r < a.rows; r += 4 {
			for t := 0; t < a.tokens; {
				run, n := run4, 4
				switch left := a.tokens - t; {
				case left == 1:
					run, n = run1, 1
				case left < 4:
					run, n = run2, 2
				}
				run(at(a.w, r*a.stride), a.stride, min(4, a.rows-r), a.nb, at(a.x, dwords*a.nb*t), at(a.y, t*a.ldy+r), a.ldy)
				t += n
			}
		}
	}}
}

// avx512ArrangeRow orders a token for the row dots. Dword c of lane l of a group's register d is dword d+4·(l%2) of its block
// 4·(l/2)+c. The last group, where it is not whole, is that of the row's last 8 blocks; those that an earlier group has are left out.
func avx512ArrangeRow(nb int, q, o *int8) {
	groups := nb / 8
	if groups > 0 {
		avx512Arrange(groups, q, o)
	}
	n := nb % 8
	in, out := slice(at(q, 256*groups), 32*n), slice(at(o, 256*groups), 32*n)
	for d := range 4 {
		for i := range 16 {
			if b := i/8*4 + i%4 - (8 - n); b >= 0 {
				from := 32*b + 4*(d+i/4%2*4)
				copy(out[:4], in[from:from+4])
				out = out[4:]
			}
		}
	}
}

// avx512Attend hands runs of rows that see something to the assembly.
func avx512Attend(a *attendArgs) {
	for r, n := a.run(0); n > 0; r, n = a.run(r + n) {
		run := avx512Attend_1
		switch n = avx512Rows(n); n {
		case 8:
			run = avx512Attend_8
		case 4:
			run = avx512Attend_4
		case 2:
			run = avx512Attend_2
		}
		run(a.headDim, at(a.q, r*a.headDim), a.k, a.v, at(a.count, r), at(a.m, r), at(a.l, r), at(a.o, r*a.headDim))
	}
}

func avx512AttendPairs(a *attendArgs) {
	next := a.next
	if next == nil {
		next = (*byte)(unsafe.Pointer(a.k2)) // is there already
	}
	if a.whole {
		for r, n := 0, 0; r < a.rows; r += n {
			run := avx512AttendWhole_1
			switch n = avx512Rows(a.rows - r); n {
			case 8:
				run = avx512AttendWhole_8
			case 4:
				run = avx512AttendWhole_4
			case 2:
				run = avx512AttendWhole_2
			}
			run(a.headDim, at(a.q2, r*a.headDim/2), a.k2, a.v2, next, at(a.m, r), at(a.l, r), at(a.o, r*a.headDim))
		}
		return
	}
	for r, n := a.run(0); n > 0; r, n = a.run(r + n) {
		run := avx512AttendPairs_1
		switch n = avx512Rows(n); n {
		case 8:
			run = avx512AttendPairs_8
		case 4:
			run = avx512AttendPairs_4
		case 2:
			run = avx512AttendPairs_2
		}
		run(a.headDim, at(a.q2, r*a.headDim/2), a.k2, a.v2, next, at(a.count, r), at(a.m, r), at(a.l, r), at(a.o, r*a.headDim))
	}
}

func avx512AttendQ8(a *attendArgs) {
	for r, n := a.run(0); n > 0; r, n = a.run(r + n) {
		run := avx512AttendQ8_1
		switch n = avx512Rows(n); n {
		case 8:
			run = avx512AttendQ8_8
		case 4:
			run = avx512AttendQ8_4
		case 2:
			run = avx512AttendQ8_2
		}
		run(a.headDim, at(a.q, r*a.headDim), a.k8, a.v8, a.ks, a.vs, at(a.count, r), at(a.m, r), at(a.l, r), at(a.o, r*a.headDim))
	}
}

// avx512Rows is how many of n rows the assembly takes at once.
func avx512Rows(n int) int {
	switch {
	case n >= 8:
		return 8
	case n >= 4:
		return 4
	case n >= 2:
		return 2
	}
	return 1
}
