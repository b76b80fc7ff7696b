package kernels

import (
	"errors"
	"fmt"
)

// Stage is a device and how many of a model's layers it runs, at least one.
type Stage struct {
	Device Device
	Layers int
}

// Pipeline runs a model on one device or several: the first has the embeddings and the first layers, the last the last layers and
// the output head. At each border the residual stream of a step's rows is handed over through host memory, once a step. Like a
// Device it is for one goroutine at a time.
type Pipeline struct {
	stages []Stage
	shape  Shape
	window []window  // one for each stage
	last   []int32   // [Slots] what each slot sampled last, LastSampled before
	ids    []int32   // of a step, with LastSampled replaced
	chunks []Chunk   // of a step, with these ids
	stream []float32 // [rows, Hidden] from a stage to the next
}

// NewPipeline runs a model of shape s on the stages, which it closes at its end.
func NewPipeline(s Shape, stages ...Stage) (*Pipeline, error) {
	p := &Pipeline{stages: stages, shape: s, last: make([]int32, s.Slots), window: make([]window, len(stages))}
	for i := range p.last {
		p.last[i] = LastSampled
	}
	first := 0
	for i := range stages {
		n := stages[i].Layers
		p.window[i] = window{first: first, end: first + n, whole: s.Layers}
		if first += n; n < 1 {
			return nil, fmt.Errorf("%w: a stage of %d layers", ErrUnsupported, n)
		}
	}
	if first != s.Layers {
		return nil, fmt.Errorf("%w: stages of %d layers in all, the model has %d", ErrUnsupported, first, s.Layers)
	}
	return p, nil
}

// At is the device of a layer: of the embeddings for -1, of the last norm and the output head for Shape.Layers.
func (p *Pipeline) At(layer int) Device {
	for i := range p.stages {
		if layer < p.window[i].end {
			return p.stages[i].Device
		}
	}
	return p.stages[len(p.stages)-1].Device
}

// Overlapped is the one device of a pipeline, where it can begin a step before the last has ended; nil otherwise.
func (p *Pipeline) Overlapped() Overlapped {
	if len(p.stages) > 1 {
		return nil
	}
	d, _ := p.stages[0].Device.(Overlapped)
	return d
}

// Close closes the devices.
func (p *Pipeline) Close() error {
	var errs []error
	for _, s := range p.stages {
		errs = append(errs, s.Device.Close())
	}
	return errors.Join(errs...)
}

// Step is Device.Step: each device runs its part of forward.
func (p *Pipeline) Step(b *Batch, forward func(Ops)) error {
	if len(p.stages) == 1 {
		return p.stages[0].Device.Step(b, forward)
	}
	chunks, err := p.resolve(b)
	if err != nil {
		return err
	}
	rows, final := len(p.ids), len(p.stages)-1
	if need := rows * p.shape.Hidden; cap(p.stream) < need {
		p.stream = make([]float32, need)
	}
	stream := p.stream[:rows*p.shape.Hidden]
	own := Batch{Chunks: chunks, Leave: stream}
	for i := range p.stages {
		if i == final {
			own.Out, own.Leave = b.Out, nil
		}
		w := p.window[i]
		if err := p.stages[i].Device.Step(&own, func(o Ops) {
			w.Ops, w.layer = o, -1
			forward(&w)
		}); err != nil {
			return err
		}
		own.Enter = stream
	}
	for i := range b.Out {
		if o := &b.Out[i]; o.Sample != nil {
			p.last[o.Slot] = o.ID
		}
	}
	return nil
}

// resolve replaces LastSampled in a batch's chunks: what the last device sampled, the first does not know.
func (p *Pipeline) resolve(b *Batch) ([]Chunk, error) {
	p.ids, p.chunks = p.ids[:0], append(p.chunks[:0], b.Chunks...)
	for i := range b.Chunks {
		c := &b.Chunks[i]
		for _, id := range c.IDs {
			if id == LastSampled && c.Slot >= 0 && c.Slot < len(p.last) {
				if id = p.last[c.Slot]; id < 0 {
					return nil, fmt.Errorf("chunk %d: slot %d has not sampled a token", i, c.Slot)
				}
			}
			p.ids = append(p.ids, id)
		}
	}
	ids := p.ids
	for i := range p.chunks {
		n := len(p.chunks[i].IDs)
		p.chunks[i].IDs, ids = ids[:n:n], ids[n:]
	}
	return p.chunks, nil
}

// window passes on what one stage has to do of a forward pass.
type window struct {
	Ops
	first, end, whole int
	layer             int // that the pass is in; -1 before the first
}

func (w *window) here() bool { return w.first <= w.layer && w.layer < w.end }

func (w *window) Embed(e Weight) {
	if w.first == 0 {
		w.Ops.Embed(e)
	}
}

func (w *window) NormQKV(norm, wq, wk, wv Weight) {
	w.layer++
	if w.here() {
		w.Ops.NormQKV(norm, wq, wk, wv)
	}
}

func (w *window) RopeStore(layer int) {
	if w.here() {
		w.Ops.RopeStore(layer - w.first)
	}
}

func (w *window) Attend(layer int) {
	if w.here() {
		w.Ops.Attend(layer - w.first)
	}
}

func (w *window) ProjectAdd(p Weight) {
	if w.here() {
		w.Ops.ProjectAdd(p)
	}
}

func (w *window) NormGateUp(norm, gate, up Weight) {
	if w.here() {
		w.Ops.NormGateUp(norm, gate, up)
	}
}

func (w *window) Norm(norm Weight) {
	if w.end == w.whole {
		w.Ops.Norm(norm)
	}
}

func (w *window) Logits(output Weight) {
	if w.end == w.whole {
		w.Ops.Logits(output)
	}
}

// NewKV makes the cache of every device. A page has each device's part, one after the other.
func (p *Pipeline) NewKV(pages int, t KVType) (KV, error) {
	var all pipelineKV
	for _, s := range p.stages {
		kv, err := s.Device.NewKV(s.Layers, pages, t)
		if err != nil {
			return nil, err
		}
		all = append(all, kv)
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return all, nil
}

type pipelineKV []KV

func (all pipelineKV) Pages() int { return all[0].Pages() }

func (all pipelineKV) PageBytes() (n int) {
	for _, kv := range all {
		n += kv.PageBytes()
	}
	return n
}

func (all pipelineKV) Copy(dst, src int32) error {
	return all.each(nil, func(kv KV, _ []byte) error { return kv.Copy(dst, src) })
}

func (all pipelineKV) Read(page int32, b []byte) error {
	return all.each(b, func(kv KV, b []byte) error { return kv.Read(page, b) })
}

func (all pipelineKV) Write(page int32, b []byte) error {
	return all.each(b, func(kv KV, b []byte) error { return kv.Write(page, b) })
}

// each calls f for every device, with its part of a page's bytes if there are any.
func (all pipelineKV) each(b []byte, f func(kv KV, b []byte) error) error {
	if b != nil && len(b) != all.PageBytes() {
		return fmt.Errorf("%d bytes for a KV page of %d", len(b), all.PageBytes())
	}
	for _, kv := range all {
		n := min(len(b), kv.PageBytes())
		if err := f(kv, b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
