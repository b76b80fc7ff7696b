package block

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// supported are the types that can be decoded, by GGML's numbers.
func supported() []Type {
	var ts []Type
	for t := Type(0); t < numTypes; t++ {
		if formats[t].dequantize != nil {
			ts = append(ts, t)
		}
	}
	return ts
}

// golden reads a file of testdata/golden.py: blocks and what they decode to.
func golden(t *testing.T, typ Type, kind string) (src []byte, want []uint32) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", typ.String()+"."+kind+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	n := len(data) / (typ.Size() + 4*typ.Len())
	if n == 0 || n*(typ.Size()+4*typ.Len()) != len(data) {
		t.Fatalf("%d bytes of golden data are not whole blocks", len(data))
	}
	want = make([]uint32, n*typ.Len())
	for i := range want {
		want[i] = binary.LittleEndian.Uint32(data[n*typ.Size()+4*i:])
	}
	return data[:n*typ.Size()], want
}

// TestGolden demands the bits that PyPI's gguf decodes, of a NaN that it is one:
// which one depends on the processor.
func TestGolden(t *testing.T) {
	for _, typ := range supported() {
		for _, kind := range []string{"golden", "edges"} {
			t.Run(typ.String()+"/"+kind, func(t *testing.T) {
				src, want := golden(t, typ, kind)
				got := make([]float32, len(want))
				if err := Dequantize(typ, got, src); err != nil {
					t.Fatal(err)
				}
				for i, g := range got {
					w := math.Float32frombits(want[i])
					if math.Float32bits(g) != want[i] && !(math.IsNaN(float64(g)) && math.IsNaN(float64(w))) {
						t.Fatalf("block %d, value %d: got %v (%#x), expected %v (%#x)", i/typ.Len(), i%typ.Len(), g, math.Float32bits(g), w, want[i])
					}
				}
			})
		}
	}
}

func TestGoldenForEveryType(t *testing.T) {
	files, err := filepath.Glob("testdata/*.golden.gz")
	if err != nil {
		t.Fatal(err)
	}
	decodable := map[string]bool{}
	for _, typ := range supported() {
		decodable[typ.String()+".golden.gz"] = true
	}
	for _, f := range files {
		if !decodable[filepath.Base(f)] {
			t.Errorf("%s: no decoder for this type", f)
		}
	}
}

// normal gives n values of standard deviation 0.02, as weights have, with a few
// outliers.
func normal(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64() * 0.02)
		if r.IntN(200) == 0 {
			x[i] *= 5
		}
	}
	return x
}

// rms is the root of the mean squared difference over that of x itself.
func rms(x, y []float32) float64 {
	var diff, norm float64
	for i := range x {
		d := float64(x[i]) - float64(y[i])
		diff += d * d
		norm += float64(x[i]) * float64(x[i])
	}
	return math.Sqrt(diff / norm)
}

// TestQuantize bounds the error of every quantiser on weight-like values.
func TestQuantize(t *testing.T) {
	limits := map[Type]float64{
		TypeF32: 0, TypeF16: 3e-4, TypeBF16: 2.5e-3,
		TypeQ8_0: 0.0075, TypeQ6_K: 0.0195, TypeQ5_K: 0.039, TypeQ5_0: 0.055, TypeQ5_1: 0.045, TypeQ4_K: 0.075, TypeQ4_0: 0.115, TypeQ4_1: 0.095,
		TypeIQ4_NL: 0.095, TypeIQ4_XS: 0.085, TypeQ3_K: 0.165, TypeQ2_K: 0.29,
	}
	for _, typ := range supported() {
		if formats[typ].quantize == nil {
			continue
		}
		limit, ok := limits[typ]
		if !ok {
			t.Errorf("%v: no error limit for this quantiser", typ)
			continue
		}
		r := rand.New(rand.NewPCG(1, uint64(typ)))
		x := normal(r, 256*64)
		size, err := typ.Bytes(int64(len(x)))
		if err != nil {
			t.Fatal(err)
		}
		q, y := make([]byte, size), make([]float32, len(x))
		if err := Quantize(typ, q, x); err != nil {
			t.Fatal(err)
		}
		if err := Dequantize(typ, y, q); err != nil {
			t.Fatal(err)
		}
		e := rms(x, y)
		if !(e <= limit) {
			t.Errorf("%v: relative error %.4f, expected at most %.4f", typ, e, limit)
		}
		t.Logf("%v: relative error %.4f", typ, e)
	}
}

// TestQuantizeExtremes feeds what no fit likes: finite results are demanded.
func TestQuantizeExtremes(t *testing.T) {
	inputs := map[string]func(i int) float32{
		"zero":      func(int) float32 { return 0 },
		"negative0": func(int) float32 { return float32(math.Copysign(0, -1)) },
		"constant":  func(int) float32 { return 0.25 },
		"negative":  func(int) float32 { return -0.25 },
		"one":       func(i int) float32 { return float32(1 &^ min(i, 1)) },
		"tiny":      func(i int) float32 { return float32(i-128) * 1e-42 },
		"small":     func(i int) float32 { return float32(i-128) * 1e-9 },
		"large":     func(i int) float32 { return float32(i-128) * 100 },
	}
	for name, f := range inputs {
		x := make([]float32, 256)
		for i := range x {
			x[i] = f(i)
		}
		for _, typ := range supported() {
			if formats[typ].quantize == nil {
				continue
			}
			size, _ := typ.Bytes(256)
			q, y := make([]byte, size), make([]float32, 256)
			if err := Quantize(typ, q, x); err != nil {
				t.Fatal(err)
			}
			if err := Dequantize(typ, y, q); err != nil {
				t.Fatal(err)
			}
			top := absMax(x)
			for i := range y {
				if !(abs(y[i]-x[i]) <= top+1e-6) {
					t.Errorf("%s, %v: value %d: %v became %v", name, typ, i, x[i], y[i])
					break
				}
			}
		}
	}
}

// TestQuantizeNotFinite demands that nothing panics; the blocks mean nothing.
func TestQuantizeNotFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, bad := range []float32{nan, inf, -inf, math.MaxFloat32, -math.MaxFloat32} {
		for _, every := range []int{1, 3, 255} {
			x, w := make([]float32, 256), make([]float32, 256)
			for i := range x {
				x[i], w[i] = float32(i), 1
				if i%every == 0 {
					x[i] = bad
				}
			}
			for _, typ := range supported() {
				if formats[typ].quantize == nil {
					continue
				}
				size, _ := typ.Bytes(256)
				if err := QuantizeWeighted(typ, make([]byte, size), x, w); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// TestWeights demands that a weighted fit lowers the weighted error.
func TestWeights(t *testing.T) {
	for _, typ := range []Type{TypeQ4_0, TypeQ4_1, TypeQ5_0, TypeQ5_1, TypeQ2_K, TypeQ3_K, TypeQ4_K, TypeQ5_K, TypeQ6_K, TypeIQ4_NL, TypeIQ4_XS} {
		r := rand.New(rand.NewPCG(2, uint64(typ)))
		x := normal(r, 256*16)
		w := make([]float32, len(x))
		for i := range w {
			w[i] = float32(math.Exp(2 * r.NormFloat64()))
		}
		errorOf := func(weight []float32) float64 {
			size, _ := typ.Bytes(int64(len(x)))
			q, y := make([]byte, size), make([]float32, len(x))
			if err := QuantizeWeighted(typ, q, x, weight); err != nil {
				t.Fatal(err)
			}
			if err := Dequantize(typ, y, q); err != nil {
				t.Fatal(err)
			}
			var sum float64
			for i := range x {
				d := float64(x[i] - y[i])
				sum += float64(w[i]) * d * d
			}
			return sum
		}
		if with, without := errorOf(w), errorOf(nil); !(with < without) {
			t.Errorf("%v: weighted error %g with weights, %g without", typ, with, without)
		}
	}
}

func TestHalf(t *testing.T) {
	for i := range 1 << 16 {
		h := F16(i)
		f := h.Float32()
		if math.IsNaN(float64(f)) {
			if g := NewF16(f); g&0x7c00 != 0x7c00 || g&0x3ff == 0 {
				t.Fatalf("F16 NaN %#x became %#x", i, g)
			}
		} else if g := NewF16(f); g != h {
			t.Fatalf("F16 %#x = %v became %#x", i, f, g)
		}
		b := BF16(i)
		if f := b.Float32(); !math.IsNaN(float64(f)) && NewBF16(f) != b {
			t.Fatalf("BF16 %#x = %v became %#x", i, f, NewBF16(f))
		}
	}
	// Halfway values go to even, values above to the next.
	for i := range 0x7bff {
		a, b := F16(i).Float32(), F16(i+1).Float32()
		mid := (a + b) / 2
		even := F16(i + i&1)
		if got := NewF16(mid); got != even {
			t.Fatalf("NewF16(%v) = %#x, expected %#x", mid, got, even)
		}
		if got := NewF16(math.Nextafter32(mid, b)); got != F16(i+1) {
			t.Fatalf("NewF16 just above %v = %#x, expected %#x", mid, got, i+1)
		}
	}
	if NewF16(65519.996) != 0x7bff || NewF16(65520) != 0x7c00 || NewF16(float32(math.Inf(-1))) != 0xfc00 {
		t.Error("NewF16 is wrong at the end of the range")
	}
	if NewBF16(math.Float32frombits(0x3f808000)) != 0x3f80 || NewBF16(math.Float32frombits(0x3f818000)) != 0x3f82 {
		t.Error("NewBF16 does not round ties to even")
	}
	if !math.IsNaN(float64(NewBF16(math.Float32frombits(0x7f800001)).Float32())) {
		t.Error("NewBF16 of a NaN is no NaN")
	}
}

func TestTypes(t *testing.T) {
	for _, typ := range supported() {
		if got, err := ParseType(typ.String()); err != nil || got != typ {
			t.Errorf("ParseType(%q) = %v, %v", typ.String(), got, err)
		}
		if got, ok := TypeOf(typ.Dtype()); !ok || got != typ {
			t.Errorf("TypeOf(%v.Dtype()) = %v, %v", typ, got, ok)
		}
		if int(typ.Dtype().Size()) != typ.Size() {
			t.Errorf("%v: struct of %d bytes, block of %d", typ, typ.Dtype().Size(), typ.Size())
		}
		if n, err := typ.Bytes(int64(typ.Len()) * 7); err != nil || n != int64(typ.Size())*7 {
			t.Errorf("%v.Bytes: %d, %v", typ, n, err)
		}
		if _, err := typ.Bytes(math.MinInt64); err == nil {
			t.Errorf("%v.Bytes takes a negative count", typ)
		}
	}
	if _, err := TypeF64.Bytes(math.MaxInt64); err == nil {
		t.Error("F64.Bytes overflowed without an error")
	}
	if _, err := TypeQ4_K.Bytes(255); err == nil {
		t.Error("Q4_K.Bytes takes part of a block")
	}
	for _, typ := range []Type{4, 31, 37, TypeQ8_K, TypeMXFP4, numTypes, math.MaxUint32} {
		if _, err := typ.Bytes(256); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%v.Bytes: %v, expected ErrUnsupported", typ, err)
		}
		if err := Dequantize(typ, nil, nil); !errors.Is(err, ErrUnsupported) {
			t.Errorf("Dequantize(%v): %v, expected ErrUnsupported", typ, err)
		}
		if err := Quantize(typ, nil, nil); !errors.Is(err, ErrUnsupported) {
			t.Errorf("Quantize(%v): %v, expected ErrUnsupported", typ, err)
		}
	}
	if err := Dequantize(TypeQ8_0, make([]float32, 31), make([]byte, 34)); err == nil {
		t.Error("Dequantize takes part of a block")
	}
	if err := Quantize(TypeQ8_0, make([]byte, 33), make([]float32, 32)); err == nil {
		t.Error("Quantize takes part of a block")
	}
}

func TestScaleMin(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 0))
	for range 1000 {
		var sc, m [8]byte
		for i := range sc {
			sc[i], m[i] = byte(r.IntN(64)), byte(r.IntN(64))
		}
		var packed [12]byte
		packScaleMin(packed[:], &sc, &m)
		var sc2, m2 [8]byte
		for i := range sc {
			sc2[i], m2[i] = ScaleMin(&packed, i)
		}
		if !bytes.Equal(sc[:], sc2[:]) || !bytes.Equal(m[:], m2[:]) {
			t.Fatalf("%v %v packed and unpacked: %v %v", sc, m, sc2, m2)
		}
	}
}

func BenchmarkQuantize(b *testing.B) {
	x := normal(rand.New(rand.NewPCG(4, 0)), 256*64)
	for _, typ := range supported() {
		if formats[typ].quantize == nil {
			continue
		}
		b.Run(typ.String(), func(b *testing.B) {
			size, _ := typ.Bytes(int64(len(x)))
			q := make([]byte, size)
			b.SetBytes(int64(4 * len(x)))
			for b.Loop() {
				if err := Quantize(typ, q, x); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDequantize(b *testing.B) {
	x := normal(rand.New(rand.NewPCG(5, 0)), 256*64)
	for _, typ := range supported() {
		b.Run(typ.String(), func(b *testing.B) {
			size, _ := typ.Bytes(int64(len(x)))
			q := make([]byte, size)
			b.SetBytes(int64(4 * len(x)))
			for b.Loop() {
				if err := Dequantize(typ, x, q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
