//go:build !noasm

package kernels

import "golang.org/x/sys/unix"

// allowTiles asks Linux for the tile registers of AMX, which it saves for processes that asked (arch/x86/kernel/fpu/xstate.c), and says whether it agreed.
func allowTiles() bool {
	const (
		reqXcompPerm = 0x1023 // ARCH_REQ_XCOMP_PERM
		xtiledata    = 18     // XFEATURE_XTILEDATA
	)
	_, _, errno := unix.RawSyscall(unix.SYS_ARCH_PRCTL, reqXcompPerm, xtiledata, 0)
	return errno == 0
}
