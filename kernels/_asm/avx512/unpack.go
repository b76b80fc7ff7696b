package avx512

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// unpacker emits a loop over one block type, of so many bytes and values; body turns one block into integers, scales and offsets.
func unpacker(name string, size, len, scales, offs int, setup func(), body func(w, q, scale, off Mem)) {
	name = "avx512Unpack" + name
	TEXT(name, NOSPLIT, "func(nb int, w, q *byte, scale, off *float32)")
	Doc(name + " turns a row's blocks into integers, scales and offsets: see format.unpack.")
	Pragma("noescape")
	n, w, q, scale, off := arg("nb"), ptr("w"), ptr("q"), ptr("scale"), Mem{}
	if offs > 0 {
		off = ptr("off")
	}
	if len == 256 {
		SHRQ(U8(3), n)
	}
	setup()
	Label("block")
	body(w, q, scale, off)
	advance(w, size)
	advance(q, len)
	advance(scale, 4*scales*len/32)
	if offs > 0 {
		advance(off, 4*offs*len/32)
	}
	DECQ(n)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// storeHalf stores a float16 as a float32.
func storeHalf(from, to Mem) {
	x := XMM()
	VPBROADCASTW(from, x)
	VCVTPH2PS(x, x)
	VMOVSS(x, to)
}

// spread loads 32 bytes to both halves of a register.
func spread(m Mem) VecVirtual {
	x := ZMM()
	VBROADCASTI64X4(m, x)
	return x
}

// upperHalf says whether position i is in the second 256 bits.
func upperHalf(i int) bool { return i >= 8 }

func unpacks() {
	for _, f := range []struct {
		name            string
		size            int
		min, fifth, iq4 bool
	}{
		{"Q4_0", 18, false, false, false},
		{"Q4_1", 20, true, false, false},
		{"Q5_0", 22, false, true, false},
		{"Q5_1", 24, true, true, false},
		{"IQ4_NL", 18, false, false, true},
	} {
		var n nibbles
		var bit, levels VecVirtual
		offs := 0
		if f.min {
			offs = 1
		}
		unpacker(f.name, f.size, 32, 1, offs, func() {
			n = newNibbles("half", secondHalf)
			if f.fifth {
				bit = splat(0x10101010)
			}
			if f.iq4 {
				levels = iq4Levels()
			}
		}, func(w, q, scale, off Mem) {
			x := YMM()
			VBROADCASTI32X4(w.Offset(f.size-16), x)
			VPSRLVD(n.shift.AsY(), x, x)
			VPANDD(n.mask.AsY(), x, x)
			if f.fifth {
				k := K()
				KMOVD(w.Offset(f.size-20), k)
				VPADDB(bit.AsY(), x, k, x)
			}
			if f.iq4 {
				VPSHUFB(x, levels.AsY(), x)
			}
			VMOVDQU32(x, q)
			storeHalf(w, scale)
			if f.min {
				storeHalf(w.Offset(2), off)
			}
		})
	}

	var sign VecVirtual
	unpacker("Q8_0", 34, 32, 1, 0, func() { sign = splat(0x80808080) }, func(w, q, scale, off Mem) {
		x := YMM()
		VPXORD(w.Offset(2), sign.AsY(), x)
		VMOVDQU32(x, q)
		storeHalf(w, scale)
	})

	var turn, bits VecVirtual

	// Two planes of two bits at a time.
	planes := func(i int) VecVirtual {
		name := []string{"low", "high"}[i]
		return load(vector("planes_"+name, 16, func(j int) uint32 { return uint32(4*i + j/8*2) }))
	}
	var shift [2]VecVirtual
	var two, four VecVirtual
	var order [4]VecVirtual
	unpacker("Q2_K", 84, 256, 1, 2, func() {
		shift = [2]VecVirtual{planes(0), planes(1)}
		two, four, sign = splat(0x03030303), splat(0x0f0f0f0f), splat(1<<31)
		for c := range order { // in each 16 bytes words of a scale
			order[c] = load(vector(fmt.Sprintf("q2_k_scales_%d", c), 16, func(i int) uint32 { return uint32(4*c+i/4)*0x10001 | 0x80008000 }))
		}
	}, func(w, q, scale, off Mem) {
		b := ZMM()
		VBROADCASTI32X4(w, b)
		VPANDD(four, b, b)
		for c := range 4 {
			x, s := spread(w.Offset(16+c/2*32)), ZMM()
			VPSRLVD(shift[c%2], x, x)
			VPANDD(two, x, x)
			VPSHUFB(order[c], b, s)
			VPMULLW(s, x, x) // two bytes at once: a product is at most 45
			VMOVDQU32(x, q.Offset(64*c))
		}
		m := ZMM()
		VPMOVZXBD(w, m)
		VPSRLD(U8(4), m, m)
		VCVTDQ2PS(m, m)
		VMULPS(half(w.Offset(82)), m, m)
		VPXORD(sign, m, m)
		VMOVUPS(half(w.Offset(80)).AsY(), scale)
		VMOVUPS(m, off)
	})
	var sc q3Scales
	unpacker("Q3_K", 110, 256, 2, 0, func() {
		shift = [2]VecVirtual{planes(0), planes(1)}
		two = splat(0x03030303)
		turn, bits = turns("q3_k", 2, 1), splat(0x04040404)
		sc = newQ3Scales("q3_k", func(i int) int { return i })
	}, func(w, q, scale, off Mem) {
		h := spread(w)
		VPRORVD(turn, h, h)
		for c := range 4 {
			x := spread(w.Offset(32 + c/2*32))
			VPSRLVD(shift[c%2], x, x)
			VPANDD(two, x, x)
			VPTERNLOGD(U8(0xf8), bits, h, x)
			if c < 3 {
				VPRORD(U8(2), h, h)
			}
			VMOVDQU32(x, q.Offset(64*c))
		}
		VMOVUPS(sc.decode(w), scale)
	})
}

// turns rotates bit b to bit `to` in the lower half, and bit b+step in the upper: the first of blocks' bit planes.
func turns(name string, to, step int) VecVirtual {
	return load(vector(name+"_turns", 16, func(i int) uint32 { return uint32(i/8*step-to) & 31 }))
}
