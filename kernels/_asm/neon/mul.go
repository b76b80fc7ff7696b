package main

// tile is the number of tokens that mul and mulFloat take: with 4, an activation vector of a tile holds 4 k's of each, and SDOT
// takes a token by its lane. 8 rows then need 8 integer sums, 8 partial sums and 8 totals: 24 of the 32 registers. With two scales
// the products of the first halves take the place of the totals, which are in c.
const tile = 4

func muls() {
	interleave()
	mul("Off", 1, 1, false)
	mul("Bias", 1, 0, false)
	mul("Bias128", 1, 0, true)
	mul("Bias2", 2, 0, false)
	mul("Off2", 1, 2, false)
	mulFloat()
}

// mul multiplies a panel by a tile, in two halves of 8 rows. Stored values of up to 127 are int8 as they are; those of the formats
// with a bias of 128 become q by flipping their highest bit, and the sum needs no start.
func mul(name string, scales, offs int, flip bool) {
	bias := offs == 0 && !flip
	f := function("neonMul"+name, "nb int, q *byte, scale *float32, off *float32, a *int8, as *float32, sum *float32, init *int32, c *float32, ldc int",
		"multiplies a panel by a tile: see mulArgs.")
	nb, c, ldc := f.load("nb"), f.load("c"), f.load("ldc")
	f.op("LSL $2, %v, %v", ldc, ldc)
	q, scale, off, a, as, sum, init := f.gpr(), f.gpr(), f.gpr(), f.gpr(), f.gpr(), f.gpr(), f.gpr()
	half, segment, count, whole, rest := f.gpr(), f.gpr(), f.gpr(), f.gpr(), f.gpr()
	s, p, y := f.vecs(2*tile), f.vecs(2*tile), f.vecs(2*tile) // [token][2 times 4 rows]
	row := f.gpr()
	rows := func(of func(i int)) { // of c
		f.op("ADD %v, %v, %v", half, c, row)
		for i := range tile {
			of(i)
			f.op("ADD %v, %v, %v", ldc, row, row)
		}
	}
	t := f.vecs(6)
	signs := f.vec()
	if flip {
		f.bytes(signs, 0x80)
	}
	f.op("MOVD $0, %v", half)
	halves := f.label("half")
	f.at(halves)
	for _, arg := range []struct {
		name string
		x    gpr
		used bool
		row  bool // per row: the second half begins 8 further
	}{{"q", q, true, true}, {"scale", scale, true, true}, {"off", off, offs > 0, true}, {"a", a, true, false}, {"as", as, true, false}, {"sum", sum, offs > 0, false}, {"init", init, bias, false}} {
		if !arg.used {
			continue
		}
		f.loadTo(arg.name, arg.x)
		if arg.row {
			f.op("ADD %v, %v, %v", half, arg.x, arg.x)
		}
	}
	f.zero(y...)
	if scales == 2 {
		rows(func(i int) {
			f.str(y[0], row, 0)
			f.str(y[0], row, 16)
		})
	}
	f.op("LSR $3, %v, %v", nb, whole)
	f.op("AND $7, %v, %v", nb, rest)
	f.op("MOVD $8, %v", segment)
	f.loop(segment, func() {
		one := f.label("whole")
		f.op("MOVD %v, %v", whole, count)
		f.op("CBZ %v, %s", rest, one)
		f.op("ADD $1, %v, %v", count, count)
		f.op("SUB $1, %v, %v", rest, rest)
		f.at(one)
		f.zero(p...)
		f.loop(count, func() {
			for h := range scales {
				f.note("products of %d values", 32/scales)
				if bias {
					f.ldr(t[0], init, 16*h)
					for i := range tile {
						f.dup(s[2*i], t[0], i)
						f.dup(s[2*i+1], t[0], i)
					}
				} else {
					f.zero(s...)
				}
				for g := h * 8 / scales; g < (h+1)*8/scales; g++ {
					w, x := t[g%2*3:], t[g%2*3+2]
					f.ldr(w[0], q, 64*g)
					f.ldr(w[1], q, 64*g+16)
					f.ldr(x, a, 4*tile*g)
					if flip {
						f.three(eor, w[0], w[0], signs)
						f.three(eor, w[1], w[1], signs)
					}
					for i := range tile {
						f.lane(sdotLane, s[2*i], w[0], x, i)
						f.lane(sdotLane, s[2*i+1], w[1], x, i)
					}
				}
				f.ldr(t[0], scale, 64*h)
				f.ldr(t[1], scale, 64*h+16)
				f.ldr(t[2], as, 0)
				f.note([]string{"p = fma(s, scale·as, p)", "y = s·scale", "p = fma(fma(s, scale, y), as, p)"}[scales-1+h])
				for i := range tile {
					for r := range 2 {
						s, p, y := s[2*i+r], p[2*i+r], y[2*i+r]
						f.two(scvtf, s, s)
						switch {
						case scales == 1:
							f.lane(fmulLane, t[3+r], t[r], t[2], i)
							f.three(fmla, p, s, t[3+r])
						case h == 0:
							f.three(fmul, y, s, t[r])
						default:
							f.three(fmla, y, s, t[r])
							f.lane(fmlaLane, p, y, t[2], i)
						}
					}
				}
			}
			for h := range offs {
				f.note("p = fma(off, sum, p)")
				f.ldr(t[0], off, 64*h)
				f.ldr(t[1], off, 64*h+16)
				f.ldr(t[2], sum, 4*tile*h)
				for i := range tile {
					f.lane(fmlaLane, p[2*i], t[0], t[2], i)
					f.lane(fmlaLane, p[2*i+1], t[1], t[2], i)
				}
			}
			f.op("ADD $512, %v, %v", q, q)
			f.op("ADD $%d, %v, %v", 32*tile, a, a)
			f.op("ADD $%d, %v, %v", 64*scales, scale, scale)
			f.op("ADD $%d, %v, %v", 4*tile, as, as)
			if offs > 0 {
				f.op("ADD $%d, %v, %v", 64*offs, off, off)
				f.op("ADD $%d, %v, %v", 4*tile*offs, sum, sum)
			}
			if bias {
				f.op("ADD $%d, %v, %v", 4*tile*scales, init, init)
			}
		})
		if scales == 1 {
			for i := range y {
				f.three(fadd, y[i], y[i], p[i])
			}
			return
		}
		rows(func(i int) {
			for r := range 2 {
				f.ldr(t[r], row, 16*r)
				f.three(fadd, t[r], t[r], p[2*i+r])
				f.str(t[r], row, 16*r)
			}
		})
	})
	if scales == 1 {
		rows(func(i int) {
			f.str(y[2*i], row, 0)
			f.str(y[2*i+1], row, 16)
		})
	}
	f.op("EOR $32, %v, %v", half, half)
	f.op("CBNZ %v, %s", half, halves)
}

// mulFloat keeps the 16 rows' partial sums in 16 registers and their totals in c.
func mulFloat() {
	f := function("neonMulFloat", "k int, w *float32, a *float32, c *float32, ldc int", "multiplies a float panel by a tile: see mulFloatArgs.")
	k, w, a, c, ldc := f.load("k"), f.load("w"), f.load("a"), f.load("c"), f.load("ldc")
	f.op("LSL $2, %v, %v", ldc, ldc)
	f.op("LSR $4, %v, %v", k, k)
	segment, count, y := f.gpr(), f.gpr(), f.gpr()
	p, v, x := f.vecs(4*tile), f.vecs(4), f.vec() // p[token][4 times 4 rows]
	store := func(first bool) {
		f.op("MOVD %v, %v", c, y)
		for i := range tile {
			for r := range 4 {
				if first { // 0 + p: −0 becomes +0
					f.zero(v[r])
				} else {
					f.ldr(v[r], y, 16*r)
				}
				f.three(fadd, v[r], v[r], p[4*i+r])
				f.str(v[r], y, 16*r)
			}
			if i < tile-1 {
				f.op("ADD %v, %v, %v", ldc, y, y)
			}
		}
	}
	sums := func() {
		f.zero(p...)
		f.op("MOVD %v, %v", k, count)
		f.loop(count, func() {
			for r := range 4 {
				f.ldr(v[r], w, 16*r)
			}
			f.ldr(x, a, 0)
			for i := range tile {
				for r := range 4 {
					f.lane(fmlaLane, p[4*i+r], v[r], x, i)
				}
			}
			f.op("ADD $64, %v, %v", w, w)
			f.op("ADD $%d, %v, %v", 4*tile, a, a)
		})
	}
	sums()
	store(true)
	f.op("MOVD $15, %v", segment)
	f.loop(segment, func() {
		sums()
		store(false)
	})
}

// interleave transposes, for each 16 bytes of 4 rows, a matrix of 4 by 4 words.
func interleave() {
	f := function("neonInterleave", "nb int, rows *byte, stride int, q *byte", "gathers 16 rows into a panel: see leaf.interleave.")
	nb, rows, stride, q := f.load("nb"), f.load("rows"), f.load("stride"), f.load("q")
	segment, count, whole, rest, from, row := f.gpr(), f.gpr(), f.gpr(), f.gpr(), f.gpr(), f.gpr()
	x, y := f.vecs(8), f.vecs(8)
	f.op("LSR $3, %v, %v", nb, whole)
	f.op("AND $7, %v, %v", nb, rest)
	f.op("MOVD $8, %v", segment)
	f.loop(segment, func() {
		one := f.label("whole")
		f.op("MOVD %v, %v", whole, count)
		f.op("CBZ %v, %s", rest, one)
		f.op("ADD $1, %v, %v", count, count)
		f.op("SUB $1, %v, %v", rest, rest)
		f.at(one)
		f.op("MOVD %v, %v", rows, from)
		f.loop(count, func() {
			f.op("MOVD %v, %v", from, row)
			for four := range 4 {
				for i := range 4 {
					f.ldr(x[2*i], row, 0)
					f.ldr(x[2*i+1], row, 16)
					f.op("ADD %v, %v, %v", stride, row, row)
				}
				for h := range 2 {
					f.three(zip1S, y[0], x[h], x[2+h])
					f.three(zip2S, y[1], x[h], x[2+h])
					f.three(zip1S, y[2], x[4+h], x[6+h])
					f.three(zip2S, y[3], x[4+h], x[6+h])
					for g := range 4 {
						zip := zip1D
						if g%2 == 1 {
							zip = zip2D
						}
						f.three(zip, y[4+g], y[g/2], y[2+g/2])
						f.str(y[4+g], q, 64*(4*h+g)+16*four)
					}
				}
			}
			f.op("ADD $512, %v, %v", q, q)
			f.op("ADD $256, %v, %v", from, from)
		})
		f.op("ADD $32, %v, %v", rows, rows)
	})
}
