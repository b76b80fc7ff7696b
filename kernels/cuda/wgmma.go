package cuda

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"

	"github.com/llama31/llama31/gguf/block"
)

// wgmmaVariable names the environment variable that, if it is 1, lets prompts run on the kernels of mul_wgmma.cuh, which no GPU has run
// yet: a wrong one would take the whole device down with it.
const wgmmaVariable = "LLAMA31_CUDA_WGMMA"

// tryWgmma takes a format's wgmma kernel into use, on a card that has it, if it gives the bits of mul_many on a small product. A token's
// KV and logits must not depend on the kernel that its prompt ran on.
func (d *device) tryWgmma(k *mulKernels, parts int) error {
	if os.Getenv(wgmmaVariable) != "1" || d.gpu.capability() != 90 || k.many == nil {
		return nil
	}
	l, err := find[mulParams](d, "weight_"+k.format.name, "mul_wgmma_"+k.format.name, 256, wgmmaShared(k.format))
	var failed *Error
	if errors.As(err, &failed) && failed.Code == resultNotFound {
		return nil // there is none for this format
	}
	if err != nil {
		return err
	}
	equal, err := d.sameProduct(k, k.many, l, parts)
	if err != nil {
		return fmt.Errorf("trying %s: %w", l.kernel.name, err)
	}
	if !equal {
		d.log.Warn("kernel not used", "kernel", l.kernel.name, "reason", "other bits than "+k.many.kernel.name)
		return nil
	}
	k.wgmma = l
	d.log.Info("kernel used", "kernel", l.kernel.name)
	return nil
}

// sameProduct says whether two kernels of a format give the same bits: of 200 rows, 150 tokens, and two records for each part.
func (d *device) sameProduct(k *mulKernels, a, b *launch[mulParams], parts int) (equal bool, err error) {
	const rows, tokens = 200, 150
	w := &weight{rows: rows, cols: 2 * parts * k.format.k(), format: k.format}
	for t, f := range formats {
		if f.name == k.format.name && t != block.TypeBF16 {
			w.typ = t
		}
	}
	w.cols = pad(w.cols)
	r := rand.New(rand.NewPCG(1, 2))
	values := make([]float32, rows*w.cols)
	for i := range values {
		values[i] = float32(r.NormFloat64())
	}
	size, err := w.typ.Bytes(int64(len(values)))
	if err != nil {
		return false, err
	}
	p := &packer{weight: w, data: make([]byte, size), scales: make([]float32, rows)}
	if err := block.Quantize(w.typ, p.data, values); err != nil {
		return false, err
	}
	records := make([]byte, w.recordBytes())
	p.pack(records, 0)

	x := make([]byte, 2*tokens*w.cols)
	sums := make([]byte, 4*ceil(tokens, 32)*32*w.cols/16)
	sum := float32(0)
	for i := range tokens * w.cols { // sums of what stands there, in whatever order
		h := block.NewF16(float32(r.NormFloat64()))
		binary.LittleEndian.PutUint16(x[2*i:], uint16(h))
		if sum += h.Float32(); i%16 == 15 {
			binary.LittleEndian.PutUint32(sums[i/16*4:], math.Float32bits(sum))
			sum = 0
		}
	}
	scales := make([]byte, 4*rows)
	for i, s := range p.scales {
		binary.LittleEndian.PutUint32(scales[4*i:], math.Float32bits(s))
	}
	count := binary.LittleEndian.AppendUint32(nil, tokens)

	var sizes layout
	inputs := [][]byte{records, scales, x, sums, count}
	for _, in := range inputs {
		sizes.take(len(in))
	}
	const y = 4 * tokens * rows
	sizes.take(y)
	mem, err := d.gpu.alloc(sizes.used)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, mem.free()) }()
	at := layout{base: mem.pointer}
	var places [5]pointer
	for i, in := range inputs {
		places[i] = at.take(len(in))
		if err := d.stream.toDevice(places[i], in); err != nil {
			return false, err
		}
	}
	out := at.take(y)
	var results [2][]byte
	for i, l := range []*launch[mulParams]{a, b} {
		*l.p = mulParams{x: places[2], sums: places[3], tokens: places[4], k: int32(w.k()), parts: int32(parts), factor: 1}
		l.p.w[0], l.p.scale[0], l.p.y[0] = places[0], places[1], out
		l.p.rows[0], l.p.tiles[0] = rows, int32(w.tiles())
		if err := d.stream.fill(out, 0xff, y); err != nil {
			return false, err
		}
		if err := l.run(d.stream, ceil(w.tiles(), 8), ceil(tokens, 128), 1); err != nil {
			return false, err
		}
		results[i] = make([]byte, y)
		if err := d.stream.toHost(results[i], out); err != nil {
			return false, err
		}
		if err := d.stream.synchronize(); err != nil {
			return false, err
		}
	}
	return bytes.Equal(results[0], results[1]), nil
}
