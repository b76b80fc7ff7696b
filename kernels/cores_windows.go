package kernels

import (
	"encoding/binary"
	"runtime"
	"unsafe"
)

var logicalProcessorInformation = kernel32.NewProc("GetLogicalProcessorInformationEx")

// physicalCores counts the machine's cores. The process's affinity, which runtime.NumCPU knows, is not matched with them.
func physicalCores() int {
	const relationProcessorCore = 0
	size := uint32(0)
	// Safe: the calls write size, and at most as many bytes as it says, and keep no pointer. The first is told of 0 bytes.
	logicalProcessorInformation.Call(relationProcessorCore, 0, uintptr(unsafe.Pointer(&size)))
	if size == 0 {
		return runtime.NumCPU()
	}
	b := make([]byte, size)
	ok, _, _ := logicalProcessorInformation.Call(relationProcessorCore, uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&size)))
	if ok == 0 {
		return runtime.NumCPU()
	}
	// Records of SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX: a relationship, the record's size, and what does not matter here.
	n := 0
	for b = b[:size]; len(b) >= 8; n++ {
		next := int(binary.LittleEndian.Uint32(b[4:]))
		if next < 8 || next > len(b) {
			return runtime.NumCPU()
		}
		b = b[next:]
	}
	return n
}
