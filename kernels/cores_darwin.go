package kernels

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// physicalCores counts the performance cores of an Apple chip, or the cores of an Intel one.
func physicalCores() int {
	for _, name := range []string{"hw.perflevel0.physicalcpu", "hw.physicalcpu"} {
		if n, err := unix.SysctlUint32(name); err == nil && n > 0 {
			return int(n)
		}
	}
	return runtime.NumCPU()
}
