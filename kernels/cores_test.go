package kernels

import (
	"fmt"
	"testing"
	"testing/fstest"
)

// topology makes up the files of a machine: siblings[i] is the thread_siblings_list of CPU i.
func topology(siblings []string, files map[string]string) fstest.MapFS {
	root := fstest.MapFS{}
	for cpu, s := range siblings {
		root[fmt.Sprintf("sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu)] = &fstest.MapFile{Data: []byte(s + "\n")}
	}
	for name, s := range files {
		root[name] = &fstest.MapFile{Data: []byte(s + "\n")}
	}
	return root
}

func upTo(n int) []int {
	cpus := make([]int, n)
	for i := range cpus {
		cpus[i] = i
	}
	return cpus
}

func TestCores(t *testing.T) {
	var (
		neighbours = []string{"0-1", "0-1", "2-3", "2-3", "4-5", "4-5", "6-7", "6-7"} // as on AMD and in many virtual machines
		halves     = []string{"0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7"} // as on Intel
		hybrid     = []string{"0-1", "0-1", "2-3", "2-3", "4", "5", "6", "7"}         // two performance cores, four others
		single     = []string{"0", "1", "2", "3", "4", "5", "6", "7"}
		four       = []string{"0-3", "0-3", "0-3", "0-3", "4-7", "4-7", "4-7", "4-7"} // SMT4, POWER
	)
	const (
		v2 = "sys/fs/cgroup/cpu.max"
		q1 = "sys/fs/cgroup/cpu/cpu.cfs_quota_us"
		p1 = "sys/fs/cgroup/cpu/cpu.cfs_period_us"
	)
	for _, c := range []struct {
		name     string
		siblings []string
		files    map[string]string
		allowed  []int
		want     int
	}{
		{"no second threads", single, nil, upTo(8), 8},
		{"neighbours are siblings", neighbours, nil, upTo(8), 4},
		{"halves are siblings", halves, nil, upTo(8), 4},
		{"cores with and without a second thread", hybrid, nil, upTo(8), 6},
		{"four threads to a core", four, nil, upTo(8), 2},
		{"no topology", nil, nil, upTo(8), 8},

		{"affinity: one thread of each of two cores", neighbours, nil, []int{0, 2}, 2},
		{"affinity: both threads of one core", neighbours, nil, []int{2, 3}, 1},
		{"affinity: the second halves", halves, nil, []int{4, 5, 6, 7}, 4},
		{"affinity: three threads of two cores", halves, nil, []int{1, 5, 6}, 2},
		{"affinity: far CPUs of a big machine, no topology", nil, nil, []int{190, 191}, 2},

		{"version 2: no limit", neighbours, map[string]string{v2: "max 100000"}, upTo(8), 4},
		{"version 2: two CPUs", neighbours, map[string]string{v2: "200000 100000"}, upTo(8), 2},
		{"version 2: two and a half", single, map[string]string{v2: "250000 100000"}, upTo(8), 2},
		{"version 2: half of one", single, map[string]string{v2: "50000 100000"}, upTo(8), 1},
		{"version 2: more than there are", neighbours, map[string]string{v2: "1600000 100000"}, upTo(8), 4},
		{"version 2: three, two in the mask", single, map[string]string{v2: "300000 100000"}, []int{5, 6}, 2},
		{"version 2: nonsense", single, map[string]string{v2: "many"}, upTo(8), 8},
		{"version 2: a period of 0", single, map[string]string{v2: "100000 0"}, upTo(8), 8},
		{"version 2: the process's group", single, map[string]string{
			"proc/self/cgroup": "0::/system.slice/llama.service", "sys/fs/cgroup/system.slice/llama.service/cpu.max": "300000 100000",
		}, upTo(8), 3},
		{"version 2: a group above the process's", single, map[string]string{
			"proc/self/cgroup": "0::/a/b/c", "sys/fs/cgroup/a/cpu.max": "200000 100000", "sys/fs/cgroup/a/b/cpu.max": "max 100000",
			"sys/fs/cgroup/a/b/c/cpu.max": "500000 100000",
		}, upTo(8), 2},
		{"version 2: the host's path, in a container", single, map[string]string{"proc/self/cgroup": "0::/../../kubepods/pod1", v2: "400000 100000"}, upTo(8), 4},

		{"version 1: no limit", neighbours, map[string]string{q1: "-1", p1: "100000"}, upTo(8), 4},
		{"version 1: three CPUs", neighbours, map[string]string{q1: "150000", p1: "50000"}, upTo(8), 3},
		{"version 1: no period", neighbours, map[string]string{q1: "150000"}, upTo(8), 4},
		{"version 1: the process's group", single, map[string]string{
			"proc/self/cgroup": "12:memory:/jobs/7\n4:cpu,cpuacct:/jobs/7\n0::/", q1: "-1", p1: "100000",
			"sys/fs/cgroup/cpu,cpuacct/jobs/7/cpu.cfs_quota_us": "500000", "sys/fs/cgroup/cpu,cpuacct/jobs/7/cpu.cfs_period_us": "100000",
		}, upTo(8), 5},
		{"version 1: the host's path, in a container", single, map[string]string{
			"proc/self/cgroup": "4:cpu,cpuacct:/docker/0123", q1: "200000", p1: "100000",
		}, upTo(8), 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			if n := cores(topology(c.siblings, c.files), c.allowed); n != c.want {
				t.Errorf("%d cores, expected %d", n, c.want)
			}
		})
	}
}
