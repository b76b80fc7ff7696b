// Tokenize turns the text on standard input into the ids of a model's vocabulary,
// one space apart and without BOS, and with -d ids into text. With -chat it reads a
// conversation, a JSON object with "messages" and "tools" as in OpenAI's API, and
// gives the ids of the prompt that the model gets, up to the assistant's header, or
// with -text the text of it.
//
//	echo -n "Hello, world!" | go run ./examples/tokenize -model F [-special]
//	echo 9906 11 1917 0 | go run ./examples/tokenize -model F -d
//	echo '{"messages": [{"role": "user", "content": "Hi"}]}' | go run ./examples/tokenize -model F -chat [-text]
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"

	"github.com/llama31/llama31/llama"
	"github.com/llama31/llama31/llama/hub/bar"
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
	model := fs.String("model", "", bar.Names)
	special := fs.Bool("special", false, "take control tokens such as <|eot_id|> from the text; with -d: show them")
	decode := fs.Bool("d", false, "ids to text")
	chat := fs.Bool("chat", false, "read a conversation as JSON, give the ids of its prompt")
	text := fs.Bool("text", false, "with -chat: give the prompt's text")
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "usage: tokenize -model FILE [-special] [-d | -chat [-text]]")
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
	if *chat && (*decode || *special) || *text && !*chat {
		return errors.New("-chat goes with -text only, and -text with -chat")
	}
	// Nothing is computed; the context is the model's, for a prompt to fit in it.
	path, err := bar.Path(ctx, *model, os.Stderr)
	if err != nil {
		return err
	}
	m, err := llama.Open(ctx, path, &llama.Options{Device: "cpu", MaxRunning: 1, KVBytes: 1})
	if err != nil {
		return err
	}
	defer m.Close()
	t := m.Tokenizer()
	w := bufio.NewWriter(out)
	switch {
	case *chat:
		err = writePrompt(w, in, m, *text)
	case *decode:
		err = writeText(w, in, t, *special)
	default:
		err = encode(w, in, t, *special)
	}
	if err != nil {
		return err
	}
	return w.Flush()
}

// writePrompt reads a conversation and writes its prompt. Fields of OpenAI's API
// that have no part in a prompt, such as "model", are passed over.
func writePrompt(w *bufio.Writer, in io.Reader, m *llama.Model, text bool) error {
	data, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	var r struct {
		Messages []llama.Message `json:"messages"`
		Tools    []llama.Tool    `json:"tools"`
	}
	if err := json.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), &r); err != nil {
		return fmt.Errorf("reading the conversation: %w", err)
	}
	if len(r.Messages) == 0 {
		return errors.New(`reading the conversation: expected an object with "messages", found none`)
	}
	request := llama.Request{Messages: r.Messages, Tools: r.Tools}
	if text {
		prompt, err := m.PromptText(request)
		if err == nil {
			_, err = w.WriteString(prompt)
		}
		return err
	}
	ids, err := m.Prompt(request)
	if err != nil {
		return err
	}
	return writeIDs(w, ids)
}

func encode(w *bufio.Writer, in io.Reader, t *tokenizer.Tokenizer, special bool) error {
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	if special {
		return writeIDs(w, t.EncodeSpecial(nil, string(text)))
	}
	return writeIDs(w, t.Encode(nil, string(text)))
}

func writeIDs(w *bufio.Writer, ids []int32) error {
	for i, id := range ids {
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
	var ids []int32
	for words.Scan() {
		id, err := strconv.ParseUint(words.Text(), 10, 31)
		if err != nil || int(id) >= t.Size() {
			return fmt.Errorf("%.20q is no id, expected 0 to %d", words.Text(), t.Size()-1)
		}
		ids = append(ids, int32(id))
	}
	w.Write(t.AppendDecode(nil, ids, special))
	return words.Err()
}
