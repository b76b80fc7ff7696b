// Hello asks a model one question: go run ./examples/hello MODEL.gguf
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	_ "github.com/llama31/llama31/kernels/cuda" // a GPU, where there is one
	"github.com/llama31/llama31/llama"
)

func main() {
	m, err := llama.Open(context.Background(), os.Args[len(os.Args)-1], nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	r, err := m.Generate(context.Background(), llama.Request{Messages: []llama.Message{llama.User("Why is the sky blue?")}, MaxTokens: 100})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Text())
}
