package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/llama31/llama31/gguf/block"
)

// Every row of the table is compared with its plain Go twin, bit for bit. Buffers are as long as the documentation says and end
// right before a page that faults, or a few canary elements before it, so that starts are unaligned too.

// eachLeaf runs f for every row that this machine has, but the generic one.
func eachLeaf(t *testing.T, f func(t *testing.T, l *leaf)) {
	for _, l := range leaves() {
		if l != &generic {
			t.Run(l.name, func(t *testing.T) { f(t, l) })
		}
	}
}

// memory hands out buffers that end shift elements before an unmapped page, with canaries before and behind.
type memory struct {
	t     testing.TB
	pages [][]byte
	used  int
	check []func()
}

const (
	pageBytes   = 8 << 20
	canaryBytes = 64
	canary      = 0xa5
)

// buffer is n elements of m, zeroed.
func buffer[T any](m *memory, n, shift int) []T {
	if m.used == len(m.pages) {
		m.pages = append(m.pages, guarded(m.t, pageBytes))
	}
	page := m.pages[m.used]
	m.used++
	var e T
	size := int(unsafe.Sizeof(e))
	end := pageBytes - shift*size
	start := end - n*size
	if start < canaryBytes {
		m.t.Fatalf("%d elements are too many for a test buffer", n)
	}
	for i := start - canaryBytes; i < pageBytes; i++ {
		page[i] = canary
	}
	clear(page[start:end])
	m.check = append(m.check, func() {
		m.t.Helper()
		for _, b := range append(page[start-canaryBytes:start:start], page[end:]...) {
			if b != canary {
				m.t.Fatalf("bytes before or behind a buffer of %d %T were written", n, e)
			}
		}
	})
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&page[start])), n)
}

// done checks the canaries and takes all buffers back.
func (m *memory) done() {
	m.t.Helper()
	for _, f := range m.check {
		f()
	}
	m.check, m.used = m.check[:0], 0
}

// like is a buffer with the contents of s.
func like[T any](m *memory, s []T, shift int) []T {
	b := buffer[T](m, len(s), shift)
	copy(b, s)
	return b
}

// blockCounts are the row lengths tested, in blocks of 32. The short ones are for emulators.
func blockCounts() []int {
	if testing.Short() {
		return []int{1, 2, 3, 5, 7, 8, 9, 12, 15, 16, 24}
	}
	var ns []int
	for n := 1; n <= 40; n++ {
		ns = append(ns, n)
	}
	return append(ns, 48, 128, 448)
}

type random struct{ *rand.Rand }

func newRandom(a, b int) random { return random{rand.New(rand.NewPCG(uint64(a), uint64(b)))} }

// float is a finite number of a wide range of magnitudes, zeros of both signs and subnormals among them.
func (r random) float() float32 {
	switch r.IntN(16) {
	case 0:
		return 0
	case 1:
		return float32(math.Copysign(0, -1))
	case 2:
		return math.Float32frombits(uint32(r.IntN(1<<23)) | uint32(r.IntN(2))<<31)
	}
	return float32(r.NormFloat64() * math.Exp2(float64(r.IntN(24)-12)))
}

func (r random) floats(x []float32) {
	for i := range x {
		x[i] = r.float()
	}
}

// int8s fills x; runs of 256 at the limit, of one sign, are where int16 sums are tightest.
func (r random) int8s(x []int8) {
	for run := range slices.Chunk(x, 256) {
		limit, all := int8(127*(r.IntN(2)*2-1)), r.IntN(4) == 0
		for i := range run {
			run[i] = int8(r.IntN(255) - 127)
			if all {
				run[i] = limit
			}
		}
	}
}

func (r random) ints(x []int32) {
	for i := range x {
		x[i] = int32(r.IntN(1<<16) - 1<<15)
	}
}

// stored fills a panel of a format; some blocks are all at a limit.
func (r random) stored(f *format, q []byte) {
	for block := range slices.Chunk(q, 512) {
		all, side := r.IntN(4) == 0, []uint8{f.min, f.max}[r.IntN(2)]
		for i := range block {
			if block[i] = f.min + byte(r.IntN(int(f.max-f.min)+1)); all {
				block[i] = side
			}
		}
	}
}

// biasesOf is a tile's −bias·Σq, as mulArgs.init.
func biasesOf(f *format, act []int8, init []int32, nb, tile int) {
	for b := range nb {
		for h := range f.scales {
			for i := range tile {
				var s int32
				for g := h * 8 / f.scales; g < (h+1)*8/f.scales; g++ {
					for j := range 4 {
						s += int32(act[32*tile*b+4*tile*g+4*i+j])
					}
				}
				init[(b*f.scales+h)*tile+i] = -f.bias * s
			}
		}
	}
}

func sameBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s[%d] = %v (%#x), want %v (%#x)", what, i, got[i], math.Float32bits(got[i]), want[i], math.Float32bits(want[i]))
		}
	}
}

func same[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%s[%d] = %v, want %v", what, i, got[i], want[i])
		}
	}
}

// ptr is the first element, or nil.
func ptr[T any](s []T) *T { return unsafe.SliceData(s) }

func sortedTypes[V any](m map[block.Type]V) []block.Type {
	var ts []block.Type
	for t := range m {
		ts = append(ts, t)
	}
	slices.Sort(ts)
	return ts
}

func TestMul(t *testing.T) {
	eachLeaf(t, func(t *testing.T, l *leaf) {
		for _, ty := range sortedTypes(formats) {
			f := formats[ty]
			t.Run(ty.String(), func(t *testing.T) {
				m := &memory{t: t}
				for _, nb := range blockCounts() {
					r, shift := newRandom(nb, int(ty)), nb%3
					T, tiles := l.tile, 1
					if l.tilesAtOnce(nb) > 1 {
						tiles += nb % 3
					}
					a := mulArgsFor(l, nb, tiles)
					q := buffer[byte](m, a.apart+512*nb, shift)
					r.stored(f, q)
					act := buffer[int8](m, 32*T*nb*tiles, shift)
					r.int8s(act)
					scale, off := buffer[float32](m, a.apart/4+16*f.scales*nb, shift), buffer[float32](m, a.apart/4+16*f.offs*nb, shift)
					as, sum := buffer[float32](m, T*nb*tiles, shift), buffer[float32](m, f.offs*T*nb*tiles, shift)
					r.floats(scale)
					r.floats(off)
					r.floats(as)
					r.floats(sum)
					init := buffer[int32](m, f.scales*T*nb*tiles, shift)
					biasesOf(f, act, init, nb*tiles, T)

					n := (T*tiles-1)*a.ldc + 16*l.abreast
					got, want := buffer[float32](m, n, shift), make([]float32, n)
					for i := range tiles {
						at := T * nb * i
						for p := range l.abreast {
							w := p * a.apart
							mulGeneric(f, &mulArgs{nb: nb, q: &q[w], scale: &scale[w/4], off: ptr(off[w/4:]), a: &act[32*at], as: &as[at], sum: ptr(sum[f.offs*at:]), init: &init[f.scales*at],
								c: &want[T*a.ldc*i+16*p], ldc: a.ldc}, T)
						}
					}
					if l.centre != nil {
						l.centre(nb, int(f.bias), &q[0])
						act = rowsOf(m, act, T, shift)
					}
					a.q, a.scale, a.off, a.a, a.as, a.sum, a.init, a.c = &q[0], &scale[0], ptr(off), &act[0], &as[0], ptr(sum), &init[0], &got[0]
					l.mul(f, a)
					sameBits(t, fmt.Sprintf("nb %d: c", nb), got, want)
					m.done()
				}
			})
		}
	})
}

// mulArgsFor has what mul takes beside its buffers: panels that lie apart, or where it takes two and nb is a multiple of 5 one alone.
func mulArgsFor(l *leaf, nb, tiles int) *mulArgs {
	a := &mulArgs{nb: nb, tiles: tiles, ldc: 16*l.abreast + nb%5, apartC: 16, part: &make([]float32, 32*l.tile*tiles)[0]}
	if l.abreast == 2 && nb%5 > 0 {
		a.apart = 512*nb + 64
	}
	return a
}

// buffersOf has an operand's buffers and a worker's, as they lie on a device, for so many tokens of nb blocks.
func buffersOf(t testing.TB, l *leaf, tokens, nb int) (*acts, *scratch) {
	m, in, s := &arena{}, &acts{}, &scratch{}
	lay := func() {
		in.layout(m, l, tokens, 32*nb, 16*nb)
		s.layout(m, l, &Shape{Heads: 1, KVHeads: 1, HeadDim: 64}, 32*nb)
	}
	lay()
	if err := m.allocate(); err != nil {
		t.Fatal(err)
	}
	lay()
	return in, s
}

// TestApart tells whether what a mul of two panels takes lies as mulArgs says.
func TestApart(t *testing.T) {
	eachLeaf(t, func(t *testing.T, l *leaf) {
		for _, nb := range []int{2, 18, 128} {
			_, s := buffersOf(t, l, 40, nb)
			p := &s.panels
			for name, two := range map[string][2]unsafe.Pointer{
				"q":     {unsafe.Pointer(&p[0].q[0]), unsafe.Pointer(&p[1].q[0])},
				"scale": {unsafe.Pointer(&p[0].scale[0]), unsafe.Pointer(&p[1].scale[0])},
				"off":   {unsafe.Pointer(&p[0].off[0]), unsafe.Pointer(&p[1].off[0])},
				"cross": {unsafe.Pointer(&p[0].cross[0]), unsafe.Pointer(&p[1].cross[0])},
				"c":     {unsafe.Pointer(&s.c[0][0]), unsafe.Pointer(&s.c[1][0])},
			} {
				if unsafe.Add(two[0], s.apart) != two[1] {
					t.Errorf("nb %d: %s of the second panel is not %d bytes past that of the first", nb, name, s.apart)
				}
			}
		}
	})
}

// rowsOf is interleaved tiles of T tokens as tiles of rows.
func rowsOf(m *memory, act []int8, T, shift int) []int8 {
	rows := buffer[int8](m, len(act), shift)
	for i := 0; i < len(act); i += 32 * T {
		for g := range 8 {
			for t := range T {
				copy(rows[i+32*t+4*g:][:4], act[i+4*T*g+4*t:])
			}
		}
	}
	return rows
}

func TestInterleave(t *testing.T) {
	eachLeaf(t, func(t *testing.T, l *leaf) {
		m := &memory{t: t}
		for _, nb := range blockCounts() {
			r, stride := newRandom(nb, 1), 32*nb+nb%7
			rows := buffer[byte](m, 15*stride+32*nb, nb%3)
			for i := range rows {
				rows[i] = byte(r.Uint32())
			}
			got, want := buffer[byte](m, 512*nb, nb%5), make([]byte, 512*nb)
			l.interleave(nb, &rows[0], stride, &got[0])
			interleaveGeneric(nb, &rows[0], stride, &want[0])
			same(t, fmt.Sprintf("nb %d: q", nb), got, want)
			m.done()
		}
	})
}

// TestQuantize includes infinities and NaN; only a NaN's payload may differ.
func TestQuantize(t *testing.T) {
	eachLeaf(t, func(t *testing.T, l *leaf) {
		m := &memory{t: t}
		for _, nb := range blockCounts() {
			r := newRandom(nb, 2)
			x := buffer[float32](m, 32*nb, nb%3)
			r.floats(x)
			if nb%8 == 5 { // a block of zeros, of subnormals, of a constant, with an infinity, with a NaN
				clear(x[:32])
				for i := range 32 {
					x[32+i] = math.Float32frombits(uint32(r.IntN(1 << 10)))
					x[64+i] = -3.5
				}
				x[96+7], x[128+31] = float32(math.Inf(-1)), float32(math.NaN())
			}
			q, scale, sum, half := buffer[int8](m, 32*nb, nb%3), buffer[float32](m, nb, nb%3), buffer[float32](m, nb, nb%3), buffer[int32](m, 2*nb, nb%3)
			wq, wscale, wsum, whalf := make([]int8, 32*nb), make([]float32, nb), make([]float32, nb), make([]int32, 2*nb)
			limit := float32(112 + r.IntN(16))
			l.quantize(nb, limit, &x[0], &q[0], &scale[0], &sum[0], &half[0])
			quantizeGeneric(nb, limit, &x[0], &wq[0], &wscale[0], &wsum[0], &whalf[0])
			for _, s := range [][]float32{scale, sum, wscale, wsum} {
				for i, f := range s {
					if f != f {
						s[i] = float32(math.NaN())
					}
				}
			}
			same(t, fmt.Sprintf("nb %d: q", nb), q, wq)
			sameBits(t, fmt.Sprintf("nb %d: scale", nb), scale, wscale)
			sameBits(t, fmt.Sprintf("nb %d: sum", nb), sum, wsum)
			same(t, fmt.Sprintf("nb %d: half", nb), half, whalf)
			rest, wrest := buffer[float32](m, 32*nb, nb%5), make([]float32, 32*nb)
			l.residue(nb, &x[0], &q[0], &scale[0], &rest[0])
			residueGeneric(nb, &x[0], &q[0], &scale[0], &wrest[0])
			for _, s := range [][]float32{rest, wrest} {
				for i, f := range s {
					if f != f {
						s[i] = float32(math.NaN())
					}
				}
			}
			sameBits(t, fmt.Sprintf("nb %d: rest", nb), rest, wrest)
			m.done()
		}
	})
}

func TestColumns(t *testing.T) {
	eachLeaf(t, func(t *testing.T, l *leaf) {
		for _, nb := range blockCounts() {
			for per := range 3 {
				r, n := newRandom(nb, per), nb*per
				rows, tmp, got := make([]float32, 16*n+1), make([]float32, 16*n+1), make([]float32, 16*n)
				r.floats(rows)
				l.columns(got, rows, nb, per, tmp)
				for b := range nb {
					for h := range per {
						for row := range 16 {
							if g, w := got[(panelIndex(nb, b)*per+h)*16+row], rows[row*n+b*per+h]; g != w {
								t.Fatalf("nb %d: value %d of row %d's block %d is %v, expected %v", nb, h, row, b, g, w)
							}
						}
					}
				}
			}
		}
	})
}
