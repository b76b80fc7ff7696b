package kernels_test

import (
	"bufio"
	"bytes"
	_ "embed"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/kernels"
	"github.com/llama31/llama31/kernels/kerneltest"
	"gorgonia.org/tensor"
)

func openReference(s kernels.Shape) (kernels.Device, error) {
	return kernels.Open("reference", s, kernels.Options{})
}

// TestReference runs the suite on the reference itself: the suite can pass, and the reference keeps its own rules.
func TestReference(t *testing.T) {
	kerneltest.Run(t, openReference, kerneltest.Options{Exact: true, NMSE: 1e-30, Max: 1e-30})
}

func TestReferenceDeterministic(t *testing.T) {
	kerneltest.Deterministic(t, openReference, kerneltest.Options{Types: []block.Type{block.TypeQ8_0}, KV: []kernels.KVType{kernels.KVF16}})
}

// prompt runs ids in chunks of the given size and returns the logits of each.
func prompt(t *testing.T, m *kerneltest.Model, kv kernels.KVType, ids []int32, size int) [][]float32 {
	t.Helper()
	d, err := openReference(m.Shape)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	forward, err := m.Load(d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.NewKV(m.Shape.Layers, 4, kv); err != nil {
		t.Fatal(err)
	}
	var logits [][]float32
	for pos := 0; pos < len(ids); pos += size {
		b := kernels.Batch{Chunks: []kernels.Chunk{{Pos: pos, IDs: ids[pos:min(pos+size, len(ids))], Pages: []int32{3, 0, 2}}}}
		for row := range b.Chunks[0].IDs {
			b.Out = append(b.Out, kernels.Out{Row: row, Target: -1, Logits: make([]float32, m.Shape.Vocab)})
			logits = append(logits, b.Out[row].Logits)
		}
		if err := d.Step(&b, forward); err != nil {
			t.Fatal(err)
		}
	}
	return logits
}

// nmse is Σ(a-b)²/Σb², for a test that wants it below a bound.
func nmse[T float32 | float64](a []float32, b []T) float64 {
	var diff, norm float64
	for i := range b {
		d := float64(a[i]) - float64(b[i])
		diff += d * d
		norm += float64(b[i]) * float64(b[i])
	}
	return diff / norm
}

//go:embed testdata/golden.txt
var golden []byte

// TestReferenceGolden compares with numpy; see testdata/golden.py, whose model this makes.
func TestReferenceGolden(t *testing.T) {
	hashed := func(seed, rows, cols int, add float32) *tensor.Dense {
		w := make([]float32, rows*cols)
		for i := range w {
			h := uint32(uint64(seed)*1000003+uint64(i)) * 2654435761
			h = (h ^ h>>15) * 2246822519
			w[i] = float32(h>>12)/(1<<20) - 0.5 + add
		}
		if rows == 1 {
			return tensor.New(tensor.WithShape(cols), tensor.WithBacking(w))
		}
		return tensor.New(tensor.WithShape(rows, cols), tensor.WithBacking(w))
	}
	s := kernels.Shape{Layers: 2, Hidden: 64, FFN: 96, Vocab: 50, Heads: 4, KVHeads: 2, HeadDim: 16, Eps: 1e-5,
		RopeFreq: kerneltest.RopeFreq(16, 10000), MaxRows: 64, MaxOut: 64, Slots: 1}
	m := &kerneltest.Model{Shape: s, TokenEmbd: hashed(1, 50, 64, 0), Norm: hashed(2, 1, 64, 1), Output: hashed(3, 50, 64, 0)}
	for i := range s.Layers {
		w := func(role, rows, cols int, add float32) *tensor.Dense { return hashed(10+10*i+role, rows, cols, add) }
		m.Layers = append(m.Layers, kerneltest.Layer{
			AttnNorm: w(0, 1, 64, 1), AttnQ: w(1, 64, 64, 0), AttnK: w(2, 32, 64, 0), AttnV: w(3, 32, 64, 0), AttnOutput: w(4, 64, 64, 0),
			FFNNorm: w(5, 1, 64, 1), FFNGate: w(6, 96, 64, 0), FFNUp: w(7, 96, 64, 0), FFNDown: w(8, 64, 96, 0),
		})
	}
	ids := make([]int32, 45)
	for i := range ids {
		ids[i] = int32((7*i*i + 3*i + 1) % 50)
	}
	logits := prompt(t, m, kernels.KVF32, ids, 7)
	lines := 0
	for sc := bufio.NewScanner(bytes.NewReader(golden)); sc.Scan(); {
		fields := strings.Fields(sc.Text())
		if fields[0] == "#" {
			continue
		}
		lines++
		n, err := strconv.Atoi(fields[0])
		if err != nil {
			t.Fatal(err)
		}
		want := make([]float64, s.Vocab)
		for i := range want {
			if want[i], err = strconv.ParseFloat(fields[1+i], 64); err != nil {
				t.Fatal(err)
			}
		}
		if e := nmse(logits[n-1], want); !(e <= 1e-11) {
			t.Errorf("after %d tokens: normalised squared error %.3g", n, e)
		}
	}
	if lines != 5 {
		t.Errorf("%d lines in the golden file, expected 5", lines)
	}
}

// TestReferenceIndependent compares with a second implementation that shares nothing with the first but block.Dequantize.
func TestReferenceIndependent(t *testing.T) {
	s := kernels.Shape{Layers: 2, Hidden: 256, FFN: 256, Vocab: 101, Heads: 6, KVHeads: 2, HeadDim: 32, Eps: 1e-5,
		RopeFreq: kerneltest.RopeFreq(24, 500000), MaxRows: 64, MaxOut: 64, Slots: 1}
	ids := make([]int32, 50)
	for i := range ids {
		ids[i] = int32(i * i % 101)
	}
	for _, typ := range []block.Type{block.TypeF32, block.TypeQ4_K, block.TypeQ6_K, block.TypeBF16} {
		if typ.Len() == 256 {
			s.Heads = 8 // AttnOutput's rows are whole blocks
		}
		m, err := kerneltest.NewModel(s, typ, 11)
		if err != nil {
			t.Fatal(err)
		}
		want := independent(t, m, ids)
		for _, c := range []struct {
			kv   kernels.KVType
			size int
			tol  float64
		}{{kernels.KVF32, 50, 1e-11}, {kernels.KVF32, 3, 1e-11}, {kernels.KVF16, 50, 1e-5}, {kernels.KVQ8, 11, 1e-2}} {
			t.Run(fmt.Sprintf("%v-KV%d-%d", typ, c.kv, c.size), func(t *testing.T) {
				worst := 0.0
				for i, got := range prompt(t, m, c.kv, ids, c.size) {
					worst = math.Max(worst, nmse(got, want[i])) // NaN stays
				}
				if !(worst <= c.tol) {
					t.Errorf("normalised squared error %.3g, tolerated is %.3g", worst, c.tol)
				}
			})
		}
	}
}

// independent is the forward pass token by token, all in float64, without a cache of pages.
func independent(t *testing.T, m *kerneltest.Model, ids []int32) (logits [][]float64) {
	decode := func(w *tensor.Dense) []float64 {
		typ, _ := block.TypeOf(w.Dtype())
		v := make([]float32, len(w.Uint8s())/typ.Size()*typ.Len())
		if err := block.Dequantize(typ, v, w.Uint8s()); err != nil {
			t.Fatal(err)
		}
		d := make([]float64, len(v))
		for i := range v {
			d[i] = float64(v[i])
		}
		return d
	}
	times := func(w, x []float64) []float64 {
		y := make([]float64, len(w)/len(x))
		for i := range w {
			y[i/len(x)] += w[i] * x[i%len(x)]
		}
		return y
	}
	normed := func(x, w []float64) []float64 {
		mean := 0.0
		for _, v := range x {
			mean += v * v / float64(len(x))
		}
		y := make([]float64, len(x))
		for i := range x {
			y[i] = x[i] * w[i] / math.Sqrt(mean+float64(m.Shape.Eps))
		}
		return y
	}
	s := m.Shape
	rotated := func(x []float64, pos int) []float64 {
		y := append([]float64(nil), x...)
		for i := range x {
			if d := i % s.HeadDim; d < 2*len(s.RopeFreq) {
				angle := float64(pos) * s.RopeFreq[d/2]
				y[i] = math.Cos(angle) * x[i]
				if d%2 == 0 {
					y[i] -= math.Sin(angle) * x[i+1]
				} else {
					y[i] += math.Sin(angle) * x[i-1]
				}
			}
		}
		return y
	}
	type layer struct{ an, q, k, v, o, fn, gate, up, down []float64 }
	var layers []layer
	for _, l := range m.Layers {
		layers = append(layers, layer{decode(l.AttnNorm), decode(l.AttnQ), decode(l.AttnK), decode(l.AttnV), decode(l.AttnOutput),
			decode(l.FFNNorm), decode(l.FFNGate), decode(l.FFNUp), decode(l.FFNDown)})
	}
	embd, norm, output := decode(m.TokenEmbd), decode(m.Norm), decode(m.Output)
	keys, values := make([][][]float64, s.Layers), make([][][]float64, s.Layers)
	for pos, id := range ids {
		x := append([]float64(nil), embd[int(id)*s.Hidden:(int(id)+1)*s.Hidden]...)
		for n, l := range layers {
			h := normed(x, l.an)
			q := rotated(times(l.q, h), pos)
			keys[n], values[n] = append(keys[n], rotated(times(l.k, h), pos)), append(values[n], times(l.v, h))
			a := make([]float64, s.Heads*s.HeadDim)
			for i := range a {
				head, d := i/s.HeadDim, i%s.HeadDim
				from := head * s.KVHeads / s.Heads * s.HeadDim
				sum := 0.0
				for p := 0; p <= pos; p++ {
					score := 0.0
					for j := range s.HeadDim {
						score += q[head*s.HeadDim+j] * keys[n][p][from+j]
					}
					e := math.Exp(score / math.Sqrt(float64(s.HeadDim)))
					sum += e
					a[i] += e * values[n][p][from+d]
				}
				a[i] /= sum
			}
			for i, v := range times(l.o, a) {
				x[i] += v
			}
			h = normed(x, l.fn)
			g, u := times(l.gate, h), times(l.up, h)
			for i := range g {
				g[i] *= u[i] / (1 + math.Exp(-g[i]))
			}
			for i, v := range times(l.down, g) {
				x[i] += v
			}
		}
		logits = append(logits, times(output, normed(x, norm)))
	}
	return logits
}
