// Evaluate measures the tiny model on the held-out part of its corpus.
//
//	go run ./examples/tinymodel/corpus -o heldout.jsonl -n 2000 -seed 2 -heldout
//	go run ./examples/tinymodel/evaluate -f heldout.jsonl
//
// It prints the mean loss of the assistant's tokens, how many stories name the hero that the prompt asks for, and the first
// dialogues' prompts with the model's stories, as they come.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/llama31/llama31/examples/tinymodel"
	"github.com/llama31/llama31/llama"
)

// dialogue is a line of the corpus.
type dialogue struct {
	Messages []llama.Message `json:"messages"`
	Hero     string          `json:"hero"`
	Plot     string          `json:"plot"`
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "evaluate:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("evaluate", flag.ContinueOnError)
	path := fs.String("f", "", "held-out `dialogues` that ./examples/tinymodel/corpus wrote (required)")
	model := fs.String("model", "", "GGUF `file` (default: the embedded one)")
	n := fs.Int("n", 200, "number of dialogues")
	samples := fs.Int("samples", 10, "number of stories to print")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *path == "" || *n < 1 || fs.NArg() > 0 {
		return errors.New("expected -f FILE and -n of at least 1")
	}
	dialogues, err := read(*path, *n)
	if err != nil {
		return err
	}
	ctx := context.Background()
	open := tinymodel.Open
	if *model != "" {
		open = func(ctx context.Context, o *llama.Options) (*llama.Model, error) { return llama.Open(ctx, *model, o) }
	}
	m, err := open(ctx, nil)
	if err != nil {
		return err
	}
	defer m.Close()
	loss, tokens, err := score(ctx, m, dialogues)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "held-out loss %.3f per token of the answers, %d tokens of %d dialogues\n", loss, tokens, len(dialogues))
	return tell(ctx, m, dialogues, *samples, out)
}

func read(path string, n int) (list []dialogue, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() && len(list) < n {
		var d dialogue
		if err := json.Unmarshal(s.Bytes(), &d); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, len(list)+1, err)
		}
		list = append(list, d)
	}
	return list, s.Err()
}

// score is the mean negative log-likelihood of what the assistant says, its end of turn included.
func score(ctx context.Context, m *llama.Model, dialogues []dialogue) (loss float64, tokens int, err error) {
	for _, d := range dialogues {
		scored, err := m.ScorePrompt(ctx, llama.Request{Messages: d.Messages})
		if err != nil {
			return 0, 0, err
		}
		role, inside := "", false
		for i, t := range scored {
			text := m.Tokenizer().DecodeSpecial([]int32{t.ID})
			switch {
			case text == "<|start_header_id|>":
				role = ""
			case text == "<|end_header_id|>":
				inside = strings.TrimSpace(role) == "assistant"
				if i+1 < len(scored) {
					scored[i+1].Logprob = 0 // the newlines behind a header belong to it
				}
				if inside {
					tokens-- // and do not count
				}
			case inside:
				loss -= t.Logprob
				tokens++
				inside = text != "<|eot_id|>"
			default:
				role += text
			}
		}
	}
	return loss / float64(tokens), tokens, nil
}

// tell has the model answer each dialogue's first prompt, with the sampling that its file asks for.
func tell(ctx context.Context, m *llama.Model, dialogues []dialogue, samples int, out io.Writer) error {
	named, asked := 0, 0
	for i, d := range dialogues {
		if d.Hero == "" {
			continue
		}
		messages := d.Messages[:1]
		if messages[0].Role == llama.RoleSystem {
			messages = d.Messages[:2]
		}
		prompt := messages[len(messages)-1].Content
		seed := uint64(i)
		sampling := m.Info().Sampling
		sampling.Seed = &seed
		r, err := m.Generate(ctx, llama.Request{Messages: messages, Sampling: &sampling, MaxTokens: 400})
		if err != nil {
			return err
		}
		story := r.Choices[0].Message.Content
		if i < samples {
			fmt.Fprintf(out, "\n> %s\n\n%s\n", prompt, story)
		}
		if strings.Contains(strings.ToLower(prompt), d.Hero) {
			asked++
			if strings.Contains(strings.ToLower(story), d.Hero) {
				named++
			}
		}
	}
	fmt.Fprintf(out, "\n%d of %d stories name the hero that the prompt asks for\n", named, asked)
	return nil
}
