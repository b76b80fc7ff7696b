package bench

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
)

// npy writes a matrix of float32 in NumPy's format, version 1.0 (NEP 1), row by
// row, so that one larger than memory can be written.
type npy struct {
	w   io.Writer
	buf []byte
}

func (n *npy) header(rows, cols int) error {
	dict := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", rows, cols)
	const fixed = 6 + 2 + 2 // magic, version, length
	pad := (64 - (fixed+len(dict)+1)%64) % 64
	dict += strings.Repeat(" ", pad) + "\n"
	b := append([]byte("\x93NUMPY\x01\x00"), byte(len(dict)), byte(len(dict)>>8))
	_, err := n.w.Write(append(b, dict...))
	return err
}

func (n *npy) row(x []float32) error {
	n.buf = n.buf[:0]
	for _, v := range x {
		n.buf = binary.LittleEndian.AppendUint32(n.buf, math.Float32bits(v))
	}
	_, err := n.w.Write(n.buf)
	return err
}
