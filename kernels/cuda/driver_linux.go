//go:build linux && (amd64 || arm64)

package cuda

import "github.com/ebitengine/purego"

// libraryPaths are the names under which the driver's library may be found, in order; the second is where WSL keeps it.
func libraryPaths() []string {
	return []string{"libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1"}
}

type library uintptr

func openLibrary(path string) (library, error) {
	h, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	return library(h), err
}

func (l library) lookup(name string) (uintptr, error) { return purego.Dlsym(uintptr(l), name) }

// syscallN calls a C function. Pointers among the arguments stay alive and in place until it returns.
//
//go:uintptrescapes
func syscallN(fn uintptr, args ...uintptr) uintptr {
	r, _, _ := purego.SyscallN(fn, args...)
	return r
}
