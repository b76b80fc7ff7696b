// Quantize writes a copy of a GGUF model with its matrices in other block types.
//
//	go run ./examples/quantize -i IN -o OUT -type q4_k_m [-threads N]
//
// The input may be of any type that can be decoded; quantising what is already
// quantised loses more than quantising the original.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/gguf/recipe"
	"github.com/llama31/llama31/llama/hub/bar"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "quantize:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, log io.Writer) error {
	fs := flag.NewFlagSet("quantize", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // main prints the error, in one line
	in := fs.String("i", "", bar.Names+" (required)")
	out := fs.String("o", "", "GGUF file to write (required)")
	kind := fs.String("type", "q4_k_m", "one of "+strings.Join(writable(), ", "))
	threads := fs.Int("threads", runtime.GOMAXPROCS(0), "how many rows to work on at a time")
	quiet := fs.Bool("q", false, "print no line per tensor")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(log)
			fs.Usage()
		}
		return err
	}
	switch {
	case fs.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case *in == "" || *out == "":
		return errors.New("-i and -o are required: the files to read and to write")
	case *threads < 1 || *threads > 1024:
		return fmt.Errorf("-threads %d: expected 1 to 1024", *threads)
	}
	r, err := recipe.Parse(*kind)
	if err != nil {
		return fmt.Errorf("-type: %w", err)
	}
	path, err := bar.Path(ctx, *in, os.Stderr)
	if err != nil {
		return err
	}
	f, err := gguf.Open(path, nil)
	if err != nil {
		return err
	}
	defer f.Close()
	if same(f, *out) {
		return fmt.Errorf("-o %s is the file to read", *out)
	}
	q := quantizer{file: f, recipe: r, threads: *threads, log: log}
	if *quiet {
		q.log = io.Discard
	}
	if err := q.create(ctx, *out); err != nil {
		return err
	}
	fmt.Fprintf(log, "%s: %.1f MB became %.1f MB, relative error %.5f\n", *out, float64(q.before)/1e6, float64(q.after)/1e6, math.Sqrt(q.diff/q.norm))
	return nil
}

// writable are the recipes whose types all have a quantiser.
func writable() []string {
	var names []string
	for _, name := range recipe.Names() {
		r, err := recipe.Parse(name)
		if err != nil {
			continue
		}
		t := r.Type("blk.0.attn_q.weight", []int{256, 256}, recipe.Model{Layers: 1})
		if block.Quantize(t, nil, nil) == nil {
			names = append(names, name)
		}
	}
	return names
}

// same says whether out is one of f's files.
func same(f *gguf.File, out string) bool {
	b, err := os.Stat(out)
	if err != nil {
		return false
	}
	for _, path := range f.Paths() {
		if a, err := os.Stat(path); err == nil && os.SameFile(a, b) {
			return true
		}
	}
	return false
}

type quantizer struct {
	file    *gguf.File
	recipe  recipe.Recipe
	threads int
	log     io.Writer

	before, after int64   // bytes
	diff, norm    float64 // summed squares: of the difference, of the weights
}

// create writes beside path and renames at the end, so that an interrupted run
// leaves no half file under that name.
func (q *quantizer) create(ctx context.Context, path string) (err error) {
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
	buf := bufio.NewWriterSize(f, 1<<20)
	if err := q.write(ctx, gguf.NewWriter(buf)); err != nil {
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

func (q *quantizer) write(ctx context.Context, w *gguf.Writer) error {
	f := q.file
	for _, key := range f.Keys() {
		if strings.HasPrefix(key, "split.") || key == "general.file_type" || key == "general.quantization_version" || key == "general.alignment" {
			continue
		}
		if err := w.Set(key, f.Value(key)); err != nil {
			return err
		}
	}
	if err := w.Set("general.file_type", q.recipe.FileType); err != nil {
		return err
	}
	if err := w.Set("general.quantization_version", uint32(2)); err != nil {
		return err
	}
	model := recipe.Model{Tied: true}
	for key, n := range map[string]*int{"block_count": &model.Layers, "attention.head_count": &model.Heads, "attention.head_count_kv": &model.KVHeads} {
		if v, err := f.Uint("llama." + key); err == nil && v < 1<<20 {
			*n = int(v)
		}
	}
	if _, err := f.Info("output.weight"); err == nil {
		model.Tied = false
	}
	infos := f.Tensors()
	types := make([]block.Type, len(infos))
	for i, t := range infos {
		types[i] = q.recipe.Type(t.Name, t.Shape, model)
		if err := w.Declare(t.Name, types[i], t.Shape...); err != nil {
			return err
		}
	}
	for i, t := range infos {
		data, err := q.tensor(ctx, t, types[i])
		if err != nil {
			return fmt.Errorf("tensor %s: %w", t.Name, err)
		}
		if err := w.WriteTensor(t.Name, bytes.NewReader(data)); err != nil {
			return err
		}
	}
	return w.Close()
}

// tensor converts one tensor, a few rows at a time on each thread.
func (q *quantizer) tensor(ctx context.Context, t gguf.TensorInfo, to block.Type) ([]byte, error) {
	dense, err := q.file.Tensor(t.Name)
	if err != nil {
		return nil, err
	}
	src := dense.Uint8s()
	cols := t.Shape[len(t.Shape)-1]
	rows := int(t.Values() / int64(cols))
	from := cols / t.Type.Len() * t.Type.Size()
	size := cols / to.Len() * to.Size()
	dst := make([]byte, rows*size)
	if to == t.Type {
		copy(dst, src)
		q.before, q.after = q.before+t.Size, q.after+int64(len(dst))
		return dst, nil
	}
	step := max(1, (1<<16)/cols)
	var next atomic.Int64
	var wg sync.WaitGroup
	var mu sync.Mutex
	var diff, norm float64
	for range q.threads {
		wg.Go(func() {
			x, y := make([]float32, step*cols), make([]float32, step*cols)
			for {
				first := int(next.Add(1)-1) * step
				if first >= rows || ctx.Err() != nil {
					return
				}
				n := min(step, rows-first)
				part := dst[first*size : (first+n)*size]
				e := block.Dequantize(t.Type, x[:n*cols], src[first*from:(first+n)*from])
				if e == nil {
					e = block.Quantize(to, part, x[:n*cols])
				}
				if e == nil {
					e = block.Dequantize(to, y[:n*cols], part)
				}
				var d, s float64
				for i, v := range x[:n*cols] {
					d += float64(v-y[i]) * float64(v-y[i])
					s += float64(v) * float64(v)
				}
				mu.Lock()
				if e != nil {
					err = e
				}
				diff, norm = diff+d, norm+s
				mu.Unlock()
				if e != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	q.before, q.after = q.before+t.Size, q.after+int64(len(dst))
	q.diff, q.norm = q.diff+diff, q.norm+norm
	fmt.Fprintf(q.log, "%-28s %-14s %v -> %v  relative error %.5f\n", t.Name, fmt.Sprint(t.Shape), t.Type, to, math.Sqrt(diff/norm))
	return dst, nil
}
