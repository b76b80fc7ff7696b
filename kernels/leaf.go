package kernels

import (
	"unsafe"

	"github.com/llama31/llama31/gguf/block"
)

// The assembly is generated for all machines on any.
//
//go:generate go -C _asm run . -set avx2 -pkg kernels -out ../leaf_avx2_amd64.s -stubs ../leaf_avx2_amd64.go
//go:generate go -C _asm run . -set avxvnni -pkg kernels -out ../leaf_avxvnni_amd64.s -stubs ../leaf_avxvnni_amd64.go
//go:generate go -C _asm run . -set avx512 -pkg kernels -out ../leaf_avx512_amd64.s -stubs ../leaf_avx512_amd64.go
//go:generate go -C _asm run ./neon -out ../leaf_neon_arm64.s -stubs ../leaf_neon_arm64.go

// leaf is one row of the CPU device's table: the innermost loops for one instruction set. The row "generic" (leaf_generic.go) is
// plain Go and defines what each function computes, to the bit; the others must equal it.
//
// Pointers in arguments lead to buffers of the documented lengths; alignment is that of the element. Assembly may read, but not
// use, up to 64 bytes past a weight row's end only where the caller says so; it never writes past the end.
type leaf struct {
	name string

	// quantize turns x [32·nb] into int8 q [32·nb], scale [nb] = max|x|/limit, half [2·nb] = Σq of each 16, sum [nb] = float32(Σq of 32)·scale. limit is at most 127.
	quantize func(nb int, limit float32, x *float32, q *int8, scale, sum *float32, half *int32)
	// residue computes rest[i] = x[i] − q[i]·scale[i/32], product and difference rounded each: what quantize left over.
	residue func(nb int, x *float32, q *int8, scale, rest *float32)
	// sumSquares returns Σx² as 16 fused partial sums (k mod 16), added in order. n is a multiple of 32.
	sumSquares func(n int, x *float32) float32
	// scaleMul computes y[i] = (x[i]·r)·w[i]. n is a multiple of 32.
	scaleMul func(n int, r float32, x, w, y *float32)
	// swiglu computes g[i] = g[i]/(1+exp32(−g[i]))·u[i]. n is a multiple of 16.
	swiglu func(n int, g, u *float32)
	// rotate turns the pairs (2i, 2i+1) of x and scales them: x[j] = (x[j]·cos[j] + x[j^1]·sin[j])·r, rounded at each step; cos holds each cosine twice, and sin
	// −sine and sine. n is a multiple of 16.
	rotate func(n int, r float32, x, cos, sin *float32)
	// add computes y[i] += x[i]. n is a multiple of 16.
	add func(n int, x, y *float32)

	// tile is the number of tokens that mul and mulFloat take at once.
	tile, tileFloat int
	// interleave gathers 16 unpacked rows (each 32·nb bytes, stride apart) into a panel's [nb][8][16][4], blocks in panel order.
	interleave func(nb int, rows *byte, stride int, q *byte)
	// unpack overrides format.unpack for a block type where this instruction set is faster.
	unpack map[block.Type]func(nb int, w, q *byte, scale, off *float32)
	// panels open 16 rows, stride bytes apart, into a panel, by block type. Other types are unpacked, and interleaved.
	panels map[block.Type]func(w *byte, stride, nb int, q *byte, scale, off *float32)
	// abreast is how many panels mul and mulFloat take at once, 1 or 2.
	abreast, abreastFloat int
	// mul multiplies a panel of 16 rows, or two, by a tile of tokens, or by tilesAtOnce.
	mul func(f *format, a *mulArgs)
	// centre is for a mul that takes signed bytes (AMX): it subtracts the bias from a panel's values, in place. Then tiles are rows, [nb][tile][32].
	// nil: panels are biased, and tiles interleaved.
	centre func(nb, bias int, q *byte)
	// winograd is for panels that are multiplied in pairs; nil: none are. winogradFaster says whether it is faster here.
	winograd       *winogradLeaf
	winogradFaster func() bool
	// mulFloat is mul for float panels. With one abreast it takes one tile.
	mulFloat func(a *mulFloatArgs)

	// bf16 is for a CPU that multiplies bfloat16 as it is: BF16 weights, and a KV cache of 16 bits for large heads; nil: these take float32 activations, and float16.
	bf16 *bf16Leaf

	// dots are the fused row dots of generation, by block type. Types without one go through panels. strips is the largest batch that dot.strip takes, at most stripTokens.
	dots   map[block.Type]dot
	strips int

	// attend runs one page of keys and values for a tile of query rows that share a KV head.
	attend func(a *attendArgs)
	// attendQ8 is attend for pages of int8; nil: attendQ8Generic.
	attendQ8 func(a *attendArgs)
	// merge computes total[i] = fma(o[i], b, total[i]·a). n is a multiple of 16.
	merge func(n int, a, b float32, o, total *float32)
	// toF16 rounds to float16 (nearest even). n is a multiple of 16.
	toF16 func(n int, x *float32, y *uint16)
	// fromF16 and fromBF16 widen float16 and bfloat16. n is a multiple of 16.
	fromF16, fromBF16 func(n int, x *uint16, y *float32)
	// lanes gathers 16 rows of k float32, float16 or bfloat16, stride bytes apart, into a float panel [k][16], with k in the order 0, 16, …, 1, 17, …; it is a multiple of 16, or of 32 where
	// values have 16 bits. It is filled where the instruction set transposes as it reads; others widen rows, interleave them and move the results (gather).
	lanes map[block.Type]func(k int, rows *byte, stride int, w *float32)
}

// bf16Leaf has products of bfloat16 weights with activations rounded to bfloat16, and attention over keys and values that are rounded so. Two values to a dword
// take the place of a float32, and dpbf16 that of the fused multiply-add.
type bf16Leaf struct {
	round func(n int, x *float32, y *uint16) // nearest even, any NaN to 0x7fc0; n is a multiple of 16
	mul   func(a *mulFloatArgs)              // of dwords; nil if dot is tiled
	dot   dot                                // dotArgs.x is of dwords, 16·nb for a token

	// attend is leaf.attend for pages in pairs, with twice its speed. See attendArgs; here, with key 2j in the lower half of a dword,
	//
	//	s[key] = dpbf16 over pairs of dimensions, in order from +0
	//	o[d] = o[d]·c, then dpbf16 over pairs of keys in order, p rounded to bfloat16; beyond an odd count, p and v are 0
	attend func(a *attendArgs)
}

// dotBlocks is the least blocks in a row of integers that a dot takes: a whole group of the 8 partial sums.
const dotBlocks = 8

// dot multiplies rows of one block type by a few tokens, straight from the file's bytes. Rows of integers have dotBlocks or more.
type dot struct {
	tokens  int                            // most tokens in a call of run
	arrange func(nb int, q *int8, o *int8) // puts a token's 32·nb int8 in the order that run wants; nil: as they are
	run     func(a *dotArgs)
	strip   func(a *stripArgs) // of integers: takes the place of run for more than tokens, up to leaf.strips; nil: none does
	tiled   bool               // of pairs: tokens come in tiles, see acts.fillPairTile, and dots take the place of panels however many there are
}

// The largest batches that run as row dots: a dot reads the weights once for up to its own number of tokens, and the panels' decoding pays
// from about twice that on. Strips decode once for 32 tokens.
const (
	dotTokens   = 8
	stripTokens = 64
)

// dotArgs: y[t·ldy+r] = row r · token t, for rows rows and tokens tokens.
type dotArgs struct {
	w      *byte // first row
	stride int   // bytes from row to row
	rows   int
	nb     int // blocks of 32 in a row
	tokens int
	q      *int8    // [tokens][32·nb], arranged for run; float formats: unused
	scale  *float32 // [tokens][nb]
	sum    *float32 // [tokens][nb]
	half   *int32   // [tokens][2·nb]
	x      *float32 // [tokens][32·nb], float formats only
	y      *float32
	ldy    int // floats from token to token
}

// stripArgs is dotArgs for dot.strip. Of a block the values of all tokens lie side by side: in rows, those lie 4096 bytes apart or a multiple of that, and share a few sets
// of a cache. On a Zen 5 that, two tokens at a time and fewer loads made 331 GMAC/s of 232 with 32 tokens, and 268 of 250 with 8 (Q4_K, from cache).
type stripArgs struct {
	w      *byte
	stride int
	rows   int
	near   *byte // 16 rows with which the worker will likely go on
	nb     int
	tokens int
	ld     int      // tokens from block to block, which is even: an odd last one is taken with what follows it
	q      *int8    // [nb][ld][32]
	scale  *float32 // [nb][ld]
	sum    *float32 // [nb][ld]
	scales int      // per 32 values, 1 or 2
	init   *int32   // [nb][ld][scales]: −bias·Σq of 32 or 16, for formats with a bias
	y      *float32
	ldy    int
}

// mulArgs: c[t·ldc+r] = panel row r · token t, for 16 rows and the tokens of so many tiles, leaf.tile each, which follow one another. Blocks are in panel order (see panelOrder): segment
// j has nb/8 blocks, one more if j < nb mod 8. Where two panels are taken at once, each array of the second lies apart bytes from that of the first, and its c apartC floats; apart is 0 if
// there is no second, whose c is written all the same.
type mulArgs struct {
	nb     int
	q      *byte    // panel: [nb][8][16][4], stored values = q + format.bias, or q for a leaf with centre
	scale  *float32 // [nb][format.scales][16]
	off    *float32 // [nb][format.offs][16]
	apart  int
	tiles  int      // at most leaf.tilesAtOnce
	a      *int8    // tile: [nb][8][tile][4], or [nb][tile][32] for a leaf with centre
	as     *float32 // [nb][tile]
	sum    *float32 // [nb][format.offs][tile]: float32(Σq of 32 or 16)·scale
	init   *int32   // [nb][format.scales][tile]: −bias·Σq of 32 or 16, for formats with a bias; or what winogradLeaf.tile gives
	cross  *int32   // [nb][format.scales][16] from winogradLeaf.panel, for winogradLeaf.mul
	part   *float32 // [tiles][tile][32] for sums of a segment that is taken in parts, where there are two panels
	c      *float32
	ldc    int // floats from token to token
	apartC int
	near   near
}

// A mul of several tiles takes mulBlocks of their blocks with a leaf that has centre: some 40 µs of work, beside 0.2 for setting up its registers, and 640 KB, which the next
// panel finds in the cache of the second level. With two panels it takes twinTiles, through which parts of these stay in the first. It never takes more than mulTiles.
const (
	mulBlocks = 1024
	twinTiles = 8
	mulTiles  = 32
)

// tilesAtOnce is how many tiles of nb blocks mul takes.
func (l *leaf) tilesAtOnce(nb int) int {
	if l.centre != nil {
		return min(max(1, mulBlocks/nb), mulTiles)
	}
	return tilesOf(l.abreast)
}

// floatTilesAtOnce is how many tiles mulFloat takes.
func (l *leaf) floatTilesAtOnce() int { return tilesOf(l.abreastFloat) }

// tilesOf is how many tiles so many panels abreast take at once.
func tilesOf(abreast int) int {
	if abreast == 2 {
		return twinTiles
	}
	return 1
}

// near is where a microkernel may prefetch while it works, so many bytes past a row: what will be decoded next. An address that is not there does no harm.
type near struct {
	row   *byte
	ahead int
}

// near is how many bytes mul prefetches: a line for each block of a tile, or of two panels for a pass of 4 tokens and up to 8 blocks of a segment.
func (l *leaf) near(nb, tiles int) int {
	if l.abreast == 1 {
		return 64 * nb * tiles
	}
	chunks := 0
	for j := range 8 {
		chunks += (panelStart(nb, j+1) - panelStart(nb, j) + 7) / 8
	}
	return 64 * l.tile / 4 * chunks * tiles
}

// floatNear is near for mulFloat of two panels: 4 lines for a pass of 8 tokens and up to 128 values of a row's sixteenth.
func (l *leaf) floatNear(k, tiles int) int {
	return 4 * 64 * l.tileFloat / 8 * 16 * ((k/16 + 127) / 128) * tiles
}

// mulFloatArgs: c[t·ldc+r] = panel row r · token t, for 16 rows and the tokens of so many tiles, leaf.tileFloat each; k is a multiple of 16, and the panel and
// the tiles have k in the order 0, 16, 32 …, 1, 17 … (16 partial sums, added to 0 in order). What is not said here is as in mulArgs.
type mulFloatArgs struct {
	k      int
	w      *float32 // [k][16]
	apart  int
	tiles  int      // at most leaf.floatTilesAtOnce
	a      *float32 // [tiles][k][tileFloat]
	part   *float32 // [tiles][tileFloat][32]
	c      *float32
	ldc    int
	apartC int
	near   near
}

// attendArgs is one page against rows query rows that share a KV head. A row with count ≤ 0 is left alone. For each row, with
// s[key] = Σ_d fma(q[d], k[d][key]) in order of d from +0, for key < count:
//
//	m' = max(m, max s);  p = exp32(s − m');  c = exp32(m − m')
//	l  = fma(l, c, Σp), Σ over 32 lanes (0 past count) folded 16, 8, 4, 2, 1
//	o[d] = o[d]·c, then fma(p[key], v[key][d], o[d]) in order of key
//
// In a page of int8, k[d][key] = k8[d][key]·ks[d/32][key] and v[key][d] = v8[key][d]·vs[d/32][key]: 19 bits, exact in a float32.
type attendArgs struct {
	headDim int // a multiple of 16; for int8, of 32
	rows    int
	q       *float32 // [rows][headDim], scaled by 1/√headDim
	k       *uint16  // [headDim][PageSize] float16
	v       *uint16  // [PageSize][headDim] float16
	count   *int32   // [rows] keys that the row may see, at most PageSize
	m, l    *float32 // [rows]
	o       *float32 // [rows][headDim]

	k8, v8 *int8   // [headDim][PageSize] and [PageSize][headDim]: attendQ8's, in place of k and v
	ks, vs *uint16 // [headDim/32][PageSize] float16

	// bf16Leaf.attend's, in place of q, k and v: pairs of dimensions [rows][headDim/2] and [headDim/2][PageSize], of keys [PageSize/2][headDim].
	q2, k2, v2 *uint32
	whole      bool  // every row sees the whole page
	next       *byte // the page that follows, which is fetched into cache meanwhile; nil: none
}

// run finds the first rows from r on that see something: where they begin, and how many there are.
func (a *attendArgs) run(r int) (first, n int) {
	count := slice(a.count, a.rows)
	for r < a.rows && count[r] <= 0 {
		r++
	}
	for r+n < a.rows && count[r+n] > 0 {
		n++
	}
	return r, n
}

// alike is run for rows that all see the same number of keys.
func (a *attendArgs) alike(r int) (first, n int) {
	first, n = a.run(r)
	count := slice(a.count, a.rows)
	for i := range n {
		if count[first+i] != count[first] {
			return first, i
		}
	}
	return first, n
}

// A format says how a block type's 32 values become integers with scales and offsets. value = (stored − bias)·scale + off.
type format struct {
	scales int   // per 32 values: 1, or 2 (one per 16)
	offs   int   // per 32 values: 0, 1 or 2
	bias   int32 // stored values are q + bias, unsigned
	min    uint8 // the least stored value
	max    uint8 // the largest: how many products fit into an int16 sum
	// unpack writes nb blocks of 32: q [32·nb] in order of k, scale [nb·scales], off [nb·offs].
	unpack func(nb int, w, q *byte, scale, off *float32)
}

// byScales picks a microkernel for a format's scales and offsets: of one scale per 32 values or of two, with a bias, or of one, with an offset or two.
func byScales[F any](f *format, bias, off, bias2, off2 F) F {
	switch {
	case f.offs == 2:
		return off2
	case f.scales == 2:
		return bias2
	case f.offs == 1:
		return off
	}
	return bias
}

// panelStart is where segment j of the panel order begins: blocks 0, 8, 16 …, then 1, 9, 17 … and so on.
func panelStart(nb, j int) int { return j*(nb/8) + min(j, nb%8) }

// panelIndex is where block b of nb stands in panel order.
func panelIndex(nb, b int) int { return panelStart(nb, b%8) + b/8 }

// slice is p as a slice of n elements. The callers own buffers of at least that length.
func slice[T any](p *T, n int) []T { return unsafe.Slice(p, n) }

// at is the element i past p.
func at[T any](p *T, i int) *T {
	return (*T)(unsafe.Add(unsafe.Pointer(p), i*int(unsafe.Sizeof(*p))))
}
