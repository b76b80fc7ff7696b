package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/llama31/llama31/internal/testenv"
)

// TestPyPI has PyPI's gguf package read files of synth: it finds the same tensors, and Llama 3.1's metadata.
func TestPyPI(t *testing.T) {
	python := os.Getenv("LLAMA31_PYTHON")
	if python == "" {
		python = "python3"
	}
	testenv.Have(t, "pypi", exec.Command(python, "-c", "import gguf").Run() == nil, "pip install gguf==0.19.0 brings the package")
	for _, args := range [][]string{{"-type", "q4_k_m", "-vocab", "1024"}, {"-type", "iq2_xxs", "-vocab", "300"}, {"-type", "f16", "-layers", "1", "-vocab", "300"}} {
		path, f := made(t, args...)
		out, err := exec.Command(python, "../../gguf/testdata/pypi.py", path).Output()
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		var got struct {
			Metadata [][]any
			Tensors  []json.RawMessage
		}
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		metadata := map[string]any{}
		for _, e := range got.Metadata {
			metadata[e[0].(string)] = e[1]
		}
		if metadata["general.architecture"] != "llama" || metadata["llama.context_length"] != 131072. || metadata["llama.rope.freq_base"] != 500000. {
			t.Errorf("%v: PyPI's gguf reads %v", args, metadata)
		}
		var want []json.RawMessage
		for _, info := range f.Tensors() {
			d, err := f.Tensor(info.Name)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(d.Uint8s())
			j, err := json.Marshal([]any{info.Name, info.Type.String(), info.Shape, hex.EncodeToString(sum[:])})
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, j)
		}
		if !slices.EqualFunc(got.Tensors, want, func(a, b json.RawMessage) bool { return compact(a) == compact(b) }) {
			t.Errorf("%v: PyPI's gguf finds the tensors\n%s\nexpected\n%s", args, got.Tensors, want)
		}
	}
}

func compact(j json.RawMessage) string {
	var v any
	if json.Unmarshal(j, &v) != nil {
		return ""
	}
	b, _ := json.Marshal(v)
	return string(b)
}
