package jinja

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/nikolalohinski/gonja/v2/nodes"
)

func (e *evaluator) eval(node nodes.Node, s *scope) (any, error) {
	if err := e.spend(stepCost); err != nil {
		return nil, err
	}
	v, err := e.expression(node, s)
	if err != nil {
		return nil, err
	}
	return v, nil
}

func (e *evaluator) evalAll(array []nodes.Expression, s *scope) ([]any, error) {
	out := make([]any, len(array))
	for i, n := range array {
		v, err := e.eval(n, s)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

func (e *evaluator) expression(node nodes.Node, s *scope) (any, error) {
	switch n := node.(type) {
	case *nodes.None:
		return nil, nil
	case *nodes.String:
		var i int
		if _, err := fmt.Sscan(n.Val, &i); err != nil || i >= len(e.template.strings) {
			return nil, errors.New("a string is lost")
		}
		return e.template.strings[i], nil
	case *nodes.Integer:
		return n.Val, nil
	case *nodes.Float:
		return n.Val, nil
	case *nodes.Bool:
		return n.Val, nil
	case *nodes.Name:
		return e.name(n.Name.Val, s), nil
	case *nodes.List:
		items, err := e.evalAll(n.Val, s)
		return &array{items: items}, err
	case *nodes.Tuple:
		items, err := e.evalAll(n.Val, s)
		return &array{items: items, tuple: true}, err
	case *nodes.Dict:
		d := newDict()
		for _, p := range n.Pairs {
			k, err := e.eval(p.Key, s)
			if err != nil {
				return nil, err
			}
			v, err := e.eval(p.Value, s)
			if err != nil {
				return nil, err
			}
			if !isKey(k) {
				return nil, fmt.Errorf("%s as a key", typeName(k))
			}
			d.set(k, v)
		}
		return d, nil
	case *nodes.GetAttribute:
		v, err := e.eval(n.Node, s)
		if err != nil {
			return nil, err
		}
		if n.Attribute == "" {
			return e.item(v, n.Index)
		}
		return e.attribute(v, n.Attribute)
	case *nodes.GetItem:
		v, err := e.eval(n.Node, s)
		if err != nil {
			return nil, err
		}
		if n.Arg == nil {
			return nil, errors.New("nothing in the brackets")
		}
		key, err := e.eval(n.Arg, s)
		if err != nil {
			return nil, err
		}
		return e.item(v, key)
	case *nodes.GetSlice:
		return e.slice(n, s)
	case *nodes.Negation:
		v, err := e.eval(n.Term, s)
		return !truth(v), err
	case *nodes.UnaryExpression:
		v, err := e.eval(n.Term, s)
		if err != nil || !n.Negative {
			return v, err
		}
		if i, ok := integer(v); ok {
			return -i, nil
		}
		if f, ok := v.(float64); ok {
			return -f, nil
		}
		return nil, fmt.Errorf("minus %s", typeName(v))
	case *nodes.BinaryExpression:
		return e.binary(n, s)
	case *nodes.FilteredExpression:
		v, err := e.eval(n.Expression, s)
		if err != nil {
			return nil, err
		}
		for _, f := range n.Filters {
			c, err := e.call(f.Name, f.Args, f.Kwargs, s)
			if err != nil {
				return nil, err
			}
			if v, err = e.filter(v, c); err != nil {
				return nil, at(f.Token, err)
			}
		}
		return v, nil
	case *nodes.TestExpression:
		v, err := e.eval(n.Expression, s)
		if err != nil {
			return nil, err
		}
		c, err := e.call(n.Test.Name, n.Test.Args, n.Test.Kwargs, s)
		if err != nil {
			return nil, err
		}
		return e.test(v, c)
	case *nodes.Call:
		v, err := e.invoke(n, s)
		return v, at(n.Location, err)
	}
	return nil, fmt.Errorf("%T is not supported", node)
}

func (e *evaluator) name(name string, s *scope) any {
	if v, ok := s.get(name); ok {
		return v
	}
	switch name {
	case "none":
		return nil
	}
	if f, ok := functions[name]; ok {
		return f
	}
	return undefined{name}
}

func (e *evaluator) call(name string, args []nodes.Expression, kwargs map[string]nodes.Expression, s *scope) (*call, error) {
	array, err := e.evalAll(args, s)
	if err != nil {
		return nil, err
	}
	c := &call{args: array, kwargs: map[string]any{}, name: name}
	for k, n := range kwargs {
		if c.kwargs[k], err = e.eval(n, s); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (e *evaluator) invoke(n *nodes.Call, s *scope) (any, error) {
	if name, ok := n.Func.(*nodes.Name); ok && name.Name.Val == "?if" && len(n.Args) >= 2 {
		v, err := e.eval(n.Args[0], s)
		if err != nil {
			return nil, err
		}
		switch {
		case truth(v):
			return e.eval(n.Args[1], s)
		case len(n.Args) > 2:
			return e.eval(n.Args[2], s)
		}
		return undefined{"a condition without else"}, nil
	}
	if get, ok := n.Func.(*nodes.GetAttribute); ok && get.Attribute != "" {
		v, err := e.eval(get.Node, s)
		if err != nil {
			return nil, err
		}
		c, err := e.call(get.Attribute, n.Args, n.Kwargs, s)
		if err != nil {
			return nil, err
		}
		if d, ok := v.(*dict); ok {
			if f, ok := d.index[get.Attribute]; ok && d.namespace {
				if f, ok := d.values[f].(callable); ok {
					return f(e, c)
				}
			}
		}
		if l, ok := v.(*loopState); ok {
			if f, ok := l.attribute(get.Attribute).(callable); ok {
				return f(e, c)
			}
		}
		return e.method(v, c)
	}
	v, err := e.eval(n.Func, s)
	if err != nil {
		return nil, err
	}
	f, ok := v.(callable)
	if !ok {
		return nil, fmt.Errorf("%s cannot be called", typeName(v))
	}
	name := "a function"
	if n, ok := n.Func.(*nodes.Name); ok {
		name = n.Name.Val
	}
	c, err := e.call(name, n.Args, n.Kwargs, s)
	if err != nil {
		return nil, err
	}
	return f(e, c)
}

// attribute is x.name: an attribute, else an item.
func (e *evaluator) attribute(v any, name string) (any, error) {
	switch v := v.(type) {
	case undefined:
		return nil, fmt.Errorf("%s has no attribute %s", typeName(v), name)
	case *loopState:
		return v.attribute(name), nil
	case *dict:
		if one, ok := v.get(name); ok {
			return one, nil
		}
	}
	return undefined{name}, nil
}

// item is x[key].
func (e *evaluator) item(v, key any) (any, error) {
	switch v := v.(type) {
	case undefined:
		return nil, fmt.Errorf("%s has no items", typeName(v))
	case *dict:
		if isKey(key) {
			if one, ok := v.get(key); ok {
				return one, nil
			}
		}
	case *array:
		if i, ok := integer(key); ok {
			if i < 0 {
				i += len(v.items)
			}
			if i >= 0 && i < len(v.items) {
				return v.items[i], nil
			}
		}
	case string:
		if i, ok := integer(key); ok {
			if err := e.spend(len(v)); err != nil {
				return nil, err
			}
			if i < 0 {
				i += utf8.RuneCountInString(v)
			}
			for _, r := range v {
				if i == 0 {
					return string(r), nil
				}
				i--
			}
		}
	}
	if name, ok := key.(string); ok {
		return undefined{name}, nil
	}
	return undefined{"an item"}, nil
}

func (e *evaluator) slice(n *nodes.GetSlice, s *scope) (any, error) {
	v, err := e.eval(n.Node, s)
	if err != nil {
		return nil, err
	}
	bound := [3]*int{}
	for i, node := range []nodes.Node{n.Start, n.End, n.Step} {
		if node == nil {
			continue
		}
		b, err := e.eval(node, s)
		if err != nil {
			return nil, err
		}
		if k, ok := integer(b); ok {
			bound[i] = &k
		} else if b != nil {
			return nil, fmt.Errorf("%s as a bound", typeName(b))
		}
	}
	var items []any
	text, isText := v.(string)
	l, isList := v.(*array)
	switch {
	case isList:
		items = l.items
	case isText:
		if items, err = e.items(text); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%s has no slices", typeName(v))
	}
	step := 1
	if bound[2] != nil {
		step = *bound[2]
	}
	if step == 0 {
		return nil, errors.New("a slice of step 0")
	}
	count := len(items)
	from, to := 0, count
	if step < 0 {
		from, to = count-1, -1
	}
	clamp := func(i int) int {
		if i < 0 {
			i = max(i+count, -1)
			if step > 0 {
				i = max(i, 0)
			}
		}
		if step < 0 {
			return min(i, count-1)
		}
		return min(i, count)
	}
	if bound[0] != nil {
		from = clamp(*bound[0])
	}
	if bound[1] != nil {
		to = clamp(*bound[1])
	}
	var out []any
	for i := from; step > 0 && i < to || step < 0 && i > to; i += step {
		out = append(out, items[i])
		if step > count || step < -count {
			break
		}
	}
	if err := e.spend(stepCost * len(out)); err != nil {
		return nil, err
	}
	if !isText {
		return &array{items: out, tuple: l.tuple}, nil
	}
	var b strings.Builder
	for _, c := range out {
		b.WriteString(c.(string))
	}
	return b.String(), nil
}
