package serve

import (
	"encoding/json"
	"slices"

	"github.com/llama31/llama31/llama"
)

// responseRequest is what /v1/responses is asked.
type responseRequest struct {
	m        *model
	q        llama.Request
	stream   bool
	logprobs bool
}

func (c *call) readResponse() (*responseRequest, *responseObject, error) {
	o, d, err := c.read()
	if err != nil {
		return nil, nil, err
	}
	m, err := c.s.models.find(o.get("model").string())
	if err != nil {
		return nil, nil, err
	}
	a := &responseRequest{m: m}
	q := &a.q
	if s := o.get("instructions").string(); s != "" {
		q.Messages = append(q.Messages, llama.System(s))
	}
	q.Messages = append(q.Messages, readItems(o.get("input").need())...)
	q.Sampling = m.readSampling(o)
	q.MaxTokens = readMaxTokens(o, 1, 0, "max_output_tokens")
	q.Key = c.fair(o.get("user").string())
	q.Shift = o.get("truncation").choose("disabled", "auto") == "auto"
	q.Tools = readTools(o.get("tools"))
	q.ToolChoice = readToolChoice(o)
	checkToolChoice(o.get("tool_choice"), q.ToolChoice, q.Tools)
	q.Format = readNamedFormat(o.get("text").object().get("format"))
	a.stream = o.get("stream").bool()
	if v := o.get("top_logprobs"); v.ok() {
		q.TopLogprobs = readInt(v, 0, maxTop, 0)
		a.logprobs = q.TopLogprobs > 0
	}
	if slices.Contains(o.get("include").strings(), "message.output_text.logprobs") {
		a.logprobs = true
	}
	for _, name := range []string{"previous_response_id", "conversation", "prompt"} {
		if v := o.get(name); v.ok() {
			v.fail("unsupported_parameter", "%s is not served here: nothing is stored, so send the items themselves", name)
		}
	}
	if v := o.get("background"); v.bool() {
		v.fail("unsupported_parameter", "background is not served here: nothing is stored")
	}
	return a, newResponseObject(c, o, m, q), d.err()
}

// readItems reads a text, or a conversation's items.
func readItems(v value) []llama.Message {
	if v.ok() && v.kind() == "a string" {
		return []llama.Message{llama.User(v.string())}
	}
	if v.ok() && v.kind() != "an array" {
		v.wrongType("a string or an array of items")
		return nil
	}
	var messages []llama.Message
	list := v.list()
	if v.ok() && len(list) == 0 {
		v.fail("empty_array", "%s is empty, expected an item at least", v.path)
	}
	for _, e := range list {
		if !e.ok() {
			e.wrongType("an object")
			break
		}
		o := e.object()
		switch kind := o.get("type"); kind.choose("message", "function_call", "function_call_output", "reasoning") {
		case "message":
			messages = append(messages, readMessage(o))
		case "function_call":
			call := llama.ToolCall{ID: o.get("call_id").need().string(), Name: toolName(o.get("name")), Arguments: readArguments(o.get("arguments"))}
			if n := len(messages); n > 0 && messages[n-1].Role == llama.RoleAssistant {
				messages[n-1].ToolCalls = append(messages[n-1].ToolCalls, call)
			} else {
				messages = append(messages, llama.Message{Role: llama.RoleAssistant, ToolCalls: []llama.ToolCall{call}})
			}
		case "function_call_output":
			messages = append(messages, llama.ToolResult(o.get("call_id").need().string(), readContent(o.get("output").need())))
		}
	}
	return messages
}

// responseObject is OpenAI's response.
type responseObject struct {
	ID          string             `json:"id"`
	Object      string             `json:"object"`
	CreatedAt   int64              `json:"created_at"`
	CompletedAt *int64             `json:"completed_at"`
	Status      string             `json:"status"`
	Background  bool               `json:"background"`
	Error       any                `json:"error"`
	Incomplete  *incompleteDetails `json:"incomplete_details"`
	Instruct    json.RawMessage    `json:"instructions"`
	MaxOutput   json.RawMessage    `json:"max_output_tokens"`
	Model       string             `json:"model"`
	Output      []any              `json:"output"`
	Parallel    bool               `json:"parallel_tool_calls"`
	Previous    *string            `json:"previous_response_id"`
	Reasoning   map[string]any     `json:"reasoning"`
	Store       bool               `json:"store"`
	Temperature float64            `json:"temperature"`
	Text        json.RawMessage    `json:"text"`
	ToolChoice  json.RawMessage    `json:"tool_choice"`
	Tools       json.RawMessage    `json:"tools"`
	TopP        float64            `json:"top_p"`
	TopLogprobs int                `json:"top_logprobs"`
	Truncation  string             `json:"truncation"`
	Usage       *responseUsage     `json:"usage"`
	User        json.RawMessage    `json:"user"`
	Metadata    json.RawMessage    `json:"metadata"`
}

type incompleteDetails struct {
	Reason string `json:"reason"`
}

type responseUsage struct {
	Input         int            `json:"input_tokens"`
	InputDetails  map[string]int `json:"input_tokens_details"`
	Output        int            `json:"output_tokens"`
	OutputDetails map[string]int `json:"output_tokens_details"`
	Total         int            `json:"total_tokens"`
}

// newResponseObject is the answer before it has any output. Of the request's fields it has those that OpenAI repeats.
func newResponseObject(c *call, o object, m *model, q *llama.Request) *responseObject {
	as := func(name, otherwise string) json.RawMessage {
		if v := o.get(name); v.ok() {
			return v.raw
		}
		return json.RawMessage(otherwise)
	}
	r := &responseObject{ID: newID("resp_"), Object: "response", CreatedAt: c.start.Unix(), Status: "in_progress", Instruct: as("instructions", "null"),
		MaxOutput: as("max_output_tokens", "null"), Model: m.name, Output: []any{}, Parallel: !o.get("parallel_tool_calls").ok() || o.get("parallel_tool_calls").bool(),
		Reasoning: map[string]any{"effort": nil, "summary": nil}, Temperature: 1, Text: as("text", `{"format":{"type":"text"}}`), ToolChoice: as("tool_choice", `"auto"`),
		Tools: as("tools", "[]"), TopP: q.Sampling.TopP, TopLogprobs: q.TopLogprobs, Truncation: "disabled", User: as("user", "null"), Metadata: as("metadata", "{}")}
	if t := q.Sampling.Temperature; t != nil {
		r.Temperature = *t
	}
	if r.TopP == 0 {
		r.TopP = 1
	}
	if q.Shift {
		r.Truncation = "auto"
	}
	return r
}

// messageItem and callItem are what a response's output is made of.
type messageItem struct {
	ID      string       `json:"id"`
	Type    string       `json:"type"`
	Status  string       `json:"status"`
	Role    string       `json:"role"`
	Content []outputText `json:"content"`
}

type outputText struct {
	Type        string         `json:"type"`
	Text        string         `json:"text"`
	Annotations []any          `json:"annotations"`
	Logprobs    []tokenLogprob `json:"logprobs"`
}

type callItem struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	Status    string `json:"status"`
	CallID    string `json:"call_id"`
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

func newOutputText(text string, l *chatLogprobs) outputText {
	t := outputText{Type: "output_text", Text: text, Annotations: []any{}, Logprobs: []tokenLogprob{}}
	if l != nil {
		t.Logprobs = l.Content
	}
	return t
}

func newMessageItem(status string, content ...outputText) *messageItem {
	if content == nil {
		content = []outputText{}
	}
	return &messageItem{ID: newID("msg_"), Type: "message", Status: status, Role: "assistant", Content: content}
}

// complete adds to the object how a response ended.
func (o *responseObject) complete(c *call, r *llama.Response) {
	o.Status = "completed"
	now := c.start.Unix() + int64(c.took().Seconds())
	o.CompletedAt = &now
	if r.Choices[0].Finish == llama.FinishLength {
		o.Status, o.Incomplete, o.CompletedAt = "incomplete", &incompleteDetails{"max_output_tokens"}, nil
	}
	u := r.Usage
	o.Usage = &responseUsage{Input: u.Prompt, InputDetails: map[string]int{"cached_tokens": u.Cached}, Output: u.Generated,
		OutputDetails: map[string]int{"reasoning_tokens": 0}, Total: u.Prompt + u.Generated}
}

func (c *call) responses() error {
	a, out, err := c.readResponse()
	if err != nil {
		return err
	}
	if a.stream {
		return a.streamed(c, out)
	}
	var logprobs *chatLogprobs
	var each func(llama.Token) error
	if a.logprobs {
		each = func(t llama.Token) error {
			if t.ToolCall == nil {
				logprobs = logprobs.add(a.m, t)
			}
			return nil
		}
	}
	r, err := c.generate(a.m, a.q, each)
	if err != nil {
		return err
	}
	out.complete(c, r)
	message := r.Choices[0].Message
	if message.Content != "" || len(message.ToolCalls) == 0 {
		out.Output = append(out.Output, newMessageItem(out.Status, newOutputText(message.Content, logprobs)))
	}
	for _, p := range pieces(message.ToolCalls, 0) {
		out.Output = append(out.Output, &callItem{ID: newID("fc_"), Type: "function_call", Status: "completed", CallID: p.ID, Name: p.Name, Arguments: p.Arguments})
	}
	return c.reply(out)
}
