package cuda

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"unsafe"

	"github.com/llama31/llama31/kernels"
)

func init() { kernels.Register("cuda", open) }

// device runs a model on one GPU. Everything that touches the gpu runs inside gpu.do.
type device struct {
	gpu    *gpu
	shape  kernels.Shape
	log    *slog.Logger
	stream *stream

	modules map[string]*module
	ops     opKernels
	mul     map[mulKey]*mulKernels

	staging [2]staging
	turn    int
	kv      *cache

	buffers
	workBytes int64 // of device memory that steps work in
	in        input
	last      []int32         // [Slots] what each slot sampled last: onDevice, or an id that the host drew; noneSampled before
	sampler   kernels.Sampler // of rows in host memory
	program   program
	at        int  // the operation that is put into the stream
	done      bool // what the next one begins with
	graphs    map[size]*recorded

	final   []int          // [Slots] of a step's Out rows, the last in which the slot samples
	flights []flight       // steps that have begun and not ended, in order
	step    int            // 0 or 1: whose of the host's buffers the next step uses
	ended   [2]*event      // when the device is through with them
	batch   *kernels.Batch // of the step
	from    *operand       // what the next ProjectAdd takes
	factor  float32        // of its result
}

// operand is activations as products take them (operand.cuh): float16, padded along k with zeros, and their sums.
type operand struct {
	x, sums pointer
	k       int
}

func (o *operand) params() operandParams { return operandParams{x: o.x, sums: o.sums, k: int32(o.k)} }

// buffers are what a step works in.
type buffers struct {
	x          pointer // [MaxRows][Hidden] float32, the residual stream
	h, o, f    operand // normed rows; attention's output; SwiGLU's
	q, k, v    pointer // [MaxRows][heads·dim] float32
	q16        pointer // [MaxRows][Heads·HeadDim] float16, rotated
	gate, up   pointer // [MaxRows][FFN] float32
	angles     pointer // [MaxRows][pairs][cos, sin]
	freq       pointer // [pairs] float64
	hidden     pointer // [MaxOut][Hidden] float32
	logits     pointer // [outRows][Vocab] float32
	work       pointer // [outRows][Vocab] float32, of sample
	drawn      pointer // [MaxOut] drawn
	sampled    pointer // [Slots] the id that each slot sampled last
	blocks     pointer // how many blocks of a product have ended
	hostDrawn  [2]*pinned
	hostLogits *pinned
	hostHidden *pinned
	partial    *memory // of attention, as large as a step needed so far
	hostStream *pinned // [MaxRows][Hidden] of Batch.Enter and Leave, once there are any
}

// What device.last has for a slot, in place of an id.
const (
	noneSampled = -1
	onDevice    = -2 // in buffers.sampled
)

// outRows is the most rows whose logits are computed at once.
const outRows = 64

// swigluFactor divides what SwiGLU gives: it may exceed float16's 65504, up to 4.2 million now, and what is below 2^-14 is rounded
// to multiples of 2^-18.
const swigluFactor = 64

// maxHidden is the longest row that RMSNorm takes (norm.cuh).
const maxHidden = 128 * 256

func open(name string, s kernels.Shape, o kernels.Options) (kernels.Device, error) {
	index := 0
	if name != "" {
		var err error
		if index, err = strconv.Atoi(name); err != nil {
			return nil, fmt.Errorf("%w: %q is no number of a CUDA device", kernels.ErrUnavailable, name)
		}
	}
	switch group := s.Heads / s.KVHeads; {
	case s.Exact:
		return nil, fmt.Errorf("cuda: %w: float32 activations and KV", kernels.ErrUnsupported)
	case s.HeadDim%32 != 0 || s.HeadDim > 128 || group > 16 || s.Hidden%32 != 0 || s.Hidden > maxHidden || s.FFN%32 != 0:
		return nil, fmt.Errorf("cuda: %w: expected heads of 32, 64, 96 or 128, at most 16 to a KV head, hidden and FFN in multiples of 32, hidden up to %d; found %d, %d, %d and %d",
			kernels.ErrUnsupported, maxHidden, s.HeadDim, group, s.Hidden, s.FFN)
	}
	driver, err := loadDriver()
	if err != nil {
		return nil, err
	}
	g, err := driver.open(index)
	if err != nil {
		return nil, err
	}
	d := &device{gpu: g, shape: s, log: o.Logger, modules: map[string]*module{}, mul: map[mulKey]*mulKernels{}, last: make([]int32, s.Slots), final: make([]int, s.Slots), graphs: map[size]*recorded{}}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	for i := range d.last {
		d.last[i] = noneSampled
	}
	if err := g.do(d.prepare); err != nil {
		g.close()
		return nil, err
	}
	return d, nil
}

// prepare makes the stream, the kernels and the buffers.
func (d *device) prepare() (err error) {
	if d.stream, err = d.gpu.newStream(); err != nil {
		return err
	}
	if err = d.loadOps(); err != nil {
		return err
	}
	s := &d.shape
	var sizes layout
	d.place(&sizes)
	mem, err := d.gpu.alloc(sizes.used)
	if err != nil {
		return err
	}
	if err = d.stream.fill(mem.pointer, 0, mem.size); err != nil { // padding of operands stays zero
		return err
	}
	d.place(&layout{base: mem.pointer})
	if s.Context > 0 {
		if err = d.reserve(d.mostInput(), d.mostPartial()); err != nil {
			return err
		}
		d.workBytes += int64(d.partial.size + d.in.mem.size)
	}
	d.workBytes += int64(mem.size)
	if d.hostLogits, err = d.gpu.allocHost(min(outRows, s.MaxOut) * s.Vocab * 4); err != nil {
		return err
	}
	if d.hostHidden, err = d.gpu.allocHost(s.MaxOut * s.Hidden * 4); err != nil {
		return err
	}
	for i := range d.hostDrawn {
		if d.hostDrawn[i], err = d.gpu.allocHost(s.MaxOut * drawnSize); err != nil {
			return err
		}
		if d.ended[i], err = d.gpu.newEvent(false); err != nil {
			return err
		}
	}
	freq := make([]byte, 8*len(s.RopeFreq))
	for i, f := range s.RopeFreq {
		binary.LittleEndian.PutUint64(freq[8*i:], math.Float64bits(f))
	}
	if err = d.stream.toDevice(d.freq, freq); err != nil {
		return err
	}
	return d.stream.synchronize()
}

// layout hands out pieces of one allocation; without a base it adds up their size.
type layout struct {
	base pointer
	used int
}

func (l *layout) take(bytes int) pointer {
	p := l.base + pointer(l.used)
	l.used += (bytes + 255) &^ 255
	return p
}

func (l *layout) operand(rows, n int) operand {
	rows = ceil(rows, 32) * 32 // products read the sums of whole tiles of tokens
	k := pad(n)
	return operand{x: l.take(rows * k * 2), sums: l.take(rows * k / 16 * 4), k: k}
}

// place lays the buffers out.
func (d *device) place(l *layout) {
	s, b := &d.shape, &d.buffers
	n, heads, kvHeads := s.MaxRows, s.Heads*s.HeadDim, s.KVHeads*s.HeadDim
	b.x = l.take(4 * n * s.Hidden)
	b.h, b.o, b.f = l.operand(max(n, s.MaxOut), s.Hidden), l.operand(n, heads), l.operand(n, s.FFN)
	b.q, b.k, b.v = l.take(4*n*heads), l.take(4*n*kvHeads), l.take(4*n*kvHeads)
	b.q16 = l.take(2 * n * heads)
	b.gate, b.up = l.take(4*n*s.FFN), l.take(4*n*s.FFN)
	b.angles, b.freq = l.take(8*n*len(s.RopeFreq)), l.take(8*len(s.RopeFreq))
	b.hidden, b.drawn, b.sampled = l.take(4*s.MaxOut*s.Hidden), l.take(s.MaxOut*drawnSize), l.take(4*s.Slots)
	b.blocks = l.take(4)
	b.logits, b.work = l.take(4*min(outRows, s.MaxOut)*s.Vocab), l.take(4*min(outRows, s.MaxOut)*s.Vocab)
}

func (d *device) Info() kernels.Info {
	return kernels.Info{Name: d.gpu.name, Detail: fmt.Sprintf("%s, CUDA %s", d.gpu.properties.name, cudaVersion(d.gpu.version)), Memory: d.gpu.memory, FreeFunc: d.free, WorkBytes: d.workBytes, WeightBytes: weightBytes}
}

// free is the device's free memory in bytes, 0 where the driver fails to tell.
func (d *device) free() (free int64) {
	d.gpu.do(func() (err error) {
		free, _, err = d.gpu.memoryInfo()
		return err
	})
	return free
}

func (d *device) Close() error { return d.gpu.close() }

// floats views pinned memory, which is page-aligned, at a multiple of four bytes.
func floats(b []byte, n int) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(&b[:4*n][0])), n)
}
