package main

import "math"

func floats() {
	quantize()
	sumSquares()
	scaleMul()
	swiglu()
	add()
	merge()
	toF16()
	from16("F16", "float16", fcvtl, fcvtl2)
	from16("BF16", "bfloat16", shll, shll2)
}

// ldr4 and str4 move 16 floats.
func (f *fn) ldr4(v []vec, x gpr) {
	for i := range 4 {
		f.ldr(v[i], x, 16*i)
	}
}

func (f *fn) str4(v []vec, x gpr) {
	for i := range 4 {
		f.str(v[i], x, 16*i)
	}
}

func (f *fn) next(x gpr, by int) { f.op("ADD $%d, %v, %v", by, x, x) }

func quantize() {
	f := function("neonQuantize", "nb int, limit float32, x *float32, q *int8, scale *float32, sum *float32, half *int32", "turns blocks of 32 floats into int8: see leaf.quantize.")
	nb, x, q, scale, sum, half := f.load("nb"), f.load("x"), f.load("q"), f.load("scale"), f.load("sum"), f.load("half")
	v, t := f.vecs(8), f.vecs(8)
	top, d, inv, m := f.vec(), f.vec(), f.vec(), f.vec()
	f.op("FMOVS limit+%d(FP), F%d", f.offset("limit"), top)
	f.dup(top, top, 0)
	f.loop(nb, func() {
		for i := range v {
			f.ldr(v[i], x, 16*i)
			f.two(fabs, t[i], v[i])
		}
		for n := 4; n > 0; n /= 2 {
			for i := range n {
				f.three(fmax, t[i], t[i], t[i+n])
			}
		}
		f.scalar(fmaxvS, "s", t[0], "", t[0])
		f.dup(t[0], t[0], 0)
		f.three(fdiv, d, t[0], top)
		f.three(fdiv, inv, top, t[0])
		f.positive(m, t[0]) // not for 0 and NaN
		f.three(and, inv, inv, m)
		for i := range v {
			f.three(fmul, v[i], v[i], inv)
			f.two(fcvtns, v[i], v[i])
		}
		for h := range 2 {
			f.three(addS, t[h], v[4*h], v[4*h+1])
			f.three(addS, t[2+h], v[4*h+2], v[4*h+3])
			f.three(addS, t[h], t[h], t[2+h])
			f.scalar(addvS, "s", t[h], "", t[h])
			f.op("FMOVS F%d, %d(%v)", t[h], 4*h, half)
			for i := range 2 {
				f.two(xtnH, t[4+i], v[4*h+2*i])
				f.two(xtn2H, t[4+i], v[4*h+2*i+1])
			}
			f.two(xtnB, v[h], t[4])
			f.two(xtn2B, v[h], t[5])
			f.str(v[h], q, 16*h)
		}
		f.three(addS, t[0], t[0], t[1])
		f.scalar(scvtfS, "s", t[0], "s", t[0])
		f.fmulS(t[0], t[0], d)
		f.op("FMOVS F%d, (%v)", t[0], sum)
		f.op("FMOVS F%d, (%v)", d, scale)
		f.next(x, 128)
		f.next(q, 32)
		f.next(scale, 4)
		f.next(sum, 4)
		f.next(half, 8)
	})
}

func sumSquares() {
	f := function("neonSumSquares", "n int, x *float32", "returns the sum of squares in 16 partial sums: see leaf.sumSquares.")
	f.result = "float32"
	n, x := f.load("n"), f.load("x")
	p, v := f.vecs(4), f.vecs(4)
	f.zero(p...)
	f.op("LSR $4, %v, %v", n, n)
	f.loop(n, func() {
		f.ldr4(v, x)
		f.next(x, 64)
		for i := range p {
			f.three(fmla, p[i], v[i], v[i])
		}
	})
	f.sumLanes(v[0], v[1], p)
	f.op("FMOVS F%d, ret+%d(FP)", v[0], f.offset("ret"))
}

func scaleMul() {
	f := function("neonScaleMul", "n int, r float32, x *float32, w *float32, y *float32", "computes y = (x·r)·w.")
	n, x, w, y := f.load("n"), f.load("x"), f.load("w"), f.load("y")
	v, u, r := f.vecs(4), f.vecs(4), f.vec()
	f.op("FMOVS r+%d(FP), F%d", f.offset("r"), r)
	f.op("LSR $4, %v, %v", n, n)
	f.loop(n, func() {
		f.ldr4(v, x)
		f.ldr4(u, w)
		for i := range v {
			f.lane(fmulLane, v[i], v[i], r, 0)
			f.three(fmul, v[i], v[i], u[i])
		}
		f.str4(v, y)
		for _, p := range []gpr{x, w, y} {
			f.next(p, 64)
		}
	})
}

func swiglu() {
	f := function("neonSwiGLU", "n int, gate *float32, up *float32", "computes gate = gate/(1+exp32(-gate))·up.")
	n, gate, up := f.load("n"), f.load("gate"), f.load("up")
	e := f.exp()
	g, u, x := f.vecs(4), f.vecs(4), f.vecs(4)
	f.op("LSR $4, %v, %v", n, n)
	f.loop(n, func() {
		f.ldr4(g, gate)
		f.ldr4(u, up)
		for i := range x {
			f.two(fneg, x[i], g[i])
		}
		e.of(f, x)
		for i := range x {
			f.three(fadd, x[i], x[i], e.one)
			f.three(fdiv, g[i], g[i], x[i])
			f.three(fmul, g[i], g[i], u[i])
		}
		f.str4(g, gate)
		f.next(gate, 64)
		f.next(up, 64)
	})
}

func add() {
	f := function("neonAdd", "n int, x *float32, y *float32", "computes y += x.")
	n, x, y := f.load("n"), f.load("x"), f.load("y")
	v, u := f.vecs(4), f.vecs(4)
	f.op("LSR $4, %v, %v", n, n)
	f.loop(n, func() {
		f.ldr4(v, x)
		f.ldr4(u, y)
		for i := range v {
			f.three(fadd, u[i], u[i], v[i])
		}
		f.str4(u, y)
		f.next(x, 64)
		f.next(y, 64)
	})
}

func merge() {
	f := function("neonMerge", "n int, a float32, b float32, o *float32, total *float32", "computes total = fma(o, b, total·a).")
	n, o, total := f.load("n"), f.load("o"), f.load("total")
	v, u, a, b := f.vecs(4), f.vecs(4), f.vec(), f.vec()
	f.op("FMOVS a+%d(FP), F%d", f.offset("a"), a)
	f.op("FMOVS b+%d(FP), F%d", f.offset("b"), b)
	f.op("LSR $4, %v, %v", n, n)
	f.loop(n, func() {
		f.ldr4(v, o)
		f.ldr4(u, total)
		for i := range v {
			f.lane(fmulLane, u[i], u[i], a, 0)
			f.lane(fmlaLane, u[i], v[i], b, 0)
		}
		f.str4(u, total)
		f.next(o, 64)
		f.next(total, 64)
	})
}

func toF16() {
	f := function("neonToF16", "n int, x *float32, y *uint16", "rounds to float16, nearest even.")
	n, x, y := f.load("n"), f.load("x"), f.load("y")
	v, h := f.vecs(4), f.vecs(2)
	f.op("LSR $4, %v, %v", n, n)
	f.loop(n, func() {
		f.ldr4(v, x)
		for i := range h {
			f.two(fcvtn, h[i], v[2*i])
			f.two(fcvtn2, h[i], v[2*i+1])
			f.str(h[i], y, 16*i)
		}
		f.next(x, 64)
		f.next(y, 32)
	})
}

func from16(name, what string, low, high form) {
	f := function("neonFrom"+name, "n int, x *uint16, y *float32", "widens "+what+".")
	n, x, y := f.load("n"), f.load("x"), f.load("y")
	v := f.vecs(4)
	f.op("LSR $4, %v, %v", n, n)
	f.loop(n, func() {
		f.widenLoad(low, high, v, x)
		f.str4(v, y)
		f.next(x, 32)
		f.next(y, 64)
	})
}

// exp has exp32's constants in registers, and three to compute with.
type exp struct {
	max, min, log2e, ln2, ln2low vec
	poly                         []vec
	one, bias                    vec
	n, y, z                      vec
}

func (f *fn) exp() exp {
	poly := []float32{1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1}
	e := exp{f.vec(), f.vec(), f.vec(), f.vec(), f.vec(), f.vecs(len(poly)), f.vec(), f.vec(), f.vec(), f.vec(), f.vec()}
	f.block(func() {
		x := f.gpr()
		for i, c := range []float32{88.3, -87.3, 1.44269504, -0.693359375, 2.12194440e-4} {
			f.float([]vec{e.max, e.min, e.log2e, e.ln2, e.ln2low}[i], math.Float32bits(c), x)
		}
		for i, c := range poly {
			f.float(e.poly[i], math.Float32bits(c), x)
		}
		f.float(e.one, math.Float32bits(1), x)
		f.float(e.bias, 127, x)
	})
	return e
}

// of replaces each of v by its exp32.
func (e *exp) of(f *fn, v []vec) {
	for _, r := range v {
		f.three(fmin, r, r, e.max)
		f.three(fmax, r, r, e.min)
		f.three(fmul, e.n, r, e.log2e)
		f.two(frintn, e.n, e.n)
		f.three(fmla, r, e.n, e.ln2)
		f.three(fmla, r, e.n, e.ln2low)
		y, z := e.y, e.z
		f.mov(y, e.poly[0])
		for _, c := range e.poly[1:] {
			f.mov(z, c)
			f.three(fmla, z, y, r)
			y, z = z, y
		}
		f.three(fmul, z, r, r)
		f.three(fmla, r, y, z)
		f.three(fadd, r, r, e.one)
		f.two(fcvtns, e.n, e.n)
		f.three(addS, e.n, e.n, e.bias)
		f.shl(32, e.n, e.n, 23)
		f.three(fmul, r, r, e.n)
	}
}
