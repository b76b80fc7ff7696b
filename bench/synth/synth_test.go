package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/gguf/recipe"
)

func made(t *testing.T, args ...string) (string, *gguf.File) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.gguf")
	if err := run(append([]string{"-o", path}, args...)); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return path, f
}

// TestWeights makes a file of every type and measures the values' mean and
// deviation.
func TestWeights(t *testing.T) {
	for _, name := range recipe.Names() {
		_, f := made(t, "-type", name, "-vocab", "300", "-layers", "1")
		for _, w := range plan(shape{"tiny", 1, 512, 8, 2, 1024, false}, mustParse(t, name), 300) {
			info, err := f.Info(w.name)
			if err != nil {
				t.Fatal(err)
			}
			d, err := f.Tensor(w.name)
			if err != nil {
				t.Fatal(err)
			}
			values := make([]float32, info.Values())
			if err := block.Dequantize(info.Type, values, d.Uint8s()); err != nil {
				t.Fatal(err)
			}
			if w.values != nil || w.rowSpread > 0 {
				continue
			}
			var sum, square float64
			for _, v := range values {
				sum += float64(v)
				square += float64(v) * float64(v)
			}
			mean := sum / float64(len(values))
			std := math.Sqrt(square/float64(len(values)) - mean*mean)
			if !(math.Abs(mean-w.mean) < 0.05*w.std+4*w.std/math.Sqrt(float64(len(values)))) || !(math.Abs(std/w.std-1) < 0.15) {
				t.Errorf("%s, %s %v: mean %.4f, deviation %.4f; expected %.4f, %.4f", name, w.name, info.Type, mean, std, w.mean, w.std)
			}
		}
	}
}

func mustParse(t *testing.T, name string) recipe.Recipe {
	r, err := recipe.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSameSeedSameFile(t *testing.T) {
	read := func(seed string) []byte {
		path, _ := made(t, "-vocab", "512", "-seed", seed)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	one := read("7")
	if !bytes.Equal(one, read("7")) {
		t.Error("two files of the same seed differ")
	}
	if bytes.Equal(one, read("8")) {
		t.Error("two seeds give the same file")
	}
}

// TestRopeFactors has the values that Llama 3.1 8B's file carries: 29 ones, a
// blend, eights.
func TestRopeFactors(t *testing.T) {
	f := ropeFactors(128)
	if len(f) != 64 || f[0] != 1 || f[28] != 1 || f[29] == 1 || f[34] >= 8 || f[35] != 8 || f[63] != 8 {
		t.Errorf("%v", f)
	}
	for i := 1; i < len(f); i++ {
		if f[i] < f[i-1] {
			t.Errorf("factor %d is %v after %v", i, f[i], f[i-1])
		}
	}
}

func TestMadeUpVocabulary(t *testing.T) {
	for _, n := range []int{minVocabulary, 300, 4096, 5000, 32000, llamaVocabulary} {
		v := madeUp(n)
		if len(v.tokens) != n || len(v.types) != n {
			t.Fatalf("%d tokens and %d types, expected %d", len(v.tokens), len(v.types), n)
		}
		ids := map[string]int{}
		for id, token := range v.tokens {
			if other, ok := ids[token]; ok {
				t.Fatalf("tokens %d and %d are both %q", other, id, token)
			}
			ids[token] = id
		}
		for i, m := range v.merges {
			a, b, _ := strings.Cut(m, " ")
			if ids[a+b] != 256+i {
				t.Fatalf("merge %d, %q, makes token %d", i, m, ids[a+b])
			}
		}
		if v.tokens[v.bos] != "<|begin_of_text|>" || v.tokens[v.eot] != "<|eot_id|>" || v.types[v.eot] != control {
			t.Errorf("vocabulary of %d: bos %d, eot %d", n, v.bos, v.eot)
		}
		if n == llamaVocabulary && (v.bos != 128000 || v.eot != 128009 || ids["<|python_tag|>"] != 128010 || ids["<|reserved_special_token_3|>"] != 128011 || ids["<|reserved_special_token_247|>"] != 128255) {
			t.Error("control tokens have other ids than Llama 3.1's")
		}
	}
}

// TestFetchedVocabulary needs Llama 3.1's tokenizer.
func TestFetchedVocabulary(t *testing.T) {
	v, err := fetchedVocabulary(filepath.Join("../..", fetched))
	if err != nil {
		if strings.Contains(os.Getenv("LLAMA31_REQUIRE"), "tokenizer") {
			t.Fatal(err)
		}
		t.Skipf("go run ./testdata/fetch brings it: %v", err)
	}
	if len(v.merges) != 280147 || v.bos != 128000 || v.eot != 128009 || v.tokens[0] != "!" || v.types[128008] != control || v.types[127999] != normal {
		t.Errorf("%d merges, bos %d, eot %d", len(v.merges), v.bos, v.eot)
	}
	if !strings.Contains(v.template, "<|start_header_id|>") {
		t.Error("the chat template is not Llama 3.1's")
	}
}

func TestFlags(t *testing.T) {
	out := filepath.Join(t.TempDir(), "m.gguf")
	for _, args := range [][]string{
		{}, {"-o", out, "-size", "9b"}, {"-o", out, "-type", "q9"}, {"-o", out, "-layers", "-1"},
		{"-o", out, "-layers", "x"}, {"-o", out, "-vocab", "3"}, {"-o", out, "more"}, {"-o", out, "-nosuch"},
		{"-o", filepath.Join(out, "no", "folder")},
	} {
		err := run(args)
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v, expected an error of one line", args, err)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a file was left by flags that are wrong")
	}
}
