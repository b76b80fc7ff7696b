package llama

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/gguf/gguftest"
	"github.com/llama31/llama31/internal/testenv"
)

// small are options that need little time and memory.
func small() *Options {
	return &Options{Device: "cpu", Threads: 1, MaxRunning: 1, KVBytes: 1, KeepGOMAXPROCS: true}
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
	dir := t.TempDir()
	var paths []string
	for part := range 3 {
		b := gguftest.New(t)
		if part == 0 { // only the first file has the model's metadata
			for _, key := range f.Keys() {
				b.Set(key, f.Value(key))
			}
		}
		b.Set("split.no", uint16(part))
		b.Set("split.count", uint16(3))
		b.Set("split.tensors.count", int32(len(f.Tensors())))
		for i, info := range f.Tensors() {
			if i%3 == part {
				d, err := f.Tensor(info.Name)
				if err != nil {
					t.Fatal(err)
				}
				b.Raw(info.Name, info.Type, d.Uint8s(), info.Shape...)
			}
		}
		data := b.Bytes()
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
		m.Generate(t.Context(), Request{Prompt: "x", MaxTokens: 1}) // weights of another format may make logits that are no numbers, an error
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

// TestProgress hears of a file's bytes in order, to its end where it is mapped, and ends with the context.
func TestProgress(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	file := tinyFile(t, 64)
	if err := os.WriteFile(path, file, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, readAt := range []bool{false, true} {
		var last int64
		progress := func(done, total int64) {
			if done <= last || done > total || total != int64(len(file)) {
				t.Errorf("ReadAt %v: %d of %d bytes after %d", readAt, done, total, last)
			}
			last = done
		}
		m, err := Open(t.Context(), path, &Options{ReadAt: readAt, Progress: progress})
		if err != nil {
			t.Fatal(err)
		}
		if m.file.Mapped() && last != int64(len(file)) || last == 0 {
			t.Errorf("ReadAt %v: the last was %d of %d bytes", readAt, last, len(file))
		}
		m.Close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	m, err := Open(ctx, path, &Options{ReadAt: true, Progress: func(int64, int64) { cancel() }})
	if m != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while it loads: %v", err)
	}
}
