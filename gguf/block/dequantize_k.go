package block

// ScaleMin gives the 6-bit scale and minimum of group i, 0 to 7, packed in the 12
// bytes of [Q4_K.Scales] and [Q5_K.Scales].
func ScaleMin(scales *[12]byte, i int) (sc, m byte) {
	if i < 4 {
		return scales[i] & 63, scales[i+4] & 63
	}
	sc = scales[i+4]&15 | scales[i-4]>>6<<4
	m = scales[i+4]>>4 | scales[i]>>6<<4
	return sc, m
}

// packScaleMin is the inverse of [ScaleMin].
func packScaleMin(scales []byte, sc, m *[8]byte) {
	for i := range 4 {
		scales[i] = sc[i] | sc[i+4]>>4<<6
		scales[i+4] = m[i] | m[i+4]>>4<<6
		scales[i+8] = sc[i+4]&15 | m[i+4]<<4
	}
}

// q3Scale gives the 6-bit scale, less its offset, of group i, 0 to 15, packed in
// the 12 bytes of [Q3_K.Scales].
func q3Scale(scales []byte, i int) int {
	low := scales[i%8] >> (i / 8 * 4) & 15
	high := scales[8+i%4] >> (i / 4 * 2) & 3
	return int(low|high<<4) - 32
}

func dequantizeQ2_K(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[84:] {
		scales, qs := src[:16], src[16:80]
		d, dmin := half(src[80:]), half(src[82:])
		for g, sc := range scales {
			dl, ml := d*float32(sc&15), dmin*float32(sc>>4)
			half, plane, first := g/8, g%8/2, g%2*16
			in := qs[32*half+first : 32*half+first+16]
			out := dst[16*g : 16*g+16]
			for i, q := range in {
				out[i] = float32(dl*float32(q>>(2*plane)&3)) - ml
			}
		}
	}
}

func dequantizeQ3_K(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[110:] {
		hmask, qs, scales := src[:32], src[32:96], src[96:108]
		d := half(src[108:])
		for g := range 16 {
			dl := d * float32(q3Scale(scales, g))
			half, plane, first := g/8, g%8/2, g%2*16
			out := dst[16*g : 16*g+16]
			for i := range out {
				q := int(qs[32*half+first+i] >> (2 * plane) & 3)
				if hmask[first+i]>>(g/2)&1 == 0 {
					q -= 4
				}
				out[i] = dl * float32(q)
			}
		}
	}
}

func dequantizeQ4_K(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[144:] {
		d, dmin := half(src), half(src[2:])
		scales, qs := (*[12]byte)(src[4:16]), src[16:144]
		for g := range 8 {
			sc, m := ScaleMin(scales, g)
			dl, ml := d*float32(sc), dmin*float32(m)
			out := dst[32*g : 32*g+32]
			for i, q := range qs[g/2*32 : g/2*32+32] {
				out[i] = float32(dl*float32(q>>(g%2*4)&15)) - ml
			}
		}
	}
}

func dequantizeQ5_K(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[176:] {
		d, dmin := half(src), half(src[2:])
		scales, qh, qs := (*[12]byte)(src[4:16]), src[16:48], src[48:176]
		for g := range 8 {
			sc, m := ScaleMin(scales, g)
			dl, ml := d*float32(sc), dmin*float32(m)
			out := dst[32*g : 32*g+32]
			for i, q := range qs[g/2*32 : g/2*32+32] {
				out[i] = float32(dl*float32(q>>(g%2*4)&15|qh[i]>>g&1<<4)) - ml
			}
		}
	}
}

func dequantizeQ6_K(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[210:] {
		ql, qh, scales := src[:128], src[128:192], src[192:208]
		d := half(src[208:])
		for g := range 8 { // 32 values, two scales
			h, plane := g/4, g%4
			low := ql[64*h+plane%2*32:]
			high := qh[32*h:]
			out := dst[32*g : 32*g+32]
			for i := range out {
				q := low[i]>>(plane/2*4)&15 | high[i]>>(2*plane)&3<<4
				ds := d * float32(int8(scales[2*g+i/16]))
				out[i] = ds * float32(int(q)-32)
			}
		}
	}
}
