package llama

import (
	"slices"
	"sort"
)

// encodeMessages renders a request's messages to ids. With Shift, whole turns are left out from the oldest on where the context is
// too short; dropped counts their messages.
func (m *Model) encodeMessages(r *Request) (ids []int32, dropped int, err error) {
	t, err := m.template()
	if err != nil {
		return nil, 0, err
	}
	encode := func(messages []Message) ([]int32, error) {
		return encodePrompt(m.tokenizer, t, m.conversation(r, messages))
	}
	if ids, err = encode(r.Messages); err != nil || !r.Shift || len(ids)+max(1, r.MaxTokens) <= m.context {
		return ids, 0, err
	}
	turns := oldTurns(r.Messages)
	if len(turns) == 0 {
		return ids, 0, nil
	}
	// The fewest turns whose going leaves room: fewer messages make fewer tokens, so their number can be bisected. Where none does,
	// all but the last go.
	room := min(max(r.MaxTokens, m.context/4), m.context/2)
	kept := r.Messages
	n := sort.Search(len(turns)-1, func(i int) bool {
		var some []int32
		if err == nil {
			some, err = encode(without(r.Messages, turns[i]))
		}
		return err != nil || len(some)+room <= m.context
	})
	if err == nil {
		kept = without(r.Messages, turns[n])
		ids, err = encode(kept)
	}
	return ids, len(r.Messages) - len(kept), err
}

// oldTurns are the indices of the users' messages but the first: where a conversation may begin after its system messages.
func oldTurns(messages []Message) (at []int) {
	seen := false
	for i := range messages {
		if messages[i].Role == RoleUser {
			if seen {
				at = append(at, i)
			}
			seen = true
		}
	}
	return at
}

// without leaves out the messages before end, but for system messages.
func without(messages []Message, end int) []Message {
	var kept []Message
	for _, m := range messages[:end] {
		if m.Role == RoleSystem {
			kept = append(kept, m)
		}
	}
	return slices.Concat(kept, messages[end:])
}

// conversation is messages for the template, with a request's tools. The date in it is the template's affair, as in Hugging Face's
// transformers: Llama 3.1 has a fixed one, so that a prompt is the same every day, 3.2 asks the clock.
func (m *Model) conversation(r *Request, messages []Message) *conversation {
	c := &conversation{messages: messages, tools: r.shown(), open: true}
	if id, ok := m.tokenizer.BOS(); ok {
		c.bos = m.tokenizer.Token(id)
	}
	if id, ok := m.tokenizer.EOS(); ok {
		c.eos = m.tokenizer.Token(id)
	}
	return c
}
