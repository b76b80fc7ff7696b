// Package bar shows on a terminal how a download of package hub goes: how much there is, how fast it comes, and how long it will take.
package bar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/llama31/llama31/llama/hub"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// Names tells what Path takes, for the help of a flag.
const Names = "GGUF `file`, or what is downloaded once: hf:OWNER/REPO:QUANT, https://…, or a short name such as smollm2"

// Path is hub.Path with a bar on status; where that is no terminal, with a line when a download begins.
func Path(ctx context.Context, name string, status io.Writer) (string, error) {
	b := &bar{to: status}
	path, err := (&hub.Client{Progress: b.progress}).Path(ctx, name)
	b.end(err)
	if err != nil && errors.Is(err, ctx.Err()) && b.begun {
		err = fmt.Errorf("%w; the next run goes on where this one stopped", err)
	}
	return path, err
}

type bar struct {
	to    io.Writer
	begun bool
	file  string
	first int64 // bytes that were there before
	bar   *progressbar.ProgressBar
}

func (b *bar) progress(p hub.Progress) {
	if p.Waiting {
		if !b.begun {
			fmt.Fprintf(b.to, "another process downloads %s; waiting for it\n", p.File)
		}
		b.begun = true
		return
	}
	b.begun = true
	fresh := p.File != b.file
	b.file = p.File
	if !terminal(b.to) {
		if fresh {
			fmt.Fprintf(b.to, "downloading %s\n", p.File)
		}
		return
	}
	if b.bar == nil {
		b.first = p.Done
		rest := int64(-1) // a spinner, where no server told how much comes
		if p.Total > 0 {
			rest = max(1, p.Total-p.Done)
		}
		// What was there before is no part of the bar: speed and remaining time are those of this download.
		b.bar = progressbar.NewOptions64(rest, progressbar.OptionSetWriter(b.to), progressbar.OptionShowBytes(true), progressbar.OptionShowCount(),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetWidth(20), progressbar.OptionClearOnFinish())
	}
	if fresh {
		b.bar.Describe(p.File)
	}
	b.bar.Set64(max(0, p.Done-b.first))
}

// end leaves no bar behind, whatever became of the download.
func (b *bar) end(err error) {
	switch {
	case b.bar != nil && err == nil:
		b.bar.Finish()
	case b.bar != nil:
		b.bar.Exit()
		fmt.Fprintln(b.to)
	}
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
