//go:build amd64 && !noasm && !linux

package kernels

// allowTiles says whether the tile registers of AMX may be used.
func allowTiles() bool { return false }
