package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/llama31/llama31/bench"
	"github.com/llama31/llama31/internal/testenv"
	"github.com/llama31/llama31/llama"
	"github.com/llama31/llama31/llama/llamatest"
	"github.com/llama31/llama31/llama/serve"
)

// fake is a server that streams what it is asked for, a token each few milliseconds.
func fake(t *testing.T, first, every time.Duration) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Prompt    string
			MaxTokens int `json:"max_tokens"`
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || q.Prompt == "" || r.URL.Path != "/v1/completions" {
			http.Error(w, "what?", http.StatusBadRequest)
			return
		}
		for i := range q.MaxTokens {
			if i == 0 {
				time.Sleep(first)
			} else {
				time.Sleep(every)
			}
			fmt.Fprintf(w, "data: {\"choices\":[{\"text\":\"x\",\"finish_reason\":null}]}\n\n")
			http.NewResponseController(w).Flush()
		}
		fmt.Fprint(w, "data: {\"choices\":[{\"text\":\"\",\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n")
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestCompare(t *testing.T) {
	fast, slow := fake(t, time.Millisecond, time.Millisecond), fake(t, 40*time.Millisecond, 4*time.Millisecond)
	svg := filepath.Join(t.TempDir(), "out.svg")
	var out, status bytes.Buffer
	err := run(t.Context(), []string{"-url", fast, "-compare", slow, "-c", "1,4", "-d", "150ms", "-rounds", "2", "-answer", "10", "-answer-sigma", "0", "-o", "json", "-svg", svg, "-first", "30ms"}, &out, &status)
	if err != nil {
		t.Fatal(err)
	}
	var results []bench.LoadResult
	if err := json.Unmarshal(out.Bytes(), &results); err != nil || len(results) != 4 {
		t.Fatalf("%v in %s", err, out.String())
	}
	for i, r := range results {
		isSlow := i%2 == 1
		if r.Failed != 0 || r.Requests == 0 || r.Concurrency != []int{1, 4}[i/2] || r.TokensPerSec <= 0 {
			t.Errorf("%+v", r)
		}
		if r.Requests < 3 { // a round of 150 ms has time for two of the slow ones
			t.Errorf("%d requests in two rounds", r.Requests)
		}
		if isSlow && (r.First.P50 < 0.04 || r.Between.P50 < 0.004 || r.Goodput != 0) {
			t.Errorf("faster than it was: %+v", r)
		}
		if r.First.P50 > r.First.P90 || r.First.P90 > r.First.P99 {
			t.Errorf("quantiles %+v", r.First)
		}
	}
	picture, err := os.ReadFile(svg)
	if err != nil || !bytes.Contains(picture, []byte("<svg")) {
		t.Errorf("%v: no picture", err)
	}
}

// TestOpenLoop: requests come when they are due, however slow the answers are, and the wait counts from then on.
func TestOpenLoop(t *testing.T) {
	m := &llamatest.Model{Answer: func(int, llama.Request) llamatest.Answer {
		return llamatest.Answer{Tokens: []string{"a", "b"}, Delay: 50 * time.Millisecond}
	}}
	l := bench.Load{Rate: 100, Duration: 500 * time.Millisecond, Prompt: bench.Lengths{Median: 5, Most: 5}, Answer: bench.Lengths{Median: 2, Most: 2}, Seed: 3, Prefix: 10}
	r, err := l.Run(t.Context(), "fake", bench.ModelTarget{Model: m})
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(float64(r.Requests)-50) > 25 || r.Failed != 0 || r.First.P50 < 0.05 {
		t.Errorf("%+v, expected about 50 requests and 50 ms to the first token", r)
	}
	asked := m.Requests()
	beginning := strings.Join(strings.Fields(asked[0].Prompt)[:10], " ")
	for _, q := range asked {
		if words := strings.Fields(q.Prompt); len(words) != 15 || strings.Join(words[:10], " ") != beginning || q.MaxTokens != 2 {
			t.Fatalf("%q: expected 15 words, the first 10 shared", q.Prompt)
		}
	}
}

func TestFailures(t *testing.T) {
	m := &llamatest.Model{Answer: func(i int, r llama.Request) llamatest.Answer {
		if i%2 == 1 {
			return llamatest.Answer{Err: llama.ErrBusy}
		}
		return llamatest.Answer{Text: "a b"}
	}}
	r, err := bench.Load{Rate: 200, Duration: 200 * time.Millisecond, Prompt: bench.SharePrompt, Answer: bench.ShareAnswer}.Run(t.Context(), "fake", bench.ModelTarget{Model: m})
	if err != nil || r.Failed == 0 || r.Failed >= r.Requests || r.Refused != r.Failed || r.Error != llama.ErrBusy.Error() {
		t.Errorf("%+v, %v", r, err)
	}
}

// counted counts the tokens that were asked for and those that came.
type counted struct {
	bench.Target
	asked, came, busy atomic.Int64
}

func (c *counted) Ask(ctx context.Context, prompt string, n int, token func()) error {
	came := int64(0)
	err := c.Target.Ask(ctx, prompt, n, func() { came++; token() })
	if errors.Is(err, llama.ErrBusy) && came == 0 {
		c.busy.Add(1)
		return err
	}
	c.asked.Add(int64(n))
	c.came.Add(came)
	return err
}

// TestOverload asks a model for twice as much as it can do: no request is lost. All are answered in full, or with a full queue refused
// before they begin; by a server with status 429.
func TestOverload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	synth := exec.Command("go", "run", "./bench/synth", "-o", path, "-size", "tiny", "-vocab", "600", "-type", "q8_0")
	synth.Dir = testenv.Root(t)
	if out, err := synth.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, c := range []struct{ reject, http bool }{{false, false}, {true, false}, {true, true}} {
		reject := c.reject
		m, err := llama.Open(t.Context(), path, &llama.Options{Context: 1024, MaxRunning: 8, MaxQueued: 4, RejectWhenFull: reject})
		if err != nil {
			t.Fatal(err)
		}
		var target bench.Target = bench.ModelTarget{Model: m}
		if c.http {
			s := httptest.NewServer(serve.Handler(m, serve.Options{}))
			defer s.Close()
			target = bench.URLTarget{URL: s.URL}
		}
		l := bench.Load{Concurrency: 8, Duration: 500 * time.Millisecond, Prompt: bench.Lengths{Median: 20, Sigma: 1, Most: 100}, Answer: bench.Lengths{Median: 40, Sigma: 0.5, Most: 100}}
		full, err := l.Run(t.Context(), "full", target)
		if err != nil || full.Failed > 0 {
			t.Fatalf("%+v, %v", full, err)
		}
		l.Concurrency, l.Rate, l.Seed = 0, 2*float64(full.Requests)/l.Duration.Seconds(), 1
		counts := &counted{Target: target}
		twice, err := l.Run(t.Context(), "twice", counts)
		lost := counts.asked.Load() - counts.came.Load()
		if c.http {
			lost = max(0, lost) // what is left of a character may come as an event of its own
		}
		if err != nil || int64(twice.Failed) != counts.busy.Load() || lost != 0 || counts.came.Load() == 0 || !reject && twice.Failed > 0 || reject && twice.Failed == 0 {
			t.Errorf("%+v: %+v, %v; %d refused, %d tokens of %d", c, twice, err, counts.busy.Load(), counts.came.Load(), counts.asked.Load())
		}
		if s := m.Stats(); s.Running+s.Waiting != 0 || s.PagesAvailable != s.Pages {
			t.Errorf("afterwards %+v", s)
		}
		m.Close()
	}
}

// TestFlood measures one key alone, then beside another that asks without a pause; the words are others.
func TestFlood(t *testing.T) {
	m := &llamatest.Model{Answer: func(int, llama.Request) llamatest.Answer {
		return llamatest.Answer{Tokens: []string{"a", "b"}, Delay: 5 * time.Millisecond}
	}}
	l := bench.Load{Rate: 50, Duration: 200 * time.Millisecond, Prompt: bench.Lengths{Median: 5, Most: 5}, Answer: bench.Lengths{Median: 2, Most: 2}}
	one := bench.ModelTarget{Model: m, Key: "one"}
	alone, err := l.Run(t.Context(), "alone", one)
	if err != nil {
		t.Fatal(err)
	}
	begun := len(m.Requests())
	beside, err := l.Beside(t.Context(), 3, bench.ModelTarget{Model: m, Key: "flood"}, "beside", one)
	if err != nil || beside.Requests != alone.Requests || beside.Failed+alone.Failed > 0 {
		t.Errorf("%+v, alone %+v, %v", beside, alone, err)
	}
	asked, flood := map[string]bool{}, 0
	for i, q := range m.Requests() {
		if q.Key == "flood" {
			flood++
			continue
		}
		if asked[q.Prompt] {
			t.Errorf("%q was asked twice", q.Prompt)
		}
		asked[q.Prompt] = true
		if i < begun && q.Key != "one" {
			t.Errorf("request %d is of key %q", i, q.Key)
		}
	}
	if flood < 100 {
		t.Errorf("%d requests of the flood in four seconds, expected hundreds", flood)
	}
}

func TestFlags(t *testing.T) {
	for _, args := range []string{"", "-model a -url b", "-url b -rate 1 -c 2", "-url b -c x", "-url b -o x", "-url b more", "-url b -flood 3", "-url b -d -1s", "-url b -rounds 0"} {
		if err := run(t.Context(), strings.Fields(args), &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
			t.Errorf("serve %s: no error", args)
		}
	}
}
