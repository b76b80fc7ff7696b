// Chat talks with a model in a terminal.
//
//	go run ./examples/chat -model F -p "Why is the sky blue?"   one answer on stdout, speed on stderr
//	go run ./examples/chat -model F                             a conversation
//	go run ./examples/chat                                      with the model of a few MB that is built in; it tells short stories
//
// In a conversation Ctrl-C stops an answer, and at the prompt ends the program. See /help for commands. With a pipe instead of a
// terminal each line is a question, and stdout has the answers alone.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/llama31/llama31/examples/tinymodel"
	_ "github.com/llama31/llama31/kernels/cuda" // a GPU, where there is one
	"github.com/llama31/llama31/llama"
	"github.com/llama31/llama31/llama/hub/bar"
)

type options struct {
	model, prompt, system string
	tokens, context       int
	threads, gpuLayers    int
	temperature           float64
	seed                  uint64
	device                string
	set                   map[string]bool // flags that were given
}

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out, status io.Writer) error {
	o, err := parse(args, out)
	if err != nil {
		return err
	}
	m, err := o.open(o.model, status)
	if err != nil {
		return err
	}
	r := llama.Request{MaxTokens: o.tokens, Sampling: o.sampling(), Shift: !o.set["p"]}
	if o.system != "" {
		r.Messages = []llama.Message{llama.System(o.system)}
	}
	interactive := !o.set["p"] && terminal(in) && terminal(out)
	if o.model == "" && !interactive {
		fmt.Fprintf(status, "%s is built in; -model %s downloads a real model\n", m.Info().Name, realModel)
	}
	if o.set["p"] {
		defer m.Close()
		return answer(context.Background(), m.NewChat(r), o.prompt, out, status)
	}
	c := &conversation{open: o.open, model: m, request: r, chat: m.NewChat(r), out: out, status: status, interactive: interactive}
	defer func() { c.model.Close() }() // which may be another by then
	if interactive {
		e := newEditor(in.(*os.File), out.(*os.File))
		c.introduce()
		if o.model == "" {
			fmt.Fprintf(status, "It is built in and tells short stories. A real model: press Tab for /model %s, a download.\n", realModel)
			e.suggest("/model " + realModel)
		}
		return c.run(e)
	}
	return c.run(newLines(in))
}

// realModel is what a user of the built-in model is offered: small, from a hub that asks for no account.
const realModel = "llama3.2-1b"

// open opens a model by its name, downloaded first where the name is not a file's; the one that is built in without a name.
func (o *options) open(name string, status io.Writer) (*llama.Model, error) {
	ctx := context.Background()
	bar := &loading{to: status}
	l := &llama.Options{Device: o.device, Threads: o.threads, Context: o.context, Progress: bar.progress,
		Logger: slog.New(slog.NewTextHandler(status, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	if o.gpuLayers >= 0 {
		l.GPULayers = &o.gpuLayers
	}
	if name == "" {
		if !o.set["device"] && !o.set["gpulayers"] {
			l.Device = "cpu" // a GPU takes longer to start than this model to answer
		}
		return tinymodel.Open(ctx, l)
	}
	path, err := download(name, status)
	if err != nil {
		return nil, err
	}
	m, err := llama.Open(ctx, path, l)
	bar.end()
	return m, err
}

// download gives the file of a model's name, and an interrupt ends it.
func download(name string, status io.Writer) (string, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return bar.Path(ctx, name, status)
}

func parse(args []string, out io.Writer) (*options, error) {
	o := &options{set: map[string]bool{}}
	fs := flag.NewFlagSet("chat", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.model, "model", "", bar.Names+" (default: a tiny one that is built in)")
	fs.StringVar(&o.prompt, "p", "", "`question`: one answer, then the end; without it a conversation")
	fs.StringVar(&o.system, "system", "", "system `prompt`")
	fs.IntVar(&o.tokens, "n", 0, "most tokens of an answer; 0: to its end")
	fs.Float64Var(&o.temperature, "temp", 0, "sampling temperature, 0 for the most probable token (default: what the model recommends)")
	fs.Uint64Var(&o.seed, "seed", 0, "seed of the sampling (default: random)")
	fs.IntVar(&o.context, "ctx", 0, "context in tokens; 0: the model's, as memory allows")
	fs.IntVar(&o.threads, "threads", 0, "CPU workers; 0: physical cores")
	fs.StringVar(&o.device, "device", "auto", "auto, cpu or cuda")
	fs.IntVar(&o.gpuLayers, "gpulayers", -1, "layers that run on GPUs, the rest on the CPU; -1: all, or with auto as many as fit")
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(out, "usage: chat [-model FILE] [-p QUESTION] [flags]")
		fs.SetOutput(out)
		fs.PrintDefaults()
	}
	if err != nil {
		return nil, err
	}
	fs.Visit(func(f *flag.Flag) { o.set[f.Name] = true })
	switch {
	case fs.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case o.set["model"] && o.model == "":
		err = errors.New("-model is empty")
	case o.set["p"] && strings.TrimSpace(o.prompt) == "":
		err = errors.New("-p is empty")
	case o.tokens < 0 || o.context < 0 || o.threads < 0:
		err = errors.New("-n, -ctx and -threads are 0 or more")
	case o.gpuLayers < -1:
		err = fmt.Errorf("-gpulayers is %d, expected 0 or more, or -1", o.gpuLayers)
	case !(o.temperature >= 0 && o.temperature <= 100):
		err = fmt.Errorf("-temp is %g, expected 0 to 100", o.temperature)
	}
	return o, err
}

// sampling is nil, the model's own recommendation, where no flag says otherwise.
func (o *options) sampling() *llama.Sampling {
	if !o.set["temp"] && !o.set["seed"] {
		return nil
	}
	t := 0.6
	if o.set["temp"] {
		t = o.temperature
	}
	s := &llama.Sampling{Temperature: &t, TopP: 0.9}
	if o.set["seed"] {
		s.Seed = &o.seed
	}
	return s
}

// answer streams one answer to out, and its speed to status. An interrupt ends it without an error.
func answer(ctx context.Context, c *llama.Chat, text string, out, status io.Writer) error {
	var last *llama.Response
	for t, err := range c.Stream(ctx, text) {
		if err != nil {
			fmt.Fprintln(out)
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		}
		if _, err := io.WriteString(out, t.Text); err != nil {
			return err
		}
		last = t.Response
	}
	fmt.Fprintln(out)
	if last != nil {
		u, t := last.Usage, last.Timings
		fmt.Fprintf(status, "[prompt %d tokens, %s/s", u.Prompt, rate(u.Prompt-u.Cached, t.Prompt))
		if u.Cached > 0 {
			fmt.Fprintf(status, " (%d cached)", u.Cached)
		}
		fmt.Fprintf(status, "; answer %d tokens, %s/s; first after %d ms]\n", u.Generated, rate(u.Generated-1, t.Generate), (t.Queued + t.Prompt).Milliseconds())
	}
	return nil
}

func rate(n int, d time.Duration) string {
	if n <= 0 || d <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", float64(n)/d.Seconds())
}
