package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"

	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/gguf/recipe"
)

// weights describes a tensor: values of mean 0 and that standard deviation around
// the mean, or, if given, these values.
type weights struct {
	name      string
	typ       block.Type
	shape     []int
	mean, std float64
	rowSpread float64 // each row is scaled by exp(rowSpread·normal)
	values    []float32
}

// plan lists the tensors in llama.cpp's order. The deviations keep the residual
// stream near 1, let each layer add about a third of it, and make attention scores
// spread by 3, so that a few of thousands of positions get most of the attention,
// as in a trained model. The output's rows differ in length, so that the best
// token stands out from 128,255 others by more than rounding.
func plan(s shape, r recipe.Recipe, vocab int) []weights {
	model := recipe.Model{Layers: s.layers, Heads: s.heads, KVHeads: s.kvHeads}
	root := func(n int) float64 { return math.Sqrt(float64(n)) }
	headDim := s.hidden / s.heads
	kv := s.kvHeads * headDim
	var ts []weights
	matrix := func(name string, std float64, rows, cols int) {
		shape := []int{rows, cols}
		ts = append(ts, weights{name: name, typ: r.Type(name, shape, model), shape: shape, std: std})
	}
	norm := func(name string) {
		ts = append(ts, weights{name: name, typ: block.TypeF32, shape: []int{s.hidden}, mean: 1, std: 0.1})
	}
	matrix("token_embd.weight", 0.5, vocab, s.hidden)
	for l := range s.layers {
		b := fmt.Sprintf("blk.%d.", l)
		norm(b + "attn_norm.weight")
		matrix(b+"attn_q.weight", math.Sqrt(3)/root(s.hidden), s.hidden, s.hidden)
		matrix(b+"attn_k.weight", math.Sqrt(3)/root(s.hidden), kv, s.hidden)
		matrix(b+"attn_v.weight", 1/root(s.hidden), kv, s.hidden)
		matrix(b+"attn_output.weight", 0.6/root(s.hidden), s.hidden, s.hidden)
		norm(b + "ffn_norm.weight")
		matrix(b+"ffn_gate.weight", 1/root(s.hidden), s.ffn, s.hidden)
		matrix(b+"ffn_up.weight", 1/root(s.hidden), s.ffn, s.hidden)
		matrix(b+"ffn_down.weight", 0.6/root(s.ffn), s.hidden, s.ffn)
	}
	norm("output_norm.weight")
	matrix("output.weight", 2/root(s.hidden), vocab, s.hidden)
	ts[len(ts)-1].rowSpread = 0.5
	ts = append(ts, weights{name: "rope_freqs.weight", typ: block.TypeF32, shape: []int{headDim / 2}, values: ropeFactors(headDim)})
	return ts
}

// ropeFactors are what Llama 3.1 divides the rotary frequencies by: 1 for
// wavelengths under 8192/4, 8 for those over 8192/1, a blend between.
func ropeFactors(headDim int) []float32 {
	const base, factor, low, high, original = 500000, 8, 1, 4, 8192
	f := make([]float32, headDim/2)
	for i := range f {
		wavelength := 2 * math.Pi * math.Pow(base, float64(2*i)/float64(headDim))
		switch {
		case wavelength < original/high:
			f[i] = 1
		case wavelength > original/low:
			f[i] = factor
		default:
			smooth := (original/wavelength - low) / (high - low)
			f[i] = float32(1 / ((1-smooth)/factor + smooth))
		}
	}
	return f
}

// generate streams a tensor's data. Pieces of a few megabytes are made by several
// goroutines, each from a generator of its own that depends on seed, tensor and
// piece only.
func generate(t weights, seed, index uint64) io.Reader {
	if t.values != nil {
		data := make([]byte, 4*len(t.values))
		for i, v := range t.values {
			binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(v))
		}
		return &pieces{left: data}
	}
	cols := t.shape[len(t.shape)-1]
	rows := 1
	if len(t.shape) > 1 {
		rows = t.shape[0]
	}
	rowBytes := cols / t.typ.Len() * t.typ.Size()
	step := max(1, min(rows, (2<<20)/rowBytes))
	p := &pieces{}
	makeBlocks := generator(t.typ, t.mean, t.std)
	for first := 0; first < rows; first += step {
		n := min(step, rows-first)
		p.make = append(p.make, func() []byte {
			r := rand.New(rand.NewPCG(seed<<20^index, uint64(first)))
			data := make([]byte, n*rowBytes)
			for row := range n {
				scale := 1.0
				if t.rowSpread > 0 {
					scale = math.Exp(t.rowSpread * r.NormFloat64())
				}
				makeBlocks(r, data[row*rowBytes:(row+1)*rowBytes], scale)
			}
			return data
		})
	}
	return p
}

// pieces makes its parts ahead, GOMAXPROCS at a time, and reads them in order.
type pieces struct {
	make  []func() []byte
	ready []chan []byte
	left  []byte
	once  sync.Once
	next  int // to be started
}

func (p *pieces) Read(b []byte) (int, error) {
	for len(p.left) == 0 {
		for p.next < len(p.make) && len(p.ready) <= runtime.GOMAXPROCS(0) {
			c, f := make(chan []byte, 1), p.make[p.next]
			go func() { c <- f() }()
			p.ready = append(p.ready, c)
			p.next++
		}
		if len(p.ready) == 0 {
			return 0, io.EOF
		}
		p.left = <-p.ready[0]
		p.ready = p.ready[1:]
	}
	n := copy(b, p.left)
	p.left = p.left[n:]
	return n, nil
}

// layout says where a format's float16 scales are, and which of its bytes must not
// be just any.
type layout struct {
	d, dmin int     // byte offsets; -1: none
	ratio   float64 // dmin/d that centres the values
	fix     func(b []byte)
	flip    bool // d may be negative: centres formats with one more negative level
}

var layouts = map[block.Type]layout{
	block.TypeQ4_0: {dmin: -1, flip: true},
	block.TypeQ5_0: {dmin: -1, flip: true},
	block.TypeQ4_1: {dmin: 2, ratio: -7.5},
	block.TypeQ5_1: {dmin: 2, ratio: -15.5},
	block.TypeQ8_0: {dmin: -1, fix: func(b []byte) {
		for i := range b[2:34] {
			if b[2+i] == 0x80 { // no quantiser writes -128
				b[2+i] = 0
			}
		}
	}},
	block.TypeQ2_K: {d: 80, dmin: 82, ratio: 1.5, fix: func(b []byte) {
		for i := range b[:16] { // m = sc, 8 to 15
			sc := b[i]&7 | 8
			b[i] = sc | sc<<4
		}
	}},
	block.TypeQ3_K: {d: 108, dmin: -1, flip: true},
	block.TypeQ4_K: {dmin: 2, ratio: 7.5, fix: equalScaleMin},
	block.TypeQ5_K: {dmin: 2, ratio: 15.5, fix: equalScaleMin},
	block.TypeQ6_K: {d: 208, dmin: -1, fix: func(b []byte) {
		for i := range b[192:208] { // scales of 64 to 127, either sign
			s := int8(b[192+i]&63 | 64)
			if b[192+i]&64 != 0 {
				s = -s
			}
			b[192+i] = byte(s)
		}
	}},
	block.TypeIQ4_NL:  {dmin: -1, flip: true},
	block.TypeIQ4_XS:  {dmin: -1, flip: true},
	block.TypeIQ2_XXS: {dmin: -1},
	block.TypeIQ2_XS:  {dmin: -1},
	block.TypeIQ2_S:   {dmin: -1},
	block.TypeIQ3_XXS: {dmin: -1},
	block.TypeIQ3_S:   {dmin: -1},
	block.TypeIQ1_S:   {dmin: -1},
	block.TypeIQ1_M:   {d: -1, dmin: -1},
	block.TypeTQ1_0:   {d: 52, dmin: -1},
	block.TypeTQ2_0: {d: 64, dmin: -1, flip: true, fix: func(b []byte) {
		for i := range b[:64] { // 3 is no ternary digit
			b[i] &^= b[i] >> 1 & 0x55
		}
	}},
}

// equalScaleMin makes the packed scales and minima of Q4_K and Q5_K equal, 32 to
// 63, so that with dmin = d·(middle level) every group has mean 0.
func equalScaleMin(b []byte) {
	for i := range 4 {
		low := b[4+i]&63 | 32       // sc of group i
		high := b[12+i]&15 | 2<<4   // sc of group i+4, 32 to 47
		b[4+i] = low | high>>4<<6   // its upper bits go here,
		b[8+i] = low | high>>4<<6   // and the minimum's here
		b[12+i] = high&15 | high<<4 // lower bits of both
	}
}

// generator gives a function that fills a row with random blocks whose values have
// the mean (float types only) and standard deviation, times scale. Quantised blocks
// are random bits under a scale found by trial, which is a hundred times faster
// than to quantise, and no worse for speed and memory measurements.
func generator(t block.Type, mean, std float64) func(r *rand.Rand, row []byte, scale float64) {
	l, ok := layouts[t]
	if !ok {
		return floats(t, mean, std)
	}
	size := t.Size()
	set := func(b []byte, d float64) {
		half := uint16(block.NewF16(float32(d)))
		if l.d < 0 { // IQ1_M: a nibble at the top of each of the last four uint16
			for i := range 4 {
				b[49+2*i] = b[49+2*i]&15 | byte(half>>(4*i)&15<<4)
			}
			return
		}
		binary.LittleEndian.PutUint16(b[l.d:], half)
		if l.dmin >= 0 {
			binary.LittleEndian.PutUint16(b[l.dmin:], uint16(block.NewF16(float32(d*l.ratio))))
		}
	}
	fill := func(r *rand.Rand, row []byte) {
		i := 0
		for ; i+8 <= len(row); i += 8 {
			binary.LittleEndian.PutUint64(row[i:], r.Uint64())
		}
		for ; i < len(row); i++ {
			row[i] = byte(r.Uint32())
		}
		if l.fix != nil {
			for b := row; len(b) > 0; b = b[size:] {
				l.fix(b)
			}
		}
	}
	// The deviation under d = 1.
	trial := make([]byte, 512*size)
	values := make([]float32, 512*t.Len())
	fill(rand.New(rand.NewPCG(0, 0)), trial)
	for b := trial; len(b) > 0; b = b[size:] {
		set(b, 1)
	}
	if err := block.Dequantize(t, values, trial); err != nil {
		panic(err) // lengths are right and layouts has decodable types only
	}
	var sum float64
	for _, v := range values {
		sum += float64(v) * float64(v)
	}
	unit := math.Sqrt(sum / float64(len(values)))
	return func(r *rand.Rand, row []byte, scale float64) {
		fill(r, row)
		for b := row; len(b) > 0; b = b[size:] {
			bits := r.Uint32()
			d := std / unit * scale * (0.75 + 0.5*float64(bits>>8)/(1<<24)) // blocks differ
			if l.flip && bits&1 != 0 {
				d = -d
			}
			set(b, d)
		}
	}
}

// floats draws from 4,096 values of a normal distribution.
func floats(t block.Type, mean, std float64) func(r *rand.Rand, row []byte, scale float64) {
	r := rand.New(rand.NewPCG(0, 1))
	var table [4096]float64
	for i := range table {
		table[i] = r.NormFloat64()
	}
	return func(r *rand.Rand, row []byte, scale float64) {
		values := make([]float32, len(row)/t.Size())
		for i := range values {
			values[i] = float32((mean + std*table[r.Uint32()&4095]) * scale)
		}
		if err := block.Quantize(t, row, values); err != nil {
			panic(err) // row is whole elements of a float type
		}
	}
}
