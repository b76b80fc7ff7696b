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

// The functions below put an operation's launches into the stream, for up to as many rows as b says. Where the kernel of one can do the
// next operation at its end, it does, and d.done says so.

// next is the operation after the one that runs, "" at the end.
func (d *device) next() *operation {
	if d.at+1 < len(d.program) {
		return &d.program[d.at+1]
	}
	return &operation{}
}

// isDone says whether the operation before has done so much of this one.
func (d *device) isDone() bool {
	done := d.done
	d.done = false
	return done
}

func embedRows(d *device, o *operation, b *size) error {
	w := o.weights[0].(*weight)
	l := d.mul[mulKey{w.format.name, w.parts()}].embed
	*l.p = embedParams{w: w.mem.pointer, scale: w.scales(), ids: d.in.ids, last: d.sampled, count: d.in.count, x: d.x, hidden: int32(d.shape.Hidden), k: int32(w.k())}
	return l.run(d.stream, b.rows, 1, 1)
}

// normOf is h = RMSNorm(x)·w.
func (d *device) normOf(w kernels.Weight) normParams {
	return normParams{x: d.x, w: w.(*weight).mem.pointer, out: d.h.params(), n: int32(d.shape.Hidden), eps: d.shape.Eps}
}

// normed is that of all rows.
func (d *device) normed(w kernels.Weight, b *size) error {
	if d.isDone() {
		return nil
	}
	l := d.ops.norm
	*l.p = normsParams{norm: d.normOf(w), count: d.in.count}
	return l.run(d.stream, b.rows, 1, 1)
}

// project multiplies the normed rows with weights, those of one format together. p.y and p.which go with the weights.
func (d *device) project(p mulParams, ws []kernels.Weight, b *size) error {
	p.tokens = d.in.count
	var done [matrices]bool
	for i := range ws {
		if done[i] {
			continue
		}
		var same []*weight
		q := p
		for j := i; j < len(ws); j++ {
			if w := ws[j].(*weight); w.format == ws[i].(*weight).format {
				q.y[len(same)], q.which[len(same)] = p.y[j], p.which[j]
				same, done[j] = append(same, w), true
			}
		}
		if err := d.multiply(q, d.h, b.rows, same...); err != nil {
			return err
		}
	}
	return nil
}

func normQKV(d *device, o *operation, b *size) error {
	if err := d.normed(o.norm, b); err != nil {
		return err
	}
	p := mulParams{y: [matrices]pointer{d.q, d.k, d.v}, which: [matrices]int32{isQ, isK, isV}, factor: 1}
	if next := d.next(); next.name == "RopeStore" {
		p.rope = d.ropeOf(next.layer)
		d.done = true
		for _, w := range o.weights {
			d.done = d.done && d.kernelFor(w.(*weight), endRope, b.rows) != nil
		}
		if d.done {
			p.end = endRope
		}
	}
	return d.project(p, o.weights[:], b)
}

func (d *device) ropeOf(layer int) ropeParams {
	s := &d.shape
	p := ropeParams{angles: d.angles, pos: d.in.pos, table: d.in.table, pages: d.in.pages, q: d.q16, kv: d.kv.layer(layer, 0),
		heads: int32(s.Heads), kvHeads: int32(s.KVHeads), dim: int32(s.HeadDim), pairs: int32(len(s.RopeFreq))}
	if d.kv.q8 {
		p.q8 = 1
	}
	return p
}

func ropeStore(d *device, o *operation, b *size) error {
	if d.isDone() {
		return nil
	}
	l := d.ops.rope
	*l.p = ropeStoreParams{q: d.q, k: d.k, v: d.v, count: d.in.count, rope: d.ropeOf(o.layer)}
	return l.run(d.stream, b.rows, ceil((d.shape.Heads+2*d.shape.KVHeads)*d.shape.HeadDim, 256), 1)
}

func attend(d *device, o *operation, b *size) error {
	s, one, many := &d.shape, d.ops.attend[0], d.ops.many[0]
	if d.kv.q8 {
		one, many = d.ops.attend[1], d.ops.many[1]
	}
	p := attendParams{q: d.q16, kv: d.kv.layer(o.layer, 0), pos: d.in.pos, table: d.in.table, pages: d.in.pages,
		items: d.in.items, count: d.in.itemCount, partial: d.partial.pointer, out: d.o.params(),
		heads: int32(s.Heads), kvHeads: int32(s.KVHeads), segments: int32(b.segments), scale: float32(1 / math.Sqrt(float64(s.HeadDim)))}
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
		*c.p = combineParams{partial: p.partial, pos: p.pos, items: p.items, count: p.count, out: p.out,
			heads: p.heads, dim: int32(s.HeadDim), segments: p.segments, item0: int32(item), per: int32(b.per)}
		if err := c.run(d.stream, n, b.per, 1); err != nil {
			return err
		}
	}
	return nil
}

// normsOfLast is for how many rows a product's last block computes the norm that follows; for more, a block for each row is faster.
const normsOfLast = 2

func projectAdd(d *device, o *operation, b *size) error {
	p := mulParams{y: [matrices]pointer{d.x}, tokens: d.in.count, end: endAdd, factor: d.factor}
	if next := d.next(); b.rows <= normsOfLast && next.norm != nil && next.name != "Norm" {
		p.norm, p.ended = d.normOf(next.norm), d.blocks
		d.done = true
	}
	return d.multiply(p, *d.from, b.rows, o.weights[0].(*weight))
}

func normGateUp(d *device, o *operation, b *size) error {
	if err := d.normed(o.norm, b); err != nil {
		return err
	}
	gate, up := o.weights[0].(*weight), o.weights[1].(*weight)
	d.from, d.factor = &d.f, swigluFactor
	p := mulParams{y: [matrices]pointer{d.gate, d.up}, factor: 1}
	if gate.format == up.format && d.kernelFor(gate, endGate, b.rows) != nil {
		p.end, p.out, p.factor = endGate, d.f.params(), 1.0/swigluFactor
		return d.project(p, o.weights[:2], b)
	}
	if err := d.project(p, o.weights[:2], b); err != nil {
		return err
	}
	s, l := &d.shape, d.ops.swiglu
	*l.p = swigluParams{gate: d.gate, up: d.up, count: d.in.count, out: d.f.params(), n: int32(s.FFN), factor: 1.0 / swigluFactor}
	return l.run(d.stream, b.rows, ceil(s.FFN, 1024), 1)
}

func normOuts(d *device, o *operation, b *size) error {
	if b.outs == 0 {
		return nil
	}
	l := d.ops.norm
	*l.p = normsParams{norm: d.normOf(o.norm), index: d.in.outs, count: d.in.outCount}
	l.p.norm.plain = d.hidden
	return l.run(d.stream, b.outs, 1, 1)
}

// logits computes the logits of the Out rows, outRows at a time, and what is drawn from them.
func logits(d *device, o *operation, b *size) error {
	w, k := o.weights[0].(*weight), pad(d.shape.Hidden)
	for first := 0; first < b.outs; first += outRows {
		n := min(outRows, b.outs-first)
		x := operand{x: d.h.x + pointer(2*k*first), sums: d.h.sums + pointer(k/16*4*first), k: k}
		p := mulParams{y: [matrices]pointer{d.logits}, tokens: d.in.outCounts + pointer(4*(first/outRows)), factor: 1}
		if err := d.multiply(p, x, n, w); err != nil {
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
