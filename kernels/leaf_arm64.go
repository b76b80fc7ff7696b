//go:build arm64 && !noasm

package kernels

import (
	"runtime"

	"golang.org/x/sys/cpu"
)

var detected = detect()

// detect lists the rows of the table that this machine can run, best first. Every Mac has SDOT, though macOS 11 does not say so.
func detect() []*leaf {
	if cpu.ARM64.HasASIMDDP || runtime.GOOS == "darwin" {
		return []*leaf{&neon, &generic}
	}
	return []*leaf{&generic}
}

func leaves() []*leaf { return detected }
