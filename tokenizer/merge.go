package tokenizer

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
)

// A merger merges bytes to tokens. Once it is built it is safe for concurrent use.
type merger struct {
	bytes  [256]int32 // the token of each byte, -1: the vocabulary lacks it
	pairs  pairTable
	result []int32    // the token that a merge makes, by rank
	chars  *charTable // SentencePiece: pieces are merged from characters
	long   sync.Pool  // of *longPiece
}

// A mergeRule is a pair of tokens and what they merge to.
type mergeRule struct{ left, right, result int32 }

// build reads the merges of a vocabulary, or without any makes a merge of every
// way to split a token in two.
func (m *merger) build(table *tokenTable, merges []string) error {
	for b := range m.bytes {
		m.bytes[b] = table.find(string([]byte{byte(b)}))
	}
	if len(merges) == 0 {
		m.split(table)
		return nil
	}
	if len(merges) > maxRanks {
		return &VocabError{"Merges", -1, fmt.Sprintf("%d merges, expected at most %d", len(merges), maxRanks)}
	}
	// Reading them is waiting for memory, so it is worth more than one core.
	rules := make([]mergeRule, len(merges))
	parts := min(8, runtime.GOMAXPROCS(0), 1+len(merges)/4096)
	errs := make([]error, parts)
	var wg sync.WaitGroup
	for i := range parts {
		wg.Go(func() {
			lo, hi := len(merges)*i/parts, len(merges)*(i+1)/parts
			errs[i] = readMerges(rules, table, merges, lo, hi)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	m.pairs = newPairTable(len(rules))
	m.result = make([]int32, len(rules))
	for rank, r := range rules {
		m.pairs.put(r.left, r.right, rank)
		m.result[rank] = r.result
	}
	return nil
}

// readMerges fills in rules[lo:hi].
func readMerges(rules []mergeRule, table *tokenTable, merges []string, lo, hi int) error {
	var whole []byte
	var okA, okB bool
	for i := lo; i < hi; i++ {
		a, b, ok := strings.Cut(merges[i], " ")
		whole, okA = appendBytes(whole[:0], a)
		n := len(whole)
		whole, okB = appendBytes(whole, b)
		if !ok || !okA || !okB || n == 0 || n == len(whole) {
			return &VocabError{"Merges", i, fmt.Sprintf("%.50q, expected two tokens with a space between", merges[i])}
		}
		r := mergeRule{table.findBytes(whole[:n]), table.findBytes(whole[n:]), table.findBytes(whole)}
		if r.left < 0 || r.right < 0 || r.result < 0 {
			return &VocabError{"Merges", i, fmt.Sprintf("%.50q, of which one or the result is no token", merges[i])}
		}
		rules[i] = r
	}
	return nil
}

// split makes a merge of every way to split a token in two; its rank is the id
// of the token.
func (m *merger) split(table *tokenTable) {
	var rules []mergeRule
	m.result = make([]int32, len(table.tokens.ends))
	for id := range int32(len(m.result)) {
		m.result[id] = id
		s := table.tokens.at(id)
		if table.find(s) != id {
			continue
		}
		for i := 1; i < len(s); i++ {
			if left := table.find(s[:i]); left >= 0 {
				if right := table.find(s[i:]); right >= 0 {
					rules = append(rules, mergeRule{left, right, id})
				}
			}
		}
	}
	m.pairs = newPairTable(len(rules))
	for _, r := range rules {
		m.pairs.put(r.left, r.right, int(r.result))
	}
}

// shortPiece is up to what length a piece is merged by scanning for the lowest
// rank, which is quadratic but has no bookkeeping. On random letters the heap
// wins from about 100 bytes on.
const shortPiece = 64

// keepPiece is the longest piece whose scratch memory, about 1 MB, is kept.
const keepPiece = 32 << 10

// append appends the tokens that a piece merges to. The pair of the lowest rank goes
// first, of equal ones the leftmost. Bytes that the vocabulary lacks are dropped,
// and what is left is merged as if they had never been there, as Hugging Face's
// tokenizers do.
func (m *merger) append(dst []int32, piece string) []int32 {
	if len(piece) <= shortPiece {
		return m.short(dst, piece)
	}
	l, _ := m.long.Get().(*longPiece)
	if l == nil {
		l = new(longPiece)
	}
	dst = l.merge(dst, m, piece)
	if len(l.nodes) <= keepPiece {
		m.long.Put(l)
	}
	return dst
}

// short is append for pieces of up to shortPiece bytes.
func (m *merger) short(dst []int32, piece string) []int32 {
	var ids [shortPiece]int32
	n := 0
	if m.chars != nil {
		n = len(m.symbols(ids[:0], piece))
	} else {
		for i := range len(piece) {
			if id := m.bytes[piece[i]]; id >= 0 {
				ids[n] = id
				n++
			}
		}
	}
	// ranks[i] is that of the merge of ids[i] and ids[i+1].
	var ranks [shortPiece]uint32
	for i := range n - 1 {
		ranks[i] = m.pairs.find(ids[i], ids[i+1])
	}
	for n > 1 {
		best, at := uint32(noRank), 0
		for i, rank := range ranks[:n-1] {
			if rank < best {
				best, at = rank, i
			}
		}
		if best == noRank {
			break
		}
		ids[at] = m.result[best]
		n--
		copy(ids[at+1:n], ids[at+2:n+1])
		if at+1 < n {
			copy(ranks[at+1:n-1], ranks[at+2:n])
			ranks[at] = m.pairs.find(ids[at], ids[at+1])
		}
		if at > 0 {
			ranks[at-1] = m.pairs.find(ids[at-1], ids[at])
		}
	}
	return append(dst, ids[:n]...)
}

// A longPiece merges a piece in O(n log n): a linked list of tokens and a heap
// of merges. It is the memory for that, about 32 bytes per byte of the piece.
type longPiece struct {
	nodes []node
	heap  []candidate
	ids   []int32 // of a SentencePiece's characters
}

// A node is a token of the piece; prev and next are indices of nodes, -1 at the
// ends. rank is that of the merge with the next node, noRank if there is none
// or if the node is gone.
type node struct {
	id         int32
	rank       uint32
	prev, next int32
}

// A candidate is a rank in the upper half and the index of a left node in the
// lower. It is out of date if the node has another rank by now.
type candidate uint64

func (l *longPiece) merge(dst []int32, m *merger, piece string) []int32 {
	nodes := l.nodes[:0]
	add := func(id int32) {
		n := int32(len(nodes))
		nodes = append(nodes, node{id: id, rank: noRank, prev: n - 1, next: n + 1})
	}
	if m.chars != nil {
		l.ids = m.symbols(l.ids[:0], piece)
		for _, id := range l.ids {
			add(id)
		}
	} else {
		for i := range len(piece) {
			if id := m.bytes[piece[i]]; id >= 0 {
				add(id)
			}
		}
	}
	if len(nodes) == 0 {
		return dst
	}
	nodes[len(nodes)-1].next = -1
	l.nodes, l.heap = nodes, l.heap[:0]

	for i := range nodes[:len(nodes)-1] {
		if rank := m.pairs.find(nodes[i].id, nodes[i+1].id); rank != noRank {
			nodes[i].rank = rank
			l.heap = append(l.heap, candidate(rank)<<32|candidate(i))
		}
	}
	for i := len(l.heap)/2 - 1; i >= 0; i-- {
		l.down(i)
	}
	for len(l.heap) > 0 {
		c := l.pop()
		i := int32(uint32(c))
		left := &nodes[i]
		if left.rank != uint32(c>>32) {
			continue
		}
		right := &nodes[left.next]
		left.id = m.result[left.rank]
		left.next = right.next
		right.rank = noRank
		if left.next >= 0 {
			nodes[left.next].prev = i
		}
		l.update(m, i)
		if left.prev >= 0 {
			l.update(m, left.prev)
		}
	}
	for i := int32(0); i >= 0; i = nodes[i].next {
		dst = append(dst, nodes[i].id)
	}
	return dst
}

// update looks up the merge of node i with the next one.
func (l *longPiece) update(m *merger, i int32) {
	n := &l.nodes[i]
	n.rank = noRank
	if n.next < 0 {
		return
	}
	if n.rank = m.pairs.find(n.id, l.nodes[n.next].id); n.rank != noRank {
		l.push(candidate(n.rank)<<32 | candidate(i))
	}
}

func (l *longPiece) push(c candidate) {
	h := append(l.heap, c)
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if h[up] <= c {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = c
	l.heap = h
}

func (l *longPiece) pop() candidate {
	top, last := l.heap[0], len(l.heap)-1
	l.heap[0] = l.heap[last]
	l.heap = l.heap[:last]
	if last > 0 {
		l.down(0)
	}
	return top
}

func (l *longPiece) down(i int) {
	h := l.heap
	c := h[i]
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1] < h[child] {
			child++
		}
		if c <= h[child] {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = c
}
