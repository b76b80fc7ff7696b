package avx512

import (
	"fmt"
	"regexp"
	"strings"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Instructions of AMX (Intel, "Architectures Software Developer's Manual", volume 2A). Neither avo nor Go's assembler has them: a PREFETCHNTA of the same address, with the
// instruction and its tiles in the displacement, stands for one until encodeTiles writes its bytes.
const (
	ldtilecfg = iota
	tilerelease
	tilezero
	tileloadd
	tilestored
	tdpbssd
	tdpbf16ps
)

var tileNames = []string{"LDTILECFG", "TILERELEASE", "TILEZERO", "TILELOADD", "TILESTORED", "TDPBSSD", "TDPBF16PS"}

// tileBits is how many bits of a displacement say what stands there: the instruction and three tiles of three bits each.
const tileBits = 12

// emitTile emits an instruction. Only ldtilecfg, tileloadd and tilestored use m, with the bytes from row to row in its index for the latter two.
func emitTile(instruction, to, a, b int, m Mem) {
	m.Disp = m.Disp<<tileBits | instruction<<9 | to<<6 | a<<3 | b
	PREFETCHNTA(m)
}

var standsForTile = regexp.MustCompile(`(?m)^\tPREFETCHNTA\s+(\d*)\(([A-Z0-9]+)\)(?:\(([A-Z0-9]+)\*1\))?$`)

// encodeTiles writes the bytes of the instructions that emitTile emitted.
func encodeTiles(text []byte) []byte {
	return standsForTile.ReplaceAllFunc(text, func(line []byte) []byte {
		m := standsForTile.FindStringSubmatch(string(line))
		n := number(m[1])
		instruction, to, a, b, disp := n>>9&7, n>>6&7, n>>3&7, n&7, n>>tileBits
		base, index := generals[m[2]], generals[m[3]]
		var operands string
		var code []byte
		switch instruction {
		case ldtilecfg:
			operands, code = fmt.Sprintf("(%s)", m[2]), vex{opcode: 0x49}.memory(disp, base, 0, 1, false)
		case tilerelease:
			code = vex{opcode: 0x49}.register(0)
		case tilezero:
			operands, code = fmt.Sprintf("T%d", to), vex{opcode: 0x49, prefix: 3, reg: to}.register(0)
		case tileloadd:
			operands, code = fmt.Sprintf("%d(%s)(%s*1), T%d", disp, m[2], m[3], to), vex{opcode: 0x4b, prefix: 3, reg: to}.memory(disp, base, index, 1, true)
		case tilestored:
			operands, code = fmt.Sprintf("T%d, %d(%s)(%s*1)", to, disp, m[2], m[3]), vex{opcode: 0x4b, prefix: 2, reg: to}.memory(disp, base, index, 1, true)
		case tdpbssd:
			operands, code = fmt.Sprintf("T%d, T%d, T%d", b, a, to), vex{opcode: 0x5e, prefix: 3, v: b, reg: to}.register(a)
		case tdpbf16ps:
			operands, code = fmt.Sprintf("T%d, T%d, T%d", b, a, to), vex{opcode: 0x5c, prefix: 2, v: b, reg: to}.register(a)
		}
		return written(code, strings.TrimSpace(tileNames[instruction]+" "+operands))
	})
}

// The tiles of registers: the integer sums of 16 tokens and 16 rows, the tokens' values, and the rows'. Sums of halves have two of each.
const (
	sumTile = 0
	actTile = 2
	rowTile = 4
)

// tileConfig is what LDTILECFG loads for tiles of so many rows and bytes in a row: palette 1, then each tile's bytes from byte 16 on, and its rows from byte 48 on.
func tileConfig(name string, shape func(tile int) (rows, each int)) Mem {
	var config [64]byte
	config[0] = 1
	for tile := range 8 {
		rows, each := shape(tile)
		config[16+2*tile], config[48+tile] = byte(each), byte(rows)
	}
	return bytes(name, len(config), func(i int) byte { return config[i] })
}

// sumConfig is that of the microkernel for so many scales per 32 values.
func sumConfig(scales int) Mem {
	k := 32 / scales
	return tileConfig(fmt.Sprintf("tiles%d", scales), func(tile int) (rows, each int) {
		switch {
		case tile < actTile:
			return 16, 64
		case tile < rowTile:
			return 16, k
		case tile < rowTile+2:
			return k / 4, 64
		}
		return 0, 0
	})
}

// amxMul emits the microkernel for a panel and tiles of 16 tokens. A block's integer sums go by way of memory, where vectors add them to the 16 accumulators of a tile. What a
// tile register stores is there only once the store has retired, so the next block's sums are made before this one's are read: 110 cycles a block in place of 135 (an
// Emerald Rapids core that is shared with a neighbour). All tiles take a segment of the panel, which stays in the cache of the first level, before the next one.
func amxMul(name string, scales, offs int) {
	TEXT(name, 0, "func(nb int, q *byte, scale, off *float32, a *int8, as, sum *float32, c *float32, ldc, tiles int, row *byte, ahead int)")
	Doc(name + " multiplies a panel by tiles: see mulArgs.")
	Pragma("noescape")

	// Two blocks' sums, and what changes from tile to tile.
	sums := scales * 1024
	frame := AllocLocal(64 + 2*sums + 4*8)
	slot := func(i int) Mem { return frame.Offset(64 + 2*sums + 8*i) }
	left, tilesLeft, cRow, qEnd := slot(0), slot(1), slot(2), slot(3)
	now, then := Mem{Base: GP64()}, Mem{Base: GP64()}
	LEAQ(frame.Offset(63), now.Base)
	ANDQ(I32(-64), now.Base)
	LEAQ(now.Offset(sums), then.Base)

	t, n := GP64(), GP64()
	LEAQ(sumConfig(scales), t)
	emitTile(ldtilecfg, 0, 0, 0, Mem{Base: t})
	lines, tokens := GP64(), GP64()
	MOVQ(U32(64), lines)
	MOVQ(U32(32), tokens)

	// c = 0
	Load(Param("tiles"), n)
	SHLQ(U8(4), n)
	row := Mem{Base: GP64()}
	Load(Param("c"), row.Base)
	Load(Param("ldc"), t)
	SHLQ(U8(2), t)
	acc := make([]VecVirtual, tile)
	acc[0] = zero()
	Label("clear")
	VMOVUPS(acc[0], row)
	ADDQ(t, row.Base)
	DECQ(n)
	JNZ(LabelRef("clear"))

	q, a, scale, as := ptr("q"), ptr("a"), ptr("scale"), ptr("as")
	var off, sum Mem
	if offs > 0 {
		off, sum = ptr("off"), ptr("sum")
	}
	next := ptr("row")
	ADDQ(mustParam("ahead"), next.Base)
	Load(Param("nb"), t)
	LEAQ(Mem{Base: t, Disp: 7}, n) // segment j has (nb+7-j)/8 blocks; the last one begins at nb-1
	MOVQ(n, left)
	SHLQ(U8(9), t)
	ADDQ(q.Base, t)
	MOVQ(t, qEnd)

	multiply := func() {
		for h := range scales {
			emitTile(tilezero, sumTile+h, 0, 0, then)
			emitTile(tileloadd, actTile+h, 0, 0, a.Offset(16*h).Idx(tokens, 1))
			emitTile(tileloadd, rowTile+h, 0, 0, q.Offset(256*h).Idx(lines, 1))
			emitTile(tdpbssd, sumTile+h, actTile+h, rowTile+h, then)
			emitTile(tilestored, sumTile+h, 0, 0, then.Offset(1024*h).Idx(lines, 1))
		}
		advance(a, 512)
		advance(q, 512)
	}
	// move adds to p the bytes that each of so many blocks has.
	move := func(p Mem, bytes int, blocks GPVirtual) {
		by := GP64()
		IMUL3Q(I32(bytes), blocks, by)
		ADDQ(by, p.Base)
	}
	// segment sets n to the blocks of a tile in this segment.
	segment := func(n GPVirtual) {
		MOVQ(left, n)
		SHRQ(U8(3), n)
	}
	// rewind sets t to minus the blocks of all tiles but one.
	rewind := func() {
		MOVQ(U32(1), t)
		SUBQ(mustParam("tiles"), t)
		IMULQ(mustParam("nb"), t)
	}

	multiply()
	Label("segment")
	Load(Param("c"), t)
	MOVQ(t, cRow)
	Load(Param("tiles"), t)
	MOVQ(t, tilesLeft)

	Label("tile")
	for t := range acc {
		if t > 0 {
			acc[t] = ZMM()
		}
		VXORPS(acc[t], acc[t], acc[t])
	}
	segment(n)

	Label("block")
	XCHGQ(now.Base, then.Base)
	PREFETCHT1(next)
	ADDQ(U8(64), next.Base)
	CMPQ(n, U8(1))
	JNE(LabelRef("next"))
	// This was the tile's last block here. The next one's are those of the next tile; of the first tile in the next segment; or, at the end, any.
	SUBQ(U8(1), tilesLeft)
	JZ(LabelRef("last"))
	segment(t)
	NEGQ(t)
	move(q, 512, t)
	ADDQ(mustParam("nb"), t)
	move(a, 512, t)
	JMP(LabelRef("next"))
	Label("last")
	rewind()
	move(a, 512, t)
	CMPQ(q.Base, qEnd)
	JNE(LabelRef("next"))
	SUBQ(I32(512), q.Base)
	SUBQ(I32(512), a.Base)
	Label("next")
	multiply()

	ws := make([]Op, scales)
	for h := range ws {
		ws[h] = load(scale.Offset(64 * h))
	}
	var wo VecVirtual
	if offs == 1 {
		wo = load(off)
	}
	for t := range acc {
		at := as.Offset(4 * t)
		s := make([]VecVirtual, scales)
		for h := range s {
			s[h] = ZMM()
			VCVTDQ2PS(now.Offset(1024*h+64*t), s[h])
		}
		if scales == 1 {
			joinWhole(s[0], ws[0], at, acc[t])
		} else {
			joinHalves(s[0], s[1], ws[0], ws[1], acc[t], func(m, acc VecVirtual) { VFMADD231PS_BCST(at, m, acc) })
		}
		if offs == 1 {
			VFMADD231PS_BCST(sum.Offset(4*t), wo, acc[t])
		}
	}
	if offs == 2 {
		for h := range offs {
			wo := load(off.Offset(64 * h))
			for t := range acc {
				VFMADD231PS_BCST(sum.Offset(4*(tile*h+t)), wo, acc[t])
			}
		}
	}
	advance(scale, 64*scales)
	advance(as, 4*tile)
	if offs > 0 {
		advance(off, 64*offs)
		advance(sum, 4*tile*offs)
	}
	DECQ(n)
	JNZ(LabelRef("block"))

	MOVQ(cRow, row.Base)
	Load(Param("ldc"), t)
	SHLQ(U8(2), t)
	for i := range acc {
		VADDPS(row, acc[i], acc[i])
		VMOVUPS(acc[i], row)
		ADDQ(t, row.Base)
	}
	MOVQ(row.Base, cRow)
	CMPQ(tilesLeft, U8(0))
	JEQ(LabelRef("done"))
	segment(t)
	NEGQ(t)
	move(scale, 64*scales, t)
	if offs > 0 {
		move(off, 64*offs, t)
	}
	ADDQ(mustParam("nb"), t)
	move(as, 4*tile, t)
	if offs > 0 {
		move(sum, 4*tile*offs, t)
	}
	JMP(LabelRef("tile"))

	Label("done")
	rewind()
	move(as, 4*tile, t)
	if offs > 0 {
		move(sum, 4*tile*offs, t)
	}
	nextSegment("nb", 8, left, n, t)
	emitTile(tilerelease, 0, 0, 0, now)
	VZEROUPPER()
	RET()
}

// amxCentre emits what makes a panel's values signed.
func amxCentre() {
	TEXT("amxCentre", NOSPLIT, "func(nb, bias int, q *byte)")
	Doc("amxCentre subtracts the bias from a panel's values: see leaf.centre.")
	Pragma("noescape")
	nb, bias, q, minus := arg("nb"), arg("bias"), ptr("q"), ZMM()
	VPBROADCASTB(bias.As32(), minus)
	Label("block")
	for g := range 8 {
		v := load(q.Offset(64 * g))
		VPSUBB(minus, v, v)
		VMOVDQU32(v, q.Offset(64*g))
	}
	advance(q, 512)
	DECQ(nb)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// amxProbe emits what measures the most that a core can multiply.
func amxProbe() {
	TEXT("amxProbeMAC", NOSPLIT, "func(n int)")
	Doc("amxProbeMAC runs n times 4 TDPBSSD of whole tiles: 65536 products of bytes, summed, each time.")
	n, config := arg("n"), GP64()
	LEAQ(tileConfig("tiles", func(int) (rows, each int) { return 16, 64 }), config)
	at := Mem{Base: config}
	emitTile(ldtilecfg, 0, 0, 0, at)
	for i := range 8 {
		emitTile(tilezero, i, 0, 0, at)
	}
	Label("loop")
	for i := range 4 {
		emitTile(tdpbssd, i, 4+i/2, 6+i%2, at)
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	emitTile(tilerelease, 0, 0, 0, at)
	RET()
}

// amxDot emits the product of bfloat16 for 16 rows of weights, or 32, as they lie in the file, and a tile of tokens or two. The sums stay in tile registers all the
// way: row tile r and token tile t have theirs in register 2·r+t.
func amxDot(rows, tiles int) {
	name := fmt.Sprintf("amxDotBF16_%d%d", rows, tiles)
	TEXT(name, NOSPLIT, "func(config *byte, nb int, w *byte, stride int, x0 *float32, stride0 int, x1 *float32, stride1 int, c *float32)")
	Doc(name + " multiplies rows by tiles: see amxDotBF16. Tile i of x has so many bytes from pair to pair.")
	Pragma("noescape")
	emitTile(ldtilecfg, 0, 0, 0, ptr("config"))
	nb, stride, c := arg("nb"), arg("stride"), ptr("c")
	w, x := make([]Mem, rows), make([]Mem, tiles)
	step := make([]GPVirtual, tiles)
	for r := range w {
		w[r] = ptr("w").Idx(stride, 1)
		for range r {
			by := GP64()
			MOVQ(stride, by)
			SHLQ(U8(4), by)
			ADDQ(by, w[r].Base)
		}
	}
	for t := range x {
		at := arg(fmt.Sprintf("stride%d", t))
		x[t] = ptr(fmt.Sprintf("x%d", t)).Idx(at, 1)
		step[t] = GP64()
		MOVQ(at, step[t])
		SHLQ(U8(4), step[t])
	}
	var odd [3]GPVirtual // 3, 5 and 7 times stride
	for i := range odd {
		odd[i] = GP64()
		IMUL3Q(U8(3+2*i), stride, odd[i])
	}
	each := func(f func(r, t int)) {
		for r := range w {
			for t := range x {
				f(r, t)
			}
		}
	}
	each(func(r, t int) { emitTile(tilezero, 2*r+t, 0, 0, c) })
	Label("block")
	for r := range w {
		emitTile(tileloadd, 4+r, 0, 0, w[r])
		ADDQ(U8(64), w[r].Base)
	}
	for t := range x {
		emitTile(tileloadd, 6+t, 0, 0, x[t])
		ADDQ(step[t], x[t].Base)
	}
	each(func(r, t int) { emitTile(tdpbf16ps, 2*r+t, 4+r, 6+t, c) })
	// 512 bytes further on in every row. An 8B generated 4% more so than without, and 20% less with the rows' next 16 fetched in order.
	for r := range w {
		eight := Mem{Base: GP64()}
		LEAQ(Mem{Base: w[r].Base}.Idx(stride, 8), eight.Base)
		for _, b := range []Mem{{Base: w[r].Base}, eight} {
			b = b.Offset(512)
			PREFETCHT1(b)
			PREFETCHT1(b.Idx(stride, 1))
			PREFETCHT1(b.Idx(stride, 2))
			PREFETCHT1(b.Idx(odd[0], 1))
			PREFETCHT1(b.Idx(stride, 4))
			PREFETCHT1(b.Idx(odd[1], 1))
			PREFETCHT1(b.Idx(odd[0], 2))
			PREFETCHT1(b.Idx(odd[2], 1))
		}
	}
	DECQ(nb)
	JNZ(LabelRef("block"))
	line := GP64()
	MOVQ(U32(64), line)
	each(func(r, t int) { emitTile(tilestored, 2*r+t, 0, 0, c.Offset(1024*(2*r+t)).Idx(line, 1)) })
	emitTile(tilerelease, 0, 0, 0, c)
	RET()
}
