package main

import "fmt"

// A row dot takes the blocks of a row 4 at a time: two SDOT per block leave 4 partial sums, and three ADDP turn those of 4 blocks
// into a vector with a block in each lane, which is how the 8 partial sums p_j lie in two registers. What the row's last blocks lack to
// 8 is done one by one. Functions for several tokens decode a block once for all.
func dots() {
	for _, m := range formats {
		for _, tokens := range []int{1, 2, 4} {
			if tokens == 4 && m.halves { // out of registers
				continue
			}
			rowDot(m, tokens)
		}
	}
	for _, t := range []struct {
		name string
		size int
		load func(f *fn, w []vec, base gpr)
	}{
		{"F32", 4, func(f *fn, w []vec, base gpr) {
			for i := range 4 {
				f.ldr(w[i], base, 16*i)
			}
		}},
		{"F16", 2, func(f *fn, w []vec, base gpr) { f.widenLoad(fcvtl, fcvtl2, w, base) }},
		{"BF16", 2, func(f *fn, w []vec, base gpr) { f.widenLoad(shll, shll2, w, base) }},
	} {
		for _, tokens := range []int{1, 2, 4} {
			floatDot(t.name, t.size, tokens, t.load)
		}
	}
}

// widenLoad turns 16 halves into floats.
func (f *fn) widenLoad(low, high form, w []vec, base gpr) {
	for i := range 2 {
		f.ldr(w[2*i+1], base, 16*i)
		f.two(low, w[2*i], w[2*i+1])
		f.two(high, w[2*i+1], w[2*i+1])
	}
}

// sumLanes adds the lanes of vs to 0, in order.
func (f *fn) sumLanes(s, t vec, vs []vec) {
	f.zero(s)
	for _, v := range vs {
		f.faddS(s, s, v)
		for i := 1; i < 4; i++ {
			f.get(t, v, i)
			f.faddS(s, s, t)
		}
	}
}

func rowDot(m *format, tokens int) {
	f := function(fmt.Sprintf("neonDot%s_%d", m.name, tokens), "w *byte, stride int, rows int, nb int, q *int8, scale *float32, sum *float32, half *int32, y *float32, ldy int",
		fmt.Sprintf("multiplies rows by %d tokens: see dotArgs.", tokens))
	w, stride, rows, nb, y, ldy := f.load("w"), f.load("stride"), f.load("rows"), f.load("nb"), f.load("y"), f.load("ldy")
	f.op("LSL $2, %v, %v", ldy, ldy)
	base, gather, step, n := f.gpr(), f.gpr(), f.gpr(), f.gpr()
	// What moves along with a token, and how far for a block.
	type pointer struct {
		name  string
		at    []gpr
		shift int
	}
	q, scale := f.gprs(tokens), f.gprs(tokens)
	pointers := []pointer{{"q", q, 5}, {"scale", scale, 2}}
	var sums []gpr // of a block's activations, for offsets, or of each half
	if m.offs {
		sums = f.gprs(tokens)
		p := pointer{"sum", sums, 2}
		if m.halves {
			p = pointer{"half", sums, 3}
		}
		pointers = append(pointers, p)
	}
	f.op("MOVD $%d, %v", m.size, step)

	c, sub := f.constants(m, m.sub)
	per := 2 // registers of p, and of integer sums, per token
	if m.halves {
		per = 4
	}
	p, h, x := f.vecs(2*tokens), f.vecs(per*tokens), f.vecs(per/2)
	if need := 2 * per; m.halves && m.offs && len(h) < need { // groupScales'
		h = append(h, f.vecs(need-len(h))...)
	}
	v, a := f.vecs(2), f.vecs(2)
	var s []vec // scales and offsets, of a group or of 4 blocks
	switch {
	case m.halves && m.offs:
		s = f.vecs(8)
	case m.halves, m.group && m.offs:
		s = f.vecs(4)
	case m.group || m.offs:
		s = f.vecs(2)
	default:
		s = f.vecs(1)
	}
	t := append(a[:2:2], v...) // free while no block is at work

	block := func(b int) {
		m.block(f, base, b, v, a, c)
		if m.sub != 0 {
			f.three(subB, v[0], v[0], sub)
			f.three(subB, v[1], v[1], sub)
		}
	}
	// products leaves the sums of 4 lanes of block b and token i in d[0], or of its halves in d[0] and d[1].
	products := func(b, i int, d []vec) {
		f.ldr(a[0], q[i], 32*b)
		f.ldr(a[1], q[i], 32*b+16)
		f.zero(d...)
		f.three(sdot, d[0], v[0], a[0])
		f.three(sdot, d[len(d)-1], v[1], a[1])
	}

	f.loop(rows, func() {
		f.op("MOVD %v, %v", w, base)
		for _, p := range pointers {
			f.loadTo(p.name, p.at[0])
			for i := 1; i < tokens; i++ {
				f.op("ADD %v<<%d, %v, %v", nb, p.shift, p.at[i-1], p.at[i])
			}
		}
		f.zero(p...)
		f.op("LSR $3, %v, %v", nb, n)
		f.loop(n, func() {
			if m.group {
				m.groupScales(f, base, s, h, x, t)
			} else {
				f.op("MOVD %v, %v", base, gather)
			}
			for quad := range 2 {
				f.note("blocks %d to %d", 4*quad, 4*quad+3)
				for j := range 4 {
					block(4*quad + j)
					for i := range tokens {
						hi := h[per*i : per*(i+1)]
						d := make([]vec, per/2)
						for k := range d {
							d[k] = []vec{hi[2*k], hi[2*k+1], hi[2*k+1], x[k]}[j]
						}
						products(4*quad+j, i, d)
						for k := range d {
							switch j {
							case 1:
								f.three(addp, hi[2*k], hi[2*k], hi[2*k+1])
							case 3:
								f.three(addp, hi[2*k+1], hi[2*k+1], x[k])
								f.three(addp, hi[2*k], hi[2*k], hi[2*k+1])
								f.two(scvtf, hi[2*k], hi[2*k])
							}
						}
					}
				}
				sc, off := []vec{s[0]}, s[len(s)-1]
				switch {
				case m.halves:
					sc = []vec{s[quad], s[2+quad]}
				case m.group:
					sc, off = []vec{s[quad]}, s[len(s)-2+quad]
				case m.offs:
					for j := range 4 {
						f.ld1s(s[0], j, gather, step)
					}
					f.three(uzp2H, s[1], s[0], s[0])
					f.three(uzp1H, s[0], s[0], s[0])
					f.two(fcvtl, s[0], s[0])
					f.two(fcvtl, s[1], s[1])
				default:
					for j := range 4 {
						f.ld1h(s[0], j, gather, step)
					}
					f.two(fcvtl, s[0], s[0])
				}
				for i := range tokens {
					pi := p[2*i+quad]
					f.ldr(a[0], scale[i], 16*quad)
					if m.halves {
						f.three(fmul, a[1], h[per*i], sc[0])
						f.three(fmla, a[1], h[per*i+2], sc[1])
						by := a[0]
						if m.factor > 0 {
							by = v[0]
							f.halfFloat(by, base, m.factor)
							f.three(fmul, by, by, a[0])
						}
						f.three(fmla, pi, a[1], by)
					} else {
						f.three(fmul, a[1], sc[0], a[0])
						f.three(fmla, pi, h[per*i], a[1])
					}
					switch {
					case m.halves && m.offs:
						f.ldr(v[0], sums[i], 32*quad)
						f.ldr(v[1], sums[i], 32*quad+16)
						f.three(uzp1S, x[0], v[0], v[1])
						f.three(uzp2S, x[1], v[0], v[1])
						for k := range x {
							f.two(scvtf, x[k], x[k])
							f.three(fmul, x[k], x[k], a[0])
							f.three(fmla, pi, s[4+2*k+quad], x[k])
						}
					case m.offs:
						f.ldr(a[0], sums[i], 16*quad)
						f.three(fmla, pi, off, a[0])
					}
				}
			}
			blocks := 8
			if m.group {
				blocks = 1
			}
			f.op("ADD $%d, %v, %v", blocks*m.size, base, base)
			for _, p := range pointers {
				for _, x := range p.at {
					f.op("ADD $%d, %v, %v", 8<<p.shift, x, x)
				}
			}
		})
		if !m.group {
			f.note("the last blocks")
			end := f.label("rest")
			f.op("ANDS $7, %v, %v", nb, n)
			for j := range 7 {
				f.op("BEQ %s", end)
				block(j)
				if m.offs {
					f.op("FMOVS %d(%v), F%d", m.size*j, base, s[0])
				} else {
					f.ldrH(s[0], base, m.size*j)
				}
				f.two(fcvtl, s[0], s[0])
				if m.offs {
					f.get(s[1], s[0], 1)
				}
				for i := range tokens {
					pi := p[2*i+j/4]
					products(j, i, x)
					f.scalar(addvS, "s", x[0], "", x[0])
					f.scalar(scvtfS, "s", x[0], "s", x[0])
					f.op("FMOVS %d(%v), F%d", 4*j, scale[i], a[0])
					f.fmulS(a[0], a[0], s[0])
					f.get(a[1], pi, j%4)
					f.fmadd(a[1], x[0], a[0], a[1])
					if m.offs {
						f.op("FMOVS %d(%v), F%d", 4*j, sums[i], a[0])
						f.fmadd(a[1], s[1], a[0], a[1])
					}
					f.set(pi, j%4, a[1])
				}
				f.op("SUBS $1, %v, %v", n, n)
			}
			f.at(end)
		}
		f.op("MOVD %v, %v", y, gather)
		for i := range tokens {
			f.sumLanes(a[0], a[1], p[2*i:2*i+2])
			f.op("FMOVS F%d, (%v)", a[0], gather)
			if i < tokens-1 {
				f.op("ADD %v, %v, %v", ldy, gather, gather)
			}
		}
		f.op("ADD $4, %v, %v", y, y)
		f.op("ADD %v, %v, %v", stride, w, w)
	})
}

// groupScales leaves the scales of a group's 8 blocks in s[0] and s[1] and their offsets in s[2] and s[3]; or the scales of the
// blocks' first halves in s[0] and s[1] and those of the second in s[2] and s[3], and their offsets so in s[4] to s[7].
func (m *format) groupScales(f *fn, base gpr, s, h, x, t []vec) {
	f.note("scales")
	switch {
	case m.halves:
		m.scales(f, base, h, t)
		for i := range len(s) / 2 {
			f.three(uzp1S, s[i/2*4+i%2], h[2*i], h[2*i+1])
			f.three(uzp2S, s[i/2*4+2+i%2], h[2*i], h[2*i+1])
		}
	case m.offs:
		m.scales(f, base, []vec{s[0], s[1], 0, 0, s[2], s[3]}, t)
	default:
		m.scales(f, base, s, t)
	}
}

// floatDot has 16 partial sums per token, k mod 16.
func floatDot(name string, size, tokens int, load func(f *fn, w []vec, base gpr)) {
	f := function(fmt.Sprintf("neonDot%s_%d", name, tokens), "w *byte, stride int, rows int, nb int, x *float32, y *float32, ldy int",
		fmt.Sprintf("multiplies rows by %d tokens: see dotArgs.", tokens))
	w, stride, rows, nb, y, ldy := f.load("w"), f.load("stride"), f.load("rows"), f.load("nb"), f.load("y"), f.load("ldy")
	f.op("LSL $2, %v, %v", ldy, ldy)
	base, n, to := f.gpr(), f.gpr(), f.gpr()
	x := f.gprs(tokens)
	p, v, a := f.vecs(4*tokens), f.vecs(4), f.vecs(4)
	f.loop(rows, func() {
		f.op("MOVD %v, %v", w, base)
		f.loadTo("x", x[0])
		for i := 1; i < tokens; i++ {
			f.op("ADD %v<<7, %v, %v", nb, x[i-1], x[i])
		}
		f.zero(p...)
		f.op("LSL $1, %v, %v", nb, n)
		f.loop(n, func() {
			load(f, v, base)
			f.op("ADD $%d, %v, %v", 16*size, base, base)
			for i := range tokens {
				for j := range 4 {
					f.ldr(a[j], x[i], 16*j)
				}
				f.op("ADD $64, %v, %v", x[i], x[i])
				for j := range 4 {
					f.three(fmla, p[4*i+j], v[j], a[j])
				}
			}
		})
		f.op("MOVD %v, %v", y, to)
		for i := range tokens {
			f.sumLanes(a[0], a[1], p[4*i:4*i+4])
			f.op("FMOVS F%d, (%v)", a[0], to)
			if i < tokens-1 {
				f.op("ADD %v, %v, %v", ldy, to, to)
			}
		}
		f.op("ADD $4, %v, %v", y, y)
		f.op("ADD %v, %v, %v", stride, w, w)
	})
}
