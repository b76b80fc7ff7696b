package main

// probes do nothing but what limits a matrix product.
func probes() {
	f := function("neonProbeRead", "n int, p *byte, ahead int", "sums n lines of 64 bytes, n a multiple of 8, and prefetches ahead bytes further.")
	n, p, ahead := f.load("n"), f.load("p"), f.load("ahead")
	v, s := f.vecs(4), f.vecs(4)
	f.zero(s...)
	f.op("ADD %v, %v, %v", p, ahead, ahead)
	f.loop(n, func() {
		f.op("PRFM (%v), PLDL1STRM", ahead)
		f.next(ahead, 64)
		f.ldr4(v, p)
		f.next(p, 64)
		for i := range v {
			f.three(addS, s[i], s[i], v[i])
		}
	})

	f = function("neonProbeMAC", "n int", "runs n times 24 SDOT: 384 products of bytes, summed, each time.")
	n = f.load("n")
	d, w, a := f.vecs(24), f.vec(), f.vec()
	f.loop(n, func() {
		for i := range d {
			f.three(sdot, d[i], w, a)
		}
	})

	f = function("neonProbeFMA", "n int", "runs n times 24 FMLA: 96 products of float32, summed, each time.")
	n = f.load("n")
	d, w, a = f.vecs(24), f.vec(), f.vec()
	f.zero(append(d, w, a)...)
	f.loop(n, func() {
		for i := range d {
			f.three(fmla, d[i], w, a)
		}
	})
}
