package cuda

import (
	"fmt"

	"github.com/llama31/llama31/kernels"
)

// Parameters of the kernels, field by field as in the .cu files.

// matrices is how many weights a launch may multiply with the same activations.
const matrices = 3

type mulParams struct {
	w, scale, y     [matrices]pointer
	x, sums, tokens pointer
	rows, tiles     [matrices]int32
	k, parts, add   int32
	factor          float32
}

type embedParams struct {
	w, scale, ids, last, count, x pointer
	hidden, k                     int32
}

type normParams struct {
	x, w, index, count, out, sums, plain pointer
	n, k                                 int32
	eps                                  float32
}

type swigluParams struct {
	gate, up, count, out, sums pointer
	n, k                       int32
	factor                     float32
}

type rotationParams struct {
	freq, pos, count, out pointer
	pairs                 int32
}

type ropeParams struct {
	q, k, v, angles, pos, table, pages, count, out, kv pointer
	heads, kvHeads, dim, pairs, q8                     int32
}

type attendParams struct {
	q, kv, pos, table, pages, items, count, partial, out, sums pointer
	heads, kvHeads, segments, item0, per, k                    int32
	scale                                                      float32
}

type combineParams struct {
	partial, out, sums, pos, items, count pointer
	heads, dim, segments, item0, per, k   int32
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
	norm      *launch[normParams]
	swiglu    *launch[swigluParams]
	rotations *launch[rotationParams]
	rope      *launch[ropeParams]
	attend    [2]*launch[attendParams] // of KVF16 and KVQ8
	many      [2]*launch[attendParams] // the same for prompts; nil where the card has too little shared memory
	combine   *launch[combineParams]
	sample    *launch[sampleParams]
}

// mulKernels are those of a format, with blocks for a number of parts.
type mulKernels struct {
	embed  *launch[embedParams]
	few8   *launch[mulParams]
	few32  *launch[mulParams] // nil where the card has too little shared memory
	many   *launch[mulParams]
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
func attendShared(dim int) int                  { return 8 * 16 * (dim + 2) * 4 }
func attendManyShared(dim int) int              { return 8*16*(dim+4)*4 + 8*kernels.PageSize*dim*2 }

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
	if o.norm, err = find[normParams](d, "ops", "rms_norm", 256, 0); err != nil {
		return err
	}
	if o.swiglu, err = find[swigluParams](d, "ops", "swiglu", 256, 0); err != nil {
		return err
	}
	if o.rotations, err = find[rotationParams](d, "ops", "rotations", 64, 0); err != nil {
		return err
	}
	if o.rope, err = find[ropeParams](d, "rope", "rope_store", 256, 0); err != nil {
		return err
	}
	for i, name := range []string{"%d", "q8_%d"} {
		name = fmt.Sprintf(name, dim)
		if o.attend[i], err = find[attendParams](d, "attend", "attend_"+name, 256, attendShared(dim)); err != nil {
			return err
		}
		if attendManyShared(dim) > d.gpu.sharedMax {
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
	if fewShared(f, parts, 2) <= d.gpu.sharedMax {
		if k.few32, err = find[mulParams](d, module, "mul_32_"+f.name, 32*parts, fewShared(f, parts, 2)); err != nil {
			return err
		}
	}
	if manyShared(f) <= d.gpu.sharedMax {
		if k.many, err = find[mulParams](d, module, "mul_many_"+f.name, 256, manyShared(f)); err != nil {
			return err
		}
	}
	d.mul[key] = k
	return d.tryWgmma(k, parts)
}

// multiply computes y[i] (+)= w[i]·x for weights of one format and width.
func (d *device) multiply(ws []*weight, ys []pointer, x *operand, tokens pointer, rows int, add bool, factor float32) error {
	k := d.mul[mulKey{ws[0].format.name, ws[0].parts()}]
	p := mulParams{x: x.x, sums: x.sums, tokens: tokens, k: int32(ws[0].k()), parts: int32(ws[0].parts()), factor: factor}
	if add {
		p.add = 1
	}
	tiles := 0
	for i, w := range ws {
		p.w[i], p.scale[i], p.y[i] = w.mem.pointer, w.scales(), ys[i]
		p.rows[i], p.tiles[i] = int32(w.rows), int32(w.tiles())
		tiles += w.tiles()
	}
	run := func(l *launch[mulParams], tilesPer, rowsPer int) error {
		*l.p = p
		return l.run(d.stream, ceil(tiles, tilesPer), ceil(rows, rowsPer), 1)
	}
	switch {
	case rows > 32 && k.wgmma != nil:
		return run(k.wgmma, 8, 128)
	case rows > 32 && k.many != nil:
		return run(k.many, 8, 128)
	case rows > 8 && k.few32 != nil:
		return run(k.few32, 2, 32)
	}
	return run(k.few8, 1, 8)
}
