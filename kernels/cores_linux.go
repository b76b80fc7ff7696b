package kernels

import (
	"os"

	"golang.org/x/sys/unix"
)

func physicalCores() int { return cores(os.DirFS("/").(fileReader), allowedCPUs()) }

// allowedCPUs lists the CPUs of the process's affinity mask.
func allowedCPUs() []int {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return nil
	}
	var cpus []int
	for i := range len(set) * 64 {
		if set.IsSet(i) {
			cpus = append(cpus, i)
		}
	}
	return cpus
}
