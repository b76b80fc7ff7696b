package llama

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/llama31/llama31/llama/internal/python"
	"github.com/llama31/llama31/tokenizer"
)

// How a conversation becomes ids without that anybody's text becomes a control token.
//
// A template mixes its own text, which has control tokens, with text of messages and tools, which has none whatever it looks like.
// Jinja cannot tell them apart in its output. So before it renders, a guard is put into everything in the conversation that reads
// like a control token, behind its first character: a noncharacter of Unicode, one that is in no message and no token. In the
// rendered text control tokens are then what still reads like one; the guards are taken out of what is between.

// PromptText gives the text of a request's Messages as the chat template renders them, up to the assistant's header. A name of a
// control token in it may be the template's, which Prompt makes that token of, or a message's, which stays text.
func (m *Model) PromptText(r Request) (string, error) {
	t, err := m.template()
	if err != nil {
		return "", err
	}
	return promptText(m.tokenizer, t, m.conversation(&r, r.Messages))
}

// encodePrompt renders a conversation and returns the ids of it. Text between two control tokens is encoded as one, be it of the
// template or of messages, as Hugging Face's tokenizers do. It begins with one beginning-of-text token if the template or the
// vocabulary wants any. Errors are ErrTemplate or ErrRequest.
func encodePrompt(t *tokenizer.Tokenizer, tmpl template, c *conversation) ([]int32, error) {
	text, guard, err := renderGuarded(t, tmpl, c)
	if err != nil {
		return nil, err
	}
	ids := make([]int32, 0, len(text)/3)
	for i := 0; i < len(text); {
		start, end, id, ok := t.FindControl(text, i)
		for ok && utf8.RuneCountInString(text[start:end]) < 2 { // has no room for a guard, so it might be anybody's
			start, end, id, ok = t.FindControl(text, end)
		}
		ids = t.Encode(ids, strings.ReplaceAll(text[i:start], guard, ""))
		if ok {
			ids = append(ids, id)
		}
		i = end
	}
	return ids, nil
}

// promptText is the text that encodePrompt encodes; control tokens in it may be of the template or look alikes in messages.
func promptText(t *tokenizer.Tokenizer, tmpl template, c *conversation) (string, error) {
	text, guard, err := renderGuarded(t, tmpl, c)
	return strings.ReplaceAll(text, guard, ""), err
}

// renderGuarded renders a conversation with guards in it.
func renderGuarded(t *tokenizer.Tokenizer, tmpl template, c *conversation) (text, guard string, err error) {
	g := guarding{tokenizer: t}
	guarded, err := g.conversation(c)
	if err != nil {
		return "", "", err
	}
	bos, hasBOS := t.BOS()
	if guarded.bos == "" && hasBOS {
		guarded.bos = t.Token(bos)
	}
	if eos, ok := t.EOS(); ok && guarded.eos == "" {
		guarded.eos = t.Token(eos)
	}
	if text, err = tmpl.render(guarded); err != nil {
		return "", "", err
	}
	if guarded.bos != "" {
		for strings.HasPrefix(text, guarded.bos+guarded.bos) {
			text = text[len(guarded.bos):]
		}
		if t.AddBOS() && !strings.HasPrefix(text, guarded.bos) {
			text = guarded.bos + text
		}
	}
	return text, g.guard, nil
}

// guarding puts guards into a conversation.
type guarding struct {
	tokenizer *tokenizer.Tokenizer
	guard     string
	escapes   bool // a control token begins like the end of an escape, such as a of \u001a
}

// conversation returns the guarded conversation, and checks what it is made of.
func (g *guarding) conversation(c *conversation) (*conversation, error) {
	if err := g.choose(c); err != nil {
		return nil, err
	}
	var err error
	out := *c
	out.messages, out.tools = slices.Clone(c.messages), slices.Clone(c.tools)
	for i := range out.messages {
		m := &out.messages[i]
		if !slices.Contains([]Role{RoleSystem, RoleUser, RoleAssistant, RoleTool, "ipython", "developer"}, m.Role) {
			return nil, fmt.Errorf("%w: message %d has role %q, expected system, user, assistant or tool", ErrRequest, i, m.Role)
		}
		m.Content, m.ToolCallID = g.text(m.Content), g.text(m.ToolCallID)
		m.ToolCalls = slices.Clone(m.ToolCalls)
		for j := range m.ToolCalls {
			call := &m.ToolCalls[j]
			args, err := call.arguments()
			if err != nil {
				return nil, err
			}
			call.ID, call.Name = g.text(call.ID), g.text(call.Name)
			call.Arguments = (&python.Style{}).Append(nil, g.value(args))
		}
	}
	for i := range out.tools {
		tool := &out.tools[i]
		tool.Name, tool.Description = g.text(tool.Name), g.text(tool.Description)
		if len(tool.Parameters) > 0 {
			v, err := python.ParseJSON(tool.Parameters)
			if err != nil {
				return nil, fmt.Errorf("%w: parameters of tool %q: %w", ErrRequest, tool.Name, err)
			}
			tool.Parameters = (&python.Style{}).Append(nil, g.value(v))
		}
	}
	out.date = g.text(c.date)
	return &out, err
}

// choose looks for a noncharacter that is nowhere in the conversation, nor in a control token.
func (g *guarding) choose(c *conversation) error {
	var used [0xFDEF - 0xFDD0 + 1]bool
	look := func(text string) {
		// In UTF-8 they are EF B7 90 to EF B7 AF; in JSON they may be escaped, so that its texts are looked at later on.
		for i := strings.Index(text, "\xef\xb7"); i >= 0 && i < len(text); {
			if r, _ := utf8.DecodeRuneInString(text[i:]); python.IsNoncharacter(r) {
				used[r-0xFDD0] = true
			}
			n := strings.Index(text[i+2:], "\xef\xb7")
			if n < 0 {
				break
			}
			i += 2 + n
		}
	}
	look(c.date)
	for i := range c.messages {
		m := &c.messages[i]
		look(m.Content)
		look(m.ToolCallID)
		for _, call := range m.ToolCalls {
			look(call.ID)
			look(call.Name)
			look(unescaped(call.Arguments))
		}
	}
	for _, t := range c.tools {
		look(t.Name)
		look(t.Description)
		look(unescaped(t.Parameters))
	}
	for _, c := range `\"'0123456789abcdefnrtuxU` {
		g.escapes = g.escapes || g.tokenizer.EndsInControl(string(c))
	}
	for i := range used {
		g.guard = string(rune(0xFDD0 + i))
		if !used[i] && !g.tokenizer.InControl(g.guard) {
			return nil
		}
	}
	return fmt.Errorf("%w: the messages have all of the noncharacters U+FDD0 to U+FDEF, expected one to be free", ErrRequest)
}

// unescaped is a JSON text in which other characters than ASCII stand for themselves. What is no JSON is reported elsewhere.
func unescaped(text []byte) string {
	if len(text) == 0 {
		return ""
	}
	v, err := python.ParseJSON(text)
	if err != nil {
		return ""
	}
	return string((&python.Style{}).Append(nil, v))
}

// text puts guards into everything that reads like a control token, and behind what could be the beginning of one, lest the text
// that follows completes it; in a vocabulary where it matters also behind what JSON or Python writes as an escape. White space at the
// end stays the end, for templates take it off.
func (g *guarding) text(text string) string {
	var b strings.Builder
	done := 0
	for i := 0; ; {
		start, _, _, ok := g.tokenizer.FindControl(text, i)
		if !ok {
			break
		}
		_, n := utf8.DecodeRuneInString(text[start:])
		i = start + n // and not the token's end: another may begin in it
		b.WriteString(g.behindEscapes(text[done:i]))
		b.WriteString(g.guard)
		done = i
	}
	rest := text[done:]
	if body := strings.TrimRightFunc(rest, python.IsSpace); g.escapes && body != "" || g.tokenizer.EndsInControl(body) {
		b.WriteString(g.behindEscapes(body))
		b.WriteString(g.guard)
		rest = rest[len(body):]
	}
	if b.Len() == 0 {
		return text
	}
	b.WriteString(rest)
	return b.String()
}

// behindEscapes puts a guard behind each character that an escape may stand for, and behind white space at the beginning.
func (g *guarding) behindEscapes(text string) string {
	if !g.escapes {
		return text
	}
	var b strings.Builder
	body := strings.TrimLeftFunc(text, python.IsSpace)
	if len(body) < len(text) {
		b.WriteString(text[:len(text)-len(body)])
		b.WriteString(g.guard)
	}
	for i, r := range body {
		_, n := utf8.DecodeRuneInString(body[i:])
		b.WriteString(body[i : i+n])
		if r < ' ' || r > '~' || strings.ContainsRune(`\"'`, r) {
			b.WriteString(g.guard)
		}
	}
	return b.String()
}

// value is text for every string of a JSON value.
func (g *guarding) value(v any) any {
	switch v := v.(type) {
	case string:
		return g.text(v)
	case []any:
		for i := range v {
			v[i] = g.value(v[i])
		}
	case python.Object:
		for i := range v {
			v[i].Key, v[i].Value = g.text(v[i].Key), g.value(v[i].Value)
		}
	}
	return v
}
