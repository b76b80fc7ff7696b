//go:build !(linux || darwin || freebsd || windows)

package hub

// freeSpace is not known here: a full disk shows when it is full.
func freeSpace(string) (int64, error) { return 0, nil }
