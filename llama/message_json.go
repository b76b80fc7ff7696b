package llama

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Messages and tools in the form of OpenAI's API (https://platform.openai.com/docs/api-reference/chat). Reading takes the fields of
// the Go types as well, such as a call's name without "function" around it, and arguments as an object instead of text; fields that
// it does not know are left out.

// UnmarshalJSON reads a message. Its content is a string, null, or an array of parts, all of them text; other parts are ErrUnsupported.
func (m *Message) UnmarshalJSON(data []byte) error {
	var raw struct {
		Role       Role            `json:"role"`
		Content    json.RawMessage `json:"content"`
		ToolCalls  []ToolCall      `json:"tool_calls"`
		ToolCallID string          `json:"tool_call_id"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	content, err := contentText(raw.Content)
	if err != nil {
		return err
	}
	*m = Message{Role: raw.Role, Content: content, ToolCalls: raw.ToolCalls, ToolCallID: raw.ToolCallID}
	return nil
}

func contentText(data json.RawMessage) (string, error) {
	if data = bytes.TrimSpace(data); len(data) == 0 || data[0] != '[' {
		var text string // null leaves it empty
		if len(data) == 0 {
			return "", nil
		}
		err := json.Unmarshal(data, &text)
		return text, err
	}
	var parts []struct{ Type, Text string }
	if err := json.Unmarshal(data, &parts); err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range parts {
		if p.Type != "text" {
			return "", fmt.Errorf("%w: a message's content has a part of type %q, expected text", ErrUnsupported, p.Type)
		}
		b.WriteString(p.Text)
	}
	return b.String(), nil
}

// UnmarshalJSON reads a call. Arguments that are no JSON object, which a model may well have written, are an error.
func (c *ToolCall) UnmarshalJSON(data []byte) error {
	type function struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	}
	var raw struct {
		ID       string    `json:"id"`
		Type     string    `json:"type"`
		Function *function `json:"function"`
		function
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	if raw.Type != "" && raw.Type != "function" {
		return fmt.Errorf("%w: a tool call of type %q, expected function", ErrUnsupported, raw.Type)
	}
	f := &raw.function
	if raw.Function != nil {
		f = raw.Function
	}
	args := bytes.TrimSpace(f.Arguments)
	if len(args) > 0 && args[0] == '"' {
		var text string
		if err := json.Unmarshal(args, &text); err != nil {
			return err
		}
		args = bytes.TrimSpace([]byte(text))
	}
	if string(args) == "null" {
		args = nil
	}
	call := ToolCall{ID: raw.ID, Name: f.Name, Arguments: bytes.Clone(args)}
	if _, err := call.arguments(); err != nil {
		return err
	}
	*c = call
	return nil
}

// MarshalJSON writes a call in OpenAI's form, its arguments as text.
func (c ToolCall) MarshalJSON() ([]byte, error) {
	type function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	}
	args := string(c.Arguments)
	if args == "" {
		args = "{}"
	}
	return json.Marshal(struct {
		ID       string   `json:"id"`
		Type     string   `json:"type"`
		Function function `json:"function"`
	}{c.ID, "function", function{c.Name, args}})
}

type plainTool Tool // without methods

// UnmarshalJSON reads a tool. Types other than function are ErrUnsupported.
func (t *Tool) UnmarshalJSON(data []byte) error {
	var raw struct {
		Type     string     `json:"type"`
		Function *plainTool `json:"function"`
		plainTool
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	if raw.Type != "" && raw.Type != "function" {
		return fmt.Errorf("%w: a tool of type %q, expected function", ErrUnsupported, raw.Type)
	}
	*t = Tool(raw.plainTool)
	if raw.Function != nil {
		*t = Tool(*raw.Function)
	}
	if string(bytes.TrimSpace(t.Parameters)) == "null" {
		t.Parameters = nil
	}
	return nil
}

// MarshalJSON writes a tool in OpenAI's form.
func (t Tool) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Type     string    `json:"type"`
		Function plainTool `json:"function"`
	}{"function", plainTool(t)})
}
