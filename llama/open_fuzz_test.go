package llama

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/llama31/llama31/gguf"
)

// FuzzOpen opens the tiny model with anything in place of its metadata and its list of tensors. Whatever opens can answer; nothing
// panics, or takes memory that the file has no use for.
func FuzzOpen(f *testing.F) {
	head := func(file []byte) []byte {
		g, err := gguf.NewReader(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			f.Fatal(err)
		}
		defer g.Close()
		data := int64(0)
		for _, t := range g.Tensors() {
			data += t.Size // each is a multiple of the alignment
		}
		return file[:int64(len(file))-data]
	}
	tiny := tinyFile(f, 64)
	weights := tiny[len(head(tiny)):]
	f.Add(head(tiny))
	for _, c := range []change{
		{set: map[string]any{"llama.context_length": uint32(1 << 24)}},
		{set: map[string]any{"llama.attention.head_count_kv": uint32(1)}},
		{set: map[string]any{"llama.rope.dimension_count": uint32(2)}},
		{set: map[string]any{"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": float32(8)}},
		{set: map[string]any{"llama.attention.layer_norm_rms_epsilon": float32(1e-30)}},
		{set: map[string]any{"tokenizer.chat_template": "{{ messages }}", "general.sampling.temp": float32(1e30)}},
		{drop: []string{"output.weight", "tokenizer.ggml.token_type"}},
	} {
		f.Add(head(tinyWith(f, c)))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		file := append(bytes.Clone(head), weights...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := OpenReader(t.Context(), bytes.NewReader(file), int64(len(file)), &Options{MaxRunning: 1, KVBytes: 1, Threads: 1, KeepGOMAXPROCS: true})
		if err != nil {
			return
		}
		defer m.Close()
		// At most a node for each page of a context of 2^24 tokens.
		if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 512<<20 {
			t.Errorf("a file of %d bytes took %d MB", len(file), (after.TotalAlloc-before.TotalAlloc)>>20)
		}
		m.Generate(t.Context(), Request{Tokens: []int32{0}, MaxTokens: 2}) // may fail: no number among the logits, say
		m.Generate(t.Context(), Request{Messages: []Message{User("a")}, MaxTokens: 1})
		m.Logprobs(t.Context(), []int32{0, 0})
	})
}
