package llama

import (
	"cmp"
	"fmt"

	"github.com/llama31/llama31/llama/internal/jinja"
	"github.com/llama31/llama31/llama/internal/python"
)

// jinjaTemplate is the template that a model file carries.
type jinjaTemplate struct{ *jinja.Template }

// newJinja reads a template. The error is an ErrTemplate that quotes the line.
func newJinja(source string) (jinjaTemplate, error) {
	t, err := jinja.Parse(source)
	if err != nil {
		return jinjaTemplate{}, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	return jinjaTemplate{t}, nil
}

func (t jinjaTemplate) render(c *conversation) (string, error) {
	var first error
	for _, full := range []bool{false, true} {
		vars, err := t.variables(c, full)
		if err != nil {
			return "", err
		}
		text, err := t.Render(vars, c.clock())
		if err == nil {
			return text, nil
		}
		if first = cmp.Or(first, err); len(c.tools) == 0 {
			break
		}
	}
	return "", fmt.Errorf("%w: %w", ErrTemplate, first)
}

// variables are what transformers' apply_chat_template gives a template. OpenAI's API asks for neither a description nor parameters of
// a tool, but some templates, Hermes' for one, cannot do without: full writes empty ones.
func (t jinjaTemplate) variables(c *conversation, full bool) (python.Object, error) {
	messages := make([]any, len(c.messages))
	for i := range c.messages {
		m, err := c.messages[i].value()
		if err != nil {
			return nil, err
		}
		messages[i] = m
	}
	builtin, custom := splitTools(c.tools)
	var tools any // none where there are none
	if len(custom) > 0 {
		if !t.Mentions("tools") {
			return nil, templateError("this model's chat format has no tools")
		}
		list := make([]any, len(custom))
		for i := range custom {
			v, err := custom[i].value(full)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		tools = list
	}
	vars := python.Object{
		{Key: "messages", Value: messages},
		{Key: "tools", Value: tools},
		{Key: "documents", Value: nil},
		{Key: "add_generation_prompt", Value: c.open},
		{Key: "bos_token", Value: c.bos},
		{Key: "eos_token", Value: c.eos},
	}
	if c.date != "" {
		vars = append(vars, python.Field{Key: "date_string", Value: c.date})
	}
	if c.toolsInSystem {
		vars = append(vars, python.Field{Key: "tools_in_user_message", Value: false})
	}
	if len(builtin) > 0 {
		if !t.Mentions("builtin_tools") {
			return nil, templateError("this model's chat format has no built-in tools, expected %s with parameters", builtin[0])
		}
		names := make([]any, len(builtin))
		for i, name := range builtin {
			names[i] = name
		}
		vars = append(vars, python.Field{Key: "builtin_tools", Value: names})
	}
	return vars, nil
}

// value is the message as OpenAI's API has it, but with a call's arguments as an object, as transformers wants them.
func (m *Message) value() (python.Object, error) {
	v := python.Object{{Key: "role", Value: string(m.Role)}, {Key: "content", Value: m.Content}}
	if len(m.ToolCalls) > 0 {
		calls := make([]any, len(m.ToolCalls))
		for i := range m.ToolCalls {
			call := &m.ToolCalls[i]
			args, err := call.arguments()
			if err != nil {
				return nil, err
			}
			var one python.Object
			if call.ID != "" {
				one = append(one, python.Field{Key: "id", Value: call.ID})
			}
			calls[i] = append(one, python.Field{Key: "type", Value: "function"},
				python.Field{Key: "function", Value: python.Object{{Key: "name", Value: call.Name}, {Key: "arguments", Value: args}}})
		}
		v = append(v, python.Field{Key: "tool_calls", Value: calls})
	}
	if m.ToolCallID != "" {
		v = append(v, python.Field{Key: "tool_call_id", Value: m.ToolCallID})
	}
	return v, nil
}
