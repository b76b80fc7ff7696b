package testenv

import (
	"os"
	"path/filepath"
	"testing"
)

// recorder stands in for a test that skips or fails.
type recorder struct {
	testing.TB
	skipped, failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Skipf(string, ...any)  { r.skipped = true }
func (r *recorder) Fatalf(string, ...any) { r.failed = true }

func TestHave(t *testing.T) {
	for _, c := range []struct {
		require        string
		ok, skip, fail bool
	}{
		{require: "", ok: true},
		{require: "cuda", ok: true},
		{require: "", skip: true},
		{require: "avx512,smollm2", skip: true},
		{require: "cudax", skip: true},
		{require: "avx512, cuda", fail: true},
	} {
		t.Setenv("LLAMA31_REQUIRE", c.require)
		r := &recorder{TB: t}
		Have(r, "cuda", c.ok, "no driver")
		if r.skipped != c.skip || r.failed != c.fail {
			t.Errorf("require %q, have %v: skipped %v, failed %v", c.require, c.ok, r.skipped, r.failed)
		}
	}
}

func TestRoot(t *testing.T) {
	if _, err := os.Stat(filepath.Join(Root(t), "internal", "testenv", "testenv.go")); err != nil {
		t.Error(err)
	}
}
