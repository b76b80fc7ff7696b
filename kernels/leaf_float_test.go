package kernels

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"
	"unsafe"

	"github.com/llama31/llama31/gguf/block"
)

// TestAttend has finite scores. Slots of the page that no row may see hold NaN.
func TestAttend(t *testing.T) {
	eachLeaf(t, func(t *testing.T, l *leaf) {
		m := &memory{t: t}
		for _, hd := range []int{16, 32, 48, 64, 80, 96, 128, 160, 256} {
			for rows := 0; rows <= 29; rows++ {
				testAttend(t, m, l, hd, rows, KVF16)
				if l.attendQ8 != nil && hd%32 == 0 {
					testAttend(t, m, l, hd, rows, KVQ8)
				}
				if l.bf16 != nil {
					testAttend(t, m, l, hd, rows, kvPairs)
				}
			}
		}
	})
}

func testAttend(t *testing.T, m *memory, l *leaf, hd, rows int, kv KVType) {
	r, shift := newRandom(hd, rows), rows%3
	most, whole := int32(0), r.IntN(3) == 0
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
		if count[i] = min(count[i], PageSize); whole {
			count[i] = PageSize
		}
		most = max(most, count[i])
	}
	q, mx, sum, o := buffer[float32](m, rows*hd, shift), buffer[float32](m, rows, shift), buffer[float32](m, rows, shift), buffer[float32](m, rows*hd, shift)
	a := attendArgs{headDim: hd, rows: rows, q: ptr(q), count: ptr(count), m: ptr(mx), l: ptr(sum), o: ptr(o)}
	const nan = 0x7e00
	run, twin, what := l.attend, attendGeneric, fmt.Sprintf("head %d, %d rows: ", hd, rows)
	switch kv {
	case KVQ8:
		run, twin, what = l.attendQ8, attendQ8Generic, "int8, "+what
		k, v := buffer[int8](m, hd*PageSize, shift), buffer[int8](m, hd*PageSize, shift)
		ks, vs := buffer[uint16](m, hd, shift), buffer[uint16](m, hd, shift)
		r.int8s(k)
		r.int8s(v)
		for i := range ks {
			ks[i], vs[i] = uint16(block.NewF16(r.Float32()/64)), uint16(block.NewF16(float32(math.Abs(float64(r.float())))/64))
			if i%PageSize >= int(most) {
				ks[i], vs[i] = nan, nan
			}
		}
		a.k8, a.v8, a.ks, a.vs = ptr(k), ptr(v), ptr(ks), ptr(vs)
	case kvPairs:
		run, twin, what = l.bf16.attend, attendPairsGeneric, "pairs, "+what
		q2, k, v := buffer[uint32](m, rows*hd/2, shift), buffer[uint32](m, hd/2*PageSize, shift), buffer[uint32](m, PageSize/2*hd, shift)
		const nans = 0x7fc07fc0
		for i := range q2 {
			q2[i] = r.pair(float32(r.NormFloat64()), float32(r.NormFloat64()))
		}
		for i := range k {
			k[i], v[i] = r.pair(float32(r.NormFloat64()), float32(r.NormFloat64())), r.pair(r.float(), r.float())
			if i%PageSize >= int(most) {
				k[i] = nans
			}
			switch first := i / hd * 2; {
			case first >= int(most):
				v[i] = nans
			case first+1 == int(most):
				v[i] = v[i]&0xffff | 0x7fc00000
			}
		}
		a.q2, a.k2, a.v2 = ptr(q2), ptr(k), ptr(v)
		a.whole = whole
	default:
		k, v := buffer[uint16](m, hd*PageSize, shift), buffer[uint16](m, hd*PageSize, shift)
		for i := range k {
			k[i], v[i] = uint16(block.NewF16(float32(r.NormFloat64()))), uint16(block.NewF16(r.float()))
			if i%PageSize >= int(most) {
				k[i] = nan
			}
			if i/hd >= int(most) {
				v[i] = nan
			}
		}
		a.k, a.v = ptr(k), ptr(v)
	}
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
	run(&a)
	a.m, a.l, a.o = ptr(wm), ptr(wl), ptr(wo)
	twin(&a)
	sameBits(t, what+"m", mx, wm)
	sameBits(t, what+"l", sum, wl)
	sameBits(t, what+"o", o, wo)
	m.done()
}

// pair rounds two floats to bfloat16.
func (r random) pair(low, high float32) (p uint32) {
	x, y := [2]float32{low, high}, [2]uint16{}
	toBF16Generic(2, &x[0], &y[0])
	return uint32(y[0]) | uint32(y[1])<<16
}

// lengths are multiples of n, every small one and the model's sizes.
func lengths(n int) []int {
	var ls []int
	for l := n; l <= 320; l += n {
		ls = append(ls, l)
	}
	return append(ls, 576, 1536, 4096)
}

// testMulFloat compares a mul of as many panels as are taken abreast, or of one where k is a multiple of 80, with its twin.
func testMulFloat(t *testing.T, m *memory, l *leaf, k int, fill func([]float32), run func(*mulFloatArgs), twin func(*mulFloatArgs, int)) {
	T, abreast, shift := l.tileFloat, l.abreastFloat, k/16%3
	a := &mulFloatArgs{k: k, tiles: 1, ldc: 16*abreast + k/16%5, apartC: 16}
	if abreast == 2 {
		a.tiles += k / 16 % 3
		a.part = &make([]float32, 32*T*a.tiles)[0]
		if k%80 > 0 {
			a.apart = 64*k + 64
		}
	}
	w, x := buffer[float32](m, a.apart/4+16*k, shift), buffer[float32](m, T*k*a.tiles, shift)
	fill(w)
	fill(x)
	n := (T*a.tiles-1)*a.ldc + 16*abreast
	got, want := buffer[float32](m, n, shift), make([]float32, n)
	a.w, a.a, a.c = &w[0], &x[0], &got[0]
	run(a)
	for i := range a.tiles {
		for p := range abreast {
			twin(&mulFloatArgs{k: k, w: &w[p*a.apart/4], a: &x[T*k*i], c: &want[T*a.ldc*i+16*p], ldc: a.ldc}, T)
		}
	}
	sameBits(t, fmt.Sprintf("k %d: c", k), got, want)
	m.done()
}

// TestMulFloat has weights and activations of mixed magnitudes, k every multiple of 16.
func TestMulFloat(t *testing.T) {
	eachLeaf(t, func(t *testing.T, l *leaf) {
		m := &memory{t: t}
		for _, k := range lengths(16) {
			r := newRandom(k, 1)
			testMulFloat(t, m, l, k, r.floats, l.mulFloat, mulFloatGeneric)
		}
	})
}

// TestElementwise has finite inputs, but for the exponentials, which see infinities too.
func TestElementwise(t *testing.T) {
	eachLeaf(t, func(t *testing.T, l *leaf) {
		m := &memory{t: t}
		for _, n := range lengths(16) {
			r, shift := newRandom(n, 3), n/16%3
			x, w, y := buffer[float32](m, n, shift), buffer[float32](m, n, shift), buffer[float32](m, n, shift)
			r.floats(x)
			r.floats(w)
			r.floats(y)
			what := fmt.Sprintf("n %d: ", n)
			want := append([]float32{}, y...)

			l.add(n, &x[0], &y[0])
			addGeneric(n, &x[0], &want[0])
			sameBits(t, what+"add", y, want)
			l.merge(n, 1.0/3, 0.7, &x[0], &y[0])
			mergeGeneric(n, 1.0/3, 0.7, &x[0], &want[0])
			sameBits(t, what+"merge", y, want)

			if n%32 == 0 {
				sameBits(t, what+"sumSquares", []float32{l.sumSquares(n, &x[0])}, []float32{sumSquaresGeneric(n, &x[0])})
				l.scaleMul(n, 1.0/3, &x[0], &w[0], &y[0])
				scaleMulGeneric(n, 1.0/3, &x[0], &w[0], &want[0])
				sameBits(t, what+"scaleMul", y, want)
			}
			l.rotate(n, 1.0/3, &y[0], &x[0], &w[0])
			rotateGeneric(n, 1.0/3, &want[0], &x[0], &w[0])
			sameBits(t, what+"rotate", y, want)

			h, hw := buffer[uint16](m, n, shift), make([]uint16, n)
			for i := range x {
				switch r.IntN(4) {
				case 0:
					x[i] = math.Float32frombits(r.Uint32()&0x87ffffff | 0x38000000) // around float16's smallest
				case 1:
					x[i] = float32(65500 + 10*r.Float64()*float64(r.IntN(12)))
				}
			}
			x[0], x[1] = float32(math.Inf(1)), float32(math.Inf(-1))
			l.toF16(n, &x[0], &h[0])
			toF16Generic(n, &x[0], &hw[0])
			same(t, what+"toF16", h, hw)
			for i := range h {
				if h[i] = uint16(r.Uint32()); h[i]&0x7c00 == 0x7c00 {
					h[i] |= 0x200 // an infinity or a signalling NaN, which hardware may make quiet
				}
			}
			h[0], h[1] = 0x7c00, 0xfc00
			l.fromF16(n, &h[0], &x[0])
			fromF16Generic(n, &h[0], &want[0])
			sameBits(t, what+"fromF16", x, want)
			l.fromBF16(n, &h[0], &x[0])
			fromBF16Generic(n, &h[0], &want[0])
			sameBits(t, what+"fromBF16", x, want)

			for i := range x {
				x[i] = float32(r.NormFloat64() * 40)
			}
			x[n-1], x[n-2] = float32(math.Inf(1)), float32(math.Inf(-1))
			copy(want, x)
			for i := range w {
				w[i] = float32(r.NormFloat64())
			}
			l.swiglu(n, &x[0], &w[0])
			swigluGeneric(n, &want[0], &w[0])
			sameBits(t, what+"swiglu", x, want)
			m.done()
		}
	})
}

// TestBF16 compares products of bfloat16 with their definition, numbers too small for a normal one among them.
func TestBF16(t *testing.T) {
	eachLeaf(t, func(t *testing.T, l *leaf) {
		if l.bf16 == nil {
			return
		}
		for n := 16; n <= 320; n += 16 {
			r := newRandom(n, 1)
			x, got, want := make([]float32, n), make([]uint16, n), make([]uint16, n)
			for i := range x {
				x[i] = math.Float32frombits(r.Uint32())
			}
			l.bf16.round(n, &x[0], &got[0])
			toBF16Generic(n, &x[0], &want[0])
			same(t, fmt.Sprintf("%d values", n), got, want)
		}
		numbers := func(r random, n int) []float32 {
			x := make([]float32, n)
			for i := range x {
				pair := uint32(0)
				for range 2 {
					f := float32(r.NormFloat64())
					if r.IntN(8) == 0 {
						f = math.Float32frombits(r.Uint32()&0x807fffff | r.Uint32()%0x48<<23) // below 2^-55: products and sums leave the normal numbers
					}
					pair = pair<<16 | math.Float32bits(f)>>16
				}
				x[i] = math.Float32frombits(pair)
			}
			return x
		}
		compare := func(nb, tokens, rows int, twin func(*dotArgs)) {
			r, ldy := newRandom(nb*tokens, rows), rows+tokens%3
			w, x := numbers(r, rows*16*nb), numbers(r, tokens*16*nb)
			got, want := make([]float32, tokens*ldy), make([]float32, tokens*ldy)
			a := dotArgs{w: (*byte)(unsafe.Pointer(&w[0])), stride: 64 * nb, rows: rows, nb: nb, tokens: tokens, x: &x[0], y: &got[0], ldy: ldy}
			l.bf16.dot.run(&a)
			a.y = &want[0]
			twin(&a)
			sameBits(t, fmt.Sprintf("nb %d, %d tokens, %d rows", nb, tokens, rows), got, want)
		}
		if l.bf16.dot.tiled {
			for _, nb := range []int{1, 2, 3, 18, 31, 128} {
				for _, n := range [][2]int{{1, 1}, {1, 16}, {2, 33}, {5, 20}, {16, 32}, {17, 15}, {31, 64}, {32, 48}, {33, 5}, {64, 16}} {
					compare(nb, n[0], n[1], dotTilesGeneric)
				}
			}
			return
		}
		for k := 16; k <= 400; k += 48 {
			r := newRandom(k, 2)
			testMulFloat(t, &memory{t: t}, l, k, func(x []float32) { copy(x, numbers(r, len(x))) }, l.bf16.mul, mulPairsGeneric)
		}
		for _, nb := range []int{1, 2, 3, 18, 31, 128} {
			for tokens := 1; tokens <= l.bf16.dot.tokens; tokens++ {
				for rows := 1; rows < 10; rows++ {
					compare(nb, tokens, rows, dotPairsGeneric)
				}
			}
		}
	})
}

// TestLanes gathers rows of each float type, with and without an instruction set's own way.
func TestLanes(t *testing.T) {
	eachLeaf(t, func(t *testing.T, l *leaf) {
		for _, ty := range []block.Type{block.TypeF32, block.TypeF16, block.TypeBF16} {
			least := 64 / ty.Size()
			for k := least; k <= 416; k += least {
				r, stride := newRandom(k, 3), ty.Size()*(k+k/16%3)
				w := &cpuWeight{t: ty, rows: 16, cols: k, stride: stride, data: make([]byte, 16*stride)}
				for i := range 16 * stride / ty.Size() {
					switch x := float32(r.NormFloat64()); ty {
					case block.TypeF32:
						binary.LittleEndian.PutUint32(w.data[4*i:], math.Float32bits(x))
					case block.TypeF16:
						binary.LittleEndian.PutUint16(w.data[2*i:], uint16(block.NewF16(x)))
					default:
						binary.LittleEndian.PutUint16(w.data[2*i:], uint16(math.Float32bits(x)>>16))
					}
				}
				d := &cpuDevice{leaf: l, pool: &pool{n: 2}, mul: mulTask{group: 1}}
				s, got, want := &scratch{tmp: make([]float32, 16*k)}, panel{w: make([]float32, 16*k)}, make([]float32, k)
				d.load(s, &got, &product{w: w}, 0, 1)
				for row := range 16 {
					if err := block.Dequantize(ty, want, w.bytes(row)[:ty.Size()*k]); err != nil {
						t.Fatal(err)
					}
					for i := range k {
						if g := got.w[(i%16*(k/16)+i/16)*16+row]; g != want[i] {
							t.Fatalf("%s, k %d: value %d of row %d is %v, expected %v", ty, k, i, row, g, want[i])
						}
					}
				}
			}
		}
	})
}
