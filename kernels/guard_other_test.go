//go:build !unix

package kernels

import "testing"

// guarded is n bytes of zeros; the page behind them is guarded on Unix only.
func guarded(_ testing.TB, n int) []byte { return make([]byte, n) }
