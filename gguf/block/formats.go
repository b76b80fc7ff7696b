package block

// One struct per block format, laid out as in the file: no padding, at most
// 4-byte alignment. Field names follow GGML's.

// Q4_0 is 32 values d·(q-8). Byte i of Qs holds values i (low nibble) and i+16.
type Q4_0 struct {
	D  F16
	Qs [16]byte
}

// Q4_1 is 32 values d·q + m, nibbles as in [Q4_0].
type Q4_1 struct {
	D, M F16
	Qs   [16]byte
}

// Q5_0 is 32 values d·(q-16): low nibbles as in [Q4_0], bit i of Qh is bit 4 of
// value i.
type Q5_0 struct {
	D  F16
	Qh [4]byte
	Qs [16]byte
}

// Q5_1 is 32 values d·q + m, bits as in [Q5_0].
type Q5_1 struct {
	D, M F16
	Qh   [4]byte
	Qs   [16]byte
}

// Q8_0 is 32 values d·q.
type Q8_0 struct {
	D  F16
	Qs [32]int8
}

// Q2_K is 16 groups of 16 values d·sc·q - dmin·m; sc is the low, m the high
// nibble of Scales. Each 32 bytes of Qs hold 128 values, two bits a plane.
type Q2_K struct {
	Scales  [16]byte
	Qs      [64]byte
	D, DMin F16
}

// Q3_K is 16 groups of 16 values d·(sc-32)·(q - 4·(1-h)): q as in [Q2_K], h one
// bit of HMask (bit j for values 32j to 32j+31), sc six bits, four low ones in
// Scales[0:8] and two high ones in Scales[8:12].
type Q3_K struct {
	HMask  [32]byte
	Qs     [64]byte
	Scales [12]byte
	D      F16
}

// Q4_K is 8 groups of 32 values d·sc·q - dmin·m. Scales packs eight 6-bit sc and
// eight 6-bit m ([ScaleMin]). Each 32 bytes of Qs hold two groups, the first in
// the low nibbles.
type Q4_K struct {
	D, DMin F16
	Scales  [12]byte
	Qs      [128]byte
}

// Q5_K is [Q4_K] with a fifth bit: bit j of Qh[i] belongs to value i of group j.
type Q5_K struct {
	D, DMin F16
	Scales  [12]byte
	Qh      [32]byte
	Qs      [128]byte
}

// Q6_K is 16 groups of 16 values d·sc·(q-32). Each half of 128 values takes 64
// bytes of Ql (low nibbles: values 0-63, high: 64-127) and 32 bytes of Qh (two
// bits a plane of 32 values).
type Q6_K struct {
	Ql     [128]byte
	Qh     [64]byte
	Scales [16]int8
	D      F16
}

// IQ4_NL is 32 values d·table[q], nibbles as in [Q4_0], table [IQ4Values].
type IQ4_NL struct {
	D  F16
	Qs [16]byte
}

// IQ4_XS is 8 groups of 32 values d·(sc-32)·table[q]; sc has four low bits in
// ScalesL and two high ones in ScalesH. Each 16 bytes of Qs hold one group.
type IQ4_XS struct {
	D       F16
	ScalesH uint16
	ScalesL [4]byte
	Qs      [128]byte
}

// IQ2_XXS is 8 groups of 32: four grid indices (a byte each), four 7-bit sign
// indices and a 4-bit scale in four uint16.
type IQ2_XXS struct {
	D  F16
	Qs [32]uint16
}

// IQ2_XS is 32 groups of 8: a 9-bit grid index and a 7-bit sign index in a
// uint16; a 4-bit scale per 16 values.
type IQ2_XS struct {
	D      F16
	Qs     [32]uint16
	Scales [8]byte
}

// IQ2_S is 32 groups of 8: a 10-bit grid index (Qs[0:32] and two bits of Qh), 8
// signs (Qs[32:64]); a 4-bit scale per 16 values.
type IQ2_S struct {
	D      F16
	Qs     [64]byte
	Qh     [8]byte
	Scales [8]byte
}

// IQ3_XXS is 64 groups of 4, a byte of grid index each; then per 32 values a
// uint32 with four 7-bit sign indices and a 4-bit scale.
type IQ3_XXS struct {
	D  F16
	Qs [96]byte
}

// IQ3_S is 64 groups of 4: a 9-bit grid index (Qs and a bit of Qh), plain signs,
// a 4-bit scale per 32 values.
type IQ3_S struct {
	D      F16
	Qs     [64]byte
	Qh     [8]byte
	Signs  [32]byte
	Scales [4]byte
}

// IQ1_S is 32 groups of 8: an 11-bit grid index (Qs and three bits of Qh); Qh
// also has a 3-bit scale and the sign of the shift per 32 values.
type IQ1_S struct {
	D  F16
	Qs [32]byte
	Qh [8]uint16
}

// IQ1_M is [IQ1_S] with a shift per 8 and a scale per 16 values; the float16 d
// is spread over the top nibbles of Scales' four uint16.
type IQ1_M struct {
	Qs     [32]byte
	Qh     [16]byte
	Scales [8]byte
}

// TQ1_0 is 256 values d·t, t in {-1, 0, 1}, five to a byte as base-3 fractions.
type TQ1_0 struct {
	Qs [48]byte
	Qh [4]byte
	D  F16
}

// TQ2_0 is 256 values d·(q-1), two bits each, planes of 32 values.
type TQ2_0 struct {
	Qs [64]byte
	D  F16
}
