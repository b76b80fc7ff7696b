package block

import "math"

// F16 is an IEEE 754 binary16 number.
type F16 uint16

// NewF16 rounds f to the nearest F16, ties to even; values of 65520 and above
// become infinite.
func NewF16(f float32) F16 {
	bits := math.Float32bits(f)
	sign := F16(bits >> 16 & 0x8000)
	abs := bits & 0x7fffffff
	switch {
	case abs > 0x7f800000: // NaN: quiet, with what fits of its payload
		return sign | 0x7e00 | F16(abs>>13&0x3ff)
	case abs >= 0x477ff000: // 65520
		return sign | 0x7c00
	case abs < 0x38800000: // below 2^-14: subnormal
		// An ulp of 0.5 is 2^-24, a subnormal's unit, so the addition rounds.
		return sign | F16(math.Float32bits(math.Float32frombits(abs)+0.5)-math.Float32bits(0.5))
	}
	abs += 0xfff + abs>>13&1
	return sign | F16((abs-(127-15)<<23)>>13)
}

// Float32 is the exact value of h.
func (h F16) Float32() float32 {
	sign := uint32(h&0x8000) << 16
	exp := uint32(h >> 10 & 0x1f)
	man := uint32(h & 0x3ff)
	switch exp {
	case 0:
		return math.Float32frombits(sign | math.Float32bits(float32(man)*0x1p-24))
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | man<<13)
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | man<<13)
}

// BF16 is the upper half of a float32.
type BF16 uint16

// NewBF16 rounds f to the nearest BF16, ties to even.
func NewBF16(f float32) BF16 {
	bits := math.Float32bits(f)
	if bits&0x7fffffff > 0x7f800000 { // NaN: rounding could make it infinite
		return BF16(bits>>16 | 0x40)
	}
	return BF16((bits + 0x7fff + bits>>16&1) >> 16)
}

// Float32 is the exact value of h.
func (h BF16) Float32() float32 { return math.Float32frombits(uint32(h) << 16) }
