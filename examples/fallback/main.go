// Fallback asks a model on this machine, and another server where that does not answer; or the other way round, with -remote-first:
//
//	go run ./examples/fallback -model F -url https://api.example.com/v1 -name large "Why is the sky blue?"
//
// Both are llama.Generators, and so is what joins them. The server's key is the environment variable OPENAI_API_KEY.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"os/signal"
	"strings"
	"time"

	_ "github.com/llama31/llama31/kernels/cuda" // a GPU, where there is one
	"github.com/llama31/llama31/llama"
	"github.com/llama31/llama31/llama/remote"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "fallback:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("fallback", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	model := fs.String("model", "", "GGUF `file` (required)")
	url := fs.String("url", "", "`address` of a server with OpenAI's API, such as https://api.example.com/v1 (required)")
	name := fs.String("name", "", "the server's `name` for its model")
	remoteFirst := fs.Bool("remote-first", false, "ask the server first")
	wait := fs.Duration("wait", 20*time.Second, "how long the first may take to its first word")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(stdout)
			fs.Usage()
		}
		return err
	}
	question := strings.Join(fs.Args(), " ")
	if *model == "" || *url == "" || question == "" {
		return errors.New("-model, -url and a question are required")
	}
	far, err := remote.New(*url, *name, &remote.Options{Key: os.Getenv("OPENAI_API_KEY")})
	if err != nil {
		return err
	}
	near, err := llama.Open(ctx, *model, &llama.Options{RejectWhenFull: true}) // rather the other than a queue
	if err != nil {
		return err
	}
	defer near.Close()
	f := fallback{first: near, second: far, wait: *wait, why: func(err error) { fmt.Fprintf(stderr, "the first does not answer (%v), the second is asked\n", err) }}
	if *remoteFirst {
		f.first, f.second = far, near
	}
	for t, err := range f.Stream(ctx, llama.Request{Messages: []llama.Message{llama.User(question)}}) {
		if err != nil {
			return err
		}
		fmt.Fprint(stdout, t.Text)
	}
	fmt.Fprintln(stdout)
	return nil
}

// fallback is a Generator that asks a second one where the first fails, or does not begin to answer in time.
type fallback struct {
	first, second llama.Generator
	wait          time.Duration
	why           func(error) // told before the second is asked
}

var _ llama.Generator = fallback{}

var errSlow = errors.New("it took too long")

// Generate answers by the first that can. The wait is for the whole answer.
func (f fallback) Generate(ctx context.Context, r llama.Request) (*llama.Response, error) {
	limited, cancel := context.WithTimeoutCause(ctx, f.wait, errSlow)
	defer cancel()
	response, err := f.first.Generate(limited, r)
	if err == nil || !f.helps(ctx, err) {
		return response, err
	}
	f.why(err)
	return f.second.Generate(ctx, r)
}

// Stream answers by the first that can. Once it has begun to, it is not left for the other.
func (f fallback) Stream(ctx context.Context, r llama.Request) iter.Seq2[llama.Token, error] {
	return func(yield func(llama.Token, error) bool) {
		limited, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		timer := time.AfterFunc(f.wait, func() { cancel(errSlow) })
		begun := false
		for t, err := range f.first.Stream(limited, r) {
			if err != nil && !begun && f.helps(ctx, err) {
				f.why(err)
				f.second.Stream(ctx, r)(yield)
				return
			}
			begun = true
			timer.Stop()
			if !yield(t, err) {
				return
			}
		}
	}
}

// helps reports whether the second may fare better: not with a request that makes no sense, nor when nobody waits for it.
func (f fallback) helps(ctx context.Context, err error) bool {
	return ctx.Err() == nil && (!errors.Is(err, llama.ErrRequest) || errors.Is(err, llama.ErrContextLength))
}
