package remote_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/llama31/llama31/internal/testenv"
	"github.com/llama31/llama31/llama"
	"github.com/llama31/llama31/llama/llamatest"
	"github.com/llama31/llama31/llama/remote"
	"github.com/llama31/llama31/llama/serve"
)

func open(t *testing.T, h http.Handler, o *remote.Options) *remote.Model {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	m, err := remote.New(s.URL+"/v1/", "some", o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// stream is a stream's text and response.
func stream(t *testing.T, m llama.Generator, r llama.Request) (text string, tokens []llama.Token, response *llama.Response) {
	t.Helper()
	for tok, err := range m.Stream(t.Context(), r) {
		if err != nil {
			t.Fatal(err)
		}
		text += tok.Text
		tokens = append(tokens, tok)
		response = tok.Response
	}
	if response == nil {
		t.Fatal("no response")
	}
	return text, tokens, response
}

// TestThere and back: a model behind a server, asked through this package, is asked what this package was.
func TestThere(t *testing.T) {
	half, seed := 0.5, uint64(1)<<63+5
	for name, r := range map[string]llama.Request{
		"chat":   {Messages: []llama.Message{llama.System("s"), llama.User("u")}, MaxTokens: 9},
		"prompt": {Prompt: "once", MaxTokens: 9, Stop: []string{"a", "b"}},
		"tokens": {Tokens: []int32{3, 4}, MaxTokens: 9, TopLogprobs: 0, Key: "k", Priority: 2},
		"all": {Messages: []llama.Message{llama.User("u"), {Role: llama.RoleAssistant, Content: "c", ToolCalls: []llama.ToolCall{{ID: "i", Name: "f", Arguments: json.RawMessage(`{"x":1}`)}}}, llama.ToolResult("i", "r")},
			Tools: []llama.Tool{{Name: "f", Description: "d", Parameters: json.RawMessage(`{"type":"object"}`)}}, ToolChoice: llama.ToolChoice{Mode: llama.ToolRequired, Name: "f", Single: true}, N: 2, MaxTokens: 9, Format: llama.AnyJSON(),
			Sampling: &llama.Sampling{Temperature: &half, TopP: 0.5, TopK: 3, MinP: 0.25, Typical: 0.75, Repeat: 1.5, Frequency: 0.5, Presence: -0.5, Seed: &seed, Bias: map[int32]float64{7: 3}, IgnoreEOS: true}},
	} {
		there := llamatest.Says("hello you there", "hello you there")
		m := open(t, serve.Handler(there, serve.Options{}), nil)
		got, err := m.Generate(t.Context(), r)
		if err != nil || got.Text() != "hello you there" || len(got.Choices) != max(1, r.N) || got.Choices[0].Finish != llama.FinishStop || got.Usage.Generated != 3*max(1, r.N) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		r.N = 1
		text, tokens, response := stream(t, m, r)
		if text != "hello you there" || len(tokens) != 4 || tokens[1].Text != " you" || !reflect.DeepEqual(response.Choices[0].Message, got.Choices[0].Message) || response.Usage.Generated != 3 {
			t.Errorf("%s: %q %+v %+v", name, text, tokens, response)
		}
		asked := there.Requests()[1]
		if r.Sampling == nil {
			asked.Sampling = nil
		}
		if !reflect.DeepEqual(asked, r) {
			t.Errorf("%s: asked %+v (%+v), expected %+v (%+v)", name, asked, asked.Sampling, r, r.Sampling)
		}
	}
}

// TestCalls has calls come whole and in pieces.
func TestCalls(t *testing.T) {
	calls := []llama.ToolCall{{ID: "1", Name: "f", Arguments: json.RawMessage(`{"x":1}`)}, {ID: "2", Name: "g", Arguments: json.RawMessage(`{}`)}}
	there := llamatest.Answer{Text: "Let me see.", ToolCalls: calls}
	m := open(t, serve.Handler(llamatest.New(there, there), serve.Options{}), nil)
	r := llama.Request{Messages: []llama.Message{llama.User("u")}, Tools: []llama.Tool{{Name: "f"}, {Name: "g"}}}
	got, err := m.Generate(t.Context(), r)
	if err != nil || !reflect.DeepEqual(got.Choices[0].Message.ToolCalls, calls) || got.Choices[0].Finish != llama.FinishToolCalls {
		t.Errorf("%+v, %v", got, err)
	}
	_, tokens, response := stream(t, m, r)
	if !reflect.DeepEqual(response.Choices[0].Message, got.Choices[0].Message) || response.Choices[0].Finish != llama.FinishToolCalls {
		t.Errorf("%+v", response)
	}
	begun, arguments := 0, ""
	for _, tok := range tokens {
		if p := tok.ToolCall; p != nil && p.Index == 1 {
			if p.Name == "g" && p.ID == "2" {
				begun++
			}
			arguments += p.Arguments
		}
	}
	if begun != 1 || arguments != "{}" {
		t.Errorf("%+v", tokens)
	}
}

func TestErrors(t *testing.T) {
	there := llamatest.New(llamatest.Answer{Err: llama.ErrBusy}, llamatest.Answer{Err: &llama.ContextLengthError{Need: 9, Have: 8}}, llamatest.Answer{Text: "a b", Err: errors.New("broken")},
		llamatest.Answer{Err: llama.ErrBusy}, llamatest.Answer{Text: "at last"})
	m := open(t, serve.Handler(there, serve.Options{}), nil)
	r := llama.Request{Prompt: "x", MaxTokens: 5}
	var e *remote.Error
	if _, err := m.Generate(t.Context(), r); !errors.Is(err, llama.ErrBusy) || !errors.As(err, &e) || e.Status != 429 || e.After != time.Second {
		t.Errorf("%v", err)
	}
	if _, err := m.Generate(t.Context(), r); !errors.Is(err, llama.ErrContextLength) || !errors.Is(err, llama.ErrRequest) {
		t.Errorf("%v", err)
	}
	var last error
	n := 0
	for tok, err := range m.Stream(t.Context(), r) {
		n += len(tok.Text)
		last = err
	}
	if n != 3 || last == nil || errors.Is(last, io.ErrUnexpectedEOF) {
		t.Errorf("%d bytes, %v", n, last)
	}
	again, _ := remote.New("http://127.0.0.1:1/v1", "", nil)
	if _, err := again.Generate(t.Context(), r); err == nil {
		t.Error("nobody is there, and no error")
	}
	retrying := open(t, serve.Handler(there, serve.Options{}), &remote.Options{Retries: 1})
	if got, err := retrying.Generate(t.Context(), r); err != nil || got.Text() != "at last" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []llama.Request{{Prompt: "a", Tokens: []int32{1}}, {Prompt: "a", Shift: true}, {Prompt: "a", Format: llama.Regexp("a")}} {
		if _, err := m.Generate(t.Context(), bad); !errors.Is(err, llama.ErrRequest) && !errors.Is(err, llama.ErrUnsupported) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	for _, address := range []string{"", "127.0.0.1:8080", "ftp://a", "http://", "://"} {
		if _, err := remote.New(address, "", nil); !errors.Is(err, llama.ErrRequest) {
			t.Errorf("address %q: %v", address, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if _, err := m.Generate(ctx, r); err == nil || err.Error() != "enough" {
		t.Errorf("%v", err)
	}
}

// TestOthers has servers that answer in their own ways, or not at all.
func TestOthers(t *testing.T) {
	for _, c := range []struct{ name, body, says string }{
		{"no end", "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n", "unexpected EOF"},
		{"an error", "data: {\"error\":\"out of luck\"}\n\n", "out of luck"},
		{"no JSON", "data: {\n\n", "not understood"},
		{"another choice", "data: {\"choices\":[{\"index\":7}]}\n\n", "choice 7"},
		{"comments and no space", ": hello\n\nevent: x\ndata:{\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null},\"finish_reason\":\"stop\"}]}\n\ndata:[DONE]\n\n", ""},
	} {
		m := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, c.body) }), nil)
		var last error
		for _, err := range m.Stream(t.Context(), llama.Request{Prompt: "x"}) {
			last = err
		}
		if c.says == "" != (last == nil) || last != nil && !strings.Contains(last.Error(), c.says) {
			t.Errorf("%s: %v", c.name, last)
		}
	}
	for body, status := range map[string]int{"": 200, "{}": 200, `{"error":{"message":"no"}}`: 200, "<html>": 502, `{"error":{"message":"no","code":3}}`: 418} {
		m := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status); io.WriteString(w, body) }), nil)
		if r, err := m.Generate(t.Context(), llama.Request{Prompt: "x"}); err == nil || r != nil {
			t.Errorf("%q: %+v, %v", body, r, err)
		}
	}
}

// TestSmol compares a model with itself behind a server.
func TestSmol(t *testing.T) {
	here, err := llama.Open(t.Context(), testenv.Fetched(t, "smollm2"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	there := open(t, serve.Handler(here, serve.Options{}), nil)
	seed := uint64(3)
	r := llama.Request{Messages: []llama.Message{llama.User("Tell me of Paris.")}, MaxTokens: 20, TopLogprobs: 2, Sampling: &llama.Sampling{Seed: &seed}}
	a, near, _ := stream(t, here, r)
	b, far, _ := stream(t, there, r)
	if a != b {
		t.Errorf("%q here, %q there", a, b)
	}
	for i := range 20 {
		if near[i].Logprob != far[i].Logprob || string(near[i].Bytes) != string(far[i].Bytes) || string(near[i].Top[1].Bytes) != string(far[i].Top[1].Bytes) {
			t.Errorf("token %d: %+v here, %+v there", i, near[i], far[i])
		}
	}
	whole, err := there.Generate(t.Context(), r)
	if err != nil || whole.Text() != a {
		t.Errorf("%+v, %v", whole, err)
	}
	plain, _, _ := stream(t, here, llama.Request{Prompt: "The capital of France is", MaxTokens: 5, TopLogprobs: 3, Sampling: r.Sampling})
	if text, tokens, _ := stream(t, there, llama.Request{Prompt: "The capital of France is", MaxTokens: 5, TopLogprobs: 3, Sampling: r.Sampling}); text != plain || len(tokens[0].Top) < 3 || tokens[0].Top[0].Logprob < tokens[0].Top[1].Logprob {
		t.Errorf("%q, expected %q; %+v", text, plain, tokens[0])
	}
}

func ExampleNew() {
	// A server; any that has OpenAI's API will do.
	s := httptest.NewServer(serve.Handler(llamatest.Says("Blue light is scattered most."), serve.Options{}))
	defer s.Close()
	m, err := remote.New(s.URL+"/v1", "llama", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := m.Generate(context.Background(), llama.Request{Messages: []llama.Message{llama.User("Why is the sky blue?")}})
	fmt.Println(r.Text(), err)
	// Output: Blue light is scattered most. <nil>
}
