package jinja

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nikolalohinski/gonja/v2/nodes"
)

// An evaluator renders a template once.
type evaluator struct {
	template *Template
	now      time.Time
	globals  *scope
	out      *strings.Builder
	budget   int64
	macros   int // calls in calls
}

type scope struct {
	vars   map[string]any
	parent *scope
}

func (s *scope) get(name string) (any, bool) {
	for ; s != nil; s = s.parent {
		if v, ok := s.vars[name]; ok {
			return v, true
		}
	}
	return nil, false
}

func (s *scope) inner() *scope { return &scope{map[string]any{}, s} }

var errBudget = errors.New("the template works longer than the conversation is worth")

// spend takes n steps or bytes off the budget.
func (e *evaluator) spend(n int) error {
	if e.budget -= int64(n); e.budget < 0 || n < 0 {
		return errBudget
	}
	return nil
}

func (e *evaluator) emit(s string) error {
	e.out.WriteString(s)
	return e.spend(len(s))
}

// A jump says how the nodes of a loop's body ended.
type jump int

const (
	jumpNot jump = iota
	jumpContinue
	jumpBreak
)

func (e *evaluator) run(array []nodes.Node, s *scope) (jump, error) {
	for _, node := range array {
		if err := e.spend(stepCost); err != nil {
			return 0, at(node.Position(), err)
		}
		var err error
		switch n := node.(type) {
		case *nodes.Comment:
		case *nodes.Data:
			err = e.emit(dataText(n))
		case *nodes.Output:
			var v any
			if v, err = e.eval(n.Expression, s); err == nil {
				var text string
				if text, err = e.text(v); err == nil {
					err = e.emit(text)
				}
			}
		case *nodes.ControlStructureBlock:
			var j jump
			if j, err = e.tag(n.ControlStructure, s); j != jumpNot && err == nil {
				return j, nil
			}
		default:
			err = fmt.Errorf("%T is not supported", node)
		}
		if err != nil {
			return 0, at(node.Position(), err)
		}
	}
	return jumpNot, nil
}

const jinjaSpace = " \t\n\r\v\f"

// dataText is text between tags, less what the tags' dashes take.
func dataText(n *nodes.Data) string {
	text := n.Data.Val
	if n.RemoveFirstLineReturn {
		text = strings.TrimPrefix(text, "\n")
	}
	if n.Trim.Left {
		text = strings.TrimLeft(text, jinjaSpace)
	}
	if n.Trim.Right {
		text = strings.TrimRight(text, jinjaSpace)
	}
	return text
}

func (e *evaluator) tag(node nodes.Node, s *scope) (jump, error) {
	switch n := node.(type) {
	case *ifTag:
		for i, condition := range n.conditions {
			v, err := e.eval(condition, s)
			if err != nil {
				return 0, err
			}
			if truth(v) {
				return e.run(n.bodies[i].Nodes, s)
			}
		}
		if len(n.bodies) > len(n.conditions) {
			return e.run(n.bodies[len(n.conditions)].Nodes, s)
		}
		return 0, nil
	case *forTag:
		return 0, e.loop(n, s)
	case *setTag:
		return 0, e.set(n, s)
	case *macroTag:
		s.vars[n.name] = e.macro(n, s)
		return 0, nil
	case *generationTag:
		return e.run(n.body.Nodes, s)
	case *jumpTag:
		if n.leave {
			return jumpBreak, nil
		}
		return jumpContinue, nil
	}
	return 0, fmt.Errorf("%T is not supported", node)
}

func (e *evaluator) loop(n *forTag, s *scope) error {
	over, err := e.eval(n.items, s)
	if err != nil {
		return err
	}
	items, err := e.items(over)
	if err != nil {
		return err
	}
	bind := func(item any, s *scope) error {
		if len(n.names) == 1 {
			s.vars[n.names[0]] = item
			return nil
		}
		l, ok := item.(*array)
		if !ok || len(l.items) != len(n.names) {
			return fmt.Errorf("%s for %d variables", typeName(item), len(n.names))
		}
		for i, name := range n.names {
			s.vars[name] = l.items[i]
		}
		return nil
	}
	if n.where != nil {
		var kept []any
		for _, item := range items {
			in := s.inner()
			if err := bind(item, in); err != nil {
				return err
			}
			v, err := e.eval(n.where, in)
			if err != nil {
				return err
			}
			if truth(v) {
				kept = append(kept, item)
			}
		}
		items = kept
	}
	if len(items) == 0 && n.empty != nil {
		_, err := e.run(n.empty.Nodes, s)
		return err
	}
	for i, item := range items {
		if err := e.spend(stepCost * 8); err != nil {
			return err
		}
		in := s.inner()
		if err := bind(item, in); err != nil {
			return err
		}
		in.vars["loop"] = &loopState{items, i}
		j, err := e.run(n.body.Nodes, in)
		if err != nil {
			return err
		}
		if j == jumpBreak {
			break
		}
	}
	return nil
}

// loopState is the variable loop.
type loopState struct {
	items []any
	i     int
}

func (l *loopState) attribute(name string) any {
	switch name {
	case "index":
		return l.i + 1
	case "index0":
		return l.i
	case "revindex":
		return len(l.items) - l.i
	case "revindex0":
		return len(l.items) - l.i - 1
	case "first":
		return l.i == 0
	case "last":
		return l.i == len(l.items)-1
	case "length":
		return len(l.items)
	case "previtem":
		if l.i > 0 {
			return l.items[l.i-1]
		}
	case "nextitem":
		if l.i+1 < len(l.items) {
			return l.items[l.i+1]
		}
	case "cycle":
		return callable(func(e *evaluator, c *call) (any, error) {
			if len(c.args) == 0 {
				return nil, errors.New("cycle of nothing")
			}
			return c.args[l.i%len(c.args)], nil
		})
	}
	return undefined{"loop." + name}
}

func (e *evaluator) set(n *setTag, s *scope) error {
	var value any
	var err error
	if n.body != nil {
		value, err = e.capture(n.body.Nodes, s.inner())
	} else {
		value, err = e.eval(n.value, s)
	}
	if err != nil {
		return err
	}
	values := []any{value}
	if len(n.targets) > 1 {
		l, ok := value.(*array)
		if !ok || len(l.items) != len(n.targets) {
			return fmt.Errorf("%s for %d variables", typeName(value), len(n.targets))
		}
		values = l.items
	}
	for i, target := range n.targets {
		switch t := target.(type) {
		case *nodes.Name:
			s.vars[t.Name.Val] = values[i]
		case *nodes.GetAttribute:
			v, err := e.eval(t.Node, s)
			if err != nil {
				return err
			}
			d, ok := v.(*dict)
			if !ok || !d.namespace {
				return fmt.Errorf("%s has no attributes to set, expected a namespace", typeName(v))
			}
			d.set(t.Attribute, values[i])
		}
	}
	return nil
}

// capture runs nodes and returns what they write.
func (e *evaluator) capture(array []nodes.Node, s *scope) (string, error) {
	out := e.out
	e.out = &strings.Builder{}
	_, err := e.run(array, s)
	text := e.out.String()
	e.out = out
	return text, err
}

func (e *evaluator) macro(n *macroTag, outer *scope) callable {
	return func(e *evaluator, c *call) (any, error) {
		if e.macros++; e.macros > maxMacroDepth {
			return nil, fmt.Errorf("more than %d macros in each other", maxMacroDepth)
		}
		defer func() { e.macros-- }()
		if len(c.args) > len(n.names) {
			return nil, fmt.Errorf("macro %s takes %d arguments, got %d", n.name, len(n.names), len(c.args))
		}
		s := outer.inner()
		for i, name := range n.names {
			v, given := c.kwargs[name]
			switch {
			case i < len(c.args):
				v = c.args[i]
			case given:
			case n.defaults[i] != nil:
				var err error
				if v, err = e.eval(n.defaults[i], s); err != nil {
					return nil, err
				}
			default:
				v = undefined{name}
			}
			s.vars[name] = v
		}
		for name := range c.kwargs {
			if _, ok := s.vars[name]; !ok {
				return nil, fmt.Errorf("macro %s has no parameter %s", n.name, name)
			}
		}
		return e.capture(n.body.Nodes, s)
	}
}
