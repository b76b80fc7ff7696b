package kernels

import (
	"fmt"
	"math"
	"testing"

	"github.com/llama31/llama31/gguf/block"
)

// TestAttend has finite scores. Slots of the page that no row may see hold NaN.
func TestAttend(t *testing.T) {
	eachLeaf(t, func(t *testing.T, l *leaf) {
		m := &memory{t: t}
		for _, hd := range []int{16, 32, 48, 64, 80, 96, 128, 160, 256} {
			for rows := 0; rows <= 13; rows++ {
				testAttend(t, m, l, hd, rows)
			}
		}
	})
}

func testAttend(t *testing.T, m *memory, l *leaf, hd, rows int) {
	r, shift := newRandom(hd, rows), rows%3
	most := int32(0)
	count := buffer[int32](m, rows, shift)
	for i := range count {
		switch r.IntN(4) {
		case 0:
			count[i] = int32(r.IntN(PageSize+3) - 2)
		case 1:
			count[i] = PageSize
		default:
			count[i] = int32(1 + rows)
		}
		count[i] = min(count[i], PageSize)
		most = max(most, count[i])
	}
	k, v := buffer[uint16](m, hd*PageSize, shift), buffer[uint16](m, hd*PageSize, shift)
	for i := range k {
		k[i], v[i] = uint16(block.NewF16(float32(r.NormFloat64()))), uint16(block.NewF16(r.float()))
		if i%PageSize >= int(most) {
			k[i] = 0x7e00
		}
		if i/hd >= int(most) {
			v[i] = 0x7e00
		}
	}
	q, mx, sum, o := buffer[float32](m, rows*hd, shift), buffer[float32](m, rows, shift), buffer[float32](m, rows, shift), buffer[float32](m, rows*hd, shift)
	for i := range q {
		q[i] = float32(r.NormFloat64())
	}
	for i := range mx {
		mx[i], sum[i] = float32(r.NormFloat64()), r.Float32()*100
		if r.IntN(3) == 0 { // the first page
			mx[i], sum[i] = float32(math.Inf(-1)), 0
		}
	}
	r.floats(o)
	wm, wl, wo := append([]float32{}, mx...), append([]float32{}, sum...), append([]float32{}, o...)
	a := attendArgs{hd, rows, ptr(q), ptr(k), ptr(v), ptr(count), ptr(mx), ptr(sum), ptr(o)}
	l.attend(&a)
	a.m, a.l, a.o = ptr(wm), ptr(wl), ptr(wo)
	attendGeneric(&a)
	what := fmt.Sprintf("head %d, %d rows: ", hd, rows)
	sameBits(t, what+"m", mx, wm)
	sameBits(t, what+"l", sum, wl)
	sameBits(t, what+"o", o, wo)
	m.done()
}
