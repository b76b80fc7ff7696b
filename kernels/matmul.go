package kernels

import (
	"unsafe"

	"github.com/llama31/llama31/gguf/block"
)

// product is y = w·a for every row of the operand, or y += w·a.
type product struct {
	w     *cpuWeight
	y     []float32
	ldy   int
	add   bool
	dot   *dot    // row dots, straight from the file
	most  int     // tokens that it takes at once
	strip bool    // by dot.strip
	q     []int8  // operand of dot.run for integers
	init  []int32 // −bias·Σq of the operand's tiles, or for strips, of a format with a bias
}

// mulTask is the product (or two or three of one operand) that the pool is working on.
type mulTask struct {
	ps      []product
	swiglu  bool // ps are gate and up: y[0] = silu(gate)·up
	group   int  // panels per item
	norm    *cpuWeight
	src     []float32 // rows before the norm
	index   []int32   // rows of src to take, nil: all in order
	ints    bool      // some product runs on integers
	wide    bool      // of a wide operand
	tiles   bool      // on panels, that is
	strips  bool
	ftiles  bool
	pairs   bool // some product runs on pairs of bfloat16
	ptiles  bool
	rowFn   func(worker, item int)
	stripFn func(worker, item int)
	tileFn  func(worker, item int)
	ftileFn func(worker, item int)
	ptileFn func(worker, item int)
	itemFn  func(worker, item int)
}

// prepare makes the function values that the pool runs, once.
func (d *cpuDevice) prepare() {
	m := &d.mul
	m.ps = make([]product, 0, 3)
	m.rowFn = d.operandRow
	m.stripFn = func(_, i int) { d.in.fillStrip(i, m.ps, columns(d.in.n, m.wide)) }
	m.tileFn = func(worker, i int) { d.in.fillTile(d.leaf, i, m.ps, d.work[worker].frow) }
	m.ftileFn = func(worker, i int) { d.in.fillFloatTile(d.leaf, i, false, d.work[worker].tmp) }
	m.ptileFn = func(worker, i int) {
		if d.leaf.bf16.dot.tiled {
			d.in.fillPairTile(d.leaf, i)
			return
		}
		d.in.fillFloatTile(d.leaf, i, true, d.work[worker].tmp)
	}
	m.itemFn = d.productItem
	d.prepareOps()
}

// operand begins a product of n rows of k: src itself, or its rows normed into h.
func (d *cpuDevice) operand(src []float32, norm *cpuWeight, n, k int) {
	m := &d.mul
	m.ps, m.swiglu, m.src, m.norm, m.index = m.ps[:0], false, src, norm, nil
	x := src
	if norm != nil {
		x = d.h
	}
	d.in.set(x, n, k)
}

// into adds a product to the task.
func (d *cpuDevice) into(w Weight, y []float32, add bool) {
	c := w.(*cpuWeight)
	d.mul.ps = append(d.mul.ps, product{w: c, y: y, ldy: c.rows, add: add})
}

// multiply runs the task: operand rows, then tiles where panels need them, then the products.
func (d *cpuDevice) multiply() {
	m, n := &d.mul, d.in.n
	if n == 0 {
		return
	}
	m.ints, m.wide, m.tiles, m.strips, m.ftiles, m.pairs, m.ptiles = false, false, false, false, false, false, false
	items, abreast := 0, 1
	m.group, d.in.limit = itemRows/16, 127
	for i := range m.ps {
		p := &m.ps[i]
		bytes := panelBytes
		if d.byDot(p, i) {
			bytes = max(2*dotBytes/max(2, d.pool.n), 2*panelBytes)
			m.ints = m.ints || !p.w.isFloat()
			m.ptiles = m.ptiles || p.dot.tiled
			m.strips = m.strips || p.strip
		} else {
			abreast = max(abreast, d.abreast(p))
			switch {
			case p.w.pairs:
				m.ptiles = true
			case p.w.isFloat():
				m.ftiles = true
			default:
				m.ints, m.tiles = true, true
				if p.w.winograd || p.w.format.bias != 0 && d.leaf.centre == nil {
					p.init = d.in.init[i]
				}
			}
		}
		if !p.w.isFloat() {
			d.in.limit = min(d.in.limit, float32(p.w.format.limit()))
		}
		m.wide = m.wide || p.w.wide
		m.pairs = m.pairs || p.w.pairs
		m.group = min(m.group, max(1, bytes/(16*p.w.stride)))
	}
	panels := 0
	for i := range m.ps {
		panels += m.ps[i].w.panels()
	}
	m.group = max(1, min(m.group, panels/(4*d.pool.n)))
	if !m.swiglu {
		m.group += m.group % abreast
	}
	for i := range m.ps {
		items += (m.ps[i].w.panels() + m.group - 1) / m.group
		if m.swiglu {
			break
		}
	}
	if m.ints || m.pairs || m.norm != nil {
		d.pool.run(n, m.rowFn)
	}
	if m.strips {
		d.in.ld = columns(n, m.wide)
		d.in.ld += d.in.ld % 2
		d.pool.run((d.in.nb+stripBlocks-1)/stripBlocks, m.stripFn)
	}
	if m.tiles {
		d.pool.run(columns(d.in.tiles(d.leaf.tile), m.wide), m.tileFn)
	}
	if m.ftiles {
		d.pool.run(d.in.tiles(d.leaf.tileFloat), m.ftileFn)
	}
	if m.ptiles {
		d.pool.run(d.in.tiles(d.leaf.tileFloat), m.ptileFn)
	}
	d.pool.run(items, m.itemFn)
}

// byDot sets product i up as row dots, where the operand is small enough.
func (d *cpuDevice) byDot(p *product, i int) bool {
	if p.w.dot == nil {
		return false
	}
	dot, in := p.w.dot, &d.in
	if dot.tiled {
		p.dot, p.most = dot, dot.tokens
		return true
	}
	if dot.strip != nil && columns(in.n, p.w.wide) > dot.tokens && in.n <= d.leaf.strips {
		p.dot, p.strip, p.most = dot, true, stripTokens
		if p.w.format.bias != 0 {
			p.init = in.init[i]
		}
		return true
	}
	if in.n > dotTokens {
		return false
	}
	p.dot, p.most, p.q = dot, dot.tokens, in.q
	if dot.arrange != nil {
		p.q = in.arranged[i]
	}
	return true
}

// columns is how many rows, or tiles, n of the operand are for a product that is wide or not.
func columns(n int, wide bool) int {
	if wide {
		return 2 * n
	}
	return n
}

// The weights that an item reads. Dots want a long run of them, since the processor's prefetching begins anew with each: the 8B Q4_K_M generated
// 6.3 tokens a second with 64 KB, 7.1 with 256 KB and 7.5 with 1 MB, and 6.6 with one item for each core, which then wait for each other: so more workers than
// two take less at a time. (Simulated, 16 workers wait 23% of the time with items of 1 MB, and 3.9% with 128 KB.) Panels decode what
// they read, and then use it for many tokens.
const (
	dotBytes   = 1 << 20
	panelBytes = 128 << 10
)

// operandRow norms and quantises one row.
func (d *cpuDevice) operandRow(worker, r int) {
	m, in := &d.mul, &d.in
	if m.norm != nil {
		from := r
		if m.index != nil {
			from = int(m.index[r])
		}
		d.rmsNorm(m.src[from*in.k:(from+1)*in.k], m.norm, in.x[r*in.k:(r+1)*in.k])
	}
	if m.pairs {
		in.round(d.leaf, r, in.x[r*in.k:(r+1)*in.k])
	}
	if !m.ints {
		return
	}
	in.quantize(d.leaf, r, in.x[r*in.k:(r+1)*in.k])
	if m.wide {
		in.quantizeRest(d.leaf, r, d.work[worker].frow)
	}
	for i := range m.ps {
		p := &m.ps[i]
		if p.dot == nil || p.strip || p.dot.arrange == nil {
			continue
		}
		for t := r; t < columns(in.n, p.w.wide); t += in.n {
			p.dot.arrange(in.nb, &in.q[t*in.k], &p.q[t*in.k])
		}
	}
}

// productItem runs a group of panels of one product, or of gate and up together.
func (d *cpuDevice) productItem(worker, item int) {
	m, s := &d.mul, &d.work[worker]
	if m.swiglu {
		gate, up := &m.ps[0], &m.ps[1]
		first := item * m.group * 16
		rows := min(m.group*16, gate.w.rows-first)
		if gate.dot != nil {
			d.gateUp(s, gate, up, first, rows)
			return
		}
		for r := first; r < first+rows; r += 16 {
			d.gateUp(s, gate, up, r, min(16, first+rows-r))
		}
		return
	}
	p := &m.ps[0]
	for i := range m.ps {
		p = &m.ps[i]
		n := (p.w.panels() + m.group - 1) / m.group
		if item < n {
			break
		}
		item -= n
	}
	first := item * m.group * 16
	rows := min(m.group*16, p.w.rows-first)
	if p.dot != nil {
		d.dots(s, p, first, rows)
		return
	}
	for r := first; r < first+rows; r += len(s.panels) * panelRows {
		d.panels(s, p, r, min(len(s.panels), (first+rows-r+panelRows-1)/panelRows))
	}
}

// dots runs rows first … first+rows−1 of p against all tokens.
func (d *cpuDevice) dots(s *scratch, p *product, first, rows int) {
	all := columns(d.in.n, p.w.wide)
	for t := 0; t < all; t += p.most {
		n := min(p.most, all-t)
		if !p.add && !p.w.wide {
			d.dot(s, p, first, rows, t, n, &p.y[t*p.ldy+first], p.ldy)
			continue
		}
		d.dot(s, p, first, rows, t, n, &s.c[0][0], rows)
		for i := range n {
			d.put(p, (t+i)%d.in.n, first, s.c[0][i*rows:][:rows], t+i >= d.in.n)
		}
	}
}

// put stores c as p's rows from first on for token t. The rest of a wide operand is added to what came before.
func (d *cpuDevice) put(p *product, t, first int, c []float32, rest bool) {
	y := p.y[t*p.ldy+first:][:len(c)]
	if p.add || rest {
		d.addTo(y, c)
	} else {
		copy(y, c)
	}
}

// dot calls the leaf for n tokens from t on.
func (d *cpuDevice) dot(s *scratch, p *product, first, rows, t, n int, y *float32, ldy int) {
	in := &d.in
	if p.strip {
		a := &s.stripArgs
		*a = stripArgs{w: p.w.row(first), stride: p.w.stride, rows: rows, nb: in.nb, tokens: n, ld: in.ld,
			q: &in.strip[32*t], scale: &in.sscale[t], sum: &in.ssum[t], scales: p.w.format.scales, y: y, ldy: ldy}
		a.near = d.after(p, first, rows)
		if p.init != nil {
			a.init = &p.init[a.scales*t]
		}
		p.dot.strip(a)
		return
	}
	a := &s.dotArgs
	*a = dotArgs{w: p.w.row(first), stride: p.w.stride, rows: rows, nb: in.nb, tokens: n, y: y, ldy: ldy}
	if p.dot.tiled {
		a.x = &in.ptile[t*in.k/2]
	} else if p.w.pairs {
		a.x = &in.pairs[t*in.k/2]
	} else if p.w.isFloat() {
		a.x = &in.x[t*in.k]
	} else {
		a.q, a.scale, a.sum, a.half = &p.q[t*in.k], &in.scale[t*in.nb], &in.sum[t*in.nb], &in.half[2*t*in.nb]
	}
	p.dot.run(a)
}

// after is where a worker likely goes on after rows first … first+rows−1 of p: with the same rows of up after those of gate, or else with its next item. At the end of a weight it is where
// these began, which is near already.
func (d *cpuDevice) after(p *product, first, rows int) *byte {
	w := p.w
	if ps := d.mul.ps; d.mul.swiglu {
		if p == &ps[0] {
			return ps[1].w.row(first)
		}
		w = ps[0].w
	}
	if next := first + rows + d.others(); next+panelRows <= w.rows {
		return w.row(next)
	}
	return p.w.row(first)
}

// others is how many rows lie between an item and the one that its worker takes next: the other workers take theirs meanwhile.
func (d *cpuDevice) others() int { return (d.pool.n - 1) * d.mul.group * panelRows }

// addTo is y += x, for lengths that are mostly multiples of 16.
func (d *cpuDevice) addTo(y, x []float32) {
	n := len(y) &^ 15
	if n > 0 {
		d.leaf.add(n, &x[0], &y[0])
	}
	for i := n; i < len(y); i++ {
		y[i] += x[i]
	}
}

// width is how many tokens a tile of p has.
func (d *cpuDevice) width(p *product) int {
	if p.w.isFloat() {
		return d.leaf.tileFloat
	}
	return d.leaf.tile
}

// atOnce is how many tiles p's microkernel takes.
func (d *cpuDevice) atOnce(p *product) int {
	if p.w.isFloat() {
		return d.leaf.floatTilesAtOnce()
	}
	return d.leaf.tilesAtOnce(d.in.nb)
}

// abreast is how many panels p's microkernel takes.
func (d *cpuDevice) abreast(p *product) int {
	if p.w.isFloat() {
		return d.leaf.abreastFloat
	}
	return d.leaf.abreast
}

// load decodes 16 rows of p from row first on, one of n panels that a worker has of p at once.
func (d *cpuDevice) load(s *scratch, into *panel, p *product, first, n int) {
	into.row, into.size = p.w.row(first), panelRows*p.w.stride
	if into.next = n * into.size; first/panelRows%d.mul.group+n >= d.mul.group {
		into.next += d.others() * p.w.stride
	}
	if !p.w.isFloat() {
		s.decode(d.leaf, into, p.w, first/16)
		return
	}
	k, n := p.w.dwords(), p.w.panelRows(first/16)
	if n == panelRows {
		rows, stride := p.w.row(first), p.w.stride
		if !p.w.pairs && p.w.t != block.TypeF32 {
			if lanes := d.leaf.lanes[p.w.t]; lanes != nil {
				lanes(k, rows, stride, &into.w[0])
				return
			}
			for r := range panelRows {
				d.leaf.widen(p.w, first+r, into.w[r*k:][:k])
			}
			rows, stride = (*byte)(unsafe.Pointer(&into.w[0])), 4*k // interleave reads all of them before the panel is written in their place
		}
		d.leaf.gather(into.w, rows, stride, k, s.tmp)
		return
	}
	for r := range 16 {
		if row := first + min(r, n-1); p.w.pairs {
			copy(unsafe.Slice((*byte)(unsafe.Pointer(&s.frow[0])), 4*k), p.w.bytes(row))
		} else {
			d.leaf.widen(p.w, row, s.frow[:k])
		}
		for j := range 16 {
			for i := range k / 16 {
				into.w[(j*k/16+i)*16+r] = s.frow[16*i+j]
			}
		}
	}
}

// widen turns a row of a float type into float32.
func (l *leaf) widen(w *cpuWeight, row int, x []float32) {
	bits := (*uint16)(unsafe.Pointer(w.row(row))) // rows of values of 16 bits lie at even addresses
	switch w.t {
	case block.TypeF16:
		l.fromF16(len(x), bits, &x[0])
		return
	case block.TypeBF16:
		l.fromBF16(len(x), bits, &x[0])
		return
	}
	// Load has checked that the type decodes, and a row's bytes hold as many values.
	_ = block.Dequantize(w.t, x, w.bytes(row))
}

// tiles runs decoded panels, as many as are taken abreast, against n tiles from tile i on, no more than atOnce. apartC is where the second panel's floats are past c.
func (d *cpuDevice) tiles(s *scratch, from []panel, p *product, i, n int, c *float32, ldc, apartC int) {
	in, l, first, most, apart := &d.in, d.leaf, &from[0], d.atOnce(p), 0
	muls := (in.tiles(d.width(p)) + most - 1) / most
	if len(from) > 1 {
		apart = s.apart
	}
	if p.w.isFloat() {
		k, tiles, mul := p.w.dwords(), in.ftile, l.mulFloat
		if p.w.pairs {
			tiles, mul = in.ptile, l.bf16.mul
		}
		s.floatArgs = mulFloatArgs{k: k, w: &first.w[0], apart: apart, tiles: n, a: &tiles[i*k*l.tileFloat], part: &s.part[0], c: c, ldc: ldc, apartC: apartC,
			near: nearest(from, i/most, muls, l.floatNear(k, most))}
		mul(&s.floatArgs)
		return
	}
	f, at := p.w.format, i*l.tile*in.nb
	a := &s.mulArgs
	*a = mulArgs{nb: in.nb, q: &first.q[0], scale: &first.scale[0], off: &first.off[0], apart: apart, tiles: n, a: &in.tile[32*at], as: &in.tscale[at],
		part: &s.part[0], c: c, ldc: ldc, apartC: apartC, near: nearest(from, i/most, muls, l.near(in.nb, most))}
	switch f.offs {
	case 1:
		a.sum = &in.tsum[at]
	case 2:
		a.sum = &in.thalf[2*at]
	}
	if p.init != nil {
		a.init = &p.init[f.scales*at]
	}
	if p.w.winograd {
		a.cross = &first.cross[0]
		l.winograd.mul(f, a)
		return
	}
	l.mul(f, a)
}

// panels runs n panels of p, from row first on, against all tokens: a tile comes from afar once for all of them.
func (d *cpuDevice) panels(s *scratch, p *product, first, n int) {
	for j := range n {
		d.load(s, &s.panels[j], p, first+panelRows*j, n)
	}
	w, most, abreast := d.width(p), d.atOnce(p), d.abreast(p)
	ldc := panelRows * abreast
	tiles := d.in.tiles(w)
	for i := 0; i < columns(tiles, p.w.wide); {
		t := i % tiles * w
		take := min(most, tiles-i%tiles)
		tokens := min(take*w, d.in.n-t)
		for j := 0; j < n; j += abreast {
			from, row := s.panels[j:min(j+abreast, n)], first+panelRows*j
			rows := min(panelRows*len(from), p.w.rows-row)
			if !p.add && i < tiles && rows == ldc && tokens == take*w {
				d.tiles(s, from, p, i, take, &p.y[t*p.ldy+row], p.ldy, panelRows)
				continue
			}
			d.tiles(s, from, p, i, take, &s.c[0][0], ldc, panelRows)
			for k := range tokens {
				d.put(p, t+k, row, s.c[0][ldc*k:][:rows], i >= tiles)
			}
		}
		i += take
	}
}

// gateUp runs rows first … first+rows−1 of the gate and up projections, which are of one type, and joins them by SwiGLU.
func (d *cpuDevice) gateUp(s *scratch, gate, up *product, first, rows int) {
	w, tile, abreast := gate.most, d.width(gate), d.abreast(gate)
	if gate.dot == nil {
		d.load(s, &s.panels[0], gate, first, 1)
		d.load(s, &s.panels[1], up, first, 1)
		w = tile * d.atOnce(gate)
	}
	c, g, u := 16, &s.c[0][0], &s.c[1][0] // c floats from token to token
	if gate.dot != nil {
		c = rows
	}
	for t := 0; t < d.in.n; t += w {
		n := min(w, d.in.n-t)
		if gate.dot != nil {
			d.dot(s, gate, first, rows, t, n, g, c)
			d.dot(s, up, first, rows, t, n, u, c)
		} else {
			tiles := (n + tile - 1) / tile
			for j := 0; j < len(s.panels); j += abreast {
				d.tiles(s, s.panels[j:j+abreast], [...]*product{gate, up}[j], t/tile, tiles, &s.c[j][0], c, s.apart/4)
			}
		}
		d.leaf.swiglu((n*c+15)&^15, g, u)
		for i := range n {
			copy(gate.y[(t+i)*gate.ldy+first:][:rows], s.c[0][c*i:])
		}
	}
}
