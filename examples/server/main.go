// Server puts models behind the HTTP APIs of OpenAI and Anthropic:
//
//	go run ./examples/server -model F [-addr 127.0.0.1:8080]
//
// Without -model it is the tiny model of examples/tinymodel that answers.
// Package llama/serve is what it serves; README.md beside this file has the endpoints. SIGINT and SIGTERM let what runs come to its end,
// for -drain at most; a second one ends it at once. SIGHUP reads -keys again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/llama31/llama31/examples/server/page"
	"github.com/llama31/llama31/examples/tinymodel"
	_ "github.com/llama31/llama31/kernels/cuda"
	"github.com/llama31/llama31/llama"
	"github.com/llama31/llama31/llama/hub/bar"
	"github.com/llama31/llama31/llama/serve"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, stop, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends. Then it calls rest, from where on a signal ends the program, and waits for the requests that run.
func run(ctx context.Context, rest func(), args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stdout)
	if err != nil {
		return err
	}
	if o.newKey != "" {
		secret, line := serve.NewKey(o.newKey)
		_, err := fmt.Fprintf(stdout, "%s\n", line)
		fmt.Fprintf(stderr, "the key, which is not to be had again: %s\n", secret)
		return err
	}
	if o.keys != "" {
		if o.serve.Keys, err = readKeys(o.keys); err != nil {
			return err
		}
		o.llama.Weights = o.serve.Keys.Weights()
	}
	l, err := o.listen()
	if err != nil {
		return err
	}
	defer l.Close()
	if !o.quiet {
		o.serve.Logger = slog.New(slog.NewTextHandler(stderr, nil))
	}
	opened, err := open(ctx, o)
	for _, m := range opened {
		defer m.Close()
	}
	if err != nil {
		return err
	}
	o.serve.Ready = func() error {
		if ctx.Err() != nil {
			return errors.New("the server is being stopped")
		}
		return nil
	}
	o.serve.Fallback = page.Handler("")
	s := &http.Server{Handler: serve.Handler(opened[0], o.serve), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(logHandler(o.serve.Logger), slog.LevelDebug)}
	defer rereadKeys(o)()
	for i, m := range opened {
		fmt.Fprintf(stdout, "%s on %s://%s\n", o.name(i, m), o.scheme(), l.Addr())
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	rest()
	limit, cancel := context.WithTimeout(context.Background(), o.drain)
	defer cancel()
	if err := s.Shutdown(limit); err != nil {
		s.Close()
		return fmt.Errorf("requests that ran for %v more were ended: %w", o.drain, err)
	}
	return nil
}

func logHandler(l *slog.Logger) slog.Handler {
	if l == nil {
		return slog.DiscardHandler
	}
	return l.Handler()
}

// open opens the models. On an error it gives those that were opened before.
func open(ctx context.Context, o *options) ([]*llama.Model, error) {
	var opened []*llama.Model
	for i, f := range o.models {
		m, err := openOne(ctx, f.path, o.llama)
		if err != nil {
			return opened, err
		}
		opened = append(opened, m)
		name := o.name(i, m)
		if i == 0 {
			o.serve.Name = name
			continue
		}
		if o.serve.Models == nil {
			o.serve.Models = map[string]llama.Generator{}
		}
		if name == o.serve.Name || o.serve.Models[name] != nil {
			return opened, fmt.Errorf("two models are called %q, expected -model NAME=FILE", name)
		}
		o.serve.Models[name] = m
	}
	for alias, name := range o.serve.Aliases {
		if _, ok := o.serve.Models[name]; !ok && name != "" && name != o.serve.Name {
			return opened, fmt.Errorf("-alias %s=%s: no model is called that", alias, name)
		}
	}
	return opened, nil
}

// openOne opens a file, downloaded first where path is a name of package hub; the model that is built in without a path.
func openOne(ctx context.Context, path string, o llama.Options) (*llama.Model, error) {
	if path == "" {
		if o.Device == "auto" && o.GPULayers == nil {
			o.Device = "cpu" // a GPU takes longer to start than this model to answer
		}
		return tinymodel.Open(ctx, &o)
	}
	path, err := bar.Path(ctx, path, os.Stderr)
	if err != nil {
		return nil, err
	}
	return llama.Open(ctx, path, &o)
}

func (o *options) name(i int, m *llama.Model) string {
	if o.models[i].name != "" {
		return o.models[i].name
	}
	return m.Info().Name
}

func readKeys(path string) (*serve.Keys, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return serve.ReadKeys(f)
}

// rereadKeys reads the keys again at each SIGHUP, until it is told to stop. A list with a mistake in it changes nothing.
func rereadKeys(o *options) (stop func()) {
	if o.serve.Keys == nil {
		return func() {}
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	log := slog.New(logHandler(o.serve.Logger))
	go func() {
		for range hup {
			f, err := os.Open(o.keys)
			if err == nil {
				err = o.serve.Keys.Read(f)
				f.Close()
			}
			if err != nil {
				log.Error("the keys stay as they are", "error", err)
				continue
			}
			log.Info("the keys were read again", "file", o.keys)
		}
	}()
	return func() {
		signal.Stop(hup)
		close(hup)
	}
}
