package tinymodel

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/llama31/llama31/llama"
)

// ask gives an answer with the sampling that the file asks for. It says whether the answer ends by itself.
func ask(t *testing.T, m *llama.Model, text string) (answer string, ends bool) {
	t.Helper()
	sampling, seed := m.Info().Sampling, uint64(1)
	sampling.Seed = &seed
	r, err := m.Generate(t.Context(), llama.Request{Messages: []llama.Message{llama.User(text)}, Sampling: &sampling, MaxTokens: 400})
	if err != nil {
		t.Fatal(err)
	}
	return r.Choices[0].Message.Content, r.Choices[0].Finish == llama.FinishStop
}

func open(t *testing.T) *llama.Model {
	m, err := Open(t.Context(), &llama.Options{Device: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// TestHeldOut asks for stories of heroes. Those of the first ten are in none of the dialogues that the model was trained on. It names
// all of them on the machine that it was made on; the limits leave room for other instructions' rounding.
func TestHeldOut(t *testing.T) {
	m := open(t)
	var missed [2]int // unseen heroes, common ones
	for i, c := range []struct{ prompt, names string }{
		{"Tell me a story about a brave otter.", "otter"},
		{"Write a short story about a hedgehog who loves cake.", "hedgehog"},
		{"Tell me a story about a plumber.", "plumber"},
		{"a tale of a salamander", "salamander"},
		{"Please tell me a bedtime story about a sleepy hare.", "hare"},
		{"Can you tell me a story about a kingfisher?", "kingfisher"},
		{"Tell me a story about a narwhal who wants to dance.", "narwhal"},
		{"Write a story about a chef in a castle.", "chef"},
		{"Tell me a fairy tale about a cobbler and a queen.", "cobbler"},
		{"tell me a story about a lonely lantern", "lantern"},
		{"Tell me a story about a brave cat.", "cat"},
		{"a tale of a dragon who likes cake", "dragon"},
		{"Write a short story about a girl named Mia at the beach", "Mia"},
		{"Tell me a story about a fox and a bear.", "fox"},
		{"Write a story about a robot on the moon.", "robot"},
		{"Tell me a story about a penguin who wants to fly.", "penguin"},
		{"I would like a story about a pirate who lost his hat.", "pirate"},
		{"Tell me a story about an old wizard.", "wizard"},
		{"Tell me a story about a mouse who is afraid of the dark.", "mouse"},
		{"Tell me a funny story about a clumsy elephant.", "elephant"},
	} {
		if story, ends := ask(t, m, c.prompt); !ends || !strings.Contains(story, c.names) || len(story) < 150 {
			t.Logf("%s\n%s", c.prompt, story)
			missed[i/10]++
		}
	}
	if missed[0] > 2 || missed[1] > 1 {
		t.Errorf("%d of 10 stories do not name an unseen hero, and %d of 10 a common one", missed[0], missed[1])
	}
}

func TestTalk(t *testing.T) {
	m := open(t)
	answers, missed := map[string]bool{}, 0
	for _, c := range []struct {
		prompt string
		says   []string // one of them
	}{
		{"Hello!", []string{"ello", "Hi"}},
		{"hi", []string{"ello", "Hi", "Welcome", "Good day"}},
		{"Who are you?", []string{"tiny"}},
		{"What can you do?", []string{"stories"}},
		{"How do I run a real model?", []string{"go run ./examples/chat -model"}},
		{"How can I use this library in Go?", []string{"llama.Open(ctx, "}},
		{"How do I start the server?", []string{"go run ./examples/server -model"}},
		{"Thank you!", []string{"welcome", "pleasure", "glad", "Thank you", "That makes me happy"}},
		{"Goodbye!", []string{"bye", "Bye", "See you", "Good night"}},
		{"What is the capital of France?", []string{"tiny demonstration", "real model"}},
		{"What is 17 times 23?", []string{"tiny demonstration", "real model"}},
		{"Write a Python program that sorts a list.", []string{"tiny demonstration", "real model"}},
		{"Explain quantum physics.", []string{"tiny demonstration", "real model"}},
		{"My code does not work.", []string{"tiny demonstration", "real model"}},
	} {
		answer, _ := ask(t, m, c.prompt)
		answers[answer] = true
		said := false
		for _, s := range c.says {
			said = said || strings.Contains(answer, s)
		}
		if !said {
			t.Logf("%s\n%s", c.prompt, answer)
			missed++
		}
	}
	if missed > 2 || len(answers) < 9 {
		t.Errorf("%d of 14 answers miss the point; %d different ones", missed, len(answers))
	}
}

// TestSize keeps the file small, and away from programs that do not ask for it.
func TestSize(t *testing.T) {
	if len(file) > 4_000_000 {
		t.Errorf("the file has %d bytes, expected at most 4,000,000", len(file))
	}
	out, err := exec.Command("go", "list", "-deps", "-f", "{{.ImportPath}} {{.EmbedFiles}}", "github.com/llama31/llama31/llama").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if s := string(out); strings.Contains(s, "tinymodel") || strings.Contains(s, ".gguf") || !strings.Contains(s, "llama31/gguf ") {
		t.Errorf("llama depends on\n%s", s)
	}
}
