package kernels

import (
	"runtime"
	"testing"
)

// TestMachine checks what the system says of itself for sense.
func TestMachine(t *testing.T) {
	if n := Cores(); n < 1 || n > runtime.NumCPU() {
		t.Errorf("%d cores, %d hardware threads", n, runtime.NumCPU())
	}
	free := FreeMemory()
	switch runtime.GOOS {
	case "linux", "darwin", "windows":
		if free < 16<<20 || free > 64<<40 {
			t.Errorf("%d bytes of memory are free", free)
		}
	}
	b, err := allocate(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range b {
		if v != 0 {
			t.Fatalf("new memory: byte %d is %d", i, v)
		}
		b[i] = 1
	}
	if err := release(b); err != nil {
		t.Error(err)
	}
}
