// Serve measures a model under load: how long the first token takes, how evenly the others come, and how many there are.
//
//	go run ./bench/serve -model F -rate 2                   the library in this process, 2 requests per second
//	go run ./bench/serve -url http://127.0.0.1:8080 -c 16   a server with OpenAI's API, 16 users at once
//	go run ./bench/serve -url A -compare B                  two servers in turn, at 1 to 64 users
//	go run ./bench/serve -model F -rate 2 -flood 64         one key alone, then beside 64 users of another who never pause
//
// What is compared is measured in turn, -rounds times, with other words each time: where the machine's speed changes, it does for all.
//
// Lengths of prompts and answers are drawn as ShareGPT's are; -prompt, -answer and -prefix change them. Everyone is asked the same.
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
	"strconv"
	"strings"
	"time"

	"github.com/llama31/llama31/bench"
	"github.com/llama31/llama31/llama"
	"github.com/llama31/llama31/llama/hub/bar"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

// target is one of those that are measured.
type target struct {
	name  string
	ask   bench.Target
	users int          // of a flood beside it; 0: none
	flood bench.Target // that they ask
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // main prints the error, in one line
	l := bench.Load{Prompt: bench.SharePrompt, Answer: bench.ShareAnswer}
	var o llama.Options
	model := fs.String("model", "", bar.Names+"; to be run in this process")
	url := fs.String("url", "", "`address` of a server with OpenAI's API")
	compare := fs.String("compare", "", "`address` of another, measured in turn")
	name := fs.String("name", "", "model's name for servers that have several")
	fs.Float64Var(&l.Rate, "rate", 0, "requests per second, at random times; 0: users as -c says")
	users := fs.String("c", "", "numbers of users who ask again when they are answered, such as 1,4,16 (default 1, with -compare 1,2,4,8,16,32,64)")
	fs.DurationVar(&l.Duration, "d", 20*time.Second, "time in which requests begin, at each load")
	fs.Float64Var(&l.Prompt.Median, "prompt", l.Prompt.Median, "median length of prompts, in words")
	fs.Float64Var(&l.Prompt.Sigma, "prompt-sigma", l.Prompt.Sigma, "spread of its logarithm; 0: all alike")
	fs.Float64Var(&l.Answer.Median, "answer", l.Answer.Median, "median length of answers, in tokens")
	fs.Float64Var(&l.Answer.Sigma, "answer-sigma", l.Answer.Sigma, "spread of its logarithm")
	fs.IntVar(&l.Prefix, "prefix", 0, "words that all prompts begin with")
	fs.Uint64Var(&l.Seed, "seed", 1, "of times, lengths and words")
	fs.DurationVar(&l.FirstLimit, "first", 2*time.Second, "for goodput: longest time to the first token")
	fs.DurationVar(&l.BetweenLimit, "between", 200*time.Millisecond, "for goodput: longest mean time between tokens")
	fs.IntVar(&o.Context, "ctx", 0, "context with -model; 0: the model's, as memory allows")
	fs.IntVar(&o.Threads, "threads", 0, "CPU threads with -model (0: physical cores)")
	fs.IntVar(&o.MaxRunning, "np", 0, "sequences at once with -model; 0: 32")
	fs.BoolVar(&o.NoSpeculation, "nospec", false, "no speculation, with -model")
	rounds := fs.Int("rounds", 1, "how often to measure all in turn; the times of all rounds are taken together")
	flood := fs.Int("flood", 0, "with -model: then measure again, beside so many users of another key who ask without a pause")
	format := fs.String("o", "md", "output: md or json")
	svg := fs.String("svg", "", "`file` for a picture of the results over the load")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(stdout)
			fs.Usage()
		}
		return err
	}
	l.Prompt.Most, l.Answer.Most = int(max(12*l.Prompt.Median, 1)), int(max(4*l.Answer.Median, 1))
	switch {
	case fs.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case (*model == "") == (*url == ""):
		return errors.New("expected one of -model and -url")
	case *format != "md" && *format != "json":
		return fmt.Errorf("-o %q: expected md or json", *format)
	case *flood < 0 || *flood > 0 && (*model == "" || *compare != ""):
		return errors.New("-flood takes a number of users, with -model and without -compare")
	case *rounds < 1:
		return fmt.Errorf("-rounds %d: expected 1 or more", *rounds)
	case l.Rate > 0 && *users != "":
		return errors.New("-rate and -c exclude each other")
	case l.Rate < 0 || l.Duration <= 0 || l.Prefix < 0 || !(l.Prompt.Median >= 1) || !(l.Answer.Median >= 1) || l.Prompt.Sigma < 0 || l.Answer.Sigma < 0:
		return errors.New("a negative flag, or a length below 1")
	}
	if *users == "" {
		*users = "1"
		if *compare != "" {
			*users = "1,2,4,8,16,32,64"
		}
	}
	loads := []bench.Load{l}
	if l.Rate == 0 {
		loads = nil
		for _, s := range strings.Split(*users, ",") {
			n, err := strconv.Atoi(strings.TrimSpace(s))
			if err != nil || n < 1 {
				return fmt.Errorf("-c %q: expected numbers from 1 on", *users)
			}
			one := l
			one.Concurrency = n
			loads = append(loads, one)
		}
	}
	var targets []target
	if *model != "" {
		path, err := bar.Path(ctx, *model, stderr)
		if err != nil {
			return err
		}
		m, err := llama.Open(ctx, path, &o)
		if err != nil {
			return err
		}
		defer m.Close()
		targets = append(targets, target{name: "llama31", ask: bench.ModelTarget{Model: m, Key: "one"}})
		if *flood > 0 {
			targets = append(targets, target{fmt.Sprintf("llama31 beside %d", *flood), bench.ModelTarget{Model: m, Key: "one"}, *flood, bench.ModelTarget{Model: m, Key: "flood"}})
		}
	} else {
		targets = append(targets, target{name: *url, ask: bench.URLTarget{URL: *url, Model: *name}})
	}
	if *compare != "" {
		targets = append(targets, target{name: *compare, ask: bench.URLTarget{URL: *compare, Model: *name}})
	}
	results, err := measure(ctx, *rounds, loads, targets, stderr)
	if err != nil {
		return err
	}
	if *svg != "" {
		if err := drawPanels(*svg, results); err != nil {
			return err
		}
	}
	if *format == "json" {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		return e.Encode(results)
	}
	_, err = io.WriteString(stdout, bench.LoadMarkdown(results))
	return err
}

// measure puts each load on each target in turn, in rounds, after one short answer to warm up.
func measure(ctx context.Context, rounds int, loads []bench.Load, targets []target, status io.Writer) ([]bench.LoadResult, error) {
	for _, t := range targets {
		if err := t.ask.Ask(ctx, "one two three", 4, func() {}); err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	var results []bench.LoadResult
	for round := range rounds {
		i := 0
		for _, l := range loads {
			l.Seed += uint64(round)
			for _, t := range targets {
				r, err := t.run(ctx, l)
				if err != nil {
					return nil, err
				}
				if r.Failed > 0 {
					fmt.Fprintf(status, "%s: %d of %d failed, the first with: %s\n", t.name, r.Failed, r.Requests, r.Error)
				}
				if round == 0 {
					results = append(results, r)
				} else {
					results[i].Add(r)
				}
				i++
			}
		}
	}
	return results, nil
}

func (t *target) run(ctx context.Context, l bench.Load) (bench.LoadResult, error) {
	if t.users > 0 {
		return l.Beside(ctx, t.users, t.flood, t.name, t.ask)
	}
	return l.Run(ctx, t.name, t.ask)
}
