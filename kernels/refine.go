package kernels

// The output head multiplies activations of 8 bits, as other products do. Then each row's largest logits, from which tokens are drawn, are refined: what the
// rounding of the activations left over, quantised alike, is multiplied by these tokens' weights and added, as for a wide operand. Which logits these
// are follows from the row alone. A wide operand for the whole head would take twice its time, for what is hardly ever drawn: on English text SmolLM2 Q4_1's
// divergence from float32 (TestExactness), with activations up to 127, was 0.00168 without, 0.00120 so and 0.00116 with it.

// Refined are the logits less than refinedWithin below their row's largest; if these are more than refinedMost, the ones within the largest multiple of
// 1/refinedSteps of which there are not.
const (
	refinedWithin = 8
	refinedSteps  = 16
	refinedMost   = 128
)

// refineTask refines the rows in outTask.logits, by chunks of statsChunk logits.
type refineTask struct {
	product product     // of what the rounding left over
	q       []int8      // [2·outRows][Hidden], the second half of it in the order that the row dot wants
	tops    []float32   // [outRows][chunks] the largest logit
	below   []distances // [outRows][chunks]
	rows    []refined   // [outRows]
	topFn   func(worker, item int)
	countFn func(worker, item int)
	restFn  func(worker, row int)
	tileFn  func(worker, tile int)
}

// distances counts logits by their distance from the row's largest, in refinedSteps.
type distances [refinedWithin * refinedSteps]uint16

// refined says which of a row's logits are: those less than within below top.
type refined struct{ top, within float32 }

func (r refined) has(logit float32) bool { return r.top-logit < r.within } // false for NaN

func (t *refineTask) layout(m *arena, s *Shape) {
	rows, chunks := min(outRows, s.MaxOut), statsChunks(s.Vocab)
	t.q = take[int8](m, 2*rows*s.Hidden)
	t.tops = take[float32](m, rows*chunks)
	t.below = take[distances](m, rows*chunks)
	t.rows = take[refined](m, rows)
}

func (t *refineTask) prepare(d *cpuDevice) {
	chunks := statsChunks(d.shape.Vocab)
	top := func(row int) float32 { return largest(t.tops[row*chunks:][:chunks]) }
	t.topFn = func(_, item int) {
		_, _, logits := d.chunk(item)
		t.tops[item] = largest(logits)
	}
	t.countFn = func(_, item int) {
		row, _, logits := d.chunk(item)
		t.below[item] = distances{}
		if r := (refined{top(row), refinedWithin}); r.has(t.tops[item]) {
			t.below[item].count(r, logits)
		}
	}
	t.restFn = func(worker, r int) {
		t.rows[r] = refined{top(r), within(t.below[r*chunks:][:chunks])}
		in, p := &d.in, &t.product
		in.quantizeRest(d.leaf, r, d.work[worker].frow)
		if p.dot != nil && p.dot.arrange != nil {
			at := (in.n + r) * in.k
			p.dot.arrange(in.nb, &in.q[at], &p.q[at])
		}
	}
	t.tileFn = func(worker, i int) {
		d.in.fillTile(d.leaf, d.in.tiles(d.leaf.tile)+i, []product{t.product}, d.work[worker].frow)
	}
}

// prepareRefine finds which logits of the head's product are to be refined, and makes the operand for it of the product's own.
func (d *cpuDevice) prepareRefine(w *cpuWeight) {
	t, in := &d.out.refine, &d.in
	p := &t.product
	*p = product{w: w, ldy: w.rows}
	switch {
	case w.dot == nil && (w.format.bias != 0 || w.winograd):
		p.init = in.init[0]
	case w.dot != nil:
		p.dot, p.q = w.dot, in.q
		if w.dot.arrange != nil {
			p.q = t.q
		}
	}
	items := in.n * statsChunks(w.rows)
	d.pool.run(items, t.topFn)
	d.pool.run(items, t.countFn)
	d.pool.run(in.n, t.restFn)
	if w.dot == nil {
		d.pool.run(in.tiles(d.leaf.tile), t.tileFn)
	}
}

// largest is the largest of x, -Inf if all are NaN.
func largest(x []float32) float32 {
	top := -inf32
	for _, f := range x {
		if f > top { // false for NaN
			top = f
		}
	}
	return top
}

func (c *distances) count(r refined, logits []float32) {
	for _, l := range logits {
		if r.has(l) {
			c[int((r.top-l)*refinedSteps)]++ // the product is exact
		}
	}
}

// within is how far below the largest logit of all chunks the refined ones are.
func within(chunks []distances) float32 {
	n := 0
	for step := range refinedWithin * refinedSteps {
		for i := range chunks {
			n += int(chunks[i][step])
		}
		if n > refinedMost {
			return float32(step) / refinedSteps
		}
	}
	return refinedWithin
}

// refine adds to the largest of a row's logits, those of tokens from first on, what its operand had lost by rounding.
func (d *cpuDevice) refine(s *scratch, row, first int, logits []float32) {
	t, c := &d.out.refine, s.c[0]
	p, ids, r := &t.product, s.ids[:0], t.rows[row]
	for i, l := range logits {
		if r.has(l) {
			ids = append(ids, int32(i))
		}
	}
	if p.dot != nil {
		for _, i := range ids {
			d.dot(s, p, first+int(i), 1, d.in.n+row, 1, &c[0], 1)
			logits[i] += c[0]
		}
		return
	}
	for ; len(ids) > 0; ids = ids[min(panelRows, len(ids)):] {
		for r := range panelRows {
			s.unpack(d.leaf, p.w, first+int(ids[min(r, len(ids)-1)]), r)
		}
		s.arrange(d.leaf, &s.panels[0], p.w)
		tile := d.leaf.tile
		ldc := panelRows * d.leaf.abreast
		d.tiles(s, s.panels[:1], p, d.in.tiles(tile)+row/tile, 1, &c[0], ldc, panelRows)
		for r, i := range ids[:min(panelRows, len(ids))] {
			logits[i] += c[row%tile*ldc+r]
		}
	}
}
