// Package jinja renders the chat template that a model file carries, as Python's jinja2 does in Hugging Face's transformers
// (trim_blocks, lstrip_blocks, sandboxed), and with bounds.
//
// github.com/nikolalohinski/gonja/v2 reads the template; what it read is evaluated here. gonja's own evaluator is not used. Of 910
// chats under 70 published templates it renders 493 as transformers does, with a shim for tojson and the order of keys; this one 869.
// And a file can end the process by it: a macro that calls itself and a namespace that holds itself overflow the stack, which no
// program recovers from, and 'a' * 10000000000 takes the memory.
//
// Here there is nothing that reads a file, loads another template, calls Go by reflection, or works without counting: each step and
// each byte made costs, and what a template may spend is proportional to the conversation.
package jinja

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nikolalohinski/gonja/v2/nodes"

	"github.com/llama31/llama31/llama/internal/python"
)

// A Template is ready to be rendered, any number of times and by any number of goroutines.
type Template struct {
	source  string
	root    []nodes.Node
	strings []string // of the source's string literals; gonja's tree has their indices
}

// Bounds on a template. The largest of 70 published ones has 17 kB.
const (
	maxTemplate     = 1 << 18 // bytes
	maxTagTokens    = 4096    // in one {{ }} or {% %}
	maxTagDepth     = 64      // brackets in one
	maxBlockDepth   = 64      // blocks in blocks
	maxMacroDepth   = 100     // calls in calls
	maxValueDepth   = 128     // lists and dicts in each other
	templateBudget  = 1 << 26 // bytes and steps for any conversation
	budgetPerByte   = 64      // and for each byte of its variables
	bytesPerValue   = 32      // that a value counts for besides its text
	stepCost        = 16      // of a node evaluated
	maxTemplateLine = 200     // bytes of it quoted in an error
)

// An Error says what is wrong with a template, and on which line.
type Error struct {
	Line  int    // from 1; 0: not one line's fault
	Quote string // the line, or what is about the place in a long one
	Err   error
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Err.Error()
	}
	return fmt.Sprintf("line %d, %q: %v", e.Line, e.Quote, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// A positionError is an error at a byte of the source.
type positionError struct {
	pos int
	err error
}

func (e *positionError) Error() string { return e.err.Error() }
func (e *positionError) Unwrap() error { return e.err }

// failure makes an Error of any error.
func (t *Template) failure(err error) error {
	var e *positionError
	if !errors.As(err, &e) || e.pos > len(t.source) || e.pos < 0 {
		return &Error{Err: err}
	}
	start := strings.LastIndexByte(t.source[:e.pos], '\n') + 1
	line, _, _ := strings.Cut(t.source[start:], "\n")
	if len(line) > maxTemplateLine {
		from := max(0, e.pos-start-maxTemplateLine/2)
		line = line[from:min(len(line), from+maxTemplateLine)]
	}
	return &Error{Line: 1 + strings.Count(t.source[:e.pos], "\n"), Quote: strings.TrimSpace(line), Err: e.err}
}

// Parse reads a template. The error is an *Error.
func Parse(source string) (t *Template, err error) {
	source = strings.ReplaceAll(strings.ReplaceAll(source, "\r\n", "\n"), "\r", "\n")
	t = &Template{source: source}
	if len(source) > maxTemplate {
		return nil, &Error{Err: fmt.Errorf("%d bytes long, expected at most %d", len(source), maxTemplate)}
	}
	defer func() {
		if r := recover(); r != nil {
			t, err = nil, &Error{Err: fmt.Errorf("cannot be read: %v", r)}
		}
	}()
	if err := t.parse(); err != nil {
		return nil, t.failure(err)
	}
	return t, nil
}

// Mentions tells whether the source has the name in it.
func (t *Template) Mentions(name string) bool { return strings.Contains(t.source, name) }

// Render renders the template. vars are its variables, now is what strftime_now tells. The error is an *Error.
func (t *Template) Render(vars python.Object, now time.Time) (text string, err error) {
	defer func() {
		if r := recover(); r != nil {
			text, err = "", &Error{Err: fmt.Errorf("cannot be rendered: %v", r)}
		}
	}()
	e := &evaluator{
		template: t,
		now:      now,
		budget:   templateBudget + budgetPerByte*int64(size(vars)),
		globals:  &scope{vars: map[string]any{}},
		out:      &strings.Builder{},
	}
	for _, v := range vars {
		e.globals.vars[v.Key] = fromJSON(v.Value)
	}
	if _, err := e.run(t.root, e.globals); err != nil {
		return "", t.failure(err)
	}
	return e.out.String(), nil
}

// size is about how many bytes a value takes.
func size(v any) int {
	n := bytesPerValue
	switch v := v.(type) {
	case string:
		n += len(v)
	case json.Number:
		n += len(v)
	case []any:
		for _, one := range v {
			n += size(one)
		}
	case python.Object:
		for _, f := range v {
			n += len(f.Key) + size(f.Value)
		}
	}
	return n
}
