// Package sim is a CUDA driver for tests, so that everything above the hardware can be tested without it: loading, memory, streams,
// graphs, launches, several devices and what goes wrong with each, and the kernels themselves.
//
// It is a libcuda of our own (host/*.cpp), built by g++ when a test asks for it, that has the kernels of kernels/cuda/*.cu compiled
// in, as host code. Threads of a block are fibers that change places where they wait for each other, in an order that a seed
// chooses; shared and device memory start as NaN; device memory lies between pages out of reach; work in a stream runs as late as it
// may. So a missing barrier, a missing synchronisation and a write outside of an allocation fail. Of what only sm_90a has, bulk copies
// arrive as late as they may too, and every use of them that hardware would not forgive fails; wgmma is a loop of mma.sync: indexing is
// tested, its descriptors and how hardware rounds are not.
package sim

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/llama31/llama31/internal/testenv"
)

// Variable names the environment variable through which kernels/cuda finds the library.
const Variable = "LLAMA31_CUDA_LIBRARY"

// compile are the arguments of g++. Contraction is off so that a*b+c rounds twice, as the kernels are compiled for a GPU.
var compile = []string{"-std=c++17", "-O2", "-march=native", "-ffp-contract=off", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wno-unknown-pragmas",
	"-Wno-unused", "-DLLAMA31_SIM"}

var built struct {
	sync.Mutex
	path string
	err  error
}

// Build gives the path of the library, built now or before from the same sources. Without g++ the test skips; the name in
// LLAMA31_REQUIRE is cuda-sim.
func Build(t testing.TB) string {
	t.Helper()
	supported := runtime.GOOS == "linux" && (runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64")
	testenv.Have(t, "cuda-sim", supported, "the simulated CUDA driver is written for linux on amd64 and arm64")
	compiler, err := exec.LookPath("g++")
	testenv.Have(t, "cuda-sim", err == nil, "g++, which builds the simulated CUDA driver, is not installed")
	built.Lock()
	defer built.Unlock()
	if built.path == "" && built.err == nil {
		built.path, built.err = build(compiler, filepath.Join(testenv.Root(t), "kernels", "cuda"))
	}
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// build makes the library of the sources in dir. Its objects and it itself are named by what went into them, in the system's
// folder for temporary files.
func build(compiler, dir string) (string, error) {
	kernels, err := filepath.Glob(filepath.Join(dir, "*.cu"))
	if err != nil {
		return "", err
	}
	kernels = append(kernels, filepath.Join(dir, "testdata", "selftest.cu"))
	hosts := []string{filepath.Join(dir, "sim", "host", "grid.cpp"), filepath.Join(dir, "sim", "host", "driver.cpp")}
	headers, err := filepath.Glob(filepath.Join(dir, "*.cuh"))
	if err != nil {
		return "", err
	}
	headers = append(headers, filepath.Join(dir, "sim", "host", "grid.h"), filepath.Join(dir, "sim", "host", "twins.h"))
	version, err := exec.Command(compiler, "--version").Output()
	if err != nil {
		return "", err
	}
	common := sha256.New()
	fmt.Fprintln(common, string(version), compile, runtime.GOARCH)
	for _, h := range headers {
		b, err := os.ReadFile(h)
		if err != nil {
			return "", err
		}
		common.Write(b)
	}
	seed := common.Sum(nil)

	cache := filepath.Join(os.TempDir(), fmt.Sprintf("llama31-sim-%d", os.Getuid()))
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	sources := append(kernels, hosts...)
	objects := make([]string, len(sources))
	errs := make([]error, len(sources))
	var group sync.WaitGroup
	running := make(chan bool, runtime.NumCPU())
	for i, source := range sources {
		group.Go(func() {
			running <- true
			objects[i], errs[i] = object(compiler, dir, source, cache, seed)
			<-running
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return "", err
		}
	}
	all := sha256.New()
	fmt.Fprintln(all, objects)
	library := filepath.Join(cache, fmt.Sprintf("libcuda-%x.so", all.Sum(nil)[:12]))
	return library, once(library, func(to string) error {
		args := append([]string{"-shared", "-o", to}, objects...)
		return run(exec.Command(compiler, append(args, "-lpthread")...))
	})
}

// object compiles one source. A .cu file is put into a namespace of its own, as NVRTC compiles each by itself.
func object(compiler, dir, source, cache string, seed []byte) (string, error) {
	text, err := os.ReadFile(source)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	h.Write(seed)
	h.Write([]byte(filepath.Base(source)))
	h.Write(text)
	name := filepath.Join(cache, fmt.Sprintf("%s-%x.o", strings.TrimSuffix(filepath.Base(source), filepath.Ext(source)), h.Sum(nil)[:12]))
	return name, once(name, func(to string) error {
		args := append([]string{}, compile...)
		args = append(args, "-I", dir, "-c", "-o", to, "-x", "c++", "-")
		cmd := exec.Command(compiler, args...)
		unit := fmt.Sprintf("#include %q\n", source)
		if filepath.Ext(source) == ".cu" {
			unit = fmt.Sprintf("#include \"device.cuh\"\nnamespace cu_%s {\n#include %q\n}\n", strings.TrimSuffix(filepath.Base(source), ".cu"), source)
		}
		cmd.Stdin = strings.NewReader(unit)
		return run(cmd)
	})
}

// once makes a file unless it is there; several processes may try.
func once(name string, produce func(to string) error) error {
	if _, err := os.Stat(name); err == nil {
		return nil
	}
	to := fmt.Sprintf("%s.%d", name, os.Getpid())
	if err := produce(to); err != nil {
		return err
	}
	return os.Rename(to, name)
}

func run(cmd *exec.Cmd) error {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, out.Bytes())
	}
	return nil
}
