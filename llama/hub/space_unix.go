//go:build linux || darwin || freebsd

package hub

import "golang.org/x/sys/unix"

// freeSpace is what this user may write on the disk of a folder, in bytes.
func freeSpace(folder string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}
