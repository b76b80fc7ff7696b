package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// unpacks emits the decoding of the commonest formats into bytes with scales and offsets, as unpack.go defines it.
func unpacks() {
	unpack := func(name string, size, values, scales, offs int, body func(w, q, scale, off Mem)) {
		TEXT("avx2Unpack"+name, NOSPLIT, "func(blocks int, w, q *byte, scale, off *float32)")
		Doc("avx2Unpack" + name + " decodes blocks of the file.")
		Pragma("noescape")
		n := Load(Param("blocks"), GP64())
		w, q, scale := Mem{Base: Load(Param("w"), GP64())}, Mem{Base: Load(Param("q"), GP64())}, Mem{Base: Load(Param("scale"), GP64())}
		var off Mem
		if offs > 0 {
			off = Mem{Base: Load(Param("off"), GP64())}
		}
		Label("loop")
		body(w, q, scale, off)
		ADDQ(I32(size), w.Base)
		ADDQ(I32(values), q.Base)
		ADDQ(U8(4*scales), scale.Base)
		if offs > 0 {
			ADDQ(U8(4*offs), off.Base)
		}
		DECQ(n)
		JNZ(LabelRef("loop"))
		VZEROUPPER()
		RET()
	}
	// half converts the float16 in the low half of a dword; the dword is inside the block.
	half := func(m Mem, scale Mem) {
		x := XMM()
		VMOVD(m, x)
		VCVTPH2PS(x, x)
		VMOVSS(x, scale)
	}
	// halves does so with both halves.
	halves := func(m Mem, scale, off Mem) {
		x := XMM()
		VMOVD(m, x)
		VCVTPH2PS(x, x)
		VMOVSS(x, scale)
		VEXTRACTPS(Imm(1), x, off)
	}
	// both16 is 32 nibbles of 16 bytes: the low ones, then the high ones.
	both16 := func(m Mem) ymm {
		v := YMM()
		VBROADCASTI128(m, v)
		VPSRLVD(avx2Consts.shiftHigh, v, v)
		VPAND(avx2Consts.nibble, v, v)
		return v
	}
	unpack("Q4_0", 18, 32, 1, 0, func(w, q, scale, _ Mem) {
		half(w, scale)
		VMOVDQU(both16(w.Offset(2)), q)
	})
	unpack("Q4_1", 20, 32, 1, 1, func(w, q, scale, off Mem) {
		halves(w, scale, off)
		VMOVDQU(both16(w.Offset(4)), q)
	})
	fifth := func(bits Mem, v ymm) {
		x, tests := YMM(), YMM()
		VMOVDQU(avx2Consts.bitOf, tests)
		VPBROADCASTD(bits, x)
		VPSHUFB(avx2Consts.eighths, x, x)
		VPAND(tests, x, x)
		VPCMPEQB(tests, x, x)
		VPAND(avx2Consts.bit4, x, x)
		VPOR(x, v, v)
	}
	unpack("Q5_0", 22, 32, 1, 0, func(w, q, scale, _ Mem) {
		half(w, scale)
		v := both16(w.Offset(6))
		fifth(w.Offset(2), v)
		VMOVDQU(v, q)
	})
	unpack("Q5_1", 24, 32, 1, 1, func(w, q, scale, off Mem) {
		halves(w, scale, off)
		v := both16(w.Offset(8))
		fifth(w.Offset(4), v)
		VMOVDQU(v, q)
	})
	unpack("Q8_0", 34, 32, 1, 0, func(w, q, scale, _ Mem) {
		half(w, scale)
		v := YMM()
		VMOVDQU(w.Offset(2), v)
		VPXOR(avx2Consts.flip, v, v)
		VMOVDQU(v, q)
	})
	unpack("Q4_K", 144, 256, 8, 8, func(w, q, scale, off Mem) {
		minsTo(w, scale, off)
		for c := range 4 {
			lo, hi := split(w.Offset(16 + 32*c))
			VMOVDQU(lo, q.Offset(64*c))
			VMOVDQU(hi, q.Offset(64*c+32))
		}
	})
	unpack("Q5_K", 176, 256, 8, 8, func(w, q, scale, off Mem) {
		minsTo(w, scale, off)
		qh := YMM()
		VMOVDQU(w.Offset(16), qh)
		for c := range 4 {
			lo, hi := split(w.Offset(48 + 32*c))
			for i, v := range []ymm{lo, hi} {
				bit := YMM()
				if g := 2*c + i; g < 4 {
					VPSLLD(Imm(uint64(4-g)), qh, bit)
				} else {
					VPSRLD(Imm(uint64(g-4)), qh, bit)
				}
				VPAND(avx2Consts.bit4, bit, bit)
				VPOR(bit, v, v)
				VMOVDQU(v, q.Offset(64*c+32*i))
			}
		}
	})
	unpack("Q6_K", 210, 256, 16, 0, func(w, q, scale, _ Mem) {
		sc := XMM()
		VMOVDQU(w.Offset(192), sc)
		for i, s := range scaled(sc, VPMOVSXBD, w.Offset(208)) {
			VMOVUPS(s, scale.Offset(32*i))
		}
		for h := range 2 {
			qh := YMM()
			VMOVDQU(w.Offset(128+32*h), qh)
			for p := range 2 {
				lo, hi := split(w.Offset(64*h + 32*p))
				for i, v := range []ymm{lo, hi} {
					bits := YMM()
					if plane := p + 2*i; plane < 2 {
						VPSLLD(Imm(uint64(4-2*plane)), qh, bits)
					} else {
						VPSRLD(Imm(uint64(2*plane-4)), qh, bits)
					}
					VPAND(avx2Consts.bits45, bits, bits)
					VPOR(bits, v, v)
					VMOVDQU(v, q.Offset(128*h+32*p+64*i))
				}
			}
		}
	})
	unpack("Q2_K", 84, 256, 8, 16, func(w, q, scale, off Mem) {
		s, m := scaleMins2(w)
		VMOVUPS(float16(w.Offset(80)), scale)
		for i, m := range scaled(m, VPMOVZXBD, w.Offset(82)) {
			VXORPS(avx2Consts.sign, m, m)
			VMOVUPS(m, off.Offset(32*i))
		}
		s2 := YMM()
		VPERMQ(Imm(0x44), s.AsY(), s2)
		for g := range 8 {
			v, words := twoBits(w.Offset(16), g), YMM()
			VPSHUFB(avx2Consts.words16[g], s2, words)
			VPMULLW(words, v, v) // two bytes at once: a product is at most 45
			VMOVDQU(v, q.Offset(32*g))
		}
	})
	unpack("Q3_K", 110, 256, 16, 0, func(w, q, scale, _ Mem) {
		for i, s := range scaled(scales3(w), VPMOVSXBD, w.Offset(108)) {
			VMOVUPS(s, scale.Offset(32*i))
		}
		third := YMM()
		VMOVDQU(w, third)
		for g := range 8 {
			v, bit := twoBits(w.Offset(32), g), YMM()
			if g < 2 {
				VPSLLD(Imm(uint64(2-g)), third, bit)
			} else {
				VPSRLD(Imm(uint64(g-2)), third, bit)
			}
			VPAND(avx2Consts.bit2, bit, bit)
			VPOR(bit, v, v)
			VMOVDQU(v, q.Offset(32*g))
		}
	})
	iq4 := func(m Mem) ymm {
		v, table := both16(m), YMM()
		VMOVDQU(avx2Consts.iq4, table)
		VPXOR(avx2Consts.flip, table, table)
		VPSHUFB(v, table, v)
		return v
	}
	unpack("IQ4_NL", 18, 32, 1, 0, func(w, q, scale, _ Mem) {
		half(w, scale)
		VMOVDQU(iq4(w.Offset(2)), q)
	})
	unpack("IQ4_XS", 136, 256, 8, 0, func(w, q, scale, _ Mem) {
		VMOVUPS(scalesIQ4_XS(w), scale)
		for g := range 8 {
			VMOVDQU(iq4(w.Offset(8+16*g)), q.Offset(32*g))
		}
	})
}

// split loads 32 bytes as their low and high nibbles.
func split(m Mem) (lo, hi ymm) {
	lo, hi = YMM(), YMM()
	VMOVDQU(m, hi)
	VPAND(avx2Consts.nibble, hi, lo)
	VPSRLD(Imm(4), hi, hi)
	VPAND(avx2Consts.nibble, hi, hi)
	return lo, hi
}

// twoBits is block g of 8, of two bits each in the 64 bytes at m.
func twoBits(m Mem, g int) ymm {
	v := YMM()
	VMOVDQU(m.Offset(g/4*32), v)
	VPSRLW(Imm(uint64(g%4*2)), v, v)
	VPAND(avx2Consts.bits01, v, v)
	return v
}

// minsTo stores the scales of a block of Q4_K or Q5_K, and its mins with their sign changed.
func minsTo(w, scale, off Mem) {
	s, m := scaleMins(w)
	VMOVUPS(s, scale)
	VXORPS(avx2Consts.sign, m, m)
	VMOVUPS(m, off)
}
