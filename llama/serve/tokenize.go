package serve

import "github.com/llama31/llama31/llama"

// tokenizerInfo is vLLM's, as far as clients such as lm-eval read it. It is of the first model, for it names none.
func (c *call) tokenizerInfo() error {
	m, err := c.s.models.findLocal("")
	if err != nil {
		return err
	}
	t := m.local.Tokenizer()
	name := func(id int32, ok bool) any {
		if !ok {
			return nil
		}
		return t.Token(id)
	}
	return c.reply(map[string]any{"bos_token": name(t.BOS()), "eos_token": name(t.EOS()), "pad_token": name(t.PAD()), "add_bos_token": t.AddBOS(), "model_max_length": m.context})
}

// tokenize is vLLM's: a prompt, or messages as the chat template renders them, to ids. llama.cpp's "content" is taken for "prompt".
// Control tokens in a prompt are text, as in /v1/completions; a prompt that is one's name and nothing else is that token.
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
	t := m.local.Tokenizer()
	named, ok := t.ID(prompt.string())
	switch {
	case chat:
		ids, err = m.local.Prompt(q)
	case ok && t.IsControl(named):
		ids = []int32{named}
	case special && prompt.need().string() != "":
		ids, err = m.local.Prompt(llama.Request{Prompt: prompt.string()})
	default:
		ids = t.Encode([]int32{}, prompt.need().string())
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
			list[i] = tokenText(t.Bytes(id))
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
