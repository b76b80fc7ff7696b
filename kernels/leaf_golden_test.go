package kernels

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/llama31/llama31/gguf/block"
)

// goldenFloats have bits that do not depend on a machine's math library: 24 random bits times a power of two.
func goldenFloats(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(int32(r.Uint32())>>8) * math.Float32frombits(uint32(127-24-r.IntN(12)+6)<<23)
	}
	return x
}

// digest is a hash of numbers of fixed size.
func digest(values ...any) uint64 {
	h := fnv.New64a()
	for _, v := range values {
		if err := binary.Write(h, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	return h.Sum64()
}

// TestGenericGolden compares what the plain Go row computes with what it gave on amd64: Go may fuse x·y + z on other machines, and a
// forgotten float32() would let it.
func TestGenericGolden(t *testing.T) {
	want := map[string]uint64{
		"add":            0x8374b418fe5fc9e0,
		"attend":         0x6e0cb58f01127a98,
		"dot BF16":       0x8ad1899c3aa89bef,
		"dot F16":        0x6d83259acd8f4352,
		"dot F32":        0xa23c4d4503251a0d,
		"dot IQ1_M":      0xd23e2258aba5f939,
		"dot IQ1_S":      0x4f43edb0b5340bf1,
		"dot IQ2_S":      0xa5793bb05546b5df,
		"dot IQ2_XS":     0x5ad0c449ba08b1b0,
		"dot IQ2_XXS":    0x389f68f24765c976,
		"dot IQ3_S":      0x65b644dbd6953e2e,
		"dot IQ3_XXS":    0x9c57192220fb68e0,
		"dot IQ4_NL":     0xda25374167f84608,
		"dot IQ4_XS":     0xa66732ffe3f3eaf4,
		"dot Q2_K":       0x94f15ddec5e4d636,
		"dot Q3_K":       0x2fd00fb9f6c157b,
		"dot Q4_0":       0x3389fe46030b7046,
		"dot Q4_1":       0xabcfb865b1b8edca,
		"dot Q4_K":       0x66291310cdedf46c,
		"dot Q5_0":       0x5a97bd9b3a9385b2,
		"dot Q5_1":       0x7bee3f127b0dd0c7,
		"dot Q5_K":       0xf19b709e97aac1d,
		"dot Q6_K":       0xe161facbd885046b,
		"dot Q8_0":       0xe7513cb693ec56b4,
		"dot TQ1_0":      0xa41f4855e8c4134d,
		"dot TQ2_0":      0x6a2f57b2eb33d263,
		"merge":          0xb74c66925be62765,
		"mulFloat":       0x3556786c2acab444,
		"quantize":       0x2923f65ee044a9ff,
		"rotate":         0x47200432b770079,
		"scaleMul":       0xf486f6ab238f4f52,
		"sumSquares":     0x9a8fcd1ed38f3a83,
		"swiglu":         0xef92d858661ba068,
		"toF16":          0x7c25f457b8cd6e5c,
		"unpack IQ1_M":   0x2df1d5c2191cc298,
		"unpack IQ1_S":   0xf200efb94d627eac,
		"unpack IQ2_S":   0x452fa781eda084c2,
		"unpack IQ2_XS":  0x74fd98d9bf37c504,
		"unpack IQ2_XXS": 0x409688c56ace22a4,
		"unpack IQ3_S":   0xa0064fafb18a9a4d,
		"unpack IQ3_XXS": 0x431a4eeac466105f,
		"unpack IQ4_NL":  0x2f243c75b173b3f2,
		"unpack IQ4_XS":  0x8092403e510df972,
		"unpack Q2_K":    0x25ad10cb5b845bf6,
		"unpack Q3_K":    0x5c94a07778249152,
		"unpack Q4_0":    0xe2f5106706702a30,
		"unpack Q4_1":    0x1a763e4a2bbc5d56,
		"unpack Q4_K":    0xd9e547c67ae67b92,
		"unpack Q5_0":    0x187428763d8a8400,
		"unpack Q5_1":    0x471150eeee257fdc,
		"unpack Q5_K":    0xf28e9c99d696764b,
		"unpack Q6_K":    0xa8a04d9622ef2714,
		"unpack Q8_0":    0xfcb98f5f1df39dce,
		"unpack TQ1_0":   0x2c9dd617b011ea69,
		"unpack TQ2_0":   0x9ad103e4977faa45,
	}
	got := map[string]uint64{}
	const nb, tokens, n = 19, 3, 32 * 19
	r := rand.New(rand.NewPCG(31, 8))
	x, w := goldenFloats(r, n*tokens), goldenFloats(r, n*tokens)
	q, scale, sum, half := make([]int8, n*tokens), make([]float32, nb*tokens), make([]float32, nb*tokens), make([]int32, 2*nb*tokens)
	quantizeGeneric(nb*tokens, 127, &x[0], &q[0], &scale[0], &sum[0], &half[0])
	got["quantize"] = digest(q, scale, sum, half)
	got["sumSquares"] = digest(sumSquaresGeneric(n, &x[0]))
	y := make([]float32, n)
	scaleMulGeneric(n, 1.0/3, &x[0], &w[0], &y[0])
	got["scaleMul"] = digest(y)
	addGeneric(n, &x[0], &y[0])
	got["add"] = digest(y)
	copy(y, x)
	swigluGeneric(n, &y[0], &w[0])
	got["swiglu"] = digest(y)
	f16 := make([]uint16, n)
	toF16Generic(n, &x[0], &f16[0])
	got["toF16"] = digest(f16)
	c := make([]float32, 64)
	mulFloatGeneric(&mulFloatArgs{k: 96, w: &w[0], a: &x[0], c: &c[0], ldc: 16}, 4)
	got["mulFloat"] = digest(c)

	const hd, rows = 32, 3
	k, v, o := make([]uint16, hd*PageSize), make([]uint16, hd*PageSize), goldenFloats(r, rows*hd)
	kv := goldenFloats(r, 2*hd*PageSize)
	toF16Generic(hd*PageSize, &kv[0], &k[0])
	toF16Generic(hd*PageSize, &kv[hd*PageSize], &v[0])
	m, l, count := []float32{-1, 0.5, 2}, []float32{1, 2, 3}, []int32{32, 17, 1}
	attendGeneric(&attendArgs{headDim: hd, rows: rows, q: &x[0], k: &k[0], v: &v[0], count: &count[0], m: &m[0], l: &l[0], o: &o[0]})
	got["attend"] = digest(m, l, o)
	tm, tl := float32(0.25), float32(3)
	generic.mergeSegment(&tm, &tl, o[:hd], m[0], l[0], o[hd:2*hd], false)
	got["merge"] = digest(tm, tl, o)
	cos, sin := goldenFloats(r, hd/2), goldenFloats(r, hd/2)
	for i := 0; i < hd; i += 2 {
		cos, sin = slices.Insert(cos, i, cos[i]), slices.Insert(sin, i, -sin[i])
	}
	for h := 0; h < len(o); h += hd {
		rotateGeneric(hd, 1, &o[h], &cos[0], &sin[0])
	}
	got["rotate"] = digest(o)

	for i := range q {
		q[i] = int8(r.IntN(255) - 127)
	}
	for i := range half {
		half[i] = int32(r.IntN(4000) - 2000)
	}
	scale, sum = goldenFloats(r, nb*tokens), goldenFloats(r, nb*tokens)
	for _, ty := range append(sortedTypes(formats), block.TypeF32, block.TypeF16, block.TypeBF16) {
		f, blocks := formats[ty], 16
		if ty.Len() <= 32 {
			blocks = nb
		}
		size := 32 * blocks / ty.Len() * ty.Size()
		bits, r := make([]byte, 2*size), rand.New(rand.NewPCG(31, uint64(ty)))
		for i := range bits {
			bits[i] = byte(r.Uint32())
		}
		for i := 1; i < len(bits) && !ty.Quantized(); i += 2 {
			bits[i] = bits[i]&0x83 | 0x38 // finite
		}
		for i := 0; i < len(bits) && ty.Quantized(); i += ty.Size() {
			for _, at := range halfFields(ty) {
				bits[i+at+1] = bits[i+at+1]&0x83 | 0x28
			}
		}
		y := make([]float32, 2*tokens)
		a := &dotArgs{w: &bits[0], stride: size, rows: 2, nb: blocks, tokens: tokens, q: &q[0], scale: &scale[0], sum: &sum[0], half: &half[0], x: &x[0], y: &y[0], ldy: 2}
		if f == nil {
			dotFloatGeneric(ty, a)
		} else {
			dotGeneric(f, a)
		}
		for _, f := range y {
			if f != f { // a NaN's bits are a machine's own
				t.Fatalf("%v: NaN", ty)
			}
		}
		got["dot "+ty.String()] = digest(y)
		if f == nil {
			continue
		}
		qs, sc, of := make([]byte, 32*blocks), make([]float32, f.scales*blocks), make([]float32, max(1, f.offs)*blocks)
		f.unpack(blocks, &bits[0], &qs[0], &sc[0], &of[0])
		got["unpack "+ty.String()] = digest(qs, sc, of)
	}
	for name, h := range got {
		if h != want[name] {
			t.Errorf("%q: %#x, want %#x", name, h, want[name])
		}
	}
}
