package llama

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llama31/llama31/llama/internal/python"
)

// llama3 is the format of Llama 3.1, 3.2 and 3.3, as their Hugging Face repositories publish it (tokenizer_config.json); 3.3's
// template is 3.1's.
type llama3 struct {
	builtin bool   // has the built-in tools
	date    string // in the system header; empty: today's
}

// llama31 is also what a file without a template gets if its vocabulary is Llama 3's. 3.2 has the day's date and no built-in tools.
var llama31 = llama3{builtin: true, date: "26 Jul 2024"}

// builtinTools are those that Llama 3.1 knows by name. A Tool of such a name that has neither a description nor parameters is one;
// the first two are called as name.call(query="..."), and code_interpreter by writing Python.
var builtinTools = []string{"brave_search", "wolfram_alpha", "code_interpreter"}

// splitTools sorts tools into the names of built-in ones and the others.
func splitTools(tools []Tool) (builtin []string, custom []Tool) {
	for _, t := range tools {
		if slices.Contains(builtinTools, t.Name) && t.Description == "" && len(t.Parameters) == 0 {
			builtin = append(builtin, t.Name)
		} else {
			custom = append(custom, t)
		}
	}
	return builtin, custom
}

func (t llama3) render(c *conversation) (string, error) {
	if len(c.messages) == 0 {
		return "", templateError("no messages")
	}
	builtin, custom := splitTools(c.tools)
	if len(builtin) > 0 && !t.builtin {
		return "", templateError("this model's chat format has no built-in tools, expected %s with parameters", builtin[0])
	}
	messages, system := c.messages, ""
	if messages[0].Role == RoleSystem {
		messages, system = messages[1:], python.Strip(messages[0].Content)
	}

	var b strings.Builder
	header := func(role string) { b.WriteString("<|start_header_id|>" + role + "<|end_header_id|>\n\n") }
	b.WriteString(c.bos)
	header("system")
	if len(c.tools) > 0 {
		b.WriteString("Environment: ipython\n")
	}
	if len(builtin) > 0 {
		named := slices.DeleteFunc(slices.Clone(builtin), func(name string) bool { return name == "code_interpreter" })
		b.WriteString("Tools: " + strings.Join(named, ", ") + "\n\n")
	}
	b.WriteString("Cutting Knowledge Date: December 2023\nToday Date: " + t.today(c) + "\n\n")
	if len(custom) > 0 && c.toolsInSystem {
		b.WriteString("You have access to the following functions. To call a function, please respond with JSON for a function call.")
		if err := writeTools(&b, custom); err != nil {
			return "", err
		}
	}
	b.WriteString(system + "<|eot_id|>")

	if len(custom) > 0 && !c.toolsInSystem {
		if len(messages) == 0 {
			return "", templateError("tools are shown in the first user message, and there is none")
		}
		header("user")
		b.WriteString("Given the following functions, please respond with a JSON for a function call with its proper arguments that best answers the given prompt.\n\n")
		if err := writeTools(&b, custom); err != nil {
			return "", err
		}
		b.WriteString(python.Strip(messages[0].Content) + "<|eot_id|>")
		messages = messages[1:]
	}

	for _, m := range messages {
		switch {
		case len(m.ToolCalls) > 0:
			header("assistant")
			for i, call := range m.ToolCalls {
				if i > 0 {
					b.WriteString("; ")
				}
				if err := writeCall(&b, call, slices.Contains(builtin, call.Name)); err != nil {
					return "", err
				}
			}
			if len(builtin) > 0 {
				b.WriteString("<|eom_id|>") // the conversation runs in ipython
			} else {
				b.WriteString("<|eot_id|>")
			}
		case m.Role == RoleTool || m.Role == "ipython":
			// The published template writes text as JSON too: "iterable" includes strings.
			header("ipython")
			b.Write((&python.Style{}).AppendString(nil, m.Content))
			b.WriteString("<|eot_id|>")
		default:
			header(string(m.Role))
			b.WriteString(python.Strip(m.Content) + "<|eot_id|>")
		}
	}
	if c.open {
		header("assistant")
	}
	return b.String(), nil
}

func (t llama3) today(c *conversation) string {
	switch {
	case c.date != "":
		return c.date
	case t.date != "":
		return t.date
	}
	return python.Strftime(c.clock(), "%d %b %Y")
}

// writeTools shows tools as the JSON that OpenAI's API has for them.
func writeTools(b *strings.Builder, tools []Tool) error {
	b.WriteString(`Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.` + "Do not use variables.\n\n")
	for _, t := range tools {
		v, err := t.value(false)
		if err != nil {
			return err
		}
		b.Write((&python.Style{Lines: true, Indent: "    "}).Append(nil, v))
		b.WriteString("\n\n")
	}
	return nil
}

// value is the tool as OpenAI's API has it; full has an empty description and empty parameters where it has none.
func (t *Tool) value(full bool) (python.Object, error) {
	f := python.Object{{Key: "name", Value: t.Name}}
	if t.Description != "" || full {
		f = append(f, python.Field{Key: "description", Value: t.Description})
	}
	if len(t.Parameters) > 0 {
		v, err := python.ParseJSON(t.Parameters)
		if err != nil {
			return nil, fmt.Errorf("%w: parameters of tool %q: %w", ErrRequest, t.Name, err)
		}
		f = append(f, python.Field{Key: "parameters", Value: v})
	} else if full {
		f = append(f, python.Field{Key: "parameters", Value: python.Object{{Key: "type", Value: "object"}, {Key: "properties", Value: python.Object{}}}})
	}
	return python.Object{{Key: "type", Value: "function"}, {Key: "function", Value: f}}, nil
}

// writeCall writes a call as the model does. There can be several in a message, with "; " between, as Llama 3.1 writes them; the
// published template has words for one only.
func writeCall(b *strings.Builder, call ToolCall, builtin bool) error {
	args, err := call.arguments()
	if err != nil {
		return err
	}
	if !builtin {
		b.WriteString(`{"name": "` + call.Name + `", "parameters": `)
		b.Write((&python.Style{}).Append(nil, args))
		b.WriteString("}")
		return nil
	}
	b.WriteString("<|python_tag|>" + call.Name + ".call(")
	for i, f := range args {
		text, ok := f.Value.(string)
		if !ok {
			return fmt.Errorf("%w: argument %q of a call of %s is no string", ErrRequest, f.Key, call.Name)
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(f.Key + `="` + text + `"`)
	}
	b.WriteString(")")
	return nil
}

// arguments reads the arguments, which are an object; none at all is an empty one.
func (c *ToolCall) arguments() (python.Object, error) {
	if len(c.Arguments) == 0 {
		return python.Object{}, nil
	}
	v, err := python.ParseJSON(c.Arguments)
	if err != nil {
		return nil, fmt.Errorf("%w: arguments of a call of %q: %w", ErrRequest, c.Name, err)
	}
	args, ok := v.(python.Object)
	if !ok {
		return nil, fmt.Errorf("%w: arguments of a call of %q are no JSON object", ErrRequest, c.Name)
	}
	return args, nil
}
