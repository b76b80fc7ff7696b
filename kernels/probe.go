package kernels

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sync"
	"time"
)

// A probe is loops that do nothing but what limits a matrix product: reading memory, and multiplying bytes or float32. No product can be
// faster.
type probe struct {
	// read sums n lines of 64 bytes, n a multiple of 8, and prefetches ahead bytes further.
	read func(n int, p *byte, ahead int)
	// mul multiplies and adds n·macs pairs of bytes, in registers.
	mul  func(n int)
	macs int
	// fma is mul for float32.
	fma  func(n int)
	fmas int
}

const (
	probeBytes  = 512 << 20 // several times a last-level cache
	probeAhead  = 2048      // bytes; the reading speed is level from 1 to 4 KB
	probePasses = 5         // of which the median counts
)

// ProbeRead measures how fast the given number of threads reads memory, in GB/s (1e9 bytes a second): the median of five passes
// over 512 MB, each thread a part of its own, with the loads and prefetches of an instruction set of Features ("" for the best). It
// is what limits generation, and drifts with what the machine's neighbours do: probe in the same minute as the work it is compared with.
func ProbeRead(set string, threads int) (float64, error) {
	l, err := pickLeaf(set)
	if err != nil {
		return 0, err
	}
	mem, err := allocate(probeBytes)
	if err != nil {
		return 0, err
	}
	defer release(mem)
	for i := 0; i < len(mem); i += 4096 {
		mem[i] = 1 // a page of its own: untouched ones all share one page of zeros
	}
	threads = max(1, threads)
	part := (len(mem) - probeAhead) / threads / 512 * 512
	p := probeOf(l)
	s := probeSeconds(threads, func(thread int) { p.read(part/64, &mem[thread*part], probeAhead) })
	return float64(part*threads) / s / 1e9, nil
}

// ProbeMul measures how fast the given number of threads multiplies and adds bytes in registers, in 1e9 products a second, by an
// instruction set of Features ("" for the best): VPDPBUSD for avx512 and avxvnni, VPMADDUBSW for avx2. It is what limits prompts.
func ProbeMul(set string, threads int) (float64, error) {
	l, err := pickLeaf(set)
	if err != nil {
		return 0, err
	}
	p := probeOf(l)
	return probeProducts(threads, p.mul, p.macs), nil
}

// ProbeFMA is ProbeMul for float32.
func ProbeFMA(set string, threads int) (float64, error) {
	l, err := pickLeaf(set)
	if err != nil {
		return 0, err
	}
	p := probeOf(l)
	return probeProducts(threads, p.fma, p.fmas), nil
}

func probeProducts(threads int, loop func(n int), products int) float64 {
	const n = 1 << 20 // some milliseconds for each instruction set
	threads = max(1, threads)
	s := probeSeconds(threads, func(int) { loop(n) })
	return float64(n*products*threads) / s / 1e9
}

// probeSeconds is the median time in which all threads have run f, after a first round that wakes them.
func probeSeconds(threads int, f func(thread int)) float64 {
	var times []time.Duration
	for range 1 + probePasses {
		var all sync.WaitGroup
		start := time.Now()
		for t := 1; t < threads; t++ {
			all.Go(func() { f(t) })
		}
		f(0)
		all.Wait()
		times = append(times, time.Since(start))
	}
	return median(times[1:]).Seconds()
}

func median[T cmp.Ordered](s []T) T {
	slices.Sort(s)
	return s[len(s)/2]
}

var genericProbe = probe{
	read: func(n int, p *byte, _ int) {
		var sum [4]uint64
		for b := slice(p, 64*n); len(b) >= 64; b = b[64:] {
			for i := 0; i < 64; i += 32 {
				sum[0] += binary.LittleEndian.Uint64(b[i:])
				sum[1] += binary.LittleEndian.Uint64(b[i+8:])
				sum[2] += binary.LittleEndian.Uint64(b[i+16:])
				sum[3] += binary.LittleEndian.Uint64(b[i+24:])
			}
		}
		probeSink(sum[0] + sum[1] + sum[2] + sum[3])
	},
	mul: func(n int) {
		var s [4]int32
		x, y := int8(n), uint8(n)
		for range n {
			s[0] += int32(x) * int32(y)
			s[1] += int32(x) * int32(y+1)
			s[2] += int32(x) * int32(y+2)
			s[3] += int32(x) * int32(y+3)
			x, y = x+1, y+3
		}
		probeSink(uint64(s[0] + s[1] + s[2] + s[3]))
	},
	macs: 4,
	fma: func(n int) {
		var s [4]float32
		x := float32(n)
		for range n {
			s[0] += x * 1
			s[1] += x * 2
			s[2] += x * 3
			s[3] += x * 4
			x++
		}
		probeSink(uint64(s[0] + s[1] + s[2] + s[3]))
	},
	fmas: 4,
}

// probeSink keeps the compiler from dropping what a probe computes.
//
//go:noinline
func probeSink(uint64) {}
