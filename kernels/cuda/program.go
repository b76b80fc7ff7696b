package cuda

import (
	"math"

	"github.com/llama31/llama31/kernels"
)

// program is the operations of a forward pass, as a step's forward calls them.
type program []operation

type operation struct {
	run     func(d *device, o *operation, b *size) error
	name    string // of the operation: functions cannot be compared
	layer   int
	weights [3]kernels.Weight
	norm    kernels.Weight
}

// same says whether two programs do the same.
func (p program) same(q program) bool {
	if len(p) != len(q) {
		return false
	}
	for i := range p {
		a, b := &p[i], &q[i]
		if a.name != b.name || a.layer != b.layer || a.norm != b.norm || a.weights != b.weights {
			return false
		}
	}
	return true
}

// The methods of kernels.Ops write the program.

func (p *program) Embed(w kernels.Weight) {
	*p = append(*p, operation{run: embedRows, name: "Embed", weights: [3]kernels.Weight{w}})
}

func (p *program) NormQKV(norm, wq, wk, wv kernels.Weight) {
	*p = append(*p, operation{run: normQKV, name: "NormQKV", norm: norm, weights: [3]kernels.Weight{wq, wk, wv}})
}

func (p *program) RopeStore(layer int) {
	*p = append(*p, operation{run: ropeStore, name: "RopeStore", layer: layer})
}

func (p *program) Attend(layer int) {
	*p = append(*p, operation{run: attend, name: "Attend", layer: layer})
}

func (p *program) ProjectAdd(w kernels.Weight) {
	*p = append(*p, operation{run: projectAdd, name: "ProjectAdd", weights: [3]kernels.Weight{w}})
}

func (p *program) NormGateUp(norm, gate, up kernels.Weight) {
	*p = append(*p, operation{run: normGateUp, name: "NormGateUp", norm: norm, weights: [3]kernels.Weight{gate, up}})
}

func (p *program) Norm(norm kernels.Weight) {
	*p = append(*p, operation{run: normOuts, name: "Norm", norm: norm})
}

func (p *program) Logits(w kernels.Weight) {
	*p = append(*p, operation{run: logits, name: "Logits", weights: [3]kernels.Weight{w}})
}

// The functions below put an operation's launches into the stream, for up to as many rows as b says.

func embedRows(d *device, o *operation, b *size) error {
	w := o.weights[0].(*weight)
	l := d.mul[mulKey{w.format.name, w.parts()}].embed
	*l.p = embedParams{w: w.mem.pointer, scale: w.scales(), ids: d.in.ids, last: d.sampled, count: d.in.count, x: d.x, hidden: int32(d.shape.Hidden), k: int32(w.k())}
	return l.run(d.stream, b.rows, 1, 1)
}

// normed is h = RMSNorm(x)·w of all rows, or of those that index names.
func (d *device) normed(w kernels.Weight, index, count, plain pointer, rows int) error {
	s, l := &d.shape, d.ops.norm
	*l.p = normParams{x: d.x, w: w.(*weight).mem.pointer, index: index, count: count, out: d.h.x, sums: d.h.sums, plain: plain, n: int32(s.Hidden), k: int32(pad(s.Hidden)), eps: s.Eps}
	return l.run(d.stream, rows, 1, 1)
}

// project multiplies the normed rows with weights, those of one format together.
func (d *device) project(ws []kernels.Weight, ys [matrices]pointer, rows int) error {
	var done [matrices]bool
	for i := range ws {
		if done[i] {
			continue
		}
		var same [matrices]*weight
		var to [matrices]pointer
		n := 0
		for j := i; j < len(ws); j++ {
			if w := ws[j].(*weight); w.format.name == ws[i].(*weight).format.name {
				same[n], to[n], done[j] = w, ys[j], true
				n++
			}
		}
		if err := d.multiply(same[:n], to[:n], &d.h, d.in.count, rows, false, 1); err != nil {
			return err
		}
	}
	return nil
}

func normQKV(d *device, o *operation, b *size) error {
	if err := d.normed(o.norm, 0, d.in.count, 0, b.rows); err != nil {
		return err
	}
	return d.project(o.weights[:], [matrices]pointer{d.q, d.k, d.v}, b.rows)
}

func ropeStore(d *device, o *operation, b *size) error {
	s, l := &d.shape, d.ops.rope
	*l.p = ropeParams{q: d.q, k: d.k, v: d.v, angles: d.angles, pos: d.in.pos, table: d.in.table, pages: d.in.pages, count: d.in.count, out: d.q16, kv: d.kv.layer(o.layer, 0),
		heads: int32(s.Heads), kvHeads: int32(s.KVHeads), dim: int32(s.HeadDim), pairs: int32(len(s.RopeFreq))}
	if d.kv.q8 {
		l.p.q8 = 1
	}
	return l.run(d.stream, b.rows, 1, 1)
}

func attend(d *device, o *operation, b *size) error {
	s, one, many := &d.shape, d.ops.attend[0], d.ops.many[0]
	if d.kv.q8 {
		one, many = d.ops.attend[1], d.ops.many[1]
	}
	k := int32(pad(s.Heads * s.HeadDim))
	p := attendParams{q: d.q16, kv: d.kv.layer(o.layer, 0), pos: d.in.pos, table: d.in.table, pages: d.in.pages,
		items: d.in.items, count: d.in.itemCount, partial: d.partial.pointer, out: d.o.x, sums: d.o.sums,
		heads: int32(s.Heads), kvHeads: int32(s.KVHeads), segments: int32(b.segments), k: k, scale: float32(1 / math.Sqrt(float64(s.HeadDim)))}
	d.from, d.factor = &d.o, 1
	if b.groups > 0 {
		*many.p = p
		many.p.items, many.p.count = d.in.groups, d.in.groupCount
		if err := many.run(d.stream, b.groups, s.KVHeads, 1); err != nil {
			return err
		}
	}
	c := d.ops.combine
	for item, n := 0, b.itemsAtOnce(d); item < b.items; item += n {
		n = min(n, b.items-item)
		*one.p = p
		one.p.item0, one.p.per = int32(item), int32(b.per)
		if err := one.run(d.stream, n, s.KVHeads, b.segments); err != nil {
			return err
		}
		if b.segments == 1 {
			continue // attend has done it
		}
		*c.p = combineParams{partial: p.partial, out: p.out, sums: p.sums, pos: p.pos, items: p.items, count: p.count,
			heads: p.heads, dim: int32(s.HeadDim), segments: p.segments, item0: int32(item), per: int32(b.per), k: k}
		if err := c.run(d.stream, n, b.per, 1); err != nil {
			return err
		}
	}
	return nil
}

func projectAdd(d *device, o *operation, b *size) error {
	return d.multiply([]*weight{o.weights[0].(*weight)}, []pointer{d.x}, d.from, d.in.count, b.rows, true, d.factor)
}

func normGateUp(d *device, o *operation, b *size) error {
	if err := d.normed(o.norm, 0, d.in.count, 0, b.rows); err != nil {
		return err
	}
	if err := d.project(o.weights[:2], [matrices]pointer{d.gate, d.up}, b.rows); err != nil {
		return err
	}
	s, l := &d.shape, d.ops.swiglu
	*l.p = swigluParams{gate: d.gate, up: d.up, count: d.in.count, out: d.f.x, sums: d.f.sums, n: int32(s.FFN), k: int32(pad(s.FFN)), factor: 1.0 / swigluFactor}
	d.from, d.factor = &d.f, swigluFactor
	return l.run(d.stream, b.rows, 1, 1)
}

func normOuts(d *device, o *operation, b *size) error {
	if b.outs == 0 {
		return nil
	}
	return d.normed(o.norm, d.in.outs, d.in.outCount, d.hidden, b.outs)
}

// logits computes the logits of the Out rows, outRows at a time, and what is drawn from them.
func logits(d *device, o *operation, b *size) error {
	w, k := o.weights[0].(*weight), pad(d.shape.Hidden)
	for first := 0; first < b.outs; first += outRows {
		n := min(outRows, b.outs-first)
		x := operand{d.h.x + pointer(2*k*first), d.h.sums + pointer(k/16*4*first)}
		if err := d.multiply([]*weight{w}, []pointer{d.logits}, &x, d.in.outCounts+pointer(4*(first/outRows)), n, false, 1); err != nil {
			return err
		}
		l := d.ops.sample
		*l.p = sampleParams{logits: d.logits, work: d.work, draws: d.in.draws + pointer(drawSize*first), words: d.in.mem.pointer, out: d.drawn + pointer(drawnSize*first), last: d.sampled, vocab: int32(d.shape.Vocab)}
		if err := l.run(d.stream, n, 1, 1); err != nil {
			return err
		}
		if b.exact { // the logits of these rows are overwritten next
			if err := d.hostRows(d.batch.Out[first:min(first+n, len(d.batch.Out))]); err != nil {
				return err
			}
		}
	}
	return nil
}
