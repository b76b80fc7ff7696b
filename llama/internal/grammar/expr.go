package grammar

import (
	"slices"
	"strings"
)

// Grammar is what texts are to match. It does not change once it is made.
type Grammar struct {
	rules []rule // the first is the root
}

type rule struct {
	name string
	body *expr
}

// expr is what a piece of text is to match.
type expr struct {
	op    op
	text  string  // opText
	runes []rune  // opRunes: ranges, first and last in turn
	subs  []*expr // opSeq, opAlt, opRepeat
	min   int     // opRepeat
	max   int     // opRepeat; unlimited: any number
	rule  int     // opRef
	dfa   *dfa    // opDFA
	json  bool    // opDFA: its characters are written as in a JSON string
}

type op uint8

const (
	opNever op = iota // nothing matches
	opText
	opRunes
	opSeq
	opAlt
	opRepeat
	opRef
	opDFA
)

const unlimited = -1

var never, empty = &expr{op: opNever}, &expr{op: opText}

func text(s string) *expr {
	if s == "" {
		return empty
	}
	return &expr{op: opText, text: s}
}

func runes(ranges ...rune) *expr { return &expr{op: opRunes, runes: ranges} }

func ref(rule int) *expr { return &expr{op: opRef, rule: rule} }

func seq(subs ...*expr) *expr {
	var all []*expr
	for _, s := range subs {
		switch {
		case s.op == opNever:
			return never
		case s.op == opSeq:
			all = append(all, s.subs...)
		case s.op == opText && len(all) > 0 && all[len(all)-1].op == opText:
			all[len(all)-1] = text(all[len(all)-1].text + s.text)
		case s != empty:
			all = append(all, s)
		}
	}
	switch len(all) {
	case 0:
		return empty
	case 1:
		return all[0]
	}
	return &expr{op: opSeq, subs: all}
}

func alt(subs ...*expr) *expr {
	var all []*expr
	for _, s := range subs {
		switch {
		case s.op == opAlt:
			all = append(all, s.subs...)
		case s.op != opNever && !slices.Contains(all, s):
			all = append(all, s)
		}
	}
	switch len(all) {
	case 0:
		return never
	case 1:
		return all[0]
	}
	return &expr{op: opAlt, subs: all}
}

func repeat(x *expr, min, max int) *expr {
	switch {
	case max == 0 || x.op == opNever && min == 0 || x == empty:
		return empty
	case x.op == opNever || max != unlimited && max < min:
		return never
	case min == 1 && max == 1:
		return x
	}
	return &expr{op: opRepeat, subs: []*expr{x}, min: min, max: max}
}

func optional(x *expr) *expr { return repeat(x, 0, 1) }
func star(x *expr) *expr     { return repeat(x, 0, unlimited) }

// Control is how a grammar names a token that is no text, such as <|python_tag|>. Its first byte is in no UTF-8.
func Control(name string) string { return "\xff" + name + "\xff" }

// isControl says that a text is not UTF-8, or Control's.
func hasControl(s string) bool { return strings.IndexByte(s, 0xff) >= 0 }

// add makes a rule.
func (g *Grammar) add(name string, body *expr) int {
	g.rules = append(g.rules, rule{name, body})
	return len(g.rules) - 1
}

// prune takes out what can never end: a rule that always needs itself, for instance. It reports whether anything is left of the root.
func (g *Grammar) prune() bool {
	ends := make([]bool, len(g.rules))
	var can func(e *expr) bool
	can = func(e *expr) bool {
		switch e.op {
		case opNever:
			return false
		case opSeq:
			return !slices.ContainsFunc(e.subs, func(s *expr) bool { return !can(s) })
		case opAlt:
			return slices.ContainsFunc(e.subs, can)
		case opRepeat:
			return e.min == 0 || can(e.subs[0])
		case opRef:
			return ends[e.rule]
		case opDFA:
			return len(e.dfa.states) > 0
		case opRunes:
			return len(e.runes) > 0
		}
		return true
	}
	// Each rule's answer can only turn to yes, and only after one that it refers to has.
	users := make([][]int, len(g.rules))
	for i := range g.rules {
		g.rules[i].body.refs(func(r int) { users[r] = append(users[r], i) })
	}
	work := make([]int, len(g.rules))
	for i := range work {
		work[i] = len(g.rules) - 1 - i
	}
	for len(work) > 0 {
		i := work[len(work)-1]
		work = work[:len(work)-1]
		if !ends[i] && can(g.rules[i].body) {
			ends[i] = true
			work = append(work, users[i]...)
		}
	}
	var cut func(e *expr) *expr
	cut = func(e *expr) *expr {
		if !can(e) {
			return never
		}
		switch e.op {
		case opSeq, opAlt:
			subs := make([]*expr, len(e.subs))
			for i, s := range e.subs {
				subs[i] = cut(s)
			}
			if e.op == opSeq {
				return seq(subs...)
			}
			return alt(subs...)
		case opRepeat:
			return repeat(cut(e.subs[0]), e.min, e.max)
		}
		return e
	}
	for i := range g.rules {
		g.rules[i].body = cut(g.rules[i].body)
	}
	return ends[0]
}

// refs calls f with each rule that an expression refers to.
func (e *expr) refs(f func(rule int)) {
	if e.op == opRef {
		f(e.rule)
	}
	for _, s := range e.subs {
		s.refs(f)
	}
}

// nullability finds the rules that match the empty text.
func (g *Grammar) nullability() []bool {
	null := make([]bool, len(g.rules))
	users := make([][]int, len(g.rules))
	for i := range g.rules {
		g.rules[i].body.refs(func(r int) { users[r] = append(users[r], i) })
	}
	work := make([]int, len(g.rules))
	for i := range work {
		work[i] = i
	}
	for len(work) > 0 {
		i := work[len(work)-1]
		work = work[:len(work)-1]
		if !null[i] && g.rules[i].body.nullable(null) {
			null[i] = true
			work = append(work, users[i]...)
		}
	}
	return null
}

// nullable says that an expression matches the empty text, given which rules do.
func (e *expr) nullable(null []bool) bool {
	switch e.op {
	case opText:
		return e.text == ""
	case opSeq:
		return !slices.ContainsFunc(e.subs, func(s *expr) bool { return !s.nullable(null) })
	case opAlt:
		return slices.ContainsFunc(e.subs, func(s *expr) bool { return s.nullable(null) })
	case opRepeat:
		return e.min == 0 || e.subs[0].nullable(null)
	case opRef:
		return null[e.rule]
	case opDFA:
		return len(e.dfa.states) > 0 && e.dfa.states[0].accept
	}
	return false
}

// merge makes one rule of those that are alternatives of each other, such as a ::= b | "x" and b ::= a | "y": each matches what any of
// them does. Schemas have them where anyOf refers to what it is in. g is pruned. (Tarjan's strongly connected components.)
func (g *Grammar) merge() {
	const done = -1
	visited := make([]int, len(g.rules)) // when, from 1 on
	n := 0
	var path []int
	var visit func(r int) (low int)
	visit = func(r int) (low int) {
		n++
		at := len(path)
		path = append(path, r)
		visited[r], low = n, n
		for _, a := range g.rules[r].body.alternatives() {
			switch {
			case a.op != opRef || visited[a.rule] == done:
			case visited[a.rule] == 0:
				low = min(low, visit(a.rule))
			default:
				low = min(low, visited[a.rule])
			}
		}
		if low == visited[r] {
			g.mergeInto(r, path[at:])
			for _, other := range path[at:] {
				visited[other] = done
			}
			path = path[:at]
		}
		return low
	}
	for r := range g.rules {
		if visited[r] == 0 {
			visit(r)
		}
	}
}

// mergeInto makes r the rule of all that are in it, and of what they match beside each other.
func (g *Grammar) mergeInto(r int, rules []int) {
	in := map[int]bool{}
	for _, i := range rules {
		in[i] = true
	}
	var all []*expr
	for _, i := range rules {
		for _, a := range g.rules[i].body.alternatives() {
			if a.op != opRef || !in[a.rule] {
				all = append(all, a)
			}
		}
		g.rules[i].body = ref(r)
	}
	g.rules[r].body = alt(all...)
}

// alternatives are what a text may match, of which one is enough.
func (e *expr) alternatives() []*expr {
	if e.op == opAlt {
		return e.subs
	}
	return []*expr{e}
}

// leftRecursion is the name of a rule that begins with itself, "" if there is none: matching it would never end.
func (g *Grammar) leftRecursion(null []bool) string {
	const (
		unseen = iota
		open
		done
	)
	seen := make([]int, len(g.rules))
	type visit struct {
		rule, next int
		starts     []int
	}
	var path []visit
	enter := func(r int) {
		seen[r] = open
		v := visit{rule: r}
		g.rules[r].body.starts(null, func(s int) { v.starts = append(v.starts, s) })
		path = append(path, v)
	}
	for i := range g.rules {
		if seen[i] == unseen {
			enter(i)
		}
		for len(path) > 0 {
			v := &path[len(path)-1]
			if v.next == len(v.starts) {
				seen[v.rule] = done
				path = path[:len(path)-1]
				continue
			}
			r := v.starts[v.next]
			v.next++
			switch seen[r] {
			case open:
				return g.rules[r].name
			case unseen:
				enter(r)
			}
		}
	}
	return ""
}

// starts calls f with each rule that an expression may begin with.
func (e *expr) starts(null []bool, f func(rule int)) {
	switch e.op {
	case opRef:
		f(e.rule)
	case opSeq:
		for _, s := range e.subs {
			s.starts(null, f)
			if !s.nullable(null) {
				return
			}
		}
	case opAlt, opRepeat:
		for _, s := range e.subs {
			s.starts(null, f)
		}
	}
}
