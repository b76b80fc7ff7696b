//go:build windows && (amd64 || arm64)

package cuda

import (
	"path/filepath"
	"syscall"

	"golang.org/x/sys/windows"
)

// libraryPaths are the names under which the driver's library may be found.
func libraryPaths() []string { return []string{"nvcuda.dll"} }

type library windows.Handle

// openLibrary takes a bare name from the system's folder only, so that no file beside the program can pose as the driver.
func openLibrary(path string) (library, error) {
	var flags uintptr = windows.LOAD_LIBRARY_SEARCH_SYSTEM32
	if filepath.IsAbs(path) {
		flags = windows.LOAD_WITH_ALTERED_SEARCH_PATH
	}
	h, err := windows.LoadLibraryEx(path, 0, flags)
	return library(h), err
}

func (l library) lookup(name string) (uintptr, error) {
	return windows.GetProcAddress(windows.Handle(l), name)
}

// syscallN calls a C function. Pointers among the arguments stay alive and in place until it returns.
//
//go:uintptrescapes
func syscallN(fn uintptr, args ...uintptr) uintptr {
	r, _, _ := syscall.SyscallN(fn, args...)
	return r
}
