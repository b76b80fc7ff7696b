//go:build !linux

package llama

func freeMemory() int64 { return 0 }
