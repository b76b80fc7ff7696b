package jinja

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/llama31/llama31/llama/internal/python"
)

// Values of a template are nil (none), bool, int, float64, string, json.Number (an integer beyond int), *list, *dict, undefined and
// callable. Lists and dicts are shared, as in Python; whoever walks them counts how deep he is and spends for each, so that a namespace
// in itself, or a list of one list twice of one list twice and so on, ends with an error.
type (
	array struct {
		items []any
		tuple bool
	}
	dict struct {
		keys      []any // bool, int, float64, string or nil
		values    []any
		index     map[any]int
		namespace bool // its items are attributes that can be set
	}
	undefined struct{ name string }
	callable  func(e *evaluator, c *call) (any, error)
)

// A call is what a function, filter, test or method gets.
type call struct {
	args   []any
	kwargs map[string]any
	name   string
}

// arg is argument i, or the one of that name, or otherwise.
func (c *call) arg(i int, name string, otherwise any) any {
	if i < len(c.args) {
		return c.args[i]
	}
	if v, ok := c.kwargs[name]; ok {
		return v
	}
	return otherwise
}

// text is the same for a string.
func (c *call) text(i int, name, otherwise string) (string, error) {
	switch v := c.arg(i, name, otherwise).(type) {
	case string:
		return v, nil
	default:
		return "", fmt.Errorf("%s: argument %s is %s, expected a string", c.name, name, typeName(v))
	}
}

// number is the same for an integer.
func (c *call) number(i int, name string, otherwise int) (int, error) {
	if n, ok := integer(c.arg(i, name, otherwise)); ok {
		return n, nil
	}
	return 0, fmt.Errorf("%s: argument %s is %s, expected an integer", c.name, name, typeName(c.arg(i, name, otherwise)))
}

func newDict() *dict { return &dict{index: map[any]int{}} }

func (d *dict) get(key any) (any, bool) {
	if i, ok := d.index[key]; ok {
		return d.values[i], true
	}
	return nil, false
}

func (d *dict) set(key, value any) {
	if i, ok := d.index[key]; ok {
		d.values[i] = value
		return
	}
	d.index[key] = len(d.keys)
	d.keys, d.values = append(d.keys, key), append(d.values, value)
}

// isKey tells whether a value can be the key of a dict.
func isKey(v any) bool {
	switch v.(type) {
	case nil, bool, int, float64, string:
		return true
	}
	return false
}

// fromJSON makes a value of what python.ParseJSON returned.
func fromJSON(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := strconv.Atoi(v.String()); err == nil {
			return i
		}
		if strings.ContainsAny(v.String(), ".eE") {
			f, _ := strconv.ParseFloat(v.String(), 64)
			return f
		}
		return v
	case []any:
		l := &array{items: make([]any, len(v))}
		for i := range v {
			l.items[i] = fromJSON(v[i])
		}
		return l
	case python.Object:
		d := newDict()
		for _, f := range v {
			d.set(f.Key, fromJSON(f.Value))
		}
		return d
	}
	return v
}

// toJSON makes of a value what python.Style writes.
func (e *evaluator) toJSON(v any, depth int) (any, error) {
	if err := e.walk(depth); err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case nil, bool, json.Number:
		return v, nil
	case string:
		return v, e.spend(len(v))
	case int:
		return json.Number(strconv.Itoa(v)), nil
	case float64:
		return json.Number(python.Float(v)), nil
	case *array:
		out := make([]any, len(v.items))
		for i, item := range v.items {
			one, err := e.toJSON(item, depth+1)
			if err != nil {
				return nil, err
			}
			out[i] = one
		}
		return out, nil
	case *dict:
		out := make(python.Object, len(v.keys))
		for i, key := range v.keys {
			one, err := e.toJSON(v.values[i], depth+1)
			if err != nil {
				return nil, err
			}
			name, ok := key.(string)
			if !ok {
				k, err := e.toJSON(key, depth+1)
				if err != nil {
					return nil, err
				}
				name = string((&python.Style{}).Append(nil, k))
			}
			out[i] = python.Field{Key: name, Value: one}
		}
		return out, nil
	}
	return nil, fmt.Errorf("%s cannot be written as JSON", typeName(v))
}

// walk counts a step into a value.
func (e *evaluator) walk(depth int) error {
	if depth > maxValueDepth {
		return fmt.Errorf("lists and dicts more than %d deep in each other", maxValueDepth)
	}
	return e.spend(stepCost)
}

func typeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "none"
	case bool:
		return "a boolean"
	case int, json.Number:
		return "an integer"
	case float64:
		return "a float"
	case string:
		return "a string"
	case *array:
		return "a list"
	case *dict:
		return "a dict"
	case undefined:
		return strconv.Quote(v.name) + ", which is undefined,"
	}
	return "a function"
}

func truth(v any) bool {
	switch v := v.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case int:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case *array:
		return len(v.items) > 0
	case *dict:
		return len(v.keys) > 0
	}
	return true
}

// integer is an int, or a bool as Python counts with it.
func integer(v any) (int, bool) {
	switch v := v.(type) {
	case int:
		return v, true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

func float(v any) (float64, bool) {
	if f, ok := v.(float64); ok {
		return f, true
	}
	i, ok := integer(v)
	return float64(i), ok
}

// text is Python's str.
func (e *evaluator) text(v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	var b strings.Builder
	err := e.write(&b, v, 0)
	return b.String(), err
}

// write writes str of a value, or repr inside of others.
func (e *evaluator) write(b *strings.Builder, v any, depth int) error {
	if err := e.walk(depth); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
		b.WriteString("None")
	case bool:
		if v {
			b.WriteString("True")
		} else {
			b.WriteString("False")
		}
	case int:
		b.WriteString(strconv.Itoa(v))
	case json.Number:
		b.WriteString(v.String())
	case float64:
		switch {
		case math.IsInf(v, 0), math.IsNaN(v):
			b.WriteString(strings.ToLower(python.Float(v)[:len(python.Float(v))-len("inity")*btoi(math.IsInf(v, 0))]))
		default:
			b.WriteString(python.Float(v))
		}
	case undefined:
		if depth > 0 {
			b.WriteString("Undefined")
		}
	case string:
		if err := e.spend(len(v)); err != nil {
			return err
		}
		if depth == 0 {
			b.WriteString(v)
		} else {
			pythonRepr(b, v)
		}
	case *array:
		open, end := "[", "]"
		if v.tuple {
			open, end = "(", ")"
			if len(v.items) == 1 {
				end = ",)"
			}
		}
		b.WriteString(open)
		for i, item := range v.items {
			if i > 0 {
				b.WriteString(", ")
			}
			if err := e.write(b, item, depth+1); err != nil {
				return err
			}
		}
		b.WriteString(end)
	case *dict:
		b.WriteString("{")
		for i, key := range v.keys {
			if i > 0 {
				b.WriteString(", ")
			}
			if err := e.write(b, key, depth+1); err != nil {
				return err
			}
			b.WriteString(": ")
			if err := e.write(b, v.values[i], depth+1); err != nil {
				return err
			}
		}
		b.WriteString("}")
	default:
		return errors.New("a function cannot be written")
	}
	return nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// pythonRepr writes a string as Python's repr, for printable characters.
func pythonRepr(b *strings.Builder, s string) {
	quote := '\''
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b.WriteRune(quote)
	for _, r := range s {
		switch {
		case r == quote || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteRune(quote)
}

// equal is Python's ==.
func (e *evaluator) equal(a, b any, depth int) (bool, error) {
	if err := e.walk(depth); err != nil {
		return false, err
	}
	if x, ok := float(a); ok {
		y, ok := float(b)
		return ok && x == y, nil
	}
	switch a := a.(type) {
	case nil:
		return b == nil, nil
	case string:
		b, ok := b.(string)
		if ok && len(a) == len(b) {
			return a == b, e.spend(len(a))
		}
		return false, nil
	case json.Number:
		b, ok := b.(json.Number)
		return ok && a == b, nil
	case undefined:
		_, ok := b.(undefined)
		return ok, nil
	case *array:
		b, ok := b.(*array)
		if !ok || len(a.items) != len(b.items) || a.tuple != b.tuple {
			return false, nil
		}
		for i := range a.items {
			if same, err := e.equal(a.items[i], b.items[i], depth+1); !same || err != nil {
				return false, err
			}
		}
		return true, nil
	case *dict:
		b, ok := b.(*dict)
		if !ok || len(a.keys) != len(b.keys) {
			return false, nil
		}
		for i, key := range a.keys {
			other, ok := b.get(key)
			if !ok {
				return false, nil
			}
			if same, err := e.equal(a.values[i], other, depth+1); !same || err != nil {
				return false, err
			}
		}
		return true, nil
	}
	return false, nil
}

// less is Python's <.
func (e *evaluator) less(a, b any) (bool, error) {
	if x, ok := float(a); ok {
		if y, ok := float(b); ok {
			return x < y, nil
		}
	}
	x, ok := a.(string)
	if y, ok2 := b.(string); ok && ok2 {
		return x < y, e.spend(min(len(x), len(y)))
	}
	l, ok := a.(*array)
	if m, ok2 := b.(*array); ok && ok2 {
		for i := range min(len(l.items), len(m.items)) {
			if same, err := e.equal(l.items[i], m.items[i], 0); err != nil {
				return false, err
			} else if !same {
				if _, nested := l.items[i].(*array); nested {
					return false, errors.New("lists of lists have no order here")
				}
				return e.less(l.items[i], m.items[i])
			}
		}
		return len(l.items) < len(m.items), nil
	}
	return false, fmt.Errorf("%s and %s have no order", typeName(a), typeName(b))
}

// contains is Python's in.
func (e *evaluator) contains(item, in any) (bool, error) {
	switch in := in.(type) {
	case string:
		s, ok := item.(string)
		if !ok {
			return false, fmt.Errorf("%s in a string", typeName(item))
		}
		return strings.Contains(in, s), e.spend(len(in) + len(s))
	case *array:
		for _, one := range in.items {
			if same, err := e.equal(one, item, 0); same || err != nil {
				return same, err
			}
		}
		return false, nil
	case *dict:
		if !isKey(item) {
			return false, nil
		}
		_, ok := in.get(item)
		return ok, nil
	case undefined:
		return false, nil
	}
	return false, fmt.Errorf("%s has nothing in it", typeName(in))
}

// items are what a loop goes through.
func (e *evaluator) items(v any) ([]any, error) {
	switch v := v.(type) {
	case *array:
		return v.items, e.spend(len(v.items))
	case *dict:
		return v.keys, e.spend(len(v.keys))
	case string:
		if err := e.spend(stepCost * len(v)); err != nil {
			return nil, err
		}
		var out []any
		for i, r := range v {
			_ = i
			out = append(out, string(r))
		}
		return out, nil
	case undefined:
		return nil, nil
	}
	return nil, fmt.Errorf("%s cannot be gone through", typeName(v))
}
