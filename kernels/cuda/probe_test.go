package cuda

import (
	"debug/elf"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/llama31/llama31/internal/testenv"

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

// A program that does not import this package stays one static file.
func TestStatic(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("files in ELF format only")
	}
	testenv.Have(t, "go", exec.Command("go", "version").Run() == nil, "no Go here to build with")
	for program, static := range map[string]bool{"examples/tokenize": true, "examples/hello": false} {
		file := filepath.Join(t.TempDir(), "program")
		cmd := exec.Command("go", "build", "-o", file, "./"+program)
		cmd.Dir = testenv.Root(t)
		cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		f, err := elf.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		libraries, err := f.ImportedLibraries()
		if err != nil {
			t.Fatal(err)
		}
		if (len(libraries) == 0) != static {
			t.Errorf("%s links %v; without kernels/cuda it must link nothing", program, libraries)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
