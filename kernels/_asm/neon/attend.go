package main

import (
	"fmt"
	"math"
)

// pageSize is kernels.PageSize: the keys of a page are 8 vectors.
const pageSize = 32

func attends() {
	attend(1)
	attend(2)
}

// attend runs a page for rows that see the same number of keys. The scores, and then their exponentials, lie in the frame.
func attend(rows int) {
	f := function(fmt.Sprintf("neonAttend%d", rows), "headDim int, q *float32, k *uint16, v *uint16, count int, m *float32, l *float32, o *float32",
		fmt.Sprintf("runs a page for %d rows that see the same keys: see attendArgs.", rows))
	f.frame = 4 * pageSize * rows
	headDim, q, k, v, count := f.load("headDim"), f.load("q"), f.load("k"), f.load("v"), f.load("count")
	m, l, o := f.load("m"), f.load("l"), f.load("o")
	n, from, p := f.gpr(), f.gpr(), f.gprs(rows)
	for r := range rows {
		f.op("MOVD $p-%d(SP), %v", 4*pageSize*(rows-r), p[r])
	}
	row := f.gpr() // bytes of a row of q and o
	f.op("LSL $2, %v, %v", headDim, row)

	f.note("scores: keys are lanes")
	f.block(func() {
		s, x, t := f.vecs(8*rows), f.vecs(rows), f.vecs(12)
		qs := f.gprs(rows)
		f.op("MOVD %v, %v", q, qs[0])
		for r := 1; r < rows; r++ {
			f.op("ADD %v, %v, %v", row, qs[r-1], qs[r])
		}
		f.zero(s...)
		f.op("LSR $2, %v, %v", headDim, n)
		f.loop(n, func() {
			for r := range rows {
				f.ldr(x[r], qs[r], 0)
				f.next(qs[r], 16)
			}
			for d := range 4 {
				for i := range 4 {
					half, lo, hi := t[3*i], t[3*i+1], t[3*i+2]
					f.ldr(half, k, 2*pageSize*d+16*i)
					f.two(fcvtl, lo, half)
					f.two(fcvtl2, hi, half)
					for r := range rows {
						f.lane(fmlaLane, s[8*r+2*i], lo, x[r], d)
						f.lane(fmlaLane, s[8*r+2*i+1], hi, x[r], d)
					}
				}
			}
			f.next(k, 2*pageSize*4)
		})
		for i := range s {
			f.str(s[i], p[i/8], 16*(i%8))
		}
	})

	c := f.vecs(rows) // exp32(m − m')
	f.block(func() {
		e := f.exp()
		s, t, u := f.vecs(8), f.vec(), f.vec()
		iota, limit := f.vec(), f.vec()
		x := f.gpr()
		f.dupW(limit, count)
		// past replaces what lies past the last key by w's lanes.
		past := func(w vec) {
			f.dword(iota, 0, 1<<32, x)
			f.dword(iota, 1, 3<<32|2, x)
			f.float(u, 4, x)
			for i := range s {
				f.three(cmgt, t, limit, iota)
				f.three(bif, s[i], w, t)
				f.three(addS, iota, iota, u)
			}
		}
		for r := range rows {
			f.note("m, p and l of row %d", r)
			for i := range s {
				f.ldr(s[i], p[r], 16*i)
			}
			f.float(e.n, math.Float32bits(float32(math.Inf(-1))), x)
			past(e.n)
			f.op("FMOVS %d(%v), F%d", 4*r, m, c[r])
			f.three(fmax, t, s[0], s[1])
			for i := 2; i < 8; i++ {
				f.three(fmax, t, t, s[i])
			}
			f.scalar(fmaxvS, "s", t, "", t)
			f.three(fmax, t, t, c[r])
			f.op("FMOVS F%d, %d(%v)", t, 4*r, m)
			f.dup(t, t, 0)
			for i := range s {
				f.three(fsub, s[i], s[i], t)
			}
			f.three(fsub, c[r], c[r], t)
			f.dup(c[r], c[r], 0)
			e.of(f, c[r:r+1])
			e.of(f, s)
			f.zero(e.n)
			past(e.n)
			for i := range s {
				f.str(s[i], p[r], 16*i)
			}
			for h := 4; h > 0; h /= 2 {
				for i := range h {
					f.three(fadd, s[i], s[i], s[i+h])
				}
			}
			f.ext(t, s[0], s[0], 8)
			f.three(fadd, s[0], s[0], t)
			f.scalar(faddpS, "s", s[0], "", s[0])
			f.op("FMOVS %d(%v), F%d", 4*r, l, t)
			f.fmadd(t, t, c[r], s[0])
			f.op("FMOVS F%d, %d(%v)", t, 4*r, l)
		}
	})

	left, ps := f.gpr(), f.gprs(rows)
	f.op("LSL $1, %v, %v", headDim, k) // bytes of a row of v
	// values adds the values of 4·nv dimensions.
	values := func(nv int) {
		f.note("%d dimensions", 4*nv)
		f.block(func() {
			acc, x, w := f.vecs(nv*rows), f.vecs(nv), f.vecs(rows)
			to := f.gprs(rows)
			f.op("MOVD %v, %v", o, to[0])
			for r := 1; r < rows; r++ {
				f.op("ADD %v, %v, %v", row, to[r-1], to[r])
			}
			for r := range rows {
				f.op("MOVD %v, %v", p[r], ps[r])
				for i := range nv {
					f.ldr(acc[nv*r+i], to[r], 16*i)
					f.three(fmul, acc[nv*r+i], acc[nv*r+i], c[r])
				}
			}
			f.op("MOVD %v, %v", v, from)
			f.op("MOVD %v, %v", count, n)
			f.loop(n, func() {
				for r := range rows {
					f.ld1rNext(w[r], ps[r])
				}
				for i := 0; i < nv; i += 2 {
					f.ldr(x[i+1], from, 8*i)
					f.two(fcvtl, x[i], x[i+1])
					f.two(fcvtl2, x[i+1], x[i+1])
				}
				f.op("ADD %v, %v, %v", k, from, from)
				for r := range rows {
					for i := range nv {
						f.three(fmla, acc[nv*r+i], x[i], w[r])
					}
				}
			})
			for r := range rows {
				for i := range nv {
					f.str(acc[nv*r+i], to[r], 16*i)
				}
			}
		})
		f.next(v, 8*nv)
		f.next(o, 16*nv)
	}
	f.op("LSR $5, %v, %v", headDim, left)
	f.loop(left, func() { values(8) })
	end := f.label("even")
	f.op("TBZ $4, %v, %s", headDim, end)
	values(4)
	f.at(end)
}
