package jinja

import (
	"errors"
	"fmt"
	"slices"

	"github.com/llama31/llama31/llama/internal/python"
)

// What templates call: Jinja's functions, filters and tests as far as chat templates use them, Python's methods of strings, dicts and
// lists but for those that change one (transformers' sandbox refuses them too), and what transformers adds: raise_exception,
// strftime_now, its own tojson.

var functions = map[string]callable{
	"raise_exception": func(e *evaluator, c *call) (any, error) {
		message, err := e.text(c.arg(0, "message", ""))
		if err != nil {
			return nil, err
		}
		return nil, errors.New(message)
	},
	"strftime_now": func(e *evaluator, c *call) (any, error) {
		format, err := c.text(0, "format", "")
		if err != nil {
			return nil, err
		}
		return python.Strftime(e.now, format), e.spend(16 * len(format))
	},
	"namespace": func(e *evaluator, c *call) (any, error) {
		d, err := dictOf(c)
		d.namespace = true
		return d, err
	},
	"dict": func(e *evaluator, c *call) (any, error) { return dictOf(c) },
	"range": func(e *evaluator, c *call) (any, error) {
		from, to, step := 0, 0, 1
		for i, arg := range c.args {
			n, ok := integer(arg)
			if !ok || i > 2 {
				return nil, errors.New("range takes one to three integers")
			}
			switch {
			case len(c.args) == 1:
				to = n
			default:
				*[]*int{&from, &to, &step}[i] = n
			}
		}
		if step == 0 {
			return nil, errors.New("range with step 0")
		}
		l := &array{}
		for i := from; step > 0 && i < to || step < 0 && i > to; {
			if err := e.spend(stepCost); err != nil {
				return nil, err
			}
			l.items = append(l.items, i)
			next := i + step
			if (next > i) != (step > 0) {
				break // overflow
			}
			i = next
		}
		return l, nil
	},
}

func dictOf(c *call) (*dict, error) {
	d := newDict()
	if len(c.args) > 0 {
		from, ok := c.args[0].(*dict)
		if !ok {
			return d, fmt.Errorf("%s of %s", c.name, typeName(c.args[0]))
		}
		for i, k := range from.keys {
			d.set(k, from.values[i])
		}
	}
	for _, k := range slices.Sorted(keysOf(c.kwargs)) { // gonja does not keep the order
		d.set(k, c.kwargs[k])
	}
	return d, nil
}

func keysOf(m map[string]any) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
