package llama

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
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
		return strftime(e.conversation.clock(), format), e.spend(16 * len(format))
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
	style := jsonStyle{ascii: truth(c.arg(0, "ensure_ascii", false))}
	size := 1
	switch indent := c.arg(1, "indent", nil).(type) {
	case nil:
	case string:
		style.lines, style.indent = true, indent
	case int:
		if indent > 100 {
			return nil, fmt.Errorf("indent %d, expected at most 100", indent)
		}
		style.lines, style.indent = true, strings.Repeat(" ", max(indent, 0))
	default:
		return nil, fmt.Errorf("indent %s", typeName(indent))
	}
	if separators, ok := c.arg(2, "separators", nil).(*array); ok && len(separators.items) == 2 {
		item, ok := separators.items[0].(string)
		colon, ok2 := separators.items[1].(string)
		if !ok || !ok2 || len(item) > 10 || len(colon) > 10 {
			return nil, errors.New("separators that are no short strings")
		}
		style.item, style.colon = &item, &colon
	}
	if len(style.indent) > 100 {
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
	if style.lines {
		size += int(before-e.budget) / stepCost * (len(style.indent)*depthOf(tree) + 1)
	}
	if err := e.spend(size); err != nil {
		return nil, err
	}
	return string(style.append(nil, tree, 0)), nil
}

func depthOf(v any) int {
	depth := 0
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			depth = max(depth, depthOf(one))
		}
	case jsonObject:
		for _, f := range v {
			depth = max(depth, depthOf(f.value))
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
	case jsonObject:
		slices.SortStableFunc(v, func(a, b jsonField) int { return strings.Compare(a.key, b.key) })
		for _, f := range v {
			sortKeys(f.value)
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
		if i, err := strconv.Atoi(trim(s)); err == nil && c.name == "int" {
			return i, nil
		}
		var err error
		f, err = strconv.ParseFloat(trim(s), 64)
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
		cut := isSpace
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
		is := map[string]func(rune) bool{"isdigit": unicode.IsDigit, "isalpha": unicode.IsLetter, "isspace": isSpace, "isupper": unicode.IsUpper,
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
		parts = strings.FieldsFunc(s, isSpace)
	case !given:
		rest := strings.TrimLeftFunc(s, isSpace)
		for most > 0 && rest != "" {
			i := strings.IndexFunc(rest, isSpace)
			if i < 0 {
				break
			}
			parts, rest = append(parts, rest[:i]), strings.TrimLeftFunc(rest[i:], isSpace)
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
