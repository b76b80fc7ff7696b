package gguf

import (
	"errors"
	"fmt"
	"strings"
)

// The kinds of errors, for errors.Is. Every *FormatError is an ErrFormat too.
var (
	ErrFormat          = errors.New("malformed GGUF")
	ErrMagic           = errors.New("not a GGUF file")
	ErrVersion         = errors.New("unsupported GGUF version")
	ErrBigEndian       = errors.New("big-endian GGUF is not supported")
	ErrTruncated       = errors.New("file is truncated")
	ErrUnsupportedType = errors.New("unsupported tensor type")
	ErrDuplicate       = errors.New("duplicate name")
	ErrOverlap         = errors.New("tensors overlap")
	ErrAlignment       = errors.New("bad alignment")
	ErrLimit           = errors.New("beyond a limit of this reader")
	ErrSplit           = errors.New("incomplete or inconsistent split file")

	ErrNoKey     = errors.New("no such metadata key")
	ErrValueType = errors.New("metadata value of another type")
	ErrNoTensor  = errors.New("no such tensor")
	ErrClosed    = errors.New("file is closed")
)

// FormatError says what is wrong with a file, and where.
type FormatError struct {
	Path     string // empty for a reader
	Offset   int64  // of the field, from the start of the file
	Field    string // such as `tensor "output.weight": offset`
	Expected string
	Found    string
	Err      error // one of the kinds above; nil for plain ErrFormat
}

func (e *FormatError) Error() string {
	var b strings.Builder
	b.WriteString("gguf: ")
	if e.Path != "" {
		fmt.Fprintf(&b, "%s: ", e.Path)
	}
	kind := e.Err
	if kind == nil {
		kind = ErrFormat
	}
	fmt.Fprintf(&b, "%v: %s at byte %d: expected %s, found %s", kind, e.Field, e.Offset, e.Expected, e.Found)
	return b.String()
}

// Is makes every FormatError an ErrFormat.
func (e *FormatError) Is(target error) bool { return target == ErrFormat }

// Unwrap gives the kind.
func (e *FormatError) Unwrap() error { return e.Err }

// KeyError is what a metadata getter returns: [ErrNoKey] or [ErrValueType].
type KeyError struct {
	Key      string
	Expected string
	Found    string // a Go type, or a value out of range; empty if the key is missing
	Err      error
}

func (e *KeyError) Error() string {
	if e.Found == "" {
		return fmt.Sprintf("gguf: %v: %q (expected %s)", e.Err, e.Key, e.Expected)
	}
	return fmt.Sprintf("gguf: %v: %q: expected %s, found %s", e.Err, e.Key, e.Expected, e.Found)
}

func (e *KeyError) Unwrap() error { return e.Err }
