package kernels

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

var (
	kernel32           = windows.NewLazySystemDLL("kernel32.dll")
	globalMemoryStatus = kernel32.NewProc("GlobalMemoryStatusEx")
)

// memoryStatus is MEMORYSTATUSEX.
type memoryStatus struct {
	length, load         uint32
	totalPhys, availPhys uint64
	totalPage, availPage uint64 // of what may be committed
	totalVirt, availVirt uint64
	_                    uint64
}

// FreeMemory is what new allocations may take without swapping, in bytes: available physical memory, within what may still be
// committed. 0 if unknown.
func FreeMemory() int64 {
	var s memoryStatus
	s.length = uint32(unsafe.Sizeof(s))
	// Safe: the call writes the structure whose length it is given, and keeps no pointer.
	if ok, _, _ := globalMemoryStatus.Call(uintptr(unsafe.Pointer(&s))); ok == 0 {
		return 0
	}
	return int64(min(s.availPhys, s.availPage, s.availVirt))
}
