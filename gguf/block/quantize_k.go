package block

import "math"

// The K formats quantise the scales of their groups too. So each group is fitted
// by itself, the scales are rounded to their integers, then each group's integers
// are adjusted by at most one step where that lowers the error of what will be
// decoded.

func quantizeQ4_K(dst []byte, src, weight []float32) {
	for ; len(src) > 0; dst, src, weight = dst[144:], src[256:], rest(weight, 256) {
		var q [256]byte
		scaleMinBlock(dst[:16], &q, src[:256], weight, 15)
		for i := range 128 {
			at := i/32*64 + i%32
			dst[16+i] = q[at] | q[at+32]<<4
		}
	}
}

func quantizeQ5_K(dst []byte, src, weight []float32) {
	for ; len(src) > 0; dst, src, weight = dst[176:], src[256:], rest(weight, 256) {
		var q [256]byte
		scaleMinBlock(dst[:16], &q, src[:256], weight, 31)
		clear(dst[16:48])
		for i, v := range q {
			dst[16+i%32] |= v >> 4 << (i / 32)
		}
		for i := range 128 {
			at := i/32*64 + i%32
			dst[48+i] = q[at]&15 | q[at+32]&15<<4
		}
	}
}

// scaleMinBlock fits 256 values as d·sc·q - dmin·m, q in [0, top], in groups of 32,
// and writes d, dmin and the packed sc and m to head.
func scaleMinBlock(head []byte, q *[256]byte, src, weight []float32, top float32) {
	var sc, m [8]byte
	fitScaleMins(head, q[:], sc[:], m[:], src, weight, top, 63)
	packScaleMin(head[4:16], &sc, &m)
}

// fitScaleMins fits src as d·sc·q - dmin·m, q in [0, top], in as many groups as sc
// and m have elements, which go up to most, and writes d and dmin to head.
func fitScaleMins(head, q, sc, m []byte, src, weight []float32, top float32, most int) {
	n := len(src) / len(sc)
	var scale, low [16]float32
	var maxScale, maxLow float32
	for g := range sc {
		d, base := fitAffine(src[n*g:n*g+n], window(weight, n*g, n), top, true)
		scale[g], low[g] = d, -base
		maxScale, maxLow = max(maxScale, d), max(maxLow, -base)
	}
	d, dmin := putHalf(head, maxScale/float32(most)), putHalf(head[2:], maxLow/float32(most))
	invD, invMin := inverse(d), inverse(dmin)
	for g := range sc {
		x, w := src[n*g:n*g+n], window(weight, n*g, n)
		s0, m0 := nearest(scale[g]*invD, 0, most), nearest(low[g]*invMin, 0, most)
		best := float32(math.Inf(1))
		for s1 := max(s0-1, 0); s1 <= min(s0+1, most); s1++ {
			for m1 := max(m0-1, 0); m1 <= min(m0+1, most); m1++ {
				if e := affineError(x, w, d*float32(s1), -dmin*float32(m1), top); e < best {
					sc[g], m[g], best = byte(s1), byte(m1), e
				}
			}
		}
		step, base := d*float32(sc[g]), dmin*float32(m[g])
		inv := inverse(step)
		for i, v := range x {
			q[n*g+i] = byte(nearest((v+base)*inv, 0, int(top)))
		}
	}
}

// window is w[at:at+n]; nil stays nil.
func window(w []float32, at, n int) []float32 {
	if w == nil {
		return nil
	}
	return w[at : at+n]
}

// fitGroups fits 256 values as d·sc·q, q in [lo, hi], in 16 groups of 16, with sc
// in [scLo, scHi]. It returns d.
func fitGroups(sc *[16]int, q *[256]int, src, weight []float32, lo, hi float32, scLo, scHi int) F16 {
	var scale [16]float32
	var top float32
	for g := range scale {
		scale[g] = fitScale(src[16*g:16*g+16], window(weight, 16*g, 16), lo, hi)
		if abs(scale[g]) > abs(top) {
			top = scale[g]
		}
	}
	h := NewF16(top / float32(scLo)) // the end with one more level
	d := h.Float32()
	invD := inverse(d)
	for g := range scale {
		x, w := src[16*g:16*g+16], window(weight, 16*g, 16)
		s0 := nearest(scale[g]*invD, scLo, scHi)
		sc[g] = s0
		best := scaleError(x, w, d*float32(s0), lo, hi)
		for _, s1 := range [2]int{s0 - 1, s0 + 1} {
			if s1 < scLo || s1 > scHi {
				continue
			}
			if e := scaleError(x, w, d*float32(s1), lo, hi); e < best {
				sc[g], best = s1, e
			}
		}
		inv := inverse(d * float32(sc[g]))
		for i, v := range x {
			q[16*g+i] = nearest(v*inv, int(lo), int(hi))
		}
	}
	return h
}

// scaleError is the squared error of x ≈ d·q with the best q in [lo, hi].
func scaleError(x, weight []float32, d, lo, hi float32) float32 {
	inv := inverse(d)
	var sum float32
	for i, v := range x {
		diff := v - d*round(max(min(v*inv, 2*hi), 2*lo), lo, hi)
		if weight != nil {
			sum += weight[i] * diff * diff
		} else {
			sum += diff * diff
		}
	}
	return sum
}

func quantizeQ6_K(dst []byte, src, weight []float32) {
	for ; len(src) > 0; dst, src, weight = dst[210:], src[256:], rest(weight, 256) {
		var sc [16]int
		var q [256]int
		d := fitGroups(&sc, &q, src[:256], weight, -32, 31, -128, 127)
		clear(dst[:192])
		for i, v := range q {
			u := byte(v + 32)
			h, plane := i/128, i/32%4
			dst[64*h+plane%2*32+i%32] |= u & 15 << (plane / 2 * 4)
			dst[128+32*h+i%32] |= u >> 4 << (2 * plane)
		}
		for g, s := range sc {
			dst[192+g] = byte(s)
		}
		dst[208], dst[209] = byte(d), byte(d>>8)
	}
}

func quantizeQ3_K(dst []byte, src, weight []float32) {
	for ; len(src) > 0; dst, src, weight = dst[110:], src[256:], rest(weight, 256) {
		var sc [16]int
		var q [256]int
		d := fitGroups(&sc, &q, src[:256], weight, -4, 3, -32, 31)
		clear(dst[:108])
		for i, v := range q {
			u := byte(v + 4)
			dst[i%32] |= u >> 2 << (i / 32)
			dst[32+i/128*32+i%32] |= u & 3 << (i / 32 % 4 * 2)
		}
		for g, s := range sc {
			u := byte(s + 32)
			dst[96+g%8] |= u & 15 << (g / 8 * 4)
			dst[104+g%4] |= u >> 4 << (g / 4 * 2)
		}
		dst[108], dst[109] = byte(d), byte(d>>8)
	}
}

func quantizeQ2_K(dst []byte, src, weight []float32) {
	for ; len(src) > 0; dst, src, weight = dst[84:], src[256:], rest(weight, 256) {
		var q [256]byte
		var sc, m [16]byte
		fitScaleMins(dst[80:84], q[:], sc[:], m[:], src[:256], weight, 3, 15)
		for g := range sc {
			dst[g] = sc[g] | m[g]<<4
		}
		clear(dst[16:80])
		for i, v := range q {
			dst[16+i/128*32+i%32] |= v << (i / 32 % 4 * 2)
		}
	}
}
