package serve

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/llama31/llama31/llama"
)

// messagesRequest is what Anthropic's /v1/messages is asked.
type messagesRequest struct {
	m      *model
	q      llama.Request
	stream bool
	cache  bool // the request speaks of its cache, so the answer does
}

// readMessagesRequest reads the request; counting says that it is to be counted only, and needs no max_tokens.
func (c *call) readMessagesRequest(counting bool) (*messagesRequest, error) {
	o, d, err := c.read()
	if err != nil {
		return nil, err
	}
	m, err := c.s.models.find(o.get("model").string())
	if err != nil {
		return nil, err
	}
	a := &messagesRequest{m: m, stream: o.get("stream").bool(), cache: bytes.Contains(c.body, []byte(`"cache_control"`))}
	q := &a.q
	if v := o.get("system"); v.ok() {
		if text := readContent(v); text != "" {
			q.Messages = append(q.Messages, llama.System(text))
		}
	}
	q.Messages = append(q.Messages, readTurns(o.get("messages"))...)
	q.Sampling = m.readSampling(o)
	limit := o.get("max_tokens")
	if !counting {
		limit.need()
	}
	q.MaxTokens = readInt(limit, 1, maxTokens, 0)
	q.Stop = readStop(o.get("stop_sequences"))
	q.Key = c.fair(o.get("metadata").object().get("user_id").string())
	q.Tools = readClientTools(o.get("tools"))
	q.ToolChoice = readClientToolChoice(o.get("tool_choice"))
	checkToolChoice(o.get("tool_choice"), q.ToolChoice, q.Tools)
	q.Format = readNamedFormat(o.get("output_config").object().get("format"), o.get("output_format"))
	if err := d.err(); err != nil {
		return nil, err
	}
	if last := len(q.Messages) - 1; q.Messages[last].Role == llama.RoleAssistant && len(q.Messages[last].ToolCalls) == 0 {
		if _, err := m.continueLast(q); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// readTurns reads a conversation, in which a tool's results are part of the user's turn.
func readTurns(v value) []llama.Message {
	list := v.need().list()
	if v.ok() && len(list) == 0 {
		v.fail("empty_array", "%s is empty, expected a message at least", v.path)
	}
	var messages []llama.Message
	for _, e := range list {
		if !e.ok() {
			e.wrongType("an object")
			break
		}
		o := e.object()
		role := llama.Role(o.get("role").need().choose("user", "assistant", "system"))
		content := o.get("content").need()
		if !content.ok() || content.kind() == "a string" {
			messages = append(messages, llama.Message{Role: role, Content: content.string()})
			continue
		}
		if content.kind() != "an array" {
			content.wrongType("a string or an array of blocks")
			break
		}
		messages = append(messages, readBlocks(role, content.list())...)
	}
	return messages
}

func readBlocks(role llama.Role, blocks []value) []llama.Message {
	var results []llama.Message
	turn := llama.Message{Role: role}
	var text strings.Builder
	for _, b := range blocks {
		o := b.object()
		kind := o.get("type").need()
		switch kind.string() {
		case "text":
			text.WriteString(o.get("text").need().string())
		case "tool_use":
			input := o.get("input")
			turn.ToolCalls = append(turn.ToolCalls, llama.ToolCall{ID: o.get("id").need().string(), Name: toolName(o.get("name")), Arguments: readSchema(input)})
		case "tool_result":
			results = append(results, llama.ToolResult(o.get("tool_use_id").need().string(), readContent(o.get("content"))))
		case "thinking", "redacted_thinking":
		default:
			kind.fail("unsupported_value", "%s is %.40q, expected text, tool_use or tool_result: the models here read nothing else", kind.path, kind.string())
		}
	}
	turn.Content = text.String()
	if turn.Content != "" || len(turn.ToolCalls) > 0 || len(results) == 0 {
		results = append(results, turn)
	}
	return results
}

// readClientTools reads Anthropic's tools, of those that the client runs.
func readClientTools(v value) []llama.Tool {
	var tools []llama.Tool
	for _, e := range v.list() {
		o := e.object()
		if kind := o.get("type"); kind.ok() && kind.string() != "custom" {
			kind.fail("unsupported_value", "%s is %.40q, expected custom: there are no other tools here", kind.path, kind.string())
		}
		tools = append(tools, llama.Tool{Name: toolName(o.get("name")), Description: o.get("description").string(), Parameters: readSchema(o.get("input_schema").need())})
	}
	return tools
}

// message is Anthropic's.
type message struct {
	ID           string        `json:"id"`
	Type         string        `json:"type"`
	Role         string        `json:"role"`
	Model        string        `json:"model"`
	Content      []any         `json:"content"`
	StopReason   *string       `json:"stop_reason"`
	StopSequence *string       `json:"stop_sequence"`
	Usage        messagesUsage `json:"usage"`
}

type textBlock struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type toolUseBlock struct {
	Type  string          `json:"type"`
	ID    string          `json:"id"`
	Name  string          `json:"name"`
	Input json.RawMessage `json:"input"`
}

// messagesUsage counts the prompt's tokens that were found in the cache apart, where the request speaks of caching; Anthropic caches
// nothing else.
type messagesUsage struct {
	Input        int `json:"input_tokens"`
	CacheCreated int `json:"cache_creation_input_tokens"`
	CacheRead    int `json:"cache_read_input_tokens"`
	Output       int `json:"output_tokens"`
}

func (a *messagesRequest) usage(u llama.Usage) messagesUsage {
	if !a.cache {
		u.Cached = 0
	}
	return messagesUsage{Input: u.Prompt - u.Cached, CacheRead: u.Cached, Output: u.Generated}
}

func (a *messagesRequest) begin() *message {
	return &message{ID: newID("msg_"), Type: "message", Role: "assistant", Model: a.m.name, Content: []any{}}
}

// end says why an answer ended.
func (m *message) end(choice llama.Choice) {
	reason := "end_turn"
	switch {
	case choice.Finish == llama.FinishLength:
		reason = "max_tokens"
	case choice.Finish == llama.FinishToolCalls:
		reason = "tool_use"
	case choice.Stop != "":
		reason, m.StopSequence = "stop_sequence", &choice.Stop
	}
	m.StopReason = &reason
}

func (c *call) messages() error {
	a, err := c.readMessagesRequest(false)
	if err != nil {
		return err
	}
	out := a.begin()
	if a.stream {
		return a.streamed(c, out)
	}
	r, err := c.generate(a.m, a.q, nil)
	if err != nil {
		return err
	}
	answer := r.Choices[0].Message
	if answer.Content != "" || len(answer.ToolCalls) == 0 {
		out.Content = append(out.Content, textBlock{"text", answer.Content})
	}
	for _, call := range answer.ToolCalls {
		out.Content = append(out.Content, toolUseBlock{"tool_use", call.ID, call.Name, json.RawMessage(argumentsText(call))})
	}
	out.end(r.Choices[0])
	out.Usage = a.usage(r.Usage)
	return c.reply(out)
}

// countTokens tells how many tokens a request's prompt has.
func (c *call) countTokens() error {
	a, err := c.readMessagesRequest(true)
	if err != nil {
		return err
	}
	if a.m.local == nil {
		return unsupported("model", "model %q is not run here; that it serves answers only", a.m.name)
	}
	ids, err := a.m.local.Prompt(a.q)
	if err != nil {
		return err
	}
	return c.reply(map[string]int{"input_tokens": len(ids)})
}
