package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/llama31/llama31/llama"
	"github.com/llama31/llama31/llama/llamatest"
)

func post(t *testing.T, g llama.Generator, path, body string) (int, string) {
	t.Helper()
	s := httptest.NewServer(handler(g, "test"))
	defer s.Close()
	r, err := http.Post(s.URL+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	all, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(all)
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name, path, body string
		answer           llamatest.Answer
		status           int
		expect           []string // in this order
	}{
		{"chat", "/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}],"max_tokens":9}`, llamatest.Answer{Text: "hello you"}, 200,
			[]string{`"object":"chat.completion"`, `"message":{"role":"assistant","content":"hello you"}`, `"finish_reason":"stop"`, `"completion_tokens":2`}},
		{"completion", "/v1/completions", `{"prompt":"hi","stop":"x"}`, llamatest.Answer{Text: "hello"}, 200,
			[]string{`"object":"text_completion"`, `"text":"hello"`}},
		{"stream", "/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_usage":true}}`, llamatest.Answer{Text: "hello you"}, 200,
			[]string{`"delta":{"content":"hello"}`, `"delta":{"content":" you"}`, `"finish_reason":"stop"`, `"choices":[]`, `"completion_tokens":2`, "data: [DONE]"}},
		{"cut", "/v1/completions", `{"prompt":"hi","max_tokens":1,"stream":true}`, llamatest.Answer{Text: "hello you"}, 200,
			[]string{`"text":"hello"`, `"finish_reason":"length"`, "[DONE]"}},
		{"busy", "/v1/completions", `{"prompt":"hi"}`, llamatest.Answer{Err: llama.ErrBusy}, 503, []string{`"unavailable_error"`}},
		{"busy stream", "/v1/completions", `{"prompt":"hi","stream":true}`, llamatest.Answer{Err: llama.ErrBusy}, 503, []string{`"unavailable_error"`}},
		{"late error", "/v1/completions", `{"prompt":"hi","stream":true}`, llamatest.Answer{Text: "hello", Err: fmt.Errorf("no more")}, 200, []string{`"hello"`, `"error":{"message":"no more"`}},
		{"no JSON", "/v1/completions", `{"prompt":`, llamatest.Answer{}, 400, []string{"invalid_request_error"}},
		{"no prompt", "/v1/chat/completions", `{"prompt":"hi"}`, llamatest.Answer{}, 400, []string{"invalid_request_error"}},
		{"tools", "/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function"}]}`, llamatest.Answer{}, 400, []string{"not served here"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body := post(t, llamatest.New(c.answer), c.path, c.body)
			if status != c.status {
				t.Errorf("status %d, expected %d: %s", status, c.status, body)
			}
			rest := body
			for _, e := range c.expect {
				_, after, ok := strings.Cut(rest, e)
				if !ok {
					t.Fatalf("no %s (in this place) in %s", e, body)
				}
				rest = after
			}
		})
	}
}

func TestRequest(t *testing.T) {
	m := llamatest.Says("ok")
	post(t, m, "/v1/completions", `{"prompt":"hi","temperature":0,"top_p":0.5,"seed":7,"user":"u","stop":["a","b"],"ignore_eos":true,"n":2}`)
	q := m.Requests()[0]
	if q.Prompt != "hi" || *q.Sampling.Temperature != 0 || q.Sampling.TopP != 0.5 || *q.Sampling.Seed != 7 || q.Key != "u" || len(q.Stop) != 2 || !q.Sampling.IgnoreEOS || q.N != 2 {
		t.Errorf("%+v %+v", q, *q.Sampling)
	}
}
