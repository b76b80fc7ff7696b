//go:build !linux && !darwin && !windows

package kernels

import "runtime"

func physicalCores() int { return runtime.NumCPU() }
