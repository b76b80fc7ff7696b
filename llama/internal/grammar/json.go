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

// strings gathers what schemas say of a string: its length, and the automata that it has to match.
func gatherStrings(items []item) (least, most int, dfas []*dfa) {
	most = unlimited
	for _, i := range items {
		least = max(least, i.s.minLength)
		most = fewer(most, i.s.maxLength)
		for _, d := range i.s.strings {
			if !slices.Contains(dfas, d) {
				dfas = append(dfas, d)
			}
		}
	}
	return least, most, dfas
}

// fewer is the smaller of two limits.
func fewer(a, b int) int {
	if a == unlimited || b != unlimited && b < a {
		return b
	}
	return a
}

func (w *schemaWriter) string(items []item, not []any) (*expr, error) {
	least, most, dfas := gatherStrings(items)
	var texts []string
	for _, v := range not {
		if s, ok := v.(string); ok {
			texts = append(texts, s)
		}
	}
	if len(texts) > 0 {
		dfas = append(dfas, oneOfDFA(texts).complement())
	}
	if len(dfas) == 0 {
		return w.free(least, most), nil
	}
	k := fmt.Sprintf("string %d %d %p %q", least, most, dfas, texts)
	if e := w.shared[k]; e != nil {
		return e, nil
	}
	d := intersectAll(dfas, least, most)
	if d == nil {
		return nil, tooLarge(where(items))
	}
	e := ref(w.g.add("string", quoted(d)))
	w.shared[k] = e
	return e, nil
}

// quoted is a JSON string of what an automaton matches.
func quoted(d *dfa) *expr {
	return seq(text(`"`), &expr{op: opDFA, dfa: d, json: true}, text(`"`))
}

// intersectAll matches what all do, in texts of so many characters; nil if that is too large.
func intersectAll(dfas []*dfa, least, most int) *dfa {
	d := dfas[0]
	for _, o := range dfas[1:] {
		if d = d.intersect(o); d == nil {
			return nil
		}
	}
	if least > 0 || most != unlimited {
		if max(least, most) > maxDFA/4 {
			return nil
		}
		d = d.intersect(lengthDFA(least, most))
	}
	return d
}

// free is a JSON string of so many characters.
func (w *schemaWriter) free(least, most int) *expr {
	k := fmt.Sprint("free ", least, most)
	if e := w.shared[k]; e != nil {
		return e
	}
	e := ref(w.g.add("string", seq(text(`"`), repeat(jsonChar, least, most), text(`"`))))
	w.shared[k] = e
	return e
}

// jsonChar is a character of a JSON string, as itself or as an escape. Surrogates come in pairs.
var jsonChar = func() *expr {
	hex := runes('0', '9', 'A', 'F', 'a', 'f')
	any := repeat(hex, 2, 2)
	return alt(
		runes(' ', '"'-1, '"'+1, '\\'-1, '\\'+1, 0x10ffff),
		seq(text(`\`), alt(
			runes('"', '"', '/', '/', '\\', '\\', 'b', 'b', 'f', 'f', 'n', 'n', 'r', 'r', 't', 't'),
			seq(text("u"), alt(
				seq(runes('0', '9', 'A', 'C', 'E', 'F', 'a', 'c', 'e', 'f'), hex, any),
				seq(runes('D', 'D', 'd', 'd'), runes('0', '7'), any),
				seq(runes('D', 'D', 'd', 'd'), runes('8', '9', 'A', 'B', 'a', 'b'), any, text(`\u`), runes('D', 'D', 'd', 'd'), runes('C', 'F', 'c', 'f'), any),
			)),
		)),
	)
}()

// space is white space between the parts of an array or object: a blank, or a new line with its indentation, or none. A model that
// likes it cannot go on with it for ever.
func (w *schemaWriter) space() *expr {
	e := w.shared["space"]
	if e == nil {
		e = ref(w.g.add("space", optional(alt(text(" "), seq(text("\n"), repeat(runes('\t', '\t', ' ', ' '), 0, 20))))))
		w.shared["space"] = e
	}
	return e
}

// comma and colon are what separates.
func (w *schemaWriter) comma() *expr { return seq(text(","), w.space()) }
func colon() *expr                   { return seq(text(":"), optional(text(" "))) }

func (w *schemaWriter) array(items []item) (*expr, error) {
	least, most, prefix := 0, unlimited, 0
	described := false
	for _, i := range items {
		s := i.s
		least, most, prefix = max(least, s.minItems), fewer(most, s.maxItems), max(prefix, len(s.prefix))
		described = described || s.items != nil
	}
	impossible := false
	element := func(n int) (*expr, error) {
		var all []item
		var tellers []*schema
		for _, i := range items {
			s := i.s
			switch {
			case n < len(s.prefix):
				all = append(all, item{s: s.prefix[n]})
			case s.items != nil:
				all = append(all, item{s: s.items})
			default:
				continue
			}
			tellers = append(tellers, s)
		}
		if slices.ContainsFunc(items, func(i item) bool { return i.s.closedElements && !i.s.evaluates(tellers) }) {
			all = append(all, item{s: &schema{where: where(items), always: &impossible}})
		}
		return w.value(all)
	}
	if prefix > 0 && !described && least <= prefix {
		most = fewer(most, prefix) // nobody asks for more
	}
	if most != unlimited && most < least {
		return never, nil
	}
	// From the last to the first: what may follow n elements.
	rest := empty
	if most == unlimited || most > prefix {
		e, err := element(prefix)
		if err != nil {
			return nil, err
		}
		more := unlimited
		if most != unlimited {
			more = most - prefix
		}
		if prefix == 0 {
			rest = seq(e, repeat(seq(w.comma(), e), max(0, least-1), less(more)))
			if least == 0 {
				rest = optional(rest)
			}
			return w.brackets("[", rest, "]"), nil
		}
		rest = repeat(seq(w.comma(), e), max(0, least-prefix), more)
	}
	if most != unlimited {
		prefix = min(prefix, most)
	}
	for n := prefix - 1; n >= 0; n-- {
		e, err := element(n)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			e = seq(w.comma(), e)
		}
		rest = seq(e, rest)
		if n >= least {
			rest = optional(rest)
		}
	}
	return w.brackets("[", rest, "]"), nil
}

// less is one less than a limit.
func less(n int) int {
	if n == unlimited {
		return n
	}
	return n - 1
}

// brackets puts white space and brackets around something that may be empty.
func (w *schemaWriter) brackets(open string, e *expr, close string) *expr {
	if e == empty {
		return text(open + close)
	}
	return seq(text(open), w.space(), e, w.space(), text(close))
}

// members are what schemas say of an object.
type members struct {
	list        []member
	least, most int
	extra       *expr // a further property; never if there is none
}

type member struct {
	name     string
	required bool
	items    []item // of its value
}

// members gathers the named properties of an object.
func (w *schemaWriter) members(items []item) (m members, err error) {
	m.most = unlimited
	places := map[string]int{}
	name := func(n string) int {
		i, ok := places[n]
		if !ok {
			i = len(m.list)
			places[n] = i
			m.list = append(m.list, member{name: n})
		}
		return i
	}
	for _, i := range items {
		m.least, m.most = max(m.least, i.s.minProps), fewer(m.most, i.s.maxProps)
		for _, p := range i.s.properties {
			name(p.name)
		}
	}
	for _, i := range items {
		for _, r := range i.s.required {
			m.list[name(r)].required = true
		}
	}
	never := false
	for i := range m.list {
		p := &m.list[i]
		var tellers []*schema
		for _, i := range items {
			s := i.s
			told := false
			for _, q := range s.properties {
				if q.name == p.name {
					p.items, told = append(p.items, item{s: q.value}), true
				}
			}
			for _, q := range s.patterns {
				if q.keys.matches(p.name) {
					p.items, told = append(p.items, item{s: q.value}), true
				}
			}
			if !told && s.additional != nil {
				p.items = append(p.items, item{s: s.additional})
			}
			if told || s.additional != nil {
				tellers = append(tellers, s)
			}
			if s.names != nil {
				ok, err := w.valid(p.name, item{s: s.names})
				if err != nil {
					return m, err
				}
				if !ok {
					p.items = append(p.items, item{s: &schema{where: s.names.where, always: &never}})
				}
			}
		}
		if slices.ContainsFunc(items, func(i item) bool { return i.s.closed && !i.s.evaluates(tellers) }) {
			p.items = append(p.items, item{s: &schema{where: where(items), always: &never}})
		}
	}
	return m, nil
}

// most combinations of patternProperties that a key may match.
const mostPatterns = 5

func (w *schemaWriter) object(items []item) (*expr, error) {
	if err := w.busy(items); err != nil {
		return nil, err
	}
	m, err := w.members(items)
	if err != nil {
		return nil, err
	}
	if m.extra, err = w.extra(items, &m); err != nil {
		return nil, err
	}
	if m.extra.op != opNever && m.least > len(m.list)+1 {
		return nil, &Error{ErrUnsupported, where(items), "minProperties with more than one property that has no name in the schema, for names may come twice"}
	}
	values := make([]*expr, len(m.list))
	for i, p := range m.list {
		e, err := w.value(p.items)
		if err != nil {
			return nil, err
		}
		values[i] = seq(text(string((&python.Style{}).AppendString(nil, p.name))), colon(), e)
	}
	// What may follow when the first i properties are decided on and n of them came; counts that make no difference are one.
	counted := max(1, m.least)
	if m.most != unlimited && m.most < len(m.list)+1 {
		counted = max(counted, m.most)
	}
	type place struct{ i, n int }
	known := map[place]*expr{}
	var after func(i, n int) (*expr, error)
	after = func(i, n int) (*expr, error) {
		n = min(n, counted)
		at := place{i, n}
		if e := known[at]; e != nil {
			return e, nil
		}
		if err := w.busy(items); err != nil {
			return nil, err
		}
		full := m.most != unlimited && n >= m.most
		if i == len(m.list) {
			return w.extras(&m, n, full), nil
		}
		e := never
		if !full {
			rest, err := after(i+1, n+1)
			if err != nil {
				return nil, err
			}
			e = seq(values[i], rest)
			if n > 0 {
				e = seq(w.comma(), e)
			}
		}
		if !m.list[i].required {
			rest, err := after(i+1, n)
			if err != nil {
				return nil, err
			}
			e = ref(w.g.add("properties", alt(e, rest)))
		} else if counted > 1 {
			e = ref(w.g.add("properties", e))
		}
		known[at] = e
		return e, nil
	}
	all, err := after(0, 0)
	if err != nil {
		return nil, err
	}
	return w.brackets("{", all, "}"), nil
}

// extras is what may follow the named properties, of which n came.
func (w *schemaWriter) extras(m *members, n int, full bool) *expr {
	lack := max(0, m.least-n)
	if lack > 1 || lack == 1 && (full || m.extra.op == opNever) {
		return never
	}
	if full || m.extra.op == opNever {
		return empty
	}
	more := unlimited
	if m.most != unlimited {
		more = m.most - n
	}
	if n > 0 {
		return repeat(seq(w.comma(), m.extra), lack, more)
	}
	e := seq(m.extra, repeat(seq(w.comma(), m.extra), 0, less(more)))
	if lack == 0 {
		e = optional(e)
	}
	return e
}

// extra is a property without a name in the schemas.
func (w *schemaWriter) extra(items []item, m *members) (*expr, error) {
	type pattern struct {
		pattern string
		keys    *dfa
	}
	var patterns []pattern
	described, invited, closed := false, false, false
	least, most := 0, unlimited
	var names []*dfa
	for _, i := range items {
		s := i.s
		described = described || len(s.properties) > 0 || s.patterns != nil
		invited = invited || s.additional != nil
		closed = closed || s.closed
		for _, p := range s.patterns {
			if !slices.ContainsFunc(patterns, func(q pattern) bool { return q.pattern == p.pattern }) {
				patterns = append(patterns, pattern{p.pattern, p.keys})
			}
		}
		if s.names == nil {
			continue
		}
		flat, ok := flatten([]item{{s: s.names}})
		if !ok {
			return never, nil
		}
		for _, i := range flat {
			if i.s.any != nil || i.s.one != nil || i.s.not != nil {
				return nil, &Error{ErrUnsupported, i.s.where, "propertyNames with anyOf, oneOf or not"}
			}
			if i.s.types != 0 && i.s.types&typeString == 0 {
				return never, nil
			}
			if i.s.hasEnum {
				var texts []string
				for _, v := range i.s.enum {
					if s, ok := v.(string); ok {
						texts = append(texts, s)
					}
				}
				names = append(names, oneOfDFA(texts))
			}
		}
		l, h, d := gatherStrings(flat)
		least, most, names = max(least, l), fewer(most, h), append(names, d...)
	}
	if len(patterns) == 0 && (described && !invited || closed && !invited) && m.least <= len(m.list) {
		return never, nil
	}
	if len(patterns) > mostPatterns {
		return nil, &Error{ErrUnsupported, where(items), fmt.Sprintf("more than %d patternProperties", mostPatterns)}
	}
	if len(m.list) > 0 {
		texts := make([]string, len(m.list))
		for i, p := range m.list {
			texts[i] = p.name
		}
		names = append(names, oneOfDFA(texts).complement())
	}
	var all []*expr
	for subset := range 1 << len(patterns) {
		keys := names
		matching := map[string]bool{}
		for i, p := range patterns {
			if d := p.keys; subset>>i&1 != 0 {
				matching[p.pattern] = true
				keys = append(keys[:len(keys):len(keys)], d)
			} else {
				keys = append(keys[:len(keys):len(keys)], d.complement())
			}
		}
		if subset == 0 && (described && !invited || closed && !invited) && m.least <= len(m.list) {
			continue
		}
		var value []item
		var tellers []*schema
		for _, i := range items {
			told := false
			for _, p := range i.s.patterns {
				if matching[p.pattern] {
					value, told = append(value, item{s: p.value}), true
				}
			}
			if !told && i.s.additional != nil {
				value = append(value, item{s: i.s.additional})
			}
			if told || i.s.additional != nil {
				tellers = append(tellers, i.s)
			}
		}
		if _, ok := flatten(value); !ok || slices.ContainsFunc(items, func(i item) bool { return i.s.closed && !i.s.evaluates(tellers) }) {
			continue
		}
		var k *expr
		if len(keys) == 0 {
			k = w.free(least, most)
		} else {
			d := intersectAll(keys, least, most)
			if d == nil {
				return nil, tooLarge(where(items))
			}
			if len(d.states) == 0 {
				continue
			}
			k = ref(w.g.add("key", quoted(d)))
		}
		e, err := w.value(value)
		if err != nil {
			return nil, err
		}
		all = append(all, seq(k, colon(), e))
	}
	if len(all) == 0 {
		return never, nil
	}
	return ref(w.g.add("property", alt(all...))), nil
}

// evaluates says that what unevaluatedProperties or unevaluatedItems of s leave out is told by a schema that s has in itself.
func (s *schema) evaluates(tellers []*schema) bool {
	seen := map[*schema]bool{}
	var within func(s *schema) bool
	within = func(s *schema) bool {
		if seen[s] {
			return false
		}
		seen[s] = true
		return slices.Contains(tellers, s) || slices.ContainsFunc(s.all, within) || slices.ContainsFunc(s.any, within) || slices.ContainsFunc(s.one, within)
	}
	return within(s)
}

// kind is the type of a value; an integer is one however it is written.
func kind(v any) types {
	switch v := v.(type) {
	case nil:
		return typeNull
	case bool:
		return typeBoolean
	case string:
		return typeString
	case []any:
		return typeArray
	case python.Object:
		return typeObject
	case json.Number:
		if x, err := readRat(v.String()); err == nil && x.IsInt() {
			return typeInteger
		}
	}
	return typeFraction
}

// valid says whether a value matches a schema, as the specification has it.
func (w *schemaWriter) valid(v any, i item) (bool, error) {
	if err := w.busy([]item{i}); err != nil {
		return false, err
	}
	s := i.s
	if s.always != nil {
		return *s.always, nil
	}
	count := func(list []*schema) (n int, err error) {
		for _, b := range list {
			ok, err := w.valid(v, item{s: b})
			if err != nil {
				return 0, err
			}
			if ok {
				n++
			}
		}
		return n, nil
	}
	if n, err := count(s.all); err != nil || n < len(s.all) {
		return false, err
	}
	if s.any != nil {
		if n, err := count(s.any); err != nil || n == 0 {
			return false, err
		}
	}
	if s.one != nil {
		if n, err := count(s.one); err != nil || n != 1 {
			return false, err
		}
	}
	if s.not != nil {
		if ok, err := w.valid(v, item{s: s.not}); err != nil || ok {
			return false, err
		}
	}
	k := kind(v)
	if s.types != 0 && s.types&k == 0 || s.hasEnum && !slices.ContainsFunc(s.enum, func(e any) bool { return equal(e, v) }) {
		return false, nil
	}
	switch v := v.(type) {
	case json.Number:
		x, err := readRat(v.String())
		if err != nil {
			return false, &Error{ErrUnsupported, s.where, err.Error()}
		}
		return s.validNumber(x), nil
	case string:
		n := len([]rune(v))
		ok := n >= s.minLength && (s.maxLength == unlimited || n <= s.maxLength)
		for _, d := range s.strings {
			ok = ok && d.matches(v)
		}
		return ok, nil
	case []any:
		if len(v) < s.minItems || s.maxItems != unlimited && len(v) > s.maxItems {
			return false, nil
		}
		for n, e := range v {
			var of *schema
			switch {
			case n < len(s.prefix):
				of = s.prefix[n]
			case s.items != nil:
				of = s.items
			case s.closedElements:
				return false, &Error{ErrUnsupported, s.where, "unevaluatedItems with enum, const or oneOf"}
			default:
				continue
			}
			if ok, err := w.valid(e, item{s: of}); err != nil || !ok {
				return false, err
			}
		}
	case python.Object:
		return w.validObject(v, s)
	}
	return true, nil
}

func (s *schema) validNumber(x *big.Rat) bool {
	if b := s.minimum; b != nil {
		if c := x.Cmp(b.value); c < 0 || c == 0 && b.exclusive {
			return false
		}
	}
	if b := s.maximum; b != nil {
		if c := x.Cmp(b.value); c > 0 || c == 0 && b.exclusive {
			return false
		}
	}
	return s.multipleOf == nil || new(big.Rat).Quo(x, s.multipleOf).IsInt()
}

func (w *schemaWriter) validObject(v python.Object, s *schema) (bool, error) {
	if len(v) < s.minProps || s.maxProps != unlimited && len(v) > s.maxProps {
		return false, nil
	}
	for _, name := range s.required {
		if !has(v, name) {
			return false, nil
		}
	}
	for _, f := range v {
		var of []*schema
		for _, p := range s.properties {
			if p.name == f.Key {
				of = append(of, p.value)
			}
		}
		for _, p := range s.patterns {
			if p.keys.matches(f.Key) {
				of = append(of, p.value)
			}
		}
		if of == nil && s.additional != nil {
			of = append(of, s.additional)
		}
		if of == nil && s.closed {
			return false, &Error{ErrUnsupported, s.where, "unevaluatedProperties with enum, const or oneOf"}
		}
		for _, o := range of {
			if ok, err := w.valid(f.Value, item{s: o}); err != nil || !ok {
				return false, err
			}
		}
		if s.names != nil {
			if ok, err := w.valid(f.Key, item{s: s.names}); err != nil || !ok {
				return false, err
			}
		}
	}
	return true, nil
}

// distinct is an error if a value that is generated for one of oneOf's schemas and the rest might match another of them.
func (w *schemaWriter) distinct(rest []item, s *schema) error {
	for i, a := range s.one {
		for j, b := range s.one {
			if i == j {
				continue
			}
			ok, err := w.apart(append(slices.Clone(rest), item{s: a}), []item{{s: b}}, 0)
			if err != nil {
				return err
			}
			if !ok {
				return &Error{ErrUnsupported, s.where, fmt.Sprintf("oneOf whose schemas %d and %d may both match; anyOf allows that", min(i, j), max(i, j))}
			}
		}
	}
	return nil
}

// apart says that nothing that is generated for the schemas a matches the schemas b, as far as it can tell.
func (w *schemaWriter) apart(a, b []item, depth int) (bool, error) {
	if err := w.busy(a); err != nil || depth > 8 {
		return false, err
	}
	a, ok := flatten(a)
	if !ok {
		return true, nil
	}
	if b, ok = flatten(b); !ok {
		return true, nil
	}
	for n, other := range [][]item{b, a} { // all of an enum's values are wrong for the other
		for _, i := range [][]item{a, b}[n] {
			if !i.s.hasEnum {
				continue
			}
			some := false
			for _, v := range i.s.enum {
				all := true
				for _, o := range other {
					ok, err := w.valid(v, o)
					if err != nil {
						return false, err
					}
					all = all && ok
				}
				some = some || all
			}
			if !some {
				return true, nil
			}
		}
	}
	branches := func(items []item, f func(with []item) (bool, error)) (bool, error) {
		for n, i := range items {
			for k, list := range [][]*schema{i.s.any, i.s.one} {
				if list == nil || k == 0 && i.any || k == 1 && i.one {
					continue
				}
				rest := slices.Clone(items)
				rest[n].any, rest[n].one = i.any || k == 0, i.one || k == 1
				all := true
				for _, s := range list {
					ok, err := f(append(slices.Clone(rest), item{s: s}))
					if err != nil {
						return false, err
					}
					all = all && ok
				}
				if all {
					return true, nil
				}
			}
		}
		return false, nil
	}
	if ok, err := branches(a, func(with []item) (bool, error) { return w.apart(with, b, depth+1) }); err != nil || ok {
		return ok, err
	}
	if ok, err := branches(b, func(with []item) (bool, error) { return w.apart(a, with, depth+1) }); err != nil || ok {
		return ok, err
	}
	ta, _, err := w.types(a)
	if err != nil {
		return false, nil
	}
	tb := types(typeAny)
	for _, i := range b {
		if i.s.types != 0 {
			tb &= i.s.types
		}
	}
	t := ta & tb
	if t&(typeNull|typeBoolean) != 0 {
		return false, nil
	}
	both := append(slices.Clone(a), b...)
	if t&typeNumber != 0 {
		var lo, hi *bound
		for _, i := range both {
			lo, hi = tighter(lo, i.s.minimum, 1), tighter(hi, i.s.maximum, -1)
		}
		if lo == nil || hi == nil {
			return false, nil
		}
		if c := lo.value.Cmp(hi.value); c < 0 || c == 0 && !lo.exclusive && !hi.exclusive {
			return false, nil
		}
	}
	if t&typeString != 0 {
		least, most, dfas := gatherStrings(both)
		if most == unlimited || least <= most {
			if len(dfas) == 0 {
				return false, nil
			}
			if d := intersectAll(dfas, least, most); d == nil || len(d.states) > 0 {
				return false, nil
			}
		}
	}
	if t&typeArray != 0 {
		ok, err := w.arraysApart(a, b, depth)
		if err != nil || !ok {
			return false, err
		}
	}
	if t&typeObject != 0 {
		return w.objectsApart(a, b, depth)
	}
	return true, nil
}

func (w *schemaWriter) arraysApart(a, b []item, depth int) (bool, error) {
	least, most := 0, unlimited
	for _, i := range append(slices.Clone(a), b...) {
		least, most = max(least, i.s.minItems), fewer(most, i.s.maxItems)
	}
	if most != unlimited && least > most {
		return true, nil
	}
	if least == 0 {
		return false, nil
	}
	first := func(items []item) (all []item) {
		for _, i := range items {
			if len(i.s.prefix) > 0 {
				all = append(all, item{s: i.s.prefix[0]})
			} else if i.s.items != nil {
				all = append(all, item{s: i.s.items})
			}
		}
		return all
	}
	return w.apart(first(a), first(b), depth+1)
}

func (w *schemaWriter) objectsApart(a, b []item, depth int) (bool, error) {
	ma, err := w.members(a)
	if err != nil {
		return false, nil
	}
	mb, err := w.members(b)
	if err != nil {
		return false, nil
	}
	free, err := w.extra(a, &ma)
	if err != nil {
		return false, err
	}
	for _, p := range mb.list {
		i := slices.IndexFunc(ma.list, func(q member) bool { return q.name == p.name })
		if i < 0 {
			if p.required && free.op == opNever { // which a's never have
				return true, nil
			}
			continue
		}
		if q := ma.list[i]; q.required || p.required {
			// a's always has it, or b needs it: its values decide.
			if ok, err := w.apart(q.items, p.items, depth+1); err != nil || ok {
				return ok, err
			}
		}
	}
	for _, q := range ma.list { // that b does not allow
		if !q.required || slices.ContainsFunc(mb.list, func(p member) bool { return p.name == q.name }) {
			continue
		}
		for _, i := range b {
			if s := i.s; s.additional != nil && s.additional.always != nil && !*s.additional.always && len(s.patterns) == 0 {
				return true, nil
			}
		}
	}
	return false, nil
}
