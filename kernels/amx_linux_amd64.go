//go:build !noasm

package kernels

import "golang.org/x/sys/unix"

// allowTiles asks Linux for the tile registers of AMX, which it saves for processes that asked (arch/x86/kernel/fpu/xstate.c), and says whether it agreed. It does from
// Linux 5.16 on, unless a thread has a signal stack that is too small for them; Go's have 32 KB, of which they take 11.
func allowTiles() bool {
	const (
		reqXcompPerm = 0x1023 // ARCH_REQ_XCOMP_PERM
		xtiledata    = 18     // XFEATURE_XTILEDATA
	)
	_, _, errno := unix.RawSyscall(unix.SYS_ARCH_PRCTL, reqXcompPerm, xtiledata, 0)
	return errno == 0
}
