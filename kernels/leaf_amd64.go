//go:build amd64 && !noasm

package kernels

// leaves lists the rows of the table that this machine can run, best first.
func leaves() []*leaf {
	return []*leaf{&generic}
}
