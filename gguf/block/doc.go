// Package block describes the block formats of GGML, as GGUF files store them:
// their numbers, sizes and layouts, and how to decode and encode them in plain
// Go.
//
// A quantised row is a sequence of blocks. A block holds [Type.Len] values in
// [Type.Size] bytes, little-endian; the element type of a tensor is one Go
// struct per format ([Q4_0], [Q4_K], ...), so a tensor of r rows and c values a
// row has the shape [r, c/Len].
//
// [Dequantize] is the specification of every format: its results are equal, bit
// for bit, to those of PyPI's gguf package (testdata/golden.py). All products
// are rounded to float32 before they are added, on every architecture.
//
//	type     values  bytes  value
//	Q4_0         32     18  d·(q-8)                     4-bit q
//	Q4_1         32     20  d·q + m
//	Q5_0         32     22  d·(q-16)                    5-bit q
//	Q5_1         32     24  d·q + m
//	Q8_0         32     34  d·q                         int8 q
//	Q2_K        256     84  d·sc·q - dmin·m             2-bit q, 4-bit sc, m per 16
//	Q3_K        256    110  d·(sc-32)·q                 3-bit q, 6-bit sc per 16
//	Q4_K        256    144  d·sc·q - dmin·m             4-bit q, 6-bit sc, m per 32
//	Q5_K        256    176  d·sc·q - dmin·m             5-bit q, 6-bit sc, m per 32
//	Q6_K        256    210  d·sc·(q-32)                 6-bit q, int8 sc per 16
//	IQ4_NL       32     18  d·table[q]                  4-bit q
//	IQ4_XS      256    136  d·(sc-32)·table[q]          4-bit q, 6-bit sc per 32
//	IQ1–IQ3     256  50-110 d·sc·grid[q]·sign           grids of 4 or 8 values
//	TQ1_0       256     54  d·t                         ternary, 5 to a byte
//	TQ2_0       256     66  d·t                         ternary, 4 to a byte
//
// The package depends on nothing but the standard library and
// gorgonia.org/tensor. All functions are safe for concurrent use.
package block
