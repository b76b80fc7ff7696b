// Pull downloads a model, or finds it where it has been downloaded to, and prints where that is:
//
//	go run ./examples/pull hf:bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M
//	go run ./examples/pull -list hf:bartowski/Llama-3.2-1B-Instruct-GGUF
//
// The other programs do the same with what their -model names. Package llama/hub has the forms of names, and what is checked.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"text/tabwriter"

	"github.com/llama31/llama31/kernels"
	"github.com/llama31/llama31/llama/hub"
	"github.com/llama31/llama31/llama/hub/bar"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "pull:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, status io.Writer) error {
	fs := flag.NewFlagSet("pull", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // main prints the error, in one line
	list := fs.Bool("list", false, "list what a repository has, and what fits into this machine's memory")
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "usage: pull [-list] NAME\n\nNAME is hf:OWNER/REPO:QUANT, hf:OWNER/REPO/FILE.gguf, an https URL, or short for one of the hub's:")
		for _, a := range hub.Aliases {
			fmt.Fprintf(fs.Output(), "  %-14s%s\n", a.Name, a.Means)
		}
		fmt.Fprintln(fs.Output())
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(out)
			fs.Usage()
		}
		return err
	}
	if fs.NArg() != 1 {
		return fmt.Errorf("expected one name, found %d arguments", fs.NArg())
	}
	if *list {
		return printList(ctx, fs.Arg(0), out)
	}
	path, err := bar.Path(ctx, fs.Arg(0), status)
	if err == nil {
		_, err = fmt.Fprintln(out, path)
	}
	return err
}

func printList(ctx context.Context, name string, out io.Writer) error {
	all, err := new(hub.Client).Quantizations(ctx, name)
	if err != nil {
		return err
	}
	free := kernels.FreeMemory()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "quantisation\tGB\tfiles\tfits\t")
	for _, q := range all {
		fits := "yes"
		if free > 0 && q.Size() > free {
			fits = "no"
		}
		fmt.Fprintf(w, "%s\t%.2f\t%d\t%s\t\n", q.Name, float64(q.Size())/1e9, len(q.Files), fits)
	}
	return w.Flush()
}
