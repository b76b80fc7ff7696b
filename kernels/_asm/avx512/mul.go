package avx512

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const (
	tile      = 16
	tileFloat = 16
	floatNear = 16 << 10 // bytes that a float tile prefetches
	mulTokens = 4        // of a pass over the blocks of two panels: 8 sums of integers and 8 of floats stay in registers, and what is loaded is used for 8 products
	mulChunk  = 8        // blocks of a pass: 11 KB of the panels, which stay in the first cache for all tiles. A Zen 5 makes 424 GMAC/s with 8, 414 with 12, 395 with 16
)

// mul emits the microkernel of 2 panels and any number of tiles for formats of so many scales and offsets per 32 values: a pass takes 4 tokens through a chunk of blocks.
// winograd is of panels that leaf.winograd made factors of.
func mul(name string, scales, offs int, bias, winograd bool) {
	TEXT(name, NOSPLIT, "func(nb int, q *byte, scale, off *float32, apart, tiles int, a *int8, as, sum *float32, init, cross *int32, part, c *float32, ldc, apartC int, row *byte, ahead int)")
	Doc(name + " multiplies two panels by tiles: see mulArgs.")
	Pragma("noescape")
	m := &mulBlock{scales: scales, offs: offs, bias: bias, winograd: winograd}
	m.q, m.scale, m.apart, m.a, m.as = ptr("q"), ptr("scale"), arg("apart"), ptr("a"), ptr("as")
	weights, tokens := []Mem{m.scale}, []Mem{m.a, m.as}
	widths := []int{64 * scales} // of weights, for a block
	if offs > 0 {
		m.off, m.sum = ptr("off"), ptr("sum")
		weights, widths, tokens = append(weights, m.off), append(widths, 64*offs), append(tokens, m.sum)
	}
	if bias || winograd {
		m.init = ptr("init")
		tokens = append(tokens, m.init)
	}
	if winograd {
		m.cross = ptr("cross")
		weights, widths = append(weights, m.cross), append(widths, 64*scales)
	}
	local := func() Mem { return AllocLocal(8) }
	left, rest, chunk, start, at, tiles, passes, part, c, next := local(), local(), local(), local(), local(), local(), local(), local(), local(), local()
	begun, fresh := local(), local()
	t, n := GP64(), GP64()
	copyTo := func(to Mem, from Op) {
		MOVQ(from, t)
		MOVQ(t, to)
	}

	MOVQ(mustParam("row"), t)
	ADDQ(mustParam("ahead"), t)
	MOVQ(t, next)
	MOVQ(mustParam("nb"), t)
	ADDQ(U8(7), t) // segment j has (nb+7-j)/8 blocks; the last one begins at nb-1
	MOVQ(t, left)
	MOVQ(U32(0), start)
	MOVQ(U32(1), fresh)

	Label("segment")
	MOVQ(left, t)
	SHRQ(U8(3), t)
	MOVQ(t, rest)
	MOVQ(U32(0), begun)

	Label("chunk")
	MOVQ(rest, n)
	MOVQ(U32(mulChunk), t)
	CMPQ(n, t)
	CMOVQGT(t, n)
	MOVQ(n, chunk)
	SUBQ(n, rest)
	copyTo(tiles, mustParam("tiles"))
	copyTo(c, mustParam("c"))
	copyTo(part, mustParam("part"))
	copyTo(at, start)

	Label("tile")
	MOVQ(U32(tile/mulTokens), passes)

	Label("pass")
	MOVQ(next, t)
	PREFETCHT1(Mem{Base: t})
	ADDQ(U8(64), t)
	MOVQ(t, next)
	for t := range m.acc {
		for p := range m.acc[t] {
			m.acc[t][p] = zero()
		}
	}
	CMPQ(begun, U8(0))
	JE(LabelRef("begin"))
	MOVQ(part, t)
	m.each(func(i, p int) { VMOVUPS(Mem{Base: t, Disp: 128*i + 64*p}, m.acc[i][p]) })
	Label("begin")
	m.i = GP64()
	MOVQ(at, m.i)
	// The next tile's values of this chunk, a quarter of which each pass brings near.
	near := Mem{Base: GP64()}
	MOVQ(mustParam("nb"), near.Base)
	SHLQ(U8(9), near.Base)
	ADDQ(m.a.Base, near.Base)
	LEAQ(Mem{Base: near.Base, Index: m.i, Scale: 8}, near.Base)
	MOVQ(passes, t)
	SHLQ(U8(7), t)
	ADDQ(t, near.Base)
	MOVQ(chunk, n)

	Label("block")
	PREFETCHT0(near.Offset(-128))
	PREFETCHT0(near.Offset(-64))
	advance(near, 512)
	m.emit()
	advance(m.q, 512)
	for i, w := range weights {
		advance(w, widths[i])
	}
	ADDQ(U8(64), m.i)
	DECQ(n)
	JNZ(LabelRef("block"))

	CMPQ(rest, U8(0))
	JE(LabelRef("whole"))
	MOVQ(part, t)
	m.each(func(i, p int) { VMOVUPS(m.acc[i][p], Mem{Base: t, Disp: 128*i + 64*p}) })
	JMP(LabelRef("kept"))
	Label("whole") // a segment
	MOVQ(c, t)
	apartC, ldc := arg("apartC"), arg("ldc")
	rows := func(f func(c Mem, acc VecVirtual)) {
		for i := range m.acc {
			f(Mem{Base: t}, m.acc[i][0])
			f(Mem{Base: t, Index: apartC, Scale: 4}, m.acc[i][1])
			LEAQ(Mem{Base: t, Index: ldc, Scale: 4}, t)
		}
		MOVQ(t, c)
	}
	CMPQ(fresh, U8(0))
	JE(LabelRef("add"))
	none := zero() // which turns a -0 into 0
	rows(func(c Mem, acc VecVirtual) {
		VADDPS(none, acc, acc)
		VMOVUPS(acc, c)
	})
	JMP(LabelRef("kept"))
	Label("add")
	rows(func(c Mem, acc VecVirtual) {
		VADDPS(c, acc, acc)
		VMOVUPS(acc, c)
	})
	Label("kept")
	ADDQ(U32(128*mulTokens), part)
	MOVQ(chunk, t)
	SHLQ(U8(6), t)
	move := func(op func(x, y Op)) { // the panels' pointers by a chunk
		for i, w := range weights {
			for range widths[i] / 64 {
				op(t, w.Base)
			}
		}
		SHLQ(U8(3), t)
		op(t, m.q.Base)
	}
	move(SUBQ)
	for _, m := range tokens {
		ADDQ(U8(4*mulTokens), m.Base)
	}
	DECQ(passes)
	JNZ(LabelRef("pass"))

	for _, m := range tokens {
		SUBQ(U8(4*tile), m.Base)
	}
	MOVQ(mustParam("nb"), t)
	SHLQ(U8(6), t)
	ADDQ(t, at)
	DECQ(tiles)
	JNZ(LabelRef("tile"))

	MOVQ(chunk, t)
	SHLQ(U8(6), t)
	ADDQ(t, start)
	move(ADDQ)
	MOVQ(U32(1), begun)
	CMPQ(rest, U8(0))
	JNE(LabelRef("chunk"))

	MOVQ(U32(0), fresh)
	nextSegment(left, n, t)
	VZEROUPPER()
	RET()
}

// nextSegment goes on with label "segment" for segment j+1, while left, which is nb+7-j, says that it has blocks: it is empty, and so are those after it, if nb <= j+1.
func nextSegment(left Mem, n, t GPVirtual) {
	MOVQ(left, n)
	DECQ(n)
	MOVQ(n, left)
	Load(Param("nb"), t)
	DECQ(t)
	CMPQ(n, t)
	JEQ(LabelRef("end"))
	CMPQ(n, U8(8))
	JGE(LabelRef("segment"))
	Label("end")
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
	acc               [mulTokens][2]VecVirtual
}

func (m *mulBlock) each(f func(t, p int)) {
	for t := range mulTokens {
		for p := range 2 {
			f(t, p)
		}
	}
}

// both loads a vector of each panel.
func (m *mulBlock) both(at Mem) [2]VecVirtual {
	second := at
	second.Index, second.Scale = m.apart, 1
	return [2]VecVirtual{load(at), load(second)}
}

// token loads what tiles have for token t, in every lane: of n vectors for a block, vector v.
func (m *mulBlock) token(of Mem, n, v, t int) VecVirtual {
	of = of.Offset(4 * (tile*v + t))
	of.Index, of.Scale = m.i, uint8(n)
	z := ZMM()
	VPBROADCASTD(of, z)
	return z
}

func (m *mulBlock) emit() {
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
	for h := range s {
		m.begin(h, &s[h])
		for _, g := range order[h] {
			m.group(g, &s[h])
		}
	}
	m.each(func(t, p int) {
		for h := range s {
			VCVTDQ2PS(s[h][t][p], s[h][t][p])
		}
	})
	ws, wo := m.both(m.scale), [2]VecVirtual{}
	if m.scales == 2 {
		w1 := m.both(m.scale.Offset(64))
		for t := range mulTokens {
			scale := m.token(m.as, 1, 0, t)
			for p := range 2 {
				joinHalves(s[0][t][p], s[1][t][p], ws[p], w1[p], m.acc[t][p], func(sum, acc VecVirtual) { VFMADD231PS(scale, sum, acc) })
			}
		}
	}
	for h := range max(1, m.offs) {
		if m.offs > 0 {
			wo = m.both(m.off.Offset(64 * h))
		}
		for t := range mulTokens {
			if m.scales == 1 {
				scale := m.token(m.as, 1, 0, t)
				for p := range 2 {
					w := ZMM()
					VMULPS(scale, ws[p], w)
					VFMADD231PS(w, s[0][t][p], m.acc[t][p])
				}
			}
			if m.offs > 0 {
				sum := m.token(m.sum, m.offs, h, t)
				for p := range 2 {
					VFMADD231PS(sum, wo[p], m.acc[t][p])
				}
			}
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

// mulFloat emits the float microkernel, 16 rows x 16 tokens: one load of weights and 16 fused multiply-adds per k.
func mulFloat(pairs bool) {
	name := "avx512MulFloat"
	if pairs {
		name = "avx512MulPairs"
	}
	TEXT(name, NOSPLIT, "func(k int, w, a, c *float32, ldc int, row *byte, ahead int)")
	Doc(name + " multiplies a float panel by a tile: see mulFloatArgs.")
	Pragma("noescape")
	k, w, a, c, ldc := arg("k"), ptr("w"), ptr("a"), ptr("c"), arg("ldc")
	SHLQ(U8(2), ldc)
	SHRQ(U8(4), k)
	acc := make([]VecVirtual, tileFloat)
	row := Mem{Base: GP64()}
	MOVQ(c.Base, row.Base)
	acc[0] = zero()
	for range acc {
		VMOVUPS(acc[0], row)
		ADDQ(ldc, row.Base)
	}
	segment, n, next := GP64(), GP64(), ptr("row")
	ADDQ(mustParam("ahead"), next.Base)
	MOVQ(U32(16), segment)
	Label("segment")
	for i := range floatNear / 16 / 64 {
		PREFETCHT1(next.Offset(64 * i))
	}
	advance(next, floatNear/16)
	for t := range acc {
		if t > 0 {
			acc[t] = ZMM()
		}
		VXORPS(acc[t], acc[t], acc[t])
	}
	MOVQ(k, n)
	Label("k")
	ws := load(w)
	for t := range acc {
		if !pairs {
			VFMADD231PS_BCST(a.Offset(4*t), ws, acc[t])
			continue
		}
		vdpbf16psBcst(a.Offset(4*t), ws, acc[t])
	}
	advance(w, 64)
	advance(a, 4*tileFloat)
	DECQ(n)
	JNZ(LabelRef("k"))
	MOVQ(c.Base, row.Base)
	for t := range acc {
		VADDPS(row, acc[t], acc[t])
		VMOVUPS(acc[t], row)
		if t < len(acc)-1 {
			ADDQ(ldc, row.Base)
		}
	}
	DECQ(segment)
	JNZ(LabelRef("segment"))
	VZEROUPPER()
	RET()
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
