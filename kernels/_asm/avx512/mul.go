package avx512

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const (
	tile      = 16
	mulTokens = 4 // of a pass: 8 sums of integers and 8 of floats stay in registers, and what is loaded is used for 8 products
	mulChunk  = 8 // blocks of a pass: 11 KB of the panels. A Zen 5 makes 424 GMAC/s with 8, 414 with 12, 395 with 16
	mulScale  = 4 // groups of a block before its scales are multiplied: at the end, with what else waits for the sums, IQ4_XS made 376 GMAC/s of 391
)

// mul emits the microkernel of 2 panels and any number of tiles for formats of so many scales and offsets per 32 values.
// winograd is of panels that leaf.winograd made factors of.
func mul(name string, scales, offs int, bias, winograd bool) {
	TEXT(name, NOSPLIT, "func(nb int, q *byte, scale, off *float32, apart, tiles int, a *int8, as, sum *float32, init, cross *int32, part, c *float32, ldc, apartC int, row *byte, ahead int)")
	Doc(name + " multiplies two panels by tiles: see mulArgs.")
	Pragma("noescape")
	m := &mulBlock{scales: scales, offs: offs, bias: bias, winograd: winograd}
	m.q, m.scale, m.apart, m.a, m.as = ptr("q"), ptr("scale"), arg("apart"), ptr("a"), ptr("as")
	weights, tokens := []stream{{m.q, 512}, {m.scale, 64 * scales}}, []Mem{m.as}
	if offs > 0 {
		m.off, m.sum = ptr("off"), ptr("sum")
		weights, tokens = append(weights, stream{m.off, 64 * offs}), append(tokens, m.sum)
	}
	if bias || winograd {
		m.init = ptr("init")
		tokens = append(tokens, m.init)
	}
	if winograd {
		m.cross = ptr("cross")
		weights = append(weights, stream{m.cross, 64 * scales})
	}
	acc := make([][2]VecVirtual, mulTokens)
	t := &twin{blocks: "nb", segments: 8, chunk: mulChunk, lines: 1, weights: weights, a: stream{m.a, 512}, tokens: tokens, acc: acc}
	t.emit = func(i GPVirtual) { m.emit(i, acc) }
	t.run()
}

// mulBlock is a block of mul: 2 panels by mulTokens tokens.
type mulBlock struct {
	scales, offs      int
	bias, winograd    bool
	apart             GPVirtual // from a panel to the other
	q                 Mem       // the panel's
	scale, off, cross Mem
	i                 GPVirtual // of the block in tiles: 64 for each
	a, as, sum, init  Mem
}

func (m *mulBlock) both(at Mem) [2]VecVirtual { return both(at, m.apart) }

// token loads what tiles have for token t, in every lane: of n vectors for a block, vector v.
func (m *mulBlock) token(of Mem, n, v, t int) VecVirtual {
	of = of.Offset(4 * (tile*v + t))
	of.Index, of.Scale = m.i, uint8(n)
	z := ZMM()
	VPBROADCASTD(of, z)
	return z
}

func (m *mulBlock) emit(i GPVirtual, acc [][2]VecVirtual) {
	m.i = i
	order := [][]int{{0, 1, 2, 3, 4, 5, 6, 7}}
	switch {
	case m.winograd && m.scales == 1:
		order = [][]int{winogradOrder}
	case m.winograd:
		order = [][]int{{0, 2}, {6, 4, 7}}
	case m.scales == 2:
		order = [][]int{{0, 1, 2, 3}, {4, 5, 6, 7}}
	}
	s := make([][mulTokens][2]VecVirtual, m.scales)
	var w [mulTokens][2]VecVirtual
	for h := range s {
		m.begin(h, &s[h])
		for i, g := range order[h] {
			if m.scales == 1 && !m.winograd && i == mulScale {
				m.times(&w)
			}
			m.group(g, &s[h])
		}
	}
	for t := range acc {
		for p := range acc[t] {
			for h := range s {
				VCVTDQ2PS(s[h][t][p], s[h][t][p])
			}
		}
	}
	if m.scales == 1 {
		if m.winograd {
			m.times(&w)
		}
		for t := range acc {
			for p := range acc[t] {
				VFMADD231PS(w[t][p], s[0][t][p], acc[t][p])
			}
		}
	} else {
		w0, w1 := m.both(m.scale), m.both(m.scale.Offset(64))
		for t := range acc {
			scale := m.token(m.as, 1, 0, t)
			for p := range acc[t] {
				joinHalves(s[0][t][p], s[1][t][p], w0[p], w1[p], acc[t][p], func(sum, acc VecVirtual) { VFMADD231PS(scale, sum, acc) })
			}
		}
	}
	for h := range m.offs {
		w := m.both(m.off.Offset(64 * h))
		for t := range acc {
			sum := m.token(m.sum, m.offs, h, t)
			for p := range acc[t] {
				VFMADD231PS(sum, w[p], acc[t][p])
			}
		}
	}
}

// times multiplies the panels' scales by the tokens'.
func (m *mulBlock) times(w *[mulTokens][2]VecVirtual) {
	ws := m.both(m.scale)
	for t := range w {
		scale := m.token(m.as, 1, 0, t)
		for p := range ws {
			w[t][p] = ZMM()
			VMULPS(scale, ws[p], w[t][p])
		}
	}
}

// begin has what the integer sums of scale h begin with.
func (m *mulBlock) begin(h int, s *[mulTokens][2]VecVirtual) {
	var cross [2]VecVirtual
	if m.winograd {
		cross = m.both(m.cross.Offset(64 * h))
	}
	for t := range s {
		var init VecVirtual
		if m.winograd || m.bias {
			init = m.token(m.init, m.scales, h, t)
		}
		for p := range s[t] {
			switch {
			case m.winograd:
				s[t][p] = ZMM()
				VPADDD(cross[p], init, s[t][p])
			case m.bias && p == 0:
				s[t][p] = ZMM()
				VMOVDQA32(init, s[t][p])
			case m.bias:
				s[t][p] = init
			default:
				s[t][p] = zero()
			}
		}
	}
}

// group adds group g's products of 4 values, or those of its pair.
func (m *mulBlock) group(g int, s *[mulTokens][2]VecVirtual) {
	w := m.both(m.q.Offset(64 * g))
	if !m.winograd || g >= winogradGroups {
		for t := range s {
			a := m.token(m.a, 8, g, t)
			for p := range s[t] {
				VPDPBUSD(a, w[p], s[t][p])
			}
		}
		return
	}
	w1 := m.both(m.q.Offset(64 * (g + 1)))
	for t := range s {
		a0, a1 := m.token(m.a, 8, g, t), m.token(m.a, 8, g+1, t)
		for p := range s[t] {
			u, v := ZMM(), ZMM()
			VPADDB(w[p], a1, u)
			VPADDB(w1[p], a0, v)
			VPDPBUSD(v, u, s[t][p])
		}
	}
}

// joinWhole adds a block's sum, a float, to acc: times its scale, and the token's.
func joinWhole(sum VecVirtual, w Op, token Mem, acc VecVirtual) {
	p := ZMM()
	VMULPS_BCST(token, w, p)
	VFMADD231PS(p, sum, acc)
}

// addHalves adds the sums of a block's halves to acc: each times its scale, and both times the token's. It overwrites the sums.
func addHalves(first, last VecVirtual, w0, w1 Op, acc VecVirtual, times func(m, acc VecVirtual)) {
	VCVTDQ2PS(first, first)
	VCVTDQ2PS(last, last)
	joinHalves(first, last, w0, w1, acc, times)
}

// joinHalves is addHalves for sums that are floats.
func joinHalves(first, last VecVirtual, w0, w1 Op, acc VecVirtual, times func(m, acc VecVirtual)) {
	VMULPS(w0, first, first)
	VFMADD231PS(w1, last, first)
	times(first, acc)
}

func advance(m Mem, bytes int) { ADDQ(I32(bytes), m.Base) }

const (
	floatTokens = 8   // of a pass: 16 sums, for which 10 values are loaded. With one panel and 16 tokens it was 17
	floatChunk  = 128 // values of a row in a pass: 16 KB of the panels
	floatLines  = 4   // that a pass prefetches
)

// mulFloat emits the float microkernel of 2 panels and any number of tiles.
func mulFloat(pairs bool) {
	name := "avx512MulFloat"
	if pairs {
		name = "avx512MulPairs"
	}
	TEXT(name, NOSPLIT, "func(k int, w *float32, apart, tiles int, a, part, c *float32, ldc, apartC int, row *byte, ahead int)")
	Doc(name + " multiplies two float panels by tiles: see mulFloatArgs.")
	Pragma("noescape")
	w, apart, a := ptr("w"), arg("apart"), ptr("a")
	acc := make([][2]VecVirtual, floatTokens)
	t := &twin{blocks: "k", segments: 16, chunk: floatChunk, lines: floatLines, weights: []stream{{w, 64}}, a: stream{a, 64}, acc: acc}
	t.emit = func(i GPVirtual) {
		ws := both(w, apart)
		for t := range acc {
			x := ZMM()
			VBROADCASTSS(a.Offset(4*t).Idx(i, 1), x)
			for p, sum := range acc[t] {
				if pairs {
					vdpbf16ps(x, ws[p], sum)
				} else {
					VFMADD231PS(x, ws[p], sum)
				}
			}
		}
	}
	t.run()
}

// interleave emits the gathering of 16 rows into a panel: for each block a transposition of 16 rows x 8 dwords.
func interleave() {
	TEXT("avx512Interleave", NOSPLIT, "func(nb int, rows *byte, stride int, q *byte)")
	Doc("avx512Interleave gathers 16 rows into a panel: see leaf.interleave.")
	Pragma("noescape")
	left, rows, stride, q := arg("nb"), ptr("rows"), arg("stride"), ptr("q")
	end, n, in := GP64(), GP64(), sixteenRows(stride)
	LEAQ(Mem{Base: left, Disp: -1}, end)
	ADDQ(U8(7), left)
	Label("segment")
	in.begin(rows)
	MOVQ(left, n)
	SHRQ(U8(3), n)
	Label("block")
	// Lanes of x[r]: row r's dwords 0-3, its dwords 4-7, and the same of row r+4.
	gather := func(first int) []VecVirtual {
		x := make([]VecVirtual, 4)
		for i := range x {
			x[i] = ZMM()
			VMOVDQU32(in.at(first+i), x[i].AsY())
			VINSERTI64X4(U8(1), in.at(first+i+4), x[i], x[i])
		}
		return transpose4(x)
	}
	lo, hi := gather(0), gather(8)
	for d := range 4 {
		even, odd := ZMM(), ZMM()
		VSHUFI32X4(U8(0x88), hi[d], lo[d], even)
		VSHUFI32X4(U8(0xdd), hi[d], lo[d], odd)
		VMOVDQU32(even, q.Offset(64*d))
		VMOVDQU32(odd, q.Offset(64*(d+4)))
	}
	in.advance(256)
	advance(q, 512)
	DECQ(n)
	JNZ(LabelRef("block"))
	ADDQ(U8(32), rows.Base)
	DECQ(left)
	CMPQ(left, end)
	JEQ(LabelRef("done"))
	CMPQ(left, U8(8))
	JGE(LabelRef("segment"))
	Label("done")
	VZEROUPPER()
	RET()
}
