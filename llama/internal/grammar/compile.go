package grammar

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"
)

// state is a place in a rule.
type state struct {
	edges []edge
	eps   []int32 // places that are this one, too
	calls []call
	loop  *loop // count repetitions here
	again int32 // one repetition is done: count it and go to this loop; 0: none
	count *loop // the loop whose repetitions count here
}

// edge takes one byte.
type edge struct {
	lo, hi byte
	to     int32
}

// call goes through a rule, then on from a place.
type call struct{ start, then int32 }

// loop repeats its body: out may follow min repetitions, and after max it must.
type loop struct {
	min, max  int32
	body, out int32
}

// end is the state at the end of every rule.
const end = 0

const (
	maxStates = 200_000
	expanded  = 64 // states that a counted repetition may be written out to, in place of a count
	maxCount  = 1<<31 - 2
)

// program is a grammar, compiled.
type program struct {
	states  []state
	start   int32
	classes [256]uint8 // bytes that no edge tells apart
	bytes   []byte     // one of each class
}

type compiler struct {
	grammar  *Grammar
	null     []bool
	nonempty map[int]int // of a rule, one that matches the same but the empty text
	starts   []int32     // of rules; 0: not compiled yet
	called   []int       // rules that are called
	states   []state
	counting *loop // the repetition that counts here
	suffixes map[suffix]int32
}

type suffix struct {
	bytes string // ranges: lo and hi in turn
	to    int32
}

// compile makes the program. g is pruned.
func (g *Grammar) compile() (*program, error) {
	if !g.prune() {
		return nil, &Error{ErrImpossible, "", "no text that ends matches it"}
	}
	g.merge()
	c := &compiler{grammar: g, null: g.nullability(), nonempty: map[int]int{}, states: make([]state, 1), suffixes: map[suffix]int32{}}
	if name := g.leftRecursion(c.null); name != "" {
		return nil, &Error{ErrUnsupported, "rule " + name, "it begins with itself (left recursion); let it end with itself, or repeat with *"}
	}
	c.starts = make([]int32, len(g.rules))
	for c.called = []int{0}; len(c.called) > 0; {
		r := c.called[len(c.called)-1]
		c.called = c.called[:len(c.called)-1]
		if c.starts[r] != 0 {
			continue
		}
		start := c.expr(g.rules[r].body, end)
		if start == end { // an empty rule
			start = c.state(state{eps: []int32{end}})
		}
		c.starts[r] = start
		if len(c.states) > maxStates {
			return nil, tooLarge("")
		}
	}
	for i := range c.states {
		for j := range c.states[i].calls {
			x := &c.states[i].calls[j]
			x.start = c.starts[x.start]
		}
	}
	p := &program{states: c.states, start: c.starts[0]}
	p.classify()
	return p, nil
}

// classify finds the classes of bytes.
func (p *program) classify() {
	var cuts [257]bool
	cuts[0] = true
	for i := range p.states {
		for _, e := range p.states[i].edges {
			cuts[e.lo], cuts[int(e.hi)+1] = true, true
		}
	}
	for b := range 256 {
		if cuts[b] {
			p.bytes = append(p.bytes, byte(b))
		}
		p.classes[b] = uint8(len(p.bytes) - 1)
	}
}

func (c *compiler) state(s state) int32 {
	s.count = c.counting
	c.states = append(c.states, s)
	return int32(len(c.states) - 1)
}

// expr compiles what comes before a state.
func (c *compiler) expr(e *expr, to int32) int32 {
	if len(c.states) > maxStates { // the caller sees it
		return to
	}
	switch e.op {
	case opText:
		for i := len(e.text) - 1; i >= 0; i-- {
			to = c.state(state{edges: []edge{{e.text[i], e.text[i], to}}})
		}
		return to
	case opRunes:
		s := c.state(state{})
		c.runes(s, e.runes, to)
		return s
	case opSeq:
		for i := len(e.subs) - 1; i >= 0; i-- {
			to = c.expr(e.subs[i], to)
		}
		return to
	case opAlt:
		return c.alt(e, to)
	case opRepeat:
		return c.repeat(e, to)
	case opRef:
		c.called = append(c.called, e.rule)
		return c.state(state{calls: []call{{start: int32(e.rule), then: to}}}) // the rule, until it has a start
	case opDFA:
		return c.dfa(e, to)
	}
	return c.state(state{}) // opNever
}

func (c *compiler) alt(e *expr, to int32) int32 {
	var texts []string
	s := c.state(state{})
	for _, sub := range e.subs {
		if sub.op == opText && sub.text != "" {
			texts = append(texts, sub.text)
			continue
		}
		c.or(s, c.expr(sub, to))
	}
	if len(texts) > 0 {
		slices.Sort(texts)
		c.texts(s, slices.Compact(texts), to)
	}
	return s
}

// or makes what follows a state follow another too.
func (c *compiler) or(s, other int32) {
	if o := &c.states[other]; other != end && len(o.edges) > 0 && len(o.eps) == 0 && len(o.calls) == 0 && o.loop == nil && o.again == 0 {
		c.states[s].edges = append(c.states[s].edges, o.edges...)
		return
	}
	c.states[s].eps = append(c.states[s].eps, other)
}

// texts lets sorted texts follow a state, as a trie, so that of many only those that fit are under way.
func (c *compiler) texts(s int32, texts []string, to int32) {
	for len(texts) > 0 {
		if texts[0] == "" {
			c.states[s].eps = append(c.states[s].eps, to)
			texts = texts[1:]
			continue
		}
		b := texts[0][0]
		n := sort.Search(len(texts), func(i int) bool { return texts[i][0] > b })
		if n == 1 {
			t := c.expr(text(texts[0][1:]), to)
			c.states[s].edges = append(c.states[s].edges, edge{b, b, t})
		} else {
			rest := make([]string, n)
			for i := range rest {
				rest[i] = texts[i][1:]
			}
			t := c.state(state{})
			c.texts(t, rest, to)
			c.states[s].edges = append(c.states[s].edges, edge{b, b, t})
		}
		texts = texts[n:]
	}
}

func (c *compiler) repeat(e *expr, to int32) int32 {
	x, min, max := e.subs[0], e.min, e.max
	if x.nullable(c.null) {
		// Empty repetitions say nothing, and counting them would not end.
		x, min = c.nonEmpty(x), 0
		if x.op == opNever {
			return to
		}
	}
	if min <= 1 && max == unlimited {
		s := c.state(state{})
		body := c.expr(x, s)
		c.states[s].eps = append(c.states[s].eps, body, to)
		if min == 1 {
			return body
		}
		return s
	}
	if n := x.size(expanded); max == 1 || max != unlimited && n*max <= expanded {
		then := to
		for i := max; i > 0; i-- { // x(x(x)?)?, the last first
			body := c.expr(x, then)
			if i > min {
				s := c.state(state{})
				c.or(s, body)
				c.states[s].eps = append(c.states[s].eps, to)
				body = s
			}
			then = body
		}
		return then
	}
	if c.counting != nil { // a rule has one count
		return c.expr(ref(c.add("repetition", repeat(x, min, max))), to)
	}
	if max == unlimited {
		max = maxCount + 1
	}
	head := c.state(state{})
	l := &loop{min: int32(min), max: int32(max), out: to}
	c.counting = l
	l.body = c.expr(x, c.state(state{again: head}))
	c.counting = nil
	c.states[head].loop = l
	return head
}

// add makes a rule that matches something.
func (c *compiler) add(name string, body *expr) int {
	c.null = append(c.null, false)
	c.starts = append(c.starts, 0)
	return c.grammar.add(name, body)
}

// nonEmpty matches what an expression matches but the empty text.
func (c *compiler) nonEmpty(e *expr) *expr {
	if !e.nullable(c.null) {
		return e
	}
	switch e.op {
	case opSeq:
		var all []*expr
		for i, s := range e.subs { // the first i are empty
			all = append(all, seq(append([]*expr{c.nonEmpty(s)}, e.subs[i+1:]...)...))
		}
		return alt(all...)
	case opAlt:
		all := make([]*expr, len(e.subs))
		for i, s := range e.subs {
			all[i] = c.nonEmpty(s)
		}
		return alt(all...)
	case opRepeat:
		return repeat(c.nonEmpty(e.subs[0]), 1, e.max)
	case opRef:
		r, ok := c.nonempty[e.rule]
		if !ok {
			r = c.add(c.grammar.rules[e.rule].name, never)
			c.nonempty[e.rule] = r
			c.grammar.rules[r].body = c.nonEmpty(c.grammar.rules[e.rule].body)
		}
		return ref(r)
	case opDFA:
		d := &dfa{states: append(slices.Clone(e.dfa.states), e.dfa.states[0])}
		last := len(d.states) - 1
		d.states[0], d.states[last] = d.states[last], d.states[0]
		d.states[0].accept = false
		for i := range d.states { // what went to the start goes to its copy
			d.states[i].edges = slices.Clone(d.states[i].edges)
			for j := range d.states[i].edges {
				if to := &d.states[i].edges[j].to; *to == 0 {
					*to = last
				}
			}
		}
		return &expr{op: opDFA, dfa: d.trim(), json: e.json}
	}
	return never
}

// size is about how many states an expression takes, at most most+1.
func (e *expr) size(most int) int {
	n := 1
	switch e.op {
	case opText:
		n = len(e.text)
	case opRunes:
		n = 1
		if len(e.runes) > 0 && e.runes[len(e.runes)-1] >= utf8.RuneSelf {
			n = 4
		}
	case opDFA:
		n = 2 * len(e.dfa.states)
	}
	for _, s := range e.subs {
		if n > most {
			break
		}
		n += s.size(most)
	}
	if e.op == opRepeat {
		n *= max(1, e.min, e.max)
	}
	if n > most || n < 0 {
		return most + 1
	}
	return n
}

// dfa compiles an automaton of characters.
func (c *compiler) dfa(e *expr, to int32) int32 {
	if len(e.dfa.states) == 0 {
		return c.state(state{})
	}
	first := int32(len(c.states))
	for range e.dfa.states {
		c.state(state{})
	}
	for i := range e.dfa.states {
		s, d := first+int32(i), &e.dfa.states[i]
		if d.accept {
			c.states[s].eps = append(c.states[s].eps, to)
		}
		for j := 0; j < len(d.edges); {
			var ranges []rune
			target := d.edges[j].to
			for ; j < len(d.edges) && d.edges[j].to == target; j++ {
				ranges = append(ranges, d.edges[j].lo, d.edges[j].hi)
			}
			if e.json {
				ranges = c.escapes(s, ranges, first+int32(target))
			}
			c.runes(s, ranges, first+int32(target))
		}
		if len(c.states) > maxStates {
			break
		}
	}
	return first
}

// escapes writes the characters that a JSON string does not take as they are, and returns the others.
func (c *compiler) escapes(s int32, ranges []rune, to int32) (plain []rune) {
	for i := 0; i < len(ranges); i += 2 {
		lo, hi := ranges[i], ranges[i+1]
		for r := lo; r <= min(hi, '\\'); r++ {
			if r >= ' ' && r != '"' && r != '\\' {
				continue
			}
			t := c.expr(text(escape(r)), to)
			c.states[s].edges = append(c.states[s].edges, c.states[t].edges...)
		}
		for _, part := range [][2]rune{{' ', '"' - 1}, {'"' + 1, '\\' - 1}, {'\\' + 1, utf8.MaxRune}} {
			if l, h := max(lo, part[0]), min(hi, part[1]); l <= h {
				plain = append(plain, l, h)
			}
		}
	}
	return plain
}

// escape is a character of a JSON string that has to be escaped.
func escape(r rune) string {
	if i := strings.IndexRune("\"\\\b\f\n\r\t", r); i >= 0 {
		return `\` + `"\bfnrt`[i:i+1]
	}
	const hex = "0123456789abcdef"
	return `\u00` + hex[r>>4:r>>4+1] + hex[r&15:r&15+1]
}

// runes lets characters follow a state.
func (c *compiler) runes(s int32, ranges []rune, to int32) {
	for i := 0; i+1 < len(ranges); i += 2 {
		utf8Ranges(ranges[i], ranges[i+1], func(bytes []byte) {
			t := c.suffix(string(bytes[2:]), to)
			c.states[s].edges = append(c.states[s].edges, edge{bytes[0], bytes[1], t})
		})
	}
	slices.SortStableFunc(c.states[s].edges, func(a, b edge) int { return cmp.Compare(a.lo, b.lo) })
}

// suffix is a state from which ranges of bytes lead to another; the same for the same.
func (c *compiler) suffix(bytes string, to int32) int32 {
	if bytes == "" {
		return to
	}
	s, ok := c.suffixes[suffix{bytes, to}]
	if !ok {
		t := c.suffix(bytes[2:], to)
		s = c.state(state{edges: []edge{{bytes[0], bytes[1], t}}})
		c.suffixes[suffix{bytes, to}] = s
	}
	return s
}

// utf8Ranges gives the characters from lo to hi as sequences of ranges of bytes, lo and hi in turn, each of which is all that it spans
// (Thompson's method, as in RE2). Surrogates are left out.
func utf8Ranges(lo, hi rune, f func(bytes []byte)) {
	if lo > hi {
		return
	}
	for _, last := range [...]rune{0x7f, 0x7ff, 0xd7ff, 0xdfff, 0xffff} {
		if lo <= last && last < hi {
			utf8Ranges(lo, last, f)
			utf8Ranges(last+1, hi, f)
			return
		}
	}
	if lo >= 0xd800 && hi <= 0xdfff {
		return
	}
	if hi > 0x7f {
		for i := 1; i < 4; i++ {
			m := rune(1)<<(6*i) - 1
			if lo&^m == hi&^m {
				continue
			}
			if lo&m != 0 {
				utf8Ranges(lo, lo|m, f)
				utf8Ranges(lo|m+1, hi, f)
				return
			}
			if hi&m != m {
				utf8Ranges(lo, hi&^m-1, f)
				utf8Ranges(hi&^m, hi, f)
				return
			}
		}
	}
	var a, b [utf8.UTFMax]byte
	n := utf8.EncodeRune(a[:], lo)
	utf8.EncodeRune(b[:], hi)
	bytes := make([]byte, 0, 2*utf8.UTFMax)
	for i := range n {
		bytes = append(bytes, a[i], b[i])
	}
	f(bytes)
}
