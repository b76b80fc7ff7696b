package grammar

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Machine matches texts of tokens against a grammar. It is for one goroutine at a time.
type Machine struct {
	program *program
	vocab   *Vocab

	nodes   []node
	nodeIDs map[node]int32
	sets    []set
	setIDs  map[string]int32
	locals  map[place]*local
	start   int32
	bytes   int // of memory, about
	age     uint32
	lost    bool // a text was given up

	seen    []uint32 // by node: the closure that last had it
	closure uint32
	work    []int32
	key     []byte
	path    []int32
}

// A node is a stack: a place in a rule, with its count of repetitions, on top of the stack that goes on when the rule ends.
type node struct{ below, state, count int32 }

// The stacks that are empty: below them is the end of the text, or for a local, what it leaves open.
const (
	bottom = 0
	open   = 1
)

// set is all that may be under way after a text.
type set struct {
	nodes []int32 // places that take a byte
	ends  bool    // the text may end here
	left  bool    // of a local: its rule may end here
	next  []int32 // by class of byte; unknown or dead
	mask  []uint32
	after int32 // of a node's below alone; see after
}

const (
	unknown = 0
	dead    = -1
)

const (
	// maxUnderWay is how ambiguous a grammar may be: the stacks after one text.
	maxUnderWay = 1024
	// maxBytes is the memory from which a machine begins anew.
	maxBytes = 16 << 20
	// lostBytes is the memory that it never exceeds: texts beyond match nothing.
	lostBytes = 64 << 20
)

// State is where a text is in a grammar. Dead is nowhere.
type State struct {
	set int32
	age uint32
}

// Dead is the state after a text that does not match.
var Dead = State{set: dead}

// NewMachine compiles a grammar for a vocabulary. The error is an *Error.
func NewMachine(g *Grammar, v *Vocab) (*Machine, error) {
	p, err := g.compile()
	if err != nil {
		return nil, err
	}
	m := &Machine{program: p, vocab: v}
	m.reset()
	if m.start == dead {
		return nil, tooLarge("")
	}
	return m, nil
}

// reset forgets all that was found out.
func (m *Machine) reset() {
	m.age++
	m.nodes, m.nodeIDs = m.nodes[:0], map[node]int32{}
	m.sets, m.setIDs = m.sets[:0], map[string]int32{}
	m.locals, m.seen, m.bytes = map[place]*local{}, m.seen[:0], 0
	m.intern(node{-1, end, 0})     // bottom
	m.intern(node{-1, end, 1})     // open
	m.sets = append(m.sets, set{}) // so that 0 is unknown
	m.start = m.close(m.intern(node{bottom, m.program.start, 0}))
}

// Start is the state before any text. States stay good until the machine has taken too much memory and begins anew: then Fresh
// reports false for them, and their texts have to be taken again from the start.
func (m *Machine) Start() State {
	if m.bytes > maxBytes {
		m.reset()
	}
	return State{m.start, m.age}
}

// Fresh says that a state can be used.
func (m *Machine) Fresh(s State) bool { return s.age == m.age && m.bytes <= maxBytes || s.set == dead }

// Advance takes a token.
func (m *Machine) Advance(s State, id int32) State {
	text := m.vocab.text(id)
	if text == "" || s.set == dead {
		return Dead
	}
	return m.AdvanceText(s, text)
}

// AdvanceText takes bytes.
func (m *Machine) AdvanceText(s State, text string) State {
	for i := 0; i < len(text) && s.set != dead; i++ {
		s.set = m.step(s.set, text[i])
	}
	if s.set == dead {
		return Dead
	}
	return s
}

// Lost says that a text was given up because the grammar is too ambiguous: too many ways to read it, that all may yet be right.
func (m *Machine) Lost() bool { return m.lost }

// Ends says that the text may end.
func (m *Machine) Ends(s State) bool { return s.set > 0 && m.sets[s.set].ends }

// Complete says that the text can only end.
func (m *Machine) Complete(s State) bool {
	return s.set > 0 && m.sets[s.set].ends && len(m.sets[s.set].nodes) == 0
}

func (m *Machine) intern(n node) int32 {
	id, ok := m.nodeIDs[n]
	if !ok {
		id = int32(len(m.nodes))
		m.nodes, m.seen = append(m.nodes, n), append(m.seen, 0)
		m.nodeIDs[n] = id
		m.bytes += 60
	}
	return id
}

// step takes a byte.
func (m *Machine) step(s int32, b byte) int32 {
	class := m.program.classes[b]
	if next := m.sets[s].next; next != nil && next[class] != unknown {
		return next[class]
	}
	return m.firstStep(s, class)
}

// firstStep is step where it was not taken yet.
func (m *Machine) firstStep(s int32, class uint8) int32 {
	b := m.program.bytes[class]
	m.begin()
	for _, id := range m.sets[s].nodes {
		n := m.nodes[id]
		for _, e := range m.program.states[n.state].edges {
			if e.lo <= b && b <= e.hi {
				m.reach(node{n.below, e.to, n.count})
			}
		}
	}
	t := m.finish()
	if m.sets[s].next == nil {
		m.sets[s].next = make([]int32, len(m.program.bytes))
		m.bytes += 4 * len(m.program.bytes)
	}
	m.sets[s].next[class] = t
	return t
}

// begin, reach and finish make a set of what is reached, without a further byte, from some nodes.
func (m *Machine) begin() {
	m.work = m.work[:0]
	m.closure++
}

func (m *Machine) reach(n node) {
	if id := m.intern(n); m.seen[id] != m.closure {
		m.seen[id] = m.closure
		m.work = append(m.work, id)
	}
}

func (m *Machine) close(id int32) int32 {
	m.begin()
	m.seen[id] = m.closure
	m.work = append(m.work, id)
	return m.finish()
}

func (m *Machine) finish() int32 {
	var ends, left bool
	keep := 0
	for i := 0; i < len(m.work); i++ {
		id := m.work[i]
		switch id {
		case bottom:
			ends = true
			continue
		case open:
			left = true
			continue
		}
		n := m.nodes[id]
		s := &m.program.states[n.state]
		for _, to := range s.eps {
			m.reach(node{n.below, to, n.count})
		}
		for _, c := range s.calls {
			below := n.below
			if c.then != end { // what is called last needs no return
				below = m.intern(node{n.below, c.then, n.count})
			}
			m.reach(node{below, c.start, 0})
		}
		if s.again != 0 {
			l := m.program.states[s.again].loop
			count := n.count + 1
			if l.max > maxCount {
				count = min(count, l.min) // more says no more
			}
			m.reach(node{n.below, s.again, count})
		}
		if l := s.loop; l != nil {
			if n.count >= l.min {
				m.reach(node{n.below, l.out, 0})
			}
			if n.count < l.max {
				m.reach(node{n.below, l.body, n.count})
			}
		}
		if n.state == end && m.seen[n.below] != m.closure {
			m.seen[n.below] = m.closure
			m.work = append(m.work, n.below)
		}
		if len(s.edges) > 0 {
			m.work[keep], keep = id, keep+1
		}
	}
	if keep > maxUnderWay || m.bytes > lostBytes {
		m.lost = true
		return dead
	}
	if keep == 0 && !ends && !left {
		return dead
	}
	nodes := m.work[:keep]
	slices.Sort(nodes)
	m.key = m.key[:0]
	var flags byte
	if ends {
		flags |= 1
	}
	if left {
		flags |= 2
	}
	m.key = append(m.key, flags)
	for _, id := range nodes {
		m.key = binary.LittleEndian.AppendUint32(m.key, uint32(id))
	}
	t, ok := m.setIDs[string(m.key)]
	if !ok {
		t = int32(len(m.sets))
		m.sets = append(m.sets, set{nodes: slices.Clone(nodes), ends: ends, left: left})
		m.setIDs[string(m.key)] = t
		m.bytes += 150 + 8*len(nodes)
	}
	return t
}

func (m *Machine) String() string {
	return fmt.Sprintf("%d states, %d classes of bytes; %d stacks, %d sets, %d locals, %d bytes", len(m.program.states), len(m.program.bytes), len(m.nodes), len(m.sets), len(m.locals), m.bytes)
}
