package llama

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/internal/testenv"
)

// drop is the value of metadata to leave out.
type drop struct{}

// altered writes a file again with other metadata, and with the tensors that change returns instead of each one; nil keeps all.
func altered(t testing.TB, file []byte, metadata map[string]any, change func(gguf.TensorInfo) []gguf.TensorInfo) []byte {
	t.Helper()
	f, err := gguf.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := gguf.NewWriter(&out)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range f.Keys() {
		if _, ok := metadata[key]; !ok {
			check(w.Set(key, f.Value(key)))
		}
	}
	for key, v := range metadata {
		if v != (drop{}) {
			check(w.Set(key, v))
		}
	}
	var infos []gguf.TensorInfo
	for _, info := range f.Tensors() {
		if change == nil {
			infos = append(infos, info)
		} else {
			infos = append(infos, change(info)...)
		}
	}
	for _, info := range infos {
		check(w.Declare(info.Name, info.Type, info.Shape...))
	}
	for _, info := range infos {
		size, err := info.Type.Bytes(info.Values())
		check(err)
		data := make([]byte, size)
		if r, err := f.Reader(info.Name); err == nil && r.Size() == size {
			r.ReadAt(data, 0)
		}
		check(w.WriteTensor(info.Name, bytes.NewReader(data)))
	}
	check(w.Close())
	return out.Bytes()
}

// small are options that need little time and memory.
func small() *Options {
	return &Options{Device: "cpu", Threads: 1, MaxRunning: 1, KVBytes: 1, KeepGOMAXPROCS: true}
}

// TestContradictions has files that are well-formed GGUF and no model: what is missing, of the wrong type, out of range, or does not
// go with the tensors is one error that names it.
func TestContradictions(t *testing.T) {
	file := tinyFile(t, 64)
	tensor := func(name string, typ block.Type, shape ...int) func(gguf.TensorInfo) []gguf.TensorInfo {
		return func(info gguf.TensorInfo) []gguf.TensorInfo {
			if info.Name != name {
				return []gguf.TensorInfo{info}
			}
			if len(shape) == 0 {
				return nil
			}
			n := 1
			for _, s := range shape {
				n *= s
			}
			return []gguf.TensorInfo{{Name: name, Type: typ, Shape: shape, Size: int64(n / typ.Len() * typ.Size())}}
		}
	}
	f32 := func(x float64) float32 { return float32(x) }
	for _, c := range []struct {
		name     string
		metadata map[string]any
		tensors  func(gguf.TensorInfo) []gguf.TensorInfo
		kind     error
		says     string
	}{
		{"no architecture", map[string]any{"general.architecture": drop{}}, nil, ErrModel, "general.architecture"},
		{"architecture of another type", map[string]any{"general.architecture": uint32(1)}, nil, ErrModel, "general.architecture"},
		{"another architecture", map[string]any{"general.architecture": "falcon"}, nil, ErrUnsupported, `"falcon"`},
		{"no layers", map[string]any{"llama.block_count": drop{}}, nil, ErrModel, "llama.block_count"},
		{"0 layers", map[string]any{"llama.block_count": uint32(0)}, nil, ErrModel, "llama.block_count"},
		{"-1 layers", map[string]any{"llama.block_count": int32(-1)}, nil, ErrModel, "llama.block_count"},
		{"2^32-1 layers", map[string]any{"llama.block_count": uint32(math.MaxUint32)}, nil, ErrModel, "llama.block_count"},
		{"2^63 layers", map[string]any{"llama.block_count": uint64(1 << 63)}, nil, ErrModel, "llama.block_count"},
		{"more layers than tensors", map[string]any{"llama.block_count": uint32(3)}, nil, ErrModel, "blk.2."},
		{"fewer layers than tensors", map[string]any{"llama.block_count": uint32(1)}, nil, ErrUnsupported, "blk.1."},
		{"layers as text", map[string]any{"llama.block_count": "2"}, nil, ErrModel, "llama.block_count"},
		{"layers as a list", map[string]any{"llama.block_count": []uint32{2}}, nil, ErrModel, "llama.block_count"},
		{"width", map[string]any{"llama.embedding_length": uint32(256)}, nil, ErrModel, "token_embd.weight"},
		{"width 0", map[string]any{"llama.embedding_length": uint32(0)}, nil, ErrModel, "llama.embedding_length"},
		{"FFN", map[string]any{"llama.feed_forward_length": uint32(192)}, nil, ErrModel, "ffn_gate"},
		{"heads do not divide the width", map[string]any{"llama.attention.head_count": uint32(3)}, nil, ErrModel, "head_count"},
		{"0 heads", map[string]any{"llama.attention.head_count": uint32(0)}, nil, ErrModel, "head_count"},
		{"KV heads do not divide heads", map[string]any{"llama.attention.head_count_kv": uint32(3)}, nil, ErrModel, "KV heads"},
		{"0 KV heads", map[string]any{"llama.attention.head_count_kv": uint32(0)}, nil, ErrModel, "head_count_kv"},
		{"KV heads against the tensors", map[string]any{"llama.attention.head_count_kv": uint32(4)}, nil, ErrModel, "attn_k"},
		{"KV heads by layer", map[string]any{"llama.attention.head_count_kv": []uint32{2, 2}}, nil, ErrModel, "head_count_kv"},
		{"key length", map[string]any{"llama.attention.key_length": uint32(64)}, nil, ErrModel, "attn_q"},
		{"value length", map[string]any{"llama.attention.value_length": uint32(16)}, nil, ErrUnsupported, "values of 16"},
		{"rotary dimensions", map[string]any{"llama.rope.dimension_count": uint32(64)}, nil, ErrModel, "rotary"},
		{"odd rotary dimensions", map[string]any{"llama.rope.dimension_count": uint32(31)}, nil, ErrModel, "rotary"},
		{"epsilon 0", map[string]any{"llama.attention.layer_norm_rms_epsilon": f32(0)}, nil, ErrModel, "epsilon"},
		{"epsilon NaN", map[string]any{"llama.attention.layer_norm_rms_epsilon": f32(math.NaN())}, nil, ErrModel, "epsilon"},
		{"rope base 0", map[string]any{"llama.rope.freq_base": f32(0)}, nil, ErrModel, "freq_base"},
		{"rope base infinite", map[string]any{"llama.rope.freq_base": f32(math.Inf(1))}, nil, ErrModel, "freq_base"},
		{"context 0", map[string]any{"llama.context_length": uint32(0)}, nil, ErrModel, "context_length"},
		{"context 2^40", map[string]any{"llama.context_length": uint64(1 << 40)}, nil, ErrModel, "context_length"},
		{"experts", map[string]any{"llama.expert_count": uint32(8)}, nil, ErrUnsupported, "8 experts"},
		{"rope scaling", map[string]any{"llama.rope.scaling.type": "yarn"}, nil, ErrUnsupported, `"yarn"`},
		{"rope scaling factor", map[string]any{"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": f32(0)}, nil, ErrModel, "factor"},

		{"no vocabulary", map[string]any{"tokenizer.ggml.tokens": drop{}}, nil, ErrModel, "tokenizer.ggml.tokens"},
		{"vocabulary of another type", map[string]any{"tokenizer.ggml.tokens": []int32{1}}, nil, ErrModel, "tokenizer.ggml.tokens"},
		{"vocabulary and matrix", map[string]any{"tokenizer.ggml.tokens": []string{"a", "b"}}, nil, ErrModel, "2 tokens"},
		{"token types", map[string]any{"tokenizer.ggml.token_type": []int32{1}}, nil, ErrModel, "1 types"},
		{"token type", map[string]any{"tokenizer.ggml.token_type": slices.Repeat([]int32{99}, 263)}, nil, ErrModel, "type 99"},
		{"token type beyond 32 bits", map[string]any{"tokenizer.ggml.token_type": slices.Repeat([]int64{1<<32 + 1}, 263)}, nil, ErrModel, "token_type"},
		{"merges", map[string]any{"tokenizer.ggml.merges": []string{"a"}}, nil, ErrModel, "Merges[0]"},
		{"merges of another type", map[string]any{"tokenizer.ggml.merges": "a b"}, nil, ErrModel, "merges"},
		{"bos beyond", map[string]any{"tokenizer.ggml.bos_token_id": uint32(263)}, nil, ErrModel, "bos_token_id"},
		{"bos -1", map[string]any{"tokenizer.ggml.bos_token_id": int32(-1)}, nil, ErrModel, "bos_token_id"},
		{"eos as text", map[string]any{"tokenizer.ggml.eos_token_id": "<|eot_id|>"}, nil, ErrModel, "eos_token_id"},
		{"add_bos as a number", map[string]any{"tokenizer.ggml.add_bos_token": uint32(1)}, nil, ErrModel, "add_bos_token"},
		{"no tokenizer", map[string]any{"tokenizer.ggml.model": drop{}}, nil, ErrModel, "tokenizer.ggml.model"},
		{"another tokenizer", map[string]any{"tokenizer.ggml.model": "rwkv"}, nil, ErrUnsupported, `"rwkv"`},
		{"another pre-tokenizer", map[string]any{"tokenizer.ggml.pre": "tekken"}, nil, ErrUnsupported, `"tekken"`},

		{"tensor missing", nil, tensor("blk.1.ffn_up.weight", 0), ErrModel, "blk.1.ffn_up.weight"},
		{"no token_embd", nil, tensor("token_embd.weight", 0), ErrModel, "token_embd.weight"},
		{"token_embd is a vector", nil, tensor("token_embd.weight", block.TypeF32, 263), ErrModel, "token_embd.weight"},
		{"tensor of three dimensions", nil, tensor("blk.0.attn_q.weight", block.TypeF32, 128, 1, 128), ErrModel, "blk.0.attn_q.weight"},
		{"tensor turned", nil, tensor("blk.0.ffn_up.weight", block.TypeF32, 128, 160), ErrModel, "blk.0.ffn_up.weight"},
		{"tensor of integers", nil, tensor("blk.0.attn_q.weight", block.TypeI32, 128, 128), ErrUnsupported, "I32"},
		{"norm of halves", nil, tensor("blk.0.attn_norm.weight", block.TypeF16, 128), ErrUnsupported, "blk.0.attn_norm.weight"},
		{"norm is a matrix", nil, tensor("output_norm.weight", block.TypeF32, 2, 64), ErrModel, "output_norm.weight"},
		{"a bias", nil, func(i gguf.TensorInfo) []gguf.TensorInfo {
			if i.Name != "blk.0.attn_q.weight" {
				return []gguf.TensorInfo{i}
			}
			return []gguf.TensorInfo{i, {Name: "blk.0.attn_q.bias", Type: block.TypeF32, Shape: []int{128}, Size: 512}}
		}, ErrUnsupported, "blk.0.attn_q.bias"},
		{"rope_freqs of zeros", nil, func(i gguf.TensorInfo) []gguf.TensorInfo {
			if i.Name != "output.weight" {
				return []gguf.TensorInfo{i}
			}
			return []gguf.TensorInfo{i, {Name: "rope_freqs.weight", Type: block.TypeF32, Shape: []int{16}, Size: 64}}
		}, ErrModel, "rope_freqs.weight"},
		{"rope_freqs of another length", nil, func(i gguf.TensorInfo) []gguf.TensorInfo {
			if i.Name != "output.weight" {
				return []gguf.TensorInfo{i}
			}
			return []gguf.TensorInfo{i, {Name: "rope_freqs.weight", Type: block.TypeF32, Shape: []int{15}, Size: 60}}
		}, ErrModel, "rope_freqs.weight"},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := altered(t, file, c.metadata, c.tensors)
			m, err := OpenReader(t.Context(), bytes.NewReader(data), int64(len(data)), small())
			if err == nil {
				m.Close()
				t.Fatal("opened")
			}
			if !errors.Is(err, c.kind) {
				t.Errorf("%v, expected %v", err, c.kind)
			}
			if !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q, expected one line with %q", err, c.says)
			}
		})
	}
}

// TestOpenSplit opens a model in three files by the name of each.
func TestOpenSplit(t *testing.T) {
	file := tinyFile(t, 64)
	answer := func(m *Model) string {
		t.Helper()
		r, err := m.Generate(t.Context(), Request{Prompt: "hello", MaxTokens: 12, Sampling: &Sampling{Temperature: new(float64), IgnoreEOS: true}})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(r.Choices[0].Tokens)
	}
	want := answer(openBytes(t, file, small()))
	f, err := gguf.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	total, dir := int32(len(f.Tensors())), t.TempDir()
	var paths []string
	for part := range 3 {
		metadata := map[string]any{"split.no": uint16(part), "split.count": uint16(3), "split.tensors.count": total}
		if part > 0 { // later files have no metadata of the model
			for _, key := range f.Keys() {
				metadata[key] = drop{}
			}
		}
		n := 0
		data := altered(t, file, metadata, func(i gguf.TensorInfo) []gguf.TensorInfo {
			if n++; n%3 != part {
				return nil
			}
			return []gguf.TensorInfo{i}
		})
		path := filepath.Join(dir, fmt.Sprintf("tiny-%05d-of-00003.gguf", part+1))
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	for _, path := range paths {
		m, err := Open(t.Context(), path, small())
		if err != nil {
			t.Fatal(err)
		}
		if got := answer(m); got != want {
			t.Errorf("%s: tokens %s, expected %s of one file", filepath.Base(path), got, want)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := os.Remove(paths[1]); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{paths[0], paths[2]} {
		if _, err := Open(t.Context(), path, small()); !errors.Is(err, gguf.ErrSplit) || !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "tiny-00002-of-00003.gguf") {
			t.Errorf("a part is missing: %v", err)
		}
	}
}

// openHostile opens what may be anything: a model or an error of a known kind.
func openHostile(t *testing.T, data []byte) {
	m, err := OpenReader(t.Context(), bytes.NewReader(data), int64(len(data)), small())
	if err == nil {
		if _, err := m.Generate(t.Context(), Request{Prompt: "x", MaxTokens: 1}); err != nil && !errors.Is(err, ErrContextLength) && !errors.Is(err, ErrRequest) {
			t.Errorf("generate: %v", err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		return
	}
	for _, kind := range []error{gguf.ErrFormat, gguf.ErrValueType, gguf.ErrSplit, ErrModel, ErrUnsupported, ErrRequest, ErrOutOfMemory} {
		if errors.Is(err, kind) {
			return
		}
	}
	t.Errorf("an error without a kind: %v", err)
}

// TestMutatedModels spoils the tiny model's header in a few places: no panic, no hang, memory at most twice the file and 64 MB.
func TestMutatedModels(t *testing.T) {
	n := 500
	if testenv.Long() {
		n = 20000
	}
	file := tinyFile(t, 64)
	header := bytes.Index(file, []byte("output.weight")) + 60
	interesting := []uint64{0, 1, 2, 3, 31, 255, 1 << 16, 1 << 31, 1<<32 - 1, 1 << 40, 1 << 62, 1 << 63, math.MaxUint64}
	r := rand.New(rand.NewPCG(31, 1))
	var before, after runtime.MemStats
	for i := range n {
		data := bytes.Clone(file)
		for range 1 + r.IntN(3) {
			at := r.IntN(header)
			switch r.IntN(3) {
			case 0:
				data[at] = byte(r.Uint32())
			case 1:
				data[at] ^= 1 << r.IntN(8)
			case 2:
				binary.LittleEndian.PutUint64(data[at:], interesting[r.IntN(len(interesting))])
			}
		}
		start := time.Now()
		runtime.ReadMemStats(&before)
		openHostile(t, data)
		runtime.ReadMemStats(&after)
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("mutation %d took %v", i, took)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > uint64(2*len(data)+64<<20) {
			t.Errorf("mutation %d: %d bytes allocated for a file of %d", i, got, len(data))
		}
		if t.Failed() {
			return
		}
	}
}

// FuzzOpen lets the fuzzer overwrite a part of the tiny model's header.
func FuzzOpen(f *testing.F) {
	file := tinyFile(f, 64)
	f.Add(uint16(4), []byte{2})
	for _, key := range []string{"llama.block_count", "tokenizer.ggml.model", "blk.0.attn_q.weight", "llama.rope.freq_base"} {
		f.Add(uint16(bytes.Index(file, []byte(key))+len(key)), []byte{4, 0, 0, 0, 3, 0, 0, 0})
	}
	f.Fuzz(func(t *testing.T, at uint16, patch []byte) {
		data := bytes.Clone(file)
		copy(data[min(int(at), len(data)):], patch[:min(len(patch), 1<<12)])
		openHostile(t, data)
	})
}
