package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// terminal says whether f is one.
func terminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// lines gives what the user types, without ends of lines; io.EOF at the end. It has an end, too, on Ctrl-C.
type lines interface{ next() (string, error) }

// pipe reads lines as they are.
type pipe struct{ s *bufio.Scanner }

func newLines(in io.Reader) pipe {
	s := bufio.NewScanner(in)
	s.Buffer(nil, 16<<20)
	return pipe{s}
}

func (p pipe) next() (string, error) {
	if p.s.Scan() {
		return p.s.Text(), nil
	}
	if err := p.s.Err(); err != nil {
		return "", err
	}
	return "", io.EOF
}

// editor reads lines from a terminal, with editing and a history. The terminal is raw only while it is read, so that Ctrl-C
// interrupts an answer.
type editor struct {
	file     *os.File
	terminal *term.Terminal
}

func newEditor(in, out *os.File) *editor {
	return &editor{in, term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{in, out}, "> ")}
}

// suggest has Tab write text into an empty line.
func (e *editor) suggest(text string) {
	e.terminal.AutoCompleteCallback = func(line string, pos int, key rune) (string, int, bool) {
		if key != '\t' || line != "" {
			return "", 0, false
		}
		return text, len(text), true
	}
}

// next joins pasted lines to one.
func (e *editor) next() (string, error) {
	state, err := term.MakeRaw(int(e.file.Fd()))
	if err != nil {
		return "", err
	}
	defer term.Restore(int(e.file.Fd()), state)
	if width, height, err := term.GetSize(int(e.file.Fd())); err == nil && width > 0 && height > 0 {
		e.terminal.SetSize(width, height)
	}
	e.terminal.SetBracketedPasteMode(true)
	defer e.terminal.SetBracketedPasteMode(false)
	var pasted []string
	for {
		line, err := e.terminal.ReadLine()
		pasted = append(pasted, line)
		if !errors.Is(err, term.ErrPasteIndicator) {
			return strings.Join(pasted, "\n"), err
		}
	}
}

// loading shows how far a model is loaded, on a terminal, where it takes longer than a moment.
type loading struct {
	to    io.Writer
	since time.Time
	bar   *progressbar.ProgressBar
}

func (l *loading) progress(done, total int64) {
	if l.since.IsZero() {
		l.since = time.Now()
	}
	if l.bar == nil && terminal(l.to) && time.Since(l.since) > 300*time.Millisecond && done < total {
		l.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(l.to), progressbar.OptionSetDescription("loading"),
			progressbar.OptionShowBytes(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	if l.bar != nil {
		l.bar.Set64(done)
	}
}

func (l *loading) end() {
	if l.bar != nil {
		l.bar.Finish()
	}
}
