// Synth writes a GGUF file with the shape and the metadata of a Llama 3.1 model
// and random weights, to measure speed and memory without a download and to test
// against other implementations.
//
//	go run ./bench/synth -o model.gguf -size 8b -type q4_k_m [-layers N] [-vocab N] [-seed S]
//
// The same flags give the same bytes. If testdata/fetched has Llama 3.1's
// tokenizer (go run ./testdata/fetch), the file carries it; else, and for another
// vocabulary size, a made-up byte-level one.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/gguf/recipe"
)

// shape has a model's dimensions.
type shape struct {
	name                                string
	layers, hidden, heads, kvHeads, ffn int
	bare                                bool // without a chat template
}

// sizes are Llama 3.1's, and one for tests with heads of 64 values.
var sizes = map[string]shape{
	"tiny": {"tiny", 2, 512, 8, 2, 1024, false},
	"8b":   {"8B", 32, 4096, 32, 8, 14336, false},
	"70b":  {"70B", 80, 8192, 64, 8, 28672, false},
	"405b": {"405B", 126, 16384, 128, 8, 53248, false},
}

const llamaVocabulary = 128256

func main() {
	if err := run(os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "synth:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	fs := flag.NewFlagSet("synth", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // main prints the error, in one line
	out := fs.String("o", "", "file to write (required)")
	size := fs.String("size", "tiny", "tiny, 8b, 70b or 405b")
	kind := fs.String("type", "q4_k_m", "one of "+strings.Join(recipe.Names(), ", "))
	layers := fs.Int("layers", 0, "number of layers (0: the size's)")
	vocab := fs.Int("vocab", llamaVocabulary, "size of the vocabulary")
	seed := fs.Uint64("seed", 1, "seed of the weights")
	bare := fs.Bool("notemplate", false, "leave the chat template out: package llama then takes Llama 3.1's own, with tools")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(os.Stdout)
			fs.Usage()
		}
		return err
	}
	s, ok := sizes[strings.ToLower(*size)]
	switch {
	case fs.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case *out == "":
		return errors.New("-o is required: the file to write")
	case !ok:
		return fmt.Errorf("-size %q: expected tiny, 8b, 70b or 405b", *size)
	case *layers < 0 || *layers > 1000:
		return fmt.Errorf("-layers %d: expected 0 to 1000", *layers)
	case *vocab < minVocabulary || *vocab > 1<<20:
		return fmt.Errorf("-vocab %d: expected %d to %d", *vocab, minVocabulary, 1<<20)
	}
	r, err := recipe.Parse(*kind)
	if err != nil {
		return fmt.Errorf("-type: %w", err)
	}
	if *layers > 0 {
		s.layers = *layers
	}
	s.bare = *bare
	return create(*out, s, r, *vocab, *seed)
}

// create writes beside path and renames at the end, so that an interrupted run
// leaves no half file under that name.
func create(path string, s shape, r recipe.Recipe, vocab int, seed uint64) (err error) {
	part := path + ".part"
	f, err := os.Create(part)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(part)
		}
	}()
	buf := bufio.NewWriterSize(f, 4<<20)
	if err := write(gguf.NewWriter(buf), s, r, vocab, seed); err != nil {
		return err
	}
	if err := buf.Flush(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(part, path)
}

func write(w *gguf.Writer, s shape, r recipe.Recipe, vocab int, seed uint64) error {
	if err := setMetadata(w, s, r, vocab); err != nil {
		return err
	}
	tensors := plan(s, r, vocab)
	for _, t := range tensors {
		if err := w.Declare(t.name, t.typ, t.shape...); err != nil {
			return err
		}
	}
	for i, t := range tensors {
		if err := w.WriteTensor(t.name, generate(t, seed, uint64(i))); err != nil {
			return err
		}
	}
	return w.Close()
}

func setMetadata(w *gguf.Writer, s shape, r recipe.Recipe, vocab int) error {
	v, err := vocabulary(vocab)
	if err != nil {
		return err
	}
	entries := []struct {
		key   string
		value any
	}{
		{"general.architecture", "llama"},
		{"general.type", "model"},
		{"general.name", "Synthetic Llama 3.1 " + s.name},
		{"general.basename", "synthetic-llama-3.1"},
		{"general.size_label", s.name},
		{"general.description", "random weights with Llama 3.1's shape; not a language model"},
		{"general.file_type", r.FileType},
		{"general.quantization_version", uint32(2)},
		{"llama.block_count", uint32(s.layers)},
		{"llama.context_length", uint32(131072)},
		{"llama.embedding_length", uint32(s.hidden)},
		{"llama.feed_forward_length", uint32(s.ffn)},
		{"llama.attention.head_count", uint32(s.heads)},
		{"llama.attention.head_count_kv", uint32(s.kvHeads)},
		{"llama.attention.layer_norm_rms_epsilon", float32(1e-5)},
		{"llama.rope.freq_base", float32(500000)},
		{"llama.rope.dimension_count", uint32(s.hidden / s.heads)},
		{"llama.vocab_size", uint32(vocab)},
		{"tokenizer.ggml.model", "gpt2"},
		{"tokenizer.ggml.pre", "llama-bpe"},
		{"tokenizer.ggml.tokens", v.tokens},
		{"tokenizer.ggml.token_type", v.types},
		{"tokenizer.ggml.merges", v.merges},
		{"tokenizer.ggml.bos_token_id", v.bos},
		{"tokenizer.ggml.eos_token_id", v.eot},
		{"tokenizer.ggml.add_bos_token", true},
		{"tokenizer.chat_template", v.template},
	}
	for _, e := range entries {
		if s.bare && e.key == "tokenizer.chat_template" {
			continue
		}
		if err := w.Set(e.key, e.value); err != nil {
			return err
		}
	}
	return nil
}
