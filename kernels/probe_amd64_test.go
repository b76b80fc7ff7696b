//go:build amd64 && !noasm

package kernels

import (
	"fmt"
	"sync"
	"testing"
)

// BenchmarkProbe measures the limits of a core: clock, integer products, reading memory.
func BenchmarkProbe(b *testing.B) {
	b.Run("avx2/clock", func(b *testing.B) {
		for b.Loop() {
			avx2ProbeClock(10000)
		}
		b.ReportMetric(16e4*float64(b.N)/1e9/b.Elapsed().Seconds(), "GHz")
	})
	b.Run("avx2/mac", func(b *testing.B) {
		for b.Loop() {
			avx2ProbeMAC(10000)
		}
		b.ReportMetric(512e4*float64(b.N)/1e9/b.Elapsed().Seconds(), "GMAC/s")
	})
	if _, err := pickLeaf("avx512"); err == nil {
		b.Run("avx512/mac", func(b *testing.B) {
			for b.Loop() {
				avx512ProbeMAC(10000)
			}
			b.ReportMetric(4096e4*float64(b.N)/1e9/b.Elapsed().Seconds(), "GMAC/s")
		})
	}
	mem := make([]byte, 512<<20)
	for i := 0; i < len(mem); i += 4096 {
		mem[i] = 1
	}
	for _, cores := range []int{1, 2} {
		for _, ahead := range []int{0, 512, 1024, 2048, 4096, 8192} {
			b.Run(fmt.Sprintf("avx2/read/ahead=%d/cores=%d", ahead, cores), func(b *testing.B) {
				part := (len(mem) - 8192) / cores / 512 * 512
				for b.Loop() {
					var wg sync.WaitGroup
					for i := range cores {
						wg.Go(func() { avx2ProbeRead(part/64, &mem[i*part], ahead) })
					}
					wg.Wait()
				}
				b.ReportMetric(float64(part*cores)*float64(b.N)/1e9/b.Elapsed().Seconds(), "GB/s")
			})
		}
	}
}
