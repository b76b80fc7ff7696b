package avx512

import (
	"math/bits"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// twin is the nest of loops of a microkernel that takes 2 panels and any number of tiles: a pass takes some tokens through a chunk of blocks, which stays in the first cache
// for all tiles. The arguments are named as those of mulArgs.
type twin struct {
	blocks   string // the argument that says how many there are
	segments int    // that they are in, one after the other, a power of two: those of index 0, segments, 2*segments ..., then 1, segments+1 ...
	chunk    int    // blocks of a pass
	lines    int    // that a pass prefetches of what row is
	weights  []stream
	a        stream // of tiles
	tokens   []Mem  // what else tiles have: [blocks][tile], 4 bytes each, or twice that
	acc      [][2]VecVirtual
	emit     func(i GPVirtual) // a block; i is 64 times its place in tiles
}

// stream is an array of so many bytes a block.
type stream struct {
	Mem
	bytes int
}

func (w *twin) run() {
	local := func() Mem { return AllocLocal(8) }
	left, rest, chunk, start, at, tiles, passes, part, c, next := local(), local(), local(), local(), local(), local(), local(), local(), local(), local()
	begun, fresh := local(), local()
	t, n := GP64(), GP64()
	copyTo := func(to Mem, from Op) {
		MOVQ(from, t)
		MOVQ(t, to)
	}
	each := func(f func(part Mem, acc VecVirtual)) {
		MOVQ(part, t)
		for i := range w.acc {
			for p, acc := range w.acc[i] {
				f(Mem{Base: t, Disp: 128*i + 64*p}, acc)
			}
		}
	}
	tokens := append([]Mem{w.a.Mem}, w.tokens...)

	MOVQ(mustParam("row"), t)
	ADDQ(mustParam("ahead"), t)
	MOVQ(t, next)
	MOVQ(mustParam(w.blocks), t)
	ADDQ(U8(w.segments-1), t) // segment j has (blocks+segments-1-j)/segments; the last one begins at blocks-1
	MOVQ(t, left)
	MOVQ(U32(0), start)
	MOVQ(U32(1), fresh)

	Label("segment")
	MOVQ(left, t)
	SHRQ(U8(bits.Len(uint(w.segments))-1), t)
	MOVQ(t, rest)
	MOVQ(U32(0), begun)

	Label("chunk")
	MOVQ(rest, n)
	MOVQ(U32(w.chunk), t)
	CMPQ(n, t)
	CMOVQGT(t, n)
	MOVQ(n, chunk)
	SUBQ(n, rest)
	copyTo(tiles, mustParam("tiles"))
	copyTo(c, mustParam("c"))
	copyTo(part, mustParam("part"))
	copyTo(at, start)

	Label("tile")
	MOVQ(U32(tile/len(w.acc)), passes)

	Label("pass")
	MOVQ(next, t)
	for i := range w.lines {
		PREFETCHT1(Mem{Base: t, Disp: 64 * i})
	}
	ADDQ(U32(64*w.lines), t)
	MOVQ(t, next)
	for i := range w.acc {
		for p := range w.acc[i] {
			w.acc[i][p] = zero()
		}
	}
	CMPQ(begun, U8(0))
	JE(LabelRef("begin"))
	each(func(part Mem, acc VecVirtual) { VMOVUPS(part, acc) })
	Label("begin")
	i := GP64()
	MOVQ(at, i)
	// The next tile's values of this chunk, of which each pass brings its part near, or the same line.
	near, size := Mem{Base: GP64()}, max(64, w.a.bytes*len(w.acc)/tile)
	MOVQ(mustParam(w.blocks), near.Base)
	IMUL3Q(U32(w.a.bytes), near.Base, near.Base)
	ADDQ(w.a.Base, near.Base)
	LEAQ(near.Idx(i, uint8(w.a.bytes/64)), near.Base)
	if size < w.a.bytes {
		MOVQ(passes, t)
		IMUL3Q(U32(size), t, t)
		ADDQ(t, near.Base)
		advance(near, -size)
	}
	MOVQ(chunk, n)

	Label("block")
	for l := 0; l < size; l += 64 {
		PREFETCHT0(near.Offset(l))
	}
	advance(near, w.a.bytes)
	w.emit(i)
	for _, s := range w.weights {
		advance(s.Mem, s.bytes)
	}
	ADDQ(U8(64), i)
	DECQ(n)
	JNZ(LabelRef("block"))

	CMPQ(rest, U8(0))
	JE(LabelRef("whole"))
	each(func(part Mem, acc VecVirtual) { VMOVUPS(acc, part) })
	JMP(LabelRef("kept"))
	Label("whole") // a segment
	MOVQ(c, t)
	apartC, ldc := arg("apartC"), arg("ldc")
	rows := func(f func(c Mem, acc VecVirtual)) {
		for i := range w.acc {
			f(Mem{Base: t}, w.acc[i][0])
			f(Mem{Base: t, Index: apartC, Scale: 4}, w.acc[i][1])
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
	ADDQ(U32(128*len(w.acc)), part)
	move := func(op func(x, y Op)) { // the panels' pointers by a chunk
		MOVQ(chunk, n)
		for _, s := range w.weights {
			IMUL3Q(U32(s.bytes), n, t)
			op(t, s.Base)
		}
	}
	move(SUBQ)
	for _, m := range tokens {
		ADDQ(U8(4*len(w.acc)), m.Base)
	}
	DECQ(passes)
	JNZ(LabelRef("pass"))

	for _, m := range tokens {
		SUBQ(U8(4*tile), m.Base)
	}
	MOVQ(mustParam(w.blocks), t)
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
	nextSegment(w.blocks, w.segments, left, n, t)
	VZEROUPPER()
	RET()
}

// nextSegment goes on with label "segment" for segment j+1, while left, which is blocks+segments-1-j, says that it has some: it is empty, and so are those after it, if blocks <= j+1.
func nextSegment(blocks string, segments int, left Mem, n, t GPVirtual) {
	MOVQ(left, n)
	DECQ(n)
	MOVQ(n, left)
	Load(Param(blocks), t)
	DECQ(t)
	CMPQ(n, t)
	JEQ(LabelRef("end"))
	CMPQ(n, U8(segments))
	JGE(LabelRef("segment"))
	Label("end")
}

// both loads a vector of each panel.
func both(at Mem, apart GPVirtual) [2]VecVirtual {
	second := at
	second.Index, second.Scale = apart, 1
	return [2]VecVirtual{load(at), load(second)}
}
