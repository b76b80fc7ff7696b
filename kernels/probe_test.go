package kernels

import (
	"errors"
	"testing"
)

func TestProbe(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 512 MB some times")
	}
	for _, set := range Features() {
		read, err := ProbeRead(set, 2)
		if !(read > 0.1 && read < 10000) || err != nil {
			t.Errorf("%s: %v GB/s, %v", set, read, err)
		}
		mul, err := ProbeMul(set, 1)
		if !(mul > 0.01 && mul < 100000) || err != nil {
			t.Errorf("%s: %v GMAC/s, %v", set, mul, err)
		}
		fma, err := ProbeFMA(set, 1)
		if !(fma > 0.01 && fma < 100000) || err != nil {
			t.Errorf("%s: %v GMAC/s of float32, %v", set, fma, err)
		}
		t.Logf("%s: reads %.1f GB/s, multiplies %.1f GMAC/s of bytes and %.1f of float32", set, read, mul, fma)
	}
	if _, err := ProbeRead("abacus", 1); !errors.Is(err, ErrUnavailable) {
		t.Errorf("an unknown instruction set: %v", err)
	}
}
