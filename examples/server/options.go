package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/llama31/llama31/llama"
	"github.com/llama31/llama31/llama/hub/bar"
	"github.com/llama31/llama31/llama/serve"
)

// options are what the flags say.
type options struct {
	models            []modelFile
	addr, cert, key   string
	keys, newKey      string
	public, quiet     bool
	drain             time.Duration
	serve             serve.Options
	llama             llama.Options
	aliases, kv       string
	hosts, origins    string
	maxBody, kvMemory int64
}

type modelFile struct{ name, path string }

func parse(args []string, help io.Writer) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet("server", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // main prints the error, in one line
	fs.Func("model", bar.Names+", or NAME= and one of these; once for each model (default: a tiny one that is built in)", o.addModel)
	fs.StringVar(&o.aliases, "alias", "", "further names, such as gpt-4o,small=NAME; without =NAME of the first model. A single model answers to every name")
	fs.StringVar(&o.addr, "addr", "127.0.0.1:8080", "`address` to listen on")
	fs.StringVar(&o.cert, "tls-cert", "", "certificate `file`, PEM: serve HTTPS")
	fs.StringVar(&o.key, "tls-key", "", "key `file` of the certificate, PEM")
	fs.StringVar(&o.keys, "keys", "", "`file` of API keys: a line for each with its name, its SHA-256 and limits (see README.md)")
	fs.StringVar(&o.newKey, "new-key", "", "make a key of this `name`, print its line for -keys, and exit")
	fs.BoolVar(&o.llama.IsolateKeys, "isolate", false, "no key finds what another left in the KV cache, so that none can tell by the time it takes what others ask")
	fs.BoolVar(&o.public, "public", false, "listen on an address that others reach without -keys")
	fs.StringVar(&o.hosts, "host", "", "`names` that the server goes by, beside localhost and IP addresses: a.example,b.example, or * for any")
	fs.StringVar(&o.origins, "cors", "", "`origins` whose web pages may ask: https://a.example,https://b.example, or * for any; none: the server's own only")
	fs.BoolVar(&o.serve.LogPrompts, "log-prompts", false, "log what requests and answers say")
	fs.BoolVar(&o.quiet, "quiet", false, "no log")
	fs.DurationVar(&o.drain, "drain", 30*time.Second, "at SIGTERM, how long requests that run may go on")
	fs.DurationVar(&o.serve.Timeout, "timeout", 0, "for a whole request; 0: one hour")
	fs.DurationVar(&o.serve.WriteTimeout, "write-timeout", 0, "for each piece of an answer to be taken by its client; 0: 30 seconds")
	fs.Int64Var(&o.serve.MaxBody, "max-body", 0, "bytes of a request; 0: 16 MB")
	fs.StringVar(&o.llama.Device, "device", "auto", "auto, cpu or cuda")
	layers := fs.Int("gpulayers", -1, "layers that run on GPUs, the rest on the CPU; -1: all, or with auto as many as fit")
	fs.IntVar(&o.llama.Context, "ctx", 0, "context in tokens; 0: the model's, as memory allows")
	fs.IntVar(&o.llama.Threads, "threads", 0, "CPU workers; 0: physical cores")
	fs.StringVar(&o.kv, "kv", "f16", "elements of the KV cache: f16 or q8")
	fs.Int64Var(&o.llama.KVBytes, "kv-bytes", 0, "memory of the KV cache; 0: a context, or a quarter of the free memory if that is more")
	fs.IntVar(&o.llama.MaxRunning, "np", 0, "requests that run at once; 0: 32")
	fs.IntVar(&o.llama.MaxQueued, "queue", 0, "requests that wait beside; 0: 1024")
	fs.BoolVar(&o.llama.RejectWhenFull, "reject", true, "status 429 to those beyond; false: they wait, too")
	fs.BoolVar(&o.llama.NoSpeculation, "nospec", false, "no speculation")
	fs.BoolVar(&o.llama.Exact, "exact", false, "float32 activations and KV cache: slow, for checking")
	fs.StringVar(&o.llama.Draft, "draft", "", "GGUF `file` of a smaller model of the same vocabulary, for speculation")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(help)
			fs.Usage()
		}
		return nil, err
	}
	if *layers >= 0 {
		o.llama.GPULayers = layers
	}
	return o, o.check(fs.NArg())
}

// addModel takes NAME=FILE, and a file whose name has a = in it as one.
func (o *options) addModel(s string) error {
	f := modelFile{path: s}
	if _, err := os.Stat(s); err != nil {
		if name, path, ok := strings.Cut(s, "="); ok && !strings.ContainsAny(name, `/\`) {
			f = modelFile{name, path}
		}
	}
	if f.path == "" {
		return errors.New("no file")
	}
	o.models = append(o.models, f)
	return nil
}

func (o *options) check(extra int) error {
	switch {
	case o.newKey != "":
		if strings.ContainsAny(o.newKey, " \t\n#") {
			return errors.New("-new-key: expected a name of one word")
		}
		return nil
	case extra > 0:
		return errors.New("expected nothing beside the flags; a model is given by -model")
	case (o.cert == "") != (o.key == ""):
		return errors.New("-tls-cert and -tls-key come together")
	case o.drain < 0 || o.serve.Timeout < 0 || o.serve.WriteTimeout < 0 || o.serve.MaxBody < 0:
		return errors.New("a negative time or size")
	}
	if len(o.models) == 0 {
		o.models = []modelFile{{name: "tiny"}} // without a path: the one that is built in
	}
	switch o.kv {
	case "f16":
	case "q8":
		o.llama.KV = llama.Q8
	default:
		return fmt.Errorf("-kv %q: expected f16 or q8", o.kv)
	}
	o.serve.Hosts, o.serve.Origins = list(o.hosts), list(o.origins)
	o.serve.Aliases = map[string]string{}
	for _, a := range list(o.aliases) {
		name, of, ok := strings.Cut(a, "=")
		if !ok {
			of = o.models[0].name
		}
		o.serve.Aliases[name] = of
	}
	return o.checkPublic()
}

// list cuts a flag at its commas.
func list(s string) []string {
	var all []string
	for _, e := range strings.Split(s, ",") {
		if e = strings.TrimSpace(e); e != "" {
			all = append(all, e)
		}
	}
	return all
}

// checkPublic refuses to let everybody who reaches this machine ask, unless that is wished for.
func (o *options) checkPublic() error {
	host, _, err := net.SplitHostPort(o.addr)
	if err != nil {
		return fmt.Errorf("-addr: %w", err)
	}
	if o.public || o.keys != "" || host == "localhost" {
		return nil
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("-addr %s is open to others: it takes -keys, or -public for no keys at all", o.addr)
}

func (o *options) scheme() string {
	if o.cert != "" {
		return "https"
	}
	return "http"
}

func (o *options) listen() (net.Listener, error) {
	var config *tls.Config
	if o.cert != "" {
		pair, err := tls.LoadX509KeyPair(o.cert, o.key)
		if err != nil {
			return nil, err
		}
		config = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	}
	l, err := net.Listen("tcp", o.addr)
	if err != nil || config == nil {
		return l, err
	}
	return tls.NewListener(l, config), nil
}
