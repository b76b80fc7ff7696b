package grammar

import (
	"fmt"
	"slices"

	"github.com/llama31/llama31/llama/internal/python"
)

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
