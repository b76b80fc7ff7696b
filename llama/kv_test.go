package llama

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/llama31/llama31/internal/testenv"
)

// TestPlanLongContext has Llama 3.1's own context in the cache: 131,072 positions of the 8B take 16 GiB of float16, 8.5 of int8.
func TestPlanLongContext(t *testing.T) {
	const context, gib = 131072, 1 << 30
	llama8B := &config{layers: 32, kvHeads: 8, headDim: 128, context: context}
	for _, c := range []struct {
		name  string
		o     Options
		pages int
		bytes int64
	}{
		{"float16", Options{Context: context, MaxRunning: 1}, 4096, 16 * gib},
		{"int8", Options{Context: context, MaxRunning: 1, KV: Q8}, 4096, 16 * gib * 17 / 32},
		{"exact", Options{Context: context, MaxRunning: 1, Exact: true, KV: Q8}, 4096, 32 * gib},
		{"room for two", Options{Context: context, KVBytes: 32 * gib}, 8192, 32 * gib},
		{"no whole page", Options{Context: 100, MaxRunning: 1}, 4, 4 * 4 << 20},
	} {
		m := &Model{config: llama8B, options: c.o.withDefaults()}
		pages := m.planHost()
		if m.context != c.o.Context || pages != c.pages || int64(pages)*m.pageBytes() != c.bytes {
			t.Errorf("%s: a context of %d in %d pages of %d bytes; expected %d pages, %d bytes in all", c.name, m.context, pages, m.pageBytes(), c.pages, c.bytes)
		}
	}
	if _, err := Open(t.Context(), "model.gguf", &Options{KV: 7}); err == nil {
		t.Error("KV type 7: no error")
	}
}

// TestKVTypes has the promise with each type of cache: chunks, threads and what runs beside change no bit. The three differ a little.
func TestKVTypes(t *testing.T) {
	texts := []string{strings.Repeat("The quick brown fox. ", 30), strings.Repeat("lazy dog ", 20)}
	rows := map[string][]float32{}
	for name, o := range map[string]Options{"f16": {}, "q8": {KV: Q8}, "exact": {Exact: true}} {
		for threads := 1; threads <= 3; threads += 2 {
			o.Threads = threads
			m := openTiny(t, &o)
			ids := m.encodeText(texts[0])
			all, err := m.Logits(t.Context(), ids)
			if err != nil {
				t.Fatal(err)
			}
			got := all.Float32s()
			if rows[name] == nil {
				rows[name] = got
			}
			if !slices.Equal(rows[name], got) {
				t.Errorf("%s: %d threads give other logits", name, threads)
			}
			// Generated one by one from a cached prefix, beside another text.
			r := Request{Tokens: ids, MaxTokens: 20, Sampling: &Sampling{Temperature: new(float64), IgnoreEOS: true}, TopLogprobs: 1}
			alone, err := m.Generate(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			fresh := openTiny(t, &o)
			go fresh.Generate(t.Context(), Request{Prompt: texts[1], MaxTokens: 40})
			beside, err := fresh.Generate(t.Context(), r)
			if err != nil || !slices.Equal(alone.Choices[0].Tokens, beside.Choices[0].Tokens) {
				t.Errorf("%s: beside others %v, alone %v; %v", name, beside.Choices[0].Tokens, alone.Choices[0].Tokens, err)
			}
		}
	}
	distance := func(a, b []float32) float64 {
		var diff, norm float64
		for i := range a {
			d := float64(a[i]) - float64(b[i])
			diff, norm = diff+d*d, norm+float64(a[i])*float64(a[i])
		}
		return diff / norm
	}
	f16, q8 := distance(rows["exact"], rows["f16"]), distance(rows["exact"], rows["q8"])
	if !(f16 > 0 && f16 < 2e-3 && q8 > 0 && q8 < 5e-3) {
		t.Errorf("squared distance from exact logits: %v with float16, %v with int8", f16, q8)
	}
}

// TestFullContext runs a prompt that nearly fills a long context and generates to its end: Llama 3.1's 131,072 tokens where LLAMA31_LONG
// asks for it. The model has one layer and one head, for attention takes the time.
func TestFullContext(t *testing.T) {
	context := 1 << 15
	if testenv.Long() {
		context = 1 << 17
	}
	m := openBytes(t, tinyShape{layers: 1, heads: 1, kvHeads: 1, ffn: 32}.file(t, context), &Options{MaxRunning: 1})
	if m.Info().Context != context {
		t.Fatalf("a context of %d", m.Info().Context)
	}
	ids := m.encodeText(strings.Repeat("0123456789abcde\n", context/16))[:context-40]
	r := Request{Tokens: ids, Sampling: &Sampling{Temperature: new(float64), IgnoreEOS: true}}
	first, err := m.Generate(t.Context(), r)
	if err != nil || len(first.Choices[0].Tokens) != 40 || first.Choices[0].Finish != FinishLength {
		t.Fatalf("%d tokens, %v, %v", len(first.Choices[0].Tokens), first.Choices[0].Finish, err)
	}
	// From the cache, a part of the answer as its prompt.
	r.Tokens = append(slices.Clone(ids), first.Choices[0].Tokens[:10]...)
	again, err := m.Generate(t.Context(), r)
	if err != nil || !slices.Equal(again.Choices[0].Tokens, first.Choices[0].Tokens[10:]) || again.Usage.Cached < context-200 {
		t.Errorf("from the cache (%d tokens): %v, %v", again.Usage.Cached, again.Choices[0].Tokens, err)
	}
	if _, err := m.Generate(t.Context(), Request{Tokens: make([]int32, context)}); !errors.Is(err, ErrContextLength) {
		t.Errorf("a prompt that fills the context: %v", err)
	}
}
