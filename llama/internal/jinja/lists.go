package jinja

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// sort sorts stably by what key gives.
func (e *evaluator) sort(items []any, reverse, caseSensitive bool, key func(any) (any, error)) (any, error) {
	type pair struct{ key, item any }
	pairs := make([]pair, len(items))
	for i, item := range items {
		k, err := key(item)
		if err != nil {
			return nil, err
		}
		if s, ok := k.(string); ok && !caseSensitive {
			k = strings.ToLower(s)
		}
		pairs[i] = pair{k, item}
	}
	var failed error
	compare := func(a, b pair) int {
		for i, ab := range [2][2]pair{{a, b}, {b, a}} {
			less, err := e.less(ab[0].key, ab[1].key)
			if err == nil {
				err = e.spend(stepCost)
			}
			if err != nil {
				failed = err
				return 0
			}
			if less {
				return 2*i - 1
			}
		}
		return 0
	}
	slices.SortStableFunc(pairs, func(a, b pair) int {
		if reverse {
			a, b = b, a
		}
		return compare(a, b)
	})
	out := &array{}
	for _, p := range pairs {
		out.items = append(out.items, p.item)
	}
	return out, failed
}

// path is what an attribute of a filter names: "function.name", say.
func (e *evaluator) path(v any, name any) (any, error) {
	text, ok := name.(string)
	if !ok {
		return e.item(v, name)
	}
	for part := range strings.SplitSeq(text, ".") {
		var err error
		if i, bad := strconv.Atoi(part); bad == nil {
			v, err = e.item(v, i)
		} else {
			v, err = e.attribute(v, part)
		}
		if err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (e *evaluator) listFilter(v any, c *call) (any, error) {
	switch c.name {
	case "first", "last", "list", "join", "reverse", "unique", "sort", "min", "max", "sum", "map", "select", "reject", "selectattr", "rejectattr":
	default:
		return nil, fmt.Errorf("there is no filter %s", c.name)
	}
	if text, ok := v.(string); ok && c.name == "reverse" {
		r := []rune(text)
		slices.Reverse(r)
		return string(r), e.spend(len(text))
	}
	if v == nil && (c.name == "map" || strings.HasPrefix(c.name, "select") || strings.HasPrefix(c.name, "reject")) {
		return &array{}, nil
	}
	items, err := e.items(v)
	if err != nil {
		return nil, err
	}
	if err := e.spend(stepCost * len(items)); err != nil {
		return nil, err
	}
	attribute := c.kwargs["attribute"]
	field := func(v any) (any, error) {
		if attribute == nil {
			return v, nil
		}
		return e.path(v, attribute)
	}
	switch c.name {
	case "first", "last":
		if len(items) == 0 {
			return undefined{"the " + c.name + " of nothing"}, nil
		}
		if c.name == "last" {
			return items[len(items)-1], nil
		}
		return items[0], nil
	case "list":
		return &array{items: slices.Clone(items)}, nil
	case "reverse":
		out := slices.Clone(items)
		slices.Reverse(out)
		return &array{items: out}, nil
	case "join":
		if attribute == nil {
			attribute = c.arg(1, "attribute", nil)
		}
		separator, err := e.text(c.arg(0, "d", ""))
		if err != nil {
			return nil, err
		}
		var b strings.Builder
		for i, item := range items {
			if item, err = field(item); err != nil {
				return nil, err
			}
			text, err := e.text(item)
			if err != nil {
				return nil, err
			}
			if err := e.spend(len(text) + len(separator)); err != nil {
				return nil, err
			}
			if i > 0 {
				b.WriteString(separator)
			}
			b.WriteString(text)
		}
		return b.String(), nil
	case "unique":
		out := &array{}
		for _, item := range items {
			seen, err := e.contains(item, out)
			if err != nil {
				return nil, err
			}
			if !seen {
				out.items = append(out.items, item)
			}
		}
		return out, nil
	case "sort":
		return e.sort(items, truth(c.arg(0, "reverse", false)), truth(c.arg(1, "case_sensitive", false)), field)
	case "min", "max":
		sorted, err := e.sort(items, c.name == "max", truth(c.arg(0, "case_sensitive", false)), field)
		if err != nil || len(items) == 0 {
			return undefined{c.name}, err
		}
		return sorted.(*array).items[0], nil
	case "sum":
		var total any = c.arg(1, "start", 0)
		for _, item := range items {
			if item, err = field(item); err != nil {
				return nil, err
			}
			x, ok := float(item)
			y, ok2 := float(total)
			if !ok || !ok2 {
				return nil, fmt.Errorf("sum of %s", typeName(item))
			}
			if i, ok := integer(item); ok {
				if j, ok := integer(total); ok {
					total = i + j
					continue
				}
			}
			total = x + y
		}
		return total, nil
	case "map":
		return e.mapFilter(items, c, attribute)
	}
	return e.selectFilter(items, c)
}

func (e *evaluator) mapFilter(items []any, c *call, attribute any) (any, error) {
	out := &array{}
	for _, item := range items {
		var one any
		var err error
		if attribute != nil {
			one, err = e.path(item, attribute)
			if _, missing := one.(undefined); missing && err == nil {
				if other, ok := c.kwargs["default"]; ok {
					one = other
				}
			}
		} else {
			name, ok := c.arg(0, "", nil).(string)
			if !ok || name == "map" {
				return nil, errors.New("map of no filter")
			}
			one, err = e.filter(item, &call{args: c.args[1:], kwargs: c.kwargs, name: name})
		}
		if err != nil {
			return nil, err
		}
		out.items = append(out.items, one)
	}
	return out, nil
}

// selectFilter is select, reject, selectattr and rejectattr.
func (e *evaluator) selectFilter(items []any, c *call) (any, error) {
	args := c.args
	var attribute any
	if strings.HasSuffix(c.name, "attr") {
		if len(args) == 0 {
			return nil, fmt.Errorf("%s of no attribute", c.name)
		}
		attribute, args = args[0], args[1:]
	}
	out := &array{}
	for _, item := range items {
		v := item
		var err error
		if attribute != nil {
			if v, err = e.path(item, attribute); err != nil {
				return nil, err
			}
		}
		keep := truth(v)
		if len(args) > 0 {
			name, ok := args[0].(string)
			if !ok {
				return nil, fmt.Errorf("%s by %s, expected the name of a test", c.name, typeName(args[0]))
			}
			result, err := e.test(v, &call{args: args[1:], kwargs: c.kwargs, name: name})
			if err != nil {
				return nil, err
			}
			keep = truth(result)
		}
		if keep == strings.HasPrefix(c.name, "select") {
			out.items = append(out.items, item)
		}
	}
	return out, nil
}
