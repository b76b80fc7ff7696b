//go:build !(linux && (amd64 || arm64)) && !(windows && (amd64 || arm64))

package cuda

import (
	"fmt"
	"runtime"
)

func libraryPaths() []string { return []string{"libcuda"} }

type library struct{}

func openLibrary(string) (library, error) {
	return library{}, fmt.Errorf("CUDA is not supported on %s/%s", runtime.GOOS, runtime.GOARCH)
}

func (library) lookup(name string) (uintptr, error) { return 0, fmt.Errorf("no symbol %s", name) }

// syscallN is never reached: no library opens here.
func syscallN(uintptr, ...uintptr) uintptr { return resultNoDevice }
