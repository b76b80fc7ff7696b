package llama_test

import (
	"bytes"
	"log"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/gguf/block"
)

// parrot is a model for examples, with Llama 3.1's chat format: each word that it says decides the next, so that it answers everything
// alike, whatever the sampling. Its layers add nothing, and its head maps a word's direction to the next word.
func parrot(words ...string) []byte { return longParrot(256, words...) }

// longParrot is a parrot with a context of so many tokens.
func longParrot(context uint32, words ...string) []byte {
	const hidden = 32
	tokens := make([]string, 256)
	next := rune(256) // letters of bytes, as GPT-2 has them
	for b := range rune(256) {
		if '!' <= b && b <= '~' || 0xA1 <= b && b <= 0xAC || 0xAE <= b {
			tokens[b] = string(b)
			continue
		}
		tokens[b] = string(next)
		next++
	}
	const newline = 10 // what the assistant's header ends in, and so what comes before the first word
	chain := []int{newline}
	for _, w := range words {
		chain = append(chain, len(tokens))
		if w[0] == ' ' {
			w = "Ġ" + w[1:]
		}
		tokens = append(tokens, w)
	}
	types := make([]int32, len(tokens), len(tokens)+5)
	for i := range types {
		types[i] = 1
	}
	control := []string{"<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}
	chain = append(chain, len(tokens)+3)
	for _, c := range control {
		tokens, types = append(tokens, c), append(types, 3)
	}
	n := len(tokens)
	embd, head := make([]float32, n*hidden), make([]float32, n*hidden)
	for i, id := range chain[:len(chain)-1] {
		embd[id*hidden+i] = 1
		head[chain[i+1]*hidden+i] = 10
	}
	ones := make([]float32, hidden)
	for i := range ones {
		ones[i] = 1
	}
	square := make([]float32, hidden*hidden)

	check := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	var file bytes.Buffer
	w := gguf.NewWriter(&file)
	for _, e := range []struct {
		key   string
		value any
	}{
		{"general.architecture", "llama"}, {"general.name", "parrot"},
		{"llama.block_count", uint32(1)}, {"llama.context_length", context}, {"llama.embedding_length", uint32(hidden)},
		{"llama.feed_forward_length", uint32(hidden)}, {"llama.attention.head_count", uint32(1)},
		{"tokenizer.ggml.model", "gpt2"}, {"tokenizer.ggml.pre", "llama-bpe"}, {"tokenizer.ggml.tokens", tokens}, {"tokenizer.ggml.token_type", types},
		{"tokenizer.ggml.bos_token_id", uint32(n - 4)}, {"tokenizer.ggml.eos_token_id", uint32(n - 1)},
	} {
		check(w.Set(e.key, e.value))
	}
	tensors := []struct {
		name   string
		values []float32
	}{
		{"token_embd", embd}, {"blk.0.attn_norm", ones}, {"blk.0.attn_q", square}, {"blk.0.attn_k", square}, {"blk.0.attn_v", square}, {"blk.0.attn_output", square},
		{"blk.0.ffn_norm", ones}, {"blk.0.ffn_gate", square}, {"blk.0.ffn_up", square}, {"blk.0.ffn_down", square}, {"output_norm", ones}, {"output", head},
	}
	for _, t := range tensors {
		shape := []int{hidden}
		if len(t.values) > hidden {
			shape = []int{len(t.values) / hidden, hidden}
		}
		check(w.Declare(t.name+".weight", block.TypeF32, shape...))
	}
	for _, t := range tensors {
		data := make([]byte, 4*len(t.values))
		check(block.Quantize(block.TypeF32, data, t.values))
		check(w.WriteTensor(t.name+".weight", bytes.NewReader(data)))
	}
	check(w.Close())
	return file.Bytes()
}
