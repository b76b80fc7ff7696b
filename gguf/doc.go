// Package gguf reads and writes GGUF files, versions 2 and 3, little-endian: the
// metadata, and the tensors as *tensor.Dense views of the mapped file.
//
// # Layout
//
//	byte 0   "GGUF"
//	     4   uint32  version
//	     8   uint64  number of tensors
//	    16   uint64  number of metadata entries
//	    24   entries, each
//	           string  key                 (uint64 length, bytes)
//	           uint32  value type          (uint8 … float64, bool, string, array)
//	           value                       (array: uint32 type, uint64 count, elements)
//	         tensors, each
//	           string  name
//	           uint32  number of dimensions, 1 to 4
//	           uint64  dimensions, the fastest varying first
//	           uint32  block type          (package block)
//	           uint64  offset from the start of the data
//	         zeros to a multiple of general.alignment (default 32)
//	         data: each tensor at its offset, a multiple of the alignment
//
// Shapes in this package are in Go's order, rows first: a matrix of r rows and c
// columns, which GGUF lists as c, r, has the Shape [r, c], and its view has the
// shape [r, c/n] for a block type of n values.
//
// A large model may be split over files NAME-00001-of-00003.gguf and so on; [Open]
// takes the name of any one of them and shows one File.
//
// # Files from strangers
//
// Nothing in a file is believed. Sizes are computed with overflow checks; each
// count and length is compared with the bytes that remain before memory is
// allocated; a tensor's extent is compared with the file's before there is a view
// of it. Whatever is wrong is a [*FormatError] that says where, what was expected
// and what was found; errors.Is tells the kinds apart ([ErrTruncated],
// [ErrVersion], [ErrUnsupportedType], …). Reading metadata takes at most twice the
// file's size plus 64 MB.
//
// Metadata is read by ReadAt, so a file that shrinks meanwhile is an error. A
// mapped file that is truncated later, while its views are in use, makes the
// operating system raise SIGBUS: code that works on views can run under
// [File.Guard], which turns that into an error, or the file can be opened with
// [Options.ReadAt], which copies tensors and never maps.
package gguf
