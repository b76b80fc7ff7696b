package cuda_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/gguf/gguftest"
	"github.com/llama31/llama31/kernels/cuda/sim"
	"github.com/llama31/llama31/llama"
)

// tinyFile is a model of two layers with random weights, whose tokens are the bytes and an end of text.
func tinyFile(t testing.TB) []byte {
	t.Helper()
	const hidden, heads, kvHeads, headDim, ffn, vocab = 64, 2, 1, 32, 96, 257
	var tokens []string
	for b, next := rune(0), rune(256); b < 256; b++ { // bytes as GPT-2 writes them
		if '!' <= b && b <= '~' || 0xA1 <= b && b <= 0xAC || 0xAE <= b {
			tokens = append(tokens, string(b))
			continue
		}
		tokens = append(tokens, string(next))
		next++
	}
	types := slices.Repeat([]int32{1}, vocab)
	tokens, types[256] = append(tokens, "<|end_of_text|>"), 3
	b := gguftest.New(t)
	for _, e := range []struct {
		key   string
		value any
	}{
		{"general.architecture", "llama"}, {"llama.block_count", uint32(2)}, {"llama.context_length", uint32(512)},
		{"llama.embedding_length", uint32(hidden)}, {"llama.feed_forward_length", uint32(ffn)}, {"llama.attention.head_count", uint32(heads)},
		{"llama.attention.head_count_kv", uint32(kvHeads)}, {"llama.attention.layer_norm_rms_epsilon", float32(1e-5)},
		{"tokenizer.ggml.model", "gpt2"}, {"tokenizer.ggml.pre", "llama-bpe"}, {"tokenizer.ggml.tokens", tokens},
		{"tokenizer.ggml.token_type", types}, {"tokenizer.ggml.eos_token_id", uint32(256)}, {"tokenizer.ggml.bos_token_id", uint32(256)},
	} {
		b.Set(e.key, e.value)
	}
	seed := uint64(0)
	tensor := func(name string, shape ...int) {
		seed++
		if len(shape) == 1 {
			x := gguftest.Normal(seed, shape[0], 0.1)
			for i := range x {
				x[i]++
			}
			b.Tensor(name+".weight", block.TypeF32, x, shape...)
			return
		}
		b.Tensor(name+".weight", block.TypeQ8_0, gguftest.Normal(seed, shape[0]*shape[1], 0.2), shape...)
	}
	tensor("token_embd", vocab, hidden)
	for l := range 2 {
		blk := fmt.Sprintf("blk.%d.", l)
		tensor(blk+"attn_norm", hidden)
		tensor(blk+"attn_q", heads*headDim, hidden)
		tensor(blk+"attn_k", kvHeads*headDim, hidden)
		tensor(blk+"attn_v", kvHeads*headDim, hidden)
		tensor(blk+"attn_output", hidden, heads*headDim)
		tensor(blk+"ffn_norm", hidden)
		tensor(blk+"ffn_gate", ffn, hidden)
		tensor(blk+"ffn_up", ffn, hidden)
		tensor(blk+"ffn_down", hidden, ffn)
	}
	tensor("output_norm", hidden)
	return b.Bytes()
}

func openTiny(t testing.TB, o llama.Options) (*llama.Model, error) {
	t.Helper()
	file := tinyFile(t)
	return llama.OpenReader(t.Context(), bytes.NewReader(file), int64(len(file)), &o)
}

func request(prompt string, n int) llama.Request {
	return llama.Request{Prompt: prompt, MaxTokens: n, Sampling: &llama.Sampling{Temperature: new(float64), IgnoreEOS: true}}
}

// Two models on two devices run at once and give the same text; the simulated driver checks that both are freed.
func TestModelTwoDevices(t *testing.T) {
	m := sim.Start(t, "devices=2")
	var texts [2]string
	var all sync.WaitGroup
	for i := range texts {
		model, err := openTiny(t, llama.Options{Device: fmt.Sprintf("cuda:%d", i), MaxRunning: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer model.Close()
		all.Go(func() {
			r, err := model.Generate(t.Context(), request("two devices", 12))
			if err != nil {
				t.Error(err)
				return
			}
			texts[i] = r.Text()
		})
	}
	all.Wait()
	if texts[0] != texts[1] || len(texts[0]) == 0 {
		t.Errorf("%q and %q", texts[0], texts[1])
	}
	if c := m.Counters(); c.Contexts < 2 {
		t.Errorf("%d contexts", c.Contexts)
	}
}

// A model's layers lie on two devices, or on one and the CPU: the text is the same, or nearly the CPU's, and all is freed. What the plan
// says of a device's memory is what was in use at most.
func TestModelSplit(t *testing.T) {
	one := 1
	var want string
	for _, o := range []llama.Options{{Device: "cuda"}, {Device: "cuda:0,1"}, {Device: "cuda:1", GPULayers: &one}} {
		m := sim.Start(t, "devices=2")
		o.MaxRunning, o.Context = 4, 128
		heard, total := int64(0), int64(0)
		o.Progress = func(done, all int64) {
			if done < heard || done > all {
				t.Errorf("progress of %d after %d, of %d", done, heard, all)
			}
			heard, total = done, all
		}
		model, err := openTiny(t, o)
		if err != nil {
			t.Fatal(err)
		}
		if heard < total*9/10 {
			t.Errorf("progress ends at %d of %d", heard, total)
		}
		r, err := model.Generate(t.Context(), request("a model in two parts", 24))
		if err != nil {
			t.Fatal(err)
		}
		switch i := model.Info(); {
		case o.Device == "cuda":
			want = r.Text()
		case o.GPULayers == nil && (i.Device != "cuda:0 (1 layers), cuda:1 (1 layers)" || r.Text() != want),
			o.GPULayers != nil && (i.Device != "cpu (1 layers), cuda:1 (1 layers)" || r.Text()[:4] != want[:4]): // activations of the CPU are int8
			t.Errorf("%s: %q, expected %q", i.Device, r.Text(), want)
		}
		planned := int64(0)
		for _, s := range model.Info().Stages {
			if s.Device != "cpu" {
				planned += s.Bytes
			}
		}
		if peak := m.Counters().Peak; peak < planned*97/100 || peak > planned*103/100 {
			t.Errorf("%s: %d bytes in use at most, planned were %d", model.Info().Device, peak, planned)
		}
		if err := model.Close(); err != nil {
			t.Error(err)
		}
	}
}

// As many sequences as may run, each of a whole context, fit into what is planned.
func TestModelFull(t *testing.T) {
	const running, tokens = 3, 128
	m := sim.Start(t, "")
	model, err := openTiny(t, llama.Options{Device: "cuda", MaxRunning: running, Context: tokens})
	if err != nil {
		t.Fatal(err)
	}
	need := model.Info().Stages[0].Bytes
	model.Close()
	for _, more := range []int64{need / 31, -1 << 15} { // without room for all pages, requests wait for each other
		m = sim.Start(t, fmt.Sprint("memory=", need+more))
		if model, err = openTiny(t, llama.Options{Device: "cuda", MaxRunning: running, Context: tokens}); err != nil {
			t.Fatal(err)
		}
		if pages := model.Info().KVPages; (pages == running*tokens/32) != (more > 0) {
			t.Errorf("%d pages", pages)
		}
		var all sync.WaitGroup
		for i := range running {
			all.Go(func() {
				r, err := model.Generate(t.Context(), request(strings.Repeat(string(rune('a'+i)), tokens-8), 7))
				if err != nil || r.Usage.Prompt+r.Usage.Generated != tokens {
					t.Errorf("%+v, %v", r, err)
				}
			})
		}
		all.Wait()
		t.Logf("%d bytes planned, %d at most", model.Info().Stages[0].Bytes, m.Counters().Peak)
		if err := model.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A model that does not fit is refused with the bytes, or runs on the CPU where the choice is free.
func TestModelOutOfMemory(t *testing.T) {
	for _, memory := range []int{64 << 10, 1 << 20, 8 << 20} { // below the weights; below the buffers; below one context
		sim.Start(t, fmt.Sprint("memory=", memory))
		m, err := openTiny(t, llama.Options{Device: "cuda"})
		if err == nil {
			m.Close()
		}
		if memory < 8<<20 && !errors.Is(err, llama.ErrOutOfMemory) {
			t.Errorf("%d bytes: %v", memory, err)
		}
		if err != nil && !strings.Contains(err.Error(), "GiB needed") {
			t.Errorf("%d bytes: %v", memory, err)
		}
		if m, err = openTiny(t, llama.Options{}); err != nil {
			t.Fatal(err)
		}
		if d := m.Info().Device; memory < 8<<20 && d != "cpu" {
			t.Errorf("%d bytes: the model is on %s", memory, d)
		}
		if _, err := m.Generate(t.Context(), request("x", 2)); err != nil {
			t.Error(err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	// Any single allocation may fail: nothing is left behind.
	for _, what := range []string{"fail_alloc", "fail_host", "fail_event"} {
		for i := 1; ; i++ {
			sim.Start(t, fmt.Sprint(what, "=", i))
			m, err := openTiny(t, llama.Options{Device: "cuda"})
			if err == nil {
				if err := m.Close(); err != nil {
					t.Error(err)
				}
				t.Logf("%s: %d", what, i-1)
				break
			}
			if what != "fail_event" && !errors.Is(err, llama.ErrOutOfMemory) || !strings.Contains(err.Error(), "cuda:0") && !strings.Contains(err.Error(), "cuEventCreate") {
				t.Fatalf("%s=%d: %v", what, i, err)
			}
		}
	}
}

// A card after those with machine code of their own takes PTX for 8.0, whose kernels do not wait for the one before: none begins early.
func TestModelNewerCard(t *testing.T) {
	sim.Start(t, "capability=100")
	m, err := openTiny(t, llama.Options{Device: "cuda"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Generate(t.Context(), request("a newer card", 8)); err != nil {
		t.Error(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// Without memory for a single graph, steps run all the same.
func TestModelNoGraphs(t *testing.T) {
	var texts []string
	for _, options := range []string{"", "fail_graphs=1"} {
		machine := sim.Start(t, options)
		m, err := openTiny(t, llama.Options{Device: "cuda"})
		if err != nil {
			t.Fatal(err)
		}
		r, err := m.Generate(t.Context(), request("no graphs", 8))
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, r.Text())
		if c := machine.Counters(); (c.GraphLaunches == 0) != (options != "") {
			t.Errorf("%q: %d graphs were launched", options, c.GraphLaunches)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	if texts[0] != texts[1] {
		t.Errorf("%q without graphs, %q with them", texts[1], texts[0])
	}
}

// A kernel that fails in the middle of an answer ends it with the reason, and each later one; closing works.
func TestModelFailedLaunch(t *testing.T) {
	for _, n := range []int{1, 30, 100} {
		sim.Start(t, fmt.Sprint("fail_launch=", n))
		m, err := openTiny(t, llama.Options{Device: "cuda"})
		if err != nil {
			if !strings.Contains(err.Error(), "CUDA_ERROR_LAUNCH_FAILED") {
				t.Errorf("launch %d failed: %v", n, err)
			}
			continue
		}
		for range 2 {
			if _, err := m.Generate(t.Context(), request("fail", 20)); err == nil || !strings.Contains(err.Error(), "CUDA_ERROR_LAUNCH_FAILED") {
				t.Errorf("launch %d failed: %v", n, err)
			}
		}
		m.Close() // gives the device's error once more, or none
	}
}

// A thousand requests of random lengths with random cancels leave nothing behind, on the device or in the engine.
func TestModelCancels(t *testing.T) {
	const requests = 1000
	machine := sim.Start(t, "memory=33554432") // little room for pages: some requests wait, some are put back
	m, err := openTiny(t, llama.Options{Device: "cuda", MaxRunning: 16, Context: 256})
	if err != nil {
		t.Fatal(err)
	}
	want, err := m.Generate(t.Context(), request("the same again", 8))
	if err != nil {
		t.Fatal(err)
	}
	before := machine.Counters()
	var all sync.WaitGroup
	slots := make(chan bool, 32)
	r := rand.New(rand.NewPCG(1, 2))
	for range requests {
		prompt, n, cancel := strings.Repeat("ab ", r.IntN(8)+1), r.IntN(6)+1, r.IntN(6)
		slots <- true
		all.Go(func() {
			defer func() { <-slots }()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			i := 0
			for _, err := range m.Stream(ctx, request(prompt, n)) {
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
					return
				}
				if i++; i > cancel {
					stop()
				}
			}
		})
	}
	all.Wait()
	got, err := m.Generate(t.Context(), request("the same again", 8))
	if err != nil || got.Text() != want.Text() {
		t.Errorf("afterwards %q, %v; before %q", got.Text(), err, want.Text())
	}
	if s := m.Stats(); s.Running != 0 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
	after := machine.Counters()
	if grown := after.Bytes - before.Bytes; grown > 8<<20 {
		t.Errorf("%d bytes of device memory more than after the first answer", grown)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	c := machine.Counters()
	if c.Allocs != c.Frees || c.Leaks() != "" {
		t.Errorf("%d allocations, %d freed: %s", c.Allocs, c.Frees, c.Leaks())
	}
	t.Logf("%d kernels, %d bytes at most", c.Kernels, c.Peak)
}
