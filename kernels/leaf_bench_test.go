package kernels

import (
	"testing"

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
						l.mul(f, &mulArgs{nb, &q[0], &scale[0], &off[0], &act[32*T*nb*i], &as[0], &sum[0], &init[0], &c[0], 16})
					}
				}
				b.ReportMetric(float64(16*T*32*nb*tiles)*float64(b.N)/1e9/b.Elapsed().Seconds(), "GMAC/s")
			})
		}
	})
}
