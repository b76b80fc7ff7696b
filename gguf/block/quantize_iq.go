package block

import (
	"encoding/binary"
	"math"
)

// iq4Index has, for each integer from -127 to 113, the index of the nearest level
// of IQ4Values.
var iq4Index = func() (index [241]byte) {
	for i := range index {
		best := 1000
		for k, v := range IQ4Values {
			if d := max(i-127-int(v), int(v)-i+127); d < best {
				best, index[i] = d, byte(k)
			}
		}
	}
	return index
}()

// nearestIQ4 is the index of the level nearest to x; it rounds to an integer
// first, which errs only for values in the middle between two levels.
func nearestIQ4(x float32) byte { return iq4Index[nearest(x, -127, 113)+127] }

// fitIQ4 finds d that makes x ≈ d·level with little squared error.
func fitIQ4(x, weight []float32) float32 {
	var top float32
	for _, v := range x {
		if abs(v) > abs(top) {
			top = v
		}
	}
	if !(abs(top) >= 1e-30) {
		return 0
	}
	best, bestGain := float32(0), float32(-1)
	for _, end := range [2]float32{-127, 113} {
		for step := -9; step <= 9; step++ {
			inv := end * (1 + 0.02*float32(step)) / top
			var xq, qq float32
			for i, v := range x {
				q := float32(IQ4Values[nearestIQ4(v*inv)])
				w := float32(1)
				if weight != nil {
					w = weight[i]
				}
				xq += w * v * q
				qq += w * q * q
			}
			if qq > 0 && xq*xq > bestGain*qq {
				best, bestGain = xq/qq, xq*xq/qq
			}
		}
	}
	return best
}

// iq4Error is the squared error of x ≈ d·level.
func iq4Error(x, weight []float32, d float32) float32 {
	inv := inverse(d)
	var sum float32
	for i, v := range x {
		diff := v - d*float32(IQ4Values[nearestIQ4(v*inv)])
		if weight != nil {
			sum += weight[i] * diff * diff
		} else {
			sum += diff * diff
		}
	}
	return sum
}

// putIQ4 writes 32 indices as nibbles.
func putIQ4(dst []byte, x []float32, d float32) {
	inv := inverse(d)
	for i := range 16 {
		dst[i] = nearestIQ4(x[i]*inv) | nearestIQ4(x[i+16]*inv)<<4
	}
}

func quantizeIQ4_NL(dst []byte, src, weight []float32) {
	for ; len(src) > 0; dst, src, weight = dst[18:], src[32:], rest(weight, 32) {
		d := putHalf(dst, fitIQ4(src[:32], window(weight, 0, 32)))
		putIQ4(dst[2:18], src, d)
	}
}

func quantizeIQ4_XS(dst []byte, src, weight []float32) {
	for ; len(src) > 0; dst, src, weight = dst[136:], src[256:], rest(weight, 256) {
		var scale [8]float32
		var top float32
		for g := range scale {
			scale[g] = fitIQ4(src[32*g:32*g+32], window(weight, 32*g, 32))
			if abs(scale[g]) > abs(top) {
				top = scale[g]
			}
		}
		d := putHalf(dst, top/-32)
		invD := inverse(d)
		var high uint16
		clear(dst[4:8])
		for g := range scale {
			x, w := src[32*g:32*g+32], window(weight, 32*g, 32)
			s0 := nearest(scale[g]*invD, -32, 31)
			best, sc := float32(math.Inf(1)), s0
			for s1 := max(s0-1, -32); s1 <= min(s0+1, 31); s1++ {
				if e := iq4Error(x, w, d*float32(s1)); e < best {
					best, sc = e, s1
				}
			}
			u := byte(sc + 32)
			dst[4+g/2] |= u & 15 << (g % 2 * 4)
			high |= uint16(u>>4) << (2 * g)
			putIQ4(dst[8+16*g:24+16*g], x, d*float32(sc))
		}
		binary.LittleEndian.PutUint16(dst[2:], high)
	}
}
