package kernels

import (
	"fmt"
	"testing"
	"unsafe"

	"github.com/llama31/llama31/gguf/block"
)

// Benchmarks of leaf functions, by row of the table and block type: go test -bench . ./kernels

func eachLeafBench(b *testing.B, f func(b *testing.B, l *leaf)) {
	for _, l := range leaves() {
		if l != &generic {
			b.Run(l.name, func(b *testing.B) { f(b, l) })
		}
	}
}

var benchTypes = []block.Type{block.TypeQ4_0, block.TypeQ4_1, block.TypeQ8_0, block.TypeQ4_K, block.TypeQ5_K, block.TypeQ6_K, block.TypeIQ4_XS}

// BenchmarkMul multiplies one panel of k = 4096 by 16 tiles in turn.
func BenchmarkMul(b *testing.B) {
	eachLeafBench(b, func(b *testing.B, l *leaf) {
		for _, ty := range benchTypes {
			f := formats[ty]
			b.Run(ty.String(), func(b *testing.B) {
				const nb, tiles = 128, 16
				T := l.tile
				q, act := make([]byte, 512*nb), make([]int8, 32*T*nb*tiles)
				r := newRandom(1, 2)
				for i := range q {
					q[i] = byte(r.IntN(int(f.max) + 1))
				}
				r.int8s(act)
				scale, off := make([]float32, 16*f.scales*nb), make([]float32, 16*2*nb)
				as, sum, init, c := make([]float32, T*nb), make([]float32, 2*T*nb), make([]int32, 2*T*nb), make([]float32, 16*T)
				for b.Loop() {
					for i := range tiles {
						l.mul(f, &mulArgs{nb, &q[0], &scale[0], &off[0], &act[32*T*nb*i], &as[0], &sum[0], &init[0], &c[0], 16, near{}})
					}
				}
				b.ReportMetric(float64(16*T*32*nb*tiles)*float64(b.N)/1e9/b.Elapsed().Seconds(), "GMAC/s")
			})
		}
	})
}

// BenchmarkDot streams 64 MB of rows of k = 4096 (more than the last-level cache) past 1, 2 and 8 tokens, on one core; Q4_1 also at k = 576.
func BenchmarkDot(b *testing.B) {
	eachLeafBench(b, func(b *testing.B, l *leaf) {
		for _, ty := range sortedTypes(l.dots) {
			for _, c := range []struct{ nb, tokens, bytes int }{{128, 1, 64 << 20}, {128, 1, 256 << 10}, {128, 2, 64 << 20}, {128, 8, 64 << 20}, {128, 8, 256 << 10}, {18, 1, 256 << 10}, {18, 8, 256 << 10}} {
				if 32*c.nb%ty.Len() != 0 {
					continue
				}
				b.Run(fmt.Sprintf("%s/k=%d/tokens=%d/%dK", ty, 32*c.nb, c.tokens, c.bytes>>10), func(b *testing.B) {
					benchDot(b, l.dots[ty], ty, c.nb, c.tokens, c.bytes)
				})
			}
		}
	})
}

func benchDot(b *testing.B, d dot, ty block.Type, nb, tokens, bytes int) {
	r, k := newRandom(3, 4), 32*nb
	stride := k / ty.Len() * ty.Size()
	rows := bytes / stride / 16 * 16
	w := make([]byte, rows*stride)
	r.row(ty, w[:stride])
	for i := 1; i < rows; i++ {
		copy(w[i*stride:], w[:stride])
	}
	const item = 64
	q, x, y := make([]int8, tokens*k), make([]float32, tokens*k), make([]float32, item*tokens)
	scale, sum, half := make([]float32, tokens*nb), make([]float32, tokens*nb), make([]int32, tokens*2*nb)
	r.int8s(q)
	run := d.run
	if d.strip != nil && tokens > d.tokens {
		run = d.strip
	}
	for b.Loop() {
		for i := 0; i < rows; i += item {
			run(&dotArgs{w: &w[i*stride], stride: stride, rows: min(item, rows-i), nb: nb, tokens: tokens, q: &q[0], scale: &scale[0], sum: &sum[0], half: &half[0],
				scales: 2, init: &half[0], x: &x[0], y: &y[0], ldy: item})
		}
	}
	s := float64(b.N) / 1e9 / b.Elapsed().Seconds()
	b.ReportMetric(float64(rows*stride)*s, "GB/s")
	b.ReportMetric(float64(rows*k*tokens)*s, "GMAC/s")
}

// BenchmarkAttend runs a segment of pages (512 KB of float16) for a tile of a prompt, and for the heads of one generated token.
func BenchmarkAttend(b *testing.B) {
	eachLeafBench(b, func(b *testing.B, l *leaf) {
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
							for p := range pages {
								k, next := kv[2*n*p:], kv[2*n*((p+1)%pages):]
								l.bf16.attend(&attendArgs{headDim: hd, rows: rows, q2: &q[0], k2: &k[0], v2: &k[n], count: &count[0], m: &m[0], l: &sum[0], o: &o[0], whole: true, next: (*byte)(unsafe.Pointer(&next[0]))})
							}
						}
						s := float64(b.N) / 1e9 / b.Elapsed().Seconds()
						b.ReportMetric(float64(4*rows*n*pages)*s, "GMAC/s")
						b.ReportMetric(float64(8*n*pages)*s, "GB/s")
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
						for p := range pages {
							l.attend(&attendArgs{headDim: hd, rows: rows, q: &q[0], k: &k[p*n], v: &v[p*n], count: &count[0], m: &m[0], l: &sum[0], o: &o[0]})
						}
					}
					s := float64(b.N) / 1e9 / b.Elapsed().Seconds()
					b.ReportMetric(float64(2*rows*n*pages)*s, "GMAC/s")
					b.ReportMetric(float64(4*n*pages)*s, "GB/s")
				})
			}
		}
	})
}
