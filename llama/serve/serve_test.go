package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/llama31/llama31/internal/testenv"
	"github.com/llama31/llama31/llama"
	"github.com/llama31/llama31/llama/llamatest"
)

// reply is what a server said.
type reply struct {
	status int
	header http.Header
	body   string
}

// get reads a value out of a JSON body, by a path such as "choices.0.text"; nil is null, or nothing.
func (r reply) get(t *testing.T, path string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		t.Fatalf("%v in %s", err, r.body)
	}
	return lookup(v, path)
}

func lookup(v any, path string) any {
	for _, name := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
		case []any:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

// client asks a server that runs until the test's end.
type client struct {
	t   *testing.T
	url string
}

func serving(t *testing.T, g llama.Generator, o Options) client {
	t.Helper()
	s := httptest.NewServer(Handler(g, o))
	t.Cleanup(s.Close)
	return client{t, s.URL}
}

func (c client) do(method, path, body string, header ...string) reply {
	c.t.Helper()
	q, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			q.Host = header[i+1]
		}
		q.Header.Set(header[i], header[i+1])
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		c.t.Fatal(err)
	}
	defer r.Body.Close()
	all, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return reply{r.StatusCode, r.Header, string(all)}
}

func (c client) post(path, body string, header ...string) reply {
	c.t.Helper()
	return c.do(http.MethodPost, path, body, header...)
}

// ordered fails unless all parts are in the text, one after the other.
func ordered(t *testing.T, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, p := range parts {
		_, after, ok := strings.Cut(rest, p)
		if !ok {
			t.Fatalf("no %s (in this place) in %s", p, text)
		}
		rest = after
	}
}

// openSmol opens SmolLM2 until the test ends.
func openSmol(t *testing.T, o *llama.Options) *llama.Model {
	t.Helper()
	m, err := llama.Open(t.Context(), testenv.Fetched(t, "smollm2"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// uneven is a model whose first choice ends before the second begins.
type uneven struct{ llama.Generator }

func (uneven) Stream(context.Context, llama.Request) iter.Seq2[llama.Token, error] {
	r := &llama.Response{Choices: []llama.Choice{{Message: llama.Assistant("one"), Finish: llama.FinishLength}, {Message: llama.Assistant("two"), Finish: llama.FinishStop}}}
	return func(yield func(llama.Token, error) bool) {
		for _, t := range []llama.Token{{ID: 1, Text: "one"}, {ID: -1, Finish: llama.FinishLength}, {Choice: 1, ID: 2, Text: "two"}, {Choice: 1, ID: -1, Finish: llama.FinishStop, Response: r}} {
			if !yield(t, nil) {
				return
			}
		}
	}
}

// TestEarlyFinish: of several choices one that ends early is said to have ended then, and once.
func TestEarlyFinish(t *testing.T) {
	s := serving(t, uneven{}, Options{})
	for path, ask := range map[string]string{"/v1/chat/completions": hi, "/v1/completions": `"prompt":"hi"`} {
		body := s.post(path, `{`+ask+`,"stream":true,"n":2}`).body
		ordered(t, body, "one", `"finish_reason":"length"`, "two", `"finish_reason":"stop"`, "[DONE]")
		if n := strings.Count(body, `"finish_reason":"`); n != 2 {
			t.Errorf("%d ends in %s", n, body)
		}
	}
}

const hi = `"messages":[{"role":"user","content":"hi"}]`

func TestChat(t *testing.T) {
	for _, c := range []struct {
		name, path, body string
		answer           llamatest.Answer
		status           int
		expect           []string // in this order
	}{
		{"chat", "/v1/chat/completions", `{` + hi + `,"max_tokens":9,"unknown":{}}`, llamatest.Answer{Text: "hello you"}, 200,
			[]string{`"object":"chat.completion"`, `"message":{"role":"assistant","content":"hello you"`, `"finish_reason":"stop"`, `"completion_tokens":2`}},
		{"parts", "/v1/chat/completions", `{"messages":[{"role":"developer","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},{"role":"user","content":"hi"}]}`,
			llamatest.Answer{Text: "ok"}, 200, []string{`"content":"ok"`, `"prompt_tokens":2`}},
		{"completion", "/v1/completions", `{"prompt":"hi","stop":"x"}`, llamatest.Answer{Text: "hello"}, 200, []string{`"object":"text_completion"`, `"text":"hello"`}},
		{"several", "/v1/completions", `{"prompt":["a","b"],"n":2,"echo":true}`, llamatest.Answer{Text: " hello"}, 200,
			[]string{`"index":0,"text":"a hello"`, `"index":1,"text":"a hello"`, `"index":2,"text":"b hello"`, `"index":3,"text":"b hello"`, `"completion_tokens":4`}},
		{"stream", "/v1/chat/completions", `{` + hi + `,"stream":true,"stream_options":{"include_usage":true}}`, llamatest.Answer{Text: "hello you"}, 200,
			[]string{`"delta":{"role":"assistant","content":""}`, `"usage":null`, `"delta":{"content":"hello"}`, `"delta":{"content":" you"}`, `"delta":{}`, `"finish_reason":"stop"`, `"choices":[]`, `"completion_tokens":2`, "data: [DONE]"}},
		{"stream of two", "/v1/chat/completions", `{` + hi + `,"stream":true,"n":2}`, llamatest.Answer{Text: "hello"}, 200,
			[]string{`"index":0,"delta":{"role"`, `"index":1,"delta":{"role"`, `"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"`, `"index":1,"delta":{},"logprobs":null,"finish_reason":"stop"`, "[DONE]"}},
		{"cut", "/v1/completions", `{"prompt":"hi","max_tokens":1,"stream":true}`, llamatest.Answer{Text: "hello you"}, 200, []string{`"text":"hello"`, `"finish_reason":"length"`, "[DONE]"}},
		{"busy", "/v1/completions", `{"prompt":"hi"}`, llamatest.Answer{Err: llama.ErrBusy}, 429, []string{`"rate_limit_error"`}},
		{"busy stream", "/v1/completions", `{"prompt":"hi","stream":true}`, llamatest.Answer{Err: llama.ErrBusy}, 429, []string{`"rate_limit_error"`}},
		{"late error", "/v1/completions", `{"prompt":"hi","stream":true}`, llamatest.Answer{Text: "hello", Err: fmt.Errorf("no more")}, 200, []string{`"hello"`, `"code":"internal_error"`}},
		{"context", "/v1/chat/completions", `{` + hi + `}`, llamatest.Answer{Err: &llama.ContextLengthError{Need: 9, Have: 8}}, 400, []string{`"context_length_exceeded"`, "9 tokens"}},
		{"unknown method", "/v1/nosuch", `{}`, llamatest.Answer{}, 404, []string{`"unknown_url"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &llamatest.Model{Answer: func(int, llama.Request) llamatest.Answer { return c.answer }}
			r := serving(t, m, Options{}).post(c.path, c.body)
			if r.status != c.status {
				t.Errorf("status %d, expected %d: %s", r.status, c.status, r.body)
			}
			ordered(t, r.body, c.expect...)
			if (r.status == 429) != (r.header.Get("Retry-After") != "") {
				t.Errorf("status %d with Retry-After %q", r.status, r.header.Get("Retry-After"))
			}
		})
	}
}

// TestFields sends fields of wrong types and values, whose names and whose errors' codes come back.
func TestFields(t *testing.T) {
	s := serving(t, llamatest.Says(), Options{})
	for _, c := range []struct{ path, body, param, code string }{
		{"chat/completions", `{"messages":`, "", "invalid_json"},
		{"chat/completions", `[]`, "", "invalid_type"},
		{"chat/completions", `null`, "", "invalid_type"},
		{"chat/completions", `{} {}`, "", "invalid_json"},
		{"chat/completions", `{"messages":[` + strings.Repeat("0,", 1<<20) + `0,0]}`, "", "too_many_values"},
		{"chat/completions", `{}`, "messages", "missing_required_parameter"},
		{"chat/completions", `{"messages":[]}`, "messages", "empty_array"},
		{"chat/completions", `{"messages":"hi"}`, "messages", "invalid_type"},
		{"chat/completions", `{"messages":["hi"]}`, "messages[0]", "invalid_type"},
		{"chat/completions", `{"messages":[null]}`, "messages[0]", "invalid_type"},
		{"chat/completions", `{"messages":[{"content":"hi"}]}`, "messages[0].role", "missing_required_parameter"},
		{"chat/completions", `{"messages":[{"role":"wizard","content":"hi"}]}`, "messages[0].role", "invalid_value"},
		{"chat/completions", `{"messages":[{"role":"user"}]}`, "messages[0].content", "missing_required_parameter"},
		{"chat/completions", `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]}`, "messages[0].content[0].type", "unsupported_value"},
		{"chat/completions", `{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"x"}}]}]}`, "messages[0].tool_calls[0].function.arguments", "invalid_value"},
		{"chat/completions", `{` + hi + `,"temperature":"warm"}`, "temperature", "invalid_type"},
		{"chat/completions", `{` + hi + `,"temperature":3}`, "temperature", "decimal_above_max_value"},
		{"chat/completions", `{` + hi + `,"temperature":1e999}`, "temperature", "invalid_value"},
		{"chat/completions", `{` + hi + `,"top_p":-0.1}`, "top_p", "decimal_below_min_value"},
		{"chat/completions", `{` + hi + `,"n":1.5}`, "n", "invalid_type"},
		{"chat/completions", `{` + hi + `,"n":0}`, "n", "integer_below_min_value"},
		{"chat/completions", `{` + hi + `,"n":1e30}`, "n", "integer_above_max_value"},
		{"chat/completions", `{` + hi + `,"max_tokens":0}`, "max_tokens", "integer_below_min_value"},
		{"chat/completions", `{` + hi + `,"stop":7}`, "stop", "invalid_type"},
		{"chat/completions", `{` + hi + `,"stop":["a",7]}`, "stop[1]", "invalid_type"},
		{"chat/completions", `{` + hi + `,"stop":["a",""]}`, "stop", "invalid_value"},
		{"chat/completions", `{` + hi + `,"logit_bias":{"x":1}}`, "logit_bias", "invalid_value"},
		{"chat/completions", `{` + hi + `,"logit_bias":{"1":101}}`, "logit_bias.1", "decimal_above_max_value"},
		{"chat/completions", `{` + hi + `,"stream":"yes"}`, "stream", "invalid_type"},
		{"chat/completions", `{` + hi + `,"stream_options":{"include_usage":true}}`, "stream_options", "invalid_value"},
		{"chat/completions", `{` + hi + `,"top_logprobs":2}`, "top_logprobs", "invalid_value"},
		{"chat/completions", `{` + hi + `,"logprobs":true,"top_logprobs":21}`, "top_logprobs", "integer_above_max_value"},
		{"chat/completions", `{` + hi + `,"user":7}`, "user", "invalid_type"},
		{"chat/completions", `{` + hi + `,"model":7}`, "model", "invalid_type"},
		{"chat/completions", `{` + hi + `,"audio":{}}`, "audio", "unsupported_parameter"},
		{"chat/completions", `{` + hi + `,"functions":[]}`, "functions", "unsupported_parameter"},
		{"chat/completions", `{` + hi + `,"response_format":{"type":"json_schema","json_schema":{"name":"x"}}}`, "response_format.json_schema.schema", "missing_required_parameter"},
		{"chat/completions", `{` + hi + `,"response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":{"type":"string","enum":[]}}}}`, "response_format.json_schema.schema", "invalid_format"},
		{"chat/completions", `{` + hi + `,"response_format":{"type":"xml"}}`, "response_format.type", "invalid_value"},
		{"chat/completions", `{` + hi + `,"guided_regex":"("}`, "guided_regex", "invalid_format"},
		{"chat/completions", `{` + hi + `,"guided_regex":"a","grammar":"root ::= \"a\""}`, "grammar", "invalid_value"},
		{"chat/completions", `{` + hi + `,"structured_outputs":{"choice":[]}}`, "structured_outputs.choice", "empty_array"},
		{"completions", `{"max_tokens":1}`, "prompt", "missing_required_parameter"},
		{"completions", `{"prompt":{}}`, "prompt", "invalid_type"},
		{"completions", `{"prompt":["a",1]}`, "prompt[1]", "invalid_type"},
		{"completions", `{"prompt":[1,"a"]}`, "prompt[1]", "invalid_type"},
		{"completions", `{"prompt":[[1],[]]}`, "prompt[1]", "empty_array"},
		{"completions", `{"prompt":[-1]}`, "prompt[0]", "integer_below_min_value"},
		{"completions", `{"prompt":"a","suffix":"b"}`, "suffix", "unsupported_parameter"},
		{"completions", `{"prompt":"a","best_of":3}`, "best_of", "unsupported_parameter"},
		{"completions", `{"prompt":"a","logprobs":true}`, "logprobs", "invalid_type"},
		{"embeddings", `{"input":"x"}`, "model", "unsupported_parameter"},
	} {
		r := s.post("/v1/"+c.path, c.body)
		param, _ := r.get(t, "error.param").(string)
		if r.status != 400 || param != c.param || r.get(t, "error.code") != c.code || r.get(t, "error.type") != "invalid_request_error" || r.get(t, "error.message") == "" {
			t.Errorf("%.500s: status %d, %s; expected param %q, code %q", c.body, r.status, r.body, c.param, c.code)
		}
	}
}

func TestRequest(t *testing.T) {
	m := llamatest.Says("ok", "ok")
	s := serving(t, m, Options{})
	s.post("/v1/completions", `{"prompt":"hi","temperature":0,"top_p":0.5,"seed":-7,"user":"u","stop":["a","b"],"ignore_eos":true,"n":2,"logit_bias":{"3":-100,"4":2.0},"top_k":-1,"repetition_penalty":1.5,"presence_penalty":null}`)
	q := m.Requests()[0]
	p := q.Sampling
	if q.Prompt != "hi" || *p.Temperature != 0 || p.TopP != 0.5 || int64(*p.Seed) != -7 || q.Key != "u" || len(q.Stop) != 2 || !p.IgnoreEOS || q.N != 2 || q.MaxTokens != 16 ||
		!(p.Bias[3] < -1e300) || p.Bias[4] != 2 || p.TopK != 0 || p.Repeat != 1.5 {
		t.Errorf("%+v %+v", q, *p)
	}
	s.post("/v1/chat/completions", `{`+hi+`,"max_tokens":5,"max_completion_tokens":7,"stop":"x"}`)
	q = m.Requests()[1]
	if q.Messages[0].Content != "hi" || q.MaxTokens != 7 || *q.Sampling.Temperature != 0.6 || q.Sampling.TopP != 0.9 || q.Stop[0] != "x" {
		t.Errorf("%+v %+v", q, *q.Sampling)
	}
}

func TestModels(t *testing.T) {
	a, b := llamatest.Says("from a", "from a", "from a"), llamatest.Says("from b", "from b")
	ask := func(s client, model string) reply {
		return s.post("/v1/chat/completions", `{"model":"`+model+`",`+hi+`}`)
	}
	one := serving(t, a, Options{Name: "a"})
	if r := ask(one, "gpt-4o"); r.get(t, "choices.0.message.content") != "from a" || r.get(t, "model") != "a" {
		t.Errorf("any name of a single model: %s", r.body)
	}
	s := serving(t, a, Options{Name: "a", Models: map[string]llama.Generator{"org/b": b}, Aliases: map[string]string{"gpt-4o": "org/b", "x": ""}})
	for name, text := range map[string]string{"": "from a", "x": "from a", "org/b": "from b", "gpt-4o": "from b"} {
		if r := ask(s, name); r.get(t, "choices.0.message.content") != text {
			t.Errorf("model %q: %s, expected %q", name, r.body, text)
		}
	}
	if r := ask(s, "c"); r.status != 404 || r.get(t, "error.code") != "model_not_found" || r.get(t, "error.param") != "model" {
		t.Errorf("an unknown model: %d %s", r.status, r.body)
	}
	r := s.do("GET", "/v1/models", "")
	for i, name := range []string{"a", "org/b", "gpt-4o", "x"} {
		if r.get(t, fmt.Sprintf("data.%d.id", i)) != name {
			t.Errorf("models: %s, expected %s as number %d", r.body, name, i)
		}
	}
	if r := s.do("GET", "/v1/models/org/b", ""); r.get(t, "id") != "org/b" || r.get(t, "object") != "model" {
		t.Errorf("one model: %s", r.body)
	}
	if r := s.do("GET", "/v1/models/none", ""); r.status != 404 {
		t.Errorf("no model: %s", r.body)
	}
	if r := s.do("PUT", "/v1/models", ""); r.status != 405 || r.header.Get("Allow") == "" || r.get(t, "error.code") != "method_not_allowed" {
		t.Errorf("PUT: %d %v %s", r.status, r.header, r.body)
	}
}

// TestFormats has a real model answer in each of the formats.
func TestFormats(t *testing.T) {
	s := serving(t, openSmol(t, nil), Options{})
	const schema = `{"type":"object","properties":{"city":{"type":"string","maxLength":12},"people":{"type":"integer","maximum":1000}},"required":["city","people"],"additionalProperties":false}`
	for format, pattern := range map[string]string{
		`"response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":` + schema + `}}`: `^\{\s*"city":\s*".{0,72}",\s*"people":\s*-?\d+\s*\}$`,
		`"response_format":{"type":"json_object"}`:         `(?s)^\{.*`,
		`"guided_json":` + schema:                          `^\{\s*"city"`,
		`"guided_regex":"[0-9]{3}-[a-z]{2}"`:               `^[0-9]{3}-[a-z]{2}$`,
		`"structured_outputs":{"choice":["yes","no (?)"]}`: `^(yes|no \(\?\))$`,
		`"grammar":"root ::= \"a\" [0-9] \"z\""`:           `^a[0-9]z$`,
	} {
		r := s.post("/v1/chat/completions", `{"messages":[{"role":"user","content":"Tell me of Paris."}],"temperature":0,"max_tokens":120,`+format+`}`)
		if text, _ := r.get(t, "choices.0.message.content").(string); !regexp.MustCompile(pattern).MatchString(text) {
			t.Errorf("%s: %d %s", format, r.status, r.body)
		}
	}
	r := s.post("/v1/responses", `{"input":"Tell me of Paris.","max_output_tokens":120,"text":{"format":{"type":"json_schema","name":"x","strict":true,"schema":`+schema+`}}}`)
	if text, _ := r.get(t, "output.0.content.0.text").(string); !strings.HasPrefix(text, "{") {
		t.Errorf("%s", r.body)
	}
	r = s.post("/v1/messages", `{"max_tokens":120,"messages":[{"role":"user","content":"Paris?"}],"output_config":{"format":{"type":"json_schema","schema":`+schema+`}}}`)
	if text, _ := r.get(t, "content.0.text").(string); !strings.HasPrefix(text, "{") {
		t.Errorf("%s", r.body)
	}
}

// TestSmol asks a real model for what a fake has not: log-probabilities, embeddings, tokens.
func TestSmol(t *testing.T) {
	m := openSmol(t, nil)
	s := serving(t, m, Options{})
	r := s.post("/v1/chat/completions", `{"messages":[{"role":"user","content":"What is the capital of France?"}],"temperature":0,"max_tokens":20,"logprobs":true,"top_logprobs":2}`)
	text, _ := r.get(t, "choices.0.message.content").(string)
	var joined bytes.Buffer
	content, _ := r.get(t, "choices.0.logprobs.content").([]any)
	for _, e := range content {
		for _, b := range lookup(e, "bytes").([]any) {
			joined.WriteByte(byte(b.(float64)))
		}
		if p := lookup(e, "logprob").(float64); p > 0 || lookup(e, "top_logprobs.0.logprob").(float64) < p || len(lookup(e, "top_logprobs").([]any)) != 2 {
			t.Errorf("a token: %v", e)
		}
	}
	if !strings.Contains(text, "Paris") || joined.String() != text {
		t.Errorf("%q, its tokens %q", text, joined.String())
	}

	r = s.post("/v1/completions", `{"prompt":["The capital of France is","One two"],"max_tokens":3,"temperature":0,"echo":true,"logprobs":1}`)
	if text, _ := r.get(t, "choices.0.text").(string); !strings.HasPrefix(text, "The capital of France is Paris") || r.get(t, "choices.0.logprobs.token_logprobs.0") != nil {
		t.Errorf("echo: %s", r.body)
	}
	tokens, _ := r.get(t, "choices.0.logprobs.tokens").([]any)
	if len(tokens) != 8 || r.get(t, "choices.0.logprobs.text_offset.7") != float64(len("The capital of France is Paris. ")-1) {
		t.Errorf("echo: %s", r.body)
	}
	scored := s.post("/v1/completions", `{"prompt":"The capital of France is","max_tokens":0,"echo":true,"logprobs":1,"prompt_logprobs":1}`)
	if scored.get(t, "choices.0.logprobs.token_logprobs.4") != r.get(t, "choices.0.logprobs.token_logprobs.4") || scored.get(t, "usage.completion_tokens") != 0. || len(scored.get(t, "choices.0.prompt_logprobs").([]any)) != 5 {
		t.Errorf("scored: %s", scored.body)
	}

	e := s.post("/v1/embeddings", `{"input":["a dog","a puppy"]}`)
	ids := s.post("/tokenize", `{"prompt":"a puppy"}`)
	data, _ := json.Marshal(ids.get(t, "tokens"))
	e2 := s.post("/v1/embeddings", fmt.Sprintf(`{"input":%s,"encoding_format":"base64"}`, data))
	if v, _ := e.get(t, "data.1.embedding").([]any); len(v) != m.Info().Hidden || len(e2.get(t, "data.0.embedding").(string)) != 4*m.Info().Hidden*4/3 {
		t.Errorf("embeddings: %.200s %.200s", e.body, e2.body)
	}
	if r := s.post("/v1/embeddings", `{"input":"x","dimensions":7}`); r.status != 400 || r.get(t, "error.param") != "dimensions" {
		t.Errorf("dimensions: %s", r.body)
	}
	if r := s.post("/detokenize", fmt.Sprintf(`{"tokens":%s}`, data)); r.get(t, "prompt") != "a puppy" {
		t.Errorf("detokenize: %s", r.body)
	}
	if r := s.post("/tokenize", `{`+hi+`}`); r.get(t, "count").(float64) < 10 {
		t.Errorf("tokenize a chat: %s", r.body)
	}
	if r := s.do("GET", "/tokenizer_info", ""); r.get(t, "eos_token") != "<|im_end|>" {
		t.Errorf("tokenizer_info: %s", r.body)
	}
	for prompt, n := range map[string]int{"<|im_end|>": 1, "a<|im_end|>": 8} { // the name of a token, and text
		if r := s.post("/tokenize", fmt.Sprintf(`{"prompt":%q}`, prompt)); len(r.get(t, "tokens").([]any)) != n {
			t.Errorf("tokenize %s: %s, expected %d tokens", prompt, r.body, n)
		}
	}
	if r := s.post("/v1/completions", `{"prompt":[49152]}`); r.status != 400 {
		t.Errorf("a token too high: %d %s", r.status, r.body)
	}
	same := `{` + hi + `,"seed":5,"max_tokens":8,"temperature":1.5}`
	if a, b := s.post("/v1/chat/completions", same), s.post("/v1/chat/completions", same); a.get(t, "choices.0.message.content") != b.get(t, "choices.0.message.content") {
		t.Errorf("one seed, two texts: %s %s", a.body, b.body)
	}
	r = s.post("/v1/chat/completions", `{"messages":[{"role":"user","content":"What is the capital of France?"},{"role":"assistant","content":"The capital of"}],"continue_final_message":true,"temperature":0,"max_tokens":8}`)
	if text, _ := r.get(t, "choices.0.message.content").(string); !strings.HasPrefix(text, " France") {
		t.Errorf("a message gone on with: %s", r.body)
	}
	metrics := s.do("GET", "/metrics", "").body
	for _, name := range []string{"vllm:num_requests_running{", "vllm:num_requests_waiting{", "vllm:kv_cache_usage_perc{", "vllm:time_to_first_token_seconds_bucket{", "vllm:request_success_total{", "vllm:prompt_tokens_total{"} {
		if !strings.Contains(metrics, "\n"+name) {
			t.Errorf("no %s in the metrics", name)
		}
	}
}
