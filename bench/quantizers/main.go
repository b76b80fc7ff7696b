// Quantizers compares the quantisers of package block with those of llama.cpp, on
// the weights of a model:
//
//	go run ./bench/quantizers -model F -llama-quantize PATH [-types q4_0,q4_k,...] [-f TEXT -recipes q4_0,q4_k_m,...]
//
// For every type it prints the relative error that either leaves, root mean square
// over that of the weights, for all matrices together and for the matrix on which
// ours does worst in comparison. Rows are joined to whole blocks of 256 values,
// so that each type is tried on each matrix. With -f it also quantises the model
// by recipes, with ./examples/quantize and with llama-quantize, and prints how far
// the predictions for each token of the text move from those of the float32 model
// (Kullback-Leibler divergence, which differs less by chance than perplexity does).
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/llama"
	"github.com/llama31/llama31/llama/hub/bar"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "quantizers:", err)
		os.Exit(1)
	}
}

type comparison struct {
	theirs string // llama-quantize
	model  *gguf.File
	dir    string // for files in between
	out    *tabwriter.Writer
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("quantizers", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // main prints the error, in one line
	model := fs.String("model", "", bar.Names+" (required); of any type that can be decoded")
	theirs := fs.String("llama-quantize", "llama-quantize", "`path` of llama.cpp's program")
	types := fs.String("types", "q8_0,q4_0,q4_1,q5_0,q5_1,q2_k,q3_k,q4_k,q5_k,q6_k,iq4_nl,iq4_xs", "block types to compare; empty: none")
	text := fs.String("f", "", "text `file` to predict")
	tokens := fs.Int("ctx", 512, "tokens in a window of the text")
	recipes := fs.String("recipes", "q8_0,q6_k,q5_k_m,q4_k_m,q4_0", "recipes to compare on the text")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(out)
			fs.Usage()
		}
		return err
	}
	if fs.NArg() > 0 || *model == "" {
		return errors.New("expected -model FILE and no further arguments")
	}
	path, err := bar.Path(ctx, *model, os.Stderr)
	if err != nil {
		return err
	}
	f, err := gguf.Open(path, nil)
	if err != nil {
		return err
	}
	defer f.Close()
	dir, err := os.MkdirTemp("", "quantizers")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c := comparison{theirs: *theirs, model: f, dir: dir, out: tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	if *types != "" {
		if err := c.errors(ctx, strings.Split(*types, ",")); err != nil {
			return err
		}
	}
	if *text == "" {
		return nil
	}
	if *tokens < 3 {
		return fmt.Errorf("-ctx %d: expected 3 or more", *tokens)
	}
	english, err := os.ReadFile(*text)
	if err != nil {
		return err
	}
	if !utf8.Valid(english) {
		return fmt.Errorf("%s is no UTF-8", *text)
	}
	fmt.Fprintln(out)
	return c.texts(ctx, strings.Split(*recipes, ","), string(english), *tokens)
}

// quantize runs llama-quantize.
func (c *comparison) quantize(ctx context.Context, args ...string) error {
	if said, err := exec.CommandContext(ctx, c.theirs, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", c.theirs, strings.Join(args, " "), err, said)
	}
	return nil
}

// errors prints the table of errors by type.
func (c *comparison) errors(ctx context.Context, types []string) error {
	joined := filepath.Join(c.dir, "joined.gguf")
	if err := c.write(joined); err != nil {
		return err
	}
	f, err := gguf.Open(joined, nil)
	if err != nil {
		return err
	}
	defer f.Close()
	fmt.Fprintln(c.out, "type\tllama31\tllama.cpp\tratio\tworst ratio\tof")
	for _, name := range types {
		t, err := block.ParseType(name)
		if err != nil {
			return err
		}
		path := filepath.Join(c.dir, "pure.gguf")
		kind := t.String()
		if t == block.TypeQ3_K || t == block.TypeQ4_K || t == block.TypeQ5_K {
			kind += "_S"
		}
		if err := c.quantize(ctx, "--pure", joined, path, kind); err != nil {
			return err
		}
		if err := c.compare(ctx, f, path, t); err != nil {
			return fmt.Errorf("%v: %w", t, err)
		}
		if err := c.out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// write makes an F32 file of the model's matrices, with joined rows.
func (c *comparison) write(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := gguf.NewWriter(f)
	for _, key := range c.model.Keys() {
		if !strings.HasPrefix(key, "split.") && key != "general.alignment" {
			if err := w.Set(key, c.model.Value(key)); err != nil {
				return err
			}
		}
	}
	infos := c.model.Tensors()
	for _, t := range infos {
		shape := t.Shape
		if n := int(t.Values()); len(shape) > 1 && n%256 == 0 {
			cols := shape[len(shape)-1]
			for cols%256 != 0 {
				cols *= 2
			}
			shape = []int{n / cols, cols}
		}
		if err := w.Declare(t.Name, block.TypeF32, shape...); err != nil {
			return err
		}
	}
	for _, t := range infos {
		x, err := values(c.model, t)
		if err != nil {
			return err
		}
		data := make([]byte, 0, 4*len(x))
		for _, v := range x {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
		}
		if err := w.WriteTensor(t.Name, bytes.NewReader(data)); err != nil {
			return err
		}
	}
	return w.Close()
}

// values decodes a tensor.
func values(f *gguf.File, t gguf.TensorInfo) ([]float32, error) {
	d, err := f.Tensor(t.Name)
	if err != nil {
		return nil, err
	}
	x := make([]float32, t.Values())
	return x, block.Dequantize(t.Type, x, d.Uint8s())
}

// compare prints a row for a type: f has the weights, path what llama-quantize made
// of them.
func (c *comparison) compare(ctx context.Context, f *gguf.File, path string, typ block.Type) error {
	g, err := gguf.Open(path, nil)
	if err != nil {
		return err
	}
	defer g.Close()
	var ours, theirs, norm, worst float64
	var where string
	for _, t := range g.Tensors() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if t.Type != typ {
			continue
		}
		info, err := f.Info(t.Name)
		if err != nil {
			return err
		}
		x, err := values(f, info)
		if err != nil {
			return err
		}
		y, err := values(g, t)
		if err != nil {
			return err
		}
		b := squares(x, y)
		q := make([]byte, t.Size)
		if err := block.Quantize(typ, q, x); err != nil {
			return err
		}
		if err := block.Dequantize(typ, y, q); err != nil {
			return err
		}
		a := squares(x, y)
		ours, theirs, norm = ours+a, theirs+b, norm+squares(x, make([]float32, len(x)))
		if r := math.Sqrt(a / b); r > worst {
			worst, where = r, t.Name
		}
	}
	if norm == 0 {
		return errors.New("llama-quantize made no tensor of this type")
	}
	_, err = fmt.Fprintf(c.out, "%v\t%.5f\t%.5f\t%.4f\t%.4f\t%s\n", typ, math.Sqrt(ours/norm), math.Sqrt(theirs/norm), math.Sqrt(ours/theirs), worst, where)
	return err
}

// squares sums the squares of the differences.
func squares(x, y []float32) float64 {
	var sum float64
	for i, v := range x {
		d := float64(v) - float64(y[i])
		sum += d * d
	}
	return sum
}

// texts prints the table of what recipes do to the model's predictions of a text.
func (c *comparison) texts(ctx context.Context, recipes []string, text string, window int) error {
	float, one, other := filepath.Join(c.dir, "float.gguf"), filepath.Join(c.dir, "ours.gguf"), filepath.Join(c.dir, "theirs.gguf")
	ours := func(from, to, recipe string) error {
		said, err := exec.CommandContext(ctx, "go", "run", "./examples/quantize", "-q", "-i", from, "-o", to, "-type", recipe).CombinedOutput()
		if err != nil {
			return fmt.Errorf("examples/quantize: %w\n%s", err, said)
		}
		return nil
	}
	if err := ours(c.model.Paths()[0], float, "f32"); err != nil {
		return err
	}
	fmt.Fprintln(c.out, "recipe\tKL llama31\tKL llama.cpp\tratio\tperplexity f32\tllama31\tllama.cpp")
	for _, recipe := range recipes {
		if err := ours(float, one, recipe); err != nil {
			return err
		}
		if err := c.quantize(ctx, float, other, recipe); err != nil {
			return err
		}
		kl, ppl, err := predictions(ctx, []string{float, one, other}, text, window)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.out, "%s\t%.5f\t%.5f\t%.4f\t%.3f\t%.3f\t%.3f\n", recipe, kl[1], kl[2], kl[1]/kl[2], ppl[0], ppl[1], ppl[2])
		if err := c.out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// predictions runs a text through models, in windows and with float32 activations.
// It gives the Kullback-Leibler divergence of each model's predictions from the
// first one's, in nats per token, and the perplexities.
func predictions(ctx context.Context, paths []string, text string, window int) (kl, ppl []float64, err error) {
	var models []*llama.Model
	for _, path := range paths {
		m, err := llama.Open(ctx, path, &llama.Options{Device: "cpu", Exact: true, Context: window, MaxRunning: 1, KVBytes: 1})
		if err != nil {
			return nil, nil, err
		}
		defer m.Close()
		models = append(models, m)
	}
	kl, ppl = make([]float64, len(models)), make([]float64, len(models))
	ids := models[0].Tokenizer().Encode(nil, text)
	n := 0
	for w := range slices.Chunk(ids, window-1) {
		var base []float32 // log-probabilities
		vocab := models[0].Info().Vocabulary
		for i, m := range models {
			logits, err := m.Logits(ctx, w)
			if err != nil {
				return nil, nil, err
			}
			rows := logits.Data().([]float32)
			for at := range len(w) - 1 {
				row := rows[at*vocab : (at+1)*vocab]
				logSoftmax(row)
				ppl[i] -= float64(row[w[at+1]])
				if i > 0 {
					kl[i] += divergence(base[at*vocab:(at+1)*vocab], row)
				}
			}
			if i == 0 {
				base = rows
			}
		}
		n += len(w) - 1
	}
	if n == 0 {
		return nil, nil, errors.New("the text is too short")
	}
	for i := range models {
		kl[i] /= float64(n)
		ppl[i] = math.Exp(ppl[i] / float64(n))
	}
	return kl, ppl, nil
}

func logSoftmax(x []float32) {
	top, sum := float64(slices.Max(x)), 0.0
	for _, v := range x {
		sum += math.Exp(float64(v) - top)
	}
	sum = top + math.Log(sum)
	for i, v := range x {
		x[i] = float32(float64(v) - sum)
	}
}

// divergence of q from p, both log-probabilities.
func divergence(p, q []float32) float64 {
	var sum float64
	for i, v := range p {
		sum += math.Exp(float64(v)) * float64(v-q[i])
	}
	return sum
}
