// Ggufinfo prints what is in a GGUF file: metadata, how many bytes are stored in
// which block type, and what a Llama model will need in memory.
//
//	go run ./examples/ggufinfo [-tensors] [-sha256] FILE
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/llama/hub/bar"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "ggufinfo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("ggufinfo", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // main prints the error, in one line
	tensors := fs.Bool("tensors", false, "list every tensor")
	hash := fs.Bool("sha256", false, "print the SHA-256 of the file (reads all of it)")
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "usage: ggufinfo [-tensors] [-sha256] FILE")
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
		return fmt.Errorf("expected one file, found %d arguments", fs.NArg())
	}
	path, err := bar.Path(ctx, fs.Arg(0), os.Stderr)
	if err != nil {
		return err
	}
	f, err := gguf.Open(path, nil)
	if err != nil {
		return err
	}
	defer f.Close()

	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, path := range f.Paths() {
		fmt.Fprintf(w, "file\t%s\n", path)
	}
	fmt.Fprintf(w, "size\t%s\nversion\t%d\nalignment\t%d bytes\n", bytes(f.Size), f.Version, f.Alignment)
	if *hash {
		sum, err := f.SHA256(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "sha256\t%x\n", sum)
	}
	fmt.Fprintln(w)
	for _, key := range f.Keys() {
		fmt.Fprintf(w, "%s\t%s\n", printable(key), short(f.Value(key)))
	}
	fmt.Fprintln(w)
	if *tensors {
		for _, t := range f.Tensors() {
			fmt.Fprintf(w, "%s\t%v\t%v\t%s\n", printable(t.Name), t.Type, t.Shape, bytes(t.Size))
		}
		fmt.Fprintln(w)
	}
	printTypes(w, f)
	printMemory(w, f)
	return w.Flush()
}

// printable is a name from the file, in quotes if a terminal might obey it.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// short prints a value on one line, arrays by their first elements.
func short(v any) string {
	const most = 70
	text := func(v any) string {
		if s, ok := v.(string); ok {
			if r := []rune(s); len(r) > most {
				return fmt.Sprintf("%q… (%d bytes)", string(r[:most]), len(s))
			}
			return fmt.Sprintf("%q", s)
		}
		return fmt.Sprint(v)
	}
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Slice {
		return text(v)
	}
	var first []string
	for i := range min(r.Len(), 4) {
		first = append(first, text(r.Index(i).Interface()))
	}
	if r.Len() > 4 {
		first = append(first, "…")
	}
	return fmt.Sprintf("%d × %v [%s]", r.Len(), r.Type().Elem(), strings.Join(first, " "))
}

func printTypes(w io.Writer, f *gguf.File) {
	type use struct {
		t             block.Type
		count         int
		values, bytes int64
	}
	uses := map[block.Type]*use{}
	total := use{}
	for _, t := range f.Tensors() {
		u := uses[t.Type]
		if u == nil {
			u = &use{t: t.Type}
			uses[t.Type] = u
		}
		for _, x := range []*use{u, &total} {
			x.count++
			x.values += t.Values()
			x.bytes += t.Size
		}
	}
	if total.count == 0 {
		fmt.Fprintln(w, "no tensors")
		return
	}
	var sorted []*use
	for _, u := range uses {
		sorted = append(sorted, u)
	}
	slices.SortFunc(sorted, func(a, b *use) int { return cmp.Compare(b.bytes, a.bytes) })
	fmt.Fprintln(w, "type\ttensors\tvalues\tbytes\tbits per value")
	for _, u := range sorted {
		fmt.Fprintf(w, "%v\t%d\t%d\t%s\t%.2f\n", u.t, u.count, u.values, bytes(u.bytes), 8*float64(u.bytes)/float64(u.values))
	}
	fmt.Fprintf(w, "all\t%d\t%d\t%s\t%.2f\n", total.count, total.values, bytes(total.bytes), 8*float64(total.bytes)/float64(total.values))
}

// printMemory says what a Llama model will take: the weights, which are mapped, and
// keys and values of each token, in float16 or, with llama.Options' KV of Q8, in
// blocks of 32 int8 and a float16. Other files get no such lines.
func printMemory(w io.Writer, f *gguf.File) {
	if arch, err := f.String("general.architecture"); err != nil || arch != "llama" {
		return
	}
	number := func(key string, otherwise uint64) uint64 {
		n, err := f.Uint(key)
		if err != nil || n > 1<<31 {
			return otherwise
		}
		return n
	}
	layers, hidden := number("llama.block_count", 0), number("llama.embedding_length", 0)
	heads := number("llama.attention.head_count", 0)
	kvHeads := number("llama.attention.head_count_kv", heads)
	context := number("llama.context_length", 0)
	if layers == 0 || heads == 0 || hidden == 0 || context == 0 {
		return
	}
	keys := number("llama.attention.key_length", hidden/heads)
	values := number("llama.attention.value_length", keys)
	var weights float64
	for _, t := range f.Tensors() {
		weights += float64(t.Size)
	}
	perToken := float64(layers) * float64(kvHeads) * float64(keys+values)
	half, q8 := 2*perToken, perToken*34/32
	fmt.Fprintf(w, "\nmemory\tKV in float16\tKV in Q8\n")
	fmt.Fprintf(w, "KV cache per token\t%s\t%s\n", bytes(half), bytes(q8))
	line := func(tokens uint64, note string) {
		n := float64(tokens)
		fmt.Fprintf(w, "weights and %d tokens%s\t%s\t%s\n", tokens, note, bytes(weights+half*n), bytes(weights+q8*n))
	}
	for _, n := range []uint64{2048, 8192, 32768} {
		if n < context {
			line(n, "")
		}
	}
	line(context, " (all)")
}

// bytes prints a size in the largest unit that keeps it above 1.
func bytes[T int64 | float64](n T) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"}
	x, i := float64(n), 0
	for ; x >= 1024 && i < len(units)-1; i++ {
		x /= 1024
	}
	if i == 0 {
		return fmt.Sprintf("%.0f bytes", x)
	}
	return fmt.Sprintf("%.2f %s", x, units[i])
}
