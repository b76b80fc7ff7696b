// Perplexity prints how well a model predicts a text:
//
//	go run ./bench/perplexity -model F -f TEXT [-ctx N] [-kv f16|q8] [-exact] [-logits OUT.npy]
//
// The text is cut into windows of N tokens (default: the whole text at once),
// each begun afresh, with a beginning-of-text token where the model's file asks
// for it, and every token that has one before it is scored. -logits writes the
// logits after each token, beginning-of-text included: float32 [tokens,
// vocabulary], for numpy.load.
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
	"unicode/utf8"

	"github.com/llama31/llama31/bench"
	"github.com/llama31/llama31/kernels"
	"github.com/llama31/llama31/llama"
	"github.com/llama31/llama31/llama/hub/bar"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "perplexity:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("perplexity", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // main prints the error, in one line
	var p bench.Perplexity
	fs.StringVar(&p.Model, "model", "", bar.Names+" (required)")
	text := fs.String("f", "", "text `file`, UTF-8 (required)")
	fs.IntVar(&p.Window, "ctx", 0, "tokens of a window (0: the whole text at once)")
	fs.BoolVar(&p.Exact, "exact", false, "float32 activations and KV cache: slow, for checking")
	kv := fs.String("kv", "f16", "elements of the KV cache: f16 or q8")
	fs.IntVar(&p.Threads, "threads", 0, "CPU threads (0: physical cores)")
	fs.StringVar(&p.Device, "device", "auto", "auto, cpu, cuda or reference")
	logits := fs.String("logits", "", "`file.npy` to write the logits to")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(stdout)
			fs.Usage()
		}
		return err
	}
	switch {
	case fs.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case p.Model == "":
		return errors.New("-model is required: a GGUF file")
	case *text == "":
		return errors.New("-f is required: a text file")
	case *kv != "f16" && *kv != "q8":
		return fmt.Errorf("-kv %q: expected f16 or q8", *kv)
	case p.Window < 0 || p.Window == 1 || p.Window > 1<<20:
		return fmt.Errorf("-ctx %d: expected 2 to %d, or 0", p.Window, 1<<20)
	case p.Threads < 0 || p.Threads > 1024:
		return fmt.Errorf("-threads %d: expected 0 to 1024", p.Threads)
	}
	if *kv == "q8" {
		p.KV = llama.Q8
	}
	b, err := os.ReadFile(*text)
	if err != nil {
		return err
	}
	if !utf8.Valid(b) {
		return fmt.Errorf("%s: not UTF-8", *text)
	}
	p.Text = string(b)
	if p.Model, err = bar.Path(ctx, p.Model, stderr); err != nil {
		return err
	}
	info, r, err := score(ctx, p, *logits)
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%s on %s (%s), %d threads; instruction sets: %s\n", info.Name, info.Device, info.Detail, info.Threads,
		strings.Join(kernels.Features(), ", "))
	_, err = fmt.Fprintf(stdout, "perplexity %.6f\ntokens %d scored of %d\n", r.Perplexity, r.Scored, r.Tokens)
	return err
}

// score runs p. The logits are written beside path and renamed at the end, so
// that an interrupted run leaves no half file under that name.
func score(ctx context.Context, p bench.Perplexity, path string) (llama.Info, bench.PerplexityResult, error) {
	if path == "" {
		return p.Run(ctx)
	}
	part := path + ".part"
	f, err := os.Create(part)
	if err != nil {
		return llama.Info{}, bench.PerplexityResult{}, err
	}
	defer os.Remove(part)
	w := bufio.NewWriterSize(f, 1<<20)
	p.Logits = w
	info, r, err := p.Run(ctx)
	if err == nil {
		err = w.Flush()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(part, path)
	}
	return info, r, err
}
