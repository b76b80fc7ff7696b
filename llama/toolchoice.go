package llama

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/llama31/llama31/llama/internal/grammar"
	"github.com/llama31/llama31/llama/internal/python"
)

// ToolChoice says whether the model calls functions. The zero value leaves it to the model. Where it must, its answer is held to
// calls of tools whose arguments match their Parameters; where it may, a call that it begins is.
type ToolChoice struct {
	Mode   ToolMode
	Name   string // the tool to call, once, in any mode
	Single bool   // at most one call in an answer, where the model must call
}

// ToolMode is the mode of a ToolChoice, with OpenAI's words.
type ToolMode string

const (
	ToolAuto     ToolMode = ""         // the model calls tools or not
	ToolNone     ToolMode = "none"     // it is not shown any
	ToolRequired ToolMode = "required" // it calls one at least
)

// UnmarshalJSON reads OpenAI's form: "auto", "none", "required", or {"type": "function", "function": {"name": …}}.
func (c *ToolChoice) UnmarshalJSON(data []byte) error {
	var mode string
	if json.Unmarshal(data, &mode) == nil {
		switch *c = (ToolChoice{Mode: ToolMode(mode)}); mode {
		case "auto":
			c.Mode = ToolAuto
		case "none", "required", "":
		default:
			return fmt.Errorf("%w: the tool choice %q, expected auto, none or required", ErrRequest, mode)
		}
		return nil
	}
	var named struct {
		Type     string
		Name     string
		Function struct{ Name string }
	}
	if err := json.Unmarshal(data, &named); err != nil {
		return err
	}
	if named.Type != "function" || named.Name == "" && named.Function.Name == "" {
		return fmt.Errorf("%w: a tool choice of type %q, expected function and its name", ErrUnsupported, named.Type)
	}
	*c = ToolChoice{Mode: ToolRequired, Name: named.Function.Name}
	if c.Name == "" {
		c.Name = named.Name
	}
	return nil
}

// MarshalJSON writes OpenAI's form.
func (c ToolChoice) MarshalJSON() ([]byte, error) {
	switch {
	case c.Name != "":
		return fmt.Appendf(nil, `{"type":"function","function":{"name":%s}}`, quote(c.Name)), nil
	case c.Mode == ToolAuto:
		return []byte(`"auto"`), nil
	}
	return json.Marshal(string(c.Mode))
}

// must says that an answer without a call is none.
func (c *ToolChoice) must() bool { return c.Mode == ToolRequired || c.Name != "" }

// check refuses choices that cannot be.
func (c *ToolChoice) check(tools []Tool) error {
	switch c.Mode {
	case ToolAuto, ToolNone, ToolRequired:
	default:
		return fmt.Errorf("%w: ToolChoice.Mode is %q, expected none, required or nothing", ErrRequest, c.Mode)
	}
	for i, t := range tools {
		if t.Name == "" || slices.ContainsFunc(tools[:i], func(o Tool) bool { return o.Name == t.Name }) {
			return fmt.Errorf("%w: Tools[%d] has the name %q, expected one of its own", ErrRequest, i, t.Name)
		}
	}
	switch {
	case c.Name != "" && c.Mode == ToolNone:
		return fmt.Errorf("%w: ToolChoice names %q and is none", ErrRequest, c.Name)
	case c.Name != "" && !slices.ContainsFunc(tools, func(t Tool) bool { return t.Name == c.Name }):
		return fmt.Errorf("%w: ToolChoice names %q, which is not among Tools", ErrRequest, c.Name)
	case c.must() && len(tools) == 0:
		return fmt.Errorf("%w: ToolChoice is required, and there are no Tools", ErrRequest)
	}
	return nil
}

// shown are the tools that the model is told of.
func (r *Request) shown() []Tool {
	if r.ToolChoice.Mode == ToolNone {
		return nil
	}
	return r.Tools
}

// callStyle is how the model writes calls. Without a template, of a request that needs none, it is Llama 3.1's.
func (m *Model) callStyle() callStyle {
	t, err := m.template()
	if j, ok := t.(jinjaTemplate); ok && err == nil {
		switch {
		case j.Mentions("<tool_call>"):
			return hermesCalls
		case j.Mentions("[TOOL_CALLS]"):
			return mistralCalls
		}
	}
	return llamaCalls
}

// call is how a tool's call is written in a style, without style.open.
func (c *callStyle) call(t Tool) grammar.Call {
	builtin, _ := splitTools([]Tool{t})
	switch {
	case len(builtin) > 0 && t.Name == "code_interpreter":
		return grammar.Call{Before: grammar.Control(pythonTag), Arguments: grammar.Program}
	case len(builtin) > 0:
		return grammar.Call{Before: grammar.Control(pythonTag) + t.Name + `.call(query="`, Arguments: grammar.Query, After: `")`}
	}
	name := string((&python.Style{}).AppendString(nil, t.Name))
	return grammar.Call{Before: `{"name": ` + name + `, "` + c.arguments + `": `, Schema: t.schema(), After: "}"}
}

// schema of the arguments; nil: any object.
func (t *Tool) schema() []byte {
	if s := bytes.TrimSpace(t.Parameters); len(s) > 0 && string(s) != "null" {
		return s
	}
	return nil
}

// required is the format of an answer that calls tools, or, with other, may match that instead.
func (c *callStyle) required(tools []Tool, choice ToolChoice, other *Format) Format {
	if choice.Name != "" {
		tools = slices.DeleteFunc(slices.Clone(tools), func(t Tool) bool { return t.Name != choice.Name })
	}
	calls := make([]grammar.Call, len(tools))
	open, between, end := "", c.after, ""
	for i, t := range tools {
		calls[i] = c.call(t)
		if c.open != "" && !c.array {
			calls[i].Before = c.open + "\n" + calls[i].Before
			calls[i].After += "\n" + c.close
		}
	}
	if c.array {
		open, between, end = c.open+"[", ", ", "]"
	}
	single := choice.Single || choice.Name != ""
	key := fmt.Sprintf("%q %q %q %v %q", open, between, end, single, calls)
	if other != nil {
		key += fmt.Sprintf("%d %s", other.kind, other.source)
	}
	return Format{kind: formatCalls, source: key, build: func() (*grammar.Grammar, error) {
		var g *grammar.Grammar
		if other != nil {
			var err error
			if g, err = other.grammar(); err != nil {
				return nil, err
			}
		}
		return grammar.Calls(calls, open, between, end, single, g)
	}}
}

// argumentsFormat is the format of a call that has begun, from its arguments to its end.
func (t *Tool) argumentsFormat() Format {
	schema := t.schema()
	return Format{kind: formatCalls, source: "arguments " + string(schema), build: func() (*grammar.Grammar, error) {
		return grammar.Calls([]grammar.Call{{Schema: schema, After: "}"}}, "", "", "", true, nil)
	}}
}

// constrainTools sets up what a sequence's answer is held to for the sake of tools.
func (m *Model) constrainTools(r *Request) (format *grammar.Machine, style *callStyle, args map[string]*grammar.Machine, err error) {
	if err := r.ToolChoice.check(r.Tools); err != nil {
		return nil, nil, nil, err
	}
	tools := r.shown()
	if len(tools) == 0 {
		format, err = m.formats.machine(r.Format)
		return format, nil, nil, err
	}
	s := m.callStyle()
	style = &s
	switch {
	case r.ToolChoice.must():
		format, err = m.formats.machine(s.required(tools, r.ToolChoice, nil))
	case r.Format.set():
		format, err = m.formats.machine(s.required(tools, r.ToolChoice, &r.Format))
	default:
		args = map[string]*grammar.Machine{}
		for _, t := range tools {
			machine, err := m.formats.machine(t.argumentsFormat())
			if err != nil { // what cannot be held to is only asked for
				if machine, err = m.formats.machine((&Tool{}).argumentsFormat()); err != nil {
					return nil, nil, nil, err
				}
			}
			args[t.Name] = machine
		}
	}
	return format, style, args, err
}
