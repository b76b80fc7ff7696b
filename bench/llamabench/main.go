// Llamabench measures how fast a model runs prompts and generates, apart, and
// how near that is to what the machine can do:
//
//	go run ./bench/llamabench -model F [-p 512] [-n 128] [-d 0] [-seq 1] [-r 5] [-threads N] [-device D] [-set S] [-gpulayers N] [-o md|json] [-peer LLAMA_BENCH] [-peerflags FLAGS]
//
// GB/s counts the weights' bytes and the KV cache's, GMAC/s the products with
// weights; the probe, run in turn with the test, is the machine's integer peak
// for prompts, and reading memory for generation. -d is how many tokens the KV
// cache holds before. -seq has so many sequences generate at once, in turn with
// one alone. -peer is the path of llama.cpp's llama-bench, or ik_llama.cpp's,
// which is run in turn on the same file with as many threads, and with
// -peerflags such as "-fa 1".
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/llama31/llama31/bench"
	"github.com/llama31/llama31/kernels"
	"github.com/llama31/llama31/llama/hub/bar"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "llamabench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("llamabench", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // main prints the error, in one line
	var s bench.Speed
	fs.StringVar(&s.Model, "model", "", bar.Names+" (required)")
	fs.IntVar(&s.Prompt, "p", 512, "tokens of the prompt; 0 leaves that test out")
	fs.IntVar(&s.Generate, "n", 128, "tokens to generate; 0 leaves that test out")
	fs.IntVar(&s.Depth, "d", 0, fmt.Sprintf("tokens that are in the KV cache before each test's: a multiple of %d", kernels.PageSize))
	fs.IntVar(&s.Sequences, "seq", 1, "sequences that generate at once, in a test of their own; 1 leaves it out")
	fs.IntVar(&s.Runs, "r", 5, "runs, of which the median counts")
	fs.IntVar(&s.Threads, "threads", 0, "CPU threads (0: physical cores)")
	fs.StringVar(&s.Device, "device", "auto", "auto, cpu, cuda, cuda:0,1 or reference")
	fs.StringVar(&s.Set, "set", "", "instruction `set` of the CPU, one of "+strings.Join(kernels.Features(), ", ")+": the first is the default")
	layers := fs.Int("gpulayers", -1, "layers that run on GPUs, the rest on the CPU (-1: all, or with auto as many as fit)")
	fs.StringVar(&s.Peer, "peer", "", "`path` of llama.cpp's llama-bench, to run in turn")
	flags := fs.String("peerflags", "", "more `flags` for the peer, with spaces between")
	format := fs.String("o", "md", "output: md or json")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(stdout)
			fs.Usage()
		}
		return err
	}
	if *layers >= 0 {
		s.GPULayers = layers
	}
	s.PeerFlags = strings.Fields(*flags)
	const most = 1 << 20
	switch {
	case fs.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case s.Model == "":
		return errors.New("-model is required: a GGUF file")
	case s.Prompt < 0 || s.Prompt > most:
		return fmt.Errorf("-p %d: expected 0 to %d", s.Prompt, most)
	case s.Generate < 0 || s.Generate > most:
		return fmt.Errorf("-n %d: expected 0 to %d", s.Generate, most)
	case s.Prompt+s.Generate == 0:
		return errors.New("-p 0 -n 0 leave nothing to run")
	case s.Depth < 0 || s.Depth > most || s.Depth%kernels.PageSize != 0:
		return fmt.Errorf("-d %d: expected 0 to %d, a multiple of %d", s.Depth, most, kernels.PageSize)
	case s.Sequences < 1 || s.Sequences > 1024:
		return fmt.Errorf("-seq %d: expected 1 to 1024", s.Sequences)
	case s.Runs < 1 || s.Runs > 1000:
		return fmt.Errorf("-r %d: expected 1 to 1000", s.Runs)
	case s.Threads < 0 || s.Threads > 1024:
		return fmt.Errorf("-threads %d: expected 0 to 1024", s.Threads)
	case *format != "md" && *format != "json":
		return fmt.Errorf("-o %q: expected md or json", *format)
	}
	s.Progress = func(test string, run int, speed, peer float64) {
		fmt.Fprintf(stderr, "%s run %d: %.2f tok/s", test, run, speed)
		if peer > 0 {
			fmt.Fprintf(stderr, ", peer %.2f", peer)
		}
		fmt.Fprintln(stderr)
	}
	var err error
	if s.Model, err = bar.Path(ctx, s.Model, stderr); err != nil {
		return err
	}
	info, results, err := s.Run(ctx)
	if err != nil {
		return err
	}
	about := stdout
	if *format == "json" {
		about = stderr
	}
	fmt.Fprintf(about, "%s, %.2f B parameters, %.2f GB; %s (%s), %d threads; instruction sets: %s\n\n", info.Name, float64(info.Parameters)/1e9,
		float64(info.Bytes)/1e9, info.Device, info.Detail, info.Threads, strings.Join(kernels.Features(), ", "))
	if *format == "json" {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		return e.Encode(results)
	}
	_, err = io.WriteString(stdout, bench.Markdown(results))
	return err
}
