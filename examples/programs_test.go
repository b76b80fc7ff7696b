// Package examples tests the programs as people run them; bench's, too.
package examples

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/gguf/gguftest"
	"github.com/llama31/llama31/internal/testenv"
)

var (
	bin   string // where the programs are
	model string // of bench/synth, tiny
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "programs")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		bin, model = dir, filepath.Join(dir, "tiny.gguf")
		build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "./examples/...", "./bench/...")
		build.Dir = ".."
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v: %s", err, out)
			return 1
		}
		if out, err := exec.Command(filepath.Join(dir, "synth"), "-o", model, "-size", "tiny", "-vocab", "1024", "-type", "q8_0").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v: %s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// run runs a program and gives its exit status.
func run(t *testing.T, stdin, name string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, name), args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// fails runs a program that must answer in one line, with all of says in it, and exit with status 1.
func fails(t *testing.T, says []string, name string, args ...string) {
	t.Helper()
	status, stdout, stderr := run(t, "", name, args...)
	line := strings.TrimSuffix(stderr, "\n")
	ok := status == 1 && strings.TrimSpace(stdout) == "" && line != "" && len(line) < 500 && !strings.Contains(line, "\n")
	for _, s := range says {
		ok = ok && strings.Contains(line, s)
	}
	if !ok {
		t.Errorf("%s %q: status %d, stdout %q, stderr %q; expected status 1 and one line with %q", name, args, status, stdout, stderr, says)
	}
}

// TestBadFiles gives every program that reads a model files that are none.
func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	other := gguftest.New(t)
	other.Set("general.architecture", "qwen2")
	other.Tensor("token_embd.weight", block.TypeF32, make([]float32, 32), 1, 32)
	unknown := bytes.Clone(good) // of a type that has no number yet
	const name = "token_embd.weight"
	at := bytes.Index(unknown, []byte(name)) + len(name) + 4 + 2*8
	binary.LittleEndian.PutUint32(unknown[at:], 99)
	integers := bytes.Clone(good)
	binary.LittleEndian.PutUint32(integers[bytes.Index(integers, []byte("blk.0.ffn_norm.weight"))+len("blk.0.ffn_norm.weight")+4+8:], uint32(block.TypeI32))
	text := file("text.txt", []byte("Some words to score."))
	for _, p := range []struct {
		name string
		args []string // before the file
		arch bool     // runs the llama architecture only
	}{
		{"chat", []string{"-p", "hi", "-n", "2", "-model"}, true},
		{"hello", nil, true},
		{"tokenize", []string{"-model"}, true},
		{"perplexity", []string{"-f", text, "-model"}, true},
		{"llamabench", []string{"-p", "1", "-n", "1", "-r", "1", "-model"}, true},
		{"server", []string{"-addr", "127.0.0.1:0", "-model"}, true},
		{"serve", []string{"-d", "1s", "-model"}, true},
		{"ggufinfo", nil, false},
		{"quantize", []string{"-o", filepath.Join(dir, "out.gguf"), "-i"}, false},
	} {
		t.Run(p.name, func(t *testing.T) {
			bad := func(path string, says ...string) {
				t.Helper()
				fails(t, says, p.name, append(p.args[:len(p.args):len(p.args)], path)...)
			}
			bad(filepath.Join(dir, "none.gguf"), "none.gguf", "no such file")
			bad(dir)
			bad(text, "text.txt", "not a GGUF file")
			bad(file("empty.gguf", nil), "empty.gguf")
			for _, n := range []int{10, 100, len(good) / 10, len(good) / 2, len(good) - 1000} {
				bad(file("truncated.gguf", good[:n]), "truncated")
			}
			bad(file("unknown.gguf", unknown), "type", "99")
			if p.arch {
				bad(file("other.gguf", other.Bytes()), `"qwen2"`, `"llama"`)
				bad(file("integers.gguf", integers), "I32")
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "out.gguf")); err == nil {
		t.Error("quantize left a file of a model that it could not read")
	}
}

// TestBadFlags gives values that have no meaning, or that the model cannot have.
func TestBadFlags(t *testing.T) {
	dir := t.TempDir()
	long := filepath.Join(dir, "long.txt")
	if err := os.WriteFile(long, []byte(strings.Repeat("word after word, ", 20_000)), 0o666); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "binary.txt")
	if err := os.WriteFile(binary, []byte{0xff, 0xfe, 0}, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		says string
		args []string
	}{
		{"-model", []string{"chat", "-model", ""}},
		{"-nosuch", []string{"chat", "-model", model, "-nosuch"}},
		{"extra", []string{"chat", "-model", model, "extra"}},
		{"-p", []string{"chat", "-model", model, "-p", ""}},
		{"-temp", []string{"chat", "-model", model, "-p", "x", "-temp", "-1"}},
		{"-temp", []string{"chat", "-model", model, "-p", "x", "-temp", "NaN"}},
		{"-temp", []string{"chat", "-model", model, "-p", "x", "-temp", "101"}},
		{"-temp", []string{"chat", "-model", model, "-p", "x", "-temp", "warm"}},
		{"-n", []string{"chat", "-model", model, "-p", "x", "-n", "-1"}},
		{"-n", []string{"chat", "-model", model, "-p", "x", "-n", "99999999999999999999"}},
		{"-ctx", []string{"chat", "-model", model, "-p", "x", "-ctx", "-1"}},
		{"131072", []string{"chat", "-model", model, "-p", "x", "-ctx", "131073"}},
		{"-threads", []string{"chat", "-model", model, "-p", "x", "-threads", "-1"}},
		{"Threads", []string{"chat", "-model", model, "-p", "x", "-threads", "100000000"}},
		{"-seed", []string{"chat", "-model", model, "-p", "x", "-seed", "-1"}},
		{"abacus", []string{"chat", "-model", model, "-p", "x", "-device", "abacus"}},
		{"context", []string{"chat", "-model", model, "-p", strings.Repeat("word ", 100), "-ctx", "64"}},
		{"-model", []string{"tokenize"}},
		{"99999", []string{"tokenize", "-model", model, "-d", "99999"}},
		{"-model", []string{"perplexity"}},
		{"-f", []string{"perplexity", "-model", model}},
		{"none.txt", []string{"perplexity", "-model", model, "-f", filepath.Join(dir, "none.txt")}},
		{"UTF-8", []string{"perplexity", "-model", model, "-f", binary}},
		{"-ctx", []string{"perplexity", "-model", model, "-f", long, "-ctx", "1"}},
		{"131072", []string{"perplexity", "-model", model, "-f", long, "-ctx", "131073"}},
		{"context", []string{"perplexity", "-model", model, "-f", long}},
		{"-threads", []string{"perplexity", "-model", model, "-f", long, "-threads", "-2"}},
		{"-model", []string{"llamabench"}},
		{"-r", []string{"llamabench", "-model", model, "-r", "0"}},
		{"-p 0 -n 0", []string{"llamabench", "-model", model, "-p", "0", "-n", "0"}},
		{"-o", []string{"llamabench", "-model", model, "-o", "xml"}},
		{"-d", []string{"llamabench", "-model", model, "-d", "33"}},
		{"-seq", []string{"llamabench", "-model", model, "-seq", "0"}},
		{"mmx", []string{"llamabench", "-model", model, "-set", "mmx"}},
		{"131072", []string{"llamabench", "-model", model, "-p", "200000", "-r", "1"}},
		{"nosuch", []string{"llamabench", "-model", model, "-p", "4", "-n", "0", "-r", "1", "-peer", filepath.Join(dir, "nosuch")}},
		{"-model", []string{"server", "model.gguf"}},
		{"-ctx", []string{"server", "-model", model, "-ctx", "x"}},
		{"131072", []string{"server", "-model", model, "-ctx", "131073", "-addr", "127.0.0.1:0"}},
		{"address", []string{"server", "-model", model, "-ctx", "64", "-addr", "nowhere"}},
		{"-url", []string{"serve"}},
		{"-c", []string{"serve", "-model", model, "-c", "0"}},
		{"required", []string{"fallback", "-model", model, "-url", "http://127.0.0.1:1/v1"}},
		{"nowhere", []string{"fallback", "-model", model, "-url", "nowhere", "why?"}},
		{"-a and -b", []string{"compare", "-a", model}},
		{"-o", []string{"synth"}},
		{"9b", []string{"synth", "-o", filepath.Join(dir, "x"), "-size", "9b"}},
		{"q9", []string{"synth", "-o", filepath.Join(dir, "x"), "-type", "q9"}},
		{"-type", []string{"quantize", "-i", model, "-o", filepath.Join(dir, "x"), "-type", "q9"}},
		{"one file", []string{"ggufinfo"}},
		{"one name", []string{"pull"}},
		{"hf:OWNER/REPO:QUANT", []string{"pull", "hf:nothing"}},
		{"hf:OWNER/REPO", []string{"pull", "-list", "https://example.com/x.gguf"}},
	} {
		fails(t, []string{c.says}, c.args[0], c.args[1:]...)
	}
}

// TestHelp prints what a program takes, and is no error.
func TestHelp(t *testing.T) {
	for _, name := range []string{"chat", "tokenize", "ggufinfo", "pull", "quantize", "llamabench", "perplexity", "serve", "server", "synth", "fallback", "compare"} {
		status, stdout, stderr := run(t, "", name, "-h")
		if status != 0 || !strings.Contains(stdout, "-") || stderr != "" {
			t.Errorf("%s -h: status %d, stdout %q, stderr %q", name, status, stdout, stderr)
		}
	}
}

// TestRuns gives every program something that it can do.
func TestRuns(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.txt")
	if err := os.WriteFile(text, []byte("These are the words that are scored."), 0o666); err != nil {
		t.Fatal(err)
	}
	succeeds := func(stdin, name string, args ...string) string {
		t.Helper()
		status, stdout, stderr := run(t, stdin, name, args...)
		if status != 0 {
			t.Errorf("%s %q: status %d, stderr %q", name, args, status, stderr)
		}
		return stdout
	}
	if a, b := succeeds("", "chat", "-model", model, "-p", "hi", "-n", "8", "-seed", "3"), succeeds("", "chat", "-model", model, "-p", "hi", "-n", "8", "-seed", "3"); a != b || len(a) < 2 {
		t.Errorf("chat answers %q, then %q", a, b)
	}
	if out := succeeds("", "chat", "-p", "Tell me a story about a brave cat.", "-n", "120", "-temp", "0"); !strings.Contains(out, "cat") {
		t.Errorf("chat without -model says %q", out)
	}
	if out := succeeds("hi\n/reset\nwho?\n/bye\n", "chat", "-model", model, "-n", "3", "-temp", "0"); len(out) < 2 {
		t.Errorf("a conversation: %q", out)
	}
	const words = "Some words, 12 of 34 <|eot_id|> ümläute 🙂\n"
	ids := succeeds(words, "tokenize", "-model", model)
	if got := succeeds(ids, "tokenize", "-model", model, "-d"); got != words {
		t.Errorf("tokenize -d gives %q of %q, expected %q", got, ids, words)
	}
	if special := succeeds("<|eot_id|>", "tokenize", "-model", model, "-special"); len(strings.Fields(special)) != 1 {
		t.Errorf("tokenize -special gives %q", special)
	}
	npy := filepath.Join(dir, "logits.npy")
	out := succeeds("", "perplexity", "-model", model, "-f", text, "-logits", npy)
	if again := succeeds("", "perplexity", "-model", model, "-f", text, "-threads", "1"); again != out || !strings.HasPrefix(out, "perplexity ") {
		t.Errorf("perplexity prints %q, without logits %q", out, again)
	}
	if s, err := os.Stat(npy); err != nil || s.Size()%4 != 0 {
		t.Error(err)
	}
	if out := succeeds("", "llamabench", "-model", model, "-p", "8", "-n", "4", "-r", "1", "-o", "json"); !strings.Contains(out, `"pp8"`) || !strings.Contains(out, `"tg4"`) {
		t.Errorf("llamabench prints %q", out)
	}
	small := filepath.Join(dir, "small.gguf")
	succeeds("", "quantize", "-i", model, "-o", small, "-type", "q4_0", "-q")
	if out := succeeds("", "ggufinfo", "-tensors", small); !strings.Contains(out, "Q4_0") {
		t.Errorf("ggufinfo prints %q", out)
	}
	succeeds("", "hello", small)
}

// TestPull gives every program a model that a server has: the first downloads it, the others find it.
func TestPull(t *testing.T) {
	dir := t.TempDir()
	data, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	var sent atomic.Int32
	hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/models/some/one/tree/main":
			fmt.Fprintf(w, `[{"type":"file","path":"tiny-Q8_0.gguf","size":%d,"lfs":{"oid":"%x","size":%d}}]`, len(data), sha256.Sum256(data), len(data))
		case "/some/one/resolve/main/tiny-Q8_0.gguf":
			sent.Add(1)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		default:
			http.NotFound(w, r)
		}
	}))
	defer hub.Close()
	t.Setenv("HF_ENDPOINT", hub.URL)
	t.Setenv("LLAMA31_CACHE", filepath.Join(dir, "cache"))
	t.Setenv("LLAMA31_MEMORY", "off")
	text := filepath.Join(dir, "text.txt")
	if err := os.WriteFile(text, []byte("These are the words that are scored."), 0o666); err != nil {
		t.Fatal(err)
	}
	const name = "hf:some/one:Q8_0"
	for i, c := range [][]string{
		{"pull", name},
		{"pull", "-list", "hf:some/one"},
		{"chat", "-p", "hi", "-n", "2", "-model", name},
		{"tokenize", "-model", name},
		{"ggufinfo", name},
		{"quantize", "-q", "-type", "q4_0", "-o", filepath.Join(dir, "small.gguf"), "-i", name},
		{"perplexity", "-f", text, "-model", name},
		{"llamabench", "-p", "4", "-n", "2", "-r", "1", "-model", name},
		{"serve", "-d", "100ms", "-prompt", "3", "-answer", "2", "-model", name},
	} {
		status, stdout, stderr := run(t, "words", c[0], c[1:]...)
		if status != 0 || strings.Contains(stderr, "downloading") != (i == 0) || i < 2 && !strings.Contains(stdout, "Q8_0") {
			t.Errorf("%q: status %d, stdout %q, stderr %q", c, status, stdout, stderr)
		}
	}
	if n := sent.Load(); n != 1 {
		t.Errorf("it was sent %d times", n)
	}
}

// TestParis is the first thing that a newcomer runs.
func TestParis(t *testing.T) {
	status, stdout, stderr := run(t, "", "chat", "-model", testenv.Fetched(t, "smollm2"), "-p", "What is the capital of France?", "-temp", "0", "-n", "40")
	if status != 0 || !strings.Contains(stdout, "Paris") || !strings.Contains(stderr, "tokens") {
		t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
}

// TestHelloIsShort keeps the promise of its 25 lines.
func TestHelloIsShort(t *testing.T) {
	source, err := os.ReadFile("hello/main.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(source, []byte("\n")); n > 25 {
		t.Errorf("%d lines", n)
	}
}
