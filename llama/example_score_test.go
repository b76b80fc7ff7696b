package llama_test

import (
	"bufio"
	"context"
	"fmt"
	"iter"
	"log"
	"math"
	"os"

	"github.com/llama31/llama31/llama"
)

// Which answer does a model find likelier?
func ExampleModel_Score() {
	ctx := context.Background()
	m, err := llama.Open(ctx, "model.gguf", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	answers := []string{" yes", " no"}
	scores, err := m.Score(ctx, "Question: Is a whale a fish?\nAnswer:", answers...)
	if err != nil {
		log.Fatal(err)
	}
	for i, s := range scores {
		fmt.Printf("%s: %.1f%%\n", answers[i], 100*math.Exp(s.Logprob))
	}
}

// The log-probability of each token of a prompt.
func ExampleModel_Logprobs() {
	ctx := context.Background()
	m, err := llama.Open(ctx, "model.gguf", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	ids, err := m.Prompt(llama.Request{Prompt: "The capital of France is Paris."})
	if err != nil {
		log.Fatal(err)
	}
	logprobs, err := m.Logprobs(ctx, ids)
	if err != nil {
		log.Fatal(err)
	}
	for i, p := range logprobs {
		fmt.Printf("%8.3f %q\n", p, m.Tokenizer().Token(ids[i+1]))
	}
}

// Texts of like meaning have vectors of like direction.
func ExampleModel_Embed() {
	ctx := context.Background()
	m, err := llama.Open(ctx, "model.gguf", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	vectors, err := m.Embed(ctx, []string{"a small dog", "a puppy"}, &llama.EmbedOptions{Normalize: true})
	if err != nil {
		log.Fatal(err)
	}
	n, x := m.Info().Hidden, vectors.Float32s()
	cosine := 0.0
	for i := range n {
		cosine += float64(x[i]) * float64(x[n+i])
	}
	fmt.Printf("%.3f\n", cosine)
}

// A question on each line of a file, the answers in the same order; many run at once.
func ExampleModel_Map() {
	ctx := context.Background()
	m, err := llama.Open(ctx, "model.gguf", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	lines := bufio.NewScanner(os.Stdin)
	var questions iter.Seq[llama.Request] = func(yield func(llama.Request) bool) {
		for lines.Scan() && yield(llama.Request{Messages: []llama.Message{llama.User(lines.Text())}, MaxTokens: 200}) {
		}
	}
	for r, err := range m.Map(ctx, questions) {
		if err != nil {
			fmt.Println("error:", err) // of this question only
			continue
		}
		fmt.Println(r.Text())
	}
}
