package kernels

import (
	"fmt"
	"math"
	"runtime"
	"sync"

	"github.com/llama31/llama31/gguf/block"
)

// referenceOps is one step. Each matrix is a slice of rows, one per row of the batch.
type referenceOps struct {
	*reference
	batch   *Batch
	x       [][]float32 // [Hidden] the residual stream
	q       [][]float32 // [Heads*HeadDim]
	k, v    [][]float32 // [KVHeads*HeadDim]
	a       [][]float32 // [Heads*HeadDim] or [FFN]: what ProjectAdd takes
	h       [][]float32 // [Hidden] the Out rows, normed
	scratch sampleScratch
	err     error // the first; later operations do nothing
}

func (o *referenceOps) Embed(w Weight) {
	if o.err != nil {
		return
	}
	for _, c := range o.batch.Chunks {
		for _, id := range c.IDs {
			if id == LastSampled {
				if id = o.last[c.Slot]; id < 0 {
					o.err = fmt.Errorf("reference: slot %d has sampled no token", c.Slot)
					return
				}
			}
			x := make([]float32, o.shape.Hidden)
			w.(*referenceWeight).row(x, int(id))
			o.x = append(o.x, x)
		}
	}
}

func (o *referenceOps) NormQKV(norm, wq, wk, wv Weight) {
	if o.err != nil {
		return
	}
	h := o.norm(norm, o.x)
	o.q, o.k, o.v = o.mul(wq, h), o.mul(wk, h), o.mul(wv, h)
}

func (o *referenceOps) RopeStore(layer int) {
	if o.err != nil {
		return
	}
	n := o.shape.HeadDim
	row := 0
	for _, c := range o.batch.Chunks {
		for i := range c.IDs {
			pos := c.Pos + i
			q, k, v := o.q[row], o.k[row], o.v[row]
			for head := range o.shape.Heads {
				o.rope(q[head*n:(head+1)*n], pos)
			}
			for head := range o.shape.KVHeads {
				o.rope(k[head*n:(head+1)*n], pos)
				o.store(c.Pages, layer, 0, head, pos, k[head*n:(head+1)*n])
				o.store(c.Pages, layer, 1, head, pos, v[head*n:(head+1)*n])
			}
			row++
		}
	}
}

// rope rotates the pairs (2i, 2i+1) of one head by pos·RopeFreq[i]; dimensions beyond those are left as they are.
func (o *referenceOps) rope(x []float32, pos int) {
	for i, freq := range o.shape.RopeFreq {
		sin, cos := math.Sincos(float64(pos) * freq)
		a, b := float64(x[2*i]), float64(x[2*i+1])
		x[2*i], x[2*i+1] = float32(a*cos-b*sin), float32(a*sin+b*cos)
	}
}

func (o *referenceOps) store(pages []int32, layer, which, head, pos int, x []float32) {
	if err := block.Quantize(o.kv.typ, o.kv.vector(pages, layer, which, head, pos), x); err != nil && o.err == nil {
		o.err = err
	}
}

func (o *referenceOps) Attend(layer int) {
	if o.err != nil {
		return
	}
	s := &o.shape
	n, group := s.HeadDim, s.Heads/s.KVHeads
	o.a = matrix(len(o.x), s.Heads*n)
	first := 0
	for _, c := range o.batch.Chunks {
		end := c.Pos + len(c.IDs)
		parallel(s.KVHeads, func(kvHead int) {
			keys, values := matrix(end, n), matrix(end, n)
			for pos := range end {
				block.Dequantize(o.kv.typ, keys[pos], o.kv.vector(c.Pages, layer, 0, kvHead, pos))
				block.Dequantize(o.kv.typ, values[pos], o.kv.vector(c.Pages, layer, 1, kvHead, pos))
			}
			p := make([]float64, end)
			sum := make([]float64, n)
			for i := range c.IDs {
				for head := kvHead * group; head < (kvHead+1)*group; head++ {
					seen := c.Pos + i + 1
					q := o.q[first+i][head*n : (head+1)*n]
					for pos := range seen {
						p[pos] = inner(q, keys[pos]) / math.Sqrt(float64(n))
					}
					softmax(p[:seen])
					clear(sum)
					for pos := range seen {
						for j, v := range values[pos] {
							sum[j] += p[pos] * float64(v)
						}
					}
					for j := range sum {
						o.a[first+i][head*n+j] = float32(sum[j])
					}
				}
			}
		})
		first += len(c.IDs)
	}
}

func softmax(x []float64) {
	top := math.Inf(-1)
	for _, v := range x {
		top = math.Max(top, v)
	}
	sum := 0.0
	for i, v := range x {
		x[i] = math.Exp(v - top)
		sum += x[i]
	}
	for i := range x {
		x[i] /= sum
	}
}

func (o *referenceOps) ProjectAdd(w Weight) {
	if o.err != nil {
		return
	}
	for i, y := range o.mul(w, o.a) {
		for j := range y {
			o.x[i][j] += y[j]
		}
	}
}

func (o *referenceOps) NormGateUp(norm, gate, up Weight) {
	if o.err != nil {
		return
	}
	h := o.norm(norm, o.x)
	o.a = o.mul(gate, h)
	for i, u := range o.mul(up, h) {
		for j, g := range o.a[i] {
			silu := float64(g) / (1 + math.Exp(-float64(g)))
			o.a[i][j] = float32(silu * float64(u[j]))
		}
	}
}

func (o *referenceOps) Norm(norm Weight) {
	if o.err != nil {
		return
	}
	var rows [][]float32
	for _, out := range o.batch.Out {
		rows = append(rows, o.x[out.Row])
	}
	o.h = o.norm(norm, rows)
	for i, out := range o.batch.Out {
		copy(out.Hidden, o.h[i])
	}
}

func (o *referenceOps) Logits(w Weight) {
	if o.err != nil {
		return
	}
	const chunk = 64 // rows of logits that exist at once
	for first := 0; first < len(o.h); first += chunk {
		logits := o.mul(w, o.h[first:min(first+chunk, len(o.h))])
		for i, row := range logits {
			out := &o.batch.Out[first+i]
			sampleRow(out, row, nil, &o.scratch)
			if out.Sample != nil {
				o.last[out.Slot] = out.ID
			}
		}
	}
}

// norm is x/√(mean(x²) + eps) · w, row by row.
func (o *referenceOps) norm(weight Weight, xs [][]float32) [][]float32 {
	w := make([]float32, o.shape.Hidden)
	weight.(*referenceWeight).row(w, 0)
	h := matrix(len(xs), o.shape.Hidden)
	for i, x := range xs {
		scale := 1 / math.Sqrt(inner(x, x)/float64(len(x))+float64(o.shape.Eps))
		for j := range x {
			h[i][j] = float32(float64(x[j]) * scale * float64(w[j]))
		}
	}
	return h
}

// mul is weight·x for each x.
func (o *referenceOps) mul(weight Weight, xs [][]float32) [][]float32 {
	w := weight.(*referenceWeight)
	if len(xs) > 0 && len(xs[0]) != w.cols {
		o.err = fmt.Errorf("reference: a weight of [%d, %d] times a vector of %d", w.rows, w.cols, len(xs[0]))
		return nil
	}
	y := matrix(len(xs), w.rows)
	const rows = 16 // that share a buffer
	parallel((w.rows+rows-1)/rows, func(part int) {
		buf := make([]float32, w.cols)
		for r := part * rows; r < min((part+1)*rows, w.rows); r++ {
			w.row(buf, r)
			for i, x := range xs {
				y[i][r] = float32(inner(buf, x))
			}
		}
	})
	return y
}

// inner is Σ a·b.
func inner(a, b []float32) float64 {
	var s [4]float64 // four sums, so that an addition need not wait for the one before
	b = b[:len(a)]
	for ; len(a) >= 4; a, b = a[4:], b[4:] {
		s[0] += float64(a[0]) * float64(b[0])
		s[1] += float64(a[1]) * float64(b[1])
		s[2] += float64(a[2]) * float64(b[2])
		s[3] += float64(a[3]) * float64(b[3])
	}
	for i := range a {
		s[0] += float64(a[i]) * float64(b[i])
	}
	return s[0] + s[1] + s[2] + s[3]
}

func matrix(rows, cols int) [][]float32 {
	m := make([][]float32, rows)
	all := make([]float32, rows*cols)
	for i := range m {
		m[i] = all[i*cols : (i+1)*cols]
	}
	return m
}

// parallel calls f(0) ... f(n-1) on all cores.
func parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	workers := min(n, runtime.GOMAXPROCS(0))
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				f(i)
			}
		})
	}
	wg.Wait()
}
