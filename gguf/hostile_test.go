package gguf_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/gguf/gguftest"
	"github.com/llama31/llama31/internal/testenv"
)

// raw puts a file together byte by byte, lies included.
type raw []byte

func header(tensors, keys uint64) raw { return raw("GGUF").u32(3).u64(tensors).u64(keys) }
func (r raw) u32(v uint32) raw        { return binary.LittleEndian.AppendUint32(r, v) }
func (r raw) u64(v uint64) raw        { return binary.LittleEndian.AppendUint64(r, v) }
func (r raw) str(s string) raw        { return append(r.u64(uint64(len(s))), s...) }
func (r raw) zeros(n int) raw         { return append(r, make([]byte, n)...) }
func (r raw) pad(to int) raw          { return r.zeros((to - len(r)%to) % to) }

// tensor describes one; dims are in the file's order, columns first.
func (r raw) tensor(name string, t uint32, offset uint64, dims ...uint64) raw {
	r = r.str(name).u32(uint32(len(dims)))
	for _, d := range dims {
		r = r.u64(d)
	}
	return r.u32(t).u64(offset)
}

const (
	u32Type, boolType, stringType, arrayType = 4, 7, 8, 9
	f32, q4_0                                = 0, 2
)

// TestMalformed has one handcrafted file per way to be wrong, each with the kind of
// error that must come out.
func TestMalformed(t *testing.T) {
	data := func(r raw) raw { return r.pad(32).zeros(128) }
	for _, c := range []struct {
		name string
		file raw
		kind error
		says string // part of the message
	}{
		{"empty", raw{}, gguf.ErrMagic, "0 bytes"},
		{"two bytes", raw("GG"), gguf.ErrMagic, "2 bytes"},
		{"magic", raw("gguf").u32(3).u64(0).u64(0), gguf.ErrMagic, `"gguf"`},
		{"older magic", raw("ggjt").u32(3).u64(0).u64(0), gguf.ErrMagic, `"ggjt"`},
		{"version 0", raw("GGUF").u32(0).u64(0).u64(0), gguf.ErrVersion, "found 0"},
		{"version 1", raw("GGUF").u32(1).u64(0).u64(0), gguf.ErrVersion, "found 1"},
		{"version 4", raw("GGUF").u32(4).u64(0).u64(0), gguf.ErrVersion, "found 4"},
		{"big-endian", raw("GGUF\x00\x00\x00\x03").zeros(16), gguf.ErrBigEndian, ""},
		{"no counts", raw("GGUF").u32(3), gguf.ErrTruncated, "number of tensors"},
		{"half a count", raw("GGUF").u32(3).u64(0).u32(0), gguf.ErrTruncated, "metadata entries"},
		{"tensor count", header(math.MaxUint64, 0), gguf.ErrTruncated, strconv.FormatUint(math.MaxUint64, 10)},
		{"tensor count that overflows times its size", header(math.MaxUint64/33+2, 0), gguf.ErrTruncated, "number of tensors"},
		{"key count", header(0, math.MaxUint64), gguf.ErrTruncated, "metadata entries"},
		{"key count that overflows times its size", header(0, math.MaxUint64/14+2), gguf.ErrTruncated, "metadata entries"},
		{"too many keys", header(0, 1<<17).zeros(14 << 17), gguf.ErrLimit, "131072"},
		{"too many tensors", header(1<<19, 0).zeros(33 << 19), gguf.ErrLimit, "524288"},

		{"key length", header(0, 1).u64(math.MaxUint64).zeros(64), gguf.ErrTruncated, "key 0 length"},
		{"key longer than the limit", header(0, 1).u64(1 << 16).zeros(1 << 17), gguf.ErrLimit, "65536"},
		{"empty key", header(0, 1).str("").u32(u32Type).u32(1), gguf.ErrFormat, "empty"},
		{"duplicate key", header(0, 2).str("k").u32(u32Type).u32(1).str("k").u32(u32Type).u32(1), gguf.ErrDuplicate, `"k"`},
		{"value type", header(0, 1).str("k").u32(13).u64(0), gguf.ErrFormat, "found 13"},
		{"value missing", header(0, 1).str("kkkkkkk").u32(u32Type), gguf.ErrTruncated, `"kkkkkkk"`},
		{"bool", append(header(0, 1).str("k").u32(boolType), 2), gguf.ErrFormat, "found 2"},
		{"string length", header(0, 1).str("k").u32(stringType).u64(1 << 40).zeros(9), gguf.ErrTruncated, "1099511627776"},
		{"string length one too long", header(0, 1).str("k").u32(stringType).u64(10).zeros(9), gguf.ErrTruncated, "at most 9"},
		{"array element type", header(0, 1).str("k").u32(arrayType).u32(99).u64(1).zeros(9), gguf.ErrFormat, "99"},
		{"array count", header(0, 1).str("k").u32(arrayType).u32(u32Type).u64(1 << 62).zeros(16), gguf.ErrTruncated, strconv.FormatInt(1<<62, 10)},
		{"array count that overflows times its size", header(0, 1).str("k").u32(arrayType).u32(10).u64(1<<61 + 1).zeros(16), gguf.ErrTruncated, "count"},
		{"array of bools", append(header(0, 1).str("k").u32(arrayType).u32(boolType).u64(2), 1, 7), gguf.ErrFormat, "[1]"},
		{"array in an array", header(0, 1).str("k").u32(arrayType).u32(arrayType).u64(1).u32(arrayType).u64(1).zeros(16), gguf.ErrLimit, "array inside an array"},
		{"string in an array", header(0, 1).str("k").u32(arrayType).u32(stringType).u64(2).str("a").u64(1 << 50), gguf.ErrTruncated, "string length"},
		{"string count", header(0, 1).str("k").u32(arrayType).u32(stringType).u64(3).str("a").str("b"), gguf.ErrTruncated, "count"},

		{"alignment 0", header(0, 1).str("general.alignment").u32(u32Type).u32(0), gguf.ErrAlignment, "found 0"},
		{"alignment 4", header(0, 1).str("general.alignment").u32(u32Type).u32(4), gguf.ErrAlignment, "found 4"},
		{"alignment 24", header(0, 1).str("general.alignment").u32(u32Type).u32(24), gguf.ErrAlignment, "found 24"},
		{"alignment 2^31", header(0, 1).str("general.alignment").u32(u32Type).u32(1 << 31), gguf.ErrAlignment, "2147483648"},
		{"alignment of another type", header(0, 1).str("general.alignment").u32(stringType).str("32"), gguf.ErrValueType, "string"},

		{"tensor name length", header(1, 0).u64(1 << 63).zeros(64), gguf.ErrTruncated, "name of tensor 0"},
		{"long tensor name", data(header(1, 0).tensor(strings.Repeat("x", 65), f32, 0, 4)), gguf.ErrLimit, "found 65"},
		{"empty tensor name", data(header(1, 0).tensor("", f32, 0, 4)), gguf.ErrFormat, "empty"},
		{"duplicate tensor", data(header(2, 0).tensor("t", f32, 0, 4).tensor("t", f32, 32, 4)), gguf.ErrDuplicate, `"t"`},
		{"no dimensions", data(header(1, 0).tensor("t", f32, 0).zeros(8)), gguf.ErrFormat, "number of dimensions"},
		{"five dimensions", data(header(1, 0).tensor("t", f32, 0, 1, 1, 1, 1, 1)), gguf.ErrFormat, "found 5"},
		{"2^32-1 dimensions", header(1, 0).str("t").u32(math.MaxUint32).zeros(64), gguf.ErrFormat, "4294967295"},
		{"dimension 0", data(header(1, 0).tensor("t", f32, 0, 4, 0)), gguf.ErrFormat, "found 0"},
		{"dimension -1", data(header(1, 0).tensor("t", f32, 0, math.MaxUint64)), gguf.ErrFormat, strconv.FormatUint(math.MaxUint64, 10)},
		{"values overflow", data(header(1, 0).tensor("t", f32, 0, 1<<32, 1<<32)), gguf.ErrFormat, "2^63"},
		{"bytes overflow", data(header(1, 0).tensor("t", f32, 0, 1<<31, 1<<31)), gguf.ErrFormat, "overflows"},
		{"part of a block", data(header(1, 0).tensor("t", q4_0, 0, 33)), gguf.ErrFormat, "whole blocks"},
		{"rows are parts of blocks", data(header(1, 0).tensor("t", q4_0, 0, 16, 2)), gguf.ErrFormat, "whole blocks"},
		{"withdrawn type", data(header(1, 0).tensor("t", 4, 0, 32)), gguf.ErrUnsupportedType, "type 4"},
		{"type of zero block size", data(header(1, 0).tensor("t", 36, 0, 32)), gguf.ErrUnsupportedType, "type 36"},
		{"type known by name", data(header(1, 0).tensor("t", 39, 0, 32)), gguf.ErrUnsupportedType, "MXFP4"},
		{"type 2^32-1", data(header(1, 0).tensor("t", math.MaxUint32, 0, 32)), gguf.ErrUnsupportedType, "4294967295"},
		{"offset not aligned", data(header(1, 0).tensor("t", f32, 4, 4)), gguf.ErrAlignment, "multiple of 32"},
		{"offset past the end", data(header(1, 0).tensor("t", f32, 160, 4)), gguf.ErrTruncated, "offset 160"},
		{"offset 2^63", data(header(1, 0).tensor("t", f32, 1<<63, 4)), gguf.ErrTruncated, "offset"},
		{"offset and size overflow", data(header(1, 0).tensor("t", f32, math.MaxInt64-31, 4)), gguf.ErrTruncated, "of data"},
		{"data past the end", data(header(1, 0).tensor("t", f32, 96, 9)), gguf.ErrTruncated, "36 bytes"},
		{"no data", header(1, 0).tensor("t", f32, 0, 4), gguf.ErrTruncated, "padding"},
		{"overlap", data(header(2, 0).tensor("a", f32, 0, 16).tensor("b", f32, 32, 4)), gguf.ErrOverlap, `"a"`},
		{"same place", data(header(2, 0).tensor("a", f32, 0, 4).tensor("b", f32, 0, 4)), gguf.ErrOverlap, `"b"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := gguf.NewReader(bytes.NewReader(c.file), int64(len(c.file)))
			if !errors.Is(err, c.kind) {
				t.Fatalf("got %v, expected %v", err, c.kind)
			}
			if !strings.Contains(err.Error(), c.says) && strconv.IntSize == 64 {
				t.Errorf("%q does not say %q", err, c.says)
			}
			if strings.ContainsAny(err.Error(), "\n\x00") {
				t.Errorf("%q is not one clear line", err)
			}
			var fe *gguf.FormatError
			if c.kind != gguf.ErrValueType && !(errors.As(err, &fe) && errors.Is(err, gguf.ErrFormat)) {
				t.Errorf("%v is no *FormatError", err)
			}
		})
	}
}

// The classes of CVEs that other readers of GGUF had. Each must be an error, and
// where the bug was an allocation, there must not be one.

// CVE-2026-7482: a tensor's offset and size were trusted, so reading it leaked
// what lay behind the file's buffer.
func TestCVE_2026_7482_TensorBeyondFile(t *testing.T) {
	for _, dims := range [][]uint64{{33}, {1 << 20}, {1 << 40}, {8, 5}} {
		file := header(1, 0).tensor("t", f32, 0, dims...).pad(32).zeros(128)
		expectTruncated(t, file)
	}
}

// CVE-2026-27940 and CVE-2025-53630: the sum of padded tensor sizes overflowed, so
// the buffer was smaller than the tensors in it.
func TestCVE_2026_27940_SizesOverflow(t *testing.T) {
	r := header(3, 0)
	for i, name := range []string{"a", "b", "c"} {
		r = r.tensor(name, f32, uint64(i)<<62, 1<<60-8)
	}
	expectTruncated(t, r.pad(32).zeros(256))
	expectTruncated(t, header(1, 0).tensor("a", f32, math.MaxInt64-63, 24).pad(32).zeros(256))
}

// CVE-2024-21802, -21825, -21836, -23496, -23605: counts of keys, tensors, array
// elements and dimensions overflowed when multiplied by a size.
func TestCVE_2024_21802_CountsOverflow(t *testing.T) {
	for _, n := range []uint64{1 << 32, 1<<60 + 1, 1<<61 + 1, 1 << 62, 1 << 63, math.MaxUint64} {
		expectTruncated(t, header(n, 0).zeros(256))
		expectTruncated(t, header(0, n).zeros(256))
		for elem := uint32(0); elem <= 12; elem++ {
			if elem != arrayType {
				expectTruncated(t, header(0, 1).str("k").u32(arrayType).u32(elem).u64(n).zeros(256))
			}
		}
		expectTruncated(t, header(0, 1).str("k").u32(stringType).u64(n).zeros(256))
		expectTruncated(t, header(0, 1).u64(n).zeros(256))
	}
}

// CVE-2025-0315 and CVE-2025-66959: a length in the file was allocated before it
// was compared with the file.
func TestCVE_2025_0315_UnboundedAllocation(t *testing.T) {
	var before, after runtime.MemStats
	files := []raw{
		header(1<<34, 0).zeros(1000),
		header(0, 1<<34).zeros(1000),
		header(0, 1).u64(1 << 34).zeros(1000),
		header(0, 1).str("k").u32(stringType).u64(1 << 34).zeros(1000),
		header(0, 1).str("k").u32(arrayType).u32(0).u64(1 << 34).zeros(1000),
		header(0, 1).str("k").u32(arrayType).u32(stringType).u64(1 << 34).zeros(1000),
		header(1, 0).tensor("t", f32, 0, 1<<34).pad(32).zeros(1000),
	}
	runtime.ReadMemStats(&before)
	for _, file := range files {
		expectTruncated(t, file)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 4<<20 {
		t.Errorf("%d bytes allocated for %d files of a kilobyte", got, len(files))
	}
}

// CVE-2025-0317 and CVE-2024-8063: a block size, an alignment or a dimension of
// zero was divided by.
func TestCVE_2025_0317_DivideByZero(t *testing.T) {
	for typ := range uint32(64) {
		file := header(1, 0).tensor("t", typ, 0, 256, 1).pad(32).zeros(2048)
		_, err := gguf.NewReader(bytes.NewReader(file), int64(len(file)))
		if supported := block.Type(typ).Len() != 0; supported != (err == nil) {
			t.Errorf("type %d: %v", typ, err)
		}
	}
	for _, dims := range [][]uint64{{0}, {0, 4}, {4, 0}, {0, 0, 0, 0}} {
		file := header(1, 0).tensor("t", f32, 0, dims...).pad(32).zeros(128)
		if _, err := gguf.NewReader(bytes.NewReader(file), int64(len(file))); !errors.Is(err, gguf.ErrFormat) {
			t.Errorf("dimensions %v: %v", dims, err)
		}
	}
	file := header(0, 1).str("general.alignment").u32(u32Type).u32(0)
	if _, err := gguf.NewReader(bytes.NewReader(file), int64(len(file))); !errors.Is(err, gguf.ErrAlignment) {
		t.Errorf("alignment 0: %v", err)
	}
}

// CVE-2024-39720, CVE-2024-12055: reads past the end of a file cut short anywhere.
func TestCVE_2024_39720_CutAnywhere(t *testing.T) {
	whole := sample(t).Bytes()
	for n := range len(whole) {
		if n > 4000 && n%97 != 0 && n < len(whole)-4000 {
			continue
		}
		cut := whole[:n]
		f, err := gguf.NewReader(bytes.NewReader(cut), int64(n))
		if err == nil {
			// Only the padding after the last tensor may be missing.
			infos := f.Tensors()
			if last := infos[len(infos)-1]; int64(n) < last.Offset+last.Size {
				t.Fatalf("a file cut at %d of %d bytes was opened", n, len(whole))
			}
		} else if !errors.Is(err, gguf.ErrFormat) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
}

// CVE-2025-0312: a missing or mistyped entry was used without a look.
func TestCVE_2025_0312_MissingAndMistyped(t *testing.T) {
	file := header(0, 1).str("general.architecture").u32(u32Type).u32(7)
	f, err := gguf.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.String("general.architecture"); !errors.Is(err, gguf.ErrValueType) {
		t.Error(err)
	}
	if _, err := f.Strings("tokenizer.ggml.tokens"); !errors.Is(err, gguf.ErrNoKey) {
		t.Error(err)
	}
}

// CVE-2024-12886: a compressed file was unpacked, whatever its size. Nothing is
// unpacked here: it is no GGUF.
func TestCVE_2024_12886_GzipBomb(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	z.Write(header(0, 0))
	zeros := make([]byte, 1<<20)
	for range 64 {
		z.Write(zeros)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := gguf.NewReader(bytes.NewReader(bomb.Bytes()), int64(bomb.Len()))
	runtime.ReadMemStats(&after)
	if !errors.Is(err, gguf.ErrMagic) {
		t.Errorf("got %v, expected ErrMagic", err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("%d bytes allocated", got)
	}
}

// CVE-2024-37032, CVE-2024-45436, CVE-2026-7020: names in what was loaded led to
// files elsewhere. A part of a split model is found by the name that the caller
// gave, beside it, whatever the file says.
func TestCVE_2024_37032_PathTraversal(t *testing.T) {
	const elsewhere = "../../../../etc/passwd"
	b := gguftest.New(t)
	b.Set("split.no", uint16(0))
	b.Set("split.count", uint16(2))
	for _, key := range []string{"general.name", "general.basename", "split.name", "split.path", elsewhere} {
		b.Set(key, elsewhere)
	}
	b.Tensor(elsewhere, block.TypeF32, []float32{1}, 1)
	path := b.File("m-00001-of-00002.gguf")
	_, err := gguf.Open(path, nil)
	var missing *fs.PathError
	if !errors.As(err, &missing) || missing.Path != filepath.Join(filepath.Dir(path), "m-00002-of-00002.gguf") {
		t.Errorf("%v, expected the part beside the first to be missing", err)
	}
}

func expectTruncated(t *testing.T, file raw) {
	t.Helper()
	_, err := gguf.NewReader(bytes.NewReader(file), int64(len(file)))
	if strconv.IntSize == 32 && errors.Is(err, gguf.ErrFormat) {
		return // a dimension may be too large before the file's length is looked at
	}
	if !errors.Is(err, gguf.ErrTruncated) {
		t.Errorf("got %v, expected ErrTruncated", err)
	}
}

// shrinking is a file that has become shorter since its size was taken.
type shrinking struct {
	io.ReaderAt
	size int64
}

func (s shrinking) ReadAt(p []byte, at int64) (int, error) {
	if at >= s.size {
		return 0, io.EOF
	}
	if n := s.size - at; n < int64(len(p)) {
		k, _ := s.ReaderAt.ReadAt(p[:n], at)
		return k, io.EOF
	}
	return s.ReaderAt.ReadAt(p, at)
}

func TestShrinkingFile(t *testing.T) {
	whole := sample(t).Bytes()
	for _, n := range []int64{0, 3, 20, 100, 1000, int64(len(whole)) / 2} {
		if _, err := gguf.NewReader(shrinking{bytes.NewReader(whole), n}, int64(len(whole))); !errors.Is(err, gguf.ErrTruncated) {
			t.Errorf("%d bytes left: %v", n, err)
		}
	}
	f, err := gguf.NewReader(shrinking{bytes.NewReader(whole), int64(len(whole)) - 64}, int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Tensor("cube"); !errors.Is(err, gguf.ErrTruncated) {
		t.Errorf("tensor of a file that has shrunk: %v", err)
	}
}

// use does all that can be done with a file.
func use(t testing.TB, data []byte) {
	f, err := gguf.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		if !errors.Is(err, gguf.ErrFormat) && !errors.Is(err, gguf.ErrValueType) && !errors.Is(err, gguf.ErrSplit) {
			t.Fatalf("an error without a kind: %v", err)
		}
		return
	}
	for _, info := range f.Tensors() {
		d, err := f.Tensor(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(d.Uint8s(), data[info.Offset:info.Offset+info.Size]) {
			t.Fatalf("%s: other bytes than in the file", info.Name)
		}
		if err := block.Dequantize(info.Type, make([]float32, info.Values()), d.Uint8s()); err != nil && !errors.Is(err, block.ErrUnsupported) {
			t.Fatal(err)
		}
	}
	// What was read can be written and read again.
	var out bytes.Buffer
	w := gguf.NewWriter(&out)
	for _, key := range f.Keys() {
		if err := w.Set(key, f.Value(key)); err != nil {
			if key == "general.alignment" { // other integer types are read too
				return
			}
			t.Fatal(err)
		}
		_, _ = f.Uint(key)
		_, _ = f.Int(key)
		_, _ = f.Ints(key)
		_, _ = f.Strings(key)
	}
	for _, info := range f.Tensors() {
		if err := w.Declare(info.Name, info.Type, info.Shape...); err != nil {
			t.Fatal(err)
		}
	}
	for _, info := range f.Tensors() {
		r, err := f.Reader(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.WriteTensor(info.Name, r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := gguf.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len())); err != nil {
		t.Fatalf("written again: %v", err)
	}
}

// TestMutations spoils good files in a few places each: no panic, no hang, memory
// at most twice the file and 64 MB. 10,000 files, with LLAMA31_LONG=1 100,000.
func TestMutations(t *testing.T) {
	n := 10000
	if testenv.Long() {
		n = 100000
	}
	small := gguftest.New(t)
	small.Set("general.architecture", "llama")
	small.Set("general.alignment", uint32(32))
	small.Set("tokens", []string{"a", "b", "", "ccc"})
	small.Set("scores", []float32{1, 2, 3})
	small.Tensor("a", block.TypeF32, gguftest.Normal(1, 32, 1), 4, 8)
	small.Tensor("b", block.TypeQ8_0, gguftest.Normal(2, 64, 1), 2, 32)
	files := [][]byte{small.Bytes(), sample(t).Bytes()}
	interesting := []uint64{0, 1, 2, 31, 32, 33, 127, 128, 255, 1 << 15, 1 << 16, 1 << 31, 1<<32 - 1, 1 << 32, 1 << 60, 1 << 61, 1 << 62, 1<<63 - 1, 1 << 63, math.MaxUint64}
	r := rand.New(rand.NewPCG(31, 0))
	var before, after runtime.MemStats
	for i := range n {
		data := bytes.Clone(files[i%len(files)])
		if len(data) > 10000 && i%40 != 1 { // mostly the small one: the other has a string of 100,000 bytes
			data = bytes.Clone(files[0])
		}
		for range 1 + r.IntN(4) {
			at := r.IntN(min(len(data)-8, 2500))
			switch r.IntN(4) {
			case 0:
				data[at] = byte(r.Uint32())
			case 1:
				data[at] ^= 1 << r.IntN(8)
			case 2:
				binary.LittleEndian.PutUint64(data[at:], interesting[r.IntN(len(interesting))])
			case 3:
				data = append(data[:at], data[at+r.IntN(8):]...)
			}
			if len(data) < 16 {
				break
			}
		}
		runtime.ReadMemStats(&before)
		start := time.Now()
		use(t, data)
		if took := time.Since(start); took > 5*time.Second {
			t.Fatalf("mutation %d took %v", i, took)
		}
		runtime.ReadMemStats(&after)
		// All that is allocated counts, also what use needs to decode every tensor.
		if got := after.TotalAlloc - before.TotalAlloc; got > uint64(2*len(data)+64<<20) {
			t.Fatalf("mutation %d: %d bytes allocated for a file of %d", i, got, len(data))
		}
	}
}

func FuzzReader(f *testing.F) {
	b := gguftest.New(f)
	b.Set("general.architecture", "llama")
	b.Set("tokens", []string{"a", "b", ""})
	b.Set("scores", []float32{1, 2})
	b.Set("general.alignment", uint32(8))
	b.Tensor("a", block.TypeF32, gguftest.Normal(1, 32, 1), 4, 8)
	b.Tensor("b", block.TypeQ8_0, gguftest.Normal(2, 64, 1), 2, 32)
	f.Add(b.Bytes())
	f.Add([]byte(header(0, 1).str("k").u32(arrayType).u32(boolType).u64(2).zeros(2)))
	f.Add([]byte(header(2, 0).tensor("a", f32, 0, 16).tensor("b", q4_0, 64, 32).pad(32).zeros(96)))
	f.Fuzz(func(t *testing.T, data []byte) { use(t, data) })
}

// TestMemoryBound opens files made of nothing but the entries that cost most
// memory for their size: at most twice the file and 64 MB may be allocated.
func TestMemoryBound(t *testing.T) {
	strings_ := header(0, 1).str("k").u32(arrayType).u32(stringType).u64(1 << 21).zeros(8 << 21)
	keys := header(0, 1<<16)
	for i := range 1 << 16 {
		keys = append(keys.str(strconv.Itoa(i)).u32(0), 1)
	}
	tensors := header(1<<17, 0)
	for i := range 1 << 17 {
		tensors = tensors.tensor(strconv.Itoa(i), f32, uint64(32*i), 1)
	}
	tensors = tensors.pad(32).zeros(32 << 17)
	for name, file := range map[string]raw{"empty strings": strings_, "keys": keys, "tensors": tensors} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f, err := gguf.NewReader(bytes.NewReader(file), int64(len(file)))
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := after.TotalAlloc - before.TotalAlloc
		if limit := uint64(2*len(file) + 64<<20); got > limit {
			t.Errorf("%s: %d bytes allocated for a file of %d, expected at most %d", name, got, len(file), limit)
		}
		t.Logf("%s: %d bytes allocated for a file of %d", name, got, len(file))
		runtime.KeepAlive(f)
	}
}
