package kernels

import (
	"math"
	"unsafe"

	"github.com/llama31/llama31/gguf/block"
)

// attendTask is the attention of one layer. Its items are (tile of a chunk's tokens, KV head), and where these are too few for the
// workers, (tile, KV head, segment), whose partial results are merged afterwards. Both do the same arithmetic.
type attendTask struct {
	layer   int
	width   int // floats of a row of q and a
	tiles   []attendTile
	split   bool
	parts   []float32 // [part][2+HeadDim] m, l, o
	rotate  func(worker, item int)
	item    func(worker, item int)
	merge   func(worker, item int)
	units   []attendUnit
	perTile int
}

// attendTile is a few consecutive tokens of one chunk.
type attendTile struct {
	row, n   int // rows of the batch
	part     int // of the first row's first head and first segment
	segments int
}

// attendUnit is one item of work.
type attendUnit struct{ tile, head, segment int32 }

// attendScratch is one worker's state: up to attendRows query rows of one KV head, in one segment and over all.
type attendScratch struct {
	q, o, total []float32 // [attendRows][HeadDim]
	pairs       []uint32  // [attendRows][HeadDim/2] q in pairs of bfloat16
	m, l        []float32
	tm, tl      []float32
	count       []int32
	half, half2 []uint16 // [HeadDim] a key and a value before they are stored
	q8          q8Scratch
	args        attendArgs
}

// q8Scratch is a key as int8 before it is stored, and what else quantize gives.
type q8Scratch struct {
	q          []int8    // [HeadDim]
	scale, sum []float32 // [HeadDim/32]
	half       []int32   // [HeadDim/16]
}

// attendRows is how many query rows (tokens times the group's heads) share a pass over a page: with 32 rows the conversion of
// keys and values to float32 is a few percent of the products.
const attendRows = 32

// maxHeadDim bounds the size of a head.
const maxHeadDim = 512

func (s *attendScratch) layout(m *arena, sh *Shape) {
	rows := max(attendRows, sh.Heads/sh.KVHeads)
	for _, p := range []*[]float32{&s.q, &s.o, &s.total} {
		*p = take[float32](m, rows*sh.HeadDim)
	}
	for _, p := range []*[]float32{&s.m, &s.l, &s.tm, &s.tl} {
		*p = take[float32](m, rows)
	}
	s.count = take[int32](m, rows)
	s.pairs = take[uint32](m, rows*sh.HeadDim/2)
	s.half, s.half2 = take[uint16](m, sh.HeadDim), take[uint16](m, sh.HeadDim)
	s.q8 = q8Scratch{take[int8](m, sh.HeadDim), take[float32](m, sh.HeadDim/32), take[float32](m, sh.HeadDim/32), take[int32](m, sh.HeadDim/16)}
}

func (t *attendTask) prepare(d *cpuDevice) {
	t.rotate, t.item, t.merge = d.rotateRow, d.attendItem, d.mergeItem
}

func (d *cpuDevice) RopeStore(layer int) {
	if d.kv == nil {
		d.fail(ErrNoKV)
		return
	}
	d.att.layer = layer
	d.pool.run(len(d.rows), d.att.rotate)
}

// rotateRow rotates a row's q and k, scales q, and stores k and v.
func (d *cpuDevice) rotateRow(worker, r int) {
	s, hd, n := &d.shape, d.shape.HeadDim, 2*len(d.shape.RopeFreq)
	cos, sin := d.cos[r*n:(r+1)*n], d.sin[r*n:(r+1)*n]
	q, k, v := d.q[r*s.Heads*hd:(r+1)*s.Heads*hd], d.k[r*s.KVHeads*hd:(r+1)*s.KVHeads*hd], d.v[r*s.KVHeads*hd:(r+1)*s.KVHeads*hd]
	scale := float32(1 / math.Sqrt(float64(hd)))
	for h := 0; h < len(q); h += hd {
		d.leaf.rotateHead(q[h:h+hd], cos, sin, scale)
	}
	for h := 0; h < len(k); h += hd {
		d.leaf.rotateHead(k[h:h+hd], cos, sin, 1)
	}
	row := &d.rows[r]
	page, slot := row.pages[row.pos/PageSize], int(row.pos%PageSize)
	w := &d.work[worker].attend
	for h := range s.KVHeads {
		kh, vh := k[h*hd:(h+1)*hd], v[h*hd:(h+1)*hd]
		switch d.kv.typ {
		case KVF32:
			pk, pv := d.kv.f32(d.att.layer, page, h)
			for i, f := range kh {
				pk[i*PageSize+slot] = f
			}
			copy(pv[slot*hd:], vh)
		case KVQ8:
			d.storeQ8(&w.q8, page, h, slot, kh, vh)
		case kvPairs:
			key, value := w.half, w.half2
			pk, pv := d.kv.f16(d.att.layer, page, h)
			d.leaf.bf16.round(hd, &kh[0], &key[0])
			d.leaf.bf16.round(hd, &vh[0], &value[0])
			keys, values := slice(pk, hd*PageSize), slice(at(pv, slot/2*2*hd), 2*hd)
			for i := 0; i < hd; i += 2 {
				*(*[2]uint16)(keys[i*PageSize+2*slot:]) = [2]uint16(key[i:])
				values[2*i+slot%2], values[2*i+2+slot%2] = value[i], value[i+1]
			}
		default:
			half := w.half
			pk, pv := d.kv.f16(d.att.layer, page, h)
			d.leaf.toF16(hd, &vh[0], at(pv, slot*hd))
			d.leaf.toF16(hd, &kh[0], &half[0])
			keys := slice(pk, hd*PageSize)
			for i := range hd {
				keys[i*PageSize+slot] = half[i]
			}
		}
	}
}

// storeQ8 quantises a head's key and value. The integers are those of the scales before their rounding to float16, whose 0.05% is
// little beside the half step that a value may be off.
func (d *cpuDevice) storeQ8(w *q8Scratch, page int32, head, slot int, k, v []float32) {
	hd := len(k)
	pk, pv, ks, vs := d.kv.q8(d.att.layer, page, head)
	keys, kscales, vscales := slice(pk, hd*PageSize), slice(ks, hd), slice(vs, hd)
	d.leaf.quantize(hd/32, 127, &v[0], at(pv, slot*hd), &w.scale[0], &w.sum[0], &w.half[0])
	for i := range hd / 32 {
		vscales[i*PageSize+slot] = uint16(block.NewF16(w.scale[i]))
	}
	d.leaf.quantize(hd/32, 127, &k[0], &w.q[0], &w.scale[0], &w.sum[0], &w.half[0])
	for i := range hd / 32 {
		kscales[i*PageSize+slot] = uint16(block.NewF16(w.scale[i]))
	}
	for i := range hd {
		keys[i*PageSize+slot] = w.q[i]
	}
}

// rotateHead is rotate for a head, of which the last dimensions may only be scaled.
func (l *leaf) rotateHead(x, cos, sin []float32, r float32) {
	n := len(cos) &^ 15
	if n > 0 {
		l.rotate(n, r, &x[0], &cos[0], &sin[0])
	}
	if n < len(cos) {
		rotateGeneric(len(cos)-n, r, &x[n], &cos[n], &sin[n])
	}
	for i := len(cos); i < len(x); i++ {
		x[i] *= r
	}
}

func (d *cpuDevice) Attend(layer int) {
	if d.kv == nil {
		d.fail(ErrNoKV)
		return
	}
	t, s := &d.att, &d.shape
	t.layer = layer
	if layer == 0 {
		d.planAttention()
	}
	d.pool.run(len(t.units), t.item)
	if t.split {
		d.pool.run(len(t.tiles)*s.KVHeads, t.merge)
	}
}

// planAttention cuts the batch into tiles and units, once per step.
func (d *cpuDevice) planAttention() {
	t, s := &d.att, &d.shape
	group := s.Heads / s.KVHeads
	most := max(1, attendRows/group)
	t.tiles, t.units = t.tiles[:0], t.units[:0]
	parts, r := 0, 0
	for i := range d.batch.Chunks {
		c := &d.batch.Chunks[i]
		for j := 0; j < len(c.IDs); j += most {
			n := min(most, len(c.IDs)-j)
			tile := attendTile{row: r + j, n: n, part: parts, segments: (c.Pos+j+n-1)/SegmentSize + 1}
			parts += tile.segments * n * s.Heads
			t.tiles = append(t.tiles, tile)
		}
		r += len(c.IDs)
	}
	t.split = len(t.tiles)*s.KVHeads < 4*d.pool.n && parts > len(d.rows)*s.Heads
	// Long work first, so that the last item to end is a short one.
	for i := len(t.tiles) - 1; i >= 0; i-- {
		for h := range s.KVHeads {
			if !t.split {
				t.units = append(t.units, attendUnit{int32(i), int32(h), -1})
				continue
			}
			for seg := range t.tiles[i].segments {
				t.units = append(t.units, attendUnit{int32(i), int32(h), int32(seg)})
			}
		}
	}
	if n := parts * (2 + s.HeadDim); t.split && n > len(t.parts) {
		t.parts = make([]float32, n+n/2)
	}
}

// attendItem runs one unit: all segments in order, or one segment into its parts.
func (d *cpuDevice) attendItem(worker, item int) {
	t, s, w := &d.att, &d.shape, &d.work[worker].attend
	u := t.units[item]
	tile := &t.tiles[u.tile]
	hd, group := s.HeadDim, s.Heads/s.KVHeads
	rows := tile.n * group
	for i := range tile.n {
		from := d.q[((tile.row+i)*s.Heads+int(u.head)*group)*hd:]
		copy(w.q[i*group*hd:(i+1)*group*hd], from)
	}
	if d.kv.typ == kvPairs {
		d.leaf.bf16.round(rows*hd, &w.q[0], (*uint16)(unsafe.Pointer(&w.pairs[0])))
	}
	if u.segment >= 0 {
		d.attendSegment(w, tile, int(u.head), int(u.segment), rows)
		for i := range rows {
			p := t.part(tile, s, i, int(u.head), int(u.segment))
			p[0], p[1] = w.m[i], w.l[i]
			copy(p[2:], w.o[i*hd:(i+1)*hd])
		}
		return
	}
	for seg := range tile.segments {
		d.attendSegment(w, tile, int(u.head), seg, rows)
		for i := range rows {
			d.leaf.mergeSegment(&w.tm[i], &w.tl[i], w.total[i*hd:(i+1)*hd], w.m[i], w.l[i], w.o[i*hd:(i+1)*hd], seg == 0)
		}
	}
	for i := range rows {
		d.attended(tile.row+i/group, int(u.head)*group+i%group, w.tl[i], w.total[i*hd:(i+1)*hd])
	}
}

// attendSegment runs the pages of one segment that the tile's rows may see.
func (d *cpuDevice) attendSegment(w *attendScratch, tile *attendTile, head, segment, rows int) {
	s := &d.shape
	group, hd := s.Heads/s.KVHeads, s.HeadDim
	for i := range rows {
		w.m[i], w.l[i] = float32(math.Inf(-1)), 0
	}
	clear(w.o[:rows*hd])
	first := int(d.rows[tile.row].pos)
	pages, last := d.rows[tile.row].pages, min(int(d.rows[tile.row+tile.n-1].pos), segment*SegmentSize+SegmentSize-1)/PageSize
	a := &w.args
	*a = attendArgs{headDim: hd, rows: rows, q: &w.q[0], q2: &w.pairs[0], count: &w.count[0], m: &w.m[0], l: &w.l[0], o: &w.o[0]}
	from := segment * SegmentSize / PageSize
	for p := from; p <= last; p++ {
		if whole := p*PageSize+PageSize-1 <= first; !whole || p == from {
			for i := range rows {
				w.count[i] = min(PageSize, d.rows[tile.row+i/group].pos+1-int32(p*PageSize))
			}
			a.whole = whole
		}
		switch d.kv.typ {
		case KVF32:
			k, v := d.kv.f32(d.att.layer, pages[p], head)
			attendExact(w, hd, rows, k, v)
		case KVQ8:
			a.k8, a.v8, a.ks, a.vs = d.kv.q8(d.att.layer, pages[p], head)
			if d.leaf.attendQ8 == nil {
				attendQ8Generic(a)
			} else {
				d.leaf.attendQ8(a)
			}
		case kvPairs:
			a.k2, a.v2 = d.kv.pairs(d.att.layer, pages[p], head)
			a.next = nil
			if p < last {
				k, _ := d.kv.at(d.att.layer, pages[p+1], head)
				a.next = (*byte)(k)
			}
			d.leaf.bf16.attend(a)
		default:
			a.k, a.v = d.kv.f16(d.att.layer, pages[p], head)
			d.leaf.attend(a)
		}
	}
}

// mergeSegment adds a segment's (m, l, o) to the total. A row that saw nothing of the segment has l = 0 and leaves the total alone.
func (f *leaf) mergeSegment(tm, tl *float32, total []float32, m, l float32, o []float32, first bool) {
	if first {
		*tm, *tl = m, l
		copy(total, o)
		return
	}
	if l == 0 {
		return
	}
	top := max(*tm, m)
	a, b := exp32(*tm-top), exp32(m-top)
	*tm, *tl = top, fma32(l, b, float32(*tl*a))
	f.merge(len(o), a, b, &o[0], &total[0])
}

// attended divides by the sum of weights and stores the head's output.
func (d *cpuDevice) attended(row, head int, l float32, o []float32) {
	n := len(o)
	y := d.a[row*d.att.width+head*n:][:n]
	r := 1 / l
	for i, x := range o {
		y[i] = x * r
	}
}

// part is where row i (token, then head of the group) of a tile keeps its result of a segment.
func (t *attendTask) part(tile *attendTile, s *Shape, i, head, segment int) []float32 {
	group := s.Heads / s.KVHeads
	at := tile.part + ((i/group)*s.Heads+head*group+i%group)*tile.segments + segment
	return t.parts[at*(2+s.HeadDim) : (at+1)*(2+s.HeadDim)]
}

// mergeItem merges the segments of one tile and KV head, in ascending order.
func (d *cpuDevice) mergeItem(worker, item int) {
	t, s, w := &d.att, &d.shape, &d.work[worker].attend
	tile, head := &t.tiles[item/s.KVHeads], item%s.KVHeads
	hd, group := s.HeadDim, s.Heads/s.KVHeads
	for i := range tile.n * group {
		for seg := range tile.segments {
			p := t.part(tile, s, i, head, seg)
			d.leaf.mergeSegment(&w.tm[0], &w.tl[0], w.total[:hd], p[0], p[1], p[2:], seg == 0)
		}
		d.attended(tile.row+i/group, head*group+i%group, w.tl[0], w.total[:hd])
	}
}

// attendExact is leaf.attend over float32 pages, with float64 sums.
func attendExact(w *attendScratch, hd, rows int, k, v []float32) {
	var p [PageSize]float64
	for r := range rows {
		n := int(w.count[r])
		if n <= 0 {
			continue
		}
		q, o := w.q[r*hd:(r+1)*hd], w.o[r*hd:(r+1)*hd]
		mx := float64(w.m[r])
		for key := range n {
			var s float64
			for i, f := range q {
				s += float64(f) * float64(k[i*PageSize+key])
			}
			p[key] = s
			mx = max(mx, s)
		}
		mx = float64(float32(mx)) // as it is kept
		c, sum := math.Exp(float64(w.m[r])-mx), 0.0
		for key := range n {
			p[key] = math.Exp(p[key] - mx)
			sum += p[key]
		}
		w.m[r], w.l[r] = float32(mx), float32(float64(w.l[r])*c+sum)
		for i := range o {
			y := float64(o[i]) * c
			for key := range n {
				y += p[key] * float64(v[key*hd+i])
			}
			o[i] = float32(y)
		}
	}
}
