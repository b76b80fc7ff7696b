// Server answers OpenAI's chat and completions requests with one model:
//
//	go run ./examples/server -model F [-addr 127.0.0.1:8080]
//
// It has POST /v1/chat/completions and /v1/completions, with and without streaming, GET /v1/models and /health. Requests share the
// model fairly by their "user". Fields that it does not know, tools among them, are refused where ignoring them would change the answer.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/llama31/llama31/llama"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("server", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	model := fs.String("model", "", "GGUF `file` (required)")
	addr := fs.String("addr", "127.0.0.1:8080", "`address` to listen on")
	var o llama.Options
	fs.IntVar(&o.Context, "ctx", 0, "context in tokens; 0: the model's, as memory allows")
	fs.IntVar(&o.Threads, "threads", 0, "CPU workers; 0: physical cores")
	fs.IntVar(&o.MaxRunning, "np", 0, "requests that run at once; 0: 32")
	fs.IntVar(&o.MaxQueued, "queue", 0, "with -reject: requests that wait beside; 0: 1024")
	fs.BoolVar(&o.NoSpeculation, "nospec", false, "no speculation")
	fs.BoolVar(&o.RejectWhenFull, "reject", false, "status 503 in place of a long queue")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(out)
			fs.Usage()
		}
		return err
	}
	if *model == "" || fs.NArg() > 0 {
		return errors.New("-model is required, and nothing beside the flags")
	}
	m, err := llama.Open(ctx, *model, &o)
	if err != nil {
		return err
	}
	defer m.Close()
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s on http://%s\n", m.Info().Name, l.Addr())
	s := &http.Server{Handler: handler(m, m.Info().Name), ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { s.Close() })
	if err := s.Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}

// handler serves a model under a name.
func handler(g llama.Generator, name string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, map[string]any{"object": "list", "data": []any{map[string]string{"id": name, "object": "model", "owned_by": "local"}}})
	})
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) { serve(w, r, g, name, true) })
	mux.HandleFunc("POST /v1/completions", func(w http.ResponseWriter, r *http.Request) { serve(w, r, g, name, false) })
	return mux
}

// request is the part of OpenAI's that is understood, with llama-server's ignore_eos.
type request struct {
	Messages            []llama.Message `json:"messages"`
	Prompt              string          `json:"prompt"`
	MaxTokens           int             `json:"max_tokens"`
	MaxCompletionTokens int             `json:"max_completion_tokens"`
	N                   int             `json:"n"`
	Temperature         *float64        `json:"temperature"`
	TopP                *float64        `json:"top_p"`
	Frequency           float64         `json:"frequency_penalty"`
	Presence            float64         `json:"presence_penalty"`
	Seed                *uint64         `json:"seed"`
	Stop                texts           `json:"stop"`
	IgnoreEOS           bool            `json:"ignore_eos"`
	User                string          `json:"user"`
	Stream              bool            `json:"stream"`
	StreamOptions       struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`

	// These would change the answer, and are not done here.
	Tools          refused `json:"tools"`
	ResponseFormat refused `json:"response_format"`
	LogitBias      refused `json:"logit_bias"`
	Logprobs       refused `json:"logprobs"`
}

// texts is a text or several.
type texts []string

func (t *texts) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		*t = make(texts, 1)
		return json.Unmarshal(data, &(*t)[0])
	}
	return json.Unmarshal(data, (*[]string)(t))
}

// refused is a field that may only be null or false.
type refused struct{}

func (*refused) UnmarshalJSON(data []byte) error {
	if s := string(data); s != "null" && s != "false" && s != "[]" && s != "{}" {
		return fmt.Errorf("tools, response formats, biases and log-probabilities are not served here: %.40s", s)
	}
	return nil
}

func (q *request) llama() llama.Request {
	temperature, p := 1.0, 1.0 // OpenAI's
	if q.Temperature != nil {
		temperature = *q.Temperature
	}
	if q.TopP != nil {
		p = *q.TopP
	}
	return llama.Request{
		Messages: q.Messages, Prompt: q.Prompt, MaxTokens: max(q.MaxTokens, q.MaxCompletionTokens), N: q.N, Stop: q.Stop, Key: q.User,
		Sampling: &llama.Sampling{Temperature: &temperature, TopP: p, Frequency: q.Frequency, Presence: q.Presence, Seed: q.Seed, IgnoreEOS: q.IgnoreEOS},
	}
}

const maxBody = 16 << 20

func serve(w http.ResponseWriter, r *http.Request, g llama.Generator, name string, chat bool) {
	q := request{}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	if err := dec.Decode(&q); err != nil {
		fail(w, fmt.Errorf("%w: %w", llama.ErrRequest, err))
		return
	}
	if chat == (q.Messages == nil) {
		fail(w, fmt.Errorf("%w: expected messages for a chat, and a prompt for a completion", llama.ErrRequest))
		return
	}
	a := answer{chat: chat, ID: fmt.Sprintf("cmpl-%x", time.Now().UnixNano()), Created: time.Now().Unix(), Model: name}
	if !q.Stream {
		response, err := g.Generate(r.Context(), q.llama())
		if err != nil {
			fail(w, err)
			return
		}
		write(w, http.StatusOK, a.whole(response))
		return
	}
	started := false
	send := func(v any) {
		if !started {
			started = true
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Cache-Control", "no-cache")
		}
		data, _ := json.Marshal(v) // of our own types
		fmt.Fprintf(w, "data: %s\n\n", data)
		http.NewResponseController(w).Flush()
	}
	for t, err := range g.Stream(r.Context(), q.llama()) {
		switch {
		case err != nil && !started:
			fail(w, err)
			return
		case err != nil:
			send(map[string]any{"error": problem(err)})
			return
		}
		if t.Text != "" || t.ID >= 0 {
			send(a.piece(t))
		}
		if t.Response != nil {
			send(a.end(t.Response))
			if q.StreamOptions.IncludeUsage {
				send(a.usage(t.Response))
			}
		}
	}
	io.WriteString(w, "data: [DONE]\n\n")
}

// answer makes the objects of OpenAI's API.
type answer struct {
	chat    bool
	ID      string   `json:"id"`
	Object  string   `json:"object"`
	Created int64    `json:"created"`
	Model   string   `json:"model"`
	Choices []choice `json:"choices"`
	Usage   *usage   `json:"usage,omitempty"`
}

type choice struct {
	Index   int            `json:"index"`
	Message *llama.Message `json:"message,omitempty"`
	Delta   *delta         `json:"delta,omitempty"`
	Text    *string        `json:"text,omitempty"`
	Finish  *llama.Finish  `json:"finish_reason"`
}

type delta struct {
	Content string `json:"content,omitempty"`
}

type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
	Details    struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

func (a answer) named(chat, plain string) answer {
	a.Object = plain
	if a.chat {
		a.Object = chat
	}
	return a
}

func (a answer) whole(r *llama.Response) answer {
	a = a.usage(r).named("chat.completion", "text_completion")
	for i := range r.Choices {
		c := choice{Index: i, Finish: &r.Choices[i].Finish}
		if a.chat {
			c.Message = &r.Choices[i].Message
		} else {
			c.Text = &r.Choices[i].Message.Content
		}
		a.Choices = append(a.Choices, c)
	}
	return a
}

func (a answer) piece(t llama.Token) answer {
	a = a.named("chat.completion.chunk", "text_completion")
	c := choice{Index: t.Choice}
	if a.chat {
		c.Delta = &delta{t.Text}
	} else {
		c.Text = &t.Text
	}
	a.Choices = []choice{c}
	return a
}

func (a answer) end(r *llama.Response) answer {
	a = a.named("chat.completion.chunk", "text_completion")
	for i := range r.Choices {
		c := choice{Index: i, Finish: &r.Choices[i].Finish, Text: new(string)}
		if a.chat {
			c.Text, c.Delta = nil, &delta{}
		}
		a.Choices = append(a.Choices, c)
	}
	return a
}

func (a answer) usage(r *llama.Response) answer {
	a = a.named("chat.completion.chunk", "text_completion")
	a.Choices = []choice{}
	a.Usage = &usage{Prompt: r.Usage.Prompt, Completion: r.Usage.Generated, Total: r.Usage.Prompt + r.Usage.Generated}
	a.Usage.Details.Cached = r.Usage.Cached
	return a
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func problem(err error) map[string]string {
	return map[string]string{"message": err.Error(), "type": kind(err)}
}

func kind(err error) string {
	switch {
	case errors.Is(err, llama.ErrRequest), errors.Is(err, llama.ErrContextLength), errors.Is(err, llama.ErrTemplate), errors.Is(err, llama.ErrUnsupported):
		return "invalid_request_error"
	case errors.Is(err, llama.ErrBusy), errors.Is(err, llama.ErrClosed):
		return "unavailable_error"
	}
	return "server_error"
}

func fail(w http.ResponseWriter, err error) {
	status := map[string]int{"invalid_request_error": http.StatusBadRequest, "unavailable_error": http.StatusServiceUnavailable, "server_error": http.StatusInternalServerError}
	write(w, status[kind(err)], map[string]any{"error": problem(err)})
}
