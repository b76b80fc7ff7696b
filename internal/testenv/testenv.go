// Package testenv tells tests what this machine has: data that is fetched
// instead of committed, and hardware.
//
// A test whose needs are not met skips. The environment variable
// LLAMA31_REQUIRE, a comma-separated list of names such as
// "smollm2,tokenizer,avx512,cuda", turns that skip into a failure for the
// names in it, so that CI notices when a test that it counts on did not run.
// LLAMA31_LONG=1 asks for the long versions of tests.
package testenv

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fetched are the files of `go run ./testdata/fetch`, below testdata/fetched.
var fetched = map[string]string{
	"smollm2":   "smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
	"tokenizer": "llama-3.1/tokenizer.json",
}

// Fetched returns the path of fetched data: "smollm2" is
// SmolLM2-135M-Instruct.Q4_1.gguf, "tokenizer" is Llama 3.1's tokenizer.json
// (its tokenizer_config.json lies beside it). Where the file is missing the
// test skips, or fails if LLAMA31_REQUIRE names it.
func Fetched(t testing.TB, name string) string {
	t.Helper()
	rel, ok := fetched[name]
	if !ok {
		t.Fatalf("testenv: no fetched data is called %q", name)
	}
	path := filepath.Join(Root(t), "testdata", "fetched", filepath.FromSlash(rel))
	_, err := os.Stat(path)
	Have(t, name, err == nil, "not fetched; at the root of the module: go run ./testdata/fetch "+name)
	return path
}

// Have skips the test if ok is false, saying why, or fails it if
// LLAMA31_REQUIRE has the name: "avx2", "avx512", "cuda" and so on.
func Have(t testing.TB, name string, ok bool, why string) {
	t.Helper()
	switch {
	case ok:
	case Required(name):
		t.Fatalf("%s: %s (LLAMA31_REQUIRE names it)", name, why)
	default:
		t.Skipf("%s: %s", name, why)
	}
}

// Required reports whether LLAMA31_REQUIRE has the name.
func Required(name string) bool {
	names := strings.Split(os.Getenv("LLAMA31_REQUIRE"), ",")
	return slices.ContainsFunc(names, func(n string) bool { return strings.TrimSpace(n) == name })
}

// Long reports whether LLAMA31_LONG asks for the long versions of tests, which .ci/full runs.
func Long() bool { return os.Getenv("LLAMA31_LONG") == "1" }

// Root returns the root folder of the module.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd() // go test runs a test in its package's folder
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("testenv: no go.mod above the folder of the test")
		}
		dir = up
	}
}
