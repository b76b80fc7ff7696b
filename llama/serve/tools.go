package serve

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/llama31/llama31/llama"
)

// pieces gives the pieces of calls that did not come token by token: of a response those from the n-th on.
func pieces(calls []llama.ToolCall, n int) []llama.ToolCallDelta {
	var all []llama.ToolCallDelta
	for i, c := range calls {
		if i >= n {
			all = append(all, llama.ToolCallDelta{Index: i, ID: c.ID, Name: c.Name, Arguments: argumentsText(c)})
		}
	}
	return all
}

func argumentsText(c llama.ToolCall) string {
	if len(c.Arguments) == 0 {
		return "{}"
	}
	return string(c.Arguments)
}

// readToolChoice reads which tools are to be called: of chat completions with a function inside, or, flat, of responses.
func readToolChoice(o object) llama.ToolChoice {
	v := o.get("tool_choice")
	c := llama.ToolChoice{}
	if parallel := o.get("parallel_tool_calls"); parallel.ok() {
		c.Single = !parallel.bool()
	}
	switch {
	case !v.ok():
	case v.kind() == "a string":
		switch v.choose("auto", "none", "required") {
		case "none":
			c.Mode = llama.ToolNone
		case "required":
			c.Mode = llama.ToolRequired
		}
	default:
		f := v.object()
		if kind := f.get("type").need(); kind.string() == "allowed_tools" {
			kind.fail("unsupported_value", "%s is allowed_tools, which is not served here: send those tools only", kind.path)
		} else {
			kind.choose("function")
		}
		if f.get("function").ok() {
			f = f.get("function").object()
		}
		c.Mode, c.Name = llama.ToolRequired, toolName(f.get("name"))
	}
	return c
}

// checkToolChoice refuses choices among tools that are not there.
func checkToolChoice(v value, c llama.ToolChoice, tools []llama.Tool) {
	switch {
	case c.Name != "" && !slices.ContainsFunc(tools, func(t llama.Tool) bool { return t.Name == c.Name }):
		v.fail("invalid_value", "%s names %.128q, which is not among tools", v.path, c.Name)
	case c.Mode == llama.ToolRequired && len(tools) == 0:
		v.fail("invalid_value", "%s is required, and there are no tools", v.path)
	}
}

// readClientToolChoice reads Anthropic's.
func readClientToolChoice(v value) llama.ToolChoice {
	c := llama.ToolChoice{}
	if !v.ok() {
		return c
	}
	o := v.object()
	switch o.get("type").need().choose("auto", "any", "tool", "none") {
	case "any":
		c.Mode = llama.ToolRequired
	case "tool":
		c.Mode, c.Name = llama.ToolRequired, toolName(o.get("name"))
	case "none":
		c.Mode = llama.ToolNone
	}
	c.Single = o.get("disable_parallel_tool_use").bool()
	return c
}

// toolName reads the name of a function, of which OpenAI and Anthropic allow the same.
func toolName(v value) string {
	name := v.need().string()
	if len(name) > 128 {
		v.fail("string_above_max_length", "%s has %d characters, expected 128 at most", v.path, len(name))
	}
	if v.ok() && (name == "" || strings.ContainsFunc(name, notInName)) {
		v.fail("invalid_value", "%s is %.128q, expected letters, digits, _ and - only", v.path, name)
	}
	return name
}

func notInName(r rune) bool {
	return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

// readTools reads OpenAI's tools: of chat completions with a function inside, or, flat, of responses.
func readTools(v value) []llama.Tool {
	var tools []llama.Tool
	for _, e := range v.list() {
		o := e.object()
		kind := o.get("type").need()
		if kind.string() != "function" {
			kind.fail("unsupported_value", "%s is %.40q, expected function: there are no other tools here", kind.path, kind.string())
		}
		f := o
		if o.get("function").ok() {
			f = o.get("function").object()
		}
		tools = append(tools, llama.Tool{Name: toolName(f.get("name")), Description: f.get("description").string(), Parameters: readSchema(f.get("parameters"))})
	}
	return tools
}

// readSchema is an object that stays as it is.
func readSchema(v value) json.RawMessage {
	if !v.is("an object") {
		return nil
	}
	return v.raw
}
