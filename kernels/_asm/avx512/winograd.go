package avx512

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// winogradGroups is how many of a block's 8 groups of 4 values are multiplied in pairs. All 8 would take one VPDPBUSD less and two VPADDB more.
const winogradGroups = 6

// winogradOrder has the groups as the microkernel takes them, pairs by their first. What multiplies more stands between what adds more, or the processor's schedulers
// fill with either: in order, a Zen 5 made 387 GMAC/s in place of 420.
var winogradOrder = []int{6, 0, 7, 2, 4}

// winogradPanel emits the making of factors for formats of so many scales per 32 values: see winogradLeaf.panel.
func winogradPanel(scales int) {
	name := []string{1: "avx512WinogradPanel", 2: "avx512WinogradPanel2"}[scales]
	TEXT(name, NOSPLIT, "func(nb, mid int, q *byte, cross *int32)")
	Doc(name + " makes factors of a panel's values: see winogradLeaf.panel.")
	Pragma("noescape")
	nb, mid, q, cross := arg("nb"), arg("mid"), ptr("q"), ptr("cross")
	centre, turn := ZMM(), splat(0x80808080)
	VPBROADCASTB(mid.As32(), centre)
	Label("block")
	sums := make([]VecVirtual, scales)
	for h := range sums {
		sums[h] = zero()
	}
	for g := 0; g < winogradGroups; g += 2 {
		u, v := load(q.Offset(64*g)), load(q.Offset(64*(g+1)))
		VPSUBB(centre, u, u)
		VPSUBB(centre, v, v)
		VPXORD(turn, u, u)
		VPDPBUSD(v, u, sums[g*scales/8])
		VMOVDQU32(u, q.Offset(64*g))
		VMOVDQU32(v, q.Offset(64*(g+1)))
	}
	for h, s := range sums {
		minus := zero()
		VPSUBD(s, minus, minus)
		VMOVDQU32(minus, cross.Offset(64*h))
	}
	advance(q, 512)
	advance(cross, 64*scales)
	DECQ(nb)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// winogradTile emits the sums of a tile for formats of so many scales per 32 values: see winogradLeaf.tile.
func winogradTile(scales int) {
	name := []string{1: "avx512WinogradTile", 2: "avx512WinogradTile2"}[scales]
	TEXT(name, NOSPLIT, "func(nb, mid, bias int, a *int8, init *int32)")
	Doc(name + " computes what the integer sums of a tile begin with: see winogradLeaf.tile.")
	Pragma("noescape")
	nb, mid, bias, a, init := arg("nb"), arg("mid"), arg("bias"), ptr("a"), ptr("init")
	plus, minus, turn := ZMM(), ZMM(), splat(0x80808080)
	SUBQ(bias, mid)
	VPBROADCASTB(mid.As32(), plus)
	VPBROADCASTB(bias.As32(), minus)
	Label("block")
	add, sub := make([]VecVirtual, scales), make([]VecVirtual, scales)
	for h := range scales {
		add[h], sub[h] = zero(), zero()
	}
	for g := range 8 {
		h := g * scales / 8
		x := load(a.Offset(64 * g))
		if g >= winogradGroups {
			VPDPBUSD(x, minus, sub[h])
			continue
		}
		VPDPBUSD(x, plus, add[h])
		if g%2 == 0 {
			y := ZMM()
			VPXORD(a.Offset(64*(g+1)), turn, y)
			VPDPBUSD(x, y, sub[h])
		}
	}
	for h := range scales {
		VPSUBD(sub[h], add[h], add[h])
		VMOVDQU32(add[h], init.Offset(64*h))
	}
	advance(a, 512)
	advance(init, 64*scales)
	DECQ(nb)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}
