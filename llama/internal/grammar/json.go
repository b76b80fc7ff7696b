package grammar

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/llama31/llama31/llama/internal/python"
)

// JSONSchema is the grammar of the JSON texts that a schema (2020-12) allows, in one line or several, with white space that has an
// end. Properties come in the order of the schema, those that are required by name alone last; properties and elements that the
// schema does not speak of come only where it invites them (additionalProperties, or an object without properties, prefixItems and
// items alike).
//
// Every text of the grammar is valid; not every valid text is in it. What cannot be held to, such as uniqueItems, is ErrUnsupported;
// what no value can fulfil is ErrImpossible, here or by NewMachine.
func JSONSchema(source []byte) (*Grammar, error) {
	g := &Grammar{}
	g.add("root", never)
	body, err := g.schema(source)
	if err != nil {
		return nil, err
	}
	g.rules[0].body = body
	return g, nil
}

// AnyObject is the grammar of JSON objects.
func AnyObject() *Grammar {
	g, err := JSONSchema([]byte(`{"type": "object"}`))
	if err != nil {
		panic(err)
	}
	return g
}

// schema adds the rules of a schema and returns what refers to them.
func (g *Grammar) schema(source []byte) (*expr, error) {
	r, s, err := readSchema(source)
	if err != nil {
		return nil, err
	}
	w := schemaWriter{g: g, reader: r, rules: map[string]int{}, shared: map[string]*expr{}}
	return w.value([]item{{s: s}})
}

// schemaWriter makes rules of schemas. A value that several schemas speak of (allOf, $ref) has a rule for all of them together.
type schemaWriter struct {
	g      *Grammar
	reader *schemaReader
	rules  map[string]int   // by the schemas that they are of
	shared map[string]*expr // strings, numbers and so on, by what they are
	work   int
}

// mostWork bounds the schemas looked at: combinations may be exponentially many.
const mostWork = 50_000

// item is a schema that a value has to match.
type item struct {
	s        *schema
	any, one bool // an alternative of anyOf or oneOf is among the items
	flat     bool // allOf and $ref are
}

// flatten replaces schemas by what is in them: allOf, $ref. It reports false if nothing can match.
func flatten(items []item) ([]item, bool) {
	var out []item
	seen := map[item]bool{}
	var add func(i item) bool
	add = func(i item) bool {
		if seen[i] {
			return true
		}
		seen[i] = true
		if i.s.always != nil {
			return *i.s.always
		}
		all := i.s.all
		if i.flat {
			all = nil
		}
		if i.flat = true; !slices.Contains(out, i) {
			out = append(out, i)
		}
		for _, s := range all {
			if !add(item{s: s}) {
				return false
			}
		}
		return true
	}
	for _, i := range items {
		if !add(i) {
			return nil, false
		}
	}
	return out, true
}

func key(items []item) string {
	sorted := slices.Clone(items)
	slices.SortFunc(sorted, func(a, b item) int { return cmp.Compare(a.s.id, b.s.id) })
	var b strings.Builder
	for _, i := range sorted {
		fmt.Fprintf(&b, "%d,%v,%v;", i.s.id, i.any, i.one)
	}
	return b.String()
}

// where names the schema that an error is about.
func where(items []item) string {
	if len(items) == 0 {
		return "#"
	}
	return items[0].s.where
}

func (w *schemaWriter) busy(items []item) error {
	if w.work++; w.work > mostWork {
		return tooLarge(where(items))
	}
	return nil
}

// value is what matches all of the schemas.
func (w *schemaWriter) value(items []item) (*expr, error) {
	if err := w.busy(items); err != nil {
		return nil, err
	}
	items, ok := flatten(items)
	if !ok {
		return never, nil
	}
	k := key(items)
	if r, ok := w.rules[k]; ok {
		return ref(r), nil
	}
	r := w.g.add(where(items), never)
	w.rules[k] = r
	body, err := w.body(items)
	if err != nil {
		return nil, err
	}
	w.g.rules[r].body = body
	return ref(r), nil
}

func (w *schemaWriter) body(items []item) (*expr, error) {
	for _, i := range items {
		if i.s.hasEnum {
			return w.enum(i.s.enum, items)
		}
	}
	for n, i := range items {
		branches := i.s.any
		chosen := i
		chosen.any = true
		if i.any || branches == nil {
			branches = i.s.one
			chosen = i
			chosen.one = true
			if i.one || branches == nil {
				continue
			}
		}
		rest := slices.Clone(items)
		rest[n] = chosen
		if chosen.one != i.one {
			if err := w.distinct(rest, i.s); err != nil {
				return nil, err
			}
		}
		var all []*expr
		for _, b := range branches {
			e, err := w.value(append(slices.Clone(rest), item{s: b}))
			if err != nil {
				return nil, err
			}
			all = append(all, e)
		}
		return alt(all...), nil
	}
	t, not, err := w.types(items)
	if err != nil {
		return nil, err
	}
	var all []*expr
	add := func(e *expr, err error) error {
		all = append(all, e)
		return err
	}
	literal := func(v any, s string) {
		if !slices.ContainsFunc(not, func(n any) bool { return equal(n, v) }) {
			all = append(all, text(s))
		}
	}
	if t&typeNull != 0 {
		literal(nil, "null")
	}
	if t&typeBoolean != 0 {
		literal(true, "true")
		literal(false, "false")
	}
	if t&typeNumber != 0 {
		err = add(w.number(t, items))
	}
	if t&typeString != 0 && err == nil {
		err = add(w.string(items, not))
	}
	if t&typeArray != 0 && err == nil {
		err = add(w.array(items))
	}
	if t&typeObject != 0 && err == nil {
		err = add(w.object(items))
	}
	if err != nil {
		return nil, err
	}
	return alt(all...), nil
}

// enum is those of some values that match the schemas.
func (w *schemaWriter) enum(values []any, items []item) (*expr, error) {
	var all []*expr
	for _, v := range values {
		ok := true
		for _, i := range items {
			valid, err := w.valid(v, i)
			if err != nil {
				return nil, err
			}
			ok = ok && valid
		}
		if ok {
			all = append(all, text(string(appendJSON(nil, v))))
		}
	}
	return alt(all...), nil
}

// appendJSON writes a value in one line; numbers as they were.
func appendJSON(dst []byte, v any) []byte {
	switch v := v.(type) {
	case json.Number:
		return append(dst, v...)
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = appendJSON(dst, e)
		}
		return append(dst, ']')
	case python.Object:
		dst = append(dst, '{')
		for i, f := range v {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = append((&python.Style{}).AppendString(dst, f.Key), ": "...)
			dst = appendJSON(dst, f.Value)
		}
		return append(dst, '}')
	}
	return (&python.Style{}).Append(dst, v)
}

// types are those that all schemas allow, and not are single values that they do not. Schemas that name no type mean the type that
// their other keywords are about.
func (w *schemaWriter) types(items []item) (t types, not []any, err error) {
	t = typeAny
	said, meant := false, types(0)
	for _, i := range items {
		s := i.s
		if s.types != 0 {
			t &= s.types
			said = true
		}
		if s.hasProperties {
			meant |= typeObject
		}
		if s.hasItems {
			meant |= typeArray
		}
		if s.hasString {
			meant |= typeString
		}
		if s.hasNumber {
			meant |= typeNumber
		}
	}
	if !said && meant != 0 {
		t = meant
	}
	for _, i := range items {
		n := i.s.not
		if n == nil {
			continue
		}
		flat, ok := flatten([]item{{s: n}})
		if !ok {
			continue
		}
		if len(flat) == 0 {
			return 0, nil, nil
		}
		plain := len(flat) == 1 && flat[0].s.all == nil && flat[0].s.any == nil && flat[0].s.one == nil && flat[0].s.not == nil
		f := flat[0].s
		switch {
		case plain && f.hasEnum && f.types == 0 && !f.hasProperties && !f.hasItems && !f.hasString && !f.hasNumber:
			not = append(not, f.enum...)
		case plain && !f.hasEnum && f.types != 0 && !f.hasProperties && !f.hasItems && !f.hasString && !f.hasNumber:
			t &^= f.types
		default:
			return 0, nil, &Error{ErrUnsupported, n.where, "not, but for types and single values"}
		}
	}
	for _, v := range not {
		k := kind(v)
		if k == typeFraction {
			k = typeNumber
		}
		if t&k&(typeNumber|typeArray|typeObject) != 0 {
			return 0, nil, &Error{ErrUnsupported, where(items), "not, with a number, an array or an object"}
		}
	}
	return t, not, nil
}

func (w *schemaWriter) number(t types, items []item) (*expr, error) {
	var lo, hi *bound
	var multiple *big.Rat
	for _, i := range items {
		lo, hi = tighter(lo, i.s.minimum, 1), tighter(hi, i.s.maximum, -1)
		if m := i.s.multipleOf; m != nil {
			if multiple != nil {
				m = leastCommon(multiple, m)
			}
			multiple = m
		}
	}
	k := fmt.Sprint("number ", t&typeNumber, lo.String(), hi.String(), multiple)
	if e := w.shared[k]; e != nil {
		return e, nil
	}
	d := numberDFA(t, lo, hi, multiple)
	if d == nil {
		return nil, &Error{ErrUnsupported, where(items), "multipleOf or a bound with this many digits"}
	}
	e := ref(w.g.add("number", &expr{op: opDFA, dfa: d}))
	w.shared[k] = e
	return e, nil
}

func (b *bound) String() string {
	if b == nil {
		return "-"
	}
	return fmt.Sprint(b.value, b.exclusive)
}

// leastCommon is the least number that both divide.
func leastCommon(a, b *big.Rat) *big.Rat {
	// With a common denominator it is that of the numerators.
	x := new(big.Int).Mul(a.Num(), b.Denom())
	y := new(big.Int).Mul(b.Num(), a.Denom())
	n := new(big.Int).Mul(x, y)
	n.Quo(n, new(big.Int).GCD(nil, nil, x, y))
	return new(big.Rat).SetFrac(n, new(big.Int).Mul(a.Denom(), b.Denom()))
}
