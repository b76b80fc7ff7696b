//go:build !windows && (!unix || aix || solaris || illumos)

package gguf

import (
	"errors"
	"io"
	"os"
)

// mapFile refuses, so that tensors are read into memory.
func mapFile(*os.File, int64) ([]byte, error) { return nil, errors.ErrUnsupported }

func unmapFile([]byte) error { return nil }

func populate(io.ReaderAt, int64, []byte, *int) {}
