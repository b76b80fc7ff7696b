package llama_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/llama31/llama31/llama"
)

// A question to a model in a file.
func ExampleOpen() {
	ctx := context.Background()
	m, err := llama.Open(ctx, "Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	r, err := m.Generate(ctx, llama.Request{Messages: []llama.Message{llama.User("Why is the sky blue?")}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Text())
}

// model is a GGUF file that is part of the program, by go:embed for instance.
var model = parrot("Blue", " light", " is", " scattered", " most", ".")

func open() *llama.Model {
	m, err := llama.OpenReader(context.Background(), bytes.NewReader(model), int64(len(model)), nil)
	if err != nil {
		log.Fatal(err)
	}
	return m
}

func ExampleModel_Generate() {
	m := open()
	defer m.Close()
	r, err := m.Generate(context.Background(), llama.Request{
		Messages: []llama.Message{llama.System("Be brief."), llama.User("Why is the sky blue?")},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Text())
	fmt.Println(r.Choices[0].Finish, r.Usage.Generated)
	// Output:
	// Blue light is scattered most.
	// stop 7
}

func ExampleModel_Stream() {
	m := open()
	defer m.Close()
	question := []llama.Message{llama.User("Why is the sky blue?")}
	for tok, err := range m.Stream(context.Background(), llama.Request{Messages: question, MaxTokens: 4}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(tok.Text)
		if r := tok.Response; r != nil {
			fmt.Printf(" (%s)\n", r.Choices[0].Finish)
		}
	}
	// Output:
	// Blue light is scattered (length)
}

// An answer that ends before a text, drawn with a seed so that it can be had again, and what the model thought of each token.
func ExampleModel_Generate_sampling() {
	m := open()
	defer m.Close()
	seed := uint64(42)
	r, err := m.Generate(context.Background(), llama.Request{
		Messages: []llama.Message{llama.User("Why is the sky blue?")},
		Stop:     []string{" scat"},
		Sampling: &llama.Sampling{TopP: 0.9, Seed: &seed},
		N:        2,
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range r.Choices {
		fmt.Printf("%q %s %q\n", c.Message.Content, c.Finish, c.Stop)
	}
	// Output:
	// "Blue light is" stop " scat"
	// "Blue light is" stop " scat"
}

// A conversation.
func ExampleModel_NewChat() {
	m := open()
	defer m.Close()
	c := m.NewChat(llama.Request{Messages: []llama.Message{llama.System("Be brief.")}})
	for _, question := range []string{"Why is the sky blue?", "Really?"} {
		if _, err := c.Send(context.Background(), question); err != nil {
			log.Fatal(err)
		}
	}
	for _, message := range c.History() {
		fmt.Printf("%-10s%s\n", message.Role, message.Content)
	}
	// Output:
	// system    Be brief.
	// user      Why is the sky blue?
	// assistant Blue light is scattered most.
	// user      Really?
	// assistant Blue light is scattered most.
}

// Too long a prompt says how long.
func ExampleContextLengthError() {
	m := open()
	defer m.Close()
	_, err := m.Generate(context.Background(), llama.Request{Prompt: strings.Repeat("blue ", 60)})
	var e *llama.ContextLengthError
	if errors.As(err, &e) {
		fmt.Printf("%d tokens, of %d that fit\n", e.Need, e.Have)
	}
	// Output:
	// 302 tokens, of 256 that fit
}
