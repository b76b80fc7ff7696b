package serve

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/llama31/llama31/llama"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// Options of a server. The zero value serves programs on the same machine.
type Options struct {
	// Name is m's among the models; "": its own, general.name of the file. With no Models beside it, m answers to every name, so that
	// a program written for another service need not be changed.
	Name    string
	Models  map[string]llama.Generator // further models, by name
	Aliases map[string]string          // further names, each of a model's name; of "" it is m

	Keys    *Keys    // who may ask, and how much; nil: everyone, without limit
	Hosts   []string // names, beside localhost and IP addresses, that the server goes by; with Keys and no Hosts: any (see Handler)
	Origins []string // web pages that may ask, such as https://example.com, or "*" for all; none: only the server's own

	MaxBody      int64         // bytes of a request; 0: 16 MB
	Timeout      time.Duration // for a whole request; 0: one hour
	ReadTimeout  time.Duration // for a request's body to arrive; 0: 30 seconds
	WriteTimeout time.Duration // for each piece of an answer to be taken; 0: 30 seconds

	Logger     *slog.Logger // a line for each request, without what it says; nil: silent
	LogPrompts bool         // the lines have the requests' bodies and the answers' texts, too

	Registry *prometheus.Registry // gets the metrics of /metrics; nil: one of the handler's own
	Tracer   trace.TracerProvider // OpenTelemetry's, for a span for each request; nil: none. Spans continue a request's traceparent

	Ready    func() error // what /ready answers beside: an error, while draining for instance, is status 503; nil: always ready
	Fallback http.Handler // for GET requests that no endpoint is for, such as a page at /; open to all, keys or not. nil: none
}

// server is the state behind Handler.
type server struct {
	Options
	mux       *http.ServeMux
	models    *models
	metrics   *metrics
	tracer    trace.Tracer
	crossSite *http.CrossOriginProtection

	// heartbeat is how long a stream may be silent. Then a comment goes out, which keeps proxies from ending it, and finds out whether
	// the client is there still.
	heartbeat time.Duration
}

// Handler serves m, and Options.Models. It closes none of them.
//
// Without keys whoever reaches the server may ask. That must not be a web page that somebody on this machine has open: requests of other
// origins are refused (see Options.Origins), and so are those that name a host the server does not go by, lest a page's own name is
// turned into this machine's address (DNS rebinding). With keys, /health, /ready, /metrics and /openapi.json are open still.
//
// A server around it should limit headers by http.Server's ReadHeaderTimeout and MaxHeaderBytes; bodies and answers have their limits
// here.
func Handler(m llama.Generator, o Options) http.Handler {
	s := &server{Options: o, mux: http.NewServeMux(), heartbeat: 15 * time.Second}
	s.MaxBody = or(s.MaxBody, 16<<20)
	s.Timeout = or(s.Timeout, time.Hour)
	s.ReadTimeout = or(s.ReadTimeout, 30*time.Second)
	s.WriteTimeout = or(s.WriteTimeout, 30*time.Second)
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	s.models = newModels(m, &s.Options)
	s.metrics = newMetrics(s.models, s.Registry)
	s.tracer = newTracer(s.Tracer)
	s.crossSite = newCrossSite(s.Origins)
	s.routes()
	return s
}

func or[T int64 | time.Duration](value, otherwise T) T {
	if value == 0 {
		return otherwise
	}
	return value
}

// routes are the endpoints: those that are open to all, those that need a key, and those that count towards its limits, too.
func (s *server) routes() {
	open := func(pattern string, f func(*call) error) { s.handle(pattern, access{}, f) }
	keyed := func(pattern string, f func(*call) error) { s.handle(pattern, access{key: true}, f) }
	limited := func(pattern string, f func(*call) error) { s.handle(pattern, access{key: true, limits: true}, f) }
	open("GET /health", (*call).health)
	open("GET /ready", (*call).ready)
	open("GET /openapi.json", (*call).openapi)
	s.mux.Handle("GET /metrics", s.metrics.handler)
	keyed("GET /v1/models", (*call).listModels)
	keyed("GET /v1/models/{model...}", (*call).getModel)
	limited("POST /v1/chat/completions", (*call).chat)
	limited("POST /v1/completions", (*call).completions)
	limited("POST /v1/embeddings", (*call).embeddings)
	limited("POST /v1/responses", (*call).responses)
	limited("POST /v1/messages", (*call).messages)
	keyed("POST /v1/messages/count_tokens", (*call).countTokens)
	keyed("POST /tokenize", (*call).tokenize)
	keyed("POST /detokenize", (*call).detokenize)
	keyed("GET /tokenizer_info", (*call).tokenizerInfo)
}

// access says what a request to an endpoint needs.
type access struct{ key, limits bool }

func (s *server) handle(pattern string, a access, f func(*call) error) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		c := w.(*answer).call
		c.r = r // with the path's values
		err := c.admit(a)
		if err == nil {
			err = f(c)
		}
		if err != nil {
			c.fail(err)
		}
	})
}

// ServeHTTP checks where a request comes from, and hands it to its endpoint.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeoutCause(r.Context(), s.Timeout, errTimeout)
	defer cancel()
	c := s.begin(w, r.WithContext(ctx))
	defer c.end()
	if err := c.checkSource(); err != nil {
		c.fail(err)
		return
	}
	if c.cors() {
		return
	}
	h, pattern := s.mux.Handler(c.r)
	switch {
	case pattern != "":
		c.route = pattern
		s.mux.ServeHTTP(c.w, c.r)
	default:
		c.unrouted(h)
	}
}

func (c *call) health() error {
	return c.reply(map[string]string{"status": "ok"})
}

func (c *call) ready() error {
	if c.s.Ready != nil {
		if err := c.s.Ready(); err != nil {
			return &failure{status: http.StatusServiceUnavailable, kind: "service_unavailable", code: "not_ready", message: err.Error()}
		}
	}
	return c.reply(map[string]string{"status": "ready"})
}
