package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// resources are what a kernel takes, per thread but for shared, which is static bytes per block.
type resources struct{ registers, shared, spill int }

// table has the resources of each kernel on each architecture.
type table map[string]map[string]resources

var (
	entryLine    = regexp.MustCompile(`Compiling entry function '(\w+)' for`)
	spillLine    = regexp.MustCompile(`(\d+) bytes spill stores, (\d+) bytes spill loads`)
	registerLine = regexp.MustCompile(`Used (\d+) registers`)
	sharedLine   = regexp.MustCompile(`(\d+) bytes smem`)
)

// add assembles PTX, which NVRTC does not check, and takes down what ptxas says of its kernels.
func (t table) add(nvidia, arch string, ptx []byte) error {
	dir, err := os.MkdirTemp("", "gen")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "kernels.ptx")
	if err := os.WriteFile(path, ptx, 0o600); err != nil {
		return err
	}
	out, err := exec.Command(filepath.Join(nvidia, "cuda_nvcc", "bin", "ptxas"), "-v", "-arch="+arch, "-o", filepath.Join(dir, "kernels.cubin"), path).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ptxas: %w\n%s", err, out)
	}
	var r resources
	name := ""
	for _, line := range bytes.Split(out, []byte("\n")) {
		if m := entryLine.FindSubmatch(line); m != nil {
			name, r = string(m[1]), resources{}
		}
		if m := spillLine.FindSubmatch(line); m != nil {
			r.spill = number(m[1]) + number(m[2])
		}
		if m := registerLine.FindSubmatch(line); m != nil && name != "" {
			r.registers = number(m[1])
			if m := sharedLine.FindSubmatch(line); m != nil {
				r.shared = number(m[1])
			}
			if t[name] == nil {
				t[name] = map[string]resources{}
			}
			t[name][arch] = r
			name = ""
		}
	}
	return nil
}

func number(b []byte) int {
	n, _ := strconv.Atoi(string(b)) // digits, as the expression says
	return n
}

// markdown is the table as a file.
func (t table) markdown() []byte {
	var b bytes.Buffer
	b.WriteString("# What the kernels take\n\nWritten by `go run ./kernels/cuda/gen`, from what ptxas 12.4 says: registers per thread, static shared memory per block, and bytes of\nregisters spilled to memory (stores and loads).\n\n")
	b.WriteString("| kernel | registers sm_80 | sm_90a | shared sm_80 | sm_90a | spills sm_80 | sm_90a |\n|---|---|---|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(t)) {
		a, ok80 := t[name]["sm_80"]
		h, ok90 := t[name]["sm_90a"]
		column := func(ok bool, v int) string {
			if !ok {
				return "–"
			}
			return strconv.Itoa(v)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s |\n", name, column(ok80, a.registers), column(ok90, h.registers),
			column(ok80, a.shared), column(ok90, h.shared), column(ok80, a.spill), column(ok90, h.spill))
	}
	return b.Bytes()
}
