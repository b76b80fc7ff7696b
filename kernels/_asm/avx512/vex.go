package avx512

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// vex is an instruction VEX.prefix.0F38.W0 opcode (Intel, "Architectures Software Developer's Manual", volume 2A, section 2.3.5).
type vex struct {
	opcode, prefix int // prefix: 1 for 66, 2 for F3, 3 for F2
	long           int // 1 for 256 bits
	v, reg         int
}

func (e vex) register(rm int) []byte {
	return append(e.head(0, rm>>3), byte(3<<6|e.reg&7<<3|rm&7))
}

// memory has an operand at an address, with an index if there is one.
func (e vex) memory(disp, base, index, scale int, indexed bool) []byte {
	return append(e.head(index>>3, base>>3), address(e.reg, disp, 1, base, index, scale, indexed)...)
}

// head is what comes before ModRM, whose operands have these fourth bits.
func (e vex) head(x, b int) []byte {
	not := func(bit int) int { return ^bit & 1 }
	return []byte{0xc4, byte(not(e.reg>>3)<<7 | not(x)<<6 | not(b)<<5 | 2), byte((^e.v&15)<<3 | e.long<<2 | e.prefix), byte(e.opcode)}
}

// standsForVEX matches VPDPBUSD of 256 bits, which Go's assembler has of AVX-512 alone: these are for AVX-VNNI.
var standsForVEX = regexp.MustCompile(`(?m)^\tVPDPBUSD\s+((?:Y(\d+)|(-?\d*)\(([A-Z0-9]+)\)(?:\(([A-Z0-9]+)\*(\d)\))?), Y(\d+), Y(\d+))$`)

// encodeVNNI writes the bytes of AVX-VNNI's instruction.
func encodeVNNI(text []byte) []byte {
	return standsForVEX.ReplaceAllFunc(text, func(line []byte) []byte {
		m := standsForVEX.FindStringSubmatch(string(line))
		e := vex{opcode: 0x50, prefix: 1, long: 1, v: number(m[7]), reg: number(m[8])}
		var code []byte
		if m[2] != "" {
			code = e.register(number(m[2]))
		} else {
			code = e.memory(number(m[3]), generals[m[4]], generals[m[5]], number(m[6]), m[5] != "")
		}
		return written(code, "VPDPBUSD "+m[1])
	})
}

// number is what a pattern matched of digits only; 0 if that is nothing.
func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// written is a line with the bytes of an instruction, 4 or more, and what they are.
func written(code []byte, comment string) []byte {
	bytes := make([]string, len(code)-4)
	for i, c := range code[4:] {
		bytes[i] = fmt.Sprintf("; BYTE $0x%02x", c)
	}
	return fmt.Appendf(nil, "\tLONG $0x%08x%s // %s", binary.LittleEndian.Uint32(code), strings.Join(bytes, ""), comment)
}
