package llama

import (
	"bytes"
	"slices"
	"testing"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/gguf/gguftest"
)

// change is what a test makes different in the tiny model's file.
type change struct {
	set     map[string]any
	drop    []string          // entries and tensors
	tensors map[string]shaped // of zeros, new or in place of the file's
	copies  map[string]string // tensors that are another one
}

type shaped struct {
	typ   block.Type
	shape []int
}

// tinyWith is the tiny model's file, changed.
func tinyWith(t testing.TB, c change) []byte {
	t.Helper()
	data := tinyFile(t, 64)
	f, err := gguf.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := gguftest.New(t)
	for _, key := range f.Keys() {
		if _, ok := c.set[key]; !ok && !slices.Contains(c.drop, key) {
			b.Set(key, f.Value(key))
		}
	}
	for key, value := range c.set {
		b.Set(key, value)
	}
	for _, info := range f.Tensors() {
		if _, ok := c.tensors[info.Name]; ok || slices.Contains(c.drop, info.Name) {
			continue
		}
		from := info
		if name, ok := c.copies[info.Name]; ok {
			if from, err = f.Info(name); err != nil {
				t.Fatal(err)
			}
		}
		d, err := f.Tensor(from.Name)
		if err != nil {
			t.Fatal(err)
		}
		b.Raw(info.Name, from.Type, d.Uint8s(), from.Shape...)
	}
	for name, s := range c.tensors {
		n := int64(1)
		for _, d := range s.shape {
			n *= int64(d)
		}
		size, err := s.typ.Bytes(n)
		if err != nil {
			t.Fatal(err)
		}
		b.Raw(name, s.typ, make([]byte, size), s.shape...)
	}
	return b.Bytes()
}

// openReader is OpenReader of a file in memory; the model may be nil.
func openReader(t testing.TB, file []byte, o *Options) (*Model, error) {
	t.Helper()
	return OpenReader(t.Context(), bytes.NewReader(file), int64(len(file)), o)
}
