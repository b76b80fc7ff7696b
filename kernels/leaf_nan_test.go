package kernels

import (
	"math"
	"testing"
)

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
		l.attend(&attendArgs{headDim: hd, rows: 1, q: &q[0], k: &k[0], v: &v[0], count: &n[0], m: &m[0], l: &sum[0], o: &o[0]})
		for i, f := range o {
			if f == f {
				t.Errorf("attend: o[%d] = %v", i, f)
			}
		}
	})
}
