package kernels

import (
	"fmt"
	"strings"
)

// Features names the instruction sets whose leaf functions this machine can run, best first; the CPU device takes the first unless
// Options.Leaf says otherwise. "generic" is always there.
func Features() []string {
	var names []string
	for _, l := range leaves() {
		names = append(names, l.name)
	}
	return names
}

func pickLeaf(name string) (*leaf, error) {
	for _, l := range leaves() {
		if name == "" || l.name == name {
			return l, nil
		}
	}
	return nil, fmt.Errorf("%w: instruction set %q is not among %s", ErrUnavailable, name, strings.Join(Features(), ", "))
}
