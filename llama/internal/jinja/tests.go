package jinja

import (
	"errors"
	"fmt"
	"strings"
)

func (e *evaluator) test(v any, c *call) (any, error) {
	_, missing := v.(undefined)
	i, isInt := v.(int)
	switch c.name {
	case "defined":
		return !missing, nil
	case "undefined":
		return missing, nil
	case "none":
		return v == nil, nil
	case "true", "false":
		b, ok := v.(bool)
		return ok && b == (c.name == "true"), nil
	case "boolean":
		_, ok := v.(bool)
		return ok, nil
	case "string":
		_, ok := v.(string)
		return ok, nil
	case "integer":
		return isInt, nil
	case "float":
		_, ok := v.(float64)
		return ok, nil
	case "number":
		_, ok := float(v)
		return ok, nil
	case "mapping":
		d, ok := v.(*dict)
		return ok && !d.namespace, nil
	case "iterable", "sequence":
		switch v.(type) {
		case string, *array, *dict:
			return true, nil
		}
		return missing && c.name == "iterable", nil
	case "callable":
		_, ok := v.(callable)
		return ok, nil
	case "odd":
		return isInt && i%2 != 0, nil
	case "even":
		return isInt && i%2 == 0, nil
	case "lower", "upper":
		text, ok := v.(string)
		return ok && text == map[string]func(string) string{"lower": strings.ToLower, "upper": strings.ToUpper}[c.name](text) &&
			strings.ToLower(text) != strings.ToUpper(text), e.spend(len(text))
	}
	if len(c.args) != 1 {
		return nil, fmt.Errorf("there is no test %s", c.name)
	}
	other := c.args[0]
	switch c.name {
	case "in":
		return e.contains(v, other)
	case "equalto", "eq", "==":
		return e.equal(v, other, 0)
	case "ne", "!=":
		same, err := e.equal(v, other, 0)
		return !same, err
	case "lt", "lessthan":
		return e.less(v, other)
	case "gt", "greaterthan":
		return e.less(other, v)
	case "le":
		more, err := e.less(other, v)
		return !more, err
	case "ge":
		less, err := e.less(v, other)
		return !less, err
	case "divisibleby":
		if by, ok := other.(int); ok && by != 0 && isInt {
			return i%by == 0, nil
		}
		return nil, errors.New("divisibleby takes integers")
	case "sameas":
		return e.equal(v, other, 0)
	}
	return nil, fmt.Errorf("there is no test %s", c.name)
}
