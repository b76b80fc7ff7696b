package kernels

import (
	"fmt"
	"math"
	"testing"
)

func TestMulFloat(t *testing.T) {
	eachLeaf(t, func(t *testing.T, l *leaf) {
		m := &memory{t: t}
		for _, nb := range blockCounts() {
			for _, k := range []int{32*nb - 16, 32 * nb} {
				r, T, ldc := newRandom(nb, k), l.tileFloat, 16+nb%5
				w, x := buffer[float32](m, 16*k, nb%3), buffer[float32](m, T*k, nb%3)
				r.floats(w)
				r.floats(x)
				got, want := buffer[float32](m, (T-1)*ldc+16, nb%3), make([]float32, (T-1)*ldc+16)
				a := &mulFloatArgs{k, &w[0], &x[0], &got[0], ldc}
				l.mulFloat(a)
				a.c = &want[0]
				mulFloatGeneric(a, T)
				sameBits(t, fmt.Sprintf("k %d: c", k), got, want)
				m.done()
			}
		}
	})
}

func TestElementwise(t *testing.T) {
	eachLeaf(t, func(t *testing.T, l *leaf) {
		m := &memory{t: t}
		for _, nb := range blockCounts() {
			r, n := newRandom(nb, 3), 32*nb
			x, w := buffer[float32](m, n, nb%3), buffer[float32](m, n, nb%3)
			r.floats(x)
			r.floats(w)
			got, want := []float32{l.sumSquares(n, &x[0])}, []float32{sumSquaresGeneric(n, &x[0])}
			sameBits(t, fmt.Sprintf("n %d: sumSquares", n), got, want)

			y, wy := buffer[float32](m, n, nb%3), make([]float32, n)
			l.scaleMul(n, 0.7, &x[0], &w[0], &y[0])
			scaleMulGeneric(n, 0.7, &x[0], &w[0], &wy[0])
			sameBits(t, fmt.Sprintf("n %d: scaleMul", n), y, wy)

			for _, n := range []int{max(16, n-16), n} {
				l.add(n, &x[0], &y[0])
				addGeneric(n, &x[0], &wy[0])
				sameBits(t, fmt.Sprintf("n %d: add", n), y, wy)

				h, wh := buffer[uint16](m, n, nb%3), make([]uint16, n)
				for i := 0; i < n; i += 5 { // around float16's limits too
					x[i] = float32(math.Ldexp(1+float64(r.IntN(1<<12))/(1<<12), r.IntN(44)-26))
				}
				l.toF16(n, &x[0], &h[0])
				toF16Generic(n, &x[0], &wh[0])
				same(t, fmt.Sprintf("n %d: toF16", n), h, wh)

				g, wg := like(m, x[:n], nb%3), append([]float32{}, x[:n]...)
				for i := range g {
					if r.IntN(3) > 0 {
						g[i] = float32(r.NormFloat64() * 20)
						wg[i] = g[i]
					}
				}
				l.swiglu(n, &g[0], &w[0])
				swigluGeneric(n, &wg[0], &w[0])
				sameBits(t, fmt.Sprintf("n %d: swiglu", n), g, wg)
			}
			m.done()
		}
	})
}

// TestNaN checks that a NaN is not lost on the way.
func TestNaN(t *testing.T) {
	eachLeaf(t, func(t *testing.T, l *leaf) {
		nan := float32(math.NaN())
		g, u := make([]float32, 16), make([]float32, 16)
		for i := range g {
			g[i], u[i] = 1, 1
		}
		g[3] = nan
		l.swiglu(16, &g[0], &u[0])
		for i, f := range g {
			if (f != f) != (i == 3) {
				t.Errorf("swiglu[%d] = %v", i, f)
			}
		}
		hd := 32
		q, k, v, o := make([]float32, hd), make([]uint16, hd*PageSize), make([]uint16, hd*PageSize), make([]float32, hd)
		for i := range k {
			k[i], v[i] = 0x3c00, 0x3c00
		}
		q[5] = nan
		m, sum, n := []float32{0}, []float32{0}, []int32{7}
		l.attend(&attendArgs{hd, 1, &q[0], &k[0], &v[0], &n[0], &m[0], &sum[0], &o[0]})
		for i, f := range o {
			if f == f {
				t.Errorf("attend: o[%d] = %v", i, f)
			}
		}
	})
}
