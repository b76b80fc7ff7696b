package serve

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/llama31/llama31/llama"
	"github.com/llama31/llama31/llama/llamatest"
)

// events reads the server-sent events of a body, of which each has the type that its line says.
func events(t *testing.T, body string) (kinds []string, data []any) {
	t.Helper()
	for _, one := range strings.Split(strings.TrimSpace(body), "\n\n") {
		kind, rest, ok := strings.Cut(strings.TrimPrefix(one, "event: "), "\ndata: ")
		var v any
		if err := json.Unmarshal([]byte(rest), &v); !ok || err != nil {
			t.Fatalf("no event: %q (%v)", one, err)
		}
		if lookup(v, "type") != kind {
			t.Errorf("event %s has type %v", kind, lookup(v, "type"))
		}
		kinds, data = append(kinds, kind), append(data, v)
	}
	return kinds, data
}

var weather = llamatest.Answer{Text: "Let me see.", ToolCalls: []llama.ToolCall{{ID: "call_1", Name: "weather", Arguments: json.RawMessage(`{"city": "Paris"}`)}, {ID: "call_2", Name: "time", Arguments: json.RawMessage(`{}`)}}}

func TestResponses(t *testing.T) {
	m := llamatest.New(llamatest.Answer{Text: "hello you"}, weather, llamatest.Answer{Text: "a b c", Usage: &llama.Usage{Prompt: 7, Cached: 3, Generated: 2}})
	s := serving(t, m, Options{})
	r := s.post("/v1/responses", `{"input":"hi","instructions":"Be brief.","max_output_tokens":9,"temperature":0.5,"metadata":{"a":"b"}}`)
	if r.get(t, "object") != "response" || r.get(t, "status") != "completed" || r.get(t, "output.0.content.0.text") != "hello you" || r.get(t, "usage.output_tokens") != 2. ||
		r.get(t, "instructions") != "Be brief." || r.get(t, "temperature") != 0.5 || r.get(t, "metadata.a") != "b" || r.get(t, "output.0.role") != "assistant" {
		t.Errorf("%s", r.body)
	}
	if q := m.Requests()[0]; len(q.Messages) != 2 || q.Messages[0].Role != llama.RoleSystem || q.Messages[1].Content != "hi" || q.MaxTokens != 9 {
		t.Errorf("%+v", q)
	}
	r = s.post("/v1/responses", `{"input":[{"role":"user","content":[{"type":"input_text","text":"weather?"}]},{"type":"reasoning","summary":[]},
		{"type":"function_call","call_id":"c0","name":"weather","arguments":"{\"city\":\"Rome\"}"},{"type":"function_call","call_id":"c1","name":"time","arguments":""},
		{"type":"function_call_output","call_id":"c0","output":"sunny"}],
		"tools":[{"type":"function","name":"weather","parameters":{"type":"object"},"strict":true}]}`)
	if r.get(t, "output.0.type") != "message" || r.get(t, "output.1.type") != "function_call" || r.get(t, "output.1.arguments") != `{"city": "Paris"}` || r.get(t, "output.2.name") != "time" || r.get(t, "output.2.arguments") != "{}" {
		t.Errorf("%s", r.body)
	}
	q := m.Requests()[1]
	if len(q.Messages) != 3 || len(q.Messages[1].ToolCalls) != 2 || q.Messages[1].ToolCalls[0].Name != "weather" || q.Messages[2].ToolCallID != "c0" || len(q.Tools) != 1 || q.Tools[0].Name != "weather" {
		t.Errorf("%+v", q)
	}
	r = s.post("/v1/responses", `{"input":"hi","max_output_tokens":2}`)
	if r.get(t, "status") != "incomplete" || r.get(t, "incomplete_details.reason") != "max_output_tokens" || r.get(t, "usage.input_tokens_details.cached_tokens") != 3. {
		t.Errorf("%s", r.body)
	}
	for body, param := range map[string]string{`{}`: "input", `{"input":7}`: "input", `{"input":"x","previous_response_id":"r"}`: "previous_response_id", `{"input":[{"type":"item_reference"}]}`: "input[0].type",
		`{"input":"x","tools":[{"type":"web_search"}]}`: "tools[0].type"} {
		if r := s.post("/v1/responses", body); r.status != 400 || r.get(t, "error.param") != param {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
}

func TestResponsesStream(t *testing.T) {
	s := serving(t, llamatest.New(weather, llamatest.Answer{Text: "a b", Err: fmt.Errorf("broken")}, llamatest.Answer{}), Options{})
	kinds, data := events(t, s.post("/v1/responses", `{"input":"hi","stream":true}`).body)
	want := []string{"created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.delta", "output_text.delta", "output_text.done",
		"content_part.done", "output_item.done", "output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
		"output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done", "completed"}
	if fmt.Sprint(kinds) != "[response."+strings.Join(want, " response.")+"]" {
		t.Errorf("%v, expected %v", kinds, want)
	}
	for i, d := range data {
		if lookup(d, "sequence_number") != float64(i) {
			t.Errorf("event %d: %v", i, d)
		}
	}
	last := data[len(data)-1]
	if lookup(last, "response.output.0.content.0.text") != "Let me see." || lookup(last, "response.output.1.call_id") != "call_1" || lookup(last, "response.usage.output_tokens") != 3. || lookup(data[12], "output_index") != 1. {
		t.Errorf("%v", last)
	}
	kinds, _ = events(t, s.post("/v1/responses", `{"input":"hi","stream":true}`).body)
	if kinds[len(kinds)-1] != "response.failed" {
		t.Errorf("%v", kinds)
	}
	kinds, data = events(t, s.post("/v1/responses", `{"input":"hi","stream":true}`).body)
	if n := len(kinds); kinds[n-1] != "response.completed" || lookup(data[n-1], "response.output.0.content.0.text") != "" {
		t.Errorf("an empty answer: %v %v", kinds, data)
	}
}

// TestHeartbeat has models that are silent for long, and fail before their first token: by then the status is sent, and the stream says it.
func TestHeartbeat(t *testing.T) {
	m := &llamatest.Model{Answer: func(int, llama.Request) llamatest.Answer {
		return llamatest.Answer{Delay: time.Minute, Text: "a"}
	}}
	h := Handler(m, Options{Timeout: 100 * time.Millisecond})
	h.(*server).heartbeat = 10 * time.Millisecond
	s := httptest.NewServer(h)
	defer s.Close()
	for path, c := range map[string]struct{ body, beat, says string }{
		"chat/completions": {`{` + hi + `,"stream":true}`, ": still at work\n\n", `"code":"timeout"`},
		"completions":      {`{"prompt":"hi","stream":true}`, ": still at work\n\n", `"code":"timeout"`},
		"responses":        {`{"input":"hi","stream":true}`, ": still at work\n\n", `"type":"response.failed"`},
		"messages":         {`{` + hi + `,"max_tokens":9,"stream":true}`, ping, `"type":"timeout_error"`},
	} {
		r := client{t, s.URL}.post("/v1/"+path, c.body)
		if r.status != 200 || !strings.HasPrefix(r.body, c.beat) || !strings.Contains(r.body, c.says) {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
}

func TestMessages(t *testing.T) {
	m := llamatest.New(llamatest.Answer{Text: "hello you"}, weather, llamatest.Answer{Text: "a b c"})
	s := serving(t, m, Options{})
	r := s.post("/v1/messages", `{"model":"claude","max_tokens":9,"system":[{"type":"text","text":"Be brief."}],`+hi+`,"stop_sequences":["x"],"top_k":5,"metadata":{"user_id":"u"}}`)
	if r.get(t, "type") != "message" || r.get(t, "content.0.text") != "hello you" || r.get(t, "stop_reason") != "end_turn" || r.get(t, "usage.output_tokens") != 2. || r.get(t, "stop_sequence") != nil || r.header.Get("Request-Id") == "" {
		t.Errorf("%s", r.body)
	}
	if q := m.Requests()[0]; q.Messages[0].Content != "Be brief." || q.MaxTokens != 9 || q.Stop[0] != "x" || q.Sampling.TopK != 5 || q.Key != "u" {
		t.Errorf("%+v", q)
	}
	r = s.post("/v1/messages", `{"model":"claude","max_tokens":9,"messages":[{"role":"user","content":"weather?"},
		{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"x"},{"type":"text","text":"Let me see."},{"type":"tool_use","id":"t1","name":"weather","input":{"city":"Rome"}}]},
		{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"sunny"}]},{"type":"text","text":"and now?"}]}],
		"tools":[{"name":"weather","description":"d","input_schema":{"type":"object"}}]}`)
	if r.get(t, "content.0.text") != "Let me see." || r.get(t, "content.1.type") != "tool_use" || r.get(t, "content.1.input.city") != "Paris" || r.get(t, "content.2.name") != "time" || r.get(t, "stop_reason") != "tool_use" {
		t.Errorf("%s", r.body)
	}
	q := m.Requests()[1]
	if len(q.Messages) != 4 || q.Messages[1].Content != "Let me see." || string(q.Messages[1].ToolCalls[0].Arguments) != `{"city":"Rome"}` || q.Messages[2].ToolCallID != "t1" || q.Messages[2].Content != "sunny" || q.Messages[3].Content != "and now?" || q.Tools[0].Name != "weather" {
		t.Errorf("%+v", q)
	}
	if r := s.post("/v1/messages", `{"max_tokens":2,`+hi+`}`); r.get(t, "stop_reason") != "max_tokens" {
		t.Errorf("%s", r.body)
	}
	for _, body := range []string{`{` + hi + `}`, `{"max_tokens":0,` + hi + `}`, `{"max_tokens":1}`, `{"max_tokens":1,"messages":[]}`, `{"max_tokens":1,"messages":[{"role":"user","content":[{"type":"image"}]}]}`, `{"max_tokens":1,` + hi + `,"tools":[{"type":"bash_20250124","name":"bash"}]}`} {
		if r := s.post("/v1/messages", body); r.status != 400 || r.get(t, "type") != "error" || r.get(t, "error.type") != "invalid_request_error" || r.get(t, "request_id") == nil {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
}

func TestMessagesStream(t *testing.T) {
	s := serving(t, llamatest.New(weather, llamatest.Answer{Text: "a b", Err: fmt.Errorf("broken")}), Options{})
	kinds, data := events(t, s.post("/v1/messages", `{"max_tokens":9,"stream":true,`+hi+`}`).body)
	want := []string{"message_start", "content_block_start", "content_block_delta", "content_block_delta", "content_block_delta", "content_block_stop",
		"content_block_start", "content_block_delta", "content_block_stop", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop"}
	if fmt.Sprint(kinds) != fmt.Sprint(want) {
		t.Errorf("%v, expected %v", kinds, want)
	}
	if lookup(data[7], "delta.partial_json") != `{"city": "Paris"}` || lookup(data[7], "index") != 1. || lookup(data[12], "delta.stop_reason") != "tool_use" || lookup(data[12], "usage.output_tokens") != 3. {
		t.Errorf("%v", data)
	}
	kinds, data = events(t, s.post("/v1/messages", `{"max_tokens":9,"stream":true,`+hi+`}`).body)
	if n := len(kinds); kinds[n-1] != "error" || lookup(data[n-1], "error.type") != "api_error" {
		t.Errorf("%v %v", kinds, data)
	}
}

// TestSmolMessages has what only a real model knows: stop texts, prefills, counts.
func TestSmolMessages(t *testing.T) {
	s := serving(t, openSmol(t, nil), Options{})
	ask := func(path, more string) reply {
		return s.post(path, `{"max_tokens":20,"temperature":0,"messages":[{"role":"user","content":"What is the capital of France?"}`+more+`}`)
	}
	r := ask("/v1/messages", `],"stop_sequences":[" Paris"]`)
	if r.get(t, "content.0.text") != "The capital of France is" || r.get(t, "stop_reason") != "stop_sequence" || r.get(t, "stop_sequence") != " Paris" {
		t.Errorf("%s", r.body)
	}
	n := ask("/v1/messages/count_tokens", `]`).get(t, "input_tokens")
	if n == nil || n != r.get(t, "usage.input_tokens") {
		t.Errorf("%v tokens counted, %s", n, r.body)
	}
	r = ask("/v1/messages", `,{"role":"assistant","content":"The capital of"}],"stream":true`)
	kinds, data := events(t, r.body)
	if kinds[0] != "message_start" || lookup(data[0], "message.usage.input_tokens").(float64) <= n.(float64) || lookup(data[2], "delta.text") != " France" {
		t.Errorf("%v", data)
	}
}

func TestToolChoice(t *testing.T) {
	m := &llamatest.Model{Answer: func(int, llama.Request) llamatest.Answer { return weather }}
	s := serving(t, m, Options{})
	const chat, flat = `"tools":[{"type":"function","function":{"name":"f"}}]`, `"tools":[{"type":"function","name":"f"}]`
	const client = `"max_tokens":9,"tools":[{"name":"f","input_schema":{"type":"object"}}]`
	must, named := llama.ToolChoice{Mode: llama.ToolRequired}, llama.ToolChoice{Mode: llama.ToolRequired, Name: "f"}
	for i, c := range []struct {
		path, body string
		want       llama.ToolChoice
	}{
		{"chat/completions", `{` + hi + `,` + chat + `}`, llama.ToolChoice{}},
		{"chat/completions", `{` + hi + `,` + chat + `,"tool_choice":"auto","parallel_tool_calls":true}`, llama.ToolChoice{}},
		{"chat/completions", `{` + hi + `,` + chat + `,"tool_choice":"required","parallel_tool_calls":false}`, llama.ToolChoice{Mode: llama.ToolRequired, Single: true}},
		{"chat/completions", `{` + hi + `,` + chat + `,"tool_choice":"none"}`, llama.ToolChoice{Mode: llama.ToolNone}},
		{"chat/completions", `{` + hi + `,` + chat + `,"tool_choice":{"type":"function","function":{"name":"f"}}}`, named},
		{"responses", `{"input":"hi",` + flat + `,"tool_choice":{"type":"function","name":"f"}}`, named},
		{"responses", `{"input":"hi",` + flat + `,"tool_choice":"required"}`, must},
		{"messages", `{` + hi + `,` + client + `,"tool_choice":{"type":"any"}}`, must},
		{"messages", `{` + hi + `,` + client + `,"tool_choice":{"type":"auto","disable_parallel_tool_use":true}}`, llama.ToolChoice{Single: true}},
		{"messages", `{` + hi + `,` + client + `,"tool_choice":{"type":"tool","name":"f"}}`, named},
		{"messages", `{` + hi + `,` + client + `,"tool_choice":{"type":"none"}}`, llama.ToolChoice{Mode: llama.ToolNone}},
	} {
		r := s.post("/v1/"+c.path, c.body)
		if all := m.Requests(); r.status != 200 || len(all) != i+1 || all[i].ToolChoice != c.want {
			t.Fatalf("%s %s: %d %s", c.path, c.body, r.status, r.body)
		}
	}
	for body, param := range map[string]string{
		`{` + hi + `,"tool_choice":"required"}`:                                               "tool_choice",
		`{` + hi + `,` + chat + `,"tool_choice":"sometimes"}`:                                 "tool_choice",
		`{` + hi + `,` + chat + `,"tool_choice":{"type":"function","function":{"name":"g"}}}`: "tool_choice",
		`{` + hi + `,` + chat + `,"tool_choice":{"type":"function"}}`:                         "tool_choice.name",
		`{` + hi + `,"tools":[{"type":"function"}]}`:                                          "tools[0].name",
		`{` + hi + `,"tools":[{"type":"function","function":{"name":"f","parameters":[]}}]}`:  "tools[0].function.parameters",
	} {
		if r := s.post("/v1/chat/completions", body); r.status != 400 || r.get(t, "error.param") != param {
			t.Errorf("%s: %d %s, expected param %s", body, r.status, r.body, param)
		}
	}
}

// TestChatCalls streams calls, whose pieces make up what comes without a stream.
func TestChatCalls(t *testing.T) {
	s := serving(t, llamatest.New(weather, weather), Options{})
	r := s.post("/v1/chat/completions", `{`+hi+`}`)
	if r.get(t, "choices.0.message.tool_calls.0.function.arguments") != `{"city": "Paris"}` || r.get(t, "choices.0.message.tool_calls.1.type") != "function" || r.get(t, "choices.0.finish_reason") != "tool_calls" || r.get(t, "choices.0.message.content") != "Let me see." {
		t.Errorf("%s", r.body)
	}
	ordered(t, s.post("/v1/chat/completions", `{`+hi+`,"stream":true}`).body, `"content":" see."`, `"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"weather","arguments":"`, `{\"city\": \"Paris\"}"}}]`,
		`"tool_calls":[{"index":1,"id":"call_2","type":"function","function":{"name":"time","arguments":"`, `"finish_reason":"tool_calls"`)
}
