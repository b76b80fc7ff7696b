// Tokenize turns the text on standard input into the ids of a model's vocabulary,
// one space apart and without BOS, and with -d ids into text.
//
//	echo -n "Hello, world!" | go run ./examples/tokenize -model F [-special]
//	echo 9906 11 1917 0 | go run ./examples/tokenize -model F -d
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"

	"github.com/llama31/llama31/llama"
	"github.com/llama31/llama31/tokenizer"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "tokenize:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	fs := flag.NewFlagSet("tokenize", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // main prints the error, in one line
	model := fs.String("model", "", "GGUF `file` with the vocabulary")
	special := fs.Bool("special", false, "take control tokens such as <|eot_id|> from the text; with -d: show them")
	decode := fs.Bool("d", false, "ids to text")
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "usage: tokenize -model FILE [-special] [-d]")
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(out)
			fs.Usage()
		}
		return err
	}
	if *model == "" {
		return errors.New("-model is missing")
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; the text is read from standard input", fs.Arg(0))
	}
	// Nothing is computed, so the smallest context will do.
	m, err := llama.Open(ctx, *model, &llama.Options{Device: "cpu", Context: 32, MaxRunning: 1})
	if err != nil {
		return err
	}
	defer m.Close()
	t := m.Tokenizer()
	w := bufio.NewWriter(out)
	if *decode {
		err = writeText(w, in, t, *special)
	} else {
		err = writeIDs(w, in, t, *special)
	}
	if err != nil {
		return err
	}
	return w.Flush()
}

func writeIDs(w *bufio.Writer, in io.Reader, t *tokenizer.Tokenizer, special bool) error {
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	encode := t.Encode
	if special {
		encode = t.EncodeSpecial
	}
	for i, id := range encode(nil, string(text)) {
		if i > 0 {
			w.WriteByte(' ')
		}
		w.WriteString(strconv.Itoa(int(id)))
	}
	return w.WriteByte('\n')
}

func writeText(w *bufio.Writer, in io.Reader, t *tokenizer.Tokenizer, special bool) error {
	words := bufio.NewScanner(in)
	words.Split(bufio.ScanWords)
	var text []byte
	for words.Scan() {
		id, err := strconv.ParseUint(words.Text(), 10, 31)
		if err != nil || int(id) >= t.Size() {
			return fmt.Errorf("%.20q is no id, expected 0 to %d", words.Text(), t.Size()-1)
		}
		text = t.AppendDecode(text[:0], []int32{int32(id)}, special)
		w.Write(text)
	}
	return words.Err()
}
