package avx512

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// The values of IQ1 and IQ2_S are looked up, 8 at a time, in a grid of package kernels, which has their bias in it. General registers fetch the indices: 16 entries
// took 2.9 ns so on a Zen 4, 3.5 with an index loaded for each, and 5.8 with a gather. Smaller grids are permuted: see codes.

// orderedFormat says how a block of 256 values is opened, in their order.
type orderedFormat struct {
	name   string
	bytes  int
	bias   int
	halves bool // scales per 16
	dots   bool // open gives the values as dotFormat.decode does
	setup  func()
	// open gives the values in four registers, block c and block c+4 of 32 values in register c, and the scales as dotFormat.decode does.
	open func(w Mem) (x []VecVirtual, s VecVirtual)
}

func (f orderedFormat) dot() dotFormat {
	return dotFormat{name: f.name, bytes: f.bytes, bias: f.bias, halves: f.halves, mixed: f.dots, setup: f.setup, decode: func(w Mem) ([]VecVirtual, []VecVirtual) {
		x, s := f.open(w)
		if !f.dots {
			x = transpose4(x)
		}
		return x, one(s)
	}}
}

// unpack emits the function of format.unpack.
func (f orderedFormat) unpack() {
	scales := 1
	var order VecVirtual
	if f.halves {
		scales = 2
	}
	unpacker(f.name, f.bytes, 256, scales, 0, func() {
		f.setup()
		if f.halves {
			order = load(vector("in_order", 16, func(i int) uint32 { return uint32(i%2*8 + i/2) }))
		}
	}, func(w, q, scale, off Mem) {
		x, s := f.open(w)
		if f.dots {
			x = transpose4(x)
		}
		for c, v := range x {
			VMOVDQU32(v.AsY(), q.Offset(32*c))
			VEXTRACTI64X4(U8(1), v, q.Offset(32*(c+4)))
		}
		if !f.halves {
			VMOVUPS(s.AsY(), scale)
			return
		}
		VPERMPS(s, order, s)
		VMOVUPS(s, scale)
	})
}

// table is a grid of package kernels, of entries of 8 bytes.
type table struct{ base Register }

func newTable(name string) table {
	t := table{GP64()}
	LEAQ(NewDataAddr(Symbol{Name: "·" + name}, 0), t.base)
	return t
}

// entries opens a block; index gives the index of each entry, those of a block of 32 values in turn.
func (t table) entries(index func(k int) GPVirtual) []VecVirtual {
	entry := func(k int) Mem { return Mem{Base: t.base, Index: index(k), Scale: 8} }
	// A pair's second entry is taken from 16 bytes, which a table has to its end: to insert it alone is two operations.
	lane := func(k int) VecVirtual {
		x := XMM()
		VMOVQ(entry(k), x)
		VPUNPCKLQDQ(entry(k+1), x, x)
		return x
	}
	x := make([]VecVirtual, 4)
	for c := range x {
		var y [2]VecVirtual
		for h := range y {
			k := (c + 4*h) * 4
			y[h] = lane(k)
			VINSERTI32X4(U8(1), lane(k+2), y[h].AsY(), y[h].AsY())
		}
		x[c] = y[0].AsZ().(VecVirtual)
		VINSERTI64X4(U8(1), y[1].AsY(), x[c], x[c])
	}
	return x
}

// fromWords gives index k from register four(k/4), which has four. That is faster than to load each one, of which there are as many as entries.
func fromWords(four func(i int) GPVirtual) func(k int) GPVirtual {
	var r GPVirtual
	return func(k int) GPVirtual {
		if k%4 == 0 {
			r = four(k / 4)
		}
		if k%4 == 3 {
			return r
		}
		i := GP64()
		MOVWLZX(r.As16(), i.As32())
		SHRQ(U8(16), r)
		return i
	}
}

// deposit is a register with fields of few bits, one behind the other, put into the bits of mask.
func deposit(from Mem, bytes int, mask GPVirtual) GPVirtual {
	r := GP64()
	switch bytes {
	case 1:
		MOVBLZX(from, r.As32())
	case 2:
		MOVWLZX(from, r.As32())
	case 4:
		MOVL(from, r.As32())
	}
	PDEPQ(mask, r, r)
	return r
}

// eachWord is a register with v in each of four words.
func eachWord(v uint16) GPVirtual {
	r := GP64()
	MOVQ(U64(uint64(v)*0x0001000100010001), r)
	return r
}

// signs has 32 bytes, a bit for each of a block's values, where masks can be loaded from.
type signs struct {
	order, twice VecVirtual
	masks        Mem
}

func newSigns() signs {
	s := signs{YMM(), splat(0x80808080), AllocLocal(32)}
	// Registers have blocks c and c+4.
	VMOVDQU32(vector("blocks", 8, func(i int) uint32 { return uint32(i/2 + i%2*4) }), s.order)
	return s
}

// put sets them, from a register or memory.
func (s signs) put(from Op) {
	y := YMM()
	VPERMD(from, s.order, y)
	VMOVDQU32(y, s.masks)
}

// mask is that of register c.
func (s signs) mask(c int) OpmaskVirtual {
	k := K()
	KMOVQ(s.masks.Offset(8*c), k)
	return k
}

// negate takes values that are marked from twice the bias, 128.
func (s signs) negate(x []VecVirtual) {
	for c, v := range x {
		VPSUBB(v, s.twice, s.mask(c), v)
	}
}

// oddBytes marks nibbles with an odd number of ones.
func oddBytes() Mem {
	return bytes("odd", 32, func(i int) byte { return byte((i>>3 ^ i>>2 ^ i>>1 ^ i) & 1 << 7) })
}

// even completes bytes of 7 bits to an even number of ones.
func even(y VecVirtual) {
	low, high, t := YMM(), YMM(), YMM()
	VMOVDQU32(oddBytes(), low)
	VPSRLW(U8(4), y, high)
	VPANDD(vector("seven_bytes", 8, func(int) uint32 { return 0x07070707 }), high, high)
	VPSHUFB(high, low, t)
	VPSHUFB(y, low, low)
	VPTERNLOGD(U8(0x96), low, t, y)
}

// fields turns dwords of four 7-bit fields into bytes, of an even number of ones.
func fields(words VecVirtual) VecVirtual {
	y := YMM()
	VPANDD_BCST(splatMem(0x7f), words, y)
	for i := 1; i < 4; i++ {
		t := YMM()
		VPSLLD(U8(i), words, t)
		VPTERNLOGD_BCST(U8(0xf8), splatMem(0x7f<<(8*i)), t, y) // y | t & mask
		pause()
	}
	even(y)
	return y
}

// oddScale is the integers x, whose bits are shifted up by one, under a mask: 2·s + 1.
func oddScale(x VecVirtual, mask uint32) {
	t := ZMM()
	VPBROADCASTD(splatMem(mask), t)
	VPTERNLOGD_BCST(U8(0xea), splatMem(1), t, x) // x & mask | 1
}

// scaled is the integers x times the float16 at d, times a power of two.
func scaled(x VecVirtual, d Mem, power float64) VecVirtual {
	times(x, half(d))
	if power != 1 {
		VMULPS_BCST(splatMem(floatBits(power)), x, x)
	}
	return x
}
