package hub_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/llama31/llama31/llama"
	"github.com/llama31/llama31/llama/hub"
)

// A model by its name. What is here already is not asked for again.
func ExamplePath() {
	ctx := context.Background()
	path, err := hub.Path(ctx, "hf:bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M")
	if err != nil {
		log.Fatal(err)
	}
	m, err := llama.Open(ctx, path, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
}

// A file of a server of your own, with its sum.
func ExampleClient_Path() {
	file := []byte("GGUF and so on")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
	}))
	defer server.Close()
	cache, err := os.MkdirTemp("", "models")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(cache)

	c := hub.Client{Cache: cache, Progress: func(p hub.Progress) { fmt.Printf("%d of %d bytes\n", p.Done, p.Total) }}
	path, err := c.Path(context.Background(), fmt.Sprintf("%s/model.gguf#sha256=%x", server.URL, sha256.Sum256(file)))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(filepath.Base(path))
	_, err = c.Path(context.Background(), fmt.Sprintf("%s/model.gguf#sha256=%x", server.URL, sha256.Sum256([]byte("another"))))
	fmt.Println(errors.Is(err, hub.ErrChecksum))
	// Output:
	// 14 of 14 bytes
	// model.gguf
	// 14 of 14 bytes
	// true
}
