package cuda

import (
	"fmt"

	"github.com/llama31/llama31/kernels"
)

// Parameters of the kernels, field by field as in the .cu files.

// matrices is how many weights a launch may multiply with the same activations.
const matrices = 3

// end is what becomes of products.
type end int32

const (
	endStore end = iota
	endAdd
	endGate
	endRope
)

// Which of q, k and v a matrix gives.
const (
	isQ int32 = iota
	isK
	isV
)

type mulParams struct {
	w, scale, y            [matrices]pointer
	x, sums, tokens, ended pointer
	out                    operandParams
	norm                   normParams
	rope                   ropeParams
	rows, tiles, which     [matrices]int32
	k, parts               int32
	end                    end
	factor                 float32
}

type operandParams struct {
	x, sums pointer
	k, _    int32
}

type embedParams struct {
	w, scale, ids, last, count, x pointer
	hidden, k                     int32
}

type normParams struct {
	x, w, plain pointer
	out         operandParams
	n           int32
	eps         float32
}

type normsParams struct {
	norm         normParams
	index, count pointer
}

type swigluParams struct {
	gate, up, count pointer
	out             operandParams
	n               int32
	factor          float32
}

type rotationParams struct {
	freq, pos, count, out pointer
	pairs                 int32
}

type ropeParams struct {
	angles, pos, table, pages, q, kv  pointer
	heads, kvHeads, dim, pairs, q8, _ int32
}

type ropeStoreParams struct {
	q, k, v, count pointer
	rope           ropeParams
}

type attendParams struct {
	q, kv, pos, table, pages, items, count, partial pointer
	out                                             operandParams
	heads, kvHeads, segments, item0, per            int32
	scale                                           float32
}

type combineParams struct {
	partial, pos, items, count          pointer
	out                                 operandParams
	heads, dim, segments, item0, per, _ int32
}

type sampleParams struct {
	logits, work, draws, words, out, last pointer
	vocab                                 int32
}

// drawParams is what a row asks for; drawn is what it gets.
type drawParams struct {
	temperature, topP, minP, typical, draw                        float64
	repeat, frequency, presence                                   float32
	use, topK, target, mask, maskWords, bias, biases, seen, seens int32
	slot, _                                                       int32
}

type drawn struct {
	logprob, targetLogprob float64
	id, _                  int32
}

// opKernels are the kernels that do not depend on a weight's format.
type opKernels struct {
	norm      *launch[normsParams]
	swiglu    *launch[swigluParams]
	rotations *launch[rotationParams]
	rope      *launch[ropeStoreParams]
	attend    [2]*launch[attendParams] // of KVF16 and KVQ8
	many      [2]*launch[attendParams] // the same for prompts; nil where the card has too little shared memory
	combine   *launch[combineParams]
	sample    *launch[sampleParams]
}

// mulKernels are those of a format, with blocks for a number of parts.
type mulKernels struct {
	embed  *launch[embedParams]
	few8   *launch[mulParams]
	pairs8 *launch[mulParams] // of two row tiles to a block, as few32; both nil where the card has too little shared memory
	few32  *launch[mulParams]
	many   *launch[mulParams] // nil likewise
	wgmma  *launch[mulParams] // many for sm_90a, where it is asked for and gives the same bits; else nil
	format *format
}

type mulKey struct {
	format string
	parts  int
}

// Shared memory of the kernels in mul.cuh and attend.cu.
func fewShared(f *format, parts, tiles int) int { return parts * 2 * tiles * f.bytes() }
func manyShared(f *format) int                  { return 64*256*4 + 3*(128*64*2+128*64/16*4) + 2*8*f.bytes() }
func wgmmaShared(f *format) int                 { return manyShared(f) + 8*2*8 } // an mbarrier for each buffer
func attendShared(dim int) int                  { return 8 * 16 * (dim + 2) * 4 }
func attendManyShared(dim int) int              { return 8*16*(dim+4)*4 + 8*kernels.PageSize*dim*2 }

// fits says whether a block may have so much dynamic shared memory, beside up to 2 KiB of arrays.
func (d *device) fits(bytes int) bool { return bytes+2048 <= d.gpu.sharedMax }

// find makes a launch of a kernel of a module.
func find[P any](d *device, module, kernel string, threads, shared int) (*launch[P], error) {
	m, err := d.module(module)
	if err != nil {
		return nil, err
	}
	k, err := m.kernel(kernel)
	if err != nil {
		return nil, err
	}
	l, err := newLaunch[P](k, threads)
	if err != nil {
		return nil, err
	}
	l.programmatic()
	return l, l.shared(shared)
}

func (d *device) module(name string) (*module, error) {
	if m := d.modules[name]; m != nil {
		return m, nil
	}
	m, err := d.gpu.load(name)
	if err == nil {
		d.modules[name] = m
	}
	return m, err
}

func (d *device) loadOps() (err error) {
	o, dim := &d.ops, d.shape.HeadDim
	if o.norm, err = find[normsParams](d, "ops", "rms_norm", min(1024, 32*ceil(d.shape.Hidden, 128)), 0); err != nil {
		return err
	}
	if o.swiglu, err = find[swigluParams](d, "ops", "swiglu", 256, 0); err != nil {
		return err
	}
	if o.rotations, err = find[rotationParams](d, "ops", "rotations", 64, 0); err != nil {
		return err
	}
	if o.rope, err = find[ropeStoreParams](d, "rope", "rope_store", 256, 0); err != nil {
		return err
	}
	for i, name := range []string{"%d", "q8_%d"} {
		name = fmt.Sprintf(name, dim)
		if o.attend[i], err = find[attendParams](d, "attend", "attend_"+name, 256, attendShared(dim)); err != nil {
			return err
		}
		if !d.fits(attendManyShared(dim)) {
			continue
		}
		if o.many[i], err = find[attendParams](d, "attend", "attend_many_"+name, 256, attendManyShared(dim)); err != nil {
			return err
		}
	}
	if o.combine, err = find[combineParams](d, "attend", "combine", 256, 0); err != nil {
		return err
	}
	o.sample, err = find[sampleParams](d, "sample", "sample", 512, 0)
	return err
}

// loadKernels makes the launches for weights of a format.
func (d *device) loadKernels(f *format, parts int) (err error) {
	key := mulKey{f.name, parts}
	if d.mul[key] != nil {
		return nil
	}
	k, module := &mulKernels{format: f}, "weight_"+f.name
	if k.embed, err = find[embedParams](d, module, "embed_"+f.name, 256, 0); err != nil {
		return err
	}
	if k.few8, err = find[mulParams](d, module, "mul_8_"+f.name, 32*parts, fewShared(f, parts, 1)); err != nil {
		return err
	}
	if d.fits(fewShared(f, parts, 2)) {
		if k.pairs8, err = find[mulParams](d, module, "mul_8x2_"+f.name, 32*parts, fewShared(f, parts, 2)); err != nil {
			return err
		}
		if k.few32, err = find[mulParams](d, module, "mul_32_"+f.name, 32*parts, fewShared(f, parts, 2)); err != nil {
			return err
		}
	}
	if d.fits(manyShared(f)) {
		if k.many, err = find[mulParams](d, module, "mul_many_"+f.name, 256, manyShared(f)); err != nil {
			return err
		}
	}
	d.mul[key] = k
	return d.tryWgmma(k, parts)
}

// product is a kernel, and how many row tiles and tokens a block of it has.
type product struct {
	*launch[mulParams]
	tiles, tokens int
}

// kernelFor is the kernel for products of a weight with so many rows, nil where none for so many has that end.
func (d *device) kernelFor(w *weight, e end, rows int) *product {
	k := d.mul[mulKey{w.format.name, w.parts()}]
	// Rows of gate and up lie in two tiles, and so do the 32 values of a head that share a scale.
	pairs := e == endGate || e == endRope && d.kv.q8
	switch {
	case rows > 32 && k.many != nil:
		l := k.many
		if k.wgmma != nil {
			l = k.wgmma
		}
		if e == endRope {
			return nil
		}
		return &product{l, 8, 128}
	case rows > 8 && k.few32 != nil:
		return &product{k.few32, 2, 32}
	case !pairs:
		return &product{k.few8, 1, 8}
	case k.pairs8 != nil:
		return &product{k.pairs8, 2, 8}
	}
	return nil
}

// multiply computes the products of weights of one format and width with x, and what p.end says, for which there is a kernel.
func (d *device) multiply(p mulParams, x operand, rows int, ws ...*weight) error {
	p.x, p.sums, p.k, p.parts = x.x, x.sums, int32(ws[0].k()), int32(ws[0].parts())
	tiles := 0
	for i, w := range ws {
		p.w[i], p.scale[i] = w.mem.pointer, w.scales()
		p.rows[i], p.tiles[i] = int32(w.rows), int32(w.tiles())
		tiles += w.tiles()
	}
	k := d.kernelFor(ws[0], p.end, rows)
	*k.p = p
	return k.run(d.stream, ceil(tiles, k.tiles), ceil(rows, k.tokens), 1)
}
