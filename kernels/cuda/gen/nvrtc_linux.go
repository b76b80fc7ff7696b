//go:build amd64 || arm64

package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ebitengine/purego"
)

// nvrtc is NVIDIA's runtime compiler, which needs no GPU.
type nvrtc struct {
	create       func(program *uintptr, text, name string, n int32, headers, names **byte) int32
	compileFor   func(program uintptr, n int32, options **byte) int32
	logSize      func(program uintptr, size *uint64) int32
	log          func(program uintptr, text *byte) int32
	ptxSize      func(program uintptr, size *uint64) int32
	ptx          func(program uintptr, text *byte) int32
	cubinSize    func(program uintptr, size *uint64) int32
	cubin        func(program uintptr, code *byte) int32
	destroy      func(program *uintptr) int32
	errorMessage func(result int32) string
}

func openNVRTC(nvidia string) (*nvrtc, error) {
	path := filepath.Join(nvidia, "cuda_nvrtc", "lib", "libnvrtc.so.12")
	lib, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, err
	}
	c := &nvrtc{}
	for name, f := range map[string]any{
		"nvrtcCreateProgram": &c.create, "nvrtcCompileProgram": &c.compileFor, "nvrtcGetProgramLogSize": &c.logSize,
		"nvrtcGetProgramLog": &c.log, "nvrtcGetPTXSize": &c.ptxSize, "nvrtcGetPTX": &c.ptx, "nvrtcGetCUBINSize": &c.cubinSize,
		"nvrtcGetCUBIN": &c.cubin, "nvrtcDestroyProgram": &c.destroy, "nvrtcGetErrorString": &c.errorMessage,
	} {
		if _, err := purego.Dlsym(lib, name); err != nil { // RegisterLibFunc would panic
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		purego.RegisterLibFunc(f, lib, name)
	}
	return c, nil
}

// compile gives machine code for an sm_ architecture, else PTX. Headers are passed by name, so that nothing depends on folders; a
// warning is an error.
func (c *nvrtc) compile(name, text string, headers map[string]string, arch string) ([]byte, error) {
	var names, texts []string
	for n := range headers {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		texts = append(texts, headers[n])
	}
	var program uintptr
	if r := c.create(&program, text, name, int32(len(names)), cStrings(texts), cStrings(names)); r != 0 {
		return nil, fmt.Errorf("nvrtcCreateProgram: %s", c.errorMessage(r))
	}
	defer c.destroy(&program)
	options := []string{"--gpu-architecture=" + arch, "--std=c++17", "--fmad=false"}
	result := c.compileFor(program, int32(len(options)), cStrings(options))
	log := take(program, c.logSize, c.log)
	if said := strings.TrimRight(string(log), "\x00\n"); result != 0 || said != "" {
		return nil, fmt.Errorf("%s\n%s", c.errorMessage(result), said)
	}
	if strings.HasPrefix(arch, "sm_") {
		return take(program, c.cubinSize, c.cubin), nil
	}
	ptx := take(program, c.ptxSize, c.ptx)
	return []byte(strings.TrimRight(string(ptx), "\x00")), nil
}

// take reads something of a program whose size is asked for first.
func take(program uintptr, size func(uintptr, *uint64) int32, get func(uintptr, *byte) int32) []byte {
	var n uint64
	if size(program, &n) != 0 || n == 0 {
		return nil
	}
	b := make([]byte, n)
	if get(program, &b[0]) != 0 {
		return nil
	}
	return b
}

// cStrings is an array of C strings, on Go's heap, which stays in place.
func cStrings(s []string) **byte {
	if len(s) == 0 {
		return nil
	}
	p := make([]*byte, len(s))
	for i := range s {
		p[i] = &append([]byte(s[i]), 0)[0]
	}
	return &p[0]
}
