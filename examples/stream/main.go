// Stream prints an answer as it is generated: go run ./examples/stream MODEL.gguf "Why is the sky blue?"
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/llama31/llama31/llama"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: stream MODEL.gguf QUESTION")
	}
	m, err := llama.Open(context.Background(), os.Args[1], nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	for t, err := range m.Stream(context.Background(), llama.Request{Messages: []llama.Message{llama.User(os.Args[2])}}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(t.Text)
	}
	fmt.Println()
}
