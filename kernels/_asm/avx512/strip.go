package avx512

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// A strip is 16 rows against a few tokens. The dot of one token has a row's values along a register, and so must shuffle and add its sums; a strip
// has 16 rows along it. Blocks are transposed as they are in the file, which takes half of the shuffles or fewer, and opened into 8 registers. Those are used as
// the microkernel uses a panel's, without being stored, and the partial sums p_j of each token live on the stack; or they become a panel.

const (
	stripTokens = 32
	stripSums   = 64 * stripTokens // bytes of one p_j
	stripPair   = 2                // tokens whose products are run side by side, since those of one wait for each other
)

// stripFormat says how the blocks of one type are opened.
type stripFormat struct {
	name   string
	bytes  int  // that open takes from each row
	blocks int  // of 32 values in them: 8, or 1
	bias   bool // sums begin with init
	halves bool // scales per 16
	offs   bool // an offset per 32, which is subtracted
	setup  func()
	open   func(s *strip)
}

func (f stripFormat) scales() int {
	if f.halves {
		return 2
	}
	return 1
}

// strip is 16 rows, of which open takes blocks and gives them to use.
type strip struct {
	stripFormat
	strided
	// use takes block j of a group: 8 registers of weights, one or two of scales, and one of offsets.
	use func(j int, w, scales []VecVirtual, off VecVirtual)
}

func newStrip(f stripFormat) *strip {
	s := &strip{stripFormat: f, strided: sixteenRows(arg("stride"))}
	s.begin(ptr("w"))
	if f.blocks == 8 {
		SHRQ(U8(3), mustParam("nb")) // the caller's copy, in the frame, counts down
	}
	return s
}

// next opens a group and goes on to the next.
func (s *strip) next() {
	s.open(s)
	s.advance(s.bytes)
}

// products is a strip against tokens.
type products struct {
	*strip
	near Mem
	ld   Register // bytes of scales from block to block
	sums Mem      // the address of p_0, in the frame: p_0 begins at a line of a cache
	turn Mem      // the p_j of a single block
	used int      // blocks
}

// stripProducts emits the function of one format.
func stripProducts(f stripFormat) {
	name := "avx512Strip" + f.name
	TEXT(name, attr.Attribute(0), "func(w *byte, stride, nb, tokens int, near *byte, q *int8, scale, sum *float32, init *int32, ld int, y *float32, ldy int)")
	Doc(fmt.Sprintf("%s multiplies 16 rows by up to %d tokens, and prefetches as many bytes from near on: see stripArgs.", name, stripTokens))
	Pragma("noescape")
	f.setup()
	p := &products{near: ptr("near"), ld: arg("ld"), turn: Mem{Base: GP64()}, sums: AllocLocal(8)}
	SHLQ(U8(2), p.ld)
	p.strip = newStrip(f)
	p.use = p.block

	n, z := arg("tokens"), zero()
	LEAQ(AllocLocal(8*stripSums+64).Offset(63), p.turn.Base)
	ANDQ(I8(-64), p.turn.Base)
	MOVQ(p.turn.Base, p.sums)
	Label("clear")
	for j := range 8 {
		VMOVUPS(z, p.turn.Offset(j*stripSums))
	}
	ADDQ(U8(64), p.turn.Base)
	DECQ(n)
	JNZ(LabelRef("clear"))
	SHLQ(U8(2), mustParam("tokens")) // where the last token's scales end
	MOVQ(p.sums, p.turn.Base)

	Label("group")
	p.next()
	advance(p.near, 16*f.bytes)
	// The caller's copies of the tokens' pointers, in the frame, go on from group to group.
	on := GP64()
	IMUL3Q(U8(f.blocks), p.ld, on)
	ADDQ(on, mustParam("scale"))
	if f.offs {
		ADDQ(on, mustParam("sum"))
	}
	if f.bias {
		for range f.scales() {
			ADDQ(on, mustParam("init"))
		}
	}
	SHLQ(U8(3), on)
	ADDQ(on, mustParam("q"))
	if f.blocks == 1 {
		end := Mem{Base: GP64()}
		advance(p.turn, stripSums)
		MOVQ(p.sums, end.Base)
		advance(end, 8*stripSums)
		CMPQ(p.turn.Base, end.Base)
		JNE(LabelRef("turned"))
		MOVQ(p.sums, p.turn.Base)
		Label("turned")
	}
	DECQ(mustParam("nb"))
	JNZ(LabelRef("group"))

	y, ldy, sums, left := ptr("y"), arg("ldy"), Mem{Base: GP64()}, arg("tokens")
	SHLQ(U8(2), ldy)
	MOVQ(p.sums, sums.Base)
	Label("out")
	total := zero()
	for j := range 8 {
		VADDPS(sums.Offset(j*stripSums), total, total)
	}
	VMOVUPS(total, y)
	ADDQ(ldy, y.Base)
	ADDQ(U8(64), sums.Base)
	SUBQ(U8(4), left)
	JNZ(LabelRef("out"))
	VZEROUPPER()
	RET()
}

// stripPanel emits the function that opens 16 rows of one format into a panel.
func stripPanel(f stripFormat) {
	name := "avx512Panel" + f.name
	TEXT(name, attr.Attribute(0), "func(w *byte, stride, nb int, q *byte, scale, off *float32)")
	Doc(name + " opens 16 rows into a panel: see leaf.panels.")
	Pragma("noescape")
	f.setup()
	segment := arg("nb") // bytes of a segment's scales, an eighth of those of its values
	SHLQ(U8(3), segment)
	s, q, scale, off := newStrip(f), ptr("q"), ptr("scale"), Mem{}
	var sign VecVirtual
	if f.offs {
		off, sign = ptr("off"), splat(1<<31)
	}
	s.use = func(j int, w, scales []VecVirtual, wo VecVirtual) {
		at := GP64()
		IMUL3Q(U8(j), segment, at)
		for i, x := range w {
			VMOVDQU32(x, q.Offset(64*i).Idx(at, 8))
		}
		for h, x := range scales {
			VMOVUPS(x, scale.Offset(64*h).Idx(at, uint8(len(scales))))
		}
		if f.offs {
			VPXORD(sign, wo, wo)
			VMOVUPS(wo, off.Idx(at, 1))
		}
	}
	Label("group")
	s.next()
	advance(q, 512)
	advance(scale, 64*f.scales())
	if f.offs {
		advance(off, 64)
	}
	DECQ(mustParam("nb"))
	JNZ(LabelRef("group"))
	VZEROUPPER()
	RET()
}

// block emits the products of block j of a group, whose weights are opened, with all tokens: ws are its scales and wo its offsets.
func (s *products) block(j int, w, ws []VecVirtual, wo VecVirtual) {
	p := Mem{Base: GP64()}
	if s.blocks == 1 {
		MOVQ(s.turn.Base, p.Base)
	} else {
		MOVQ(s.sums, p.Base)
		advance(p, j*stripSums)
	}
	for i := (16*s.bytes*s.used/s.blocks + 63) &^ 63; i < 16*s.bytes*(s.used+1)/s.blocks; i += 64 {
		PREFETCHT0(s.near.Offset(i))
	}
	s.used++
	// What the tokens have for this block. Half of its dwords are loaded four at once and then shuffled: a token's 11 loads were the limit, and are 9.
	block, token := GP64(), GP64()
	IMUL3Q(U8(j), s.ld, block)
	of := func(name string, scale uint8) Mem {
		m := ptr(name)
		LEAQ(m.Idx(block, scale), m.Base)
		return m.Idx(token, scale)
	}
	q, scale, sum, init := of("q", 8), of("scale", 1), Mem{}, Mem{}
	if s.offs {
		sum = of("sum", 1)
	}
	if s.bias {
		init = of("init", uint8(s.scales()))
	}
	XORQ(token, token)
	label := fmt.Sprintf("tokens%d", s.used)
	Label(label)
	var d [stripPair][]VecVirtual
	for t := range d {
		d[t] = make([]VecVirtual, len(ws))
		for h := range d[t] {
			if !s.bias {
				d[t][h] = zero()
				continue
			}
			d[t][h] = ZMM()
			VPBROADCASTD(init.Offset(4*(len(ws)*t+h)), d[t][h])
		}
	}
	var four [stripPair]VecVirtual
	for i, x := range w {
		for t := range d {
			at, sum := q.Offset(32*t+4*i), d[t][len(ws)*i/8]
			switch i % 4 {
			case 2, 3:
				VPDPBUSD_BCST(at, x, sum)
				continue
			case 0:
				four[t] = ZMM()
				VBROADCASTI32X4(at, four[t])
			}
			one := ZMM()
			VPSHUFD(U8(i%4*0x55), four[t], one)
			VPDPBUSD(one, x, sum)
		}
	}
	for t := range d {
		acc := load(p.Offset(64 * t))
		if at := scale.Offset(4 * t); len(ws) == 1 {
			VCVTDQ2PS(d[t][0], d[t][0])
			joinWhole(d[t][0], ws[0], at, acc)
		} else {
			addHalves(d[t][0], d[t][1], ws[0], ws[1], acc, func(m, acc VecVirtual) { VFMADD231PS_BCST(at, m, acc) })
		}
		if s.offs {
			VFNMADD231PS_BCST(sum.Offset(4*t), wo, acc)
		}
		VMOVUPS(acc, p.Offset(64*t))
	}
	advance(p, 64*stripPair)
	ADDQ(U8(4*stripPair), token)
	CMPQ(token, mustParam("tokens"))
	JLT(LabelRef(label))
}

// dwords8 gives 8 dwords of 16 rows, a register each.
func (s *strip) dwords8(offset int) []VecVirtual {
	half := func(first int) []VecVirtual {
		x := make([]VecVirtual, 4)
		for i := range x {
			x[i] = ZMM()
			VBROADCASTI64X4(s.at(first+i).Offset(offset), x[i]) // a load, for which no register is half live before
			VINSERTI64X4(U8(1), s.at(first+i+4).Offset(offset), x[i], x[i])
		}
		return transpose4(x)
	}
	lo, hi, all := half(0), half(8), make([]VecVirtual, 8)
	for d := range 4 {
		all[d], all[d+4] = ZMM(), hi[d]
		VSHUFI32X4(U8(0x88), hi[d], lo[d], all[d])
		VSHUFI32X4(U8(0xdd), hi[d], lo[d], all[d+4])
	}
	return all
}

// dwords4 gives 4 dwords of 16 rows.
func (s *strip) dwords4(offset int) []VecVirtual {
	x := make([]VecVirtual, 4)
	for i := range x {
		x[i] = ZMM()
		VBROADCASTI32X4(s.at(i).Offset(offset), x[i])
		for lane := 1; lane < 4; lane++ {
			VINSERTI32X4(U8(lane), s.at(4*lane+i).Offset(offset), x[i], x[i])
		}
	}
	return transpose4(x)
}

// halfs gives a float16 of 16 rows, as floats.
func (s *strip) halfs(offset int) VecVirtual {
	a, b, y, z := XMM(), XMM(), YMM(), zero()
	VPBROADCASTW(s.at(0).Offset(offset), a)
	VPBROADCASTW(s.at(8).Offset(offset), b)
	for r := 1; r < 8; r++ {
		VPINSRW(U8(r), s.at(r).Offset(offset), a, a)
		VPINSRW(U8(r), s.at(r+8).Offset(offset), b, b)
	}
	for i, x := range []VecVirtual{a, b} {
		VCVTPH2PS(x, y)
		VINSERTF64X4(U8(i), y, z, z)
	}
	return z
}

// pairs gives two float16 of 16 rows, which lie in one dword.
func (s *strip) pairs(offset int) (low, high VecVirtual) {
	z := zero()
	for lane := range 4 {
		x := XMM()
		VMOVD(s.at(4*lane).Offset(offset), x)
		for i := 1; i < 4; i++ {
			VPINSRD(U8(i), s.at(4*lane+i).Offset(offset), x, x)
		}
		VINSERTI32X4(U8(lane), x, z, z)
	}
	return lowHalf(z), highHalf(z)
}

// lowHalf and highHalf give the float16 in a half of each dword.
func lowHalf(x VecVirtual) VecVirtual {
	y, z := YMM(), ZMM()
	VPMOVDW(x, y)
	VCVTPH2PS(y, z)
	return z
}

func highHalf(x VecVirtual) VecVirtual {
	t := ZMM()
	VPSRLD(U8(16), x, t)
	return lowHalf(t)
}

// shifted gives the dwords of x shifted down by so many bits, or up: x itself, if by none.
func shifted(x VecVirtual, down int) VecVirtual {
	if down == 0 {
		return x
	}
	t := ZMM()
	if down > 0 {
		VPSRLD(U8(down), x, t)
	} else {
		VPSLLD(U8(-down), x, t)
	}
	return t
}

// field is x shifted, under a mask.
func field(x VecVirtual, down int, mask uint32) VecVirtual {
	t := ZMM()
	VPANDD_BCST(splatMem(mask), shifted(x, down), t)
	return t
}

// masked is field with a mask in a register: a load less.
func masked(x VecVirtual, down int, mask VecVirtual) VecVirtual {
	t := ZMM()
	VPANDD(mask, shifted(x, down), t)
	return t
}

// addField is to |= field(x, down, mask).
func addField(to, x VecVirtual, down int, mask uint32) {
	VPTERNLOGD_BCST(U8(0xf8), splatMem(mask), shifted(x, down), to)
}

// times is the integers x times d.
func times(x, d VecVirtual) VecVirtual {
	VCVTDQ2PS(x, x)
	VMULPS(d, x, x)
	return x
}

// strips lists the formats.
func strips() []stripFormat {
	return []stripFormat{stripQ4_0(), stripQ4_1(), stripQ8_0(), stripQ4_K(), stripQ5_K(), stripQ6_K(), stripIQ4_XS()}
}

// nibbleWeights are the low nibbles of 4 dwords, then the high ones.
func nibbleWeights(raw []VecVirtual) []VecVirtual {
	w := make([]VecVirtual, 8)
	for i, x := range raw {
		w[i], w[i+4] = field(x, 0, 0x0f0f0f0f), field(x, 4, 0x0f0f0f0f)
	}
	return w
}

func stripQ4_0() stripFormat {
	f := stripFormat{name: "Q4_0", bytes: 18, blocks: 1, bias: true, setup: func() {}}
	f.open = func(s *strip) {
		d := s.halfs(0)
		s.use(0, nibbleWeights(s.dwords4(2)), []VecVirtual{d}, nil)
	}
	return f
}

func stripQ4_1() stripFormat {
	f := stripFormat{name: "Q4_1", bytes: 20, blocks: 1, offs: true, setup: func() {}}
	f.open = func(s *strip) {
		d, m := s.pairs(0)
		VPXORD_BCST(splatMem(1<<31), m, m)
		s.use(0, nibbleWeights(s.dwords4(4)), []VecVirtual{d}, m)
	}
	return f
}

func stripQ8_0() stripFormat {
	f := stripFormat{name: "Q8_0", bytes: 34, blocks: 1, bias: true}
	var sign VecVirtual
	f.setup = func() { sign = splat(0x80808080) }
	f.open = func(s *strip) {
		d, w := s.halfs(0), s.dwords8(2)
		for _, x := range w {
			VPXORD(sign, x, x)
		}
		s.use(0, w, []VecVirtual{d}, nil)
	}
	return f
}

// stripScaleMin are the scales and minima of block j of Q4_K and Q5_K, of whose first 16 bytes head has the dwords, and d and m the float16.
func stripScaleMin(j int, head []VecVirtual, d, m VecVirtual) (sc, min VecVirtual) {
	if j < 4 {
		return times(field(head[1], 8*j, 63), d), times(field(head[2], 8*j, 63), m)
	}
	j -= 4
	sc, min = field(head[3], 8*j, 15), field(head[3], 8*j+4, 15)
	addField(sc, head[1], 8*j+2, 0x30)
	addField(min, head[2], 8*j+2, 0x30)
	return times(sc, d), times(min, m)
}

func stripQ4_K() stripFormat {
	f := stripFormat{name: "Q4_K", bytes: 144, blocks: 8, offs: true}
	var low VecVirtual
	f.setup = func() { low = splat(0x0f0f0f0f) }
	f.open = func(s *strip) {
		head := s.dwords4(0)
		d, m := lowHalf(head[0]), highHalf(head[0])
		for c := range 4 {
			raw, w := s.dwords8(16+32*c), make([]VecVirtual, 8)
			for h := range 2 {
				for i, x := range raw {
					w[i] = masked(x, 4*h, low)
				}
				sc, min := stripScaleMin(2*c+h, head, d, m)
				s.use(2*c+h, w, []VecVirtual{sc}, min)
			}
		}
	}
	return f
}

func stripQ5_K() stripFormat {
	f := stripFormat{name: "Q5_K", bytes: 176, blocks: 8, offs: true}
	var low, bit VecVirtual
	f.setup = func() { low, bit = splat(0x0f0f0f0f), splat(0x10101010) }
	f.open = func(s *strip) {
		fifth := AllocLocal(8 * 64)
		for i, x := range s.dwords8(16) {
			VMOVDQU32(x, fifth.Offset(64*i))
		}
		head := s.dwords4(0)
		d, m := lowHalf(head[0]), highHalf(head[0])
		for c := range 4 {
			raw, w := s.dwords8(48+32*c), make([]VecVirtual, 8)
			for h := range 2 {
				for i, x := range raw {
					w[i] = masked(x, 4*h, low)
					t := ZMM()
					VPRORD(U8((2*c+h-4)&31), fifth.Offset(64*i), t)
					VPTERNLOGD(U8(0xf8), bit, t, w[i]) // w | t & bit
				}
				sc, min := stripScaleMin(2*c+h, head, d, m)
				s.use(2*c+h, w, []VecVirtual{sc}, min)
			}
		}
	}
	return f
}

func stripQ6_K() stripFormat {
	f := stripFormat{name: "Q6_K", bytes: 210, blocks: 8, bias: true, halves: true}
	var low, bits VecVirtual
	f.setup = func() { low, bits = splat(0x0f0f0f0f), splat(0x30303030) }
	f.open = func(s *strip) {
		last := s.dwords8(178) // scale b is byte 14 + b, and d ends them
		d := highHalf(last[7])
		high := AllocLocal(8 * 64)
		for c := range 2 {
			for i, x := range s.dwords8(128 + 32*c) {
				VMOVDQU32(x, high.Offset(64*i))
			}
			for part := range 2 {
				raw, w := s.dwords8(64*c+32*part), make([]VecVirtual, 8)
				for h := range 2 {
					for i, x := range raw {
						w[i] = masked(x, 4*h, low)
						t := ZMM()
						VPRORD(U8((4*h+2*part-4)&31), high.Offset(64*i), t)
						VPTERNLOGD(U8(0xf8), bits, t, w[i]) // w | t & bits
					}
					j, sc := 4*c+2*h+part, make([]VecVirtual, 2)
					for i := range sc {
						b := 14 + 2*j + i
						sc[i] = ZMM()
						VPSLLD(U8(24-8*(b%4)), last[b/4], sc[i])
						VPSRAD(U8(24), sc[i], sc[i])
						times(sc[i], d)
					}
					s.use(j, w, sc, nil)
				}
			}
		}
	}
	return f
}

func stripIQ4_XS() stripFormat {
	f := stripFormat{name: "IQ4_XS", bytes: 136, blocks: 8, bias: true}
	var levels VecVirtual
	f.setup = func() { levels = iq4Levels() }
	f.open = func(s *strip) {
		head := s.dwords4(0)
		d := lowHalf(head[0])
		for j := range 8 {
			w := nibbleWeights(s.dwords4(8 + 16*j))
			for _, x := range w {
				VPSHUFB(x, levels, x)
			}
			sc := field(head[1], 4*j, 15)
			addField(sc, head[0], 12+2*j, 0x30)
			VPSUBD_BCST(splatMem(32), sc, sc)
			s.use(j, w, []VecVirtual{times(sc, d)}, nil)
		}
	}
	return f
}
