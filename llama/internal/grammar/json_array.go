package grammar

import (
	"slices"
)

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
