package jinja

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/llama31/llama31/llama/internal/python"
)

func (e *evaluator) filter(v any, c *call) (any, error) {
	switch c.name {
	case "trim", "upper", "lower", "capitalize", "title", "replace", "string", "safe", "e", "escape", "indent":
		text, err := e.text(v)
		if err != nil {
			return nil, err
		}
		switch c.name {
		case "string", "safe":
			return text, nil
		case "trim":
			return e.method(text, &call{args: c.args, kwargs: c.kwargs, name: "strip"})
		case "e", "escape":
			out := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;").Replace(text)
			return out, e.spend(len(out))
		case "indent":
			return e.indent(text, c)
		}
		return e.method(text, c)
	case "length", "count":
		return e.length(v)
	case "tojson":
		return e.tojson(v, c)
	case "default", "d":
		other := c.arg(0, "default_value", "")
		if _, ok := v.(undefined); ok || truth(c.arg(1, "boolean", false)) && !truth(v) {
			return other, nil
		}
		return v, nil
	case "items":
		if _, ok := v.(undefined); ok {
			return &array{}, nil
		}
		return e.method(v, c)
	case "int", "float":
		return e.numberOf(v, c)
	case "abs":
		if i, ok := integer(v); ok {
			return max(i, -i), nil
		}
		if f, ok := v.(float64); ok {
			return math.Abs(f), nil
		}
		return nil, fmt.Errorf("abs of %s", typeName(v))
	case "round":
		f, ok := float(v)
		digits, err := c.number(0, "precision", 0)
		if !ok || err != nil || digits < 0 || digits > 300 {
			return nil, fmt.Errorf("round of %s", typeName(v))
		}
		p := math.Pow10(digits)
		return math.RoundToEven(f*p) / p, nil
	case "dictsort":
		return e.dictsort(v, c)
	}
	return e.listFilter(v, c)
}

func (e *evaluator) indent(text string, c *call) (any, error) {
	prefix, ok := c.arg(0, "width", 4).(string)
	if !ok {
		width, err := c.number(0, "width", 4)
		if err != nil || width < 0 || width > 1000 {
			return nil, errors.New("indent by that width")
		}
		prefix = strings.Repeat(" ", width)
	}
	first, blank := truth(c.arg(1, "first", false)), truth(c.arg(2, "blank", false))
	lines := strings.Split(text, "\n")
	if err := e.spend(len(text) + len(lines)*(len(prefix)+stepCost)); err != nil {
		return nil, err
	}
	for i := range lines {
		if (i > 0 || first) && (blank || lines[i] != "" || i == 0) {
			lines[i] = prefix + lines[i]
		}
	}
	return strings.Join(lines, "\n"), nil
}

// tojson is the one that transformers gives to templates: json.dumps, without Jinja's escapes of HTML, other characters as they are.
func (e *evaluator) tojson(v any, c *call) (any, error) {
	style := python.Style{ASCII: truth(c.arg(0, "ensure_ascii", false))}
	size := 1
	switch indent := c.arg(1, "indent", nil).(type) {
	case nil:
	case string:
		style.Lines, style.Indent = true, indent
	case int:
		if indent > 100 {
			return nil, fmt.Errorf("indent %d, expected at most 100", indent)
		}
		style.Lines, style.Indent = true, strings.Repeat(" ", max(indent, 0))
	default:
		return nil, fmt.Errorf("indent %s", typeName(indent))
	}
	if separators, ok := c.arg(2, "separators", nil).(*array); ok && len(separators.items) == 2 {
		item, ok := separators.items[0].(string)
		colon, ok2 := separators.items[1].(string)
		if !ok || !ok2 || len(item) > 10 || len(colon) > 10 {
			return nil, errors.New("separators that are no short strings")
		}
		style.Item, style.Colon = &item, &colon
	}
	if len(style.Indent) > 100 {
		return nil, errors.New("indent longer than 100")
	}
	before := e.budget
	tree, err := e.toJSON(v, 0)
	if err != nil {
		return nil, err
	}
	if truth(c.arg(3, "sort_keys", false)) {
		sortKeys(tree)
	}
	// What it took to walk the value is 16 for each node and 1 for each byte; a node takes a line.
	size = int(before-e.budget) * 2
	if style.Lines {
		size += int(before-e.budget) / stepCost * (len(style.Indent)*depthOf(tree) + 1)
	}
	if err := e.spend(size); err != nil {
		return nil, err
	}
	return string(style.Append(nil, tree)), nil
}

func depthOf(v any) int {
	depth := 0
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			depth = max(depth, depthOf(one))
		}
	case python.Object:
		for _, f := range v {
			depth = max(depth, depthOf(f.Value))
		}
	default:
		return 0
	}
	return depth + 1
}

func sortKeys(v any) {
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			sortKeys(one)
		}
	case python.Object:
		slices.SortStableFunc(v, func(a, b python.Field) int { return strings.Compare(a.Key, b.Key) })
		for _, f := range v {
			sortKeys(f.Value)
		}
	}
}

func (e *evaluator) length(v any) (any, error) {
	switch v := v.(type) {
	case string:
		return len([]rune(v)), e.spend(len(v))
	case *array:
		return len(v.items), nil
	case *dict:
		return len(v.keys), nil
	case undefined:
		return 0, nil
	}
	return nil, fmt.Errorf("%s has no length", typeName(v))
}

func (e *evaluator) numberOf(v any, c *call) (any, error) {
	var zero any = 0
	if c.name == "float" {
		zero = 0.0
	}
	f, ok := float(v)
	if s, isText := v.(string); isText {
		if i, err := strconv.Atoi(python.Strip(s)); err == nil && c.name == "int" {
			return i, nil
		}
		var err error
		f, err = strconv.ParseFloat(python.Strip(s), 64)
		ok = err == nil
	}
	switch {
	case !ok || c.name == "int" && !(math.Abs(f) < 1<<62):
		return c.arg(0, "default", zero), nil
	case c.name == "int":
		return int(f), nil
	}
	return f, nil
}

func (e *evaluator) dictsort(v any, c *call) (any, error) {
	pairs, err := e.method(v, &call{name: "items"})
	if err != nil {
		return nil, err
	}
	by := 0
	if c.arg(1, "by", "key") == "value" {
		by = 1
	}
	return e.sort(pairs.(*array).items, truth(c.arg(2, "reverse", false)), truth(c.arg(0, "case_sensitive", false)),
		func(v any) (any, error) { return v.(*array).items[by], nil })
}
