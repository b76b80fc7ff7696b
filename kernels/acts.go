package kernels

import (
	"math"
	"unsafe"

	"github.com/llama31/llama31/gguf/block"
)

// acts is the operand of a product: n rows of k activations. Integer formats take them quantised, as rows for dots or as tiles for
// panels; float formats as they are, or as float tiles.
//
// A wide operand has 2·n integer rows: after those of the activations come as many of what their rounding left over, quantised alike.
// A product with both, added, sees activations of some 15 bits.
type acts struct {
	n, k, nb int
	limit    float32   // of the quantised
	x        []float32 // [n][k]

	q     []int8    // [n, or 2·n if wide][k]
	scale []float32 // [n, 2·n][nb]
	sum   []float32 // [n, 2·n][nb]
	half  []int32   // [n, 2·n][2·nb]

	arranged [3][]int8 // [dotTokens, 2·dotTokens][k] per product: rows in the order that its dot wants

	tile   []int8     // [tiles][nb][8][tile][4], or [tiles][nb][tile][32] (leaf.centre), blocks in panel order, as the next four
	tscale []float32  // [tiles][nb][tile]
	tsum   []float32  // [tiles][nb][tile]
	thalf  []float32  // [tiles][nb][2][tile]
	init   [3][]int32 // [tiles][nb][scales][tile] per product with a bias
	ftile  []float32  // [tiles][k][tileFloat], k in the order 0, 16, …, 1, 17, …

	ld     int       // columns of strips: rows, and one more if they are odd
	strip  []int8    // [nb][ld][32]; then init is [nb][ld][scales]
	sscale []float32 // [nb][ld]
	ssum   []float32 // [nb][ld]

	pairs []float32 // [n][k/2]: two bfloat16 each
	ptile []float32 // [tiles][k/2][tileFloat], as ftile; or as fillPairTile makes it
}

// layout makes room for rows of k, or for wide operands of hidden.
func (a *acts) layout(m *arena, l *leaf, rows, k, hidden int) {
	most := max(k, 2*hidden)
	nb := most / 32
	padded := (rows+l.tile-1)/l.tile*l.tile + l.tile
	a.q = take[int8](m, rows*most)
	a.scale = take[float32](m, rows*nb)
	a.sum = take[float32](m, rows*nb)
	a.half = take[int32](m, rows*2*nb)
	for i := range a.arranged {
		a.arranged[i] = take[int8](m, dotTokens*most)
		a.init[i] = take[int32](m, padded*2*nb)
	}
	a.tile = take[int8](m, padded*most)
	a.tscale = take[float32](m, padded*nb)
	a.tsum = take[float32](m, padded*nb)
	a.thalf = take[float32](m, padded*2*nb)
	if l.strips > 0 {
		columns := min(rows, l.strips) + 1
		a.strip = take[int8](m, columns*most)
		a.sscale = take[float32](m, columns*nb)
		a.ssum = take[float32](m, columns*nb)
	}
	a.ftile = take[float32](m, (rows+l.tileFloat)*k)
	if l.bf16 != nil {
		a.pairs = take[float32](m, rows*k/2)
		a.ptile = take[float32](m, (rows+l.tileFloat)*k/2)
	}
}

func (a *acts) set(x []float32, n, k int) { a.x, a.n, a.k, a.nb = x, n, k, k/32 }

// quantize makes the integers of row r from x.
func (a *acts) quantize(l *leaf, r int, x []float32) {
	l.quantize(a.nb, a.limit, &x[0], &a.q[r*a.k], &a.scale[r*a.nb], &a.sum[r*a.nb], &a.half[r*2*a.nb])
}

// quantizeRest makes the integers of row n+r: of what those of row r left over.
func (a *acts) quantizeRest(l *leaf, r int, rest []float32) {
	l.residue(a.nb, &a.x[r*a.k], &a.q[r*a.k], &a.scale[r*a.nb], &rest[0])
	a.quantize(l, a.n+r, rest)
}

// tiles counts the tiles of width w that n rows take.
func (a *acts) tiles(w int) int { return (a.n + w - 1) / w }

// fillTile gathers tile i from quantised rows; rows past the last are zeros, whose products are zeros. The tiles of a wide operand's
// second n rows come after those of its first. tmp is for columns.
func (a *acts) fillTile(l *leaf, i int, ps []product, tmp []float32) {
	w, nb := l.tile, a.nb
	row, rest := i*w, 0
	if n := a.tiles(w); i >= n {
		row, rest = (i-n)*w, a.n
	}
	at := i * w * nb // of scales; 32 times that of values
	tile, ts, tsum, thalf := a.tile[32*at:32*(at+w*nb)], a.tscale[at:at+w*nb], a.tsum[at:at+w*nb], a.thalf[2*at:2*(at+w*nb)]
	halves, scaled := wantsHalves(ps)
	if from := rest + row; w == panelRows && row+w <= a.n {
		if l.centre == nil {
			l.interleave(nb, (*byte)(unsafe.Pointer(&a.q[from*a.k])), a.k, (*byte)(unsafe.Pointer(&tile[0]))) // bytes either way
		} else {
			a.fillRows(from, w, tile)
		}
		l.columns(ts, a.scale[from*nb:], nb, 1, tmp)
		l.columns(tsum, a.sum[from*nb:], nb, 1, tmp)
		if halves {
			l.columns(thalf, unsafe.Slice((*float32)(unsafe.Pointer(&a.half[2*from*nb])), 2*w*nb), nb, 2, tmp) // only moved
		}
	} else {
		for t := range w {
			a.fillColumn(l, t, rest+row+t, row+t < a.n, tile, ts, tsum, thalf)
		}
	}
	for j := range ps {
		if f := ps[j].w.format; ps[j].w.winograd && ps[j].dot == nil {
			l.winograd.tile(f, nb, &tile[0], &ps[j].init[f.scales*at])
		} else if ps[j].init != nil {
			biases(ps[j].init[f.scales*at:][:f.scales*w*nb], thalf, f, w)
		}
	}
	if scaled {
		for b := range nb {
			scale := ts[w*b : w*b+w]
			for h := range 2 {
				half := thalf[(2*b+h)*w:][:w]
				for t, f := range half {
					half[t] = float32(int32(math.Float32bits(f))) * scale[t]
				}
			}
		}
	}
}

// wantsHalves says whether a product takes sums of 16 values, in its bias or its offsets, and whether as its offsets' floats.
func wantsHalves(ps []product) (wanted, scaled bool) {
	for i := range ps {
		if !ps[i].w.isFloat() && ps[i].dot == nil {
			wanted = wanted || ps[i].init != nil && !ps[i].w.winograd
			scaled = scaled || ps[i].w.format.offs == 2
		}
	}
	return wanted || scaled, scaled
}

// fillStrip gathers part i of what strips take from quantised rows. A part is of some blocks of all rows, since workers that filled in rows would write to the same lines of a cache.
func (a *acts) fillStrip(i int, ps []product, columns int) {
	first := i * stripBlocks
	n := min(stripBlocks, a.nb-first)
	for r := range columns {
		at := r*a.nb + first
		q, scale, sum, half := a.q[32*at:][:32*n], a.scale[at:][:n], a.sum[at:][:n], a.half[2*at:][:2*n]
		at = first*a.ld + r
		for b := range n {
			*(*[32]int8)(a.strip[32*(at+b*a.ld):]) = [32]int8(q[32*b:])
			a.sscale[at+b*a.ld], a.ssum[at+b*a.ld] = scale[b], sum[b]
		}
		for i := range ps {
			if p := &ps[i]; p.strip && p.init != nil {
				stripBiases(p.init[p.w.format.scales*at:], a.ld, half, p.w.format)
			}
		}
	}
}

// stripBlocks is how many blocks a part of fillStrip has.
const stripBlocks = 16

// stripBiases makes the −bias·Σq of a column from its sums of halves.
func stripBiases(init []int32, ld int, half []int32, f *format) {
	for b := range len(half) / 2 {
		low, high := -f.bias*half[2*b], -f.bias*half[2*b+1]
		if f.scales == 2 {
			init[2*b*ld], init[2*b*ld+1] = low, high
		} else {
			init[b*ld] = low + high
		}
	}
}

// biases makes the −bias·Σq that a format's integer sums begin with from a tile's sums of halves, which are int32.
func biases(init []int32, half []float32, f *format, w int) {
	for b := range len(init) / (f.scales * w) {
		low, high := half[2*b*w:][:w], half[(2*b+1)*w:][:w]
		for t := range w {
			l, h := int32(math.Float32bits(low[t])), int32(math.Float32bits(high[t]))
			if f.scales == 2 {
				init[2*b*w+t], init[(2*b+1)*w+t] = -f.bias*l, -f.bias*h
			} else {
				init[b*w+t] = -f.bias * (l + h)
			}
		}
	}
}

// fillRows gathers w rows from row r on into a tile of rows.
func (a *acts) fillRows(r, w int, tile []int8) {
	for t := range w {
		q := a.q[(r+t)*a.k:][:a.k]
		for j := range min(8, a.nb) {
			to := tile[32*(w*panelStart(a.nb, j)+t):]
			for b := j; b < a.nb; b += 8 {
				*(*[32]int8)(to) = [32]int8(q[32*b:])
				to = to[min(len(to), 32*w):]
			}
		}
	}
}

// fillColumn puts row r into column t of a tile, or zeros if it is not there.
func (a *acts) fillColumn(l *leaf, t, r int, there bool, tile []int8, ts, tsum, thalf []float32) {
	nb, w := a.nb, l.tile
	first, step := 4*t, 4*w // of the block's groups of 4 values
	if l.centre != nil {
		first, step = 32*t, 4
	}
	if !there {
		for b := range nb {
			for g := range 8 {
				clear(tile[32*w*b+first+step*g:][:4])
			}
			ts[b*w+t], tsum[b*w+t], thalf[2*b*w+t], thalf[2*b*w+w+t] = 0, 0, 0, 0
		}
		return
	}
	q, scale, sum, half := a.q[r*a.k:(r+1)*a.k], a.scale[r*nb:(r+1)*nb], a.sum[r*nb:(r+1)*nb], a.half[2*r*nb:2*(r+1)*nb]
	for b := range nb {
		o := panelIndex(nb, b)
		for g := range 8 {
			*(*[4]int8)(tile[32*w*o+first+step*g:]) = [4]int8(q[32*b+4*g:])
		}
		ts[o*w+t], tsum[o*w+t] = scale[b], sum[b]
		thalf[2*o*w+t], thalf[2*o*w+w+t] = math.Float32frombits(uint32(half[2*b])), math.Float32frombits(uint32(half[2*b+1]))
	}
}

// round makes the pairs of row r from x.
func (a *acts) round(l *leaf, r int, x []float32) {
	l.bf16.round(a.k, &x[0], (*uint16)(unsafe.Pointer(&a.pairs[r*a.k/2]))) // k uint16 are k/2 dwords
}

// fillFloatTile gathers float tile i, or that of pairs. tmp is for gather.
func (a *acts) fillFloatTile(l *leaf, i int, pairs bool, tmp []float32) {
	w, k, rows, tiles := l.tileFloat, a.k, a.x, a.ftile
	if pairs {
		k, rows, tiles = a.k/2, a.pairs, a.ptile
	}
	tile := tiles[i*w*k : (i+1)*w*k]
	if w == panelRows && (i+1)*w <= a.n {
		l.gather(tile, (*byte)(unsafe.Pointer(&rows[i*w*k])), 4*k, k, tmp)
		return
	}
	for t := range w {
		r := i*w + t
		if r >= a.n {
			for j := range k {
				tile[j*w+t] = 0
			}
			continue
		}
		x := rows[r*k : (r+1)*k]
		for j := range 16 {
			for i := range k / 16 {
				tile[(j*k/16+i)*w+t] = x[16*i+j]
			}
		}
	}
}

// fillPairTile gathers tile i of pairs for a tiled dot: [k/2][16], or with as few tokens as there are, k in order.
func (a *acts) fillPairTile(l *leaf, i int) {
	k, w := a.k/2, min(panelRows, a.n-panelRows*i)
	rows, tile := a.pairs[panelRows*i*k:], a.ptile[panelRows*i*k:]
	switch w {
	case 1:
		copy(tile, rows[:k])
	case panelRows:
		for j := 0; j < k; j += 16 {
			l.lanes[block.TypeF32](16, (*byte)(unsafe.Pointer(&rows[j])), 4*k, &tile[panelRows*j])
		}
	default:
		for t := range w {
			for j, x := range rows[t*k:][:k] {
				tile[j*w+t] = x
			}
		}
	}
}

// gather is lanes for dwords, for every instruction set. tmp has room for as many.
func (l *leaf) gather(dst []float32, rows *byte, stride, k int, tmp []float32) {
	if lanes := l.lanes[block.TypeF32]; lanes != nil {
		lanes(k, rows, stride, &dst[0])
		return
	}
	l.interleave(k/8, rows, stride, (*byte)(unsafe.Pointer(&tmp[0]))) // moves 8 dwords of each row at a time
	for g := range k / 8 {
		from := tmp[8*panelRows*panelIndex(k/8, g):][:8*panelRows]
		for e := range 8 {
			*(*[panelRows]float32)(dst[((g%2*8+e)*(k/16)+g/2)*panelRows:]) = [panelRows]float32(from[panelRows*e:])
		}
	}
}

// scratch is one worker's own memory.
type scratch struct {
	rows      []byte    // [16][k] unpacked
	rscale    []float32 // [16][scales·nb] of those rows
	roff      []float32 // [16][offs·nb]
	panels    [2]panel
	apart     int          // bytes from an array of the first to that of the second, and from c[0] to c[1]
	part      []float32    // [twinTiles][tile][32], for mulArgs.part
	tmp       []float32    // [16][k] for gather
	frow      []float32    // [k]: 16 rows of a scale per 16 values
	ids       []int32      // [refinedMost]
	c         [2][]float32 // [max tile][16], or [stripTokens][rows of an item]
	attend    attendScratch
	dotArgs   dotArgs // arguments live here because what a function value takes would be allocated
	stripArgs stripArgs
	mulArgs   mulArgs
	floatArgs mulFloatArgs
}

// panel is 16 rows of weights, decoded for mul or mulFloat.
type panel struct {
	q          []byte    // [nb][8][16][4]
	scale, off []float32 // [nb][scales][16], [nb][offs][16]
	cross      []int32   // [nb][scales][16], where w.winograd
	w          []float32 // [k][16]
	row        *byte     // the file's bytes that it was decoded from, how many they are, and how far on the worker's next ones are
	size, next int
}

// nearest is what mul i of so many prefetches, of so many bytes that each does: a part of the panels that follow these, by the last of them, so that it is still near then.
func nearest(ps []panel, i, muls, bytes int) near {
	parts := 0
	for j := range ps {
		parts += (ps[j].size + bytes - 1) / bytes
	}
	i -= max(0, muls-parts)
	for j := 0; i >= 0 && j < len(ps); j++ {
		p := &ps[j]
		if i*bytes < p.size {
			return near{p.row, p.next + i*bytes}
		}
		i -= (p.size + bytes - 1) / bytes
	}
	return near{&ps[0].q[0], 0} // is near already
}

// itemRows is the most rows in an item of dots.
const itemRows = 512

func (s *scratch) layout(m *arena, l *leaf, sh *Shape, wide int) {
	nb := wide / 32
	s.rows = take[byte](m, 16*wide)
	s.rscale = take[float32](m, panelRows*2*nb)
	s.roff = take[float32](m, panelRows*2*nb)
	s.frow = take[float32](m, wide)
	s.ids = take[int32](m, refinedMost)
	s.tmp = take[float32](m, panelRows*wide)
	start := m.used
	for i := range s.panels {
		s.panels[i] = panel{
			q:     take[byte](m, 16*wide),
			scale: take[float32](m, 2*nb*16),
			off:   take[float32](m, 2*nb*16),
			cross: take[int32](m, 2*nb*16),
			w:     take[float32](m, wide*16),
		}
		s.c[i] = take[float32](m, max(16*l.tile*mulTiles, 16*l.tileFloat, stripTokens*itemRows))
	}
	s.apart = (m.used - start) / len(s.panels)
	s.part = take[float32](m, twinTiles*l.tile*2*panelRows)
	s.attend.layout(m, sh)
}

// decode fills p with panel i of an integer weight; rows past the last repeat it.
func (s *scratch) decode(l *leaf, p *panel, w *cpuWeight, i int) {
	nb, n := w.cols/32, w.panelRows(i)
	if open := l.panels[w.t]; open != nil && n == panelRows {
		open(w.row(16*i), w.stride, nb, &p.q[0], &p.scale[0], &p.off[0])
		p.factor(l, w)
		return
	}
	for r := range panelRows {
		s.unpack(l, w, 16*i+min(r, n-1), r)
	}
	s.arrange(l, p, w)
}

// unpack makes row r of those that arrange takes from a weight's row.
func (s *scratch) unpack(l *leaf, w *cpuWeight, row, r int) {
	f, nb := w.format, w.cols/32
	unpack := f.unpack
	if u := l.unpack[w.t]; u != nil {
		unpack = u
	}
	unpack(nb, w.row(row), &s.rows[r*w.cols], &s.rscale[r*f.scales*nb], &s.roff[r*f.offs*nb])
}

// arrange makes a panel of 16 unpacked rows.
func (s *scratch) arrange(l *leaf, p *panel, w *cpuWeight) {
	f, nb := w.format, w.cols/32
	l.interleave(nb, &s.rows[0], w.cols, &p.q[0])
	l.columns(p.scale, s.rscale, nb, f.scales, s.frow)
	l.columns(p.off, s.roff, nb, f.offs, s.frow)
	p.factor(l, w)
}

// factor makes p what w's microkernel takes.
func (p *panel) factor(l *leaf, w *cpuWeight) {
	switch nb, f := w.cols/32, w.format; {
	case w.winograd:
		l.winograd.panel(f, nb, &p.q[0], &p.cross[0])
	case l.centre != nil && f.bias != 0:
		l.centre(nb, int(f.bias), &p.q[0])
	}
}

// panelRows is how many rows a panel has, and how many interleave takes.
const panelRows = 16

// columns gathers 16 rows of per values for each of nb blocks into [nb][per][16], blocks in panel order. tmp has room for 16 rows.
func (l *leaf) columns(dst, rows []float32, nb, per int, tmp []float32) {
	n := nb * per
	groups := n / 8
	if groups > 0 {
		// The same move as that of 16 rows of bytes, 8 dwords of which are a block.
		l.interleave(groups, (*byte)(unsafe.Pointer(&rows[0])), 4*n, (*byte)(unsafe.Pointer(&tmp[0])))
	}
	var starts [8]int
	for i := range starts {
		starts[i] = panelStart(groups, i)
	}
	for j := range 8 {
		o := panelStart(nb, j) * per * panelRows
		for b := j; b < nb; b += 8 {
			for h := range per {
				e := uint(b*per + h)
				to := (*[panelRows]float32)(dst[o:])
				if g := e / 8; int(g) < groups {
					*to = *(*[panelRows]float32)(tmp[(starts[g%8]+int(g/8))*8*panelRows+int(e%8)*panelRows:])
				} else {
					for r := range to {
						to[r] = rows[r*n+int(e)]
					}
				}
				o += panelRows
			}
		}
	}
}
