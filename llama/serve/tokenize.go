package serve

import "github.com/llama31/llama31/llama"

// tokenize is vLLM's: a prompt, or messages as the chat template renders them, to ids. llama.cpp's "content" is taken for "prompt".
func (c *call) tokenize() error {
	o, d, err := c.read()
	if err != nil {
		return err
	}
	m, err := c.s.models.findLocal(o.get("model").string())
	if err != nil {
		return err
	}
	var ids []int32
	prompt := o.get("prompt")
	if !prompt.ok() {
		prompt = o.get("content")
	}
	special := !o.get("add_special_tokens").ok() || o.get("add_special_tokens").bool()
	names := o.get("return_token_strs").bool()
	chat := o.get("messages").ok()
	q := llama.Request{}
	if chat {
		q.Messages = readMessages(o.get("messages"))
	}
	if err := d.err(); err != nil {
		return err
	}
	switch {
	case chat:
		ids, err = m.local.Prompt(q)
	case special && prompt.need().string() != "":
		ids, err = m.local.Prompt(llama.Request{Prompt: prompt.string()})
	default:
		ids = m.local.Tokenizer().Encode([]int32{}, prompt.need().string())
	}
	if err == nil {
		err = d.err()
	}
	if err != nil {
		return err
	}
	answer := map[string]any{"count": len(ids), "max_model_len": m.context, "tokens": ids}
	if names {
		list := make([]string, len(ids))
		for i, id := range ids {
			list[i] = tokenText(m.local.Tokenizer().Bytes(id))
		}
		answer["token_strs"] = list
	}
	return c.reply(answer)
}

// detokenize is the other way: vLLM's prompt, which is llama.cpp's content.
func (c *call) detokenize() error {
	o, d, err := c.read()
	if err != nil {
		return err
	}
	m, err := c.s.models.findLocal(o.get("model").string())
	if err != nil {
		return err
	}
	ids := []int32{}
	v := o.get("tokens").need()
	for _, e := range v.list() {
		ids = append(ids, int32(readInt(e.need(), 0, 1<<31-1, 0)))
		if ids[len(ids)-1] >= int32(m.local.Tokenizer().Size()) {
			e.fail("invalid_value", "%s is %d, expected a token below %d", e.path, ids[len(ids)-1], m.local.Tokenizer().Size())
		}
	}
	if err := d.err(); err != nil {
		return err
	}
	text := m.local.Tokenizer().DecodeSpecial(ids)
	return c.reply(map[string]string{"prompt": text, "content": text})
}
