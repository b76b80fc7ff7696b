package kernels

import (
	"errors"
	"fmt"
	"testing"
	"unsafe"

	"github.com/llama31/llama31/gguf/block"
)

// Benchmarks of leaf functions on one core, by row of the table and block type: go test -bench . ./kernels

func eachLeafBench(b *testing.B, f func(b *testing.B, l *leaf, p peak)) {
	for _, l := range leaves() {
		if l != &generic {
			b.Run(l.name, func(b *testing.B) { f(b, l, probePeak(b, l)) })
		}
	}
}

// peak is what a core can do with an instruction set, probed just before: 1e9 products of bytes and of float32, and bytes read from memory, a second.
type peak struct{ bytes, floats, read float64 }

func probePeak(b *testing.B, l *leaf) (p peak) {
	var err [3]error
	p.bytes, err[0] = ProbeMul(l.name, 1)
	p.floats, err[1] = ProbeFMA(l.name, 1)
	p.read, err[2] = ProbeRead(l.name, 1)
	if err := errors.Join(err[:]...); err != nil {
		b.Fatal(err)
	}
	return p
}

// pairs is the peak of products of bfloat16, of which an instruction makes two where it makes one of float32.
func (p peak) pairs() float64 { return 2 * p.floats }

// report gives the products of a round, and the bytes that it reads, and what part of the peaks they are. Bytes from cache may come faster than
// the peak, which is memory's.
func (p peak) report(b *testing.B, products int, most float64, bytes int) {
	s := float64(b.N) / 1e9 / b.Elapsed().Seconds()
	b.ReportMetric(float64(products)*s, "GMAC/s")
	b.ReportMetric(100*float64(products)*s/most, "%mul")
	if bytes > 0 {
		b.ReportMetric(float64(bytes)*s, "GB/s")
		b.ReportMetric(100*float64(bytes)*s/p.read, "%read")
	}
}

var benchTypes = []block.Type{block.TypeQ4_0, block.TypeQ4_1, block.TypeQ8_0, block.TypeQ4_K, block.TypeQ5_K, block.TypeQ6_K, block.TypeIQ4_XS}

// BenchmarkMul multiplies as many panels as are taken at once, of k = 4096, by 16 tiles, where a device has them.
func BenchmarkMul(b *testing.B) {
	eachLeafBench(b, func(b *testing.B, l *leaf, p peak) {
		for _, ty := range benchTypes {
			f := formats[ty]
			run := func(name string, mul func(f *format, a *mulArgs)) {
				b.Run(name, func(b *testing.B) {
					const nb, tiles = 128, 16
					T, most := l.tile, l.tilesAtOnce(nb)
					in, s := buffersOf(b, l, T*tiles, nb)
					// Written, lest all pages be the kernel's one page of zeros, which a cache finds under one address at a time.
					r := newRandom(1, 2)
					for i := range s.panels {
						w := &s.panels[i]
						r.stored(f, w.q)
						r.ints(w.cross)
					}
					r.int8s(in.tile)
					for _, x := range [][]float32{s.panels[0].scale, s.panels[0].off, s.panels[1].scale, s.panels[1].off, in.tscale, in.tsum, in.thalf} {
						for i := range x {
							x[i] = float32(r.NormFloat64())
						}
					}
					r.ints(in.init[0])
					w, c := &s.panels[0], make([]float32, 16*T*tiles*l.abreast)
					for b.Loop() {
						for i := 0; i < tiles; i += most {
							at := T * nb * i
							a := &mulArgs{nb: nb, q: &w.q[0], scale: &w.scale[0], off: &w.off[0], apart: s.apart, tiles: most, a: &in.tile[32*at], as: &in.tscale[at], sum: &in.tsum[at],
								init: &in.init[0][f.scales*at], cross: &w.cross[0], part: &s.part[0], c: &c[0], ldc: 16 * l.abreast, apartC: 16, near: near{row: &w.q[0]}}
							if f.offs == 2 {
								a.sum = &in.thalf[2*at]
							}
							mul(f, a)
						}
					}
					p.report(b, 16*l.abreast*T*32*nb*tiles, p.bytes, 0)
				})
			}
			run(ty.String(), l.mul)
			if l.winograd != nil && f.limit() < 127 {
				run(ty.String()+" winograd", l.winograd.mul)
			}
		}
	})
}

// BenchmarkMulFloat is BenchmarkMul for panels of float32, and of pairs of bfloat16.
func BenchmarkMulFloat(b *testing.B) {
	eachLeafBench(b, func(b *testing.B, l *leaf, p peak) {
		run := func(name string, each int, most float64, mul func(*mulFloatArgs)) { // each dword is so many values
			b.Run(name, func(b *testing.B) {
				const tiles = 16
				k, T, abreast, atOnce := 4096/each, l.tileFloat, l.abreastFloat, l.floatTilesAtOnce()
				in, s := buffersOf(b, l, T*tiles, 128)
				w, a, c := s.panels[0].w, in.ftile, make([]float32, 16*T*tiles*abreast)
				r := newRandom(1, 2)
				for _, x := range [][]float32{w, s.panels[1].w, a} {
					for i := range x {
						x[i] = float32(r.NormFloat64())
					}
				}
				for b.Loop() {
					for i := 0; i < tiles; i += atOnce {
						mul(&mulFloatArgs{k: k, w: &w[0], apart: s.apart, tiles: atOnce, a: &a[T*k*i], part: &s.part[0], c: &c[0], ldc: 16 * abreast, apartC: 16, near: near{row: (*byte)(unsafe.Pointer(&w[0]))}})
					}
				}
				p.report(b, 16*abreast*T*4096*tiles, most, 0)
			})
		}
		run("float32", 1, p.floats, l.mulFloat)
		switch {
		case l.bf16 == nil:
		case l.bf16.dot.tiled:
			b.Run("bfloat16", func(b *testing.B) {
				const rows, tokens, nb = 128, stripTokens, 128
				w, x, y := make([]float32, rows*16*nb), make([]float32, tokens*16*nb), make([]float32, rows*tokens)
				for b.Loop() {
					l.bf16.dot.run(&dotArgs{w: (*byte)(unsafe.Pointer(&w[0])), stride: 64 * nb, rows: rows, nb: nb, tokens: tokens, x: &x[0], y: &y[0], ldy: rows})
				}
				p.report(b, rows*tokens*32*nb, p.bytes/2, 0) // an instruction multiplies half as many
			})
		default:
			run("bfloat16", 2, p.pairs(), l.bf16.mul)
		}
	})
}

// BenchmarkDot streams 64 MB of rows of k = 4096 (more than the last-level cache) past 1, 2, 8 and 32 tokens, on one core; Q4_1 also at k = 576.
func BenchmarkDot(b *testing.B) {
	eachLeafBench(b, func(b *testing.B, l *leaf, p peak) {
		for _, c := range []struct{ nb, tokens, bytes int }{{128, 1, 64 << 20}, {128, 1, 256 << 10}, {128, 2, 64 << 20}, {128, 8, 64 << 20}, {128, 8, 256 << 10}, {128, 32, 256 << 10}, {18, 1, 256 << 10}, {18, 8, 256 << 10}} {
			shape := fmt.Sprintf("k=%d/tokens=%d/%dK", 32*c.nb, c.tokens, c.bytes>>10)
			for _, ty := range sortedTypes(l.dots) {
				if 32*c.nb%ty.Len() == 0 {
					products := p.bytes
					if formats[ty] == nil {
						products = p.floats
					}
					b.Run(ty.String()+"/"+shape, func(b *testing.B) { benchDot(b, p, l.dots[ty], ty, products, c.nb, c.tokens, c.bytes) })
				}
			}
			if l.bf16 != nil {
				b.Run("BF16 pairs/"+shape, func(b *testing.B) { benchDot(b, p, l.bf16.dot, block.TypeBF16, p.pairs(), c.nb, c.tokens, c.bytes) })
			}
		}
	})
}

func benchDot(b *testing.B, p peak, d dot, ty block.Type, products float64, nb, tokens, bytes int) {
	r, k := newRandom(3, 4), 32*nb
	stride := k / ty.Len() * ty.Size()
	rows := bytes / stride / 16 * 16
	w := make([]byte, rows*stride)
	r.row(ty, w[:stride])
	for i := 1; i < rows; i++ {
		copy(w[i*stride:], w[:stride])
	}
	const item = 256
	q, x, y := make([]int8, tokens*k), make([]float32, tokens*k), make([]float32, item*tokens)
	scale, sum, half := make([]float32, tokens*nb), make([]float32, tokens*nb), make([]int32, tokens*2*nb)
	r.int8s(q)
	for b.Loop() {
		for i := 0; i < rows; i += item {
			if d.strip != nil && tokens > d.tokens { // as cpuDevice.byDot chooses
				a := &stripArgs{w: &w[i*stride], stride: stride, rows: min(item, rows-i), near: &w[0], nb: nb, tokens: tokens, ld: tokens, q: &q[0], scale: &scale[0], sum: &sum[0],
					scales: 2, init: &half[0], y: &y[0], ldy: item}
				if i+item+panelRows <= rows {
					a.near = &w[(i+item)*stride]
				}
				d.strip(a)
				continue
			}
			for t := 0; t < tokens; t += d.tokens {
				d.run(&dotArgs{w: &w[i*stride], stride: stride, rows: min(item, rows-i), nb: nb, tokens: min(d.tokens, tokens-t), q: &q[t*k], scale: &scale[t*nb], sum: &sum[t*nb], half: &half[2*t*nb],
					x: &x[t*k], y: &y[t*item], ldy: item})
			}
		}
	}
	p.report(b, rows*k*tokens, products, rows*stride)
}

// BenchmarkAttend runs a segment of pages (512 KB of float16) for a tile of a prompt, and for the heads of one generated token.
func BenchmarkAttend(b *testing.B) {
	eachLeafBench(b, func(b *testing.B, l *leaf, p peak) {
		for _, hd := range []int{64, 128} {
			for _, rows := range []int{4, 32} {
				if l.bf16 != nil {
					b.Run(fmt.Sprintf("pairs/head=%d/rows=%d", hd, rows), func(b *testing.B) {
						const pages = SegmentSize / PageSize
						r, n := newRandom(hd, rows), PageSize*hd/2
						kv := make([]uint32, 2*n*pages)
						q, o, m, sum, count := make([]uint32, rows*hd/2), make([]float32, rows*hd), make([]float32, rows), make([]float32, rows), make([]int32, rows)
						for i := range kv {
							kv[i] = r.pair(float32(r.NormFloat64()), float32(r.NormFloat64()))
						}
						for i := range q {
							q[i] = r.pair(float32(r.NormFloat64()), float32(r.NormFloat64()))
						}
						for i := range count {
							count[i] = PageSize
						}
						for b.Loop() {
							for i := range pages {
								k, next := kv[2*n*i:], kv[2*n*((i+1)%pages):]
								l.bf16.attend(&attendArgs{headDim: hd, rows: rows, q2: &q[0], k2: &k[0], v2: &k[n], count: &count[0], m: &m[0], l: &sum[0], o: &o[0], whole: true, next: (*byte)(unsafe.Pointer(&next[0]))})
							}
						}
						p.report(b, 4*rows*n*pages, p.pairs(), 8*n*pages)
					})
				}
				b.Run(fmt.Sprintf("head=%d/rows=%d", hd, rows), func(b *testing.B) {
					const pages = SegmentSize / PageSize
					r, n := newRandom(hd, rows), PageSize*hd
					k, v := make([]uint16, n*pages), make([]uint16, n*pages)
					q, o, m, sum, count := make([]float32, rows*hd), make([]float32, rows*hd), make([]float32, rows), make([]float32, rows), make([]int32, rows)
					for i := range k {
						k[i], v[i] = uint16(block.NewF16(float32(r.NormFloat64()))), uint16(block.NewF16(float32(r.NormFloat64())))
					}
					for i := range count {
						count[i] = PageSize
					}
					for b.Loop() {
						for i := range pages {
							l.attend(&attendArgs{headDim: hd, rows: rows, q: &q[0], k: &k[i*n], v: &v[i*n], count: &count[0], m: &m[0], l: &sum[0], o: &o[0]})
						}
					}
					p.report(b, 2*rows*n*pages, p.floats, 4*n*pages)
				})
			}
		}
	})
}
