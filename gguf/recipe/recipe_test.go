package recipe

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/llama31/llama31/gguf/block"
)

func TestParse(t *testing.T) {
	for _, name := range Names() {
		if r, err := Parse(name); err != nil || r.Name != name {
			t.Errorf("Parse(%q): %v, %v", name, r.Name, err)
		}
	}
	if r, err := Parse("Q4_K"); err != nil || r.Name != "q4_k_m" || r.FileType != 15 {
		t.Errorf("Q4_K: %+v, %v", r, err)
	}
	if _, err := Parse("q9"); !errors.Is(err, ErrUnknown) {
		t.Errorf("q9: %v", err)
	}
}

// TestMixtures demands the types that llama-quantize gave (testdata/mixtures).
func TestMixtures(t *testing.T) {
	data, err := os.ReadFile("testdata/mixtures.txt")
	if err != nil {
		t.Fatal(err)
	}
	tensors, seen := 0, map[string]bool{}
	for line := range strings.Lines(string(data)) {
		var model, name, part, typ, layers string
		var m Model
		var cols int
		if _, err := fmt.Sscan(line, &model, &m.Layers, &m.Heads, &m.KVHeads, &cols, &m.Tied, &name, &part, &typ, &layers); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		r, err := Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		seen[r.Name] = true
		for _, layer := range numbers(t, layers) {
			tensor := part
			if layer >= 0 {
				tensor = fmt.Sprintf("blk.%d.%s", layer, part)
			}
			tensors++
			if got := r.Type(tensor, []int{2, cols}, m); got.String() != typ {
				t.Errorf("%s %s: %s is %v, expected %s", model, name, tensor, got, typ)
			}
		}
	}
	if tensors < 50000 || len(seen) < 19 {
		t.Errorf("%d tensors of %d recipes in the file", tensors, len(seen))
	}
	r, _ := Parse("q4_k_m")
	for _, name := range []string{"rope_freqs.weight", "blk.0.attn_norm.weight"} {
		if got := r.Type(name, []int{4096}, Model{Layers: 32}); got != block.TypeF32 {
			t.Errorf("%s: %v, expected F32", name, got)
		}
	}
}

// numbers reads 0-3,6,9; - is -1.
func numbers(t *testing.T, s string) (list []int) {
	t.Helper()
	if s == "-" {
		return []int{-1}
	}
	for part := range strings.SplitSeq(s, ",") {
		var lo, hi int
		if n, _ := fmt.Sscanf(part, "%d-%d", &lo, &hi); n == 1 {
			hi = lo
		} else if n == 0 {
			t.Fatalf("%q is no list of layers", s)
		}
		for i := lo; i <= hi; i++ {
			list = append(list, i)
		}
	}
	return list
}
