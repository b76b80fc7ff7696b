package kernels

import (
	"math"
	"unsafe"

	"github.com/llama31/llama31/gguf/block"
)

// generic is the table's plain Go row, and the definition of the others.
var generic = leaf{
	name:         "generic",
	quantize:     quantizeGeneric,
	residue:      residueGeneric,
	sumSquares:   sumSquaresGeneric,
	scaleMul:     scaleMulGeneric,
	swiglu:       swigluGeneric,
	rotate:       rotateGeneric,
	add:          addGeneric,
	tile:         4,
	abreast:      1,
	abreastFloat: 1,
	tileFloat:    4,
	interleave:   interleaveGeneric,
	mul:          func(f *format, a *mulArgs) { mulGeneric(f, a, 4) },
	mulFloat:     func(a *mulFloatArgs) { mulFloatGeneric(a, 4) },
	attend:       attendGeneric,
	attendQ8:     attendQ8Generic,
	merge:        mergeGeneric,
	toF16:        toF16Generic,
	fromF16:      fromF16Generic,
	fromBF16:     fromBF16Generic,
}

// fma32 is x·y + z rounded once, as the SIMD rows compute it. The product of two float32 is exact in a float64; the sum is rounded
// to odd there (Boldo & Melquiond 2008), so that rounding it to float32 is as if done once.
func fma32(x, y, z float32) float32 {
	p := float64(x) * float64(y)
	a := float64(z)
	s := p + a
	b := s - p
	e := (p - (s - b)) + (a - b)
	if e != 0 && e == e {
		if u := math.Float64bits(s); u&1 == 0 {
			if (e > 0) == (s > 0) {
				u++
			} else {
				u--
			}
			s = math.Float64frombits(u)
		}
	}
	return float32(s)
}

// exp32 is e^x in float32 with an error below 2 ulp for −87.3 ≤ x ≤ 88.3; x is clamped to that range (Cephes' expf polynomial).
func exp32(x float32) float32 {
	x = max(min(x, 88.3), -87.3)
	n := float32(math.RoundToEven(float64(float32(x * 1.44269504))))
	r := fma32(n, -0.693359375, x)
	r = fma32(n, 2.12194440e-4, r)
	y := float32(1.9875691500e-4)
	y = fma32(y, r, 1.3981999507e-3)
	y = fma32(y, r, 8.3334519073e-3)
	y = fma32(y, r, 4.1665795894e-2)
	y = fma32(y, r, 1.6666665459e-1)
	y = fma32(y, r, 5.0000001201e-1)
	y = fma32(y, float32(r*r), r)
	y = float32(y + 1)
	return float32(y * math.Float32frombits(uint32(int32(n)+127)<<23))
}

func quantizeGeneric(nb int, limit float32, x *float32, q *int8, scale, sum *float32, half *int32) {
	xs, qs, sc, sm, hf := slice(x, 32*nb), slice(q, 32*nb), slice(scale, nb), slice(sum, nb), slice(half, 2*nb)
	for b := range nb {
		v := xs[32*b : 32*b+32]
		var amax float32
		for _, f := range v {
			amax = max(amax, float32(math.Abs(float64(f))))
		}
		d := float32(amax / limit)
		var inv float32
		if amax > 0 {
			inv = float32(limit / amax)
		}
		var h [2]int32
		for i, f := range v {
			r := int32(math.RoundToEven(float64(float32(f * inv))))
			qs[32*b+i] = int8(r)
			h[i/16] += r
		}
		sc[b] = d
		hf[2*b], hf[2*b+1] = h[0], h[1]
		sm[b] = float32(float32(h[0]+h[1]) * d)
	}
}

func residueGeneric(nb int, x *float32, q *int8, scale, rest *float32) {
	xs, qs, out := slice(x, 32*nb), slice(q, 32*nb), slice(rest, 32*nb)
	for b, d := range slice(scale, nb) {
		x, q, out := xs[32*b:32*b+32], qs[32*b:32*b+32], out[32*b:32*b+32]
		for i, f := range x {
			out[i] = f - float32(float32(q[i])*d)
		}
	}
}

func sumSquaresGeneric(n int, x *float32) float32 {
	var p [16]float32
	for i, f := range slice(x, n) {
		p[i%16] = fma32(f, f, p[i%16])
	}
	var s float32
	for _, f := range p {
		s = float32(s + f)
	}
	return s
}

func scaleMulGeneric(n int, r float32, x, w, y *float32) {
	xs, ws, ys := slice(x, n), slice(w, n), slice(y, n)
	for i := range ys {
		ys[i] = float32(float32(xs[i]*r) * ws[i])
	}
}

func swigluGeneric(n int, g, u *float32) {
	gs, us := slice(g, n), slice(u, n)
	for i, v := range gs {
		gs[i] = float32(float32(v/float32(1+exp32(-v))) * us[i])
	}
}

func rotateGeneric(n int, r float32, x, cos, sin *float32) {
	xs, cs, ss := slice(x, n), slice(cos, n), slice(sin, n)
	for i := 0; i < n; i += 2 {
		a, b := xs[i], xs[i+1]
		xs[i] = float32(float32(float32(a*cs[i])+float32(b*ss[i])) * r)
		xs[i+1] = float32(float32(float32(b*cs[i+1])+float32(a*ss[i+1])) * r)
	}
}

func addGeneric(n int, x, y *float32) {
	xs, ys := slice(x, n), slice(y, n)
	for i := range ys {
		ys[i] = float32(ys[i] + xs[i])
	}
}

func interleaveGeneric(nb int, rows *byte, stride int, q *byte) {
	in, out := slice(rows, 15*stride+32*nb), slice(q, 512*nb)
	for b := range nb {
		o := out[512*panelIndex(nb, b):]
		for r := range 16 {
			row := in[r*stride+32*b:]
			for g := range 8 {
				copy(o[64*g+4*r:64*g+4*r+4], row[4*g:4*g+4])
			}
		}
	}
}

func mulGeneric(f *format, a *mulArgs, tile int) {
	q, w := slice(a.q, 512*a.nb), slice(a.a, 32*tile*a.nb)
	mulSums(f, a, tile, func(b, h, t, r int) (s int32) {
		if f.bias != 0 {
			s = slice(a.init, f.scales*tile*a.nb)[(b*f.scales+h)*tile+t]
		}
		for g := h * 8 / f.scales; g < (h+1)*8/f.scales; g++ {
			for i := range 4 {
				s += int32(q[512*b+64*g+4*r+i]) * int32(w[32*tile*b+4*tile*g+4*t+i])
			}
		}
		return s
	})
}

// mulSums is a panel's product with a tile, from its integer sums: of half h of block b (or of the whole, for one scale), of token t and row r.
func mulSums(f *format, a *mulArgs, tile int, sum func(b, h, t, r int) int32) {
	nb := a.nb
	scale, as := slice(a.scale, 16*f.scales*nb), slice(a.as, tile*nb)
	c := slice(a.c, (tile-1)*a.ldc+16)
	for t := range tile {
		for r := range 16 {
			var y float32
			for j := range 8 {
				var p float32
				for b := panelStart(nb, j); b < panelStart(nb, j+1); b++ {
					var sums [2]int32
					for h := range f.scales {
						sums[h] = sum(b, h, t, r)
					}
					if f.scales == 1 {
						p = fma32(float32(sums[0]), float32(scale[b*16+r]*as[b*tile+t]), p)
					} else {
						p = fma32(halves(sums, scale[2*b*16+r], scale[(2*b+1)*16+r]), as[b*tile+t], p)
					}
					for h := range f.offs {
						p = fma32(slice(a.off, 16*f.offs*nb)[(b*f.offs+h)*16+r], slice(a.sum, f.offs*tile*nb)[(b*f.offs+h)*tile+t], p)
					}
				}
				y = float32(y + p)
			}
			c[t*a.ldc+r] = y
		}
	}
}

// halves joins the sums of a block's halves, each times its scale. The token's scale comes after: that is one operation less.
func halves(sums [2]int32, first, last float32) float32 {
	return fma32(float32(sums[1]), last, float32(float32(sums[0])*first))
}

func mulFloatGeneric(a *mulFloatArgs, tile int) {
	w, x, c := slice(a.w, 16*a.k), slice(a.a, tile*a.k), slice(a.c, (tile-1)*a.ldc+16)
	for t := range tile {
		for r := range 16 {
			var y float32
			for i := range 16 {
				var p float32
				for k := i * a.k / 16; k < (i+1)*a.k/16; k++ {
					p = fma32(w[16*k+r], x[tile*k+t], p)
				}
				y = float32(y + p)
			}
			c[t*a.ldc+r] = y
		}
	}
}

// toBF16Generic is bf16Leaf.round.
func toBF16Generic(n int, x *float32, y *uint16) {
	out := slice(y, n)
	for i, f := range slice(x, n) {
		u := math.Float32bits(f)
		out[i] = uint16((u + 0x7fff + u>>16&1) >> 16)
		if f != f {
			out[i] = 0x7fc0
		}
	}
}

// dpbf16 adds the products of two pairs of bfloat16 to p, that of the upper ones first, rounding after each. What is too small for a normal number is 0, before and after
// (Intel, "BFLOAT16 - Hardware Numerics Definition", 2018; Zen 4 gives the same bits).
func dpbf16(x, y uint32, p float32) float32 {
	for _, half := range [2]uint{16, 0} {
		a, b := x>>half<<16, y>>half<<16
		p = flush(fma32(flush(math.Float32frombits(a)), flush(math.Float32frombits(b)), flush(p)))
	}
	return p
}

func flush(f float32) float32 {
	u := math.Float32bits(f)
	if u&0x7f800000 == 0 {
		u &= 1 << 31
	}
	return math.Float32frombits(u)
}

// mulPairsGeneric is bf16Leaf.mul: mulFloatGeneric with dpbf16 for fma32.
func mulPairsGeneric(a *mulFloatArgs, tile int) {
	w, x, c := slice(a.w, 16*a.k), slice(a.a, tile*a.k), slice(a.c, (tile-1)*a.ldc+16)
	for t := range tile {
		for r := range 16 {
			var y float32
			for i := range 16 {
				var p float32
				for k := i * a.k / 16; k < (i+1)*a.k/16; k++ {
					p = dpbf16(math.Float32bits(w[16*k+r]), math.Float32bits(x[tile*k+t]), p)
				}
				y = float32(y + p)
			}
			c[t*a.ldc+r] = y
		}
	}
}

// dotPairsGeneric is bf16Leaf.dot.
func dotPairsGeneric(a *dotArgs) {
	k := 16 * a.nb
	for t := range a.tokens {
		x := slice(at(a.x, t*k), k)
		for r := range a.rows {
			var p [16]float32
			for i, w := range blocks[uint32](at(a.w, r*a.stride), k) {
				p[i%16] = dpbf16(w, math.Float32bits(x[i]), p[i%16])
			}
			var y float32
			for _, f := range p {
				y = float32(y + f)
			}
			*at(a.y, t*a.ldy+r) = y
		}
	}
}

// dotTilesGeneric is bf16Leaf.dot where it is tiled, as TDPBF16PS computes it (Intel, "Architectures Software Developer's Manual", volume 2A): of 32 products, those of the
// lower values of pairs are summed and those of the upper, and both sums added; that is added to the sum of the blocks before. All of it flushes as dpbf16 does.
func dotTilesGeneric(a *dotArgs) {
	k := 16 * a.nb
	for t := range a.tokens {
		tile := t / panelRows * panelRows
		width := min(panelRows, a.tokens-tile)
		x := slice(at(a.x, tile*k), width*k)[t-tile:]
		for r := range a.rows {
			var y float32
			for b, w := range slice((*[16]uint32)(unsafe.Pointer(at(a.w, r*a.stride))), a.nb) {
				var halves [2]float32
				for i, pair := range w {
					token := math.Float32bits(x[(16*b+i)*width])
					for h := range halves {
						u, v := pair<<(16-16*h)&0xffff0000, token<<(16-16*h)&0xffff0000
						halves[h] = flush(fma32(flush(math.Float32frombits(u)), flush(math.Float32frombits(v)), halves[h]))
					}
				}
				y = flush(y + flush(halves[0]+halves[1]))
			}
			*at(a.y, t*a.ldy+r) = y
		}
	}
}

func attendGeneric(a *attendArgs) {
	n := PageSize * a.headDim
	var ks, vs [PageSize * maxHeadDim]float32
	k, v := ks[:n], vs[:n]
	for i, h := range slice(a.k, n) {
		k[i] = f16to32(h)
	}
	for i, h := range slice(a.v, n) {
		v[i] = f16to32(h)
	}
	attendFloats(a, k, v)
}

func attendQ8Generic(a *attendArgs) {
	hd, n := a.headDim, PageSize*a.headDim
	var ks, vs [PageSize * maxHeadDim]float32
	k, v := ks[:n], vs[:n]
	kscale, vscale := slice(a.ks, n/32), slice(a.vs, n/32)
	for i, q := range slice(a.k8, n) {
		d, key := i/PageSize, i%PageSize
		k[i] = float32(q) * f16to32(kscale[d/32*PageSize+key])
	}
	for i, q := range slice(a.v8, n) {
		key, d := i/hd, i%hd
		v[i] = float32(q) * f16to32(vscale[d/32*PageSize+key])
	}
	attendFloats(a, k, v)
}

// attendFloats is a page's attention on its keys [headDim][PageSize] and values [PageSize][headDim] as float32.
func attendFloats(a *attendArgs, k, v []float32) {
	hd := a.headDim
	q, o := slice(a.q, a.rows*hd), slice(a.o, a.rows*hd)
	m, l := slice(a.m, a.rows), slice(a.l, a.rows)
	for r, n := range slice(a.count, a.rows) {
		if n <= 0 {
			continue
		}
		var p [PageSize]float32
		mx := m[r]
		for key := range n {
			var s float32
			for d := range hd {
				s = fma32(q[r*hd+d], k[d*PageSize+int(key)], s)
			}
			p[key] = s
			mx = max(mx, s)
		}
		for key := range n {
			p[key] = exp32(float32(p[key] - mx))
		}
		c := exp32(float32(m[r] - mx))
		s := p
		for h := PageSize / 2; h > 0; h /= 2 {
			for i := range h {
				s[i] = float32(s[i] + s[i+h])
			}
		}
		m[r], l[r] = mx, fma32(l[r], c, s[0])
		for d := range hd {
			y := float32(o[r*hd+d] * c)
			for key := range n {
				y = fma32(p[key], v[int(key)*hd+d], y)
			}
			o[r*hd+d] = y
		}
	}
}

// attendPairsGeneric is bf16Leaf.attend.
func attendPairsGeneric(a *attendArgs) {
	hd := a.headDim
	q, k, v := slice(a.q2, a.rows*hd/2), slice(a.k2, hd/2*PageSize), slice(a.v2, PageSize/2*hd)
	o, m, l := slice(a.o, a.rows*hd), slice(a.m, a.rows), slice(a.l, a.rows)
	for r, n := range slice(a.count, a.rows) {
		if n <= 0 {
			continue
		}
		var p [PageSize]float32
		mx := m[r]
		for key := range n {
			var s float32
			for d := range hd / 2 {
				s = dpbf16(q[r*hd/2+d], k[d*PageSize+int(key)], s)
			}
			p[key] = s
			mx = max(mx, s)
		}
		for key := range n {
			p[key] = exp32(float32(p[key] - mx))
		}
		var half [PageSize]uint16
		toBF16Generic(PageSize, &p[0], &half[0])
		s := p
		for h := PageSize / 2; h > 0; h /= 2 {
			for i := range h {
				s[i] = float32(s[i] + s[i+h])
			}
		}
		c := exp32(float32(m[r] - mx))
		m[r], l[r] = mx, fma32(l[r], c, s[0])
		for d := range hd {
			y := float32(o[r*hd+d] * c)
			for i := range (int(n) + 1) / 2 {
				x := v[i*hd+d]
				if 2*i+1 == int(n) {
					x &= 0xffff
				}
				y = dpbf16(uint32(half[2*i])|uint32(half[2*i+1])<<16, x, y)
			}
			o[r*hd+d] = y
		}
	}
}

func mergeGeneric(n int, a, b float32, o, total *float32) {
	os, ts := slice(o, n), slice(total, n)
	for i, x := range os {
		ts[i] = fma32(x, b, float32(ts[i]*a))
	}
}

// dotGeneric is the plain twin of every fused row dot of an integer format.
func dotGeneric(f *format, a *dotArgs) {
	nb := a.nb
	q, scale, off := make([]byte, 32*nb), make([]float32, f.scales*nb), make([]float32, max(1, f.offs*nb))
	y := slice(a.y, (a.tokens-1)*a.ldy+a.rows)
	for r := range a.rows {
		f.unpack(nb, at(a.w, r*a.stride), &q[0], &scale[0], &off[0])
		for t := range a.tokens {
			x, as, sum, half := slice(at(a.q, t*32*nb), 32*nb), slice(at(a.scale, t*nb), nb), slice(at(a.sum, t*nb), nb), slice(at(a.half, t*2*nb), 2*nb)
			var p [8]float32
			for b := range nb {
				var sums [2]int32
				for i := range 32 {
					sums[i*f.scales/32] += (int32(q[32*b+i]) - f.bias) * int32(x[32*b+i])
				}
				if f.scales == 1 {
					p[b%8] = fma32(float32(sums[0]), float32(scale[b]*as[b]), p[b%8])
				} else {
					p[b%8] = fma32(halves(sums, scale[2*b], scale[2*b+1]), as[b], p[b%8])
				}
				switch f.offs {
				case 1:
					p[b%8] = fma32(off[b], sum[b], p[b%8])
				case 2:
					for h := range 2 {
						p[b%8] = fma32(off[2*b+h], float32(float32(half[2*b+h])*as[b]), p[b%8])
					}
				}
			}
			var s float32
			for _, v := range p {
				s = float32(s + v)
			}
			y[t*a.ldy+r] = s
		}
	}
}

// dotFloatGeneric is the plain twin of the row dots of F32, F16 and BF16: 16 partial sums along k.
func dotFloatGeneric(t block.Type, a *dotArgs) {
	k := 32 * a.nb
	w, y := make([]float32, k), slice(a.y, (a.tokens-1)*a.ldy+a.rows)
	for r := range a.rows {
		row := at(a.w, r*a.stride)
		switch t {
		case block.TypeF32:
			copy(w, blocks[float32](row, k))
		case block.TypeF16:
			for i, v := range blocks[block.F16](row, k) {
				w[i] = v.Float32()
			}
		case block.TypeBF16:
			for i, v := range blocks[block.BF16](row, k) {
				w[i] = v.Float32()
			}
		}
		for t := range a.tokens {
			var p [16]float32
			for i, x := range slice(at(a.x, t*k), k) {
				p[i%16] = fma32(w[i], x, p[i%16])
			}
			var s float32
			for _, v := range p {
				s = float32(s + v)
			}
			y[t*a.ldy+r] = s
		}
	}
}
