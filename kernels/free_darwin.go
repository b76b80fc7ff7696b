package kernels

import (
	"os"

	"golang.org/x/sys/unix"
)

// FreeMemory is what new allocations may take without swapping, in bytes: free pages, and pages that cache files or may be purged,
// within physical memory. 0 if unknown.
func FreeMemory() int64 {
	total, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0
	}
	pages := int64(0)
	for _, name := range []string{"vm.page_free_count", "vm.page_purgeable_count", "vm.page_pageable_external_count"} {
		if n, err := unix.SysctlUint32(name); err == nil {
			pages += int64(n)
		}
	}
	return min(pages*int64(os.Getpagesize()), int64(total))
}
