package cuda

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/llama31/llama31/kernels"
)

const (
	drawSize  = int(unsafe.Sizeof(drawParams{}))
	drawnSize = int(unsafe.Sizeof(drawn{}))
)

// size is how large the grids of a step's launches are. One that is not exact may have more blocks than work, so that a record of it
// serves every batch that fits.
type size struct {
	rows, outs int
	items, per int // of attention for few rows of a sequence: at most per rows each
	groups     int // of attention for many
	segments   int // of the items
	exact      bool
}

// maxPartialBytes is the room for attention's partial results, unless one item needs more: items that do not fit wait for the next launch.
const maxPartialBytes = 64 << 20

// itemBytes are the partial results of an item.
func (n *size) itemBytes(d *device) int {
	return n.per * d.shape.Heads * n.segments * (d.shape.HeadDim + 2) * 4
}

// partialBytes is the room that a step's items need at once.
func (n *size) partialBytes(d *device) int { return n.itemBytes(d) * min(n.items, n.itemsAtOnce(d)) }

// itemsAtOnce is how many items a launch has.
func (n *size) itemsAtOnce(d *device) int { return max(1, maxPartialBytes/n.itemBytes(d)) }

// recorded is a graph and the program that it was made of.
type recorded struct {
	program program
	graph   *graph
}

// maxGraphRows is the most rows of a step that is recorded.
const maxGraphRows = 256

// flight is a step that has begun.
type flight struct {
	batch *kernels.Batch
	size  size
	step  int  // whose of the host's buffers it uses
	whole bool // its results are filled in
}

// Step runs a step from its beginning to its end.
func (d *device) Step(b *kernels.Batch, forward func(kernels.Ops)) error {
	if len(d.flights) > 0 {
		return fmt.Errorf("%s: a step has begun and not ended", d.gpu.name)
	}
	if err := d.Begin(b, forward); err != nil {
		return err
	}
	return d.End()
}

// Begin writes the input and puts the launches of forward into the stream, or the record of an earlier step of like size. Where all
// that is asked for is ids, it waits for nothing.
func (d *device) Begin(b *kernels.Batch, forward func(kernels.Ops)) error {
	pages := 0
	if d.kv != nil {
		pages = d.kv.pages
	}
	if err := b.Check(&d.shape, pages); err != nil {
		return fmt.Errorf("%s: %w", d.gpu.name, err)
	}
	if len(d.flights) == len(d.ended) {
		return fmt.Errorf("%s: %d steps have begun and not ended", d.gpu.name, len(d.flights))
	}
	return d.gpu.do(func() error { return d.begin(b, forward) })
}

// End waits for the first of the steps that have begun, and fills in its batch's results.
func (d *device) End() error {
	if len(d.flights) == 0 {
		return fmt.Errorf("%s: no step has begun", d.gpu.name)
	}
	f := d.flights[0]
	d.flights = slices.Delete(d.flights, 0, 1)
	if f.whole {
		return nil
	}
	return d.gpu.do(func() error { return d.results(&f) })
}

func (d *device) begin(b *kernels.Batch, forward func(kernels.Ops)) error {
	d.program = d.program[:0]
	forward(&d.program)
	d.batch = b
	defer func() { d.batch = nil }()
	n := d.measure(b)
	if d.recordable(b, &n) {
		// Each bucket has twice the rows of the one before.
		n.exact = false
		n.rows = min(bucket(n.rows), d.shape.MaxRows)
		n.items, n.segments = n.rows, bucket(n.segments)
		if n.outs > 0 {
			n.outs = min(n.rows, d.shape.MaxOut)
		}
	}
	f := flight{batch: b, size: n, step: d.step}
	if err := d.reserve(inputNeed(b), n.partialBytes(d)); err != nil {
		return err
	}
	if err := d.write(b, &n); err != nil {
		return err
	}
	if err := d.launch(n); err != nil {
		return err
	}
	if err := d.queueResults(&f); err != nil {
		return err
	}
	d.step = 1 - d.step
	if f.needsHost() {
		if err := d.results(&f); err != nil {
			return err
		}
		f.whole = true
	}
	d.flights = append(d.flights, f)
	return nil
}

// needsHost says whether a step leaves results where the next one overwrites them.
func (f *flight) needsHost() bool {
	b := f.batch
	if f.size.exact || b.Enter != nil || b.Leave != nil {
		return true
	}
	for i := range b.Out {
		if onHost(&b.Out[i]) || b.Out[i].Hidden != nil {
			return true
		}
	}
	return false
}

// bucket is the least power of two that holds n.
func bucket(n int) int { return 1 << bits.Len(uint(n-1)) }

// recordable says whether a step is one of generation: a row of each sequence, and logits that all fit at once where the host wants them.
func (d *device) recordable(b *kernels.Batch, n *size) bool {
	if n.rows != len(b.Chunks) || n.rows > maxGraphRows {
		return false
	}
	if len(b.Out) > outRows {
		for i := range b.Out {
			if onHost(&b.Out[i]) {
				return false
			}
		}
	}
	return true
}

// launch puts a step's work into the stream.
func (d *device) launch(n size) error {
	work := func() error {
		l := d.ops.rotations
		*l.p = rotationParams{freq: d.freq, pos: d.in.pos, count: d.in.count, out: d.angles, pairs: int32(len(d.shape.RopeFreq))}
		if err := l.run(d.stream, n.rows, 1, 1); err != nil {
			return err
		}
		d.done = false
		for i := range d.program {
			d.at = i
			if err := d.program[i].run(d, &d.program[i], &n); err != nil {
				return err
			}
		}
		return nil
	}
	if n.exact {
		return work()
	}
	r := d.graphs[n]
	if r != nil && !r.program.same(d.program) {
		if err := r.graph.free(); err != nil {
			return err
		}
		r = nil
	}
	if r == nil {
		g, err := d.stream.capture(work)
		var failed *Error
		if errors.As(err, &failed) && failed.Code == resultOutOfMemory {
			// The driver keeps records in the device's memory. Without room, those of other sizes go, and this step runs without one.
			if err := d.discard(); err != nil {
				return err
			}
			return work()
		}
		if err != nil {
			return err
		}
		r = &recorded{append(program(nil), d.program...), g}
		d.graphs[n] = r
	}
	return r.graph.launch(d.stream)
}

// discard frees the records: memory that they name is about to move.
func (d *device) discard() error {
	for n, r := range d.graphs {
		delete(d.graphs, n)
		if err := r.graph.free(); err != nil {
			return err
		}
	}
	return nil
}

// onHost says whether the host looks at a row's logits, rather than the kernel that draws.
func onHost(o *kernels.Out) bool { return o.Logits != nil || o.Top > 0 }

// hostRows copies the logits of Out rows, which the device has computed last, and does what is asked of those of the host.
func (d *device) hostRows(outs []kernels.Out) error {
	vocab, any := d.shape.Vocab, false
	for i := range outs {
		any = any || onHost(&outs[i])
	}
	if !any {
		return nil
	}
	if err := d.stream.toHost(d.hostLogits.bytes[:4*len(outs)*vocab], d.logits); err != nil {
		return err
	}
	if err := d.stream.synchronize(); err != nil {
		return err
	}
	for i := range outs {
		if o := &outs[i]; onHost(o) {
			d.sampler.Row(o, floats(d.hostLogits.bytes[4*i*vocab:], vocab))
		}
	}
	return nil
}

// queueResults puts the copies of what the Out rows asked for into the stream, and notes who samples what.
func (d *device) queueResults(f *flight) error {
	b := f.batch
	hidden := false
	for i := range b.Out {
		o := &b.Out[i]
		hidden = hidden || o.Hidden != nil
		if o.Sample != nil && d.final[o.Slot] == i {
			d.last[o.Slot] = onDevice // or it is known soon, see results
		}
	}
	if len(b.Out) > 0 {
		if err := d.stream.toHost(d.hostDrawn[f.step].bytes[:drawnSize*len(b.Out)], d.drawn); err != nil {
			return err
		}
	}
	if b.Leave != nil {
		if err := d.stream.toHost(d.hostStream.bytes[:4*len(b.Leave)], d.x); err != nil {
			return err
		}
	}
	if hidden {
		if err := d.stream.toHost(d.hostHidden.bytes[:4*d.shape.Hidden*len(b.Out)], d.hidden); err != nil {
			return err
		}
	}
	return d.ended[f.step].record(d.stream)
}

// results waits for a step and fills in what the Out rows asked for.
func (d *device) results(f *flight) error {
	b := f.batch
	if err := d.ended[f.step].synchronize(); err != nil {
		return err
	}
	if b.Leave != nil {
		copy(b.Leave, floats(d.hostStream.bytes, len(b.Leave)))
	}
	if !f.size.exact {
		if err := d.hostRows(b.Out); err != nil {
			return err
		}
	}
	for i := range b.Out {
		o := &b.Out[i]
		if o.Hidden != nil {
			copy(o.Hidden, floats(d.hostHidden.bytes[4*d.shape.Hidden*i:], d.shape.Hidden))
		}
		if onHost(o) {
			if o.Sample != nil && d.final[o.Slot] == i {
				d.last[o.Slot] = max(o.ID, noneSampled)
			}
			continue
		}
		r := (*drawn)(unsafe.Pointer(&d.hostDrawn[f.step].bytes[drawnSize*i])) // aligned to 8 in a page-aligned buffer
		o.TopIDs, o.TopLogprobs = o.TopIDs[:0], o.TopLogprobs[:0]
		if o.Target >= 0 {
			o.TargetLogprob = r.targetLogprob
		}
		if o.Sample != nil {
			o.ID, o.Logprob = r.id, r.logprob
		}
	}
	return nil
}
