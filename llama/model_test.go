package llama

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/gguf/block"
)

// TestOpenErrors says what is wrong with a file before anything of it is used.
func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tiny := tinyFile(t, 64)
	other := tinyWith(t, change{set: map[string]any{"general.architecture": "qwen2"}})
	for _, c := range []struct {
		path  string
		o     *Options
		err   error
		names string // in the message
	}{
		{filepath.Join(dir, "none.gguf"), nil, fs.ErrNotExist, "none.gguf"},
		{dir, nil, nil, dir},
		{file("empty.gguf", nil), nil, gguf.ErrMagic, ""},
		{file("text.gguf", []byte("This is a text and no model, however long it is.")), nil, gguf.ErrMagic, ""},
		{file("short.gguf", tiny[:20]), nil, gguf.ErrTruncated, ""},
		{file("half.gguf", tiny[:len(tiny)/2]), nil, gguf.ErrTruncated, ""},
		{file("less.gguf", tiny[:len(tiny)-64]), nil, gguf.ErrTruncated, ""},
		{file("other.gguf", other), nil, ErrUnsupported, `"qwen2"`},
		{file("long.gguf", tiny), &Options{Context: 65}, ErrRequest, "64"},
		{file("negative.gguf", tiny), &Options{Threads: -1}, ErrRequest, "Threads is -1"},
		{file("many.gguf", tiny), &Options{Threads: 1e8}, ErrRequest, "Threads is 100000000"},
		{file("most.gguf", tiny), &Options{MaxRunning: 1e8}, ErrRequest, "MaxRunning is 100000000"},
		{file("weights.gguf", tiny), &Options{Weights: map[string]float64{"a": 0}}, ErrRequest, `"a"`},
		{file("device.gguf", tiny), &Options{Device: "abacus"}, nil, "abacus"},
		{file("set.gguf", tiny), &Options{InstructionSet: "mmx"}, nil, "mmx"},
	} {
		m, err := Open(t.Context(), c.path, c.o)
		if m != nil {
			m.Close()
		}
		if err == nil || c.err != nil && !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.names) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, expected %v in one line with %q", filepath.Base(c.path), err, c.err, c.names)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if m, err := Open(ctx, file("ctx.gguf", tiny), nil); m != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that ended: %v", err)
	}
}

// TestContradictions changes one thing of a model that is right: each is an error that names it.
func TestContradictions(t *testing.T) {
	set := func(key string, value any) change { return change{set: map[string]any{key: value}} }
	tensor := func(name string, typ block.Type, shape ...int) change {
		return change{tensors: map[string]shaped{name: {typ, shape}}}
	}
	for _, c := range []struct {
		change change
		err    error
		names  string
	}{
		{change{drop: []string{"general.architecture"}}, ErrModel, "general.architecture"},
		{set("general.architecture", uint32(3)), ErrModel, "general.architecture"},
		{change{drop: []string{"llama.block_count"}}, ErrModel, "llama.block_count"},
		{set("llama.block_count", uint32(0)), ErrModel, "llama.block_count"},
		{set("llama.block_count", uint32(1)), ErrUnsupported, "blk.1."},
		{set("llama.block_count", uint32(3)), ErrModel, "blk.2."},
		{set("llama.block_count", uint32(1<<31)), ErrModel, "llama.block_count"},
		{set("llama.block_count", "two"), ErrModel, "llama.block_count"},
		{set("llama.context_length", uint32(0)), ErrModel, "llama.context_length"},
		{set("llama.context_length", uint64(1<<40)), ErrModel, "llama.context_length"},
		{set("llama.embedding_length", uint32(256)), ErrModel, "token_embd"},
		{set("llama.embedding_length", uint32(127)), ErrModel, "llama.embedding_length"},
		{set("llama.embedding_length", int32(-128)), ErrModel, "llama.embedding_length"},
		{set("llama.feed_forward_length", uint32(128)), ErrModel, "ffn_gate"},
		{set("llama.feed_forward_length", uint32(math.MaxUint32)), ErrModel, "llama.feed_forward_length"},
		{set("llama.attention.head_count", uint32(0)), ErrModel, "llama.attention.head_count"},
		{set("llama.attention.head_count", uint32(8)), ErrModel, "rotary"},
		{set("llama.attention.head_count", []uint32{4, 4}), ErrModel, "llama.attention.head_count"},
		{set("llama.attention.head_count_kv", uint32(3)), ErrModel, "KV heads"},
		{set("llama.attention.head_count_kv", uint32(4)), ErrModel, "attn_k"},
		{set("llama.attention.key_length", uint32(64)), ErrModel, "attn_q"},
		{set("llama.attention.value_length", uint32(16)), ErrUnsupported, "values of 16"},
		{set("llama.rope.dimension_count", uint32(33)), ErrModel, "33 rotary"},
		{set("llama.rope.dimension_count", uint32(34)), ErrModel, "34 rotary"},
		{set("llama.rope.freq_base", float32(0)), ErrModel, "llama.rope.freq_base"},
		{set("llama.rope.freq_base", float32(math.NaN())), ErrModel, "llama.rope.freq_base"},
		{set("llama.rope.scaling.type", "yarn"), ErrUnsupported, `"yarn"`},
		{set("llama.rope.scaling.type", "linear"), ErrModel, "llama.rope.scaling.factor"},
		{set("llama.attention.layer_norm_rms_epsilon", float32(-1)), ErrModel, "epsilon"},
		{set("llama.attention.layer_norm_rms_epsilon", float32(math.Inf(1))), ErrModel, "epsilon"},
		{set("llama.expert_count", uint32(8)), ErrUnsupported, "experts"},
		{set("tokenizer.ggml.model", "spm"), ErrUnsupported, `"spm"`},
		{change{drop: []string{"tokenizer.ggml.model"}}, ErrModel, "tokenizer.ggml.model"},
		{change{drop: []string{"tokenizer.ggml.tokens"}}, ErrModel, "tokenizer.ggml.tokens"},
		{set("tokenizer.ggml.tokens", []string{"a", "b"}), ErrModel, "vocabulary of 2"},
		{set("tokenizer.ggml.token_type", "all"), ErrModel, "tokenizer.ggml.token_type"},
		{change{drop: []string{"token_embd.weight"}}, ErrModel, "token_embd.weight"},
		{change{drop: []string{"output_norm.weight"}}, ErrModel, "output_norm.weight"},
		{change{drop: []string{"blk.1.ffn_down.weight"}}, ErrModel, "blk.1.ffn_down.weight"},
		{tensor("blk.0.attn_q.bias", block.TypeF32, 128), ErrUnsupported, "blk.0.attn_q.bias"},
		{tensor("token_embd.weight", block.TypeF32, 128), ErrModel, "token_embd.weight"},
		{tensor("blk.0.attn_norm.weight", block.TypeF32, 64), ErrModel, "blk.0.attn_norm.weight"},
		{tensor("blk.0.attn_norm.weight", block.TypeQ8_0, 128), ErrUnsupported, "blk.0.attn_norm.weight"},
		{tensor("blk.0.attn_q.weight", block.TypeQ8_0, 64, 128), ErrModel, "blk.0.attn_q.weight"},
		{tensor("blk.0.attn_q.weight", block.TypeI32, 128, 128), ErrUnsupported, "I32"},
		{tensor("output.weight", block.TypeQ8_0, 8, 128), ErrModel, "output.weight"},
		{tensor("rope_freqs.weight", block.TypeF32, 8), ErrModel, "rope_freqs.weight"},
		{tensor("rope_freqs.weight", block.TypeF32, 16), ErrModel, "rope_freqs.weight[0]"}, // zeros
		{tensor("rope_freqs.weight", block.TypeF16, 16), ErrModel, "rope_freqs.weight"},
	} {
		m, err := openReader(t, tinyWith(t, c.change), nil)
		if m != nil {
			m.Close()
		}
		if !errors.Is(err, c.err) || !strings.Contains(fmt.Sprint(err), c.names) || strings.Contains(fmt.Sprint(err), "\n") {
			t.Errorf("%+v: %v, expected %v with %q", c.change, err, c.err, c.names)
		}
	}
}

// TestSameModel opens one model in four ways, and the answers are the same.
func TestSameModel(t *testing.T) {
	data := tinyFile(t, 256)
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	open := func(o *Options) *Model {
		m, err := Open(t.Context(), path, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		return m
	}
	r := Request{Prompt: "Once upon a time", MaxTokens: 30, Sampling: &Sampling{Seed: pointer(uint64(3)), IgnoreEOS: true}}
	var want *Response
	for i, m := range []*Model{open(nil), open(&Options{ReadAt: true}), openBytes(t, data, nil), open(&Options{Threads: 7, Context: 64, MaxRunning: 1})} {
		got, err := m.Generate(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
		}
		same(t, fmt.Sprint("way ", i), got, want)
	}
	// A tied head is the embedding again.
	tied, err := openReader(t, tinyWith(t, change{drop: []string{"output.weight"}}), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tied.Close()
	untied := openBytes(t, tinyWith(t, change{copies: map[string]string{"output.weight": "token_embd.weight"}}), nil)
	a, err := tied.Logits(t.Context(), []int32{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	b, err := untied.Logits(t.Context(), []int32{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(a.Float32s(), b.Float32s()) {
		t.Error("a tied head differs from an untied one with the same weights")
	}
}

// TestClose ends what runs with ErrClosed, twice over, and leaves no goroutine.
func TestClose(t *testing.T) {
	before := runtime.NumGoroutine()
	procs := runtime.GOMAXPROCS(0)
	for range 10 {
		m, err := openReader(t, tinyFile(t, 1024), &Options{MaxRunning: 2})
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		started := make(chan bool, 8)
		for i := range 8 {
			all.Go(func() {
				var last error
				for tok, err := range m.Stream(context.Background(), Request{Prompt: fmt.Sprint("number ", i), Sampling: &Sampling{IgnoreEOS: true}}) {
					last = err
					if tok.Text != "" && len(started) == 0 {
						started <- true
					}
					if tok.Response != nil {
						return // 1024 tokens were faster than Close
					}
				}
				if !errors.Is(last, ErrClosed) {
					t.Errorf("request %d ended with %v, expected ErrClosed", i, last)
				}
			})
		}
		<-started
		for range 3 {
			all.Go(func() {
				if err := m.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if _, err := m.Generate(t.Context(), Request{Prompt: "late"}); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v, expected ErrClosed", err)
		}
		if _, err := m.Logits(t.Context(), []int32{1}); !errors.Is(err, ErrClosed) {
			t.Errorf("logits after Close: %v, expected ErrClosed", err)
		}
		if i := m.Info(); i.Hidden != 128 || i.Name != "tiny" {
			t.Errorf("after Close: %+v", i)
		}
	}
	if n := runtime.GOMAXPROCS(0); n != procs {
		t.Errorf("GOMAXPROCS is %d, it was %d", n, procs)
	}
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines, there were %d", n, before)
	}
}

// TestCancel ends requests by their context: at a token, or while the consumer is busy.
func TestCancel(t *testing.T) {
	m := openTiny(t, nil)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	n := 0
	var last error
	for tok, err := range m.Stream(ctx, Request{Prompt: "to be cancelled", Sampling: &Sampling{IgnoreEOS: true}}) {
		if last = err; err != nil {
			break
		}
		_ = tok
		if n++; n == 5 {
			cancel(cause)
		}
		if n > 500 {
			t.Fatal("500 tokens after the end of the context")
		}
	}
	if !errors.Is(last, cause) {
		t.Errorf("the stream ended with %v, expected the context's cause", last)
	}
	for end := time.Now().Add(5 * time.Second); m.Stats().Running > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if s := m.Stats(); s.Running != 0 || s.PagesAvailable != s.Pages || s.GeneratedTokens > 500 {
		t.Errorf("afterwards %+v", s)
	}
	// What there is so far comes with the error. The context has room for minutes of tokens.
	m = openBytes(t, tinyFile(t, 1<<17), nil)
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	go func() {
		for m.Stats().GeneratedTokens < 10 && ctx.Err() == nil {
			time.Sleep(100 * time.Microsecond)
		}
		stop(cause)
	}()
	r, err := m.Generate(ctx, Request{Prompt: "x", Sampling: &Sampling{IgnoreEOS: true}})
	if !errors.Is(err, cause) || r == nil || r.Choices[0].Finish != FinishError || r.Usage.Generated < 10 || len(r.Choices[0].Tokens) != r.Usage.Generated {
		t.Errorf("%+v, %v, expected a part and the context's cause", r, err)
	}
}

// TestContextLength tells how many tokens were needed and how many there are.
func TestContextLength(t *testing.T) {
	m := openTiny(t, &Options{Context: 64})
	bos := 0
	if m.Tokenizer().AddBOS() {
		bos = 1
	}
	_, err := m.Generate(t.Context(), Request{Prompt: strings.Repeat("x", 64)})
	var e *ContextLengthError
	if !errors.Is(err, ErrContextLength) || !errors.As(err, &e) || e.Need != 65+bos || e.Have != 64 {
		t.Errorf("%v, %+v, expected ErrContextLength with %d and 64", err, e, 65+bos)
	}
	_, err = m.Logits(t.Context(), make([]int32, 65))
	if !errors.Is(err, ErrContextLength) {
		t.Errorf("%v, expected ErrContextLength", err)
	}
	// What just fits gives one token.
	r, err := m.Generate(t.Context(), Request{Tokens: make([]int32, 63), Sampling: &Sampling{IgnoreEOS: true}})
	if err != nil || r.Usage.Generated != 1 || r.Choices[0].Finish != FinishLength {
		t.Errorf("%+v, %v, expected one token and the context's end", r, err)
	}
	if _, err := m.Logits(t.Context(), make([]int32, 64)); err != nil {
		t.Error(err)
	}
}

// TestBadRequests are refused before they run.
func TestBadRequests(t *testing.T) {
	m := openTiny(t, nil)
	nan := math.NaN()
	for _, r := range []Request{
		{Messages: []Message{User("a")}, Prompt: "b"},
		{Prompt: "a", Tokens: []int32{1}},
		{Tokens: []int32{}},
		{Tokens: []int32{-1}},
		{Tokens: []int32{1 << 20}},
		{Messages: []Message{{Role: "wizard", Content: "x"}}},
		{Prompt: "a", MaxTokens: -1},
		{Prompt: "a", N: -1},
		{Prompt: "a", N: 1 << 20},
		{Prompt: "a", TopLogprobs: -1},
		{Prompt: "a", TopLogprobs: 1 << 20},
		{Prompt: "a", Stop: []string{""}},
		{Prompt: "a", Sampling: &Sampling{Temperature: pointer(-0.1)}},
		{Prompt: "a", Sampling: &Sampling{Temperature: &nan}},
		{Prompt: "a", Sampling: &Sampling{TopK: -1}},
		{Prompt: "a", Sampling: &Sampling{TopP: 1.1}},
		{Prompt: "a", Sampling: &Sampling{TopP: nan}},
		{Prompt: "a", Sampling: &Sampling{MinP: -1}},
		{Prompt: "a", Sampling: &Sampling{Typical: 2}},
		{Prompt: "a", Sampling: &Sampling{Repeat: math.Inf(1)}},
		{Prompt: "a", Sampling: &Sampling{Frequency: nan}},
		{Prompt: "a", Sampling: &Sampling{Presence: nan}},
		{Prompt: "a", Sampling: &Sampling{Bias: map[int32]float64{-1: 0}}},
		{Prompt: "a", Sampling: &Sampling{Bias: map[int32]float64{1: nan}}},
	} {
		if _, err := m.Generate(t.Context(), r); !errors.Is(err, ErrRequest) {
			t.Errorf("%+v: %v, expected ErrRequest", r, err)
		}
	}
	// A bias that leaves no token is an error of its own, and the model goes on.
	bias := map[int32]float64{}
	for i := range m.Info().Vocabulary {
		bias[int32(i)] = math.Inf(-1)
	}
	if _, err := m.Generate(t.Context(), Request{Prompt: "a", Sampling: &Sampling{Bias: bias}}); err == nil {
		t.Error("no token is allowed, and no error")
	}
	if _, err := m.Generate(t.Context(), Request{Prompt: "a", MaxTokens: 3}); err != nil {
		t.Error(err)
	}
}
