package avx512

import (
	"encoding/binary"
	"math/bits"
	"regexp"
	"strings"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Neither avo nor Go's assembler has the instructions for bfloat16. Ones with the same operands that nothing else here uses stand in for them, until Encode
// writes their bytes.

// vdpbf16ps multiplies and adds pairs of bfloat16: acc += a·b.
func vdpbf16ps(a, b, acc VecVirtual) { VPMADD52LUQ(a, b, acc) }

// vdpbf16psBcst is vdpbf16ps with the pair at m for all of a.
func vdpbf16psBcst(m Mem, b, acc VecVirtual) { VPMADD52LUQ_BCST(m, b, acc) }

// vcvtne2ps2bf16 rounds lo and hi to bfloat16, nearest even, one after the other.
func vcvtne2ps2bf16(lo, hi, to VecVirtual) { VPMULTISHIFTQB(lo, hi, to) }

// standIn matches a stand-in: its name, the first operand (a register, or displacement, base, index and scale of memory), and the others.
var standIn = regexp.MustCompile(`(?m)^\t(VPMADD52LUQ|VPMADD52LUQ\.BCST|VPMULTISHIFTQB)\s+(?:Z(\d+)|(-?\d*)\(([A-Z0-9]+)\)(?:\(([A-Z0-9]+)\*(\d)\))?), Z(\d+), Z(\d+)$`)

// Encode writes the bytes of the instructions for which others stand in.
func Encode(text []byte) []byte {
	return standIn.ReplaceAllFunc(encodeVNNI(encodeTiles(text)), func(line []byte) []byte {
		m := standIn.FindStringSubmatch(string(line))
		e := evex{opcode: 0x52, prefix: 2, v: number(m[7]), reg: number(m[8])}
		name := "VDPBF16PS"
		switch {
		case m[1] == "VPMULTISHIFTQB":
			name, e.opcode, e.prefix = "VCVTNE2PS2BF16", 0x72, 3
			e.register(number(m[2]))
		case m[2] != "":
			e.register(number(m[2]))
		default:
			name += ".BCST"
			e.memory(number(m[3]), generals[m[4]], generals[m[5]], number(m[6]), m[5] != "")
		}
		operands := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(string(line)), m[1]))
		return written(e.bytes(), name+" "+operands)
	})
}

// generals are the numbers of the registers that address memory.
var generals = map[string]int{"AX": 0, "CX": 1, "DX": 2, "BX": 3, "SP": 4, "BP": 5, "SI": 6, "DI": 7,
	"R8": 8, "R9": 9, "R10": 10, "R11": 11, "R12": 12, "R13": 13, "R14": 14, "R15": 15}

// evex is an instruction EVEX.512.prefix.0F38.W0 opcode (Intel, "Architectures Software Developer's Manual", volume 2A, section 2.7).
type evex struct {
	opcode, prefix int // prefix: 2 for F3, 3 for F2
	v, reg         int
	b, x, ext      int // broadcast; bits 4 and 3 of the first operand, inverted in their byte
	rest           []byte
}

func (e *evex) register(rm int) {
	e.x, e.ext = rm>>4, rm>>3&1
	e.rest = []byte{byte(3<<6 | e.reg&7<<3 | rm&7)}
}

// memory broadcasts a dword: a displacement of one byte counts dwords.
func (e *evex) memory(disp, base, index, scale int, indexed bool) {
	e.b, e.ext, e.x = 1, base>>3, index>>3
	e.rest = address(e.reg, disp, 4, base, index, scale, indexed)
}

// address is ModRM, SIB and displacement of an operand in memory, with an index if there is one. A displacement of one byte counts units.
func address(reg, disp, unit, base, index, scale int, indexed bool) []byte {
	mod, short := 2, disp%unit == 0 && disp/unit >= -128 && disp/unit < 128
	switch {
	case disp == 0 && base&7 != 5:
		mod = 0
	case short:
		mod = 1
	}
	var code []byte
	switch modrm := mod<<6 | reg&7<<3; {
	case indexed:
		code = []byte{byte(modrm | 4), byte(bits.TrailingZeros(uint(scale))<<6 | index&7<<3 | base&7)}
	case base&7 == 4:
		code = []byte{byte(modrm | 4), byte(4<<3 | base&7)}
	default:
		code = []byte{byte(modrm | base&7)}
	}
	switch mod {
	case 1:
		code = append(code, byte(disp/unit))
	case 2:
		code = binary.LittleEndian.AppendUint32(code, uint32(disp))
	}
	return code
}

func (e *evex) bytes() []byte {
	not := func(bit int) int { return ^bit & 1 }
	p0 := not(e.reg>>3)<<7 | not(e.x)<<6 | not(e.ext)<<5 | not(e.reg>>4)<<4 | 2
	p1 := (^e.v&15)<<3 | 4 | e.prefix
	p2 := 2<<5 | e.b<<4 | not(e.v>>4)<<3
	return append([]byte{0x62, byte(p0), byte(p1), byte(p2), byte(e.opcode)}, e.rest...)
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
