//go:build unix

// Record runs commands in a terminal and draws what a person at it sees, as an SVG that plays once:
//
//	go run ./docs/record -o docs/terminal.svg 'go run ./examples/chat -p "Tell me a story about a brave cat."'
//
// The times are those of the run, compilation left out: each command is run once before. Only text is drawn: colours and the cursor's
// moves within a line are understood, and no more of a terminal.
package main

import (
	"errors"
	"flag"
	"fmt"
	"html"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/creack/pty"
)

const columns = 88

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	fs := flag.NewFlagSet("record", flag.ContinueOnError)
	out := fs.String("o", "", "SVG `file` to write")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *out == "" || fs.NArg() == 0 {
		return errors.New("expected -o FILE and commands")
	}
	r := &recording{}
	for i, command := range fs.Args() {
		if i > 0 {
			r.newline()
			r.now += time.Second
		}
		if err := r.command(command); err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
	}
	return os.WriteFile(*out, []byte(r.svg(strings.Join(fs.Args(), "; "))), 0o666)
}

// A recording is what has been drawn until now.
type recording struct {
	now       time.Duration
	row, col  int
	pieces    []piece
	dim, bold bool
	status    bool // within chat's line about speed, which begins with [
}

// A piece of text appears at a time and stays.
type piece struct {
	at       time.Duration
	row, col int
	text     string
	class    string
}

// command types a command and shows what it prints.
func (r *recording) command(command string) error {
	if err := exec.Command("sh", "-c", command).Run(); err != nil { // compiles it
		return err
	}
	r.put("$ ", "prompt")
	r.now += 600 * time.Millisecond
	for _, c := range command {
		r.put(string(c), "typed")
		r.now += 35 * time.Millisecond
	}
	r.now += 300 * time.Millisecond
	r.newline()
	start, from := time.Now(), r.now
	tty, err := pty.StartWithSize(exec.Command("sh", "-c", command), &pty.Winsize{Rows: 40, Cols: columns})
	if err != nil {
		return err
	}
	defer tty.Close()
	buf := make([]byte, 4096)
	for {
		n, err := tty.Read(buf)
		r.now = from + time.Since(start)
		r.print(string(buf[:n]))
		if err != nil { // a terminal ends with EIO
			return nil
		}
	}
}

// print draws what a program prints.
func (r *recording) print(s string) {
	for s != "" {
		switch {
		case strings.HasPrefix(s, "\x1b["):
			end := strings.IndexFunc(s[2:], func(c rune) bool { return c >= '@' && c <= '~' })
			if end < 0 {
				return
			}
			if s[2+end] == 'm' {
				code := s[2 : 2+end]
				r.dim, r.bold = code == "2" || code == "90", code == "1"
			}
			s = s[3+end:]
		case s[0] == '\r':
			r.col, s = 0, s[1:]
		case s[0] == '\n':
			r.newline()
			r.status, s = false, s[1:]
		case s[0] < ' ':
			s = s[1:]
		default:
			end := strings.IndexFunc(s, func(c rune) bool { return c < ' ' })
			if end < 0 {
				end = len(s)
			}
			class := ""
			r.status = r.status || r.col == 0 && s[0] == '['
			if r.dim || r.status {
				class = "dim"
			}
			if r.bold {
				class = "bold"
			}
			r.put(s[:end], class)
			s = s[end:]
		}
	}
}

func (r *recording) newline() { r.row, r.col = r.row+1, 0 }

// put draws text, over what was there, on as many lines as it takes.
func (r *recording) put(text, class string) {
	for runes := []rune(text); len(runes) > 0; {
		if r.col == columns {
			r.newline()
		}
		n := min(len(runes), columns-r.col)
		r.pieces = append(r.pieces, piece{r.now, r.row, r.col, string(runes[:n]), class})
		r.col += n
		runes = runes[n:]
	}
}

// svg draws the recording. A viewer that plays no animations, or is asked to play none, shows the end.
func (r *recording) svg(title string) string {
	const lineHeight, margin, bar = 20, 18, 34
	charWidth := 8.43
	rows := r.row + 1
	for _, p := range r.pieces {
		rows = max(rows, p.row+1)
	}
	if r.col == 0 {
		rows--
	}
	width, height := int(columns*charWidth)+2*margin, rows*lineHeight+2*margin+bar-10
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" role="img" aria-label="%s">
<style>
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #e6e5e1; white-space: pre }
.prompt { fill: #4fc3b1; font-weight: bold } .typed { fill: #ffffff } .dim { fill: #8b9099 } .bold { font-weight: bold }
@media (prefers-reduced-motion: no-preference) { text { animation: show 1ms step-end backwards } }
@keyframes show { from { opacity: 0 } }
</style>
<rect width="100%%" height="100%%" rx="10" fill="#17181b"/>
<circle cx="22" cy="20" r="6" fill="#e0655a"/><circle cx="42" cy="20" r="6" fill="#e2b23c"/><circle cx="62" cy="20" r="6" fill="#5fb85c"/>
`, width, height, width, html.EscapeString(title))
	for _, p := range r.pieces {
		if strings.TrimSpace(p.text) == "" {
			continue
		}
		n := len([]rune(p.text))
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" textLength="%.1f"`, margin+float64(p.col)*charWidth, bar+margin+p.row*lineHeight, float64(n)*charWidth)
		if p.class != "" {
			fmt.Fprintf(&b, ` class="%s"`, p.class)
		}
		fmt.Fprintf(&b, ` style="animation-delay:%.2fs">%s</text>`+"\n", p.at.Seconds(), html.EscapeString(p.text))
	}
	io.WriteString(&b, "</svg>\n")
	return b.String()
}
