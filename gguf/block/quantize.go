package block

import (
	"encoding/binary"
	"math"
)

func putHalf(dst []byte, f float32) float32 {
	h := NewF16(f)
	binary.LittleEndian.PutUint16(dst, uint16(h))
	return h.Float32()
}

func quantizeF32(dst []byte, src, _ []float32) {
	for i, x := range src {
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(x))
	}
}

func quantizeF16(dst []byte, src, _ []float32) {
	for i, x := range src {
		putHalf(dst[2*i:], x)
	}
}

func quantizeBF16(dst []byte, src, _ []float32) {
	for i, x := range src {
		binary.LittleEndian.PutUint16(dst[2*i:], uint16(NewBF16(x)))
	}
}

// nearest is x rounded to an integer in [lo, hi], ties to even; lo for NaN.
func nearest(x float32, lo, hi int) int {
	if !(x > float32(lo)) {
		return lo
	}
	if x > float32(hi) {
		return hi
	}
	// 1.5·2^23 + x has x, rounded, in its low mantissa bits. math.RoundToEven
	// takes about five times as long.
	return int(math.Float32bits(x+0x1.8p23)&0x7fffff) - 0x400000
}

// quantizeQ8_0 divides by the largest absolute value over 127: with 255 levels a
// search would gain nothing.
func quantizeQ8_0(dst []byte, src, _ []float32) {
	for ; len(src) > 0; dst, src = dst[34:], src[32:] {
		d := absMax(src[:32]) / 127
		putHalf(dst, d)
		inv := inverse(d)
		for i, x := range src[:32] {
			dst[2+i] = byte(nearest(x*inv, -127, 127))
		}
	}
}

func quantizeQ4_0(dst []byte, src, weight []float32) {
	for ; len(src) > 0; dst, src, weight = dst[18:], src[32:], rest(weight, 32) {
		d := putHalf(dst, fitScale(src[:32], window(weight, 0, 32), -8, 7))
		inv := inverse(d)
		for i := range 16 {
			lo := nearest(src[i]*inv, -8, 7) + 8
			hi := nearest(src[i+16]*inv, -8, 7) + 8
			dst[2+i] = byte(lo | hi<<4)
		}
	}
}

func quantizeQ5_0(dst []byte, src, weight []float32) {
	for ; len(src) > 0; dst, src, weight = dst[22:], src[32:], rest(weight, 32) {
		d := putHalf(dst, fitScale(src[:32], window(weight, 0, 32), -16, 15))
		inv := inverse(d)
		var high uint32
		for i := range 16 {
			lo := nearest(src[i]*inv, -16, 15) + 16
			hi := nearest(src[i+16]*inv, -16, 15) + 16
			dst[6+i] = byte(lo&15 | hi&15<<4)
			high |= uint32(lo>>4)<<i | uint32(hi>>4)<<(i+16)
		}
		binary.LittleEndian.PutUint32(dst[2:], high)
	}
}

func quantizeQ4_1(dst []byte, src, weight []float32) {
	for ; len(src) > 0; dst, src, weight = dst[20:], src[32:], rest(weight, 32) {
		d, m := fitAffine(src[:32], window(weight, 0, 32), 15, false)
		d, m = putHalf(dst, d), putHalf(dst[2:], m)
		inv := inverse(d)
		for i := range 16 {
			lo := nearest((src[i]-m)*inv, 0, 15)
			hi := nearest((src[i+16]-m)*inv, 0, 15)
			dst[4+i] = byte(lo | hi<<4)
		}
	}
}

func quantizeQ5_1(dst []byte, src, weight []float32) {
	for ; len(src) > 0; dst, src, weight = dst[24:], src[32:], rest(weight, 32) {
		d, m := fitAffine(src[:32], window(weight, 0, 32), 31, false)
		d, m = putHalf(dst, d), putHalf(dst[2:], m)
		inv := inverse(d)
		var high uint32
		for i := range 16 {
			lo := nearest((src[i]-m)*inv, 0, 31)
			hi := nearest((src[i+16]-m)*inv, 0, 31)
			dst[8+i] = byte(lo&15 | hi&15<<4)
			high |= uint32(lo>>4)<<i | uint32(hi>>4)<<(i+16)
		}
		binary.LittleEndian.PutUint32(dst[4:], high)
	}
}

// rest is w without its first n weights; nil stays nil.
func rest(w []float32, n int) []float32 {
	if w == nil {
		return nil
	}
	return w[n:]
}

func absMax(x []float32) float32 {
	var m float32
	for _, v := range x {
		m = max(m, abs(v))
	}
	return m
}

func abs(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }

// inverse is 1/d, or 0 where that is not finite.
func inverse(d float32) float32 {
	if inv := 1 / d; !math.IsInf(float64(inv), 0) {
		return inv
	}
	return 0
}

// round is x rounded to an integer, ties to even, and limited to [lo, hi]. It holds
// for |x| < 2^22; searches stay far below that.
func round(x, lo, hi float32) float32 {
	const shift = 0x1.8p23
	r := float32(x+shift) - shift
	if r < lo { // taken rarely: predicts better than min and max, which mind NaN
		return lo
	}
	if r > hi {
		return hi
	}
	return r
}

// fitScale finds d that makes x ≈ d·q with integers q in [lo, hi], lo = -hi-1,
// with little squared error. Each candidate maps the value of largest magnitude
// near an end of the range, rounds, and takes the best d for these q (least
// squares). d may be negative, so that the end with one more level serves the
// largest value.
func fitScale(x, weight []float32, lo, hi float32) float32 {
	var top float32 // signed value of largest magnitude
	for _, v := range x {
		if abs(v) > abs(top) {
			top = v
		}
	}
	if !(abs(top) >= 1e-30) {
		return 0
	}
	best, bestGain := top/lo, float32(-1)
	// 9 steps of 0.15 levels to either side of the end, for both ends.
	for _, end := range [2]float32{lo, hi} {
		for step := -9; step <= 9; step++ {
			inv := (end + 0.15*float32(step)) / top
			var xq, qq float32
			if weight == nil {
				for _, v := range x {
					q := round(v*inv, lo, hi)
					xq += v * q
					qq += q * q
				}
			} else {
				for i, v := range x {
					q := round(v*inv, lo, hi)
					xq += weight[i] * v * q
					qq += weight[i] * q * q
				}
			}
			// The squared error is Σx² - (Σxq)²/Σq².
			if qq > 0 && xq*xq > bestGain*qq {
				best, bestGain = xq/qq, xq*xq/qq
			}
		}
	}
	return best
}

// fitAffine finds d >= 0 and m that make x ≈ d·q + m with integers q in [0, top]
// with little squared error; nonPositive demands m <= 0, as the K formats do. Each
// candidate stretches the range a little, rounds, and takes the best d and m for
// these q (least squares).
func fitAffine(x, weight []float32, top float32, nonPositive bool) (d, m float32) {
	lo, hi := x[0], x[0]
	var sw, sx float32
	for i, v := range x {
		lo, hi = min(lo, v), max(hi, v)
		w := float32(1)
		if weight != nil {
			w = weight[i]
		}
		sw += w
		sx += w * v
	}
	if nonPositive {
		lo = min(lo, 0)
	}
	if !(hi-lo > 1e-30) {
		return 0, lo
	}
	d, m = (hi-lo)/top, lo
	bestGain := float32(math.Inf(-1))
	for step := -14; step <= 6; step++ {
		inv := (top + 0.1*float32(step)) / (hi - lo)
		var sq, sqq, sxq float32
		if weight == nil {
			for _, v := range x {
				q := round((v-lo)*inv, 0, top)
				sq, sqq, sxq = sq+q, sqq+q*q, sxq+q*v
			}
		} else {
			for i, v := range x {
				q := round((v-lo)*inv, 0, top)
				w := weight[i]
				sq, sqq, sxq = sq+w*q, sqq+w*q*q, sxq+w*q*v
			}
		}
		det := sw*sqq - sq*sq
		if !(det > 0) {
			continue
		}
		cd, cm := (sw*sxq-sx*sq)/det, (sqq*sx-sq*sxq)/det
		if nonPositive && cm > 0 {
			cd, cm = sxq/sqq, 0
		}
		// The squared error is Σx² less this.
		if gain := cd*sxq + cm*sx; cd > 0 && gain > bestGain {
			d, m, bestGain = cd, cm, gain
		}
	}
	return d, m
}

// affineError is the squared error of x ≈ d·q + m with the best q in [0, top].
func affineError(x, weight []float32, d, m, top float32) float32 {
	inv := inverse(d)
	var sum float32
	for i, v := range x {
		diff := v - m - d*round(min((v-m)*inv, 2*top), 0, top)
		if weight != nil {
			sum += weight[i] * diff * diff
		} else {
			sum += diff * diff
		}
	}
	return sum
}
