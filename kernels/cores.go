package kernels

import (
	"path"
	"runtime"
	"slices"
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
			b, err := root.ReadFile(path.Join("sys/devices/system/cpu", "cpu"+strconv.Itoa(cpu), "topology/thread_siblings_list"))
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

// quota is the number of CPUs that control groups (version 2 and 1) allow the process, 0 where there is no limit: the least of its
// group's and of those above it. In a container the group's path may be the host's, of which the container sees only its own root.
func quota(root fileReader) float64 {
	least := 0.0
	limit := func(q float64) {
		if q > 0 && (least == 0 || q < least) {
			least = q
		}
	}
	unified, cpu := groups(root)
	for _, dir := range above(unified) {
		if b, err := root.ReadFile(path.Join("sys/fs/cgroup", dir, "cpu.max")); err == nil {
			if f := strings.Fields(string(b)); len(f) == 2 {
				limit(ratio(f[0], f[1]))
			}
		}
	}
	for _, dir := range above(cpu) {
		for _, mount := range []string{"cpu", "cpu,cpuacct"} { // one of them is mostly a link to the other
			q, err := root.ReadFile(path.Join("sys/fs/cgroup", mount, dir, "cpu.cfs_quota_us"))
			p, err2 := root.ReadFile(path.Join("sys/fs/cgroup", mount, dir, "cpu.cfs_period_us"))
			if err == nil && err2 == nil {
				limit(ratio(string(q), string(p)))
			}
		}
	}
	return least
}

// groups are the paths of the process's control groups: of version 2, and version 1's for CPU time (proc_pid_cgroup(5)).
func groups(root fileReader) (unified, cpu string) {
	b, err := root.ReadFile("proc/self/cgroup")
	if err != nil {
		return "/", "/"
	}
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(f) != 3:
		case f[0] == "0":
			unified = f[2]
		case slices.Contains(strings.Split(f[1], ","), "cpu"):
			cpu = f[2]
		}
	}
	return unified, cpu
}

// above are a group's path and those of the groups above it, up to the root.
func above(dir string) []string {
	dir = path.Clean("/" + dir)
	dirs := []string{dir}
	for dir != "/" {
		dir = path.Dir(dir)
		dirs = append(dirs, dir)
	}
	return dirs
}

func ratio(quota, period string) float64 {
	q, err := strconv.ParseFloat(strings.TrimSpace(quota), 64)
	p, err2 := strconv.ParseFloat(strings.TrimSpace(period), 64)
	if err != nil || err2 != nil || q <= 0 || p <= 0 {
		return 0 // "max", or −1
	}
	return q / p
}
