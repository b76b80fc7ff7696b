package cuda

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"

	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/kernels"
	"gorgonia.org/tensor"
)

// weight is a matrix in device memory: the records of its row tiles, then the rows' scales where the format has them.
type weight struct {
	typ        block.Type
	rows, cols int
	format     *format
	mem        *memory
}

func (w *weight) Type() block.Type       { return w.typ }
func (w *weight) Dims() (rows, cols int) { return w.rows, w.cols }
func (w *weight) tiles() int             { return ceil(w.rows, tileRows) }
func (w *weight) k() int                 { return pad(w.cols) }
func (w *weight) records() int           { return w.k() / w.format.k() }

// parts is into how many ranges products cut k: a function of the shape alone, so that results do not depend on the kernel.
func (w *weight) parts() int { return min(8, w.records()) }

// scales are the rows' scales.
func (w *weight) scales() pointer {
	if w.format.kind != perRow {
		return 0
	}
	return w.mem.pointer + pointer(w.recordBytes())
}

func (w *weight) recordBytes() int { return w.tiles() * w.records() * w.format.bytes() }

// bytes is what the weight takes of device memory.
func (w *weight) bytes() int {
	n := w.recordBytes()
	if w.format.kind == perRow {
		n += 4 * w.rows
	}
	return n
}

func ceil(n, by int) int { return (n + by - 1) / by }

// pad is the length of rows of n values: products take whole records.
func pad(n int) int { return ceil(n, superK) * superK }

// placeWeight decides how a weight will lie on the device.
func placeWeight(t block.Type, rows, cols int) *weight {
	w := &weight{typ: t, rows: rows, cols: cols, format: formats[t]}
	if w.format == nil {
		w.format = formats[block.TypeQ8_0]
	}
	return w
}

// weightBytes predicts what Load takes of the device's memory.
func weightBytes(t block.Type, rows, cols int) int64 {
	if rows == 1 { // a norm
		return 4 * int64(cols)
	}
	return int64(placeWeight(t, rows, cols).bytes())
}

// Load copies a weight to the device. Types that have no kernels of their own become Q8_0 on the way.
func (d *device) Load(role kernels.Role, t *tensor.Dense) (kernels.Weight, error) {
	typ, ok := block.TypeOf(t.Dtype())
	shape := t.Shape()
	if !ok || len(shape) < 1 || len(shape) > 2 || t.RequiresIterator() {
		return nil, fmt.Errorf("%s: %w: a weight of %v %v", d.gpu.name, kernels.ErrUnsupported, t.Dtype(), shape)
	}
	rows, cols := 1, shape[len(shape)-1]*typ.Len()
	if len(shape) == 2 {
		rows = shape[0]
	}
	if r, c := role.Dims(&d.shape); rows != r || cols != c {
		return nil, fmt.Errorf("%s: %w: a weight of role %d and shape [%d, %d], expected [%d, %d]", d.gpu.name, kernels.ErrUnsupported, role, rows, cols, r, c)
	}
	if err := block.Dequantize(typ, nil, nil); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", d.gpu.name, kernels.ErrUnsupported, err)
	}
	data := t.Uint8s() // the raw bytes, whatever the dtype
	if size, err := typ.Bytes(int64(rows) * int64(cols)); err != nil || size != int64(len(data)) || cols%32 != 0 {
		return nil, fmt.Errorf("%s: %w: %d bytes for [%d, %d] of %v", d.gpu.name, kernels.ErrUnsupported, len(data), rows, cols, typ)
	}
	if role == kernels.Norm {
		if typ != block.TypeF32 {
			return nil, fmt.Errorf("%s: %w: a norm of type %v, expected %v", d.gpu.name, kernels.ErrUnsupported, typ, block.TypeF32)
		}
		w := &weight{typ: typ, rows: rows, cols: cols}
		return w, d.gpu.do(func() (err error) {
			if w.mem, err = d.gpu.alloc(len(data)); err != nil {
				return err
			}
			defer w.freeAfter(&err)
			return d.upload(w.mem.pointer, len(data), func(to []byte, at int) { copy(to, data[at:]) })
		})
	}
	w := placeWeight(typ, rows, cols)
	if formats[typ] == nil {
		d.log.Info("weight converted", "from", typ, "to", block.TypeQ8_0, "role", role)
	}
	return w, d.gpu.do(func() (err error) {
		if err = d.loadKernels(w.format, w.parts()); err != nil {
			return err
		}
		if w.mem, err = d.gpu.alloc(w.bytes()); err != nil {
			return err
		}
		defer w.freeAfter(&err)
		p := &packer{weight: w, data: data, scales: make([]float32, rows)}
		tile := w.records() * w.format.bytes()
		tiles := max(1, stagingBytes/tile)
		if tile > stagingBytes {
			return fmt.Errorf("%s: %w: rows of %d values", d.gpu.name, kernels.ErrUnsupported, cols)
		}
		if err = d.upload(w.mem.pointer, w.tiles()*tile, func(to []byte, at int) { p.pack(to, at/tile) }, tiles*tile); err != nil || w.format.kind != perRow {
			return err
		}
		return d.upload(w.scales(), 4*rows, func(to []byte, at int) {
			for i := range len(to) / 4 {
				binary.LittleEndian.PutUint32(to[4*i:], math.Float32bits(p.scales[at/4+i]))
			}
		})
	})
}

// freeAfter gives the memory back if loading failed. That this fails too follows from the first error, which is the one to tell.
func (w *weight) freeAfter(err *error) {
	if *err != nil {
		w.mem.free()
	}
}

// stagingBytes is the size of each of the two pinned buffers through which weights go: one is filled while the other is copied.
const stagingBytes = 16 << 20

// upload writes size bytes to the device, in pieces that fill makes from offset at on.
func (d *device) upload(to pointer, size int, fill func(to []byte, at int), piece ...int) error {
	n := stagingBytes
	if len(piece) > 0 {
		n = piece[0]
	}
	for at := 0; at < size; at += n {
		s := &d.staging[d.turn]
		d.turn = 1 - d.turn
		if s.mem == nil {
			var err error
			if s.done, err = d.gpu.newEvent(false); err != nil {
				return err
			}
			if s.mem, err = d.gpu.allocHost(stagingBytes); err != nil {
				return errors.Join(err, s.done.free())
			}
		} else if err := s.done.synchronize(); err != nil {
			return err
		}
		b := s.mem.bytes[:min(n, size-at)]
		fill(b, at)
		if err := d.stream.toDevice(to+pointer(at), b); err != nil {
			return err
		}
		if err := s.done.record(d.stream); err != nil {
			return err
		}
	}
	return nil
}

// staging is a pinned buffer, and when the device has read it.
type staging struct {
	mem  *pinned
	done *event
}

// packer makes records of a weight's blocks.
type packer struct {
	*weight
	data   []byte
	scales []float32 // [rows], filled by pack
}

// pack makes the records of row tiles from first on, on all cores.
func (p *packer) pack(to []byte, first int) {
	clear(to)
	n := p.records() * p.format.bytes()
	var wg sync.WaitGroup
	tiles := len(to) / n
	workers := min(tiles, runtime.GOMAXPROCS(0))
	for w := range workers {
		wg.Go(func() {
			values, converted := make([]float32, p.cols), []byte(nil)
			if p.format.split != nil && formats[p.typ] == nil {
				converted = make([]byte, p.cols/32*34)
			}
			var s splitRow
			for i := w; i < tiles; i += workers {
				tile := to[i*n : (i+1)*n]
				for row := range min(tileRows, p.rows-(first+i)*tileRows) {
					p.row(tile, (first+i)*tileRows+row, values, converted, &s)
				}
			}
		})
	}
	wg.Wait()
}

// row packs one row into the records of its tile. converted, if not nil, is where it becomes Q8_0 first.
func (p *packer) row(tile []byte, row int, values []float32, converted []byte, s *splitRow) {
	stride := len(p.data) / p.rows
	src := p.data[row*stride : (row+1)*stride]
	f := p.format
	if f.split == nil || converted != nil {
		if err := block.Dequantize(p.typ, values, src); err != nil {
			panic(err) // Load has tried the type and the size
		}
	}
	if f.split == nil {
		scale := float32(1)
		if p.typ != block.TypeF16 {
			scale = rowScale(values)
		}
		p.scales[row] = scale
		for at := 0; at < len(values); at += f.k() {
			f.putFloats(tile[at/f.k()*f.bytes():], row%tileRows, values[at:min(at+f.k(), len(values))], scale)
		}
		return
	}
	if converted != nil {
		if err := block.Quantize(block.TypeQ8_0, converted, values); err != nil {
			panic(err) // as above
		}
		src = converted
	}
	size := len(src) / (p.cols / f.len) * (superK / f.len) // bytes of a record's part
	for i := 0; len(src) > 0; i++ {
		n := min(size, len(src))
		*s = splitRow{}
		f.split(s, src[:n])
		f.put(tile[i*f.bytes():], row%tileRows, s)
		src = src[n:]
	}
}
