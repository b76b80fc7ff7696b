//go:build !linux

package kernels

func allowedCPUs() []int { return nil }
