package llama

import (
	"runtime"
	"sync"
)

// procs keeps GOMAXPROCS at what open models need, and remembers what it was before the first of them.
var procs struct {
	sync.Mutex
	before int
	models map[*Model]int
}

func raiseProcs(m *Model, n int) {
	procs.Lock()
	defer procs.Unlock()
	if len(procs.models) == 0 {
		procs.before, procs.models = runtime.GOMAXPROCS(0), map[*Model]int{}
	}
	procs.models[m] = n
	setProcs()
}

func restoreProcs(m *Model) {
	procs.Lock()
	defer procs.Unlock()
	if _, ok := procs.models[m]; ok {
		delete(procs.models, m)
		setProcs()
	}
}

// setProcs stops the world, so it is left alone where nothing changes.
func setProcs() {
	n := procs.before
	for _, need := range procs.models {
		n = max(n, need)
	}
	if n != runtime.GOMAXPROCS(0) {
		runtime.GOMAXPROCS(n)
	}
}
