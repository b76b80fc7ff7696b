package gguf

import (
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// populate reads the pages of m, r's bytes from at on, and maps them, if they are
// not in memory. It asks for huge pages, which a filesystem with large folios then
// reads (ext4 since Linux 6.16): reading 1.25 GB took 1.1 s so, and 1.5 without, and
// whoever maps the file later has 4 ms of page faults for 4.9 GB, not 100. Kernels before
// 5.14 do not know MADV_POPULATE_READ and only start to read ahead.
//
// What is in memory is mapped where that is quick: 4.9 GB take 4 to 420 ms, by the
// size of the page cache's folios, and the faults of those who use it as much, but
// beside their work. slow counts the calls that were not.
func populate(r io.ReaderAt, at int64, m []byte, slow *int) {
	if cached(r, at, int64(len(m))) {
		if *slow < 3 {
			start := time.Now()
			_ = unix.Madvise(m, unix.MADV_POPULATE_READ)
			if time.Since(start) > time.Millisecond*time.Duration(len(m))/(64<<20) {
				*slow++
			}
		}
		return
	}
	_ = unix.Madvise(m, unix.MADV_HUGEPAGE)
	if unix.Madvise(m, unix.MADV_POPULATE_READ) != nil {
		_ = unix.Madvise(m, unix.MADV_WILLNEED)
	}
}

// cached guesses whether n bytes of a file are in the page cache, from one of each
// 16 MB, read without waiting for the disk (some 10 µs each). (mincore says yes to
// all that is another user's.)
func cached(r io.ReaderAt, at, n int64) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	var b [1]byte
	for end := at + n; at < end; at += 16 << 20 {
		if n, err := unix.Preadv2(int(f.Fd()), [][]byte{b[:]}, at, unix.RWF_NOWAIT); n != 1 || err != nil {
			return false
		}
	}
	return true
}
