package llama

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/tokens"
)

// An evaluator renders a template once.
type evaluator struct {
	template     *jinja
	conversation *conversation
	globals      *scope
	out          *strings.Builder
	budget       int64
	macros       int // calls in calls
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

func (e *evaluator) binary(n *nodes.BinaryExpression, s *scope) (any, error) {
	left, err := e.eval(n.Left, s)
	if err != nil {
		return nil, err
	}
	op := n.Operator.Token.Type
	if op == tokens.And && !truth(left) || op == tokens.Or && truth(left) {
		return left, nil
	}
	right, err := e.eval(n.Right, s)
	if err != nil {
		return nil, err
	}
	switch op {
	case tokens.And, tokens.Or:
		return right, nil
	case tokens.Equals:
		return e.equal(left, right, 0)
	case tokens.Ne:
		same, err := e.equal(left, right, 0)
		return !same, err
	case tokens.LowerThan:
		return e.less(left, right)
	case tokens.GreaterThan:
		return e.less(right, left)
	case tokens.LowerThanOrEqual:
		more, err := e.less(right, left)
		return !more, err
	case tokens.GreaterThanOrEqual:
		less, err := e.less(left, right)
		return !less, err
	case tokens.Tilde:
		a, err := e.text(left)
		if err != nil {
			return nil, err
		}
		b, err := e.text(right)
		if err != nil {
			return nil, err
		}
		return e.join(a, b)
	}
	return e.arithmetic(op, left, right)
}

func (e *evaluator) join(a, b string) (any, error) {
	if err := e.spend(len(a) + len(b)); err != nil {
		return nil, err
	}
	return a + b, nil
}

func (e *evaluator) arithmetic(op tokens.Type, left, right any) (any, error) {
	wrong := func() (any, error) {
		return nil, fmt.Errorf("%s %s %s", typeName(left), map[tokens.Type]string{tokens.Addition: "+", tokens.Subtraction: "-", tokens.Multiply: "*",
			tokens.Division: "/", tokens.FloorDivision: "//", tokens.Modulo: "%", tokens.Power: "**"}[op], typeName(right))
	}
	if a, ok := left.(string); ok {
		b, ok := right.(string)
		count, isCount := integer(right)
		switch {
		case op == tokens.Addition && ok:
			return e.join(a, b)
		case op == tokens.Multiply && isCount:
			count = max(count, 0)
			if len(a) > 0 && int64(count) > e.budget/int64(len(a)) {
				return nil, errBudget
			}
			return strings.Repeat(a, count), e.spend(len(a) * count)
		}
		return wrong()
	}
	if a, ok := left.(*array); ok {
		b, ok := right.(*array)
		if op != tokens.Addition || !ok || a.tuple != b.tuple {
			return wrong()
		}
		if err := e.spend(stepCost * (len(a.items) + len(b.items))); err != nil {
			return nil, err
		}
		return &array{items: append(append(make([]any, 0, len(a.items)+len(b.items)), a.items...), b.items...), tuple: a.tuple}, nil
	}
	a, ok := integer(left)
	b, ok2 := integer(right)
	if ok && ok2 {
		switch op {
		case tokens.Addition:
			return a + b, nil
		case tokens.Subtraction:
			return a - b, nil
		case tokens.Multiply:
			return a * b, nil
		case tokens.FloorDivision, tokens.Modulo:
			if b == 0 {
				return nil, errors.New("division by zero")
			}
			q, r := a/b, a%b
			if r != 0 && (r < 0) != (b < 0) {
				q, r = q-1, r+b
			}
			if op == tokens.Modulo {
				return r, nil
			}
			return q, nil
		}
	}
	x, ok := float(left)
	y, ok2 := float(right)
	if !ok || !ok2 {
		return wrong()
	}
	switch op {
	case tokens.Addition:
		return x + y, nil
	case tokens.Subtraction:
		return x - y, nil
	case tokens.Multiply:
		return x * y, nil
	case tokens.Division, tokens.FloorDivision, tokens.Modulo:
		if y == 0 {
			return nil, errors.New("division by zero")
		}
		switch op {
		case tokens.Division:
			return x / y, nil
		case tokens.FloorDivision:
			return math.Floor(x / y), nil
		}
		return x - y*math.Floor(x/y), nil
	case tokens.Power:
		f := math.Pow(x, y)
		if _, ok := left.(float64); !ok && y >= 0 && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			if _, ok := right.(float64); !ok {
				return int(f), nil
			}
		}
		return f, nil
	}
	return wrong()
}
