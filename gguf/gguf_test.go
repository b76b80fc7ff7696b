package gguf_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/gguf/gguftest"
)

// every has one metadata entry of every type, in an order that is not sorted.
var every = []struct {
	key   string
	value any
}{
	{"general.architecture", "llama"},
	{"z.u8", uint8(200)}, {"z.i8", int8(-100)}, {"z.u16", uint16(60000)}, {"z.i16", int16(-30000)},
	{"z.u32", uint32(4e9)}, {"z.i32", int32(-2e9)}, {"z.u64", uint64(math.MaxUint64)}, {"z.i64", int64(math.MinInt64)},
	{"z.f32", float32(1.5)}, {"z.f64", 2.5}, {"z.true", true}, {"z.false", false}, {"z.empty", ""}, {"z.string", "héllo\x00\xff"},
	{"a.u8", []uint8{1, 255}}, {"a.i8", []int8{-1, 127}}, {"a.u16", []uint16{1, 65535}}, {"a.i16", []int16{-1, 3}},
	{"a.u32", []uint32{1, math.MaxUint32}}, {"a.i32", []int32{-1, 3}}, {"a.u64", []uint64{1, 2}}, {"a.i64", []int64{-1, 2}},
	{"a.f32", []float32{1, -0.5}}, {"a.f64", []float64{1, -0.5}}, {"a.bool", []bool{true, false, true}},
	{"a.string", []string{"a", "", "bcd", strings.Repeat("x", 100000)}}, {"a.none", []string{}},
	{"general.alignment", uint32(64)},
}

// sample is a file with every and three tensors.
func sample(tb testing.TB) *gguftest.Builder {
	b := gguftest.New(tb)
	for _, e := range every {
		b.Set(e.key, e.value)
	}
	b.Tensor("vector", block.TypeF32, gguftest.Normal(1, 5, 1), 5)
	b.Tensor("matrix", block.TypeQ4_0, gguftest.Normal(2, 3*64, 1), 3, 64)
	b.Tensor("cube", block.TypeF16, gguftest.Normal(3, 2*3*4, 1), 2, 3, 4)
	return b
}

func TestRoundTrip(t *testing.T) {
	b := sample(t)
	path := b.File("sample.gguf")
	for _, o := range []*gguf.Options{nil, {ReadAt: true}} {
		f, err := gguf.Open(path, o)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if o == nil && runtime.GOOS == "linux" && !f.Mapped() {
			t.Error("not mapped")
		}
		var keys []string
		for _, e := range every {
			keys = append(keys, e.key)
			if got := f.Value(e.key); !reflect.DeepEqual(got, e.value) {
				t.Errorf("%s: got %v (%T), expected %v (%T)", e.key, got, got, e.value, e.value)
			}
		}
		if got := f.Keys(); !reflect.DeepEqual(got, keys) {
			t.Errorf("keys %v, expected %v", got, keys)
		}
		if f.Version != 3 || f.Alignment != 64 || f.Size != int64(len(b.Bytes())) {
			t.Errorf("version %d, alignment %d, size %d", f.Version, f.Alignment, f.Size)
		}
		want := []struct {
			name   string
			t      block.Type
			shape  []int
			blocks []int
			values []float32
		}{
			{"vector", block.TypeF32, []int{5}, []int{5}, gguftest.Normal(1, 5, 1)},
			{"matrix", block.TypeQ4_0, []int{3, 64}, []int{3, 2}, gguftest.Normal(2, 3*64, 1)},
			{"cube", block.TypeF16, []int{2, 3, 4}, []int{2, 3, 4}, gguftest.Normal(3, 2*3*4, 1)},
		}
		infos := f.Tensors()
		if len(infos) != len(want) {
			t.Fatalf("%d tensors", len(infos))
		}
		for i, w := range want {
			info := infos[i]
			if info.Name != w.name || info.Type != w.t || !reflect.DeepEqual(info.Shape, w.shape) || info.Offset%64 != 0 || info.Values() != int64(len(w.values)) {
				t.Errorf("tensor %d: %+v", i, info)
			}
			d, err := f.Tensor(w.name)
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := block.TypeOf(d.Dtype()); !ok || got != w.t || !reflect.DeepEqual([]int(d.Shape()), w.blocks) {
				t.Errorf("%s: dtype %v, shape %v", w.name, d.Dtype(), d.Shape())
			}
			size, _ := w.t.Bytes(int64(len(w.values)))
			stored := make([]byte, size)
			if err := block.Quantize(w.t, stored, w.values); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(d.Uint8s(), stored) {
				t.Errorf("%s: other bytes than were written", w.name)
			}
			r, err := f.Reader(w.name)
			if err != nil {
				t.Fatal(err)
			}
			if read, err := io.ReadAll(r); err != nil || !bytes.Equal(read, stored) {
				t.Errorf("%s: Reader gives other bytes than were written (%v)", w.name, err)
			}
		}
		if sum, err := f.SHA256(context.Background()); err != nil || sum != sha256.Sum256(b.Bytes()) {
			t.Errorf("SHA256: %x, %v", sum, err)
		}
		var last int64
		if err := f.Prefetch(context.Background(), func(done, total int64) { last = done }); err != nil || last != f.Size {
			t.Errorf("Prefetch: %d of %d, %v", last, f.Size, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if _, err := f.Tensor("vector"); !errors.Is(err, gguf.ErrClosed) {
			t.Errorf("Tensor after Close: %v", err)
		}
	}
}

// TestGetters asks for every value as every kind: the right one comes, the wrong
// ones are errors that name the key and the type found.
func TestGetters(t *testing.T) {
	f := sample(t).Open()
	get := map[string]func(string) (any, error){
		"Uint":    func(k string) (any, error) { return f.Uint(k) },
		"Int":     func(k string) (any, error) { return f.Int(k) },
		"Float":   func(k string) (any, error) { return f.Float(k) },
		"Bool":    func(k string) (any, error) { return f.Bool(k) },
		"String":  func(k string) (any, error) { return f.String(k) },
		"Strings": func(k string) (any, error) { return f.Strings(k) },
		"Bools":   func(k string) (any, error) { return f.Bools(k) },
		"Ints":    func(k string) (any, error) { return f.Ints(k) },
		"Floats":  func(k string) (any, error) { return f.Floats(k) },
	}
	right := map[string]any{
		"Uint z.u8": uint64(200), "Int z.u8": int64(200), "Int z.i8": int64(-100), "Uint z.u16": uint64(60000), "Int z.u16": int64(60000),
		"Int z.i16": int64(-30000), "Uint z.u32": uint64(4e9), "Int z.u32": int64(4e9), "Int z.i32": int64(-2e9),
		"Uint z.u64": uint64(math.MaxUint64), "Int z.i64": int64(math.MinInt64), "Float z.f32": 1.5, "Float z.f64": 2.5,
		"Bool z.true": true, "Bool z.false": false, "String z.empty": "", "String z.string": "héllo\x00\xff", "String general.architecture": "llama",
		"Ints a.u8": []int64{1, 255}, "Ints a.i8": []int64{-1, 127}, "Ints a.u16": []int64{1, 65535}, "Ints a.i16": []int64{-1, 3},
		"Ints a.u32": []int64{1, math.MaxUint32}, "Ints a.i32": []int64{-1, 3}, "Ints a.u64": []int64{1, 2}, "Ints a.i64": []int64{-1, 2},
		"Floats a.f32": []float64{1, -0.5}, "Floats a.f64": []float64{1, -0.5}, "Bools a.bool": []bool{true, false, true},
		"Strings a.string": every[len(every)-3].value, "Strings a.none": []string{},
		"Uint general.alignment": uint64(64), "Int general.alignment": int64(64),
	}
	for name, g := range get {
		for _, e := range every {
			v, err := g(e.key)
			if want, ok := right[name+" "+e.key]; ok {
				if err != nil || !reflect.DeepEqual(v, want) {
					t.Errorf("%s(%s) = %v, %v; expected %v", name, e.key, v, err, want)
				}
				continue
			}
			var ke *gguf.KeyError
			if !errors.Is(err, gguf.ErrValueType) || !errors.As(err, &ke) || ke.Key != e.key || !strings.Contains(ke.Found, fmt.Sprintf("%T", e.value)) {
				t.Errorf("%s(%s): %v, expected ErrValueType", name, e.key, err)
			}
		}
		if _, err := g("missing"); !errors.Is(err, gguf.ErrNoKey) || !strings.Contains(err.Error(), `"missing"`) {
			t.Errorf("%s(missing): %v, expected ErrNoKey", name, err)
		}
	}
}

func TestSplit(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, no, count, total int, tensors ...string) string {
		b := gguftest.New(t)
		b.Set("split.no", uint16(no))
		b.Set("split.count", uint16(count))
		b.Set("split.tensors.count", int32(total))
		for _, name := range tensors {
			b.Tensor(name, block.TypeF32, gguftest.Normal(uint64(len(name)), 8, 1), 8)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one := write("m-00001-of-00003.gguf", 0, 3, 4, "a", "bb")
	two := write("m-00002-of-00003.gguf", 1, 3, 4, "ccc")
	three := write("m-00003-of-00003.gguf", 2, 3, 4, "dddd")
	for _, path := range []string{one, two, three} {
		for _, o := range []*gguf.Options{nil, {ReadAt: true}} {
			f, err := gguf.Open(path, o)
			if err != nil {
				t.Fatal(err)
			}
			if len(f.Tensors()) != 4 || len(f.Paths()) != 3 {
				t.Fatalf("%d tensors in %v", len(f.Tensors()), f.Paths())
			}
			for i, name := range []string{"a", "bb", "ccc", "dddd"} {
				d, err := f.Tensor(name)
				if err != nil {
					t.Fatal(err)
				}
				if want := gguftest.Normal(uint64(i+1), 8, 1); !reflect.DeepEqual(d.Data().([]float32), want) {
					t.Errorf("%s: %v, expected %v", name, d.Data(), want)
				}
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	data, err := os.ReadFile(two)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gguf.NewReader(bytes.NewReader(data), int64(len(data))); !errors.Is(err, gguf.ErrSplit) {
		t.Errorf("NewReader of a part: %v", err)
	}
}

// TestSplitErrors spoils one thing about a model of three files, and opens it by the
// name of each of them.
func TestSplitErrors(t *testing.T) {
	type part struct {
		no, count, total any // nil: not there
		tensors          []string
	}
	good := func() []part {
		return []part{
			{uint16(0), uint16(3), int32(4), []string{"a", "bb"}},
			{uint16(1), uint16(3), int32(4), []string{"ccc"}},
			{uint16(2), uint16(3), int32(4), []string{"dddd"}},
		}
	}
	for _, c := range []struct {
		name  string
		spoil func(p []part)
		lost  int // the file that is removed, from 1
		kind  error
		says  string
	}{
		{"missing part", func([]part) {}, 2, os.ErrNotExist, "m-00002-of-00003.gguf"},
		{"no number", func(p []part) { p[1].no = nil }, 0, nil, "split.no 1"},
		{"number of another type", func(p []part) { p[1].no = "1" }, 0, nil, "split.no 1"},
		{"wrong order", func(p []part) { p[1], p[2] = p[2], p[1] }, 0, nil, "split.no 1"},
		{"the same number twice", func(p []part) { p[2].no = uint16(1) }, 0, nil, "split.no 2"},
		{"count differs", func(p []part) { p[1].count = uint16(4) }, 0, nil, "split.count 3"},
		{"all count differently from the names", func(p []part) { p[0].count, p[1].count, p[2].count = uint16(2), uint16(2), uint16(2) }, 0, nil, "split.count 3"},
		{"too few tensors", func(p []part) { p[1].tensors = nil }, 0, nil, "expected 4 tensors"},
		{"too many tensors", func(p []part) { p[1].tensors = []string{"ccc", "x"} }, 0, nil, "expected 4 tensors"},
		{"total of another type", func(p []part) { p[0].total = "4" }, 0, nil, "split.tensors.count"},
		{"tensor in two parts", func(p []part) { p[2].tensors = []string{"bb"} }, 0, gguf.ErrDuplicate, `"bb"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			parts, dir := good(), t.TempDir()
			c.spoil(parts)
			var paths []string
			for i, p := range parts {
				b := gguftest.New(t)
				for key, v := range map[string]any{"split.no": p.no, "split.count": p.count, "split.tensors.count": p.total} {
					if v != nil {
						b.Set(key, v)
					}
				}
				for _, name := range p.tensors {
					b.Tensor(name, block.TypeF32, gguftest.Normal(1, 8, 1), 8)
				}
				path := filepath.Join(dir, fmt.Sprintf("m-%05d-of-00003.gguf", i+1))
				if i+1 != c.lost {
					if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
						t.Fatal(err)
					}
					paths = append(paths, path)
				}
			}
			for _, path := range paths {
				_, err := gguf.Open(path, nil)
				if !errors.Is(err, gguf.ErrSplit) || c.kind != nil && !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%s: %v, expected ErrSplit and %v with %q", filepath.Base(path), err, c.kind, c.says)
				}
			}
		})
	}
	b := gguftest.New(t)
	b.Set("split.count", "3")
	if _, err := gguf.Open(b.File("m-00001-of-00003.gguf"), nil); !errors.Is(err, gguf.ErrValueType) {
		t.Errorf("split.count of another type: %v", err)
	}
	b = gguftest.New(t)
	b.Set("split.no", uint16(0))
	b.Set("split.count", uint16(3))
	if _, err := gguf.Open(b.File("alone.gguf"), nil); !errors.Is(err, gguf.ErrSplit) {
		t.Errorf("a renamed part: %v, expected ErrSplit", err)
	}
}

// TestTruncatedWhileMapped shrinks a file under its views.
func TestTruncatedWhileMapped(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not truncate a mapped file")
	}
	b := gguftest.New(t)
	b.Tensor("big", block.TypeF32, make([]float32, 1<<18), 1<<18)
	path := b.File("big.gguf")
	f, err := gguf.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !f.Mapped() {
		t.Skip("files are not mapped here")
	}
	d, err := f.Tensor("big")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 8192); err != nil {
		t.Fatal(err)
	}
	var sum float32
	err = f.Guard(func() {
		for _, v := range d.Data().([]float32) {
			sum += v
		}
	})
	if !errors.Is(err, gguf.ErrTruncated) {
		t.Errorf("Guard: %v, expected ErrTruncated", err)
	}
	r, err := f.Reader("big")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, r); n == r.Size() {
		t.Errorf("Reader gave %d bytes of a truncated tensor (%v)", n, err)
	}
	if err := f.Guard(func() {}); err != nil {
		t.Error(err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("Guard swallowed a panic that is not a fault of the file")
			}
		}()
		f.Guard(func() { panic("other") })
	}()
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := gguf.Open(filepath.Join(dir, "none.gguf"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := gguf.Open(dir, nil); err == nil {
		t.Error("a folder was opened")
	}
	f := sample(t).Open()
	if _, err := f.Tensor("none"); !errors.Is(err, gguf.ErrNoTensor) || !strings.Contains(err.Error(), `"none"`) {
		t.Errorf("no tensor: %v", err)
	}
	if _, err := f.Reader("none"); !errors.Is(err, gguf.ErrNoTensor) {
		t.Errorf("no tensor: %v", err)
	}
}

func TestWriterErrors(t *testing.T) {
	var out bytes.Buffer
	w := gguf.NewWriter(&out)
	for name, err := range map[string]error{
		"int":             w.Set("k", 1),
		"nil":             w.Set("k", nil),
		"nested":          w.Set("k", [][]int32{{1}}),
		"empty key":       w.Set("", true),
		"alignment type":  w.Set("general.alignment", int32(32)),
		"alignment 0":     w.Set("general.alignment", uint32(0)),
		"alignment 24":    w.Set("general.alignment", uint32(24)),
		"no shape":        w.Declare("t", block.TypeF32),
		"five dimensions": w.Declare("t", block.TypeF32, 1, 1, 1, 1, 1),
		"zero":            w.Declare("t", block.TypeF32, 0),
		"negative":        w.Declare("t", block.TypeF32, -1, -1),
		"overflow":        w.Declare("t", block.TypeF32, math.MaxInt, math.MaxInt),
		"part of a block": w.Declare("t", block.TypeQ4_0, 2, 48),
		"type":            w.Declare("t", block.Type(4), 32),
		"long name":       w.Declare(strings.Repeat("x", 65), block.TypeF32, 1),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := w.Set("k", "v"); err != nil {
		t.Fatal(err)
	}
	if err := w.Set("k", "v"); !errors.Is(err, gguf.ErrDuplicate) {
		t.Errorf("second key: %v", err)
	}
	for _, name := range []string{"t", "u"} {
		if err := w.Declare(name, block.TypeF32, 2); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Declare("t", block.TypeF32, 2); !errors.Is(err, gguf.ErrDuplicate) {
		t.Errorf("second tensor: %v", err)
	}
	if err := w.WriteTensor("u", strings.NewReader("12345678")); err == nil {
		t.Error("out of order: no error")
	}
	if err := w.Set("late", true); err == nil {
		t.Error("Set after the header: no error")
	}
	if err := w.WriteTensor("t", strings.NewReader("12345678rest is left")); err != nil {
		t.Error(err)
	}
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), `"u"`) {
		t.Errorf("Close without u: %v", err)
	}
	if err := w.WriteTensor("u", strings.NewReader("1234567")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("short data: %v", err)
	}
	if err := w.Close(); err == nil {
		t.Error("Close after a short tensor: no error")
	}
}

// TestConcurrent reads tensors from several goroutines while the file is closed.
func TestConcurrent(t *testing.T) {
	path := sample(t).File("sample.gguf")
	for _, o := range []*gguf.Options{nil, {ReadAt: true}} {
		f, err := gguf.Open(path, o)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 200 {
					for _, info := range f.Tensors() {
						if _, err := f.Tensor(info.Name); err != nil && !errors.Is(err, gguf.ErrClosed) && !errors.Is(err, os.ErrClosed) {
							t.Error(err)
						}
					}
					if err := f.Prefetch(context.Background(), nil); err != nil && !errors.Is(err, gguf.ErrClosed) {
						t.Error(err)
					}
					if _, err := f.Uint("z.u8"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Go(func() {
			time.Sleep(2 * time.Millisecond)
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
	}
}
