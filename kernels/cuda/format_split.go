package cuda

import (
	"encoding/binary"

	"github.com/llama31/llama31/gguf/block"
)

// The functions here take blocks apart to integers and scales, for a row's part of a record: those of 32 values are called for
// the whole part, eight blocks or fewer at its end.

func half(b []byte) uint16 { return binary.LittleEndian.Uint16(b) }

func nibbles(q, qs []byte) {
	for i, v := range qs[:16] {
		q[i], q[i+16] = v&15, v>>4
	}
}

func fifth(q []byte, high uint32) {
	for i := range 32 {
		q[i] |= byte(high >> i & 1 << 4)
	}
}

func splitQ8_0(s *splitRow, b []byte) {
	for i := 0; len(b) > 0; i, b = i+1, b[34:] {
		s.scale[i] = half(b)
		for j, v := range b[2:34] {
			s.q[32*i+j] = v ^ 128
		}
	}
}

func splitQ4_0(s *splitRow, b []byte) {
	for i := 0; len(b) > 0; i, b = i+1, b[18:] {
		s.scale[i] = half(b)
		nibbles(s.q[32*i:], b[2:])
	}
}

func splitQ4_1(s *splitRow, b []byte) {
	for i := 0; len(b) > 0; i, b = i+1, b[20:] {
		s.scale[i], s.offset[i] = half(b), half(b[2:])
		nibbles(s.q[32*i:], b[4:])
	}
}

func splitQ5_0(s *splitRow, b []byte) {
	for i := 0; len(b) > 0; i, b = i+1, b[22:] {
		s.scale[i] = half(b)
		nibbles(s.q[32*i:], b[6:])
		fifth(s.q[32*i:32*i+32], binary.LittleEndian.Uint32(b[2:]))
	}
}

func splitQ5_1(s *splitRow, b []byte) {
	for i := 0; len(b) > 0; i, b = i+1, b[24:] {
		s.scale[i], s.offset[i] = half(b), half(b[2:])
		nibbles(s.q[32*i:], b[8:])
		fifth(s.q[32*i:32*i+32], binary.LittleEndian.Uint32(b[4:]))
	}
}

// planes spreads 64 bytes of two-bit values, 128 to 32 bytes.
func planes(q *[superK]uint8, qs []byte) {
	for k := range q {
		q[k] = qs[k/128*32+k%32] >> (k % 128 / 32 * 2) & 3
	}
}

func splitQ2_K(s *splitRow, b []byte) {
	copy(s.codes[:], b[:16])
	planes(&s.q, b[16:80])
	s.d, s.m = half(b[80:]), half(b[82:])
}

func splitQ3_K(s *splitRow, b []byte) {
	mask, scales := b[:32], b[96:108]
	planes(&s.q, b[32:96])
	for k := range s.q {
		s.q[k] |= mask[k%32] >> (k / 32) & 1 << 2
	}
	for g := range s.codes {
		s.codes[g] = (scales[g%8]>>(g/8*4)&15 | scales[8+g%4]>>(g/4*2)&3<<4) - 32
	}
	s.d = half(b[108:])
}

func splitQ4_K(s *splitRow, b []byte) {
	s.d, s.m = half(b), half(b[2:])
	scales := (*[12]byte)(b[4:16])
	for g := range 8 {
		s.codes[g], s.codes[8+g] = block.ScaleMin(scales, g)
	}
	for k := range s.q {
		s.q[k] = b[16+k/64*32+k%32] >> (k / 32 % 2 * 4) & 15
	}
}

func splitQ5_K(s *splitRow, b []byte) {
	s.d, s.m = half(b), half(b[2:])
	scales := (*[12]byte)(b[4:16])
	for g := range 8 {
		s.codes[g], s.codes[8+g] = block.ScaleMin(scales, g)
	}
	for k := range s.q {
		s.q[k] = b[48+k/64*32+k%32]>>(k/32%2*4)&15 | b[16+k%32]>>(k/32)&1<<4
	}
}

func splitQ6_K(s *splitRow, b []byte) {
	for k := range s.q {
		h, plane, i := k/128, k%128/32, k%32
		s.q[k] = b[64*h+plane%2*32+i]>>(plane/2*4)&15 | b[128+32*h+i]>>(2*plane)&3<<4
	}
	copy(s.codes[:], b[192:208])
	s.d = half(b[208:])
}

func splitIQ4_XS(s *splitRow, b []byte) {
	s.d = half(b)
	high, low, qs := half(b[2:]), b[4:8], b[8:]
	for g := range 8 {
		s.codes[g] = (low[g/2]>>(g%2*4)&15 | byte(high>>(2*g)&3<<4)) - 32
		nibbles(s.q[32*g:], qs[16*g:])
	}
}
