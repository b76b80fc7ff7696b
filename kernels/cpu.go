package kernels

import (
	"fmt"
	"math"

	"github.com/llama31/llama31/gguf/block"
	"gorgonia.org/tensor"
)

func init() { Register("cpu", openCPU) }

// cpuDevice is the CPU device: a pool of workers that run the table's leaf functions. Operations split over output rows, tokens, heads and
// segments, never over k, so that no sum depends on the split. The methods of Ops are in cpu_ops.go, products in matmul.go,
// attention in attend.go.
type cpuDevice struct {
	shape Shape
	leaf  *leaf
	pool  *pool
	mem   arena
	kv    *cpuKV
	err   error // first error of the step

	batch *Batch
	rows  []row     // of the batch
	last  []int32   // [Slots] what each slot sampled last
	x     []float32 // [MaxRows][Hidden] the residual stream
	h     []float32 // [MaxRows][Hidden] normed
	q     []float32 // [MaxRows][Heads*HeadDim]
	k, v  []float32 // [MaxRows][KVHeads*HeadDim]
	a     []float32 // [MaxRows][max(FFN, Heads*HeadDim)] what the next ProjectAdd takes
	up    []float32 // [MaxRows][FFN]
	cos   []float32 // [MaxRows][2·len(RopeFreq)] as leaf.rotate takes them
	sin   []float32
	in    acts // the operand of the current product
	mul   mulTask
	att   attendTask
	out   outTask

	work []scratch // one per worker
}

// row is one token of the batch.
type row struct {
	id, slot, pos int32
	pages         []int32
}

// cpuWeight aliases the file's bytes.
type cpuWeight struct {
	t          block.Type
	rows, cols int
	stride     int // bytes from row to row
	data       []byte
	format     *format // nil: float32 panels
	dot        *dot    // nil: always panels
	wide       bool    // takes wide operands
	refined    bool    // its largest results are refined
	pairs      bool    // multiplied as bfloat16: float panels of dwords, two values each
	winograd   bool    // its panels are multiplied by winogradLeaf
}

// wide says that a role's product takes a wide operand: where the rounding of activations shows most for the work it costs, which is 2% of a prompt.
func (r Role) wide() bool { return r == AttnV }

// refined says that a role's product is the one whose result nothing averages, and whose largest results alone matter: that of the output head. See refine.
func (r Role) refined() bool { return r == Output || r == TokenEmbd }

func (w *cpuWeight) Type() block.Type       { return w.t }
func (w *cpuWeight) Dims() (rows, cols int) { return w.rows, w.cols }
func (w *cpuWeight) row(i int) *byte        { return &w.data[i*w.stride] }
func (w *cpuWeight) bytes(i int) []byte     { return w.data[i*w.stride : (i+1)*w.stride] }
func (w *cpuWeight) floats(n int) []float32 { return blocks[float32](&w.data[0], n) }
func (w *cpuWeight) isFloat() bool          { return w.format == nil }
func (w *cpuWeight) dwords() int {
	if w.pairs {
		return w.cols / 2
	}
	return w.cols
}
func (w *cpuWeight) panels() int             { return (w.rows + 15) / 16 }
func (w *cpuWeight) panelRows(panel int) int { return min(16, w.rows-16*panel) }

func openCPU(name string, s Shape, o Options) (Device, error) {
	if name != "" {
		return nil, fmt.Errorf("%w: the CPU has no parts to choose from, found %q", ErrUnavailable, name)
	}
	l, err := pickLeaf(o.Leaf)
	if err != nil {
		return nil, err
	}
	if s.Hidden%32 != 0 || s.FFN%32 != 0 || s.HeadDim%16 != 0 || s.HeadDim > maxHeadDim || s.Heads*s.HeadDim%32 != 0 {
		return nil, fmt.Errorf("%w: the CPU device needs hidden, FFN and heads·dim in multiples of 32 and head sizes of 16 up to %d, found %d, %d, %d·%d", ErrUnsupported, maxHeadDim, s.Hidden, s.FFN, s.Heads, s.HeadDim)
	}
	threads := o.Threads
	if threads == 0 {
		threads = Cores()
	}
	d := &cpuDevice{shape: s, leaf: l, last: make([]int32, s.Slots), rows: make([]row, 0, s.MaxRows), work: make([]scratch, threads)}
	d.layout()
	if err := d.mem.allocate(); err != nil {
		return nil, err
	}
	d.layout()
	for i := range d.last {
		d.last[i] = LastSampled
	}
	d.prepare()
	d.pool = newPool(threads)
	return d, nil
}

// layout places every buffer of a step; it runs twice (see arena).
func (d *cpuDevice) layout() {
	s, m := &d.shape, &d.mem
	n, heads, kvs := s.MaxRows, s.Heads*s.HeadDim, s.KVHeads*s.HeadDim
	wide := max(s.FFN, heads, s.Hidden)
	d.x = take[float32](m, n*s.Hidden)
	d.h = take[float32](m, n*s.Hidden)
	d.q = take[float32](m, n*heads)
	d.k = take[float32](m, n*kvs)
	d.v = take[float32](m, n*kvs)
	d.a = take[float32](m, n*max(s.FFN, heads))
	d.up = take[float32](m, n*s.FFN)
	d.cos = take[float32](m, n*2*len(s.RopeFreq))
	d.sin = take[float32](m, n*2*len(s.RopeFreq))
	d.in.layout(m, d.leaf, n, wide, s.Hidden)
	for i := range d.work {
		d.work[i].layout(m, d.leaf, s, wide)
	}
	d.out.layout(m, s)
}

func (d *cpuDevice) Info() Info {
	detail := d.leaf.name
	if d.leaf.bf16 != nil {
		detail += ", bf16" // other bits than without
	}
	return Info{Name: "cpu", Detail: detail, Threads: d.pool.n, Memory: int64(len(d.mem.mem))}
}

func (d *cpuDevice) Load(role Role, w *tensor.Dense) (Weight, error) {
	t, ok := block.TypeOf(w.Dtype())
	if !ok {
		return nil, fmt.Errorf("%w: a weight of dtype %v", ErrUnsupported, w.Dtype())
	}
	sh := w.Shape()
	c := &cpuWeight{t: t, rows: 1}
	switch len(sh) {
	case 1:
		c.cols = sh[0] * t.Len()
	case 2:
		c.rows, c.cols = sh[0], sh[1]*t.Len()
	default:
		return nil, fmt.Errorf("%w: a weight of shape %v", ErrUnsupported, sh)
	}
	if rows, cols := role.Dims(&d.shape); c.rows != rows || c.cols != cols || w.RequiresIterator() {
		return nil, fmt.Errorf("%w: a weight of role %d and shape [%d, %d], expected a contiguous [%d, %d]", ErrUnsupported, role, c.rows, c.cols, rows, cols)
	}
	if role == Norm {
		if t != block.TypeF32 || c.rows != 1 {
			return nil, fmt.Errorf("%w: a norm of type %v and shape %v, expected an F32 vector", ErrUnsupported, t, sh)
		}
	} else if c.cols%32 != 0 {
		return nil, fmt.Errorf("%w: a weight of shape [%d, %d], expected rows of a multiple of 32", ErrUnsupported, c.rows, c.cols)
	}
	if err := block.Dequantize(t, nil, nil); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if !d.shape.Exact {
		c.format = formats[t]
	}
	c.wide, c.refined = c.format != nil && role.wide(), c.format != nil && role.refined()
	c.winograd = c.format != nil && c.format.limit() < 127 && d.leaf.winogradPays()
	c.pairs = t == block.TypeBF16 && d.leaf.bf16 != nil && !d.shape.Exact
	if c.pairs {
		c.dot = &d.leaf.bf16.dot
	} else if dot, ok := d.leaf.dots[t]; ok && (!t.Quantized() || c.format != nil && c.cols >= 32*dotBlocks) {
		c.dot = &dot
	}
	size, err := t.Bytes(int64(c.cols))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	c.stride = int(size)
	c.data = w.Uint8s() // the raw bytes, whatever the dtype
	if len(c.data) != c.rows*c.stride {
		return nil, fmt.Errorf("%w: a weight of shape %v in %d bytes, expected %d", ErrUnsupported, sh, len(c.data), c.rows*c.stride)
	}
	return c, nil
}

func (d *cpuDevice) Close() error {
	if d.pool == nil {
		return nil
	}
	d.pool.close()
	d.pool = nil
	err := release(d.mem.mem)
	if d.kv != nil {
		if e := release(d.kv.mem); err == nil {
			err = e
		}
		d.kv = nil
	}
	return err
}

func (d *cpuDevice) Step(b *Batch, forward func(Ops)) error {
	if err := d.begin(b); err != nil {
		return err
	}
	copy(d.x, b.Enter)
	d.pool.begin()
	forward(d)
	d.pool.end()
	copy(b.Leave, d.x)
	err := d.err
	d.err, d.batch = nil, nil
	return err
}

// begin checks the batch, lists its rows and computes their rotations.
func (d *cpuDevice) begin(b *Batch) error {
	s, pages := &d.shape, 0
	if d.kv != nil {
		pages = d.kv.pages
	}
	if err := b.Check(s, pages); err != nil {
		return err
	}
	d.rows = d.rows[:0]
	for i := range b.Chunks {
		c := &b.Chunks[i]
		for j, id := range c.IDs {
			if id == LastSampled {
				if id = d.last[c.Slot]; id < 0 {
					return fmt.Errorf("chunk %d: slot %d has not sampled a token", i, c.Slot)
				}
			}
			d.rows = append(d.rows, row{id: id, slot: int32(c.Slot), pos: int32(c.Pos + j), pages: c.Pages})
		}
	}
	n := len(s.RopeFreq)
	for r := range d.rows {
		for i, f := range s.RopeFreq {
			sin, cos := math.Sincos(f * float64(d.rows[r].pos))
			at := 2 * (r*n + i)
			d.cos[at], d.cos[at+1] = float32(cos), float32(cos)
			d.sin[at], d.sin[at+1] = float32(-sin), float32(sin)
		}
	}
	d.batch = b
	return nil
}
