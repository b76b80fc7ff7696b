package main

// fifthConsts are those of a format whose nibbles have fifth bits: see fn.fifth.
var fifthConsts = []func(*fn, vec){
	constant(15), constant(16),
	dwords(0x8040201008040201, 0x8040201008040201),                                // a bit for each of 8 values
	dwords(0, 0x0101010101010101), dwords(0x0202020202020202, 0x0303030303030303), // the bytes that have them
}

// dwords sets both 64-bit lanes.
func dwords(low, high uint64) func(f *fn, v vec) {
	return func(f *fn, v vec) {
		f.block(func() {
			x := f.gpr()
			f.dword(v, 0, low, x)
			f.dword(v, 1, high, x)
		})
	}
}

// fifth adds the bits of the 4 bytes at off to 32 values.
func (f *fn) fifth(base gpr, off int, w, t, c []vec) {
	f.op("FMOVS %d(%v), F%d", off, base, t[0])
	for i := range 2 {
		f.lookup(t[1], t[0], c[3+i])
		f.three(cmtst, t[1], t[1], c[2])
		f.three(and, t[1], t[1], c[1])
		f.three(orr, w[i], w[i], t[1])
	}
}

// twoBits takes two bits of 32 bytes for a block: those of the first 4 blocks are in the first 32.
func twoBits(f *fn, base gpr, off, b int, w []vec, low vec) {
	for i := range 2 {
		f.ldr(w[i], base, off+b/4*32+16*i)
		f.shiftTo(w[i], b%4*2, 0)
		f.three(and, w[i], w[i], low)
	}
}

// block2K is of 16 bytes of scales and minima, 64 of two bits, d, dmin.
func block2K(f *fn, base gpr, b int, w, t, c []vec) { twoBits(f, base, 16, b, w, c[0]) }

// block3K is of 32 bytes of third bits, bit b of byte i of value i of block b, 64 of two bits, 12 of scales, d.
func block3K(f *fn, base gpr, b int, w, t, c []vec) {
	twoBits(f, base, 32, b, w, c[0])
	for i := range 2 {
		f.ldr(t[0], base, 16*i)
		f.shiftTo(t[0], b, 2)
		f.three(and, t[0], t[0], c[1])
		f.three(orr, w[i], w[i], t[0])
	}
}

// scales2K splits 16 bytes into scales, which are the low nibbles, and minima. Scales stay integers: a sum of 16 times one is exact as a float, and so are two of these, which are what
// unpackQ2_K multiplies into the values.
func scales2K(f *fn, base gpr, s, t []vec) {
	f.ldr(t[0], base, 0)
	f.bytes(t[3], 15)
	f.three(and, t[1], t[0], t[3])
	f.ushr(8, t[2], t[0], 4)
	for i, n := range t[1:3] {
		f.two(uxtlH, t[3], n)
		f.two(uxtl2H, n, n)
		f.widen(ucvtf, s[4*i], s[4*i+1], t[3], uxtlS, uxtl2S)
		f.widen(ucvtf, s[4*i+2], s[4*i+3], n, uxtlS, uxtl2S)
	}
	f.halfFloat(t[3], base, 82)
	f.two(fneg, t[1], t[3])
	for i := range 4 {
		f.three(fmul, s[4+i], s[4+i], t[1])
	}
}

// scales3K joins the low nibbles of 8 bytes, and their high ones, with four planes of two bits of the 4 bytes behind.
func scales3K(f *fn, base gpr, s, t []vec) {
	f.op("FMOVD 96(%v), F%d", base, t[0])
	f.bytes(t[3], 15)
	f.three(and, t[1], t[0], t[3])
	f.ushr(8, t[2], t[0], 4)
	f.three(zip1D, t[1], t[1], t[2])
	dwords(0xfffefffe00000000, 0xfffafffafffcfffc)(f, t[2]) // 0, −2, −4, −6
	f.op("FMOVS 104(%v), F%d", base, t[0])
	f.dup(t[0], t[0], 0)
	f.three(ushl8H, t[0], t[0], t[2])
	f.bytes(t[3], 3)
	f.three(and, t[0], t[0], t[3])
	f.shl(8, t[0], t[0], 4)
	f.three(orr, t[1], t[1], t[0])
	f.bytes(t[3], 32)
	f.three(subB, t[1], t[1], t[3])
	f.ldrH(t[3], base, 108)
	f.signedScales(s, t)
}

// signedScales widens 16 bytes in t[1] and multiplies them by the float16 in t[3].
func (f *fn) signedScales(s, t []vec) {
	f.two(fcvtl, t[3], t[3])
	f.two(sxtl2H, t[2], t[1])
	f.two(sxtlH, t[1], t[1])
	f.widen(scvtf, s[0], s[1], t[1], sxtlS, sxtl2S)
	f.widen(scvtf, s[2], s[3], t[2], sxtlS, sxtl2S)
	for i := range 4 {
		f.lane(fmulLane, s[i], s[i], t[3], 0)
	}
}
