// Package remote asks models behind other servers: every one that has OpenAI's API, llama/serve, llama-server, vLLM and OpenAI's own
// among them. A [Model] is a [llama.Generator], as *llama.Model is, so that a program can take either, compare them, or fall back from
// one to the other (see examples/fallback and examples/compare).
package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/llama31/llama31/llama"
)

// Model is a model behind a server. It is safe for concurrent use.
//
// Tokens that it streams are the server's pieces, of a token each with most; their ids are not known, and are −1, and their Logprob is
// there if Request.TopLogprobs is above 0. Priority and those parts of Sampling that OpenAI has not are sent under the names that
// vLLM and llama-server understand, if they are set; Shift and a Format that is no JSON schema are llama.ErrUnsupported.
type Model struct {
	url  string
	name string
	o    Options
}

// Options of a model. The zero value asks a server that needs no key.
type Options struct {
	Key     string         // API key
	Header  http.Header    // further headers
	Fields  map[string]any // further fields of each request, or others in place of what would be sent; nil as a value leaves a field out
	Retries int            // of requests that do not reach the server, or that it refuses for the time being
	Client  *http.Client   // nil: http.DefaultClient
}

var _ llama.Generator = (*Model)(nil)

// New makes a model: of a server at an address such as http://127.0.0.1:8080/v1, under the name by which that knows it.
func New(address, name string, o *Options) (*Model, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%w: the address %q, expected one such as http://127.0.0.1:8080/v1", llama.ErrRequest, address)
	}
	m := &Model{url: strings.TrimSuffix(address, "/"), name: name}
	if o != nil {
		m.o = *o
	}
	if m.o.Client == nil {
		m.o.Client = http.DefaultClient
	}
	return m, nil
}

// Error is what a server says is wrong. It is llama.ErrContextLength, ErrBusy (status 429 or 503) or ErrRequest (others from 400 to 499)
// to errors.Is.
type Error struct {
	Status  int // of HTTP; 0: it came within a stream
	Message string
	Type    string
	Code    string
	Param   string
	After   time.Duration // when to try again, if the server says so
}

func (e *Error) Error() string {
	if e.Status == 0 {
		return "remote: the server says: " + e.Message
	}
	return fmt.Sprintf("remote: status %d: %s", e.Status, e.Message)
}

func (e *Error) Is(target error) bool {
	switch target {
	case llama.ErrContextLength:
		return e.Code == "context_length_exceeded"
	case llama.ErrBusy:
		return e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable
	case llama.ErrRequest:
		return e.Status >= 400 && e.Status < 500 && e.Status != http.StatusTooManyRequests
	}
	return false
}

// Generate answers a request. On an error there is no response.
func (m *Model) Generate(ctx context.Context, r llama.Request) (*llama.Response, error) {
	start := time.Now()
	body, err := m.ask(ctx, &r, false)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var a answer
	if err := json.NewDecoder(io.LimitReader(body, mostAnswer)).Decode(&a); err != nil {
		return nil, cause(ctx, fmt.Errorf("remote: an answer that is not understood: %w", err))
	}
	response, err := a.response()
	if err != nil {
		return nil, err
	}
	response.Timings.Generate = time.Since(start)
	return response, nil
}

// mostAnswer is how many bytes of an answer are read, and mostEvent of an event.
const (
	mostAnswer = 1 << 28
	mostEvent  = 1 << 24
)

// cause is ctx's error in place of what came of it.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// ask sends a request until it is answered, and gives the answer's body.
func (m *Model) ask(ctx context.Context, r *llama.Request, stream bool) (io.ReadCloser, error) {
	path, fields, err := m.fields(r)
	if err != nil {
		return nil, err
	}
	if stream {
		fields["stream"], fields["stream_options"] = true, map[string]bool{"include_usage": true}
	}
	for name, v := range m.o.Fields {
		if v == nil {
			delete(fields, name)
		} else {
			fields[name] = v
		}
	}
	data, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", llama.ErrRequest, err)
	}
	for try := 0; ; try++ {
		body, err := m.send(ctx, path, data)
		if err == nil || ctx.Err() != nil {
			return body, cause(ctx, err)
		}
		wait := 500 * time.Millisecond << min(try, 4)
		if e := (*Error)(nil); errors.As(err, &e) {
			if e.Status != http.StatusTooManyRequests && e.Status < 500 {
				return nil, err
			}
			wait = max(wait, e.After)
		}
		if try >= m.o.Retries {
			return nil, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (m *Model) send(ctx context.Context, path string, data []byte) (io.ReadCloser, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, m.url+path, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	for name, values := range m.o.Header {
		q.Header[name] = values
	}
	q.Header.Set("Content-Type", "application/json")
	if m.o.Key != "" {
		q.Header.Set("Authorization", "Bearer "+m.o.Key)
	}
	resp, err := m.o.Client.Do(q)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	e := readError(said)
	e.Status = resp.StatusCode
	if s, err := strconv.ParseFloat(resp.Header.Get("Retry-After"), 64); err == nil && s > 0 {
		e.After = time.Duration(min(s, 3600) * float64(time.Second))
	}
	return nil, e
}

// readError reads OpenAI's errors, and takes others for text.
func readError(said []byte) *Error {
	var body struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(said, &body) != nil || len(body.Error) == 0 {
		return &Error{Message: strings.TrimSpace(string(said[:min(len(said), 300)]))}
	}
	return errorOf(body.Error)
}

func errorOf(raw json.RawMessage) *Error {
	var e struct {
		Message, Type, Param string
		Code                 any
	}
	if json.Unmarshal(raw, &e) != nil {
		return &Error{Message: string(raw)}
	}
	out := &Error{Message: e.Message, Type: e.Type, Param: e.Param}
	if s, ok := e.Code.(string); ok {
		out.Code = s
	}
	return out
}

// fields are a request in OpenAI's words, and path is where it goes.
func (m *Model) fields(r *llama.Request) (path string, fields map[string]any, err error) {
	fields = map[string]any{}
	if m.name != "" {
		fields["model"] = m.name
	}
	set := func(name string, v any, is bool) {
		if is {
			fields[name] = v
		}
	}
	switch {
	case r.Shift:
		return "", nil, fmt.Errorf("%w: Request.Shift, of another server", llama.ErrUnsupported)
	case r.Messages != nil && (r.Prompt != "" || r.Tokens != nil), r.Prompt != "" && r.Tokens != nil:
		return "", nil, fmt.Errorf("%w: several of Messages, Prompt and Tokens are set, expected one", llama.ErrRequest)
	case r.Messages != nil:
		path, fields["messages"] = "/chat/completions", r.Messages
		set("logprobs", true, r.TopLogprobs > 0)
		set("top_logprobs", r.TopLogprobs, r.TopLogprobs > 0)
		set("tools", r.Tools, len(r.Tools) > 0)
		set("tool_choice", r.ToolChoice, r.ToolChoice.Mode != llama.ToolAuto || r.ToolChoice.Name != "")
		set("parallel_tool_calls", false, r.ToolChoice.Single)
	default:
		path, fields["prompt"] = "/completions", r.Prompt
		set("prompt", r.Tokens, r.Tokens != nil)
		set("logprobs", r.TopLogprobs, r.TopLogprobs > 0)
		set("max_tokens", math.MaxInt16, r.MaxTokens == 0) // OpenAI's own default is 16
	}
	if err := setFormat(fields, r.Format); err != nil {
		return "", nil, err
	}
	set("max_tokens", r.MaxTokens, r.MaxTokens > 0)
	set("n", r.N, r.N > 1)
	set("stop", r.Stop, len(r.Stop) > 0)
	set("user", r.Key, r.Key != "")
	set("priority", r.Priority, r.Priority != 0)
	if s := r.Sampling; s != nil {
		temperature := 1.0
		if s.Temperature != nil {
			temperature = *s.Temperature
		}
		fields["temperature"] = temperature
		fields["top_p"] = 1.0
		set("top_p", s.TopP, s.TopP > 0)
		set("top_k", s.TopK, s.TopK > 0)
		set("min_p", s.MinP, s.MinP > 0)
		set("typical_p", s.Typical, s.Typical > 0)
		set("repetition_penalty", s.Repeat, s.Repeat > 0)
		set("frequency_penalty", s.Frequency, s.Frequency != 0)
		set("presence_penalty", s.Presence, s.Presence != 0)
		set("ignore_eos", true, s.IgnoreEOS)
		if s.Seed != nil {
			fields["seed"] = int64(*s.Seed)
		}
		if len(s.Bias) > 0 {
			bias := map[string]float64{}
			for id, x := range s.Bias {
				bias[strconv.Itoa(int(id))] = max(-100, min(100, x))
			}
			fields["logit_bias"] = bias
		}
	}
	return path, fields, nil
}

func setFormat(fields map[string]any, f llama.Format) error {
	schema := f.Schema()
	switch {
	case schema != nil && bytes.Equal(schema, llama.AnyJSON().Schema()):
		fields["response_format"] = map[string]any{"type": "json_object"}
	case schema != nil:
		fields["response_format"] = map[string]any{"type": "json_schema", "json_schema": map[string]any{"name": "answer", "strict": true, "schema": schema}}
	case isSet(f):
		return fmt.Errorf("%w: a Format that is no JSON schema, of another server", llama.ErrUnsupported)
	}
	return nil
}
