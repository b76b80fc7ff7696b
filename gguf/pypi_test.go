package gguf_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"reflect"
	"testing"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/gguf/gguftest"
	"github.com/llama31/llama31/internal/testenv"
)

// TestPyPI has PyPI's gguf package read what Writer wrote. LLAMA31_PYTHON names the
// interpreter that has it (python3 otherwise).
func TestPyPI(t *testing.T) {
	python := os.Getenv("LLAMA31_PYTHON")
	if python == "" {
		python = "python3"
	}
	err := exec.Command(python, "-c", "import gguf").Run()
	testenv.Have(t, "pypi", err == nil, "pip install gguf==0.19.0 brings the package")
	b := gguftest.New(t)
	b.Set("general.architecture", "llama")
	b.Set("u8", uint8(200))
	b.Set("i16", int16(-300))
	b.Set("u64", uint64(1<<53))
	b.Set("f32", float32(0.5))
	b.Set("f64", -0.25)
	b.Set("yes", true)
	b.Set("text", "héllo")
	b.Set("strings", []string{"a", "", "bcd"})
	b.Set("ints", []int32{-1, 2, 3})
	b.Set("floats", []float32{1, -0.5})
	b.Set("general.alignment", uint32(64))
	b.Tensor("vector", block.TypeF32, gguftest.Normal(1, 5, 1), 5)
	b.Tensor("matrix", block.TypeQ4_K, gguftest.Normal(2, 3*512, 1), 3, 512)
	b.Tensor("cube", block.TypeF16, gguftest.Normal(3, 2*3*4, 1), 2, 3, 4)
	b.Tensor("last", block.TypeQ6_K, gguftest.Normal(4, 256, 1), 1, 256)
	path := b.File("m.gguf")
	out, err := exec.Command(python, "testdata/pypi.py", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Metadata, Tensors [][]any }
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var want struct{ Metadata, Tensors [][]any }
	for _, key := range f.Keys() {
		want.Metadata = append(want.Metadata, []any{key, f.Value(key)})
	}
	for _, info := range f.Tensors() {
		d, err := f.Tensor(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(d.Uint8s())
		want.Tensors = append(want.Tensors, []any{info.Name, info.Type.String(), info.Shape, hex.EncodeToString(sum[:])})
	}
	// Through JSON, so that both have its few types.
	j, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	want.Metadata, want.Tensors = nil, nil
	if err := json.Unmarshal(j, &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("PyPI's gguf reads\n%v\nexpected\n%v", got, want)
	}
}
