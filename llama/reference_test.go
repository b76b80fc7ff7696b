package llama

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llama31/llama31/internal/testenv"
	"github.com/llama31/llama31/kernels"
)

// golden reads a file of testdata.
func golden(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

// agreement is the share of places where two lists are equal.
func agreement(got, want []int32) float64 {
	n := 0
	for i := range want {
		if got[i] == want[i] {
			n++
		}
	}
	return float64(n) / float64(len(want))
}

func perplexity(logprobs []float64) float64 {
	sum := 0.0
	for _, p := range logprobs {
		sum += p
	}
	return math.Exp(-sum / float64(len(logprobs)))
}

// TestEnglish compares SmolLM2 on a page of English with float32 on the dequantised weights (testdata/logits.py), and gets the same
// bits from the page in one piece, in parts, and one token at a time. In short form float32, which is plain Go, is left out.
func TestEnglish(t *testing.T) {
	var want struct {
		IDs, Top []int32
		Logprobs []float64
	}
	golden(t, "english.json", &want)
	text, err := os.ReadFile("testdata/english.txt")
	if err != nil {
		t.Fatal(err)
	}
	type bounds struct {
		exact                 bool
		perplexity, agreement float64 // relative error at most, share at least
	}
	cases := []bounds{{false, 0.008, 0.965}, {true, 0.0005, 0.995}}
	if testing.Short() {
		cases = cases[:1]
	}
	for _, c := range cases {
		t.Run(fmt.Sprintf("exact=%v", c.exact), func(t *testing.T) {
			m := openSmolLM2(t, &Options{Exact: c.exact})
			ids := m.Tokenizer().Encode(nil, string(text))
			if !slices.Equal(ids, want.IDs) {
				t.Fatalf("the text has the ids %v, expected %v", ids, want.IDs)
			}
			rows := logprobRows(t, m, ids)
			var top []int32
			var logprobs []float64
			for i, row := range rows {
				top = append(top, best(row))
				if i+1 < len(ids) {
					logprobs = append(logprobs, row[ids[i+1]])
				}
			}
			got, reference := perplexity(logprobs), perplexity(want.Logprobs)
			same := agreement(top, want.Top)
			t.Logf("perplexity %.4f, of the reference %.4f (%+.3f%%); the same top token in %.2f%% of %d places", got, reference, 100*(got/reference-1), 100*same, len(top))
			if !(math.Abs(got/reference-1) <= c.perplexity) {
				t.Errorf("perplexity %v, expected %v within %g%%", got, reference, 100*c.perplexity)
			}
			if !(same >= c.agreement) {
				t.Errorf("the top token agrees in %.2f%% of places, expected %g%%", 100*same, 100*c.agreement)
			}
			if c.exact {
				return
			}
			parts, err := m.Logprobs(t.Context(), ids)
			if err != nil {
				t.Fatal(err)
			}
			for i := range parts {
				near(t, fmt.Sprintf("Logprobs[%d]", i), parts[i], logprobs[i], 1e-5)
			}
		})
	}
}

// TestSameBits runs a text in one piece, in chunks of other requests' making, from the cache, and one token at a time: each token's
// logits have the same bits.
func TestSameBits(t *testing.T) {
	const n = 100 // beyond three pages
	text, err := os.ReadFile("testdata/english.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, open := range []struct {
		name string
		open func(t testing.TB, o *Options) *Model
	}{{"tiny", openTiny}, {"SmolLM2", openSmolLM2}} {
		t.Run(open.name, func(t *testing.T) {
			for _, exact := range []bool{false, true} {
				if open.name == "SmolLM2" && (testing.Short() || exact && !testenv.Long()) {
					continue // some seconds, and half a minute
				}
				m := open.open(t, &Options{Exact: exact, Threads: 1})
				ids := m.Tokenizer().Encode(nil, string(text))[:n]
				whole, err := m.Logits(t.Context(), ids)
				if err != nil {
					t.Fatal(err)
				}
				want, v := whole.Float32s(), m.Info().Vocabulary
				compare := func(how string, i int, got []float32) {
					for j, x := range want[i*v : (i+1)*v] {
						if math.Float32bits(x) != math.Float32bits(got[j]) || x != x {
							t.Fatalf("exact %v, %s: logit %d after token %d is %v, expected %v, to the bit", exact, how, j, i, got[j], x)
						}
					}
				}
				// Other threads, and a fresh cache.
				m = open.open(t, &Options{Exact: exact, Threads: 3})
				for _, size := range []int{1, 7, 33, n} {
					// Each piece finds the pages before it in the cache and begins inside a page.
					for end := size; end <= n; end += size {
						from := end - size
						err := m.scan(t.Context(), "", rowsFrom(ids[:end], from, v, func(i int, logits []float32) {
							compare(fmt.Sprintf("in pieces of %d", size), i, logits)
						}))
						if err != nil {
							t.Fatal(err)
						}
					}
				}
			}
		})
	}
}

// TestFar runs bench/synth's models beyond position 8,192, where Llama 3.1's scaling of the rotary frequencies shows, against float32
// (testdata/logits.py). The small one always; two layers of the 8B model, a file of 1 GB, where LLAMA31_LONG asks for it.
func TestFar(t *testing.T) {
	type file struct {
		size string
		args []string
	}
	files := []file{{"tiny", []string{"-size", "tiny", "-type", "q8_0", "-vocab", "1024"}}}
	if testenv.Long() {
		files = append(files, file{"8b", []string{"-size", "8b", "-type", "q4_k_m", "-layers", "2"}})
	}
	for _, c := range files {
		t.Run(c.size, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "model.gguf")
			synth := exec.Command("go", append([]string{"run", "./bench/synth", "-o", path}, c.args...)...)
			synth.Dir = testenv.Root(t)
			if out, err := synth.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			var want struct {
				First       int
				Top         []int32
				TopUnscaled []int32 `json:"top_unscaled"`
			}
			golden(t, "far_"+c.size+".json", &want)
			m, err := Open(t.Context(), path, &Options{Context: want.First + len(want.Top), MaxRunning: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			v := m.Info().Vocabulary
			x, ids := uint32(1), make([]int32, want.First+len(want.Top))
			for i := range ids {
				x = x*1664525 + 1013904223
				ids[i] = int32(x>>8) % int32(v-256)
			}
			var top []int32
			err = m.scan(t.Context(), "", rowsFrom(ids, want.First, v, func(_ int, logits []float32) { top = append(top, best(logSoftmax(logits))) }))
			if err != nil {
				t.Fatal(err)
			}
			same, unscaled := agreement(top, want.Top), agreement(want.TopUnscaled, want.Top)
			t.Logf("the same top token in %.1f%% of %d places; without the scaling it would be %.1f%%", 100*same, len(top), 100*unscaled)
			if !(same >= 0.95) || !(unscaled < 0.9) {
				t.Errorf("the top token agrees in %.1f%% of places, expected 95%%; without the scaling %.1f%%", 100*same, 100*unscaled)
			}
		})
	}
}

// rowsFrom is a scan for the logits after the tokens from position from on.
func rowsFrom(ids []int32, from, vocab int, row func(i int, logits []float32)) *scan {
	return &scan{ids: ids, from: from,
		want: func(_ int, o *kernels.Out) { o.Logits = make([]float32, vocab) },
		got:  func(i int, o *kernels.Out) { row(i, o.Logits) }}
}

// TestGreedy continues prompts with the most probable tokens: in float32 as numpy does (testdata/logits.py, whose least clear choice is
// clear by 0.04), and in 8 bits to an answer that is right. In short form float32, which is plain Go, is one token.
func TestGreedy(t *testing.T) {
	var answers []struct {
		Prompt, Tokens []int32
		Text           string
	}
	golden(t, "greedy.json", &answers)
	greedy := &Sampling{Temperature: new(float64)}
	exact, most := openSmolLM2(t, &Options{Exact: true}), 12 // tokens: 0.3 s each on two cores
	switch {
	case testing.Short():
		answers = answers[:1]
		most = 1
	case testenv.Long():
		most = math.MaxInt
	}
	for _, want := range answers {
		want.Tokens = want.Tokens[:min(len(want.Tokens), most)]
		r, err := exact.Generate(t.Context(), Request{Tokens: want.Prompt, MaxTokens: len(want.Tokens), Sampling: greedy})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Choices[0]; !slices.Equal(got.Tokens, want.Tokens) || !strings.HasPrefix(want.Text, r.Text()) {
			t.Errorf("%v continues as %q, expected %q", want.Prompt, r.Text(), want.Text)
		}
	}
	question := Request{Messages: []Message{User("What is the capital of France?")}, MaxTokens: 40, Sampling: greedy}
	m := openSmolLM2(t, nil)
	ids, err := m.Prompt(question)
	if err != nil || !slices.Equal(ids, answers[0].Prompt) {
		t.Fatalf("the question has the ids %v, %v, expected %v", ids, err, answers[0].Prompt)
	}
	r, err := m.Generate(t.Context(), question)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.Text(), "Paris") {
		t.Errorf("the capital of France: %q", r.Text())
	}
}
