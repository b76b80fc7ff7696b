// Opening measures how soon a model gives its first token, from Open on, and
// what memory the process has then:
//
//	go run ./bench/opening -model F [-ctx N]
//
// The file should be in the page cache (`cat F >/dev/null`). Beside it is one
// token's time: the median of those that follow. Memory is Linux's.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/llama31/llama31/kernels"
	"github.com/llama31/llama31/llama"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "opening:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("opening", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // main prints the error, in one line
	model := fs.String("model", "", "GGUF `file` (required)")
	window := fs.Int("ctx", 2048, "tokens of context, for which the KV cache has room")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(out)
			fs.Usage()
		}
		return err
	}
	const tokens = 10
	switch {
	case fs.NArg() > 0 || *model == "":
		return errors.New("expected -model FILE and no further arguments")
	case *window <= tokens+1:
		return fmt.Errorf("-ctx %d: expected more than %d", *window, tokens+1)
	}
	start := time.Now()
	m, err := llama.Open(ctx, *model, &llama.Options{Context: *window, KVBytes: 1, MaxRunning: 1, NoSpeculation: true})
	if err != nil {
		return err
	}
	defer m.Close()
	opened := time.Since(start)
	var first time.Duration
	var each []time.Duration
	last := start
	q := llama.Request{Tokens: []int32{1}, MaxTokens: tokens, Sampling: &llama.Sampling{IgnoreEOS: true}}
	for _, err := range m.Stream(ctx, q) {
		if err != nil {
			return err
		}
		now := time.Now()
		if first == 0 {
			first = now.Sub(start)
		} else {
			each = append(each, now.Sub(last))
		}
		last = now
	}
	if len(each) == 0 {
		return errors.New("the model gave one token only")
	}
	slices.Sort(each)
	one := each[len(each)/2]
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	i := m.Info()
	fmt.Fprintf(out, "%s, %.2f GB, on %s (%s), %d threads; instruction sets: %s\n", i.Name, float64(i.Bytes)/1e9, i.Device, i.Detail, i.Threads,
		strings.Join(kernels.Features(), ", "))
	fmt.Fprintf(out, "first token after %.0f ms, of them Open %.0f; one token takes %.0f ms: %.0f ms more\n", ms(first), ms(opened), ms(one), ms(first-one))
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil // another system
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 && (f[0] == "VmRSS:" || f[0] == "RssAnon:" || f[0] == "RssFile:") {
			fmt.Fprintln(out, f[0], f[1], f[2])
		}
	}
	return nil
}
