package llama

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/gguf/gguftest"
	"github.com/llama31/llama31/tokenizer"
)

// tinyFile is a model of two layers, with random weights and the bytes as its vocabulary, that answers in milliseconds. Its logits are
// spread enough for its texts not to be noise of rounding.
func tinyFile(t testing.TB, context int) []byte {
	t.Helper()
	return tinyShape{layers: 2, heads: 4, kvHeads: 2, ffn: 160}.file(t, context)
}

// tinyShape is a model whose heads have 32 dimensions, and no more of them than the hidden state. Tied, its embeddings are the output
// head too.
type tinyShape struct {
	layers, heads, kvHeads, ffn int
	tied                        bool
}

func (s tinyShape) file(t testing.TB, context int) []byte {
	t.Helper()
	const headDim = 32
	hidden, heads, kvHeads, ffn := s.heads*headDim, s.heads, s.kvHeads, s.ffn
	tok := byteTokenizer(t, llama3Control...)
	vocab := tok.Size()
	b := gguftest.New(t)
	var tokens []string
	var types []int32
	for id := range int32(vocab) {
		types = append(types, int32(tok.Kind(id)))
		tokens = append(tokens, byteToken(tok, id))
	}
	for _, e := range []struct {
		key   string
		value any
	}{
		{"general.architecture", "llama"},
		{"general.name", "tiny"},
		{"llama.block_count", uint32(s.layers)},
		{"llama.context_length", uint32(context)},
		{"llama.embedding_length", uint32(hidden)},
		{"llama.feed_forward_length", uint32(ffn)},
		{"llama.attention.head_count", uint32(heads)},
		{"llama.attention.head_count_kv", uint32(kvHeads)},
		{"llama.attention.layer_norm_rms_epsilon", float32(1e-5)},
		{"llama.rope.freq_base", float32(500000)},
		{"llama.rope.dimension_count", uint32(headDim)},
		{"tokenizer.ggml.model", "gpt2"},
		{"tokenizer.ggml.pre", "llama-bpe"},
		{"tokenizer.ggml.tokens", tokens},
		{"tokenizer.ggml.token_type", types},
		{"tokenizer.ggml.bos_token_id", uint32(256)},
		{"tokenizer.ggml.eos_token_id", uint32(261)},
	} {
		b.Set(e.key, e.value)
	}
	seed := uint64(0)
	tensor := func(name string, deviation float64, shape ...int) {
		seed++
		n := shape[0]
		typ := block.TypeF32
		if len(shape) > 1 {
			n *= shape[1]
			typ = block.TypeQ8_0
		}
		x := gguftest.Normal(seed, n, deviation)
		if len(shape) == 1 {
			for i := range x {
				x[i]++
			}
		}
		b.Tensor(name+".weight", typ, x, shape...)
	}
	tensor("token_embd", 1, vocab, hidden)
	for i := range s.layers {
		blk := fmt.Sprintf("blk.%d.", i)
		tensor(blk+"attn_norm", 0.1, hidden)
		tensor(blk+"attn_q", 0.15, heads*headDim, hidden)
		tensor(blk+"attn_k", 0.15, kvHeads*headDim, hidden)
		tensor(blk+"attn_v", 0.1, kvHeads*headDim, hidden)
		tensor(blk+"attn_output", 0.1, hidden, heads*headDim)
		tensor(blk+"ffn_norm", 0.1, hidden)
		tensor(blk+"ffn_gate", 0.1, ffn, hidden)
		tensor(blk+"ffn_up", 0.1, ffn, hidden)
		tensor(blk+"ffn_down", 0.1, hidden, ffn)
	}
	tensor("output_norm", 0.1, hidden)
	if !s.tied {
		tensor("output", 0.2, vocab, hidden)
	}
	return b.Bytes()
}

// byteToken is a token as a vocabulary writes it: of byteTokenizer's, a byte's letter or a control token's name.
func byteToken(tok *tokenizer.Tokenizer, id int32) string {
	if id >= 256 {
		return tok.Token(id)
	}
	next := rune(256)
	for b := range rune(256) {
		r := b
		if !('!' <= b && b <= '~' || 0xA1 <= b && b <= 0xAC || 0xAE <= b) {
			r = next
			next++
		}
		if b == id {
			return string(r)
		}
	}
	panic("no byte")
}

// openTiny opens the tiny model until the test ends.
func openTiny(t testing.TB, o *Options) *Model {
	t.Helper()
	const context = 1024
	return openBytes(t, tinyFile(t, context), o)
}

func openBytes(t testing.TB, file []byte, o *Options) *Model {
	t.Helper()
	if o == nil {
		o = &Options{}
	}
	m, err := OpenReader(t.Context(), bytes.NewReader(file), int64(len(file)), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}
