package tinymodel

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/llama31/llama31/llama"
)

// ask gives the answer to the last of the texts that a user and the model said in turn, with the sampling that the file asks for. It
// says whether the answer ends by itself.
func ask(t *testing.T, m *llama.Model, texts ...string) (answer string, ends bool) {
	t.Helper()
	sampling, seed := m.Info().Sampling, uint64(1)
	sampling.Seed = &seed
	var messages []llama.Message
	for i, text := range texts {
		message := llama.User
		if i%2 == 1 {
			message = llama.Assistant
		}
		messages = append(messages, message(text))
	}
	r, err := m.Generate(t.Context(), llama.Request{Messages: messages, Sampling: &sampling, MaxTokens: 400})
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

// TestTalk begins with what people type first. Each answer is the right one on the machine that the model was made on; the limits leave
// room for other instructions' rounding.
func TestTalk(t *testing.T) {
	m := open(t)
	hello := []string{"Hello!", "Hi!", "there!", "Good day!", "Welcome!"}
	fine := []string{"Fine, thank you", "fine, thank you", "well, thank you"}
	welcome := []string{"welcome", "pleasure", "glad", "Thank you", "That makes me happy"}
	bye := []string{"bye", "Bye", "See you", "Good night"}
	excuse := []string{"tiny demonstration", "real model"}
	answers, missed := map[string]bool{}, [2]int{} // typed in a hurry, in sentences
	for i, c := range []struct {
		prompt string
		says   []string // one of them
	}{
		{"hi", hello},
		{"hey", hello},
		{"hello", hello},
		{"hi there", hello},
		{"good morning", hello},
		{"how are you", fine},
		{"hi, how are you?", fine},
		{"thanks", welcome},
		{"cool", welcome},
		{"bye", bye},
		{"good night", bye},
		{"who are you", []string{"tiny"}},
		{"help", []string{"stories"}},
		{"bigger model", []string{"go run ./examples/chat -model"}},
		{"Hello!", hello},
		{"How are you?", fine},
		{"Who are you?", []string{"tiny"}},
		{"What can you do?", []string{"stories"}},
		{"How do I run a real model?", []string{"go run ./examples/chat -model"}},
		{"How can I use this library in Go?", []string{"llama.Open(ctx, "}},
		{"How do I start the server?", []string{"go run ./examples/server -model"}},
		{"Thank you!", welcome},
		{"Goodbye!", bye},
		{"What is the capital of France?", excuse},
		{"What is 17 times 23?", excuse},
		{"Write a Python program that sorts a list.", excuse},
		{"Explain quantum physics.", excuse},
		{"My code does not work.", excuse},
	} {
		answer, _ := ask(t, m, c.prompt)
		answers[answer] = true
		said := false
		for _, s := range c.says {
			said = said || strings.Contains(answer, s)
		}
		if !said {
			t.Logf("%s\n%s", c.prompt, answer)
			missed[i/14]++
		}
	}
	if missed[0] > 1 || missed[1] > 2 || len(answers) < 12 {
		t.Errorf("of 28 answers %d and %d miss the point; %d are different", missed[0], missed[1], len(answers))
	}
}

// TestOffer says yes to the story that a greeting offers.
func TestOffer(t *testing.T) {
	m := open(t)
	offer := "Hello! I am a tiny demonstration model. Do you want to hear a story about a sleepy fox?"
	for _, yes := range []string{"yes", "ok"} {
		story, ends := ask(t, m, "hi", offer, yes)
		if !ends || !strings.Contains(story, "fox") || len(story) < 150 {
			t.Errorf("%s\n%s", yes, story)
		}
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
