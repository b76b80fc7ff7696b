//go:build amd64 && !noasm

package kernels

import "unsafe"

// newAMX is the row for AMX (Sapphire Rapids and later), which multiplies matrices of bytes and of bfloat16: that for AVX-512 but for panels of integers, with the same
// bits, and for weights of bfloat16.
func newAMX(bf16 bool) *leaf {
	amx := avx512
	amx.name, amx.winograd, amx.centre, amx.abreast = "amx", nil, amxCentre, 1
	amx.strips = 8 // with 12 tokens panels are 1.2 times as fast as strips, with 32 1.6 times, with 64 2.3 times; with 6 strips are 1.2 times as fast
	amx.mul = func(f *format, a *mulArgs) {
		run := byScales(f, amxMul, amxMulOff, amxMul2, amxMulOff2)
		run(a.nb, a.q, a.scale, a.off, a.a, a.as, a.sum, a.c, a.ldc, a.tiles, a.near.row, a.near.ahead)
	}
	if bf16 {
		amx.bf16 = &bf16Leaf{round: avx512BF16.round, attend: avx512BF16.attend, dot: dot{tokens: stripTokens, run: amxDotBF16, tiled: true}}
	}
	return &amx
}

// amxDotBF16 multiplies 32 rows by 32 tokens at a time, in tiles of up to 16 by 16. A tile's sums are those of TDPBF16PS, 32 products after 32: see dotTilesGeneric.
func amxDotBF16(a *dotArgs) {
	var c [4][16 * 16]float32
	var turned [16 * 16]float32
	for t := 0; t < a.tokens; t += 32 {
		tokens := [2]int{min(16, a.tokens-t), min(16, a.tokens-t-16)}
		x, strides := [2]*float32{}, [2]int{}
		for i, n := range tokens {
			if n > 0 {
				x[i], strides[i] = at(a.x, (t+16*i)*16*a.nb), 4*n
			}
		}
		for r := 0; r < a.rows; r += 32 {
			rows := [2]int{min(16, a.rows-r), min(16, a.rows-r-16)}
			config := amxConfig(rows, tokens)
			run := amxDotBF16_11
			switch {
			case rows[1] > 0 && tokens[1] > 0:
				run = amxDotBF16_22
			case rows[1] > 0:
				run = amxDotBF16_21
			case tokens[1] > 0:
				run = amxDotBF16_12
			}
			run(&config[0], a.nb, at(a.w, r*a.stride), a.stride, x[0], strides[0], x[1], strides[1], &c[0][0])
			for i := range c {
				rows, n := rows[i/2], tokens[i%2]
				if rows <= 0 || n <= 0 {
					continue
				}
				avx512Lanes(16, (*byte)(unsafe.Pointer(&c[i][0])), 64, &turned[0])
				for j := range n {
					copy(slice(at(a.y, (t+16*(i%2)+j)*a.ldy+r+16*(i/2)), rows), turned[16*j:])
				}
			}
		}
	}
}

// amxConfig is what LDTILECFG loads for amxDotBF16's tiles: of sums in registers 0 to 3, of rows in 4 and 5, of tokens in 6 and 7. Bytes 16 on have the bytes in a tile's
// row, bytes 48 on its rows.
func amxConfig(rows, tokens [2]int) (config [64]byte) {
	config[0] = 1
	set := func(tile, rows, bytes int) {
		if rows > 0 && bytes > 0 {
			config[16+2*tile], config[48+tile] = byte(bytes), byte(rows)
		}
	}
	for i := range 4 {
		set(i, rows[i/2], 4*tokens[i%2])
	}
	for i := range 2 {
		set(4+i, rows[i], 64)
		set(6+i, 16, 4*tokens[i])
	}
	return config
}
