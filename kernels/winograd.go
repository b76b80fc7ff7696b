package kernels

import (
	"slices"
	"sync"
	"time"
)

// Winograd's inner product (S. Winograd, "A New Algorithm for Inner Product", IEEE Transactions on Computers, 1968) takes one product where two were:
//
//	w0·a0 + w1·a1 = (w0 + a1)·(w1 + a0) − w0·w1 − a0·a1
//
// What is subtracted depends on the weights alone, or on the activations alone. On integers all of it is exact, so a product has the same bits either way. It
// pays where bytes are added beside the multiplications: Zen 4 and Zen 5 have two pipes that multiply, and two more that add. For 32 values of 16 rows and a token
// 16 instructions, 8 of which multiply, take the place of 12 and their 11: on a Zen 5 5.1 cycles instead of 5.9.
//
// Sums of a weight and an activation have to fit in a byte. So weights are centred, and activations keep to the format's limit.

// winogradLeaf is the part of a leaf for panels whose format has a limit below 127. In a block's groups of 4 values, of a panel or of a tile, value i of group 2p is
// value 0 of a pair, and that of group 2p+1 is value 1, for p < winogradPairs. The groups past these are multiplied as they are.
type winogradLeaf struct {
	// panel makes factors of a panel's values, in place: w0 + 128 (unsigned) and w1 (signed), of centred weights. cross [nb][scales][16] = −Σ(w0+128)·w1.
	panel func(f *format, nb int, q *byte, cross *int32)
	// tile computes mulArgs.init: (mid−bias)·Σa of the pairs' − Σ a0·(a1+128) − bias·Σa of the others.
	tile func(f *format, nb int, a *int8, init *int32)
	// mul is leaf.mul for such a panel.
	mul func(f *format, a *mulArgs)
}

const winogradPairs = 3

// winogradLimits are the limits that formats have: of values within ±9, ±15, ±22, ±31 and ±43, once centred; few, as an operand keeps to the lowest of its products. Rounding
// has an error whose square is 1.16, 1.29, 1.46, 1.75 and 2.29 times that with 127. The lowest is for IQ2: with it a Zen 5 makes prompts of IQ2_XXS 1.16 times as fast, those of IQ2_XS
// and IQ2_S, with two scales, 1.04 times.
// Every instruction set keeps to them, with this product or without, so that all give the same bits.
var winogradLimits = [...]int32{118, 112, 105, 96, 84}

// mid is what a stored value loses to be centred.
func (f *format) mid() int32 {
	if f.bias != 0 {
		return f.bias
	}
	return (int32(f.max) + 1) / 2
}

// limit is the largest activation: 127, or one of winogradLimits for a format whose centred values, added to it, fit in a byte.
func (f *format) limit() int32 {
	for _, n := range winogradLimits {
		if int32(f.max)-f.mid()+n <= 127 && int32(f.min)-f.mid()-n >= -128 {
			return n
		}
	}
	return 127
}

// winogradPays says whether this processor multiplies such panels faster than plain ones.
func (l *leaf) winogradPays() bool {
	return l.winograd != nil && l.winogradFaster()
}

// newWinogradFaster times both microkernels, which takes some 50 µs, once. What they read is written first: pages that never were are all the kernel's one page of zeros,
// which the cache of the first level finds by its first address only, and of a Zen 4's two the plain one would win.
func newWinogradFaster(l *leaf) func() bool {
	return sync.OnceValue(func() bool {
		const nb, rounds = 32, 16
		f := &format{scales: 1, offs: 1, max: 15}
		n := panelRows * nb
		floats, ints, bytes := slices.Repeat([]float32{1}, n), slices.Repeat([]int32{1}, n), slices.Repeat([]byte{1}, 32*n)
		tile, c, part := slices.Repeat([]int8{1}, 32*l.tile*nb), make([]float32, 2*panelRows*l.tile), make([]float32, 2*panelRows*l.tile)
		a := &mulArgs{nb: nb, q: &bytes[0], scale: &floats[0], off: &floats[0], tiles: 1, a: &tile[0], as: &floats[0], sum: &floats[0], init: &ints[0], cross: &ints[0],
			part: &part[0], c: &c[0], ldc: 2 * panelRows, apartC: panelRows, near: near{row: &bytes[0]}}
		best := [2]time.Duration{time.Hour, time.Hour}
		for i := range 2 * rounds {
			mul := l.mul
			if i%2 == 1 {
				mul = l.winograd.mul
			}
			start := time.Now()
			mul(f, a)
			best[i%2] = min(best[i%2], time.Since(start))
		}
		return best[1] < best[0]
	})
}

func winogradPanelGeneric(f *format, nb int, q *byte, cross *int32) {
	qs, sums := slice(q, 512*nb), slice(cross, 16*f.scales*nb)
	clear(sums)
	for b := range nb {
		for p := range winogradPairs {
			for i := range 64 {
				w0, w1 := &qs[512*b+128*p+i], &qs[512*b+128*p+64+i]
				*w0, *w1 = *w0-byte(f.mid())+128, *w1-byte(f.mid())
				sums[(b*f.scales+p*f.scales/4)*16+i/4] -= int32(*w0) * int32(int8(*w1))
			}
		}
	}
}

func winogradTileGeneric(f *format, nb int, a *int8, init *int32, tile int) {
	as, sums := slice(a, 32*tile*nb), slice(init, f.scales*tile*nb)
	clear(sums)
	for b := range nb {
		for g := range 8 {
			for i := range 4 * tile {
				at := 32*tile*b + 4*tile*g + i
				s, a0 := &sums[(b*f.scales+g*f.scales/8)*tile+i/4], int32(as[at])
				if g >= 2*winogradPairs {
					*s -= f.bias * a0
					continue
				}
				*s += (f.mid() - f.bias) * a0
				if g%2 == 0 {
					*s -= a0 * (int32(as[at+4*tile]) + 128)
				}
			}
		}
	}
}

// mulWinogradGeneric is mulGeneric of such a panel: the integer sums are the same.
func mulWinogradGeneric(f *format, a *mulArgs, tile int) {
	mulSums(f, a, tile, func(b, h, t, r int) int32 {
		q, w := slice(a.q, 512*a.nb)[512*b+4*r:], slice(a.a, 32*tile*a.nb)[32*tile*b+4*t:]
		s := slice(a.init, f.scales*tile*a.nb)[(b*f.scales+h)*tile+t] + slice(a.cross, 16*f.scales*a.nb)[(b*f.scales+h)*16+r]
		for g := h * 8 / f.scales; g < (h+1)*8/f.scales; g++ {
			for i := range 4 {
				switch at := 4*tile*g + i; {
				case g >= 2*winogradPairs:
					s += int32(q[64*g+i]) * int32(w[at])
				case g%2 == 0:
					s += int32(q[64*g+i]+byte(w[at+4*tile])) * int32(int8(q[64*(g+1)+i])+w[at])
				}
			}
		}
		return s
	})
}
