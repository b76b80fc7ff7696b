//go:build unix

package bar

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
)

// TestTerminal looks at what a terminal is sent while a file comes in ten parts, the download stopping in the middle.
func TestTerminal(t *testing.T) {
	data := append([]byte("GGUF"), make([]byte, 10<<20-4)...)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := 0
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
		w.Header().Set("ETag", `"a"`)
		w.Header().Set("Content-Length", fmt.Sprint(len(data)-from))
		if from > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(data)-1, len(data)))
			w.WriteHeader(http.StatusPartialContent)
		}
		for ; from < len(data); from += 1 << 20 {
			w.Write(data[from:min(len(data), from+1<<20)])
			w.(http.Flusher).Flush()
			time.Sleep(200 * time.Millisecond)
		}
	}))
	defer s.Close()
	t.Setenv("LLAMA31_CACHE", t.TempDir())
	name := fmt.Sprintf("%s/model.gguf#sha256=%x", s.URL, sha256.Sum256(data))

	screen, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: 100}); err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := screen.Read(buf)
			shown.Write(buf[:n])
			if err != nil {
				return
			}
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 1200*time.Millisecond)
	defer cancel()
	if _, err := Path(ctx, name, tty); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "goes on where") {
		t.Errorf("%v", err)
	}
	path, err := Path(t.Context(), name, tty)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || len(got) != len(data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	tty.Close()
	wg.Wait()
	screen.Close()
	if text := shown.String(); !regexp.MustCompile(`model\.gguf +\d+% \|█+ *\| \([\d.]+/[\d.]+ MB, [\d.]+ MB/s\) \[\d+s:\d+s\]`).MatchString(text) {
		t.Errorf("the terminal was sent %q", text)
	}
	var log strings.Builder
	if _, err := Path(t.Context(), name, &log); err != nil || log.Len() > 0 {
		t.Errorf("what is here: %v, %q", err, log.String())
	}
	t.Setenv("LLAMA31_CACHE", t.TempDir())
	if _, err := Path(t.Context(), name, &log); err != nil || log.String() != "downloading model.gguf\n" {
		t.Errorf("without a terminal: %v, %q", err, log.String())
	}
}
