//go:build unix && !linux && !aix && !solaris && !illumos

package gguf

import "golang.org/x/sys/unix"

// populate asks the system to read m ahead.
func populate(m []byte) { _ = unix.Madvise(m, unix.MADV_WILLNEED) }
