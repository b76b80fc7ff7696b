package grammar

import (
	"cmp"
	"encoding/binary"
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"
)

// dfa is a deterministic automaton of characters: what a regular expression matches. The first state is the start; none at all match
// nothing. From each state the end can be reached.
type dfa struct {
	states []dfaState
}

type dfaState struct {
	accept bool
	edges  []dfaEdge // in order
}

type dfaEdge struct {
	lo, hi rune
	to     int
}

// maxDFA bounds an automaton's edges.
const maxDFA = 1 << 16

// parseRegexp reads a regular expression of RE2's syntax. The error says what is wrong with it.
func parseRegexp(pattern, where string) (*syntax.Regexp, error) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err == nil {
		return re, nil
	}
	kind := ErrSyntax
	if e, ok := err.(*syntax.Error); ok && (e.Code == syntax.ErrInvalidPerlOp || e.Code == syntax.ErrLarge || e.Code == syntax.ErrNestingDepth || e.Code == syntax.ErrInvalidRepeatSize) {
		kind = ErrUnsupported
	}
	return nil, &Error{kind, where, err.Error()}
}

// regexpDFA makes the automaton of a regular expression, of what it matches as a whole.
func regexpDFA(re *syntax.Regexp, where string) (*dfa, error) {
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return nil, &Error{ErrUnsupported, where, err.Error()}
	}
	d := determinizer{prog: prog, ids: map[string]int{}}
	d.alphabet()
	if !d.run() {
		return nil, tooLarge(where)
	}
	return d.dfa.trim(), nil
}

// mustDFA is the automaton of one of this package's own expressions.
func mustDFA(pattern string) *dfa {
	re, err := parseRegexp(pattern, "")
	if err != nil {
		panic(err)
	}
	d, err := regexpDFA(re, "")
	if err != nil {
		panic(err)
	}
	return d
}

// determinizer makes the subsets of a regexp's program.
type determinizer struct {
	prog    *syntax.Prog
	assert  bool // has assertions about its surroundings, such as \b
	classes []runeClass
	dfa     dfa
	sets    []subset
	ids     map[string]int
	seen    []int
	visit   int
	work    int // edges looked at
}

// runeClass is characters that the program does not tell apart.
type runeClass struct {
	of     rune // one of them
	ranges []rune
	before rune // what stands for them as the character before a place: one of before
}

// before are characters that assertions tell apart: none, a letter, a newline, another.
var before = [...]rune{-1, 'a', '\n', ' '}

type subset struct {
	insts []uint32 // before what takes no character was followed
	prev  rune     // one of before
}

// alphabet finds the classes of characters.
func (d *determinizer) alphabet() {
	cuts := []rune{0, 0xd800, 0xe000, utf8.MaxRune + 1}
	cut := func(lo, hi rune) { cuts = append(cuts, lo, hi+1) }
	var insts []*syntax.Inst
	for i := range d.prog.Inst {
		inst := &d.prog.Inst[i]
		switch inst.Op {
		case syntax.InstEmptyWidth:
			d.assert = true
			continue
		case syntax.InstRuneAnyNotNL:
			cut('\n', '\n')
		case syntax.InstRune, syntax.InstRune1:
			r := inst.Rune
			if len(r) == 1 {
				cut(r[0], r[0])
				if syntax.Flags(inst.Arg)&syntax.FoldCase != 0 {
					for f := unicode.SimpleFold(r[0]); f != r[0]; f = unicode.SimpleFold(f) {
						cut(f, f)
					}
				}
			}
			for j := 0; j+1 < len(r); j += 2 {
				cut(r[j], r[j+1])
			}
		default:
			continue
		}
		insts = append(insts, inst)
	}
	if d.assert {
		for _, r := range [][2]rune{{'\n', '\n'}, {'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}} {
			cut(r[0], r[1])
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	ids := map[string]int{}
	for i := 0; i+1 < len(cuts); i++ {
		lo, hi := cuts[i], cuts[i+1]-1
		if lo == 0xd800 {
			continue
		}
		c := runeClass{of: lo, before: ' '}
		key := make([]byte, len(insts)/8+2)
		for j, inst := range insts {
			if inst.MatchRune(lo) {
				key[j/8] |= 1 << (j % 8)
			}
		}
		if d.assert {
			switch {
			case syntax.IsWordChar(lo):
				c.before = 'a'
			case lo == '\n':
				c.before = '\n'
			}
		}
		key[len(key)-1] = byte(c.before)
		id, ok := ids[string(key)]
		if !ok {
			id = len(d.classes)
			ids[string(key)] = id
			d.classes = append(d.classes, c)
		}
		d.classes[id].ranges = append(d.classes[id].ranges, lo, hi)
	}
}

// run makes all states that can be reached, or reports false if they are too many.
func (d *determinizer) run() bool {
	d.seen = make([]int, len(d.prog.Inst))
	first := before[0]
	if !d.assert {
		first = ' '
	}
	d.state([]uint32{uint32(d.prog.Start)}, first)
	edges := 0
	for i := 0; i < len(d.sets); i++ {
		set := d.sets[i]
		_, d.dfa.states[i].accept = d.follow(set.insts, syntax.EmptyOpContext(set.prev, -1))
		var list []dfaEdge
		for _, c := range d.classes {
			flags := syntax.EmptyOp(0)
			if d.assert {
				flags = syntax.EmptyOpContext(set.prev, c.of)
			}
			insts, _ := d.follow(set.insts, flags)
			var next []uint32
			for _, pc := range insts {
				if inst := &d.prog.Inst[pc]; inst.MatchRune(c.of) {
					next = append(next, inst.Out)
				}
			}
			if d.work += len(insts) + 1; d.work > 64*maxDFA {
				return false
			}
			if len(next) == 0 {
				continue
			}
			slices.Sort(next)
			to := d.state(slices.Compact(next), c.before)
			for j := 0; j < len(c.ranges); j += 2 {
				list = append(list, dfaEdge{c.ranges[j], c.ranges[j+1], to})
			}
		}
		d.dfa.states[i].edges = joined(list)
		if edges += len(d.dfa.states[i].edges) + 1; edges > maxDFA {
			return false
		}
	}
	return true
}

// joined sorts edges and joins neighbours.
func joined(list []dfaEdge) []dfaEdge {
	slices.SortFunc(list, func(a, b dfaEdge) int { return cmp.Compare(a.lo, b.lo) })
	n := 0
	for _, e := range list {
		if n > 0 && list[n-1].to == e.to && list[n-1].hi+1 == e.lo {
			list[n-1].hi = e.hi
			continue
		}
		list[n] = e
		n++
	}
	return slices.Clip(list[:n])
}

func (d *determinizer) state(insts []uint32, prev rune) int {
	key := binary.LittleEndian.AppendUint32(nil, uint32(prev))
	for _, i := range insts {
		key = binary.LittleEndian.AppendUint32(key, i)
	}
	id, ok := d.ids[string(key)]
	if !ok {
		id = len(d.sets)
		d.ids[string(key)] = id
		d.sets = append(d.sets, subset{insts, prev})
		d.dfa.states = append(d.dfa.states, dfaState{})
	}
	return id
}

// follow goes from instructions to those that take a character, and says whether the match can end.
func (d *determinizer) follow(from []uint32, flags syntax.EmptyOp) (insts []uint32, match bool) {
	d.visit++
	stack := slices.Clone(from)
	for len(stack) > 0 {
		pc := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if d.seen[pc] == d.visit {
			continue
		}
		d.seen[pc] = d.visit
		inst := &d.prog.Inst[pc]
		switch inst.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			stack = append(stack, inst.Out, inst.Arg)
		case syntax.InstCapture, syntax.InstNop:
			stack = append(stack, inst.Out)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(inst.Arg)&^flags == 0 {
				stack = append(stack, inst.Out)
			}
		case syntax.InstMatch:
			match = true
		case syntax.InstFail:
		default:
			insts = append(insts, pc)
		}
	}
	return insts, match
}

// trim leaves out the states from which the end cannot be reached.
func (d *dfa) trim() *dfa {
	from := make([][]int, len(d.states))
	var work []int
	keep := make([]bool, len(d.states))
	for i, s := range d.states {
		for _, e := range s.edges {
			from[e.to] = append(from[e.to], i)
		}
		if s.accept {
			keep[i] = true
			work = append(work, i)
		}
	}
	for len(work) > 0 {
		i := work[len(work)-1]
		work = work[:len(work)-1]
		for _, j := range from[i] {
			if !keep[j] {
				keep[j] = true
				work = append(work, j)
			}
		}
	}
	if len(d.states) == 0 || !keep[0] {
		return &dfa{}
	}
	to := make([]int, len(d.states))
	n := 0
	for i := range d.states {
		if to[i] = n; keep[i] {
			n++
		}
	}
	out := &dfa{states: make([]dfaState, 0, n)}
	for i, s := range d.states {
		if !keep[i] {
			continue
		}
		t := dfaState{accept: s.accept}
		for _, e := range s.edges {
			if keep[e.to] {
				t.edges = append(t.edges, dfaEdge{e.lo, e.hi, to[e.to]})
			}
		}
		out.states = append(out.states, t)
	}
	return out
}

// intersect matches what both match; nil if that is too large.
func (d *dfa) intersect(o *dfa) *dfa {
	if len(d.states) == 0 || len(o.states) == 0 {
		return &dfa{}
	}
	type pair struct{ a, b int }
	ids := map[pair]int{{}: 0}
	pairs := []pair{{}}
	out := &dfa{}
	edges := 0
	for i := 0; i < len(pairs); i++ {
		a, b := &d.states[pairs[i].a], &o.states[pairs[i].b]
		s := dfaState{accept: a.accept && b.accept}
		for j, k := 0, 0; j < len(a.edges) && k < len(b.edges); {
			x, y := a.edges[j], b.edges[k]
			if lo, hi := max(x.lo, y.lo), min(x.hi, y.hi); lo <= hi {
				p := pair{x.to, y.to}
				id, ok := ids[p]
				if !ok {
					id = len(pairs)
					ids[p] = id
					pairs = append(pairs, p)
				}
				s.edges = append(s.edges, dfaEdge{lo, hi, id})
			}
			if x.hi < y.hi {
				j++
			} else {
				k++
			}
		}
		s.edges = joined(s.edges)
		out.states = append(out.states, s)
		if edges += len(s.edges) + 1; edges > maxDFA {
			return nil
		}
	}
	return out.trim()
}

// complement matches what d does not.
func (d *dfa) complement() *dfa {
	sink := len(d.states)
	out := &dfa{}
	for _, s := range d.states {
		t := dfaState{accept: !s.accept}
		fill := func(lo, hi rune) { // but surrogates, which are no characters
			for _, r := range [][2]rune{{0, 0xd7ff}, {0xe000, utf8.MaxRune}} {
				if l, h := max(lo, r[0]), min(hi, r[1]); l <= h {
					t.edges = append(t.edges, dfaEdge{l, h, sink})
				}
			}
		}
		next := rune(0)
		for _, e := range s.edges {
			fill(next, e.lo-1)
			t.edges = append(t.edges, e)
			next = e.hi + 1
		}
		fill(next, utf8.MaxRune)
		out.states = append(out.states, t)
	}
	out.states = append(out.states, dfaState{accept: true, edges: []dfaEdge{{0, 0xd7ff, sink}, {0xe000, utf8.MaxRune, sink}}})
	return out.trim()
}

// oneOfDFA matches some texts.
func oneOfDFA(texts []string) *dfa {
	d := &dfa{states: []dfaState{{}}}
	for _, text := range texts {
		at := 0
		for _, r := range text {
			i := slices.IndexFunc(d.states[at].edges, func(e dfaEdge) bool { return e.lo == r })
			if i < 0 {
				i = len(d.states[at].edges)
				d.states[at].edges = append(d.states[at].edges, dfaEdge{r, r, len(d.states)})
				d.states = append(d.states, dfaState{})
			}
			at = d.states[at].edges[i].to
		}
		d.states[at].accept = true
	}
	for i := range d.states {
		slices.SortFunc(d.states[i].edges, func(a, b dfaEdge) int { return cmp.Compare(a.lo, b.lo) })
	}
	return d.trim()
}

// lengthDFA matches texts of min to max characters.
func lengthDFA(min, max int) *dfa {
	d := &dfa{}
	last := max
	if max == unlimited {
		last = min
	}
	for i := range last + 1 {
		s := dfaState{accept: i >= min}
		to := i + 1
		if i == last {
			to = i
		}
		if i < last || max == unlimited {
			s.edges = []dfaEdge{{0, 0xd7ff, to}, {0xe000, utf8.MaxRune, to}}
		}
		d.states = append(d.states, s)
	}
	return d
}

// matches says whether a text is matched.
func (d *dfa) matches(text string) bool {
	if len(d.states) == 0 {
		return false
	}
	at := 0
	for _, r := range text {
		edges := d.states[at].edges
		i, ok := slices.BinarySearchFunc(edges, r, func(e dfaEdge, r rune) int {
			switch {
			case e.hi < r:
				return -1
			case e.lo > r:
				return 1
			}
			return 0
		})
		if !ok {
			return false
		}
		at = edges[i].to
	}
	return d.states[at].accept
}

// finite says that a dfa matches no texts beyond some length.
func (d *dfa) finite() bool {
	const (
		unseen = iota
		open
		done
	)
	seen := make([]int, len(d.states))
	type visit struct{ state, next int }
	for start := range d.states {
		if seen[start] != unseen {
			continue
		}
		seen[start] = open
		path := []visit{{start, 0}}
		for len(path) > 0 {
			v := &path[len(path)-1]
			if v.next == len(d.states[v.state].edges) {
				seen[v.state] = done
				path = path[:len(path)-1]
				continue
			}
			to := d.states[v.state].edges[v.next].to
			v.next++
			if seen[to] == open {
				return false
			}
			if seen[to] == unseen {
				seen[to] = open
				path = append(path, visit{to, 0})
			}
		}
	}
	return true
}
