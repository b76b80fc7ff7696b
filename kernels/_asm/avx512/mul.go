package avx512

import (
	"strings"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const (
	tile      = 16
	tileFloat = 16
	floatNear = 16 << 10 // bytes that a float tile prefetches
)

// mulGroup is how many tokens' integer sums are interleaved. Two leave the rest of hiding VPDPBUSD's latency to the CPU's reordering;
// of 2 to 5, llvm-mca puts it first with offsets (144.7 cycles a block on Zen 4, of which 128 are VPDPBUSD; 152.6 with 4) and within 6%
// elsewhere.
const mulGroup = 2

// mul emits the microkernel of 16 rows x 16 tokens for formats of so many scales and offsets per 32 values. The 32 k of 16
// rows sit in 8 registers, a token's bytes are broadcast by VPDPBUSD itself, and the partial sums p_j stay in 16 registers.
// winograd is of panels that leaf.winograd made factors of.
func mul(name string, scales, offs int, bias, winograd bool) {
	sig := "func(nb int, q *byte, scale, off *float32, a *int8, as, sum *float32, init *int32, c *float32, ldc int, row *byte, ahead int)"
	if winograd {
		sig = strings.Replace(sig, "init *int32", "init, cross *int32", 1)
	}
	TEXT(name, NOSPLIT, sig)
	Doc(name + " multiplies a panel by a tile: see mulArgs.")
	order := []int{0, 1, 2, 3, 4, 5, 6, 7}
	if winograd {
		order = winogradOrder
	}
	Pragma("noescape")
	left, q, scale, a, as, c, ldc := arg("nb"), ptr("q"), ptr("scale"), ptr("a"), ptr("as"), ptr("c"), arg("ldc")
	var off, sum, init, cross Mem
	if offs > 0 {
		off, sum = ptr("off"), ptr("sum")
	}
	if bias || winograd {
		init = ptr("init")
	}
	if winograd {
		cross = ptr("cross")
	}
	next := ptr("row")
	ADDQ(mustParam("ahead"), next.Base)
	SHLQ(U8(2), ldc)
	end := GP64()
	LEAQ(Mem{Base: left, Disp: -1}, end) // segment j has (nb+7-j)/8 blocks; the last one begins at nb-1
	ADDQ(U8(7), left)

	acc := make([]VecVirtual, tile)
	row := Mem{Base: GP64()}
	MOVQ(c.Base, row.Base)
	acc[0] = zero()
	for range tile {
		VMOVUPS(acc[0], row)
		ADDQ(ldc, row.Base)
	}

	Label("segment")
	for t := range acc {
		if t > 0 {
			acc[t] = ZMM()
		}
		VXORPS(acc[t], acc[t], acc[t])
	}
	n := GP64()
	MOVQ(left, n)
	SHRQ(U8(3), n)

	Label("block")
	PREFETCHT1(next)
	ADDQ(U8(64), next.Base)
	w := make([]VecVirtual, 8)
	for g := range w {
		w[g] = load(q.Offset(64 * g))
	}
	ws, x := make([]Op, scales), make([]VecVirtual, scales)
	for h := range ws {
		if ws[h] = scale.Offset(64 * h); !winograd || scales == 1 { // there are no registers for two
			ws[h] = load(scale.Offset(64 * h))
		}
		if winograd {
			x[h] = load(cross.Offset(64 * h))
		}
	}
	var wo VecVirtual
	if offs == 1 {
		wo = load(off)
	}
	addOffs := func(first int) {
		for t := first; offs == 1 && t < first+mulGroup; t++ {
			VFMADD231PS_BCST(sum.Offset(4*t), wo, acc[t])
		}
	}
	for first := 0; first < tile; first += mulGroup {
		var s [mulGroup][2]VecVirtual
		for i := range s {
			for h := range ws {
				if s[i][h] = ZMM(); winograd {
					VPADDD_BCST(init.Offset(4*(tile*h+first+i)), x[h], s[i][h])
				} else if bias {
					VPBROADCASTD(init.Offset(4*(tile*h+first+i)), s[i][h])
				} else {
					VXORPS(s[i][h], s[i][h], s[i][h])
				}
			}
		}
		for _, g := range order {
			at := func(g, i int) Mem { return a.Offset(4 * (tile*g + first + i)) }
			for i := range s {
				if winograd && g < winogradGroups {
					u, v := ZMM(), ZMM()
					VPBROADCASTD(at(g+1, i), u)
					VPBROADCASTD(at(g, i), v)
					VPADDB(w[g], u, u)
					VPADDB(w[g+1], v, v)
					VPDPBUSD(v, u, s[i][g*scales/8])
				} else {
					VPDPBUSD_BCST(at(g, i), w[g], s[i][g*scales/8])
				}
			}
			if winograd && g == 2 && first > 0 {
				addOffs(first - mulGroup)
			}
		}
		for i := range s {
			at := as.Offset(4 * (first + i))
			if scales == 1 {
				VCVTDQ2PS(s[i][0], s[i][0])
				joinWhole(s[i][0], ws[0], at, acc[first+i])
			} else {
				addHalves(s[i][0], s[i][1], ws[0], ws[1], acc[first+i], func(m, acc VecVirtual) { VFMADD231PS_BCST(at, m, acc) })
			}
		}
		if !winograd || first+mulGroup == tile {
			addOffs(first)
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
	ADDQ(I32(512), q.Base)
	ADDQ(I32(32*tile), a.Base)
	ADDQ(I8(4*tile), as.Base)
	advance(scale, 64*scales)
	if offs > 0 {
		advance(off, 64*offs)
		advance(sum, 4*tile*offs)
	}
	if bias || winograd {
		advance(init, 4*tile*scales)
	}
	if winograd {
		advance(cross, 64*scales)
	}
	DECQ(n)
	JNZ(LabelRef("block"))

	MOVQ(c.Base, row.Base)
	for t := range acc {
		VADDPS(row, acc[t], acc[t])
		VMOVUPS(acc[t], row)
		if t < len(acc)-1 {
			ADDQ(ldc, row.Base)
		}
	}
	// Segment j+1 is empty, and so are those after it, if nb <= j+1.
	DECQ(left)
	CMPQ(left, end)
	JEQ(LabelRef("done"))
	CMPQ(left, U8(8))
	JGE(LabelRef("segment"))
	Label("done")
	VZEROUPPER()
	RET()
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
