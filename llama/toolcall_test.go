package llama

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var callTools = []Tool{
	{Name: "get_weather", Description: "x", Parameters: json.RawMessage(`{}`)},
	{Name: "now", Description: "y"},
	{Name: "brave_search"}, {Name: "wolfram_alpha"},
}

// read has a callReader read an answer, cut into random pieces, in which control tokens are written by their names. It checks that what
// is told while it comes adds up to what there is in the end.
func read(t *testing.T, style callStyle, tools []Tool, text string, r *rand.Rand) (content string, calls []ToolCall) {
	t.Helper()
	c := newCallReader(style, tools, func(i int) string { return fmt.Sprintf("call_%d", i) })
	var got []byte
	var told []ToolCall
	tell := func() {
		for _, d := range c.take() {
			if d.Index == len(told) {
				told = append(told, ToolCall{ID: d.ID, Name: d.Name})
			} else if d.Index != len(told)-1 || d.Name != "" || d.ID != "" {
				t.Errorf("%s: %+v after %d calls", text, d, len(told))
			}
			told[d.Index].Arguments = append(told[d.Index].Arguments, d.Arguments...)
		}
	}
	for i, part := range strings.Split(text, pythonTag) {
		if i > 0 {
			got = c.mark(got, pythonTag)
			tell()
		}
		for part != "" {
			n := 1 + r.IntN(len(part))
			if r.IntN(3) > 0 {
				n = min(n, 1+r.IntN(3))
			}
			got = c.text(got, []byte(part[:n]))
			tell()
			part = part[n:]
		}
	}
	got = c.end(got, false)
	tell()
	for i, call := range c.calls {
		if i >= len(told) || told[i].ID != call.ID || told[i].Name != call.Name || strings.TrimSpace(string(told[i].Arguments)) != string(call.Arguments) {
			t.Errorf("%s: told of %s, expected %s", text, told, c.calls)
			break
		}
	}
	return string(got), c.calls
}

func write(content string, calls []ToolCall) string {
	for _, call := range calls {
		content += "|" + call.Name + string(call.Arguments)
	}
	return content
}

func TestCallReader(t *testing.T) {
	code := append(slices.Clone(callTools), Tool{Name: "code_interpreter"})
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		style callStyle
		tools []Tool
		text  string
		want  string // content, and calls after |
	}{
		{llamaCalls, callTools, `{"name": "get_weather", "parameters": {"location": "Paris", "n": 1.50}}`, `|get_weather{"location": "Paris", "n": 1.50}`},
		{llamaCalls, callTools, "\n {\"type\": \"function\", \"name\": \"get_weather\", \"parameters\": {}}\n", `|get_weather{}`},
		{llamaCalls, callTools, `{"name": "now", "arguments": null}`, `|now{}`},
		{llamaCalls, callTools, `{"name": "now", "parameters": "{\"a\": \"b\"}"}`, `|now{"a": "b"}`},
		{llamaCalls, callTools, `{"parameters": {"a": 1}, "name": "now", "id": 7}`, `|now{"a": 1}`},
		{llamaCalls, callTools, `{"name": "now", "parameters": {}, "type": "function"}`, `|now{}`},
		{llamaCalls, callTools, `{"name": "now", "parameters": {}}; {"name": "get_weather", "parameters": {"x": "; {"}}`, `|now{}|get_weather{"x": "; {"}`},
		{llamaCalls, callTools, "{\"name\": \"now\", \"parameters\": {}}\n{\"name\": \"now\", \"parameters\": {}}", `|now{}|now{}`},
		{llamaCalls, callTools, `[{"name": "now", "parameters": {}}, {"name": "now", "parameters": {"a": 1}}]`, `|now{}|now{"a": 1}`},
		{llamaCalls, callTools, ` [{"name": "now", "parameters": {}}]`, `|now{}`},
		{llamaCalls, callTools, `<|python_tag|>{"name": "now", "parameters": {}}`, `|now{}`},
		{llamaCalls, callTools, `<|python_tag|>{"name": "now", "parameters": {}}; <|python_tag|>{"name": "now", "parameters": {"a": "}"}}`, `|now{}|now{"a": "}"}`},
		{llamaCalls, callTools, `I will look. <|python_tag|>{"name": "now", "parameters": {}}`, `I will look. |now{}`},
		{llamaCalls, callTools, `<|python_tag|>brave_search.call(query="who \"won\" it")`, `|brave_search{"query": "who \"won\" it"}`},
		{llamaCalls, callTools, `brave_search.call(query="the "best", ever")`, `|brave_search{"query": "the \"best\", ever"}`},
		{llamaCalls, callTools, `<|python_tag|>wolfram_alpha.call(query="1+1", units="m"); brave_search.call(query="a)")`, `|wolfram_alpha{"query": "1+1", "units": "m"}|brave_search{"query": "a)"}`},
		{llamaCalls, callTools, `{"name": "now", "parameters": {}} is what I would call.`, ` is what I would call.|now{}`},
		{llamaCalls, callTools, `{"name": "now", "parameters": {"a": "b`, ``}, // cut short
		{llamaCalls, callTools, `{"name": "now", "parameters": {}`, `|now{}`},
		{llamaCalls, callTools, `{"name": "now", "parameters": {}}; {"name": "nobody", "parameters": {}}`, `; {"name": "nobody", "parameters": {}}|now{}`},
		{llamaCalls, code, "<|python_tag|>import math\nprint(\"é\")\n", `|code_interpreter{"code": "import math\nprint(\"é\")"}`},
		{llamaCalls, code, `<|python_tag|>{1: 2}`, `|code_interpreter{"code": "{1: 2}"}`},
		{llamaCalls, code, `<|python_tag|>brave_search.call(query=1)`, `|code_interpreter{"code": "brave_search.call(query=1)"}`},
		// No calls: prose, unknown names, halves.
		{llamaCalls, callTools, `Call {"name": "now", "parameters": {}}`, `Call {"name": "now", "parameters": {}}`},
		{llamaCalls, callTools, ` {"name": "now"}`, ` {"name": "now"}`},
		{llamaCalls, callTools, `{"name": "Alice", "parameters": {}}`, `{"name": "Alice", "parameters": {}}`},
		{llamaCalls, callTools, `{"name": "now", "parameters": [1]}`, `{"name": "now", "parameters": [1]}`},
		{llamaCalls, callTools, `{"name": 1, "parameters": {}}`, `{"name": 1, "parameters": {}}`},
		{llamaCalls, callTools, `{"title": "now", "parameters": {}}`, `{"title": "now", "parameters": {}}`},
		{llamaCalls, callTools, ` [1, 2]`, ` [1, 2]`},
		{llamaCalls, callTools, `[]`, `[]`},
		{llamaCalls, callTools, `[1, 2]`, `[1, 2]`},
		{llamaCalls, callTools, `now.call(a="b")`, `now.call(a="b")`},
		{llamaCalls, callTools, `brave_search.call(query=)`, `brave_search.call(query=)`},
		{llamaCalls, callTools, `brave_search.call(query="x") is how to search`, `brave_search.call(query="x") is how to search`},
		{llamaCalls, callTools, `os.call(x="y")`, `os.call(x="y")`},
		{llamaCalls, callTools, `<|python_tag|>print(1)`, `print(1)`}, // the code interpreter is not among the tools
		{llamaCalls, callTools, `<|python_tag|>`, ``},
		{llamaCalls, callTools, ``, ``},

		{hermesCalls, callTools, "Let me see.\n<tool_call>\n{\"name\": \"now\", \"arguments\": {\"a\": 1}}\n</tool_call>", `Let me see.|now{"a": 1}`},
		{hermesCalls, callTools, "<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>\n<tool_call>\n{\"arguments\": {}, \"name\": \"get_weather\"}\n</tool_call>\n", "|now{}|get_weather{}"},
		{hermesCalls, callTools, "a <tool_calls> b <tool_ca", "a <tool_calls> b <tool_ca"},
		{hermesCalls, callTools, `{"name": "now", "arguments": {}}`, `{"name": "now", "arguments": {}}`},
		{hermesCalls, callTools, `a <tool_call>{"name": "nobody", "arguments": {}}</tool_call>`, `a<tool_call>{"name": "nobody", "arguments": {}}</tool_call>`},
		{hermesCalls, callTools, `a <tool_call>`, `a<tool_call>`},
		{hermesCalls, callTools, `<tool_call>no <tool_call>{"name": "now", "arguments": {}}</tool_call>`, `<tool_call>no|now{}`},
		{mistralCalls, callTools, `[TOOL_CALLS][{"name": "now", "arguments": {"a": "]"}}, {"name": "now", "arguments": {}}]`, `|now{"a": "]"}|now{}`},
		{mistralCalls, callTools, `[TOOL_CALLS] [{"name": "now", "arguments": {}}]`, `|now{}`},
		{mistralCalls, callTools, `[TOOL_CALLS]no`, `[TOOL_CALLS]no`},
	} {
		for range 50 {
			content, calls := read(t, c.style, c.tools, c.text, r)
			if got := write(content, calls); got != c.want {
				t.Errorf("%s\n got %q\nwant %q", c.text, got, c.want)
				break
			}
		}
	}
}

// TestCallsRoundTrip renders calls as a template does and reads them back.
func TestCallsRoundTrip(t *testing.T) {
	calls := []ToolCall{
		{Name: "get_weather", Arguments: json.RawMessage(`{"location": "Zürich", "days": [1, {"x": null}]}`)},
		{Name: "brave_search", Arguments: json.RawMessage(`{"query": "a \"b\" (c); d", "n": "1"}`)},
	}
	text, err := (llama3{builtin: true}).render(&conversation{messages: []Message{User("x"), {Role: RoleAssistant, ToolCalls: calls}}, tools: callTools})
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ = strings.Cut(text, "assistant<|end_header_id|>\n\n")
	text, _, _ = strings.Cut(text, "<|eom_id|>")
	content, got := read(t, llamaCalls, callTools, text, rand.New(rand.NewPCG(1, 2)))
	if write(content, got) != write("", calls) {
		t.Fatalf("%s\n got %s, %q\nwant %s", text, got, content, calls)
	}
}

// FuzzCallReader: whatever an answer is, in whatever pieces, content and calls are the same, and calls have JSON of the tools.
func FuzzCallReader(f *testing.F) {
	for _, s := range []string{`{"name": "now", "parameters": {"a": [1]}}; {"name": "now"`, `<|python_tag|>brave_search.call(query="x")`, `<tool_call>{"arguments": "{}", "name": "now"}</tool_call>`, `[TOOL_CALLS][{"name": "now", "arguments": {}}]`} {
		f.Add(s, uint64(1))
	}
	code := append(slices.Clone(callTools), Tool{Name: "code_interpreter"})
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		for _, style := range []callStyle{llamaCalls, hermesCalls, mistralCalls} {
			for _, tools := range [][]Tool{callTools, code} {
				r := rand.New(rand.NewPCG(seed, 1))
				content, calls := read(t, style, tools, text, r)
				again, same := read(t, style, tools, text, r)
				if write(content, calls) != write(again, same) {
					t.Errorf("%q: %q, then %q", text, write(content, calls), write(again, same))
				}
				for _, c := range calls {
					if !slices.ContainsFunc(tools, func(t Tool) bool { return t.Name == c.Name }) {
						t.Errorf("%q: a call of %q", text, c.Name)
					}
				}
			}
		}
	})
}

func TestMessageJSON(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{"role":"user","content":"hi","name":"x"}`, `{"role":"user","content":"hi"}`},
		{`{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}`, `{"role":"user","content":"ab"}`},
		{`{"role":"tool","content":"12","tool_call_id":"call_0"}`, `{"role":"tool","content":"12","tool_call_id":"call_0"}`},
		{`{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}}]}`,
			`{"role":"assistant","content":"","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}}]}`},
		{`{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"z":1,"a":2}}},{"name":"g"}]}`,
			`{"role":"assistant","content":"","tool_calls":[{"id":"","type":"function","function":{"name":"f","arguments":"{\"z\":1,\"a\":2}"}},{"id":"","type":"function","function":{"name":"g","arguments":"{}"}}]}`},
	} {
		var m, again Message
		if err := json.Unmarshal([]byte(c.in), &m); err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		got, err := json.Marshal(m)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %v\n got %s\nwant %s", c.in, err, got, c.want)
		}
		if err := json.Unmarshal(got, &again); err != nil || fmt.Sprint(again) != fmt.Sprint(m) && len(m.ToolCalls) == 0 {
			t.Errorf("%s comes back as %v, %v", got, again, err)
		}
	}
	var m Message
	for in, want := range map[string]error{
		`{"role":"user","content":[{"type":"image_url","image_url":{}}]}`:                                              ErrUnsupported,
		`{"role":"assistant","tool_calls":[{"type":"custom","custom":{}}]}`:                                            ErrUnsupported,
		`{"role":"assistant","tool_calls":[{"type":"function","function":{"name":"f","arguments":"no JSON"}}]}`:        ErrRequest,
		`{"role":"assistant","tool_calls":[{"type":"function","function":{"name":"f","arguments":"[1]"}}]}`:            ErrRequest,
		`{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"` + strings.Repeat("[", 200) + `"}}]}`: ErrRequest,
	} {
		if err := json.Unmarshal([]byte(in), &m); !errors.Is(err, want) {
			t.Errorf("%s: %v, expected %v", in, err, want)
		}
	}
	if err := json.Unmarshal([]byte(`{"role":"user","content":5}`), &m); err == nil {
		t.Error("content 5 is taken")
	}

	const tool = `{"type":"function","function":{"name":"f","description":"d","parameters":{"z":1,"a":{"b":[]}}}}`
	for _, in := range []string{tool, `{"name":"f","description":"d","parameters":{"z":1,"a":{"b":[]}}}`} {
		var got Tool
		if err := json.Unmarshal([]byte(in), &got); err != nil {
			t.Fatal(err)
		}
		if out, err := json.Marshal(got); err != nil || string(out) != tool {
			t.Errorf("%s: %v, %s, expected %s", in, err, out, tool)
		}
	}
	var got Tool
	if err := json.Unmarshal([]byte(`{"type":"web_search"}`), &got); !errors.Is(err, ErrUnsupported) {
		t.Errorf("web_search: %v", err)
	}
}

func ExampleTool() {
	t := Tool{Name: "now", Description: "The time."}
	b, err := t.MarshalJSON()
	fmt.Println(string(b), err)
	// Output: {"type":"function","function":{"name":"now","description":"The time."}} <nil>
}
