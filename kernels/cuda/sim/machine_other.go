//go:build !linux || !(amd64 || arm64)

package sim

import "errors"

// Not reached: Build skips the test before.

func open(string) (uintptr, error) { return 0, errors.ErrUnsupported }

func lookup(uintptr, string) (uintptr, error) { return 0, errors.ErrUnsupported }

func call(uintptr, ...uintptr) int32 { return -1 }
