package avx512

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// strided addresses rows: four through each pointer, by the stride's multiples.
type strided struct {
	base            []GPVirtual
	stride, stride3 GPVirtual
}

// sixteenRows are those of 16 rows, stride bytes apart, once begin has set them.
func sixteenRows(stride GPVirtual) strided {
	s := strided{stride: stride, stride3: GP64()}
	for range 4 {
		s.base = append(s.base, GP64())
	}
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, s.stride3)
	return s
}

// begin goes to the first bytes of the rows.
func (s strided) begin(first Mem) {
	MOVQ(first.Base, s.base[0])
	for i := range s.base[1:] {
		LEAQ(Mem{Base: s.base[i], Index: s.stride, Scale: 4}, s.base[i+1])
	}
}

func (s strided) at(r int) Mem {
	m := Mem{Base: s.base[r/4]}
	switch r % 4 {
	case 1:
		m.Index, m.Scale = s.stride, 1
	case 2:
		m.Index, m.Scale = s.stride, 2
	case 3:
		m.Index, m.Scale = s.stride3, 1
	}
	return m
}

func (s strided) advance(bytes int) {
	for _, b := range s.base {
		ADDQ(I32(bytes), b)
	}
}

// lanes emits the gathering of 16 rows into a float panel: for each 64 bytes of a row a transposition of 16 rows x 16 dwords, in registers. A dword is a value, or two of 16 bits.
// Whole lines are read, since those of rows and those of the panel mostly lie 4096 bytes apart or a multiple, for which the first cache has 12 places.
func lanes() {
	for _, f := range []struct {
		name   string
		values []func(VecVirtual) VecVirtual // of a dword
	}{
		{"", []func(VecVirtual) VecVirtual{func(x VecVirtual) VecVirtual { return x }}},
		{"F16", []func(VecVirtual) VecVirtual{lowHalf, highHalf}},
		{"BF16", []func(VecVirtual) VecVirtual{lowBF16, highBF16}},
	} {
		TEXT("avx512Lanes"+f.name, NOSPLIT, "func(k int, rows *byte, stride int, w *float32)")
		Doc("avx512Lanes" + f.name + " gathers 16 rows into a float panel: see leaf.lanes.")
		Pragma("noescape")
		each := len(f.values)
		rows, w, n, step := ptr("rows"), ptr("w"), arg("k"), GP64()
		in := sixteenRows(arg("stride"))
		in.begin(rows)
		MOVQ(n, step)
		SHLQ(U8(2), step)
		SHRQ(U8(3+each), n)
		Label("columns")
		var x [4][]VecVirtual // [group of 4 rows][d]: dwords d, 4+d, 8+d and 12+d, a lane each
		for g := range x {
			for r := range 4 {
				x[g] = append(x[g], load(in.at(4*g+r)))
			}
			x[g] = transpose4(x[g])
		}
		out := Mem{Base: GP64()}
		MOVQ(w.Base, out.Base)
		var y [16]VecVirtual
		for d := range 4 {
			for i, v := range lanes4(x[0][d], x[1][d], x[2][d], x[3][d]) {
				y[4*i+d] = v
			}
		}
		for i := range y {
			for line := range each {
				v := i + 16*line
				VMOVDQU32(f.values[v%each](y[v/each]), out.Offset(64*line))
			}
			if i < len(y)-1 {
				ADDQ(step, out.Base)
			}
		}
		in.advance(64)
		advance(w, 64*each)
		DECQ(n)
		JNZ(LabelRef("columns"))
		VZEROUPPER()
		RET()
	}
}

// lowBF16 and highBF16 give the bfloat16 in a half of each dword.
func lowBF16(x VecVirtual) VecVirtual {
	z := ZMM()
	VPSLLD(U8(16), x, z)
	return z
}

func highBF16(x VecVirtual) VecVirtual {
	z := ZMM()
	VPANDD_BCST(splatMem(0xffff0000), x, z)
	return z
}

// lanes4 transposes 4 registers of four 128-bit lanes. It overwrites them.
func lanes4(a, b, c, d VecVirtual) [4]VecVirtual {
	t, u := ZMM(), ZMM()
	VSHUFI32X4(U8(0x88), b, a, t) // a0 a2 b0 b2
	VSHUFI32X4(U8(0xdd), b, a, a) // a1 a3 b1 b3
	VSHUFI32X4(U8(0x88), d, c, u) // c0 c2 d0 d2
	VSHUFI32X4(U8(0xdd), d, c, c) // c1 c3 d1 d3
	VSHUFI32X4(U8(0x88), u, t, b) // a0 b0 c0 d0
	VSHUFI32X4(U8(0xdd), u, t, t) // a2 b2 c2 d2
	VSHUFI32X4(U8(0x88), c, a, d) // a1 b1 c1 d1
	VSHUFI32X4(U8(0xdd), c, a, a) // a3 b3 c3 d3
	return [4]VecVirtual{b, d, t, a}
}
