package grammar

import (
	"math/bits"
)

// place is a place in a rule, whatever is below.
type place struct {
	state, count int32
	near         bool // the count stands for others, as far as tokens of less than farBytes go
}

// local is what a place does with tokens by itself.
type local struct {
	mask  []uint32 // tokens that stay in the rule, or in what it calls; nil: they are few
	few   []int32  // then these
	left  []int32  // nodes of the trie at which the rule may end
	trie  *trie    // that left is of
	tails *trie    // in place of left, if they are few: what the tokens have left when the rule may end
}

const (
	// manyTails are so many tokens that a trie of their tails is not worth making.
	manyTails = 20_000
	// fewTokens take less memory as a list.
	fewTokens = 1000
	// newPlaces are so many that walking all tokens with all of them at once is better.
	newPlaces = 16
)

// Mask gives the tokens that may come next, a bit for each; stop tokens where the text may end. It is not to be changed, and may be
// kept.
func (m *Machine) Mask(s State) []uint32 {
	if s.set == dead {
		return make([]uint32, m.vocab.words)
	}
	if mask := m.sets[s.set].mask; mask != nil {
		return mask
	}
	mask := make([]uint32, m.vocab.words)
	missing := 0
	for _, id := range m.sets[s.set].nodes {
		if m.locals[m.place(m.nodes[id])] == nil {
			missing++
		}
	}
	if missing > newPlaces {
		m.walk(m.vocab.all, 0, s.set, mask)
	} else {
		for _, id := range m.sets[s.set].nodes {
			m.add(mask, id)
		}
	}
	if m.sets[s.set].ends {
		for _, id := range m.vocab.stops {
			mask[id/32] |= 1 << (id % 32)
		}
	}
	m.sets[s.set].mask = mask
	m.bytes += 4 * len(mask)
	return mask
}

// Allows says whether a mask has a token.
func Allows(mask []uint32, id int32) bool { return mask[id/32]>>(id%32)&1 != 0 }

// add adds the tokens that a node takes.
func (m *Machine) add(mask []uint32, id int32) {
	n := m.nodes[id]
	p := m.place(n)
	l := m.locals[p]
	if l == nil {
		l = m.local(p)
		m.locals[p] = l
	}
	for i, w := range l.mask {
		mask[i] |= w
	}
	for _, id := range l.few {
		mask[id/32] |= 1 << (id % 32)
	}
	if l.tails != nil || len(l.left) > 0 {
		if after := m.close(n.below); after != dead {
			if l.tails != nil {
				m.walk(l.tails, 0, after, mask)
			}
			for _, at := range l.left {
				m.walk(l.trie, at, after, mask)
			}
		}
	}
	if p.near {
		if s := m.close(id); s != dead {
			m.walk(m.vocab.far, 0, s, mask)
		}
	}
}

// place finds the place of a node: counts that less than farBytes repetitions do not tell apart have one.
func (m *Machine) place(n node) place {
	p := place{state: n.state, count: n.count}
	l := m.program.states[n.state].count
	if l == nil {
		return p
	}
	switch {
	case n.count < l.min && l.min-n.count > farBytes: // too few to end soon
		p.count, p.near = l.min-farBytes-1, true
	case n.count >= l.min && l.max <= maxCount && l.max-n.count > farBytes: // may end, and need not soon
		p.count, p.near = l.max-farBytes-1, true
	}
	return p
}

// local walks all tokens from a place.
func (m *Machine) local(p place) *local {
	l := &local{mask: make([]uint32, m.vocab.words), trie: m.vocab.all}
	if p.near {
		l.trie = m.vocab.short
	}
	t := l.trie
	start := m.close(m.intern(node{open, p.state, p.count}))
	if start == dead {
		return &local{}
	}
	path := m.pathOf(t)
	path[0] = start
	total := int32(0)
	for i := int32(1); i < int32(len(t.nodes)); {
		n := &t.nodes[i]
		s := m.step(path[n.depth-1], n.b)
		if s == dead {
			i = n.end
			continue
		}
		path[n.depth] = s
		if m.sets[s].left {
			l.left = append(l.left, i)
			total += t.below(i)
		}
		if n.count > 0 && (len(m.sets[s].nodes) > 0 || m.sets[s].ends) {
			t.set(l.mask, n)
		}
		i++
	}
	if total > 0 && total <= manyTails {
		l.tails = m.tails(l, int(total))
		l.left = nil
	}
	if n := Count(l.mask); n < fewTokens {
		l.few = make([]int32, 0, n)
		for w, b := range l.mask {
			for ; b != 0; b &= b - 1 {
				l.few = append(l.few, int32(32*w+bits.TrailingZeros32(b)))
			}
		}
		l.mask = nil
	}
	m.bytes += 4*len(l.left) + 4*len(l.mask) + 4*len(l.few) + 200
	return l
}

// tails makes the trie of what tokens have left when a local's rule may end.
func (m *Machine) tails(l *local, total int) *trie {
	t := l.trie
	entries := make([]entry, 0, total)
	for _, at := range l.left {
		depth := int(t.nodes[at].depth)
		first := t.nodes[at].ids
		for _, id := range t.ids[first : first+t.below(at)] {
			if !Allows(l.mask, id) {
				entries = append(entries, entry{m.vocab.text(id)[depth:], id})
			}
		}
	}
	if len(entries) == 0 {
		return nil
	}
	tails := newTrie(entries)
	m.bytes += 16*len(tails.nodes) + 4*len(tails.ids)
	return tails
}

// set sets the bits of the tokens that end at a node.
func (t *trie) set(mask []uint32, n *trieNode) {
	for _, id := range t.ids[n.ids : n.ids+n.count] {
		mask[id/32] |= 1 << (id % 32)
	}
}

func (m *Machine) pathOf(t *trie) []int32 {
	if len(m.path) <= t.depth {
		m.path = make([]int32, t.depth+1)
	}
	return m.path
}

// walk adds the tokens at a node of a trie, and below, that a set takes from there.
func (m *Machine) walk(t *trie, at, s int32, mask []uint32) {
	path := m.pathOf(t)
	path[t.nodes[at].depth] = s
	t.set(mask, &t.nodes[at])
	end := t.nodes[at].end
	for i := at + 1; i < end; {
		n := &t.nodes[i]
		s := m.step(path[n.depth-1], n.b)
		if s == dead {
			i = n.end
			continue
		}
		path[n.depth] = s
		if n.count > 0 {
			t.set(mask, n)
		}
		i++
	}
}

// Count is the number of tokens in a mask.
func Count(mask []uint32) int {
	n := 0
	for _, w := range mask {
		n += bits.OnesCount32(w)
	}
	return n
}
