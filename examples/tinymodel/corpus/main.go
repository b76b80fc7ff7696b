// Corpus writes the dialogues that the tiny model learns from, one a line as JSON.
//
//	go run ./examples/tinymodel/corpus -o train.jsonl [-n 240000] [-seed 1]
//	go run ./examples/tinymodel/corpus -o heldout.jsonl -n 2000 -seed 2 -heldout
//
// Most are requests for a story and the story, written from a grammar; some are small talk, questions about the model and the
// library, and questions that the model does not know the answer of. All dialogues of a run are distinct. Stories of the held-out
// part have heroes that the training part never mentions, or a hero and a plot that it never joins.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "corpus:", err)
		os.Exit(1)
	}
}

func run(args []string) (err error) {
	fs := flag.NewFlagSet("corpus", flag.ContinueOnError)
	out := fs.String("o", "", "`file` to write (required)")
	n := fs.Int("n", 240000, "number of dialogues")
	seed := fs.Uint64("seed", 1, "of the random numbers: the same seed gives the same file")
	held := fs.Bool("heldout", false, "the part that is not trained on")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *out == "" || *n < 1 || fs.NArg() > 0 {
		return errors.New("expected -o FILE and -n of at least 1")
	}
	file, err := os.Create(*out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	w := bufio.NewWriter(file)
	if err := write(w, *n, *seed, *held); err != nil {
		return err
	}
	return w.Flush()
}

func write(w io.Writer, n int, seed uint64, held bool) error {
	r := rand.New(rand.NewPCG(seed, 0))
	seen := map[string]bool{}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for len(seen) < n {
		d := newDialogue(r, held)
		key := d.text()
		if seen[key] {
			continue
		}
		seen[key] = true
		if err := e.Encode(d); err != nil {
			return err
		}
	}
	return nil
}
