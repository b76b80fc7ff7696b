package llama

import (
	"errors"
	"fmt"

	"github.com/llama31/llama31/kernels"
)

// Errors that callers tell apart with errors.Is.
var (
	ErrBusy          = errors.New("llama: too many requests")
	ErrClosed        = errors.New("llama: model closed")
	ErrContextLength = errors.New("llama: context length exceeded")
	ErrUnsupported   = errors.New("llama: not supported")
	ErrModel         = errors.New("llama: the model file contradicts itself")
	ErrRequest       = errors.New("llama: bad request")
	ErrIncomplete    = errors.New("llama: the answer ended before it was complete")
	ErrTemplate      = errors.New("llama: chat template")
	ErrMismatch      = errors.New("llama: saved by another model, device or build")
	ErrDamaged       = errors.New("llama: saved state is damaged")
	ErrOutOfMemory   = kernels.ErrOutOfMemory
)

// ContextLengthError says how many tokens a request needs, and how many the context has. It is an ErrContextLength.
type ContextLengthError struct{ Need, Have int }

func (e *ContextLengthError) Error() string {
	return fmt.Sprintf("llama: the prompt takes %d tokens and one at least is to follow, the context holds %d", e.Need, e.Have)
}

func (e *ContextLengthError) Is(target error) bool { return target == ErrContextLength }

// MemoryError says how many bytes a device lacked. It is an ErrOutOfMemory.
type MemoryError = kernels.MemoryError

// MismatchError says what of a saved KV cache differs from this model. It is an ErrMismatch.
type MismatchError struct{ What, Saved, Here string }

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%v: its %s is %q, expected %q", ErrMismatch, e.What, e.Saved, e.Here)
}

func (e *MismatchError) Is(target error) bool { return target == ErrMismatch }
