package cuda

import (
	"testing"

	"github.com/llama31/llama31/kernels/cuda/sim"
)

func TestProbe(t *testing.T) {
	m := sim.Start(t, "memory=16777216")
	before := Launched()
	p, err := RunProbe(0)
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "Simulated GPU" || p.Driver != "12.4" || !(p.Read > 0 && p.Call > 0 && p.Launch > 0 && p.Graph > 0) {
		t.Errorf("%+v", p)
	}
	if n, ran := Launched()-before, m.Counters().Kernels; n != ran || n != (1+probePasses)*(1+2*probeKernels) {
		t.Errorf("%d kernels counted, %d run", n, ran)
	}
}
