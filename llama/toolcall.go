package llama

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/llama31/llama31/llama/internal/python"
)

// parseToolCalls reads the calls that an answer consists of, in the forms that Llama 3.1 was trained on:
//
//	{"name": "get_weather", "parameters": {"location": "Paris"}}
//	<|python_tag|>brave_search.call(query="...")
//	<|python_tag|>import math ...
//
// the last if code_interpreter is among the tools; its argument is "code". Several calls have a semicolon or white space between
// them, or make an array; "arguments" is taken for "parameters", further keys such as "type" are passed over. Only tools of the
// request are called, and only if the answer has nothing but calls in it: prose about a call, or JSON that is not one, is an answer
// in text, and the result is nil. The text has control tokens as DecodeSpecial shows them. Calls are numbered call_0, call_1 and on.
func parseToolCalls(text string, tools []Tool) []ToolCall {
	if len(tools) == 0 {
		return nil
	}
	p := callParser{tools: tools}
	text = python.Strip(text)
	for _, end := range []string{"<|eom_id|>", "<|eot_id|>", "<|end_of_text|>"} {
		text = python.Strip(strings.TrimSuffix(text, end))
	}
	text, code := strings.CutPrefix(text, "<|python_tag|>")
	text = python.Strip(text)
	if text == "" {
		return nil
	}
	builtin, _ := splitTools(tools)
	switch {
	case p.all(text):
		return p.calls
	case code && slices.Contains(builtin, "code_interpreter"):
		args := append([]byte(`{"code": `), (&python.Style{}).AppendString(nil, text)...)
		return []ToolCall{{ID: "call_0", Name: "code_interpreter", Arguments: append(args, '}')}}
	}
	return nil
}

type callParser struct {
	tools []Tool
	calls []ToolCall
}

// all reads calls up to the end of the text.
func (p *callParser) all(text string) bool {
	p.calls = nil
	for {
		text = strings.TrimLeftFunc(text, func(r rune) bool { return python.IsSpace(r) || r == ';' && len(p.calls) > 0 })
		text = strings.TrimPrefix(text, "<|python_tag|>")
		if text == "" {
			return len(p.calls) > 0
		}
		var n int
		if text[0] == '{' || text[0] == '[' && len(p.calls) == 0 {
			n = p.json(text)
		} else {
			n = p.builtin(text)
		}
		if n == 0 {
			return false
		}
		text = text[n:]
	}
}

func (p *callParser) add(name string, args json.RawMessage) bool {
	if !slices.ContainsFunc(p.tools, func(t Tool) bool { return t.Name == name }) {
		return false
	}
	p.calls = append(p.calls, ToolCall{ID: fmt.Sprintf("call_%d", len(p.calls)), Name: name, Arguments: args})
	return true
}

// json reads an object or an array of them and returns its length, 0 if it is no call.
func (p *callParser) json(text string) int {
	d := json.NewDecoder(strings.NewReader(text))
	var value json.RawMessage
	if d.Decode(&value) != nil {
		return 0
	}
	n := int(d.InputOffset())
	list := []json.RawMessage{value}
	if text[0] == '[' {
		if json.Unmarshal(value, &list) != nil || len(python.Strip(text[n:])) > 0 {
			return 0
		}
	}
	for _, one := range list {
		var call struct {
			Name                  *string
			Parameters, Arguments json.RawMessage
		}
		if json.Unmarshal(one, &call) != nil || call.Name == nil {
			return 0
		}
		args := call.Parameters
		if args == nil {
			args = call.Arguments
		}
		var inner string
		if len(args) > 0 && args[0] == '"' && json.Unmarshal(args, &inner) == nil {
			args = json.RawMessage(inner)
		}
		if string(args) == "null" {
			args = json.RawMessage("{}")
		}
		args = bytes.TrimSpace(args)
		if len(args) == 0 || args[0] != '{' {
			return 0
		}
		if _, err := python.ParseJSON(args); err != nil || !p.add(*call.Name, bytes.Clone(args)) {
			return 0
		}
	}
	return n
}

// builtin reads name.call(key="value", ...). A value ends at a quote that the next key, or the bracket and then a semicolon or the
// end follow: the model does not escape quotes.
func (p *callParser) builtin(text string) int {
	name, rest, ok := strings.Cut(text, ".call(")
	if !ok || !slices.Contains(builtinTools, name) {
		return 0
	}
	var args python.Object
	for {
		rest = strings.TrimLeftFunc(rest, python.IsSpace)
		key, value, ok := strings.Cut(rest, `="`)
		if !ok || key == "" || !isIdentifier(key) {
			return 0
		}
		end, after := -1, 0
		for i := range len(value) {
			if value[i] != '"' || i > 0 && value[i-1] == '\\' {
				continue
			}
			if after = endOfValue(value[i+1:]); after > 0 {
				end = i
				break
			}
		}
		if end < 0 {
			return 0
		}
		args = append(args, python.Field{Key: key, Value: strings.ReplaceAll(value[:end], `\"`, `"`)})
		last := value[end+after] == ')'
		rest = value[end+1+after:]
		if last {
			break
		}
	}
	if !p.add(name, (&python.Style{}).Append(nil, args)) {
		return 0
	}
	return len(text) - len(rest)
}

// endOfValue is the length of what ends a value behind its quote: a bracket and nothing or a semicolon after it, or a comma and a key
// after it, which are not counted. It is 0 if the value goes on.
func endOfValue(text string) int {
	trimmed := strings.TrimLeftFunc(text, python.IsSpace)
	n := len(text) - len(trimmed) + 1
	switch {
	case strings.HasPrefix(trimmed, ")"):
		if rest := python.Strip(trimmed[1:]); rest == "" || rest[0] == ';' || strings.HasPrefix(rest, "<|python_tag|>") {
			return n
		}
	case strings.HasPrefix(trimmed, ","):
		if key, _, ok := strings.Cut(python.Strip(trimmed[1:min(len(trimmed), 200)]), `="`); ok && isIdentifier(key) {
			return n
		}
	}
	return 0
}

func isIdentifier(s string) bool {
	return s != "" && len(s) < 100 && strings.IndexFunc(s, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
}
