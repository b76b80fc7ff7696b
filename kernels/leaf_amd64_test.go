//go:build amd64 && !noasm

package kernels

import (
	"testing"

	"github.com/llama31/llama31/internal/testenv"
)

// TestRows skips for rows that this machine lacks, or fails if LLAMA31_REQUIRE names them: then they went untested.
func TestRows(t *testing.T) {
	for _, name := range []string{"avx2", "avxvnni", "avx512"} {
		t.Run(name, func(t *testing.T) {
			_, err := pickLeaf(name)
			testenv.Have(t, name, err == nil, "the CPU lacks it")
		})
	}
}
