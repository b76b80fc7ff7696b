package serve

import (
	"encoding/base64"
	"encoding/binary"
	"math"

	"github.com/llama31/llama31/llama"
)

// embeddings answers with a vector of length 1 for each text: the mean of its tokens' last hidden states.
func (c *call) embeddings() error {
	o, d, err := c.read()
	if err != nil {
		return err
	}
	m, err := c.s.models.findLocal(o.get("model").string())
	if err != nil {
		return err
	}
	texts, ids := readInputs(o.get("input").need())
	base := o.get("encoding_format").choose("float", "base64") == "base64"
	hidden := m.local.Info().Hidden
	if v := o.get("dimensions"); v.ok() {
		if n := v.integer(1, maxTokens); n != nil && *n != int64(hidden) {
			v.fail("unsupported_parameter", "dimensions is %d, expected none, or the model's %d: a part of its vectors would mean little", *n, hidden)
		}
	}
	user := o.get("user").string()
	if err := d.err(); err != nil {
		return err
	}
	for i, text := range texts {
		if text == "" {
			return invalid("input", "invalid_value", "text %d of the input is empty", i)
		}
		one, err := m.local.Prompt(llama.Request{Prompt: text})
		if err != nil {
			return err
		}
		ids = append(ids, one)
	}
	vectors, err := m.local.EmbedTokens(c.r.Context(), ids, &llama.EmbedOptions{Normalize: true, Key: c.fair(user)})
	if err != nil {
		return err
	}
	tokens := 0
	type embedding struct {
		Object string `json:"object"`
		Index  int    `json:"index"`
		Vector any    `json:"embedding"`
	}
	list := make([]embedding, len(ids))
	for i := range ids {
		tokens += len(ids[i])
		v := vectors.Float32s()[i*hidden : (i+1)*hidden]
		list[i] = embedding{Object: "embedding", Index: i, Vector: v}
		if base {
			list[i].Vector = base64.StdEncoding.EncodeToString(littleEndian(v))
		}
	}
	c.spent(m, tokens)
	return c.reply(map[string]any{"object": "list", "data": list, "model": m.name, "usage": map[string]int{"prompt_tokens": tokens, "total_tokens": tokens}})
}

func littleEndian(v []float32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}
