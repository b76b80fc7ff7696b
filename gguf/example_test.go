package gguf_test

import (
	"bytes"
	"errors"
	"fmt"
	"log"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/gguf/block"
)

// A file is written in one pass, and read back.
func Example() {
	var file bytes.Buffer
	w := gguf.NewWriter(&file)
	if err := w.Set("general.name", "small"); err != nil {
		log.Fatal(err)
	}
	if err := w.Declare("token_embd.weight", block.TypeF32, 2, 3); err != nil {
		log.Fatal(err)
	}
	data := make([]byte, 4*6)
	if err := block.Quantize(block.TypeF32, data, []float32{1, 2, 3, 4, 5, 6}); err != nil {
		log.Fatal(err)
	}
	if err := w.WriteTensor("token_embd.weight", bytes.NewReader(data)); err != nil {
		log.Fatal(err)
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}

	f, err := gguf.NewReader(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	name, err := f.String("general.name")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(name)
	for _, t := range f.Tensors() {
		d, err := f.Tensor(t.Name)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(t.Name, t.Type, t.Shape, d.Float32s())
	}
	// Output:
	// small
	// token_embd.weight F32 [2 3] [1 2 3 4 5 6]
}

// Whatever is wrong with a file has a kind.
func ExampleFormatError() {
	data := []byte("This is no model.")
	_, err := gguf.NewReader(bytes.NewReader(data), int64(len(data)))
	fmt.Println(errors.Is(err, gguf.ErrMagic), errors.Is(err, gguf.ErrTruncated))
	// Output:
	// true false
}
