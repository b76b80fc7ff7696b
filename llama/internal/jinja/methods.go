package jinja

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/llama31/llama31/llama/internal/python"
)

// method is v.name(...).
func (e *evaluator) method(v any, c *call) (any, error) {
	switch v := v.(type) {
	case string:
		return e.stringMethod(v, c)
	case *dict:
		switch c.name {
		case "get":
			if key := c.arg(0, "key", nil); isKey(key) {
				if one, ok := v.get(key); ok {
					return one, nil
				}
			}
			return c.arg(1, "default", nil), nil
		case "items", "keys", "values":
			out := &array{}
			for i, k := range v.keys {
				switch c.name {
				case "items":
					out.items = append(out.items, &array{items: []any{k, v.values[i]}, tuple: true})
				case "keys":
					out.items = append(out.items, k)
				default:
					out.items = append(out.items, v.values[i])
				}
			}
			return out, e.spend(2 * stepCost * len(v.keys))
		case "copy":
			return dictOf(&call{args: []any{v}, name: "copy"})
		}
	case *array:
		switch c.name {
		case "index", "count":
			n := 0
			for i, one := range v.items {
				same, err := e.equal(one, c.arg(0, "value", nil), 0)
				if err != nil {
					return nil, err
				}
				if same && c.name == "index" {
					return i, nil
				}
				n += btoi(same)
			}
			if c.name == "index" {
				return nil, errors.New("index of an item that is not there")
			}
			return n, nil
		case "copy":
			return &array{items: slices.Clone(v.items)}, e.spend(stepCost * len(v.items))
		}
	}
	switch c.name {
	case "append", "clear", "extend", "insert", "pop", "remove", "reverse", "setdefault", "sort", "update":
		return nil, fmt.Errorf("%s cannot be changed by %s: templates run in a sandbox", typeName(v), c.name)
	}
	return nil, fmt.Errorf("%s has no method %s", typeName(v), c.name)
}

func (e *evaluator) stringMethod(s string, c *call) (any, error) {
	if err := e.spend(len(s)); err != nil {
		return nil, err
	}
	switch c.name {
	case "strip", "lstrip", "rstrip":
		cut := python.IsSpace
		if chars := c.arg(0, "chars", nil); chars != nil {
			set, ok := chars.(string)
			if !ok {
				return nil, fmt.Errorf("%s of %s", c.name, typeName(chars))
			}
			if err := e.spend(len(set) * min(len(s), 1000)); err != nil {
				return nil, err
			}
			cut = func(r rune) bool { return strings.ContainsRune(set, r) }
		}
		if c.name != "rstrip" {
			s = strings.TrimLeftFunc(s, cut)
		}
		if c.name != "lstrip" {
			s = strings.TrimRightFunc(s, cut)
		}
		return s, nil
	case "upper":
		return strings.ToUpper(s), nil
	case "lower":
		return strings.ToLower(s), nil
	case "capitalize":
		r := []rune(strings.ToLower(s))
		if len(r) > 0 {
			r[0] = unicode.ToTitle(r[0])
		}
		return string(r), nil
	case "title":
		inside := false
		return strings.Map(func(r rune) rune {
			was := inside
			inside = unicode.IsLetter(r)
			if was {
				return unicode.ToLower(r)
			}
			return unicode.ToTitle(r)
		}, s), nil
	case "startswith", "endswith":
		has := strings.HasPrefix
		if c.name == "endswith" {
			has = strings.HasSuffix
		}
		switch what := c.arg(0, "prefix", nil).(type) {
		case string:
			return has(s, what), nil
		case *array:
			for _, one := range what.items {
				if text, ok := one.(string); ok && has(s, text) {
					return true, nil
				}
			}
			return false, nil
		}
		return nil, fmt.Errorf("%s takes a string", c.name)
	case "split", "rsplit":
		return e.split(s, c)
	case "splitlines":
		out := &array{}
		for line := range strings.Lines(s) {
			out.items = append(out.items, strings.TrimRight(line, "\r\n"))
		}
		return out, e.spend(stepCost * len(out.items))
	case "replace":
		from, err := c.text(0, "old", "")
		if err != nil {
			return nil, err
		}
		to, err := c.text(1, "new", "")
		if err != nil {
			return nil, err
		}
		count, err := c.number(2, "count", -1)
		if err != nil {
			return nil, err
		}
		n := strings.Count(s, from)
		if count >= 0 {
			n = min(n, count)
		}
		if int64(n)*int64(len(to)) > e.budget {
			return nil, errBudget
		}
		return strings.Replace(s, from, to, count), e.spend(n * len(to))
	case "find", "rfind", "index":
		what, err := c.text(0, "sub", "")
		if err != nil {
			return nil, err
		}
		i := strings.Index(s, what)
		if c.name == "rfind" {
			i = strings.LastIndex(s, what)
		}
		if i < 0 {
			if c.name == "index" {
				return nil, errors.New("index of a text that is not there")
			}
			return -1, nil
		}
		return len([]rune(s[:i])), nil
	case "count":
		what, err := c.text(0, "sub", "")
		return strings.Count(s, what), err
	case "removeprefix":
		what, err := c.text(0, "prefix", "")
		return strings.TrimPrefix(s, what), err
	case "removesuffix":
		what, err := c.text(0, "suffix", "")
		return strings.TrimSuffix(s, what), err
	case "join":
		return e.listFilter(c.arg(0, "iterable", nil), &call{args: []any{s}, name: "join"})
	case "isdigit", "isalpha", "isalnum", "isspace", "isupper", "islower":
		is := map[string]func(rune) bool{"isdigit": unicode.IsDigit, "isalpha": unicode.IsLetter, "isspace": python.IsSpace, "isupper": unicode.IsUpper,
			"islower": unicode.IsLower, "isalnum": func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }}[c.name]
		return s != "" && strings.IndexFunc(s, func(r rune) bool { return !is(r) }) < 0, nil
	case "format":
		return e.format(s, c)
	}
	return nil, fmt.Errorf("a string has no method %s", c.name)
}

func (e *evaluator) split(s string, c *call) (any, error) {
	most, err := c.number(1, "maxsplit", -1)
	if err != nil {
		return nil, err
	}
	var parts []string
	separator, given := c.arg(0, "sep", nil).(string)
	switch {
	case !given && most < 0:
		parts = strings.FieldsFunc(s, python.IsSpace)
	case !given:
		rest := strings.TrimLeftFunc(s, python.IsSpace)
		for most > 0 && rest != "" {
			i := strings.IndexFunc(rest, python.IsSpace)
			if i < 0 {
				break
			}
			parts, rest = append(parts, rest[:i]), strings.TrimLeftFunc(rest[i:], python.IsSpace)
			most--
		}
		if rest != "" {
			parts = append(parts, rest)
		}
	case separator == "":
		return nil, errors.New("split by nothing")
	case c.name == "rsplit" && most >= 0:
		rest := s
		for ; most > 0; most-- {
			i := strings.LastIndex(rest, separator)
			if i < 0 {
				break
			}
			parts, rest = append(parts, rest[i+len(separator):]), rest[:i]
		}
		parts = append(parts, rest)
		slices.Reverse(parts)
	case most >= 0:
		parts = strings.SplitN(s, separator, most+1)
	default:
		parts = strings.Split(s, separator)
	}
	out := &array{items: make([]any, len(parts))}
	for i, p := range parts {
		out.items[i] = p
	}
	return out, e.spend(stepCost * len(parts))
}

// format is str.format with plain {}, {0} and {name}.
func (e *evaluator) format(s string, c *call) (any, error) {
	var b strings.Builder
	next := 0
	for i := 0; i < len(s); i++ {
		if s[i] != '{' && s[i] != '}' {
			b.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == s[i] {
			b.WriteByte(s[i])
			i++
			continue
		}
		end := strings.IndexByte(s[i:], '}')
		if s[i] == '}' || end < 0 {
			return nil, errors.New("format with a brace alone")
		}
		field := s[i+1 : i+end]
		i += end
		var v any
		n, err := strconv.Atoi(field)
		switch {
		case field == "":
			n, next = next, next+1
			fallthrough
		case err == nil:
			if n < 0 || n >= len(c.args) {
				return nil, fmt.Errorf("format of argument %d of %d", n, len(c.args))
			}
			v = c.args[n]
		default:
			var ok bool
			if v, ok = c.kwargs[field]; !ok {
				return nil, fmt.Errorf("format of {%s}", field)
			}
		}
		text, err := e.text(v)
		if err != nil {
			return nil, err
		}
		if err := e.spend(len(text)); err != nil {
			return nil, err
		}
		b.WriteString(text)
	}
	return b.String(), nil
}
