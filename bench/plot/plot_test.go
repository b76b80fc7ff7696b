package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPlot puts results into a file, replaces them, and finds what it draws.
func TestPlot(t *testing.T) {
	dir := t.TempDir()
	results, svg := filepath.Join(dir, "r.json"), filepath.Join(dir, "r.svg")
	add := func(model, peer, input string) {
		t.Helper()
		if err := run([]string{"-add", model, "-peer", peer, "-o", svg, results}, strings.NewReader(input), io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	add("q8_0", "one", `[{"test": "pp8", "tok_s": 10, "peer_tok_s": 7}, {"test": "tg8", "tok_s": 3, "peer_tok_s": 2}]`)
	add("q8_0", "two", `[{"test": "pp8", "tok_s": 11, "peer_tok_s": 5}]`)
	add("bf16", "one", `[{"test": "pp8", "tok_s": 4}]`)
	add("q8_0", "one", `[{"test": "pp8", "tok_s": 12, "peer_tok_s": 8}]`)
	all, err := read(results, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 3 || all[0].Results[0].TokensPerSec != 12 || len(all[0].Results) != 2 {
		t.Errorf("%+v: expected three, the first of them replaced", all)
	}
	tests := tables(all)
	if len(tests) != 2 || len(tests[0].engines) != 3 || len(tests[0].places) != 2 || tests[0].speed[[2]string{"two", "q8_0"}] != 5 {
		t.Errorf("%+v", tests[0])
	}
	add("deep", "one", `[{"test": "tg8 @ d1024", "tok_s": 2, "peer_tok_s": 1}, {"test": "pp64", "tok_s": 5}, {"test": "pp1024", "tok_s": 3, "peer_tok_s": 4}]`)
	add("deep", "one", `[{"test": "tg8", "tok_s": 4, "peer_tok_s": 3}]`)
	if all, err = read(results, false); err != nil {
		t.Fatal(err)
	}
	tests = tables(all)
	if len(tests) != 4 || tests[2].title != "deep, tg8" || !slices.Equal(tests[2].places, []string{"0", "1024"}) || tests[2].speed[[2]string{"one", "1024"}] != 1 {
		t.Errorf("%+v: expected a picture over depths", tests)
	}
	if tests[3].title != "deep, pp" || !slices.Equal(tests[3].places, []string{"64", "1024"}) {
		t.Errorf("%+v: expected a picture over lengths of prompts", tests[3])
	}
	b, err := os.ReadFile(svg)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", "pp8", "llama31", ">one<", ">two<", "q8_0", "bf16", "tokens in the KV cache"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the picture has no %q", want)
		}
	}
	for _, args := range [][]string{nil, {results}, {"-o", svg}, {"-o", svg, "none"}, {"-o", svg, "-add", "x", results}} {
		if err := run(args, strings.NewReader("no JSON"), io.Discard); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
