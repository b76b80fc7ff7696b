//go:build unix

package main

import (
	"bytes"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/llama31/llama31/internal/testenv"
	"github.com/llama31/llama31/kernels/cuda/sim"
	"github.com/llama31/llama31/llama"
)

func build(t *testing.T) (program, model string) {
	model = testenv.Fetched(t, "smollm2")
	return buildAlone(t), model
}

func buildAlone(t *testing.T) string {
	program := filepath.Join(t.TempDir(), "chat")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

// screen is what a terminal was sent.
type screen struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

// await waits until text has come since the last await.
func (s *screen) await(t *testing.T, text string) string {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		s.mu.Lock()
		all := s.b.String()
		if i := strings.Index(all, text); i >= 0 {
			s.b.Next(i + len(text))
			s.mu.Unlock()
			return all[:i]
		}
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Fatalf("no %q on the terminal: %q", text, s.b.String())
	return ""
}

func TestTerminal(t *testing.T) {
	program, model := build(t)
	cmd := exec.Command(program, "-model", model, "-temp", "0", "-ctx", "2048")
	cmd.Dir = t.TempDir()
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 200})
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	defer cmd.Process.Kill()
	var s screen
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := tty.Read(buf)
			s.Write(buf[:n])
			if err != nil {
				return
			}
		}
	}()
	say := func(keys string) {
		if _, err := tty.WriteString(keys); err != nil {
			t.Fatal(err)
		}
	}
	s.await(t, "/help lists commands.")
	s.await(t, "> ")
	say("/help\r")
	s.await(t, "/system TEXT")
	s.await(t, "> ")
	say("What is the capital of Frunce?\x7f\x7f\x7f\x7f\x7fance?\r") // edited
	if text := s.await(t, "[prompt"); !strings.Contains(text, "Paris") {
		t.Errorf("the answer is %q", text)
	}
	s.await(t, "first after")
	s.await(t, "> ")
	say("/save talk.json\r")
	s.await(t, "saved 2 messages")
	s.await(t, "> ")
	say("Write a long story about a dog and a cat.\r")
	s.await(t, "\x1b[?2004l") // the line is done
	time.Sleep(time.Second)
	say("\x03") // stops the answer, and not the program
	if text := s.await(t, "> "); len(text) < 20 || strings.Contains(text, "[prompt") {
		t.Errorf("the answer that was stopped is %q", text)
	}
	say("/reset\r")
	s.await(t, "> ")
	say("/load talk.json\r")
	if text := s.await(t, "tokens computed"); !strings.Contains(text, "loaded 2 messages") || strings.Contains(text, " 0 ") {
		t.Errorf("/load says %q", text)
	}
	s.await(t, "> ")
	say("\x1b[A\x1b[A\x1b[A\x1b[A\x1b[A\r") // up to the question, in the history
	s.await(t, "cached")
	s.await(t, "> ")
	say("\x03") // ends
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Ctrl-C at the prompt: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("Ctrl-C at the prompt did not end the program")
	}
}

// TestLoading shows how far a large file is, on a terminal only, and leaves an empty line.
func TestLoading(t *testing.T) {
	screenSide, programSide, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer screenSide.Close()
	defer programSide.Close()
	if err := pty.Setsize(programSide, &pty.Winsize{Rows: 24, Cols: 100}); err != nil {
		t.Fatal(err)
	}
	var s screen
	go io.Copy(&s, screenSide)
	const total = 5 << 30
	load := func(l *loading, begun time.Duration) {
		l.progress(total/100, total)
		l.since = l.since.Add(-begun)
		for i := int64(1); i <= 10; i++ {
			l.progress(i*total/10, total)
			time.Sleep(20 * time.Millisecond)
		}
		l.end()
	}
	load(&loading{to: programSide}, time.Second)
	first := s.await(t, "10%")
	if !strings.Contains(first, "loading") {
		t.Errorf("it says %q, expected what goes on", first)
	}
	s.await(t, "GB")
	programSide.WriteString("\nnext")
	if rest := s.await(t, "next"); !strings.Contains(rest, "\r"+strings.Repeat(" ", 40)) {
		t.Errorf("the line is not wiped: %q", rest)
	}
	// A file that is there in a moment needs no bar, and a pipe gets none.
	load(&loading{to: programSide}, 0)
	var pipe bytes.Buffer
	load(&loading{to: &pipe}, time.Second)
	programSide.WriteString("end")
	if text := s.await(t, "end"); text != "" || pipe.Len() > 0 {
		t.Errorf("a quick one shows %q, a pipe gets %q", text, pipe.String())
	}
}

// TestBuiltIn has no model but the one that is built in. Tab offers another.
func TestBuiltIn(t *testing.T) {
	cmd := exec.Command(buildAlone(t), "-temp", "0")
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 200})
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	defer cmd.Process.Kill()
	var s screen
	go io.Copy(&s, tty)
	say := func(keys string) {
		if _, err := tty.WriteString(keys); err != nil {
			t.Fatal(err)
		}
	}
	if text := s.await(t, "press Tab"); !strings.Contains(text, "tiny") || !strings.Contains(text, " MB,") {
		t.Errorf("it says %q", text)
	}
	s.await(t, "> ")
	say("\t")
	s.await(t, "/model "+realModel)
	say("\x15") // the line is empty again
	say("/model none.gguf\r")
	s.await(t, "none.gguf: no such file")
	s.await(t, "> ")
	say("Tell me a story about a brave cat.\r")
	if text := s.await(t, "[prompt"); !strings.Contains(text, "cat") {
		t.Errorf("the story is %q", text)
	}
	s.await(t, "> ")
	say("\x03")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestGPULayers has the built-in model on a simulated GPU, as -device and -gpulayers say.
func TestGPULayers(t *testing.T) {
	for flags, want := range map[string]string{
		"-device cuda":               "cuda:0",
		"-device cuda -gpulayers 1":  `cpu \(\d+ layers\), cuda:0 \(1 layers\)`,
		"-gpulayers 1":               `cpu \(\d+ layers\), cuda:0 \(1 layers\)`,
		"":                           "cpu",
		"-device cuda -gpulayers 0":  "cpu",
		"-device cuda -gpulayers -1": "cuda:0",
	} {
		sim.Start(t, "")
		o, err := parse(strings.Fields(flags+" -ctx 256"), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		m, err := o.open("", io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		r, err := m.Generate(t.Context(), llama.Request{Prompt: "Once upon a time", MaxTokens: 3})
		if err != nil || r.Usage.Generated != 3 {
			t.Errorf("%s: %+v, %v", flags, r, err)
		}
		if got := m.Info().Device; !regexp.MustCompile("^" + want + "$").MatchString(got) {
			t.Errorf("%s: on %s, expected %s", flags, got, want)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestPipe has no prompts and no escape codes.
func TestPipe(t *testing.T) {
	program, model := build(t)
	cmd := exec.Command(program, "-model", model, "-temp", "0", "-ctx", "512")
	cmd.Stdin = strings.NewReader("What is the capital of France?\n\n/reset\nWhat is the capital of France?\n")
	var out, status bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &status
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	half := out.Len() / 2
	if text := out.String(); strings.ContainsAny(text+status.String(), "\x1b>\r") || !strings.Contains(text, "Paris") || text[:half] != text[half:] {
		t.Errorf("stdout %q, stderr %q", text, status.String())
	}
}

// TestPipeError ends with what went wrong, in one line: whoever reads the answers must not miss one.
func TestPipeError(t *testing.T) {
	program, model := build(t)
	for _, c := range []struct{ in, says string }{
		{"/lod talk.json\nWhat is two and two?\n", "no command /lod"},
		{"/load none.json\nWhat is two and two?\n", "none.json"},
		{"/save\n", "FILE"},
		{strings.Repeat("long ", 600) + "\nWhat is two and two?\n", "context"},
	} {
		cmd := exec.Command(program, "-model", model, "-temp", "0", "-ctx", "256")
		cmd.Dir = t.TempDir()
		cmd.Stdin = strings.NewReader(c.in)
		var out, status bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &status
		err := cmd.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || strings.TrimSpace(out.String()) != "" || !strings.Contains(status.String(), c.says) || strings.Count(status.String(), "\n") != 1 {
			t.Errorf("%.20q: %v, stdout %q, stderr %q; expected exit status 1 and one line with %q", c.in, err, out.String(), status.String(), c.says)
		}
	}
}
