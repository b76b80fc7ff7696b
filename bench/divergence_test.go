package bench_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/llama31/llama31/bench"
	"github.com/llama31/llama31/internal/testenv"
	"github.com/llama31/llama31/llama"
)

// baseFile writes a text's logits, which change may alter, as llama-perplexity does: by its format, 16 bits each, nothing of what is
// 16 nats below the likeliest.
func baseFile(t *testing.T, model, text string, window int, o *llama.Options, change func(logits []float32)) []byte {
	t.Helper()
	m, err := llama.Open(t.Context(), model, o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ids := m.Tokenizer().Encode(nil, text)
	windows, vocab := len(ids)/window, m.Info().Vocabulary
	b := []byte("_logits_")
	for _, n := range []int{window, vocab, windows} {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	for _, id := range ids[:windows*window] {
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	for w := range windows {
		part := slices.Clone(ids[w*window:][:window])
		if bos, ok := m.Tokenizer().BOS(); ok && m.Tokenizer().AddBOS() {
			part[0] = bos
		}
		err := m.LogitRows(t.Context(), part[:window-1], func(i int, logits []float32) {
			if i < window/2 {
				return
			}
			x := slices.Clone(logits)
			if change != nil {
				change(x)
			}
			most := slices.Max(x)
			least := max(slices.Min(x), most-16)
			scale := (most - least) / 65535
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(scale))
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(least+float32(bench.LogProb(x, 0))-x[0]))
			for _, v := range x {
				b = binary.LittleEndian.AppendUint16(b, uint16(math.RoundToEven(float64(max(0, (v-least)/scale)))))
			}
			if vocab%2 == 1 {
				b = append(b, 0, 0)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// TestDivergence compares a model with itself, and with logits of which one was raised: that divergence is known.
func TestDivergence(t *testing.T) {
	path := synth(t)
	const window = 16
	run := func(b []byte) bench.DivergenceResult {
		_, r, err := bench.Divergence{Model: path, Base: bytes.NewReader(b)}.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	base := baseFile(t, path, text, window, nil, nil)
	windows := int(binary.LittleEndian.Uint32(base[16:]))
	r := run(base)
	if !(math.Abs(r.Mean) < 1e-7) || r.Top != 1 || r.Tokens != windows*(window/2-1) {
		t.Errorf("a model beside itself: %+v", r)
	}
	want, flips, n := 0.0, 0, 0
	r = run(baseFile(t, path, text, window, nil, func(x []float32) {
		const id, raise = 70, 3.0
		q := math.Exp(bench.LogProb(x, id))
		top := slices.Max(x)
		x[id] += raise
		p := math.Exp(bench.LogProb(x, id))
		// Raising one logit leaves the others' proportions: the divergence is that of two outcomes.
		want += p*math.Log(p/q) + (1-p)*math.Log((1-p)/(1-q))
		if x[id] > top && x[id]-raise < top {
			flips++
		}
		n++
	}))
	want /= float64(n)
	if !(math.Abs(r.Mean-want) < 1e-5) || r.Most < r.Mean || r.Top != 1-float64(flips)/float64(n) {
		t.Errorf("%+v, expected a mean of %v and %d of %d top tokens to differ", r, want, flips, n)
	}
	for what, bad := range map[string][]byte{
		"nothing":         nil,
		"another file":    []byte(strings.Repeat("GGUF", 20)),
		"a cut header":    base[:15],
		"cut tokens":      base[:25],
		"a cut row":       base[:len(base)-1],
		"windows of 2":    slices.Concat(base[:8], []byte{2, 0, 0, 0}, base[12:]),
		"no windows":      slices.Concat(base[:16], []byte{0, 0, 0, 0}, base[20:]),
		"a wild token":    slices.Concat(base[:20], []byte{255, 255, 255, 127}, base[24:]),
		"many windows":    slices.Concat(base[:16], []byte{255, 255, 255, 127}, base[20:]),
		"more vocabulary": slices.Concat(base[:12], []byte{1, 3, 0, 0}, base[16:]),
	} {
		if _, _, err := (bench.Divergence{Model: path, Base: bytes.NewReader(bad)}).Run(t.Context()); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

// TestExactness bounds how far SmolLM2 Q4_1 is from float32 on a page of English. The long form takes plain Go for the reference, and
// compares the exact mode with it too.
func TestExactness(t *testing.T) {
	model := testenv.Fetched(t, "smollm2")
	english, err := os.ReadFile("../llama/testdata/english.txt")
	if err != nil {
		t.Fatal(err)
	}
	device := "cpu"
	if testenv.Long() {
		device = "reference"
	}
	base := baseFile(t, model, string(english), 256, &llama.Options{Device: device, Exact: true}, nil)
	run := func(exact bool) bench.DivergenceResult {
		_, result, err := bench.Divergence{Model: model, Base: bytes.NewReader(base), Exact: exact, Device: "cpu"}.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("beside float32 on device %s, exact %v: %+v", device, exact, result)
		return result
	}
	if r := run(false); !(r.Mean <= 0.0035) || !(r.Top >= 0.965) {
		t.Errorf("%+v: expected a divergence of at most 0.0035 and the same top token in 96.5%%", r)
	}
	if testenv.Long() {
		if r := run(true); !(r.Mean < 1e-6) {
			t.Errorf("exact mode: %+v, expected a divergence under 1e-6", r)
		}
	}
}
