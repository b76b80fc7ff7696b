package grammar

import (
	"errors"
	"fmt"
)

// What is wrong with a grammar, for errors.Is.
var (
	ErrSyntax      = errors.New("is not understood")
	ErrUnsupported = errors.New("is not supported")
	ErrImpossible  = errors.New("cannot be matched")
)

// Error is what is wrong, and where: "#/properties/age" in a schema, "line 3" in a grammar.
type Error struct {
	Kind  error // ErrSyntax, ErrUnsupported or ErrImpossible
	Where string
	What  string
}

func (e *Error) Error() string {
	if e.Where == "" {
		return fmt.Sprintf("%s: %s", e.Kind, e.What)
	}
	return fmt.Sprintf("%s %s: %s", e.Where, e.Kind, e.What)
}

func (e *Error) Unwrap() error { return e.Kind }

func tooLarge(where string) error {
	return &Error{ErrUnsupported, where, "the grammar is too large"}
}
