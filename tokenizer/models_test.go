package tokenizer_test

import (
	"os"
	"sync"
	"testing"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/internal/testenv"
	"github.com/llama31/llama31/tokenizer"
)

// The two real vocabularies, read once for all tests.
var models = map[string]func(testing.TB) *tokenizer.Tokenizer{
	"llama-3.1": once(llama31Vocab),
	"smollm2":   once(smollm2Vocab),
}

func once(read func(testing.TB) tokenizer.Vocab) func(testing.TB) *tokenizer.Tokenizer {
	var mu sync.Mutex
	var tok *tokenizer.Tokenizer
	return func(t testing.TB) *tokenizer.Tokenizer {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if tok == nil {
			var err error
			if tok, err = tokenizer.New(read(t)); err != nil {
				t.Fatal(err)
			}
		}
		return tok
	}
}

func llama31Vocab(t testing.TB) tokenizer.Vocab {
	t.Helper()
	f, err := os.Open(testenv.Fetched(t, "tokenizer"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	v, err := tokenizer.ReadHuggingFace(f)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func smollm2Vocab(t testing.TB) tokenizer.Vocab {
	t.Helper()
	f, err := gguf.Open(testenv.Fetched(t, "smollm2"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	v := tokenizer.Vocab{Pre: "smollm", BOS: new(int32(1)), EOS: new(int32(2)), PAD: new(int32(2)), UNK: new(int32(0))}
	v.Tokens, _ = f.Metadata.Value("tokenizer.ggml.tokens").([]string)
	v.Types, _ = f.Metadata.Value("tokenizer.ggml.token_type").([]int32)
	v.Merges, _ = f.Metadata.Value("tokenizer.ggml.merges").([]string)
	if len(v.Tokens) == 0 || len(v.Types) == 0 || len(v.Merges) == 0 {
		t.Fatal("the file has no vocabulary")
	}
	return v
}
