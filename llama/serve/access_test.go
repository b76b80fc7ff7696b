package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/llama31/llama31/llama"
	"github.com/llama31/llama31/llama/llamatest"
)

// keysOf makes a list of keys, each with its limits, and gives their secrets.
func keysOf(t *testing.T, limits ...string) (*Keys, []string) {
	t.Helper()
	var list strings.Builder
	var secrets []string
	for i, l := range limits {
		secret, line := NewKey(fmt.Sprintf("key%d", i))
		secrets = append(secrets, secret)
		fmt.Fprintln(&list, line, l, "# a comment")
	}
	k, err := ReadKeys(strings.NewReader("# keys\n\n" + list.String()))
	if err != nil {
		t.Fatal(err)
	}
	return k, secrets
}

func TestKeys(t *testing.T) {
	keys, secrets := keysOf(t, "", "rpm=2 weight=3", "tpm=20")
	m := &llamatest.Model{Answer: func(int, llama.Request) llamatest.Answer { return llamatest.Answer{Text: "one two three four five"} }}
	s := serving(t, m, Options{Keys: keys})
	ask := func(header ...string) reply { return s.post("/v1/chat/completions", `{`+hi+`,"user":"u"}`, header...) }
	for _, h := range [][]string{nil, {"Authorization", "Bearer "}, {"Authorization", "Bearer sk-x"}, {"X-Api-Key", "x"}, {"Authorization", "Basic " + secrets[0]}, {"Authorization", secrets[0]}} {
		if r := ask(h...); r.status != 401 || r.get(t, "error.code") == nil || r.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%v: %d %s", h, r.status, r.body)
		}
	}
	if r := s.post("/v1/messages", `{}`, "X-Api-Key", "x"); r.status != 401 || r.get(t, "error.type") != "authentication_error" {
		t.Errorf("%d %s", r.status, r.body)
	}
	for _, h := range [][]string{{"Authorization", "Bearer " + secrets[0]}, {"Authorization", "bearer " + secrets[0]}, {"X-Api-Key", secrets[0]}} {
		if r := ask(h...); r.status != 200 {
			t.Errorf("%v: %d %s", h, r.status, r.body)
		}
	}
	if q := m.Requests()[0]; q.Key != "key0" {
		t.Errorf("the request is for %q, expected the key's name", q.Key)
	}
	for _, path := range []string{"/health", "/ready", "/metrics", "/openapi.json"} {
		if r := s.do("GET", path, ""); r.status != 200 {
			t.Errorf("%s without a key: %d", path, r.status)
		}
	}
	if r := s.do("GET", "/v1/models", ""); r.status != 401 {
		t.Errorf("models without a key: %d", r.status)
	}
	if w := keys.Weights(); w["key1"] != 3 || w["key0"] != 1 {
		t.Errorf("weights %v", w)
	}

	limited := func(key, after int) {
		t.Helper()
		for i := range after {
			if r := ask("X-Api-Key", secrets[key]); r.status != 200 {
				t.Errorf("request %d of key %d: %d %s", i, key, r.status, r.body)
			}
		}
		r := ask("X-Api-Key", secrets[key])
		if wait, _ := strconv.Atoi(r.header.Get("Retry-After")); r.status != 429 || wait < 1 || wait > 60 || r.get(t, "error.code") != "rate_limit_exceeded" {
			t.Errorf("key %d: %d %v %s", key, r.status, r.header, r.body)
		}
	}
	limited(1, 2) // of two a minute
	limited(2, 4) // six tokens each, of 20: the fourth owes

	// A list that is read anew keeps what was used of the same limits, and forgets the keys that are gone.
	_, line := NewKey("key9")
	if err := keys.Read(strings.NewReader(line + "\nkey1 " + fmt.Sprintf("%x", (*keys.all.Load())[1].sum) + " rpm=2 weight=3")); err != nil {
		t.Fatal(err)
	}
	limited(1, 0)
	if r := ask("X-Api-Key", secrets[0]); r.status != 401 {
		t.Errorf("a key that is gone: %d", r.status)
	}
}

func TestReadKeys(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	for _, bad := range []string{"", "# none", "a", "a sk-secret", "a " + sum + " rpm=0", "a " + sum + " rpm=x", "a " + sum + " rpm=-1", "a " + sum + " rpm=Inf", "a " + sum + " nosuch=1", "a " + sum + "\na " + strings.Repeat("cd", 32),
		"a " + sum + "\nb " + sum} {
		if _, err := ReadKeys(strings.NewReader(bad)); !errors.Is(err, ErrKeys) || strings.Contains(fmt.Sprint(err), "sk-secret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzReadKeys(f *testing.F) {
	_, line := NewKey("a")
	f.Add(line + " rpm=3 tpm=1e5 weight=0.5\n# x")
	f.Fuzz(func(t *testing.T, text string) {
		if k, err := ReadKeys(strings.NewReader(text)); err == nil && (len(k.Weights()) == 0 || k.find("") != nil && !strings.Contains(strings.ToLower(text), "e3b0c442")) {
			t.Errorf("%q", text)
		}
	})
}

func TestSources(t *testing.T) {
	m := &llamatest.Model{Answer: func(int, llama.Request) llamatest.Answer { return llamatest.Answer{Text: "ok"} }}
	keys, secrets := keysOf(t, "")
	for _, c := range []struct {
		o      Options
		header []string
		status int
	}{
		{Options{}, nil, 200},
		{Options{}, []string{"Host", "localhost:8080"}, 200},
		{Options{}, []string{"Host", "app.localhost"}, 200},
		{Options{}, []string{"Host", "[::1]:8080"}, 200},
		{Options{}, []string{"Host", "192.168.1.7"}, 200},
		{Options{}, []string{"Host", "evil.example"}, 403},
		{Options{}, []string{"Host", "localhost.evil.example"}, 403},
		{Options{}, []string{"Host", "127.0.0.1.evil.example:80"}, 403},
		{Options{Hosts: []string{"llama.example"}}, []string{"Host", "LLAMA.example:443"}, 200},
		{Options{Hosts: []string{"llama.example"}}, []string{"Host", "evil.example"}, 403},
		{Options{Hosts: []string{"*"}}, []string{"Host", "evil.example"}, 200},
		{Options{Keys: keys}, []string{"Host", "any.example", "X-Api-Key", secrets[0]}, 200},
		{Options{}, []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		{Options{}, []string{"Origin", "https://evil.example"}, 403},
		{Options{}, []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{Options{Origins: []string{"https://good.example"}}, []string{"Origin", "https://good.example", "Sec-Fetch-Site", "cross-site"}, 200},
		{Options{Origins: []string{"https://good.example"}}, []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		{Options{Origins: []string{"*"}}, []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 200},
	} {
		r := serving(t, m, c.o).post("/v1/completions", `{"prompt":"x"}`, c.header...)
		if r.status != c.status {
			t.Errorf("%+v %v: %d %s, expected %d", c.o, c.header, r.status, r.body, c.status)
		}
		if allowed := r.header.Get("Access-Control-Allow-Origin"); (allowed != "") != (r.status == 200 && len(c.o.Origins) > 0) {
			t.Errorf("%+v %v: origin %q is allowed", c.o, c.header, allowed)
		}
	}
	preflight := []string{"Origin", "https://good.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type"}
	s := serving(t, m, Options{Origins: []string{"https://good.example"}, Keys: keys})
	if r := s.do("OPTIONS", "/v1/chat/completions", "", preflight...); r.status != 204 || r.header.Get("Access-Control-Allow-Headers") != "authorization,content-type" {
		t.Errorf("a preflight: %d %v", r.status, r.header)
	}
	if r := serving(t, m, Options{}).do("OPTIONS", "/v1/chat/completions", "", preflight...); r.status == 204 || r.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a preflight without origins: %d %v", r.status, r.header)
	}
}

// endless is a model that answers until its request ends, and tells when that was.
type endless struct {
	token string
	ended chan error
}

func (e endless) Generate(ctx context.Context, r llama.Request) (*llama.Response, error) {
	<-ctx.Done()
	e.ended <- context.Cause(ctx)
	return nil, context.Cause(ctx)
}

func (e endless) Stream(ctx context.Context, r llama.Request) iter.Seq2[llama.Token, error] {
	return func(yield func(llama.Token, error) bool) {
		for ctx.Err() == nil {
			if !yield(llama.Token{Text: e.token, Bytes: []byte(e.token)}, nil) {
				e.ended <- errors.New("left")
				return
			}
		}
		e.ended <- context.Cause(ctx)
		yield(llama.Token{}, context.Cause(ctx))
	}
}

// TestClients has clients that go away, do not read, or do not write: none holds its request.
func TestClients(t *testing.T) {
	e := endless{strings.Repeat("x", 1000), make(chan error, 1)}
	server := httptest.NewServer(Handler(e, Options{WriteTimeout: 300 * time.Millisecond, ReadTimeout: 300 * time.Millisecond}))
	defer server.Close()
	ends := func(what string) {
		t.Helper()
		select {
		case <-e.ended:
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: the request goes on", what)
		}
	}
	request := func(body string, more int) string {
		return fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body)+more, body)
	}
	dial := func(send string) net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		if err == nil {
			_, err = io.WriteString(c, send)
		}
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	streaming := request(`{`+hi+`,"stream":true}`, 0)
	c := dial(streaming)
	defer c.Close()
	ends("a stream that nobody reads")

	c = dial(streaming)
	c.Read(make([]byte, 100))
	c.Close()
	ends("a stream whose client goes away")

	c = dial(request(`{`+hi+`}`, 0))
	time.Sleep(50 * time.Millisecond)
	c.Close()
	ends("an answer whose client goes away")

	c = dial(request(`{`, 100))
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	said, err := io.ReadAll(c)
	if err != nil || !strings.Contains(string(said), "408 Request Timeout") || !strings.Contains(string(said), "slow_request") {
		t.Errorf("a body that does not come: %v %s", err, said)
	}
}

func TestLimits(t *testing.T) {
	e := endless{"x", make(chan error, 1)}
	s := serving(t, e, Options{Timeout: 100 * time.Millisecond, MaxBody: 100})
	if r := s.post("/v1/chat/completions", `{`+hi+`}`); r.status != 504 || r.get(t, "error.code") != "timeout" {
		t.Errorf("a long answer: %d %s", r.status, r.body)
	}
	<-e.ended
	r := s.post("/v1/chat/completions", `{`+hi+`,"stream":true}`)
	if r.status != 200 || !strings.Contains(r.body[strings.LastIndex(r.body, "data: "):], `"code":"timeout"`) {
		t.Errorf("a long stream: %d %s", r.status, r.body[max(0, len(r.body)-300):])
	}
	<-e.ended
	if r := s.post("/v1/chat/completions", `{`+hi+`,"user":"`+strings.Repeat("x", 100)+`"}`); r.status != 413 {
		t.Errorf("a long body: %d %s", r.status, r.body)
	}
	if r := s.post("/v1/chat/completions", `{`+hi+`}`, "Content-Encoding", "gzip"); r.status != 415 {
		t.Errorf("an encoded body: %d %s", r.status, r.body)
	}
}

// TestLog logs requests without a word of what they say, but on request; and streams keep a trace's id.
func TestLog(t *testing.T) {
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	for _, prompts := range []bool{false, true} {
		var b bytes.Buffer
		m := llamatest.New(llamatest.Answer{Text: "answersecret"}, llamatest.Answer{Err: errors.New("disk on fire")}, llamatest.Answer{})
		s := serving(t, m, Options{Logger: slog.New(slog.NewTextHandler(&b, nil)), LogPrompts: prompts})
		s.post("/v1/completions", `{"prompt":"promptsecret"}`, "Traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
		r := s.post("/v1/completions", `{"prompt":"promptsecret"}`)
		if r.status != 500 || strings.Contains(r.body, "fire") {
			t.Errorf("%d %s", r.status, r.body)
		}
		s.post("/v1/completions", `{"prompt":{"secret":1}}`)
		log := b.String()
		for _, want := range []string{"status=200", "generated_tokens=1", "trace=" + trace, "status=500", `error="disk on fire"`, "status=400", `error="invalid_type prompt"`, r.header.Get("X-Request-Id")} {
			if !strings.Contains(log, want) {
				t.Errorf("no %s in the log: %s", want, log)
			}
		}
		if strings.Contains(log, "promptsecret") != prompts || strings.Contains(log, "answersecret") != prompts {
			t.Errorf("LogPrompts %v: %s", prompts, log)
		}
	}
}

func TestReady(t *testing.T) {
	var err error
	s := serving(t, llamatest.Says(), Options{Ready: func() error { return err }, Fallback: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "page "+r.URL.Path) })})
	if r := s.do("GET", "/ready", ""); r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
	err = errors.New("draining")
	if r := s.do("GET", "/ready", ""); r.status != 503 || r.get(t, "error.message") != "draining" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := s.do("GET", "/", ""); r.body != "page /" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := s.do("GET", "/v1/completions", ""); r.status != 405 || r.header.Get("Allow") != "POST" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := s.post("/", ""); r.status != 404 || r.get(t, "error.code") != "unknown_url" {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// TestOpenAPI requires an entry for every endpoint.
func TestOpenAPI(t *testing.T) {
	r := serving(t, llamatest.Says(), Options{}).do("GET", "/openapi.json", "")
	paths, _ := r.get(t, "paths").(map[string]any)
	for _, p := range []string{"GET /v1/models", "GET /v1/models/{model}", "POST /v1/chat/completions", "POST /v1/completions", "POST /v1/embeddings", "POST /v1/responses", "POST /v1/messages",
		"POST /v1/messages/count_tokens", "POST /tokenize", "POST /detokenize", "GET /tokenizer_info", "GET /health", "GET /ready", "GET /metrics", "GET /openapi.json"} {
		method, path, _ := strings.Cut(p, " ")
		if one, ok := paths[path].(map[string]any); !ok || one[strings.ToLower(method)] == nil {
			t.Errorf("no %s in it", p)
		}
	}
	for _, name := range strings.Split(r.body, `"$ref":"#/components/schemas/`)[1:] {
		name, _, _ = strings.Cut(name, `"`)
		if r.get(t, "components.schemas."+name) == nil {
			t.Errorf("no schema %s", name)
		}
	}
}
