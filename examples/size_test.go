package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestSize keeps what a program carries that imports llama: nothing of servers, terminals, browsers or plots, no model, and less
// than 25 MB, of which most is gorgonia.org/tensor.
func TestSize(t *testing.T) {
	allowed := strings.Fields(`github.com/llama31/llama31 github.com/apache/arrow/go/arrow github.com/chewxy/hm github.com/chewxy/math32 github.com/dlclark/regexp2
		github.com/gogo/protobuf github.com/nikolalohinski/gonja/v2 github.com/sirupsen/logrus github.com/golang/protobuf github.com/google/flatbuffers github.com/google/uuid github.com/pkg/errors github.com/pkoukk/tiktoken-go
		github.com/xtgo/set go4.org/unsafe/assume-no-moving-gc golang.org/x/sync golang.org/x/sys golang.org/x/text golang.org/x/xerrors gonum.org/v1/gonum google.golang.org/protobuf
		gorgonia.org/tensor gorgonia.org/vecf32 gorgonia.org/vecf64`)
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "../llama").Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := strings.Fields(string(out))
	slices.Sort(modules)
	for _, m := range slices.Compact(modules) {
		if !slices.Contains(allowed, m) {
			t.Errorf("llama imports %s", m)
		}
	}
	out, err = exec.Command("go", "list", "-deps", "../llama").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"/llama/hub", "/llama/serve", "/examples", "/kernels/cuda"} {
		if strings.Contains(string(out), "llama31/llama31"+p) {
			t.Errorf("llama imports llama31%s", p)
		}
	}

	program := filepath.Join(t.TempDir(), "stream")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "./stream") // imports llama alone
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.1f MB", float64(s.Size())/1e6)
	if s.Size() > 25e6 {
		t.Errorf("a stripped program that imports llama has %.1f MB, expected less than 25", float64(s.Size())/1e6)
	}
}
