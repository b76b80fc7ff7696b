package kernels

import (
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// Cores counts the physical cores that this process may use: its CPU affinity, less the second hardware threads of a core, within
// the CPU quota of its control group. A second thread of a core adds nothing to products that keep the core's vector units busy.
// On a Mac it counts the performance cores; where the system does not say, hardware threads.
func Cores() int { return max(1, min(physicalCores(), runtime.NumCPU())) }

// fileReader is the part of os.DirFS that cores needs, so that tests can make up a topology.
type fileReader interface {
	ReadFile(name string) ([]byte, error)
}

func cores(root fileReader, allowed []int) int {
	n := runtime.NumCPU()
	if len(allowed) > 0 {
		seen := map[string]bool{}
		for _, cpu := range allowed {
			// thread_siblings_list names the hardware threads of a core alike for each of them.
			b, err := root.ReadFile(filepath.Join("sys/devices/system/cpu", "cpu"+strconv.Itoa(cpu), "topology/thread_siblings_list"))
			if err != nil {
				b = []byte(strconv.Itoa(cpu))
			}
			seen[strings.TrimSpace(string(b))] = true
		}
		n = len(seen)
	}
	if q := quota(root); q > 0 {
		n = min(n, max(1, int(q)))
	}
	return n
}

// quota is the number of CPUs that control groups (version 2, then 1) allow, 0 where there is no limit. Only the group's own files
// as seen inside a container are read.
func quota(root fileReader) float64 {
	if b, err := root.ReadFile("sys/fs/cgroup/cpu.max"); err == nil {
		if f := strings.Fields(string(b)); len(f) == 2 {
			return ratio(f[0], f[1])
		}
		return 0
	}
	q, err := root.ReadFile("sys/fs/cgroup/cpu/cpu.cfs_quota_us")
	p, err2 := root.ReadFile("sys/fs/cgroup/cpu/cpu.cfs_period_us")
	if err != nil || err2 != nil {
		return 0
	}
	return ratio(string(q), string(p))
}

func ratio(quota, period string) float64 {
	q, err := strconv.ParseFloat(strings.TrimSpace(quota), 64)
	p, err2 := strconv.ParseFloat(strings.TrimSpace(period), 64)
	if err != nil || err2 != nil || q <= 0 || p <= 0 {
		return 0 // "max", or −1
	}
	return q / p
}
