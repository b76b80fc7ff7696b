package gguf

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// populate reads the pages of m, r's bytes from at on, and maps them, if they are
// not in memory. Kernels before 5.14 do not know MADV_POPULATE_READ and only start
// to read ahead.
func populate(r io.ReaderAt, at int64, m []byte) {
	if cached(r, at, int64(len(m))) {
		return
	}
	if unix.Madvise(m, unix.MADV_POPULATE_READ) != nil {
		_ = unix.Madvise(m, unix.MADV_WILLNEED)
	}
}

// cached guesses whether n bytes of a file are in the page cache, from one of each
// 4 MB, read without waiting for the disk. Where they are, mapping them in advance
// takes longer than their faults: 15 to 420 ms for 4.9 GB, by the size of the
// cache's folios, to 92 ms. (mincore says yes to all that is another user's.)
func cached(r io.ReaderAt, at, n int64) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	var b [1]byte
	for end := at + n; at < end; at += 4 << 20 {
		if n, err := unix.Preadv2(int(f.Fd()), [][]byte{b[:]}, at, unix.RWF_NOWAIT); n != 1 || err != nil {
			return false
		}
	}
	return true
}
