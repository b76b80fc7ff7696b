package kernels

import (
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/llama31/llama31/gguf/block"
	"gorgonia.org/tensor"
)

func init() { Register("reference", openReference) }

// reference is the specification: every operation in plain Go, as simple as it can be written. Weights are decoded row by row
// when they are used, activations are float32, sums float64.
type reference struct {
	shape Shape
	kv    *referenceKV
	last  []int32 // per slot: the id sampled last, -1 before
}

func openReference(_ string, s Shape, _ Options) (Device, error) {
	d := &reference{shape: s, last: make([]int32, s.Slots)}
	for i := range d.last {
		d.last[i] = -1
	}
	return d, nil
}

func (d *reference) Info() Info {
	return Info{Name: "reference", Detail: "plain Go, float32 activations, float64 sums", Threads: runtime.GOMAXPROCS(0)}
}

func (d *reference) Close() error { return nil }

// referenceWeight is a matrix in its block format.
type referenceWeight struct {
	typ        block.Type
	rows, cols int
	data       []byte
}

func (w *referenceWeight) Type() block.Type       { return w.typ }
func (w *referenceWeight) Dims() (rows, cols int) { return w.rows, w.cols }

// row decodes row i to dst [cols].
func (w *referenceWeight) row(dst []float32, i int) {
	n := len(w.data) / w.rows
	if err := block.Dequantize(w.typ, dst, w.data[i*n:(i+1)*n]); err != nil {
		panic(err) // Load has tried it
	}
}

func (d *reference) Load(role Role, t *tensor.Dense) (Weight, error) {
	typ, ok := block.TypeOf(t.Dtype())
	shape := t.Shape()
	if !ok || len(shape) < 1 || len(shape) > 2 {
		return nil, fmt.Errorf("reference: %w: a weight of %v %v", ErrUnsupported, t.Dtype(), shape)
	}
	if t.RequiresIterator() {
		return nil, fmt.Errorf("reference: %w: a weight that is not contiguous", ErrUnsupported)
	}
	w := &referenceWeight{typ: typ, rows: 1, cols: shape[len(shape)-1] * typ.Len(), data: t.Uint8s()}
	if len(shape) == 2 {
		w.rows = shape[0]
	}
	if rows, cols := role.Dims(&d.shape); w.rows != rows || w.cols != cols {
		return nil, fmt.Errorf("reference: weight of role %d is [%d, %d], expected [%d, %d]", role, w.rows, w.cols, rows, cols)
	}
	if size, err := typ.Bytes(int64(w.rows) * int64(w.cols)); err != nil || size != int64(len(w.data)) {
		return nil, fmt.Errorf("reference: %d bytes for [%d, %d] of %v, expected %d", len(w.data), w.rows, w.cols, typ, size)
	}
	if err := block.Dequantize(typ, make([]float32, typ.Len()), w.data[:typ.Size()]); err != nil {
		return nil, fmt.Errorf("reference: %w: %w", ErrUnsupported, err)
	}
	return w, nil
}

// Dims is the shape of a role's weight in a model.
func (r Role) Dims(s *Shape) (rows, cols int) {
	switch r {
	case TokenEmbd, Output:
		return s.Vocab, s.Hidden
	case Norm:
		return 1, s.Hidden
	case AttnQ:
		return s.Heads * s.HeadDim, s.Hidden
	case AttnK, AttnV:
		return s.KVHeads * s.HeadDim, s.Hidden
	case AttnOutput:
		return s.Hidden, s.Heads * s.HeadDim
	case FFNGate, FFNUp:
		return s.FFN, s.Hidden
	case FFNDown:
		return s.Hidden, s.FFN
	}
	return 0, 0
}

// referenceKV is a paged cache. A page is [layers][key, value][KV heads][PageSize][head dim], each vector encoded as in a weight
// of the same precision: F32, F16 or Q8_0.
type referenceKV struct {
	shape  *Shape
	layers int
	typ    block.Type
	pages  [][]byte
}

func (d *reference) NewKV(layers, pages int, t KVType) (KV, error) {
	s := &d.shape
	kv := &referenceKV{shape: s, layers: layers}
	switch t {
	case KVF32:
		kv.typ = block.TypeF32
	case KVF16:
		kv.typ = block.TypeF16
	case KVQ8:
		kv.typ = block.TypeQ8_0
	default:
		return nil, fmt.Errorf("reference: %w: KV type %d", ErrUnsupported, t)
	}
	size, err := kv.typ.Bytes(int64(s.HeadDim))
	if err != nil {
		return nil, fmt.Errorf("reference: %w: KV of 8 bits with heads of %d values: %w", ErrUnsupported, s.HeadDim, err)
	}
	if layers < 1 || pages < 1 {
		return nil, fmt.Errorf("reference: a KV cache of %d layers and %d pages", layers, pages)
	}
	kv.pages = make([][]byte, pages)
	for i := range kv.pages {
		kv.pages[i] = make([]byte, layers*2*s.KVHeads*PageSize*int(size))
	}
	d.kv = kv
	return kv, nil
}

func (kv *referenceKV) Pages() int     { return len(kv.pages) }
func (kv *referenceKV) PageBytes() int { return len(kv.pages[0]) }

func (kv *referenceKV) page(i int32) ([]byte, error) {
	if i < 0 || int(i) >= len(kv.pages) {
		return nil, fmt.Errorf("reference: page %d of %d", i, len(kv.pages))
	}
	return kv.pages[i], nil
}

func (kv *referenceKV) Copy(dst, src int32) error {
	from, err := kv.page(src)
	if err != nil {
		return err
	}
	return kv.Write(dst, from)
}

func (kv *referenceKV) Read(page int32, dst []byte) error {
	p, err := kv.page(page)
	if err != nil {
		return err
	}
	if len(dst) != len(p) {
		return fmt.Errorf("reference: reading a page of %d bytes into %d", len(p), len(dst))
	}
	copy(dst, p)
	return nil
}

func (kv *referenceKV) Write(page int32, src []byte) error {
	p, err := kv.page(page)
	if err != nil {
		return err
	}
	if len(src) != len(p) {
		return fmt.Errorf("reference: writing %d bytes to a page of %d", len(src), len(p))
	}
	copy(p, src)
	return nil
}

// vector is where the key (which = 0) or value (1) of a head at position pos lies.
func (kv *referenceKV) vector(pages []int32, layer, which, head, pos int) []byte {
	p := kv.pages[pages[pos/PageSize]]
	size := len(p) / (kv.layers * 2 * kv.shape.KVHeads * PageSize)
	i := ((layer*2+which)*kv.shape.KVHeads+head)*PageSize + pos%PageSize
	return p[i*size : (i+1)*size]
}

func (d *reference) Step(b *Batch, forward func(Ops)) error {
	if d.kv == nil {
		return errors.New("reference: Step before NewKV")
	}
	if err := b.Check(&d.shape, len(d.kv.pages)); err != nil {
		return fmt.Errorf("reference: %w", err)
	}
	o := &referenceOps{reference: d, batch: b}
	for i := 0; i < len(b.Enter); i += d.shape.Hidden {
		o.x = append(o.x, slices.Clone(b.Enter[i:i+d.shape.Hidden]))
	}
	forward(o)
	for i, x := range o.x {
		copy(b.Leave[min(i*d.shape.Hidden, len(b.Leave)):], x)
	}
	return o.err
}
