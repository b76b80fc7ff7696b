package kernels

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"
	"unsafe"

	"github.com/llama31/llama31/gguf/block"
)

// row fills a row of blocks with random bits, or a block with ones: the largest values of most types. Its float16 fields are finite.
func (r random) row(t block.Type, w []byte) {
	for i := range w {
		w[i] = byte(r.Uint32())
	}
	half := func(at int) {
		h := uint16(r.Uint32())
		switch r.IntN(8) {
		case 0:
			h &= 0x8000 // zero
		case 1:
			h &= 0x83ff // subnormal
		default:
			h = h&0x83ff | uint16(10+r.IntN(8))<<10
		}
		binary.LittleEndian.PutUint16(w[at:], h)
	}
	switch t {
	case block.TypeF32:
		for i := 0; i < len(w); i += 4 {
			*(*float32)(unsafe.Pointer(&w[i])) = r.float()
		}
		return
	case block.TypeBF16:
		for i := 0; i < len(w); i += 2 {
			binary.LittleEndian.PutUint16(w[i:], uint16(block.NewBF16(r.float())))
		}
		return
	}
	for b := 0; b < len(w); b += t.Size() {
		if r.IntN(4) == 0 {
			for i := range t.Size() {
				w[b+i] = 0xff
			}
		}
		for _, i := range halfFields(t) {
			half(b + i)
		}
	}
}

// halfFields are the offsets of float16 fields in a block.
func halfFields(t block.Type) []int {
	switch t {
	case block.TypeQ4_1, block.TypeQ5_1, block.TypeQ4_K, block.TypeQ5_K:
		return []int{0, 2}
	case block.TypeQ2_K:
		return []int{80, 82}
	case block.TypeQ3_K:
		return []int{108}
	case block.TypeQ6_K:
		return []int{208}
	case block.TypeTQ1_0:
		return []int{52}
	case block.TypeTQ2_0:
		return []int{64}
	case block.TypeIQ1_M: // whose float16 has the highest bits, sign and exponent, there
		return []int{54}
	}
	return []int{0}
}

// typeBlocks are the row lengths, in blocks of 32, that a type can have.
func typeBlocks(t block.Type) []int {
	var ns []int
	for _, nb := range blockCounts() {
		if 32*nb%t.Len() == 0 {
			ns = append(ns, nb)
		}
	}
	return ns
}

func TestUnpack(t *testing.T) {
	eachLeaf(t, func(t *testing.T, l *leaf) {
		for _, ty := range sortedTypes(l.unpack) {
			f := formats[ty]
			t.Run(ty.String(), func(t *testing.T) {
				m := &memory{t: t}
				for _, nb := range typeBlocks(ty) {
					r := newRandom(nb, int(ty))
					w := buffer[byte](m, 32*nb/ty.Len()*ty.Size(), nb%3*2)
					r.row(ty, w)
					q, scale, off := buffer[byte](m, 32*nb, nb%3), buffer[float32](m, f.scales*nb, nb%3), buffer[float32](m, f.offs*nb, nb%3)
					wq, wscale, woff := make([]byte, 32*nb), make([]float32, f.scales*nb), make([]float32, f.offs*nb)
					l.unpack[ty](nb, &w[0], &q[0], &scale[0], ptr(off))
					f.unpack(nb, &w[0], &wq[0], &wscale[0], ptr(woff))
					same(t, fmt.Sprintf("nb %d: q", nb), q, wq)
					sameBits(t, fmt.Sprintf("nb %d: scale", nb), scale, wscale)
					sameBits(t, fmt.Sprintf("nb %d: off", nb), off, woff)
					m.done()
				}
			})
		}
	})
}

// TestUnpackGeneric compares every format with package block.
func TestUnpackGeneric(t *testing.T) {
	for _, ty := range sortedTypes(formats) {
		f, nb, r := formats[ty], 32, newRandom(1, int(ty))
		n := 32 * nb
		w, want := make([]byte, n/ty.Len()*ty.Size()), make([]float32, n)
		for range 100 {
			r.row(ty, w)
			if err := block.Dequantize(ty, want, w); err != nil {
				t.Fatal(err)
			}
			q, scale, off := make([]byte, n), make([]float32, f.scales*nb), make([]float32, max(1, f.offs)*nb)
			f.unpack(nb, &w[0], &q[0], &scale[0], &off[0])
			for i, v := range want {
				if q[i] > f.max {
					t.Fatalf("%v: stored value %d, at most %d", ty, q[i], f.max)
				}
				s, o := float64(scale[i*f.scales/32]), 0.0
				if f.offs > 0 {
					o = float64(off[i*f.offs/32])
				}
				product := float64(int32(q[i])-f.bias) * s
				if got, tol := product+o, 1e-7*max(math.Abs(product), math.Abs(o)); !(math.Abs(got-float64(v)) <= tol) {
					t.Fatalf("%v: value %d is %v, expected %v", ty, i, got, v)
				}
			}
		}
	}
}

func TestPanels(t *testing.T) {
	eachLeaf(t, func(t *testing.T, l *leaf) {
		for _, ty := range sortedTypes(l.panels) {
			f := formats[ty]
			t.Run(ty.String(), func(t *testing.T) {
				m := &memory{t: t}
				for _, nb := range typeBlocks(ty) {
					r, size := newRandom(nb, int(ty)), 32*nb/ty.Len()*ty.Size()
					w := &cpuWeight{t: ty, rows: 16, cols: 32 * nb, stride: size + 2*(nb%3), format: f}
					w.data = buffer[byte](m, 15*w.stride+size, nb%3*2)
					for i := range 16 {
						r.row(ty, w.data[i*w.stride:][:size])
					}
					q, scale, off := buffer[byte](m, 512*nb, 0), buffer[float32](m, 16*f.scales*nb, 0), buffer[float32](m, 16*f.offs*nb, 0)
					l.panels[ty](&w.data[0], w.stride, nb, &q[0], &scale[0], ptr(off))
					s := &scratch{rows: make([]byte, 512*nb), rscale: make([]float32, 32*nb), roff: make([]float32, 32*nb), frow: make([]float32, 32*nb)}
					want := &panel{q: make([]byte, 512*nb), scale: make([]float32, 16*f.scales*nb), off: make([]float32, 16*f.offs*nb)}
					s.decode(&generic, want, w, 0)
					same(t, fmt.Sprintf("nb %d: q", nb), q, want.q)
					sameBits(t, fmt.Sprintf("nb %d: scale", nb), scale, want.scale)
					sameBits(t, fmt.Sprintf("nb %d: off", nb), off, want.off)
					m.done()
				}
			})
		}
	})
}

func TestDots(t *testing.T) {
	eachLeaf(t, func(t *testing.T, l *leaf) {
		for _, ty := range sortedTypes(l.dots) {
			f, d := formats[ty], l.dots[ty]
			t.Run(ty.String(), func(t *testing.T) {
				m := &memory{t: t}
				for _, nb := range typeBlocks(ty) {
					if f != nil && nb < dotBlocks {
						continue
					}
					for tokens := 1; tokens <= d.tokens; tokens++ {
						if nb > 40 && tokens > 2 {
							break
						}
						testDot(t, m, f, ty, d.run, d.arrange, nil, nb, tokens, 1+(nb+tokens)%5)
					}
					for tokens := 1; d.strip != nil && tokens <= stripTokens; tokens = tokens*3/2 + 1 {
						testDot(t, m, f, ty, nil, nil, d.strip, nb, tokens, 1+(7*nb+tokens)%50)
					}
				}
			})
		}
	})
}

// testStrip runs a strip on what a is of, into y.
func testStrip(m *memory, f *format, a *dotArgs, q []int8, scale, sum []float32, half []int32, strip func(a *stripArgs), y *float32) {
	nb, tokens, ld, extra := a.nb, a.tokens, a.tokens+a.tokens%2+a.rows%3*2, a.rows%2
	in := &acts{nb: nb, k: 32 * nb, n: tokens, ld: ld, q: q, scale: scale, sum: sum, half: half}
	in.strip, in.sscale, in.ssum = buffer[int8](m, 32*nb*ld, extra), buffer[float32](m, nb*ld, extra), buffer[float32](m, nb*ld, extra)
	p := product{w: &cpuWeight{format: f}, strip: true}
	if f.bias != 0 {
		p.init = buffer[int32](m, nb*ld*f.scales, extra)
	}
	for i := range (nb + stripBlocks - 1) / stripBlocks {
		in.fillStrip(i, []product{p}, tokens)
	}
	args := &stripArgs{w: a.w, near: a.w, stride: a.stride, rows: a.rows, nb: nb, tokens: tokens, ld: ld, q: &in.strip[0], scale: &in.sscale[0], sum: &in.ssum[0], scales: f.scales, y: y, ldy: a.ldy}
	if p.init != nil {
		args.init = &p.init[0]
	}
	strip(args)
}

func testDot(t *testing.T, m *memory, f *format, ty block.Type, run func(a *dotArgs), arrange func(nb int, q, o *int8), strip func(a *stripArgs), nb, tokens, rows int) {
	r, k, shift := newRandom(nb, tokens), 32*nb, (nb+tokens)%3
	bytes := k / ty.Len() * ty.Size()
	a := &dotArgs{stride: bytes + 2*(nb%3), rows: rows, nb: nb, tokens: tokens, ldy: rows + nb%4}
	w := buffer[byte](m, (rows-1)*a.stride+bytes, shift*2)
	for i := range rows {
		r.row(ty, w[i*a.stride:][:bytes])
	}
	a.w = &w[0]
	got, want := buffer[float32](m, (tokens-1)*a.ldy+rows, shift), make([]float32, (tokens-1)*a.ldy+rows)
	what := fmt.Sprintf("nb %d, %d tokens, %d rows: y", nb, tokens, rows)
	if f == nil {
		x := buffer[float32](m, tokens*k, shift)
		r.floats(x)
		a.x = &x[0]
		a.y = &got[0]
		run(a)
		a.y = &want[0]
		dotFloatGeneric(ty, a)
	} else {
		q := buffer[int8](m, tokens*k, shift)
		r.int8s(q)
		scale, sum, half := buffer[float32](m, tokens*nb, shift), buffer[float32](m, tokens*nb, shift), buffer[int32](m, tokens*2*nb, shift)
		r.floats(scale)
		for i := range half {
			half[i] = 0
			for _, v := range q[16*i : 16*i+16] {
				half[i] += int32(v)
			}
		}
		for i := range sum {
			sum[i] = float32(float32(half[2*i]+half[2*i+1]) * scale[i])
		}
		arranged := buffer[int8](m, tokens*k, shift)
		copy(arranged, q)
		if arrange != nil {
			for i := range tokens {
				arrange(nb, &q[i*k], &arranged[i*k])
			}
		}
		a.scale, a.sum, a.half = &scale[0], &sum[0], &half[0]
		if strip != nil {
			testStrip(m, f, a, q, scale, sum, half, strip, &got[0])
		} else {
			a.q, a.y = &arranged[0], &got[0]
			run(a)
		}
		a.q, a.y = &q[0], &want[0]
		dotGeneric(f, a)
	}
	sameBits(t, what, got, want)
	m.done()
}
