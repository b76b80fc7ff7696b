//go:build unix && !linux && !aix && !solaris && !illumos

package gguf

import (
	"io"

	"golang.org/x/sys/unix"
)

// populate asks the system to read m ahead.
func populate(_ io.ReaderAt, _ int64, m []byte, _ *int) { _ = unix.Madvise(m, unix.MADV_WILLNEED) }
