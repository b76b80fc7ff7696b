package llama

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

var callTools = []Tool{
	{Name: "get_weather", Description: "x", Parameters: json.RawMessage(`{}`)},
	{Name: "now", Description: "y"},
	{Name: "brave_search"}, {Name: "wolfram_alpha"},
}

func TestParseToolCalls(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{"name": "get_weather", "parameters": {"location": "Paris", "n": 1.50}}`, `get_weather{"location": "Paris", "n": 1.50}`},
		{` {"type": "function", "name": "get_weather", "parameters": {}}<|eot_id|>`, `get_weather{}`},
		{`{"name": "now", "arguments": null}`, `now{}`},
		{`{"name": "now", "parameters": "{\"a\": \"b\"}"}`, `now{"a": "b"}`},
		{`{"name": "now", "parameters": {}}; {"name": "get_weather", "parameters": {"x": "; {"}}`, `now{} get_weather{"x": "; {"}`},
		{"{\"name\": \"now\", \"parameters\": {}}\n{\"name\": \"now\", \"parameters\": {}}", `now{} now{}`},
		{`[{"name": "now", "parameters": {}}, {"name": "now", "parameters": {"a": 1}}]`, `now{} now{"a": 1}`},
		{`<|python_tag|>{"name": "now", "parameters": {}}<|eom_id|>`, `now{}`},
		{`<|python_tag|>brave_search.call(query="who \"won\" it")<|eom_id|>`, `brave_search{"query": "who \"won\" it"}`},
		{`brave_search.call(query="the "best", ever")`, `brave_search{"query": "the \"best\", ever"}`},
		{`<|python_tag|>wolfram_alpha.call(query="1+1", units="m"); brave_search.call(query="a)")`, `wolfram_alpha{"query": "1+1", "units": "m"} brave_search{"query": "a)"}`},
		// No calls: prose, unknown names, halves.
		{`Call {"name": "now", "parameters": {}}`, ""},
		{`{"name": "now", "parameters": {}} is what I would call.`, ""},
		{`{"name": "now"}`, ""},
		{`{"name": "Alice", "parameters": {}}`, ""},
		{`{"name": "now", "parameters": [1]}`, ""},
		{`{"name": "now", "parameters": {}`, ""},
		{`{"name": 1, "parameters": {}}`, ""},
		{`{"name": "now", "parameters": {}}; {"name": "nobody", "parameters": {}}`, ""},
		{`[]`, ""},
		{`[1, 2]`, ""},
		{`now.call(a="b")`, ""},
		{`brave_search.call(query=)`, ""},
		{`brave_search.call(query="x") is how to search`, ""},
		{`os.call(x="y")`, ""},
		{`<|python_tag|>print(1)`, ""}, // the code interpreter is not among the tools
		{`<|python_tag|>`, ""},
		{``, ""},
	} {
		var got []string
		for i, call := range parseToolCalls(c.text, callTools) {
			if call.ID != fmt.Sprintf("call_%d", i) {
				t.Errorf("%s: call %d has the id %q", c.text, i, call.ID)
			}
			got = append(got, call.Name+string(call.Arguments))
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%s\n got %q\nwant %q", c.text, got, c.want)
		}
		if parseToolCalls(c.text, nil) != nil {
			t.Errorf("%s is a call of no tools", c.text)
		}
	}
	code := parseToolCalls("<|python_tag|>import math\nprint(\"é\")<|eom_id|>", []Tool{{Name: "code_interpreter"}})
	if len(code) != 1 || code[0].Name != "code_interpreter" || string(code[0].Arguments) != `{"code": "import math\nprint(\"é\")"}` {
		t.Errorf("code: %s", code)
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
	got := parseToolCalls(text, callTools)
	for i := range calls {
		if len(got) != len(calls) || got[i].Name != calls[i].Name || string(got[i].Arguments) != string(calls[i].Arguments) {
			t.Fatalf("%s\n got %s\nwant %s", text, got, calls)
		}
	}
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
