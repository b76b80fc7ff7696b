package kernels

import (
	"fmt"
	"math"
	"slices"

	"github.com/llama31/llama31/gguf/block"
)

// outTask is what the Out rows need.
type outTask struct {
	index  []int32    // the Out rows among the batch's rows
	logits []float32  // [outRows][Vocab]
	first  int        // Out row of logits' first row
	stats  []rowStats // [outRows][chunks of a row]
	statFn func(worker, item int)
	rowFn  func(worker, item int)
	sample []sampleScratch // one per worker

	refines bool // the head's weight is refined
	refine  refineTask
}

// outRows is the most rows whose logits are computed at once: 64 rows of Llama 3.1's vocabulary take 33 MB, and decoding the
// head's panels costs little beside 64 products.
const outRows = 64

func (o *outTask) layout(m *arena, s *Shape) {
	o.index = take[int32](m, s.MaxOut)
	o.logits = take[float32](m, min(outRows, s.MaxOut)*s.Vocab)
	o.stats = take[rowStats](m, min(outRows, s.MaxOut)*statsChunks(s.Vocab))
	o.refine.layout(m, s)
}

// chunk is what item of the statistics is about: logits of a row, from token first on.
func (d *cpuDevice) chunk(item int) (row, first int, logits []float32) {
	vocab, chunks := d.shape.Vocab, statsChunks(d.shape.Vocab)
	row, first = item/chunks, item%chunks*statsChunk
	return row, first, d.out.logits[row*vocab:][first:min(first+statsChunk, vocab)]
}

func (d *cpuDevice) prepareOps() {
	d.att.prepare(d)
	d.out.refine.prepare(d)
	d.out.sample = make([]sampleScratch, len(d.work))
	vocab, chunks := d.shape.Vocab, statsChunks(d.shape.Vocab)
	d.out.statFn = func(worker, item int) {
		row, first, logits := d.chunk(item)
		if o := &d.out; o.refines && o.refine.rows[row].has(o.refine.tops[item]) {
			d.refine(&d.work[worker], row, first, logits)
		}
		d.out.stats[item] = statsOf(logits, first)
	}
	d.out.rowFn = func(worker, i int) {
		o := &d.batch.Out[d.out.first+i]
		sampleRow(o, d.out.logits[i*vocab:(i+1)*vocab], d.out.stats[i*chunks:(i+1)*chunks], &d.out.sample[worker])
	}
}

// statsChunks counts the stats of a row.
func statsChunks(vocab int) int { return (vocab + statsChunk - 1) / statsChunk }

func (d *cpuDevice) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

func (d *cpuDevice) rmsNorm(x []float32, norm *cpuWeight, y []float32) {
	n := len(x)
	mean := float64(d.leaf.sumSquares(n, &x[0])) / float64(n)
	r := float32(1 / math.Sqrt(mean+float64(d.shape.Eps)))
	d.leaf.scaleMul(n, r, &x[0], &norm.floats(n)[0], &y[0])
}

func (d *cpuDevice) Embed(w Weight) {
	c, n := w.(*cpuWeight), d.shape.Hidden
	for r := range d.rows {
		if err := block.Dequantize(c.t, d.x[r*n:(r+1)*n], c.bytes(int(d.rows[r].id))); err != nil {
			d.fail(fmt.Errorf("embedding: %w", err))
			return
		}
	}
}

func (d *cpuDevice) NormQKV(norm, wq, wk, wv Weight) {
	d.operand(d.x, norm.(*cpuWeight), len(d.rows), d.shape.Hidden)
	d.into(wq, d.q, false)
	d.into(wk, d.k, false)
	d.into(wv, d.v, false)
	d.multiply()
	d.att.width = d.shape.Heads * d.shape.HeadDim
}

func (d *cpuDevice) ProjectAdd(w Weight) {
	_, k := w.Dims()
	d.operand(d.a, nil, len(d.rows), k)
	d.into(w, d.x, true)
	d.multiply()
}

func (d *cpuDevice) NormGateUp(norm, gate, up Weight) {
	d.operand(d.x, norm.(*cpuWeight), len(d.rows), d.shape.Hidden)
	d.into(gate, d.a, false)
	d.into(up, d.up, false)
	if gate.Type() == up.Type() {
		d.mul.swiglu = true
		d.multiply()
		return
	}
	d.multiply()
	d.leaf.swiglu(len(d.rows)*d.shape.FFN, &d.a[0], &d.up[0])
}

func (d *cpuDevice) Norm(norm Weight) {
	w, n := norm.(*cpuWeight), d.shape.Hidden
	for i := range d.batch.Out {
		o := &d.batch.Out[i]
		d.rmsNorm(d.x[o.Row*n:(o.Row+1)*n], w, d.h[i*n:(i+1)*n])
		if o.Hidden != nil {
			copy(o.Hidden, d.h[i*n:(i+1)*n])
		}
	}
}

func (d *cpuDevice) Logits(w Weight) {
	n := d.shape.Hidden
	for first := 0; first < len(d.batch.Out); first += outRows {
		rows := min(outRows, len(d.batch.Out)-first)
		if !slices.ContainsFunc(d.batch.Out[first:first+rows], wantsLogits) {
			continue // hidden states only: the head is a third of a small model
		}
		d.operand(d.h[first*n:], nil, rows, n)
		d.into(w, d.out.logits, false)
		d.multiply()
		if d.out.refines = w.(*cpuWeight).refined; d.out.refines {
			d.prepareRefine(w.(*cpuWeight))
		}
		d.out.first = first
		d.pool.run(rows*statsChunks(d.shape.Vocab), d.out.statFn)
		d.pool.run(rows, d.out.rowFn)
		for i := range d.batch.Out[first : first+rows] {
			if o := &d.batch.Out[first+i]; o.Sample != nil {
				d.last[o.Slot] = o.ID // of several rows of a slot, the last
			}
		}
	}
}

// wantsLogits says that an Out row asks for anything that takes logits.
func wantsLogits(o Out) bool { return o.Logits != nil || o.Sample != nil || o.Target >= 0 || o.Top > 0 }
