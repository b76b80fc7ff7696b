package main

// A format is how a block type's bytes become vectors, for row dots and for unpack alike.
type format struct {
	name   string
	size   int  // bytes of a block of 32 values, or of a group of 256
	group  bool // 256 values with scales of their own: rows have whole groups
	offs   bool
	halves bool // a scale for each 16 values, and an offset if any
	factor int  // where a float16 is by which all scales are to be multiplied; 0: they are
	flip   byte // unpack's values are q + flip, where that is 128: the highest bit flipped
	sub    byte // block's values less this are q
	consts []func(f *fn, v vec)
	// block loads the 32 values of block b: w[0] and w[1]. base is the group, or the first block. t are two registers free for use,
	// c the constants.
	block func(f *fn, base gpr, b int, w, t, c []vec)
	// scales computes the scales (and offsets, in s[4:]) of a group's 8 blocks, or 16 halves: s[0] … in order. t are 4 free registers.
	scales func(f *fn, base gpr, s, t []vec)
}

var formats = []*format{
	{name: "Q4_0", size: 18, sub: 8, consts: []func(*fn, vec){constant(15)}, block: func(f *fn, base gpr, b int, w, t, c []vec) {
		f.ldr(w[1], base, 18*b+2)
		f.nibbles(w, c[0])
	}},
	{name: "Q4_1", size: 20, offs: true, consts: []func(*fn, vec){constant(15)}, block: func(f *fn, base gpr, b int, w, t, c []vec) {
		f.ldr(w[1], base, 20*b+4)
		f.nibbles(w, c[0])
	}},
	{name: "Q5_0", size: 22, sub: 16, consts: fifthConsts, block: func(f *fn, base gpr, b int, w, t, c []vec) {
		f.ldr(w[1], base, 22*b+6)
		f.nibbles(w, c[0])
		f.fifth(base, 22*b+2, w, t, c)
	}},
	{name: "Q5_1", size: 24, offs: true, consts: fifthConsts, block: func(f *fn, base gpr, b int, w, t, c []vec) {
		f.ldr(w[1], base, 24*b+8)
		f.nibbles(w, c[0])
		f.fifth(base, 24*b+4, w, t, c)
	}},
	{name: "Q8_0", size: 34, flip: 128, block: func(f *fn, base gpr, b int, w, t, c []vec) {
		f.ldr(w[0], base, 34*b+2)
		f.ldr(w[1], base, 34*b+18)
	}},
	{name: "IQ4_NL", size: 18, flip: 128, consts: []func(*fn, vec){constant(15), iq4Table}, block: func(f *fn, base gpr, b int, w, t, c []vec) {
		f.ldr(w[1], base, 18*b+2)
		f.iq4(w, c)
	}},
	{name: "Q2_K", size: 84, group: true, offs: true, halves: true, factor: 80, consts: []func(*fn, vec){constant(3)}, block: block2K, scales: scales2K},
	{name: "Q3_K", size: 110, group: true, halves: true, sub: 4, consts: []func(*fn, vec){constant(3), constant(4)}, block: block3K, scales: scales3K},
	{name: "Q4_K", size: 144, group: true, offs: true, consts: []func(*fn, vec){constant(15)}, block: block4K, scales: scalesK},
	{name: "Q5_K", size: 176, group: true, offs: true, consts: []func(*fn, vec){constant(15), constant(16)}, block: block5K, scales: scalesK},
	{name: "Q6_K", size: 210, group: true, halves: true, sub: 32, consts: []func(*fn, vec){constant(15), constant(0x30)}, block: block6K, scales: scales6K},
	{name: "IQ4_XS", size: 136, group: true, flip: 128, consts: []func(*fn, vec){constant(15), iq4Table}, block: func(f *fn, base gpr, b int, w, t, c []vec) {
		f.ldr(w[1], base, 8+16*b)
		f.iq4(w, c)
	}, scales: scalesIQ4},
}

func constant(b byte) func(f *fn, v vec) { return func(f *fn, v vec) { f.bytes(v, b) } }

// iq4Table loads the levels of the type's nibbles (block.IQ4Values).
func iq4Table(f *fn, v vec) {
	values := [16]int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}
	f.block(func() {
		x := f.gpr()
		for h := range 2 {
			var bits uint64
			for i := range 8 {
				bits |= uint64(uint8(values[8*h+i])) << (8 * i)
			}
			f.dword(v, h, bits, x)
		}
	})
}

// nibbles splits w[1] into its low and high nibbles.
func (f *fn) nibbles(w []vec, low vec) {
	f.three(and, w[0], w[1], low)
	f.ushr(8, w[1], w[1], 4)
}

func (f *fn) iq4(w, c []vec) {
	f.nibbles(w, c[0])
	f.lookup(w[0], c[1], w[0])
	f.lookup(w[1], c[1], w[1])
}

// block4K takes the low nibbles of 32 bytes for an even block, the high ones for the next.
func block4K(f *fn, base gpr, b int, w, t, c []vec) { nibbles32(f, base, 16+b/2*32, b%2, w, c[0]) }

func nibbles32(f *fn, base gpr, off, high int, w []vec, low vec) {
	for i := range 2 {
		f.ldr(w[i], base, off+16*i)
		if high == 0 {
			f.three(and, w[i], w[i], low)
		} else {
			f.ushr(8, w[i], w[i], 4)
		}
	}
}

func block5K(f *fn, base gpr, b int, w, t, c []vec) {
	nibbles32(f, base, 48+b/2*32, b%2, w, c[0])
	for i := range 2 {
		f.ldr(t[0], base, 16+16*i)
		f.shiftTo(t[0], b, 4)
		f.three(and, t[0], t[0], c[1])
		f.three(orr, w[i], w[i], t[0])
	}
}

func block6K(f *fn, base gpr, b int, w, t, c []vec) {
	h, plane := b/4, b%4
	nibbles32(f, base, 64*h+plane%2*32, plane/2, w, c[0])
	for i := range 2 {
		f.ldr(t[0], base, 128+32*h+16*i)
		f.shiftTo(t[0], 2*plane, 4)
		f.three(and, t[0], t[0], c[1])
		f.three(orr, w[i], w[i], t[0])
	}
}

// shiftTo moves bit from of each byte to bit to.
func (f *fn) shiftTo(v vec, from, to int) {
	switch {
	case from < to:
		f.shl(8, v, v, to-from)
	case from > to:
		f.ushr(8, v, v, from-to)
	}
}

// scalesK decodes the 6-bit scales and minima of Q4_K and Q5_K: 12 bytes as words u0 u1 u2. The low 4 scales (minima) are the low
// 6 bits of u0's (u1's) bytes; the others have 4 bits in u2's low (high) nibbles and 2 at the top of u0's (u1's) bytes.
func scalesK(f *fn, base gpr, s, t []vec) {
	f.ldr(t[0], base, 4)
	f.bytes(t[3], 15)
	f.three(and, t[1], t[0], t[3])
	f.ushr(8, t[2], t[0], 4)
	f.three(zip2S, t[1], t[1], t[2])
	f.ushr(8, t[2], t[0], 2)
	f.bytes(t[3], 0x30)
	f.three(and, t[2], t[2], t[3])
	f.three(orr, t[1], t[1], t[2])
	f.bytes(t[3], 0x3f)
	f.three(and, t[0], t[0], t[3])
	f.three(zip1S, t[0], t[0], t[1]) // 8 scales, 8 minima
	f.op("FMOVS (%v), F%d", base, t[3])
	f.two(fcvtl, t[3], t[3])
	f.two(uxtlH, t[1], t[0])
	f.two(uxtl2H, t[2], t[0])
	f.widen(ucvtf, s[0], s[1], t[1], uxtlS, uxtl2S)
	f.widen(ucvtf, s[4], s[5], t[2], uxtlS, uxtl2S)
	f.two(fneg, t[1], t[3])
	for i := range 2 {
		f.lane(fmulLane, s[i], s[i], t[3], 0)
		f.lane(fmulLane, s[4+i], s[4+i], t[1], 1)
	}
}

// widen turns 8 integers of 16 bits into floats.
func (f *fn) widen(cvt form, lo, hi, n vec, l, l2 form) {
	f.two(l, lo, n)
	f.two(l2, hi, n)
	f.two(cvt, lo, lo)
	f.two(cvt, hi, hi)
}

func scales6K(f *fn, base gpr, s, t []vec) {
	f.ldr(t[1], base, 192)
	f.ldrH(t[3], base, 208)
	f.signedScales(s, t)
}

// scalesIQ4 joins the nibbles of bytes 4 to 7 with 2 bits each of the 16 at byte 2.
func scalesIQ4(f *fn, base gpr, s, t []vec) {
	f.op("FMOVD (%v), F%d", base, t[0])
	f.bytes(t[1], 15)
	f.three(and, t[1], t[0], t[1])
	f.ushr(8, t[2], t[0], 4)
	f.three(zip1B, t[1], t[1], t[2])
	f.two(uxtl2H, t[1], t[1])
	f.block(func() {
		x := f.gpr()
		f.dword(t[2], 0, 0xfffafffcfffe0000, x) // −6 −4 −2 0
		f.dword(t[2], 1, 0xfff2fff4fff6fff8, x)
	})
	f.dupH(t[3], t[0], 1)
	f.three(ushl8H, t[3], t[3], t[2])
	f.halves(t[2], 3)
	f.three(and, t[3], t[3], t[2])
	f.shl(16, t[3], t[3], 4)
	f.three(orr, t[1], t[1], t[3])
	f.halves(t[2], 32)
	f.three(subH, t[1], t[1], t[2])
	f.two(fcvtl, t[3], t[0])
	f.widen(scvtf, s[0], s[1], t[1], sxtlS, sxtl2S)
	for i := range 2 {
		f.lane(fmulLane, s[i], s[i], t[3], 0)
	}
}

// constants loads a format's constants, and sub or flip where they are not 0.
func (f *fn) constants(m *format, last byte) (c []vec, extra vec) {
	c = f.vecs(len(m.consts))
	for i, set := range m.consts {
		set(f, c[i])
	}
	if last != 0 {
		extra = f.vec()
		f.bytes(extra, last)
	}
	return c, extra
}

// unpacks writes leaf.unpack for every format.
func unpacks() {
	for _, m := range formats {
		f := function("neonUnpack"+m.name, "n int, w *byte, q *byte, scale *float32, off *float32", "decodes n blocks of the file: see format.unpack.")
		n, w, q, scale, off := f.load("n"), f.load("w"), f.load("q"), f.load("scale"), f.load("off")
		c, flip := f.constants(m, m.flip)
		s, t, v := f.vecs(8), f.vecs(4), f.vecs(2)
		var bytes []vec // the scales' integers, where values are multiplied by them
		if m.factor > 0 {
			bytes = f.vecs(2)
		}
		block := func(b int) {
			m.block(f, w, b, v, t, c)
			for i := range 2 {
				if m.factor > 0 {
					f.dupB(bytes[1], bytes[0], 2*b+i)
					f.three(mulB, v[i], v[i], bytes[1])
				}
				if m.flip != 0 {
					f.three(eor, v[i], v[i], flip)
				}
				f.str(v[i], q, 32*b+16*i)
			}
		}
		f.loop(n, func() {
			if !m.group {
				if m.offs {
					f.op("FMOVS (%v), F%d", w, s[0])
					f.two(fcvtl, s[0], s[0])
					f.get(s[1], s[0], 1)
					f.op("FMOVS F%d, (%v)", s[1], off)
					f.op("ADD $4, %v, %v", off, off)
				} else {
					f.ldrH(s[0], w, 0)
					f.two(fcvtl, s[0], s[0])
				}
				f.op("FMOVS F%d, (%v)", s[0], scale)
				f.op("ADD $4, %v, %v", scale, scale)
				block(0)
				f.op("ADD $%d, %v, %v", m.size, w, w)
				f.op("ADD $32, %v, %v", q, q)
				return
			}
			m.scales(f, w, s, t)
			per := 2
			if m.halves {
				per = 4
			}
			if m.factor > 0 {
				f.ldr(bytes[0], w, 0)
				f.bytes(bytes[1], 15)
				f.three(and, bytes[0], bytes[0], bytes[1])
				f.halfFloat(t[0], w, m.factor)
				f.str(t[0], scale, 0)
				f.str(t[0], scale, 16)
				f.op("ADD $32, %v, %v", scale, scale)
			} else {
				for i := range per {
					f.str(s[i], scale, 16*i)
				}
				f.op("ADD $%d, %v, %v", 16*per, scale, scale)
			}
			if m.offs {
				for i := range per {
					f.str(s[4+i], off, 16*i)
				}
				f.op("ADD $%d, %v, %v", 16*per, off, off)
			}
			for b := range 8 {
				block(b)
			}
			f.op("ADD $%d, %v, %v", m.size, w, w)
			f.op("ADD $256, %v, %v", q, q)
		})
	}
}
