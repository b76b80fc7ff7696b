package llama

import (
	"fmt"
	"strings"

	"github.com/nikolalohinski/gonja/v2/nodes"
)

// jinja is the template that a model file carries. github.com/nikolalohinski/gonja/v2 reads it; what it read is evaluated here, as
// Python's jinja2 does in Hugging Face's transformers (trim_blocks, lstrip_blocks, sandboxed), and with bounds.
//
// gonja's own evaluator is not used. Of 910 chats under 70 published templates it renders 493 as transformers does, with a shim for
// tojson and the order of keys; this one 869. And a file can end the process by it: a macro that calls itself and a namespace that
// holds itself overflow the stack, which no program recovers from, and 'a' * 10000000000 takes the memory.
//
// Here there is nothing that reads a file, loads another template, calls Go by reflection, or works without counting: each step and
// each byte made costs, and what a template may spend is proportional to the conversation.
type jinja struct {
	source  string
	root    []nodes.Node
	strings []string // of the source's string literals; gonja's tree has their indices
}

// Bounds on a template. The largest of 70 published ones has 17 kB.
const (
	maxTemplate     = 1 << 18 // bytes
	maxTagTokens    = 4096    // in one {{ }} or {% %}
	maxTagDepth     = 64      // brackets in one
	maxBlockDepth   = 64      // blocks in blocks
	maxMacroDepth   = 100     // calls in calls
	maxValueDepth   = 128     // lists and dicts in each other
	templateBudget  = 1 << 26 // bytes and steps for any conversation
	budgetPerByte   = 64      // and for each byte of it
	stepCost        = 16      // of a node evaluated
	maxTemplateLine = 200     // bytes of it quoted in an error
)

// A positionError is an error at a byte of the source.
type positionError struct {
	pos int
	err error
}

func (e *positionError) Error() string { return e.err.Error() }
func (e *positionError) Unwrap() error { return e.err }

// failure is an ErrTemplate that quotes the line.
func (t *jinja) failure(err error) error {
	e, ok := err.(*positionError)
	if !ok || e.pos > len(t.source) || e.pos < 0 {
		return fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	number := 1 + strings.Count(t.source[:e.pos], "\n")
	start := strings.LastIndexByte(t.source[:e.pos], '\n') + 1
	line, _, _ := strings.Cut(t.source[start:], "\n")
	if len(line) > maxTemplateLine {
		from := max(0, e.pos-start-maxTemplateLine/2)
		line = line[from:min(len(line), from+maxTemplateLine)]
	}
	return fmt.Errorf("%w, line %d, %q: %w", ErrTemplate, number, strings.TrimSpace(line), e.err)
}

// newJinja reads a template. The error is an ErrTemplate.
func newJinja(source string) (t *jinja, err error) {
	source = strings.ReplaceAll(strings.ReplaceAll(source, "\r\n", "\n"), "\r", "\n")
	t = &jinja{source: source}
	if len(source) > maxTemplate {
		return nil, fmt.Errorf("%w: %d bytes long, expected at most %d", ErrTemplate, len(source), maxTemplate)
	}
	defer func() {
		if r := recover(); r != nil {
			t, err = nil, fmt.Errorf("%w: cannot be read: %v", ErrTemplate, r)
		}
	}()
	if err := t.parse(); err != nil {
		return nil, t.failure(err)
	}
	return t, nil
}

func (t *jinja) render(c *conversation) (text string, err error) {
	defer func() {
		if r := recover(); r != nil {
			text, err = "", fmt.Errorf("%w: cannot be rendered: %v", ErrTemplate, r)
		}
	}()
	vars, size, err := t.variables(c)
	if err != nil {
		return "", err
	}
	e := &evaluator{template: t, conversation: c, budget: templateBudget + budgetPerByte*int64(size)}
	e.globals = &scope{vars: vars}
	e.out = &strings.Builder{}
	if _, err := e.run(t.root, e.globals); err != nil {
		return "", t.failure(err)
	}
	return e.out.String(), nil
}

// variables are what transformers' apply_chat_template gives a template, and about how many bytes that is.
func (t *jinja) variables(c *conversation) (vars map[string]any, size int, err error) {
	messages := &array{}
	for i := range c.messages {
		m := &c.messages[i]
		d := newDict()
		d.set("role", string(m.Role))
		d.set("content", m.Content)
		if len(m.ToolCalls) > 0 {
			calls := &array{}
			for _, call := range m.ToolCalls {
				args, err := call.arguments()
				if err != nil {
					return nil, 0, err
				}
				f := newDict()
				f.set("name", call.Name)
				f.set("arguments", fromJSON(args))
				one := newDict()
				if call.ID != "" {
					one.set("id", call.ID)
				}
				one.set("type", "function")
				one.set("function", f)
				calls.items = append(calls.items, one)
				size += len(call.Name) + len(call.Arguments) + 100
			}
			d.set("tool_calls", calls)
		}
		if m.ToolCallID != "" {
			d.set("tool_call_id", m.ToolCallID)
		}
		messages.items = append(messages.items, d)
		size += len(m.Content) + 100
	}
	vars = map[string]any{
		"messages": messages, "tools": nil, "documents": nil, "add_generation_prompt": c.open,
		"bos_token": c.bos, "eos_token": c.eos,
	}
	if c.date != "" {
		vars["date_string"] = c.date
	}
	if c.toolsInSystem {
		vars["tools_in_user_message"] = false
	}
	builtin, custom := splitTools(c.tools)
	if len(builtin) > 0 {
		if !strings.Contains(t.source, "builtin_tools") {
			return nil, 0, templateError("this model's chat format has no built-in tools, expected %s with parameters", builtin[0])
		}
		names := &array{}
		for _, name := range builtin {
			names.items = append(names.items, name)
		}
		vars["builtin_tools"] = names
	}
	if len(custom) > 0 {
		if !strings.Contains(t.source, "tools") {
			return nil, 0, templateError("this model's chat format has no tools")
		}
		tools := &array{}
		for _, tool := range custom {
			v, err := tool.value()
			if err != nil {
				return nil, 0, err
			}
			tools.items = append(tools.items, fromJSON(v))
			size += len(tool.Description) + len(tool.Parameters) + 100
		}
		vars["tools"] = tools
	}
	return vars, size, nil
}
