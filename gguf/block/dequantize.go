package block

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Dequantize decodes the blocks in src to dst. src must hold whole blocks of t
// and dst exactly their values.
func Dequantize(t Type, dst []float32, src []byte) error {
	f := t.format()
	if f.dequantize == nil {
		return fmt.Errorf("block: dequantize: %w: %v", ErrUnsupported, t)
	}
	if len(src)%f.size != 0 || len(src)/f.size*f.len != len(dst) {
		return fmt.Errorf("block: dequantize %v: %d bytes for %d values, expected %d bytes per %d values", t, len(src), len(dst), f.size, f.len)
	}
	f.dequantize(dst, src)
	return nil
}

// Quantize encodes src to blocks in dst. src must hold whole blocks and dst have
// exactly their size. Values that a format cannot hold are clamped; a NaN gives
// an unspecified block. See [QuantizeWeighted] for what is minimised.
func Quantize(t Type, dst []byte, src []float32) error {
	return QuantizeWeighted(t, dst, src, nil)
}

// QuantizeWeighted is [Quantize] that minimises the squared error weighted by
// weight, one non-negative number per value of src (an importance matrix' row,
// repeated). nil stands for equal weights. Formats without a search ignore them.
func QuantizeWeighted(t Type, dst []byte, src, weight []float32) error {
	f := t.format()
	if f.quantize == nil {
		return fmt.Errorf("block: quantize: %w: %v", ErrUnsupported, t)
	}
	if len(dst)%f.size != 0 || len(dst)/f.size*f.len != len(src) {
		return fmt.Errorf("block: quantize %v: %d values into %d bytes, expected %d values per %d bytes", t, len(src), len(dst), f.len, f.size)
	}
	if weight != nil && len(weight) != len(src) {
		return fmt.Errorf("block: quantize %v: %d weights for %d values", t, len(weight), len(src))
	}
	f.quantize(dst, src, weight)
	return nil
}

func registerCodecs() {
	decode := func(t Type, f func([]float32, []byte)) { formats[t].dequantize = f }
	decode(TypeF32, dequantizeF32)
	decode(TypeF16, dequantizeF16)
	decode(TypeBF16, dequantizeBF16)
	decode(TypeQ4_0, dequantizeQ4_0)
	decode(TypeQ4_1, dequantizeQ4_1)
	decode(TypeQ5_0, dequantizeQ5_0)
	decode(TypeQ5_1, dequantizeQ5_1)
	decode(TypeQ8_0, dequantizeQ8_0)
	decode(TypeQ2_K, dequantizeQ2_K)
	decode(TypeQ3_K, dequantizeQ3_K)
	decode(TypeQ4_K, dequantizeQ4_K)
	decode(TypeQ5_K, dequantizeQ5_K)
	decode(TypeQ6_K, dequantizeQ6_K)
	decode(TypeIQ4_NL, dequantizeIQ4_NL)
	decode(TypeIQ4_XS, dequantizeIQ4_XS)
	decode(TypeIQ2_XXS, dequantizeIQ2_XXS)
	decode(TypeIQ2_XS, dequantizeIQ2_XS)
	decode(TypeIQ2_S, dequantizeIQ2_S)
	decode(TypeIQ3_XXS, dequantizeIQ3_XXS)
	decode(TypeIQ3_S, dequantizeIQ3_S)
	decode(TypeIQ1_S, dequantizeIQ1_S)
	decode(TypeIQ1_M, dequantizeIQ1_M)
	decode(TypeTQ1_0, dequantizeTQ1_0)
	decode(TypeTQ2_0, dequantizeTQ2_0)
	encode := func(t Type, f func([]byte, []float32, []float32)) { formats[t].quantize = f }
	encode(TypeF32, quantizeF32)
	encode(TypeF16, quantizeF16)
	encode(TypeBF16, quantizeBF16)
	encode(TypeQ4_0, quantizeQ4_0)
	encode(TypeQ4_1, quantizeQ4_1)
	encode(TypeQ5_0, quantizeQ5_0)
	encode(TypeQ5_1, quantizeQ5_1)
	encode(TypeQ8_0, quantizeQ8_0)
	encode(TypeQ2_K, quantizeQ2_K)
	encode(TypeQ3_K, quantizeQ3_K)
	encode(TypeQ4_K, quantizeQ4_K)
	encode(TypeQ5_K, quantizeQ5_K)
	encode(TypeQ6_K, quantizeQ6_K)
	encode(TypeIQ4_NL, quantizeIQ4_NL)
	encode(TypeIQ4_XS, quantizeIQ4_XS)
}

func half(b []byte) float32 { return F16(binary.LittleEndian.Uint16(b)).Float32() }

func dequantizeF32(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}

func dequantizeF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = half(src[2*i:])
	}
}

func dequantizeBF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = BF16(binary.LittleEndian.Uint16(src[2*i:])).Float32()
	}
}

func dequantizeQ4_0(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[18:] {
		d := half(src)
		for i, q := range src[2:18] {
			dst[i] = d * float32(int(q&15)-8)
			dst[i+16] = d * float32(int(q>>4)-8)
		}
	}
}

func dequantizeQ4_1(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[20:] {
		d, m := half(src), half(src[2:])
		for i, q := range src[4:20] {
			dst[i] = float32(d*float32(q&15)) + m
			dst[i+16] = float32(d*float32(q>>4)) + m
		}
	}
}

func dequantizeQ5_0(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[22:] {
		d := half(src)
		high := binary.LittleEndian.Uint32(src[2:])
		for i, q := range src[6:22] {
			dst[i] = d * float32(int(q&15)+int(high>>i&1)<<4-16)
			dst[i+16] = d * float32(int(q>>4)+int(high>>(i+16)&1)<<4-16)
		}
	}
}

func dequantizeQ5_1(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[24:] {
		d, m := half(src), half(src[2:])
		high := binary.LittleEndian.Uint32(src[4:])
		for i, q := range src[8:24] {
			dst[i] = float32(d*float32(uint32(q&15)+high>>i&1<<4)) + m
			dst[i+16] = float32(d*float32(uint32(q>>4)+high>>(i+16)&1<<4)) + m
		}
	}
}

func dequantizeQ8_0(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[34:] {
		d := half(src)
		for i, q := range src[2:34] {
			dst[i] = d * float32(int8(q))
		}
	}
}

// IQ4Values are the levels of [IQ4_NL] and [IQ4_XS], dense near zero.
var IQ4Values = [16]int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

func dequantizeIQ4_NL(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[18:] {
		d := half(src)
		for i, q := range src[2:18] {
			dst[i] = d * float32(IQ4Values[q&15])
			dst[i+16] = d * float32(IQ4Values[q>>4])
		}
	}
}

func dequantizeIQ4_XS(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[136:] {
		d := half(src)
		high := binary.LittleEndian.Uint16(src[2:])
		low, qs := src[4:8], src[8:136]
		for g := range 8 {
			sc := int(low[g/2]>>(g%2*4)&15) | int(high>>(2*g)&3)<<4
			ds := d * float32(sc-32)
			out := dst[32*g : 32*g+32]
			for i, q := range qs[16*g : 16*g+16] {
				out[i] = ds * float32(IQ4Values[q&15])
				out[i+16] = ds * float32(IQ4Values[q>>4])
			}
		}
	}
}

func dequantizeTQ1_0(dst []float32, src []byte) {
	// A byte is a fraction n/256; its k-th base-3 digit is the integer part of
	// 3·frac(n·3^k/256).
	pow3 := [5]byte{1, 3, 9, 27, 81}
	plane := func(dst []float32, d float32, qs []byte, planes int) {
		for k := range planes {
			for i, q := range qs {
				dst[k*len(qs)+i] = d * float32(int(uint16(q*pow3[k])*3>>8)-1)
			}
		}
	}
	for ; len(dst) > 0; dst, src = dst[256:], src[54:] {
		d := half(src[52:])
		plane(dst, d, src[:32], 5)
		plane(dst[160:], d, src[32:48], 5)
		plane(dst[240:], d, src[48:52], 4)
	}
}

func dequantizeTQ2_0(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[66:] {
		d := half(src[64:])
		for i, q := range src[:64] {
			for k := range 4 {
				dst[i/32*128+32*k+i%32] = d * float32(int(q>>(2*k)&3)-1)
			}
		}
	}
}
