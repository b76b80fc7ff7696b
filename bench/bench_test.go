package bench_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llama31/llama31/bench"
	"github.com/llama31/llama31/internal/testenv"
	"github.com/llama31/llama31/llama"
	"gorgonia.org/tensor"
)

const text = "What is scored here is a text of some sentences. It says nothing, and a model of random weights knows nothing of it."

// synth writes bench/synth's tiny model.
func synth(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	cmd := exec.Command("go", "run", "./bench/synth", "-o", path, "-size", "tiny", "-vocab", "600", "-type", "q8_0")
	cmd.Dir = testenv.Root(t)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// TestPerplexity scores a text in windows as its definition says, and writes logits that say the same.
func TestPerplexity(t *testing.T) {
	path := synth(t)
	m, err := llama.Open(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ids := m.Tokenizer().Encode(nil, text)
	bos, ok := m.Tokenizer().BOS()
	if !ok || !m.Tokenizer().AddBOS() {
		t.Fatal("the model has no beginning-of-text token")
	}
	for _, window := range []int{0, 2, 10, 33, len(ids) + 1, 1000} {
		size := window - 1
		if window == 0 {
			size = len(ids)
		}
		sum, scored, rows := 0.0, 0, 0
		for rest := ids; len(rest) > 0; {
			n := min(size, len(rest))
			w := append([]int32{bos}, rest[:n]...)
			rest = rest[n:]
			logits, err := m.Logits(t.Context(), w)
			if err != nil {
				t.Fatal(err)
			}
			v := m.Info().Vocabulary
			for i := range n {
				sum += bench.LogProb(logits.Float32s()[i*v:(i+1)*v], w[i+1])
			}
			scored, rows = scored+n, rows+n+1
		}
		want := math.Exp(-sum / float64(scored))
		var file bytes.Buffer
		for _, p := range []bench.Perplexity{
			{Model: path, Text: text, Window: window},
			{Model: path, Text: text, Window: window, Logits: &file},
		} {
			_, r, err := p.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !(math.Abs(r.Perplexity/want-1) < 1e-5) || r.Scored != scored || r.Tokens != rows {
				t.Errorf("windows of %d: %+v, expected perplexity %v of %d tokens in %d rows", window, r, want, scored, rows)
			}
		}
		d := new(tensor.Dense)
		if err := d.ReadNpy(&file); err != nil {
			t.Fatal(err)
		}
		if s := d.Shape(); s[0] != rows || s[1] != m.Info().Vocabulary {
			t.Errorf("windows of %d: logits of shape %v, expected %d rows", window, s, rows)
		}
	}
	for _, p := range []bench.Perplexity{{Model: path, Text: text, Window: 1}, {Model: path}, {Model: path, Text: text, Window: -1}, {Model: "none", Text: text}} {
		if _, _, err := p.Run(t.Context()); err == nil {
			t.Errorf("%+v: no error", p)
		}
	}
	if _, _, err := (bench.Perplexity{Model: path, Text: strings.Repeat(text, 2000)}).Run(t.Context()); !errors.Is(err, llama.ErrContextLength) {
		t.Errorf("a text beyond the context: %v", err)
	}
}

// TestSpeed runs both tests beside a peer that prints what llama-bench does, then all three at a depth.
func TestSpeed(t *testing.T) {
	peer := filepath.Join(t.TempDir(), "llama-bench")
	if err := os.WriteFile(peer, []byte("#!/bin/sh\n"+
		"case \"$*\" in -h) echo '-d, --n-depth <n>';; *'-d 64 -fa 1') echo '[{\"avg_ts\": 50.0}]';; *) echo '[{\"avg_ts\": 100.0}]';; esac\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command(peer).Run(); err != nil {
		peer = "" // no shell
	}
	s := bench.Speed{Model: synth(t), Prompt: 40, Generate: 8, Runs: 3, Threads: 1, Peer: peer}
	info, results, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.Threads != 1 || len(results) != 2 || results[0].Test != "pp40" || results[1].Test != "tg8" {
		t.Fatalf("%+v: %+v", info, results)
	}
	for _, r := range results {
		if !(r.TokensPerSec > 0 && r.GBPerSec > 0 && r.GMACPerSec > 0 && r.PercentOfProbe > 0) {
			t.Errorf("%+v", r)
		}
		if peer != "" && (r.PeerPerSec != 100 || math.Abs(r.Ratio-r.TokensPerSec/100) > 1e-9) {
			t.Errorf("beside a peer of 100 tokens per second: %+v", r)
		}
	}
	table := bench.Markdown(results)
	if want := fmt.Sprintf("| pp40 | %.2f |", results[0].TokensPerSec); !strings.Contains(table, want) {
		t.Errorf("%s\nhas no %q", table, want)
	}
	s.Depth, s.Sequences, s.PeerFlags = 64, 3, []string{"-fa", "1"}
	if _, results, err = s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(results) != 3 || results[0].Test != "pp40 @ d64" || results[1].Test != "tg8 @ d64" || results[2].Test != "tg8 @ d64 x 3" {
		t.Fatalf("%+v", results)
	}
	if peer != "" && (results[0].PeerPerSec != 50 || results[1].PeerPerSec != 50) || results[2].PeerPerSec != 0 || !(results[2].TimesAlone > 0) {
		t.Errorf("at a depth: %+v", results)
	}
	if table := bench.Markdown(results); !strings.Contains(table, "times one alone") {
		t.Error(table)
	}
	for _, bad := range []bench.Speed{{Model: s.Model}, {Model: s.Model, Prompt: 1}, {Model: s.Model, Prompt: 1, Runs: 1, Depth: 31}, {Model: s.Model, Prompt: 1, Runs: 1, Sequences: -1}, {Model: "none", Prompt: 1, Runs: 1}, {Model: s.Model, Prompt: 1 << 20, Runs: 1}} {
		if _, _, err := bad.Run(t.Context()); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
}
