package llama_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/llama31/llama31/llama"
)

// A conversation that outlives the program: its messages as JSON, and what the model has computed of it.
func ExampleChat_SaveKV() {
	ctx := context.Background()
	m, err := llama.Open(ctx, "model.gguf", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	chat := m.NewChat(llama.Request{Messages: []llama.Message{llama.System("Be brief.")}, Shift: true})

	if messages, err := os.Open("chat.json"); err == nil { // go on with the last one
		defer messages.Close()
		if err := chat.Restore(messages); err != nil {
			log.Fatal(err)
		}
	}
	if cache, err := os.Open("chat.kv"); err == nil {
		defer cache.Close()
		if _, err := m.RestoreKV(ctx, cache); err != nil {
			fmt.Println("computing it again:", err) // another model or build saved it
		}
	}

	r, err := chat.Send(ctx, "What did I ask you last?")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Text(), r.Usage.Cached)

	messages, err := os.Create("chat.json")
	if err != nil {
		log.Fatal(err)
	}
	defer messages.Close()
	if err := chat.Save(messages); err != nil {
		log.Fatal(err)
	}
	cache, err := os.Create("chat.kv")
	if err != nil {
		log.Fatal(err)
	}
	defer cache.Close()
	if _, err := chat.SaveKV(ctx, cache); err != nil {
		log.Fatal(err)
	}
}
