// Package gguftest builds small GGUF files for tests.
//
//	b := gguftest.New(t)
//	b.Set("general.architecture", "llama")
//	b.Tensor("output.weight", block.TypeQ8_0, weights, 64, 256)
//	f := b.Open()
package gguftest

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/gguf/block"
)

// Builder collects metadata and tensors. Whatever goes wrong ends the test.
type Builder struct {
	tb     testing.TB
	w      *gguf.Writer
	buf    bytes.Buffer
	names  []string
	data   [][]byte
	closed bool
}

// New begins an empty file.
func New(tb testing.TB) *Builder {
	b := &Builder{tb: tb}
	b.w = gguf.NewWriter(&b.buf)
	return b
}

func (b *Builder) check(err error) {
	b.tb.Helper()
	if err != nil {
		b.tb.Fatal(err)
	}
}

// Set adds a metadata entry.
func (b *Builder) Set(key string, value any) {
	b.tb.Helper()
	b.check(b.w.Set(key, value))
}

// Tensor adds values, quantised to t; shape is rows first.
func (b *Builder) Tensor(name string, t block.Type, values []float32, shape ...int) {
	b.tb.Helper()
	size, err := t.Bytes(int64(len(values)))
	b.check(err)
	data := make([]byte, size)
	b.check(block.Quantize(t, data, values))
	b.Raw(name, t, data, shape...)
}

// Raw adds a tensor's data as it will be stored.
func (b *Builder) Raw(name string, t block.Type, data []byte, shape ...int) {
	b.tb.Helper()
	b.check(b.w.Declare(name, t, shape...))
	b.names = append(b.names, name)
	b.data = append(b.data, data)
}

// Bytes is the whole file.
func (b *Builder) Bytes() []byte {
	b.tb.Helper()
	if !b.closed {
		b.closed = true
		for i, name := range b.names {
			b.check(b.w.WriteTensor(name, bytes.NewReader(b.data[i])))
		}
		b.check(b.w.Close())
	}
	return b.buf.Bytes()
}

// File writes the file to the test's temporary folder and gives its path.
func (b *Builder) File(name string) string {
	b.tb.Helper()
	path := filepath.Join(b.tb.TempDir(), name)
	b.check(os.WriteFile(path, b.Bytes(), 0o666))
	return path
}

// Open opens the file, from memory, until the test ends.
func (b *Builder) Open() *gguf.File {
	b.tb.Helper()
	data := b.Bytes()
	f, err := gguf.NewReader(bytes.NewReader(data), int64(len(data)))
	b.check(err)
	b.tb.Cleanup(func() { b.check(f.Close()) })
	return f
}

// Normal gives n values of a normal distribution of that standard deviation, the
// same for the same seed.
func Normal(seed uint64, n int, deviation float64) []float32 {
	r := rand.New(rand.NewPCG(seed, 0))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64() * deviation)
	}
	return x
}
