package avx512

import (
	"fmt"
	"regexp"
	"strconv"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// vdpbf16ps multiplies and adds pairs of bfloat16: acc += a·b. Neither avo nor Go's assembler has it, so an instruction with the same operands that nothing
// else here uses stands in for it, until Encode writes its bytes.
func vdpbf16ps(a, b, acc VecVirtual) { VPMADD52LUQ(a, b, acc) }

var standIn = regexp.MustCompile(`(?m)^\tVPMADD52LUQ\s+Z(\d+), Z(\d+), Z(\d+)$`)

// Encode writes the bytes of the instructions for which others stand in.
func Encode(text []byte) []byte {
	return standIn.ReplaceAllFunc(text, func(line []byte) []byte {
		m := standIn.FindSubmatch(line)
		var r [3]int
		for i := range r {
			r[i], _ = strconv.Atoi(string(m[i+1])) // the pattern has digits only
		}
		rm, v, reg := r[0], r[1], r[2]
		not := func(bit int) int { return ^bit & 1 }
		// EVEX.512.F3.0F38.W0 52 /r
		p0 := not(reg>>3)<<7 | not(rm>>4)<<6 | not(rm>>3)<<5 | not(reg>>4)<<4 | 2
		p1 := (^v&15)<<3 | 4 | 2
		p2 := 2<<5 | not(v>>4)<<3
		modrm := 3<<6 | reg&7<<3 | rm&7
		return fmt.Appendf(nil, "\tLONG $0x%02x%02x%02x62\n\tWORD $0x%02x52 // VDPBF16PS Z%d, Z%d, Z%d", p2, p1, p0, modrm, rm, v, reg)
	})
}

// toBF16 emits the rounding of activations.
func toBF16() {
	TEXT("avx512ToBF16", NOSPLIT, "func(n int, x *float32, y *uint16)")
	Doc("avx512ToBF16 rounds to bfloat16, nearest even: see leaf.bf16.")
	Pragma("noescape")
	n, x, y := arg("n"), ptr("x"), ptr("y")
	one, half, nan, quiet := splat(1), splat(0x7fff), K(), splat(0x7fc0)
	Label("loop")
	v, odd := load(x), ZMM()
	VCMPPS(U8(3), v, v, nan)
	VPSRLD(U8(16), v, odd)
	VPANDD(one, odd, odd)
	VPADDD(half, v, v)
	VPADDD(odd, v, v)
	VPSRLD(U8(16), v, v)
	VMOVDQA32(quiet, nan, v)
	VPMOVDW(v, y)
	advance(x, 64)
	advance(y, 32)
	SUBQ(U8(16), n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
