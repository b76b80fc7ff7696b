// Mixtures writes ../mixtures.txt: which block types llama.cpp's llama-quantize
// gives to the tensors of models of several shapes, a line for each shape, recipe,
// part and type with the layers that have it.
//
//	go run ./gguf/recipe/testdata/mixtures -llama-quantize PATH > gguf/recipe/testdata/mixtures.txt
//
// The files that it quantises have a published model's number of layers and heads,
// on which the mixtures depend, and rows of one length. The committed text was made
// by the llama.cpp in PyPI's llama-cpp-python 0.3.36.
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/gguf/block"
)

type shape struct {
	name                         string
	layers, heads, kvHeads, cols int
	tied                         bool
}

var shapes = []shape{
	{"8b", 32, 32, 8, 256, false},
	{"70b", 80, 64, 8, 256, false},
	{"405b", 126, 128, 8, 256, false},
	{"3.2-1b", 16, 32, 8, 256, true},
	{"3.2-3b", 28, 24, 8, 256, true},
	{"smollm2", 30, 9, 3, 576, true},
	{"tinyllama", 22, 32, 4, 256, false},
	{"llama2-7b", 32, 32, 32, 256, false},
	{"llama-65b", 80, 64, 64, 256, false},
	{"odd", 5, 4, 2, 80, false},
}

var recipes = []string{
	"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q3_K_S", "Q3_K_M", "Q3_K_L",
	"Q4_K", "Q4_K_S", "Q4_K_M", "Q5_K", "Q5_K_S", "Q5_K_M", "Q6_K", "IQ4_NL", "IQ4_XS",
}

func main() {
	log.SetFlags(0)
	quantize := flag.String("llama-quantize", "llama-quantize", "the program")
	flag.Parse()
	dir, err := os.MkdirTemp("", "mixtures")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for _, s := range shapes {
		in := filepath.Join(dir, "in.gguf")
		if err := write(in, s); err != nil {
			log.Fatal(err)
		}
		for _, r := range recipes {
			to := filepath.Join(dir, "out.gguf")
			if said, err := exec.Command(*quantize, in, to, r, "1").CombinedOutput(); err != nil {
				log.Fatalf("%s %s: %v\n%s", s.name, r, err, said)
			}
			if err := list(out, to, s, strings.ToLower(r)); err != nil {
				log.Fatal(err)
			}
		}
	}
}

// write makes a model of norms and matrices of two rows.
func write(path string, s shape) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := gguf.NewWriter(f)
	for key, v := range map[string]any{
		"general.architecture": "llama", "general.name": s.name, "llama.block_count": uint32(s.layers), "llama.context_length": uint32(4096),
		"llama.embedding_length": uint32(s.heads * 64), "llama.feed_forward_length": uint32(256), "llama.attention.head_count": uint32(s.heads),
		"llama.attention.head_count_kv": uint32(s.kvHeads), "llama.attention.layer_norm_rms_epsilon": float32(1e-5), "llama.vocab_size": uint32(1),
		"llama.rope.dimension_count": uint32(64), "tokenizer.ggml.model": "none",
	} {
		if err := w.Set(key, v); err != nil {
			return err
		}
	}
	names := []string{"token_embd.weight", "output_norm.weight", "rope_freqs.weight"}
	if !s.tied {
		names = append(names, "output.weight")
	}
	for i := range s.layers {
		for _, part := range []string{"attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down"} {
			names = append(names, fmt.Sprintf("blk.%d.%s.weight", i, part))
		}
	}
	for _, name := range names {
		dims := []int{2, s.cols}
		if vector(name) {
			dims = dims[1:]
		}
		if err := w.Declare(name, block.TypeF32, dims...); err != nil {
			return err
		}
	}
	data := make([]byte, 2*4*s.cols)
	for _, name := range names {
		values := data[:4*s.cols]
		if !vector(name) {
			values = data
		}
		if err := w.WriteTensor(name, bytes.NewReader(values)); err != nil {
			return err
		}
	}
	return w.Close()
}

func vector(name string) bool {
	return strings.Contains(name, "norm") || strings.Contains(name, "freqs")
}

// list prints the types of a file's matrices.
func list(out *bufio.Writer, path string, s shape, recipe string) error {
	f, err := gguf.Open(path, nil)
	if err != nil {
		return err
	}
	defer f.Close()
	layers := map[string][]int{} // by part and type
	for _, t := range f.Tensors() {
		if vector(t.Name) {
			if t.Type != block.TypeF32 {
				return fmt.Errorf("%s is %v", t.Name, t.Type)
			}
			continue
		}
		part, layer := t.Name, -1
		if rest, ok := strings.CutPrefix(t.Name, "blk."); ok {
			number, name, _ := strings.Cut(rest, ".")
			part = name
			if _, err := fmt.Sscan(number, &layer); err != nil {
				return err
			}
		}
		key := part + " " + t.Type.String()
		layers[key] = append(layers[key], layer)
	}
	var keys []string
	for key := range layers {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		l := layers[key]
		slices.Sort(l)
		fmt.Fprintf(out, "%s %d %d %d %d %v %s %s %s\n", s.name, s.layers, s.heads, s.kvHeads, s.cols, s.tied, recipe, key, ranges(l))
	}
	return nil
}

// ranges writes sorted numbers as 0-3,6,9; - stands for the one that is no layer.
func ranges(l []int) string {
	if l[0] < 0 {
		return "-"
	}
	var b strings.Builder
	for i := 0; i < len(l); {
		j := i
		for j+1 < len(l) && l[j+1] == l[j]+1 {
			j++
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprint(&b, l[i])
		if j > i {
			fmt.Fprintf(&b, "-%d", l[j])
		}
		i = j + 1
	}
	return b.String()
}
