package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// arranges emits the orders of activations that the row dots want (see avx2_dot.go), 256 values at a time.
func arranges() {
	loop := func(name, doc string, body func(q, o Mem)) {
		TEXT(name, NOSPLIT, "func(groups int, q, o *int8)")
		Doc(name + " " + doc)
		Pragma("noescape")
		n, q, o := Load(Param("groups"), GP64()), Mem{Base: Load(Param("q"), GP64())}, Mem{Base: Load(Param("o"), GP64())}
		Label("loop")
		body(q, o)
		ADDQ(I32(256), q.Base)
		ADDQ(I32(256), o.Base)
		DECQ(n)
		JNZ(LabelRef("loop"))
		VZEROUPPER()
		RET()
	}
	loop("avx2Arrange", "puts dword n of 8 blocks into vector n.", func(q, o Mem) {
		for h := range 2 {
			var x [4]ymm
			for b := range x {
				x[b] = YMM()
				VBROADCASTI128(q.Offset(32*b+16*h), x[b])
				VINSERTI128(Imm(1), q.Offset(32*b+128+16*h), x[b], x[b])
			}
			for i, y := range transpose4(x) {
				VMOVDQU(y, o.Offset(128*h+32*i))
			}
		}
	})
	quads := func(name string, low, high [4]int) {
		loop(name, "puts dwords n and n+4 of 4 blocks into the halves of vector n, then of the other 4.", func(q, o Mem) {
			for h, blocks := range [2][4]int{low, high} {
				var x [4]ymm
				for i, b := range blocks {
					x[i] = YMM()
					VMOVDQU(q.Offset(32*b), x[i])
				}
				for i, y := range transpose4(x) {
					VMOVDQU(y, o.Offset(128*h+32*i))
				}
			}
		})
	}
	quads("avx2ArrangeQ4_K", [4]int{0, 2, 4, 6}, [4]int{1, 3, 5, 7})
	quads("avx2ArrangeQ6_K", [4]int{0, 1, 4, 5}, [4]int{2, 3, 6, 7})
}

// interleave emits the gathering of 16 rows into a panel: dwords of a block become columns of 16 rows.
func interleave() {
	TEXT("avx2Interleave", NOSPLIT, "func(nb int, rows *byte, stride int, q *byte)")
	Doc("avx2Interleave gathers 16 rows into a panel, blocks in panel order.")
	Pragma("noescape")
	nb, q := Load(Param("nb"), GP64()), Mem{Base: Load(Param("q"), GP64())}
	stride, stride3, four := Load(Param("stride"), GP64()), GP64(), GP64()
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, stride3)
	MOVQ(stride, four)
	SHLQ(Imm(2), four)
	seg, rows := GP64(), GP64()
	XORQ(seg, seg)
	Load(Param("rows"), rows)
	Label("segment")
	left, b := GP64(), GP64()
	// blocks of this segment: (nb - seg + 7) / 8
	MOVQ(nb, left)
	SUBQ(seg, left)
	JLE(LabelRef("done"))
	MOVQ(rows, b)
	Label("block")
	p := GP64()
	MOVQ(b, p)
	for half := range 2 {
		row := func(base reg.Register, r int) Mem {
			m := Mem{Base: base}
			switch r {
			case 1:
				m.Index, m.Scale = stride, 1
			case 2:
				m.Index, m.Scale = stride, 2
			case 3:
				m.Index, m.Scale = stride3, 1
			}
			return m
		}
		p4 := GP64()
		LEAQ(Mem{Base: p, Index: four, Scale: 1}, p4)
		for h := range 2 {
			var x [4]ymm
			for r := range x {
				x[r] = YMM()
				VBROADCASTI128(row(p, r).Offset(16*h), x[r])
				VINSERTI128(Imm(1), row(p4, r).Offset(16*h), x[r], x[r])
			}
			for i, y := range transpose4(x) {
				VMOVDQU(y, q.Offset(64*(4*h+i)+32*half))
			}
		}
		if half == 0 {
			LEAQ(Mem{Base: p, Index: four, Scale: 2}, p)
		}
	}
	ADDQ(I32(512), q.Base)
	ADDQ(I32(256), b)
	SUBQ(U8(8), left)
	JG(LabelRef("block"))
	ADDQ(U8(32), rows)
	INCQ(seg)
	CMPQ(seg, Imm(8))
	JNE(LabelRef("segment"))
	Label("done")
	VZEROUPPER()
	RET()
}
