//go:build arm64 && !noasm

package kernels

import (
	"testing"

	"github.com/llama31/llama31/internal/testenv"
)

// TestRows skips if this machine lacks the row, or fails if LLAMA31_REQUIRE names it: then it went untested.
func TestRows(t *testing.T) {
	_, err := pickLeaf("neon")
	testenv.Have(t, "neon", err == nil, "the CPU lacks SDOT")
	if l, _ := pickLeaf(""); l != &neon {
		t.Errorf("the best row is %s", l.name)
	}
}
