//go:build !noasm

package kernels

import (
	"unsafe"

	"github.com/llama31/llama31/gguf/block"
)

// The grids of IQ2 and IQ3 as AVX-512 looks them up: an entry is a word, in whose two bytes the codes of its values take turns, each the value's place among the grid's
// levels. Those of IQ2's 8 values have 2 bits each, those of IQ3's 4 values 3 bits in a nibble. They begin where a line of a cache does, since the linker
// aligns no further than 32 bytes and a load of two lines takes the time of two: IQ3_S took 1.4 times as long.
var (
	codesIQ2_XXS = newCodes(block.TypeIQ2_XXS, 256)
	codesIQ2_XS  = newCodes(block.TypeIQ2_XS, 512)
	codesIQ3_XXS = newCodes(block.TypeIQ3_XXS, 256)
	codesIQ3_S   = newCodes(block.TypeIQ3_S, 512)
)

func newCodes(t block.Type, n int) *uint16 {
	const line = 64
	all := make([]uint16, n+line/2)
	all = all[-uintptr(unsafe.Pointer(&all[0]))%line/2:]
	grid := block.Grid(t)
	var is [128]bool
	for _, v := range grid {
		is[v] = true
	}
	var code [128]uint16
	level := uint16(0)
	for v := range is {
		if is[v] {
			code[v] = level
			level++
		}
	}
	per := len(grid) / n
	for i, v := range grid {
		k := i % per
		all[i/per] |= code[v] << (k/2*(16/per) + k%2*8)
	}
	return &all[0]
}
