package llama

import "math/bits"

// uniform is a draw in [0, 1), a multiple of 2⁻⁵³, that depends on the seed, the choice and the position alone, so that a text does
// not depend on what else runs.
func uniform(seed uint64, choice, position int) float64 {
	c := philox([4]uint32{uint32(position), uint32(uint64(position) >> 32), uint32(choice), 0}, seed)
	return float64((uint64(c[0])<<32|uint64(c[1]))>>11) / (1 << 53)
}

// philox is Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): random bits for a counter and a key.
func philox(c [4]uint32, key uint64) [4]uint32 {
	k0, k1 := uint32(key), uint32(key>>32)
	for range 10 {
		h0, l0 := bits.Mul32(0xD2511F53, c[0])
		h1, l1 := bits.Mul32(0xCD9E8D57, c[2])
		c = [4]uint32{h1 ^ c[1] ^ k0, l1, h0 ^ c[3] ^ k1, l0}
		k0 += 0x9E3779B9
		k1 += 0xBB67AE85
	}
	return c
}
