package tokenizer

import (
	"os"
	"sync"
	"testing"

	"github.com/llama31/llama31/internal/testenv"
)

var readLlama31 = sync.OnceValues(func() (Vocab, error) {
	f, err := os.Open(llama31Path)
	if err != nil {
		return Vocab{}, err
	}
	defer f.Close()
	return ReadHuggingFace(f)
})

var llama31Path string

func llama31(t testing.TB) *Tokenizer {
	t.Helper()
	llama31Path = testenv.Fetched(t, "tokenizer")
	v, err := readLlama31()
	if err != nil {
		t.Fatal(err)
	}
	tok, err := New(v)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestHello(t *testing.T) {
	tok := llama31(t)
	t.Log(tok, tok.Encode(nil, "Hello, world! việc <|eot_id|>"), tok.EncodeSpecial(nil, "<|eot_id|>Hello"), tok.Stops())
}

func BenchmarkNew(b *testing.B) {
	llama31(b)
	v, _ := readLlama31()
	for b.Loop() {
		New(v)
	}
}
