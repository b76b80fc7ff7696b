package grammar

import (
	"fmt"
	"slices"
)

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
