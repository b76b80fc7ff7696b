//go:build !windows && (!unix || aix || solaris || illumos)

package gguf

import (
	"errors"
	"os"
)

// mapFile refuses, so that tensors are read into memory.
func mapFile(*os.File, int64) ([]byte, error) { return nil, errors.ErrUnsupported }

func unmapFile([]byte) error { return nil }

func populate([]byte) {}
