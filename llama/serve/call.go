package serve

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// call is one request to the server.
type call struct {
	s     *server
	w     *answer
	r     *http.Request
	id    string // of the request, in logs and in the header X-Request-Id
	route string
	start time.Time
	span  trace.Span
	key   *key // whose request it is; nil: nobody's, there are no keys

	mu        sync.Mutex // completions of several prompts run at once
	model     string
	body      []byte
	prompt    int
	generated int
	finish    string
	texts     []string // of the answers, with Options.LogPrompts
	err       error
}

// answer is the connection's writer. It remembers what went out.
type answer struct {
	http.ResponseWriter
	call   *call
	status int // 0: nothing yet
	bytes  int64
}

func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status = status
	}
	a.call.extend()
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	a.call.extend()
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

// extend gives the client time to take the next piece. Writers without a connection, such as tests', have no deadlines.
func (c *call) extend() {
	http.NewResponseController(c.w.ResponseWriter).SetWriteDeadline(time.Now().Add(c.s.WriteTimeout))
}

// newID makes an id as OpenAI's and Anthropic's are: unique, and not to be guessed.
func newID(prefix string) string {
	var b [12]byte
	rand.Read(b[:]) // never fails
	return prefix + hex.EncodeToString(b[:])
}

func (s *server) begin(w http.ResponseWriter, r *http.Request) *call {
	c := &call{s: s, r: r, id: newID("req_"), route: "none", start: time.Now()}
	c.w = &answer{ResponseWriter: w, call: c}
	h := w.Header()
	h.Set("X-Request-Id", c.id)
	if c.anthropic() {
		h.Set("Request-Id", c.id)
	}
	h.Set("X-Content-Type-Options", "nosniff")
	c.startSpan()
	return c
}

func (c *call) took() time.Duration { return time.Since(c.start) }

// end writes the log's line, and ends the span.
func (c *call) end() {
	took := c.took()
	status := c.w.status
	if status == 0 {
		status = http.StatusOK
	}
	if c.err != nil && failureOf(c.err).status == statusGone {
		status = statusGone
	}
	c.endSpan(status)
	level := slog.LevelInfo
	switch {
	case status >= 500:
		level = slog.LevelError
	case c.route == "GET /health" || c.route == "GET /ready" || c.route == "GET /metrics":
		level = slog.LevelDebug
	}
	if !c.s.Logger.Enabled(c.r.Context(), level) {
		return
	}
	attrs := []slog.Attr{slog.String("id", c.id), slog.String("method", c.r.Method), slog.String("path", c.r.URL.Path), slog.Int("status", status), slog.Duration("took", took)}
	if c.key != nil {
		attrs = append(attrs, slog.String("key", c.key.name))
	}
	if c.model != "" {
		attrs = append(attrs, slog.String("model", c.model), slog.Int("prompt_tokens", c.prompt), slog.Int("generated_tokens", c.generated))
	}
	if c.finish != "" {
		attrs = append(attrs, slog.String("finish", c.finish))
	}
	if id := c.span.SpanContext().TraceID(); id.IsValid() {
		attrs = append(attrs, slog.String("trace", id.String()))
	}
	if c.err != nil {
		attrs = append(attrs, slog.String("error", c.problem()))
	}
	if c.s.LogPrompts && len(c.body) > 0 {
		attrs = append(attrs, slog.String("body", string(c.body)), slog.Any("answers", c.texts))
	}
	c.s.Logger.LogAttrs(c.r.Context(), level, "request", attrs...)
}

// problem is what the log has of an error: not the message to the client, which may quote what was sent, but its kind, or of the
// server's own failures their cause.
func (c *call) problem() string {
	f := failureOf(c.err)
	if f.status >= 500 && f.cause != nil {
		return f.cause.Error()
	}
	return strings.Trim(f.code+" "+f.param, " ")
}

// anthropic reports whether the client speaks Anthropic's API.
func (c *call) anthropic() bool { return strings.HasPrefix(c.r.URL.Path, "/v1/messages") }

// fail answers with an error, unless an answer has begun; streams tell of theirs by themselves.
func (c *call) fail(err error) {
	c.err = err
	if c.w.status != 0 {
		return
	}
	f := failureOf(err)
	if f.status == statusGone {
		return
	}
	h := c.w.Header()
	if f.after > 0 {
		h.Set("Retry-After", f.retryAfter())
	}
	if f.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if f.status == http.StatusRequestEntityTooLarge || f.status == http.StatusRequestTimeout {
		h.Set("Connection", "close")
	}
	c.write(f.status, c.errorBody(f))
}

func (c *call) errorBody(f *failure) any {
	if c.anthropic() {
		return f.anthropic(c.id)
	}
	return f.openai()
}

// reply answers with JSON.
func (c *call) reply(v any) error { return c.write(http.StatusOK, v) }

func (c *call) write(status int, v any) error {
	data, err := marshal(v)
	if err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", fmt.Sprint(len(data)))
	c.w.WriteHeader(status)
	_, err = c.w.Write(data)
	return err
}

// marshal writes JSON without escapes for HTML, which it is not.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

// read takes in a request's body, which is a JSON object.
func (c *call) read() (object, *decoding, error) {
	if e := c.r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return object{}, nil, &failure{status: http.StatusUnsupportedMediaType, kind: "invalid_request_error", code: "unsupported_encoding", message: fmt.Sprintf("a body in encoding %.20q, expected none", e)}
	}
	rc := http.NewResponseController(c.w.ResponseWriter)
	rc.SetReadDeadline(time.Now().Add(c.s.ReadTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, c.s.MaxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return object{}, nil, &failure{status: http.StatusRequestEntityTooLarge, kind: "invalid_request_error", code: "request_too_large", message: fmt.Sprintf("a body of more than %d bytes", large.Limit)}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return object{}, nil, &failure{status: http.StatusRequestTimeout, kind: "invalid_request_error", code: "slow_request", message: fmt.Sprintf("the body did not arrive within %v", c.s.ReadTimeout)}
	case err != nil:
		return object{}, nil, &failure{status: http.StatusBadRequest, kind: "invalid_request_error", code: "incomplete_request", message: "the body ended early", cause: err}
	}
	rc.SetReadDeadline(time.Time{}) // from here on reading only tells when the client is gone
	c.body = body
	o, d := decode(body)
	return o, d, d.err()
}
