// Compare asks two models the same questions, a line of standard input each, and shows how they answer:
//
//	go run ./examples/compare -a F.gguf -b http://127.0.0.1:8080/v1 <questions.txt
//
// Each is a GGUF file, or the address of a server with OpenAI's API, after NAME= if the server has several models. It says how far the
// answers are alike, and how long they took. At temperature 0, which is the default, a model is alike itself. Servers' key is the
// environment variable OPENAI_API_KEY.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
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
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	fs := flag.NewFlagSet("compare", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	var names [2]string
	fs.StringVar(&names[0], "a", "", "`model`: a GGUF file, or a server's address (required)")
	fs.StringVar(&names[1], "b", "", "the other `model` (required)")
	most := fs.Int("n", 200, "most tokens of an answer")
	temperature := fs.Float64("temp", 0, "temperature")
	seed := fs.Uint64("seed", 1, "seed")
	system := fs.String("system", "", "system message")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(stdout)
			fs.Usage()
		}
		return err
	}
	if names[0] == "" || names[1] == "" || fs.NArg() > 0 {
		return errors.New("-a and -b are required, and nothing beside the flags")
	}
	var models [2]llama.Generator
	for i, name := range names {
		m, closing, err := open(ctx, name)
		if err != nil {
			return err
		}
		defer closing()
		models[i] = m
	}
	var sum total
	lines := bufio.NewScanner(stdin)
	for lines.Scan() {
		question := strings.TrimSpace(lines.Text())
		if question == "" {
			continue
		}
		r := llama.Request{MaxTokens: *most, Sampling: &llama.Sampling{Temperature: temperature, Seed: seed}}
		if *system != "" {
			r.Messages = append(r.Messages, llama.System(*system))
		}
		r.Messages = append(r.Messages, llama.User(question))
		if err := compare(ctx, stdout, models, r, &sum); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	sum.print(stdout)
	return nil
}

// open opens a model's file, or takes a server's address.
func open(ctx context.Context, name string) (llama.Generator, func() error, error) {
	model, address, ok := strings.Cut(name, "=")
	if !ok || strings.Contains(model, "://") {
		model, address = "", name
	}
	if strings.Contains(address, "://") {
		m, err := remote.New(address, model, &remote.Options{Key: os.Getenv("OPENAI_API_KEY"), Retries: 2})
		return m, func() error { return nil }, err
	}
	m, err := llama.Open(ctx, name, nil)
	if err != nil {
		return nil, nil, err
	}
	return m, m.Close, nil
}

// total is what all questions gave.
type total struct {
	questions, same int
	tokens          [2]int
	took            [2]time.Duration
}

// compare asks both a question, one after the other.
func compare(ctx context.Context, w io.Writer, models [2]llama.Generator, r llama.Request, sum *total) error {
	var texts [2]string
	fmt.Fprintf(w, "# %s\n\n", r.Messages[len(r.Messages)-1].Content)
	for i, m := range models {
		start := time.Now()
		response, err := m.Generate(ctx, r)
		if err != nil {
			return fmt.Errorf("%c: %w", 'a'+i, err)
		}
		took := time.Since(start)
		texts[i] = strings.TrimSpace(response.Text())
		sum.tokens[i] += response.Usage.Generated
		sum.took[i] += took
		fmt.Fprintf(w, "%c (%d tokens, %.2f s): %s\n\n", 'a'+i, response.Usage.Generated, took.Seconds(), texts[i])
	}
	sum.questions++
	if n := common(texts[0], texts[1]); texts[0] == texts[1] {
		sum.same++
		fmt.Fprint(w, "the same\n\n")
	} else {
		fmt.Fprintf(w, "alike for %d characters\n\n", n)
	}
	return nil
}

// common counts the characters that two texts begin with alike.
func common(a, b string) int {
	x, y := []rune(a), []rune(b)
	n := 0
	for n < len(x) && n < len(y) && x[n] == y[n] {
		n++
	}
	return n
}

func (t *total) print(w io.Writer) {
	fmt.Fprintf(w, "%d of %d answers are the same\n", t.same, t.questions)
	for i := range t.tokens {
		if s := t.took[i].Seconds(); s > 0 {
			fmt.Fprintf(w, "%c: %d tokens in %.2f s, %.1f a second\n", 'a'+i, t.tokens[i], s, float64(t.tokens[i])/s)
		}
	}
}
