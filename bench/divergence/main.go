// Divergence prints how far a model's predictions of a text are from those of
// another, as llama.cpp's llama-perplexity prints it for itself:
//
//	go run ./examples/quantize -i F -o F32 -type f32
//	llama-perplexity -m F32 -f TEXT -c 256 -ctk f32 -ctv f32 -fa off --kl-divergence-base BASE
//	llama-perplexity -m F -c 256 --kl-divergence-base BASE --kl-divergence
//	go run ./bench/divergence -model F -base BASE [-exact] [-kv f16|q8]
//
// The first writes F's weights as float32, the second llama.cpp's predictions with
// them, the last two how far llama.cpp and llama31 are from those.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/llama31/llama31/bench"
	"github.com/llama31/llama31/kernels"
	"github.com/llama31/llama31/llama"
	"github.com/llama31/llama31/llama/hub/bar"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "divergence:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("divergence", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // main prints the error, in one line
	var d bench.Divergence
	fs.StringVar(&d.Model, "model", "", bar.Names+" (required)")
	base := fs.String("base", "", "`file` that llama-perplexity wrote with --kl-divergence-base (required)")
	fs.BoolVar(&d.Exact, "exact", false, "float32 activations and KV cache: slow, for checking")
	kv := fs.String("kv", "f16", "elements of the KV cache: f16 or q8")
	fs.IntVar(&d.Threads, "threads", 0, "CPU threads (0: physical cores)")
	fs.StringVar(&d.Device, "device", "auto", "auto, cpu, cuda or reference")
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
	case d.Model == "" || *base == "":
		return errors.New("-model and -base are required: a GGUF file, and what llama-perplexity wrote")
	case *kv != "f16" && *kv != "q8":
		return fmt.Errorf("-kv %q: expected f16 or q8", *kv)
	case d.Threads < 0 || d.Threads > 1024:
		return fmt.Errorf("-threads %d: expected 0 to 1024", d.Threads)
	}
	if *kv == "q8" {
		d.KV = llama.Q8
	}
	f, err := os.Open(*base)
	if err != nil {
		return err
	}
	defer f.Close()
	d.Base = f
	if d.Model, err = bar.Path(ctx, d.Model, stderr); err != nil {
		return err
	}
	info, r, err := d.Run(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%s on %s (%s), %d threads; instruction sets: %s\n", info.Name, info.Device, info.Detail, info.Threads,
		strings.Join(kernels.Features(), ", "))
	_, err = fmt.Fprintf(stdout, "KL divergence %.3g, of a token at most %.3g\nsame top token %.2f%% of %d\n", r.Mean, r.Most, 100*r.Top, r.Tokens)
	return err
}
