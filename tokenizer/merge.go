package tokenizer

import (
	"fmt"
	"math"
	"strings"
	"sync"
)

// A merger merges bytes to tokens. Once it is built it is safe for concurrent use.
type merger struct {
	bytes [256]int32 // the token of each byte, -1: the vocabulary lacks it
	pairs *pairTable
	long  sync.Pool // of *longPiece
}

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
	m.pairs = newPairTable(len(merges))
	var whole []byte
	var okA, okB bool
	for rank, s := range merges {
		a, b, ok := strings.Cut(s, " ")
		whole, okA = appendBytes(whole[:0], a)
		n := len(whole)
		whole, okB = appendBytes(whole, b)
		if !ok || !okA || !okB || n == 0 || n == len(whole) {
			return &VocabError{"Merges", rank, fmt.Sprintf("%.50q, expected two tokens with a space between", s)}
		}
		left, right := table.findBytes(whole[:n]), table.findBytes(whole[n:])
		id := table.findBytes(whole)
		if left < 0 || right < 0 || id < 0 {
			return &VocabError{"Merges", rank, fmt.Sprintf("%.50q, of which one or the result is no token", s)}
		}
		m.pairs.put(left, right, newMerge(rank, id))
	}
	return nil
}

// split makes a merge of every way to split a token in two; its rank is the id
// of the token.
func (m *merger) split(table *tokenTable) {
	type splitting struct{ left, right, id int32 }
	var all []splitting
	for id := range int32(len(table.tokens.ends)) {
		s := table.tokens.at(id)
		if table.find(s) != id {
			continue
		}
		for i := 1; i < len(s); i++ {
			if left := table.find(s[:i]); left >= 0 {
				if right := table.find(s[i:]); right >= 0 {
					all = append(all, splitting{left, right, id})
				}
			}
		}
	}
	m.pairs = newPairTable(len(all))
	for _, a := range all {
		m.pairs.put(a.left, a.right, newMerge(int(a.id), a.id))
	}
}

// shortPiece is up to what length a piece is merged by scanning for the lowest
// rank, which is quadratic but has no bookkeeping. On random letters the heap
// wins from about 100 bytes on.
const shortPiece = 64

// keepPiece is the longest piece whose scratch memory, about 1 MB, is kept.
const keepPiece = 32 << 10

// append appends the tokens that a piece merges to. The pair of the lowest rank goes first, of equal ones the leftmost. Bytes that the
// vocabulary lacks are dropped, and what is left is merged as if they had never
// been there, as Hugging Face's tokenizers do.
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
	for i := range len(piece) {
		if id := m.bytes[piece[i]]; id >= 0 {
			ids[n] = id
			n++
		}
	}
	// next[i] is the merge of ids[i] and ids[i+1].
	var next [shortPiece]merge
	for i := range n - 1 {
		next[i] = m.pairs.find(ids[i], ids[i+1])
	}
	for n > 1 {
		best, at := noMerge, 0
		for i, p := range next[:n-1] {
			if p < best {
				best, at = p, i
			}
		}
		if best == noMerge {
			break
		}
		ids[at] = best.id()
		n--
		copy(ids[at+1:n], ids[at+2:n+1])
		if at+1 < n {
			copy(next[at+1:n-1], next[at+2:n])
			next[at] = m.pairs.find(ids[at], ids[at+1])
		}
		if at > 0 {
			next[at-1] = m.pairs.find(ids[at-1], ids[at])
		}
	}
	return append(dst, ids[:n]...)
}

// A longPiece merges a piece in O(n log n): a linked list of tokens and a heap
// of merges. It is the memory for that, about 32 bytes per byte of the piece.
type longPiece struct {
	nodes []node
	heap  []candidate
}

// A node is a token of the piece; prev and next are indices of nodes, -1 at the
// ends. rank is that of the merge with the next node, noRank if there is none
// or if the node is gone.
type node struct {
	id         int32
	rank       uint32
	prev, next int32
}

const noRank = math.MaxUint32

// A candidate is a rank in the upper half and the index of a left node in the
// lower. It is out of date if the node has another rank by now.
type candidate uint64

func (l *longPiece) merge(dst []int32, m *merger, piece string) []int32 {
	nodes := l.nodes[:0]
	for i := range len(piece) {
		if id := m.bytes[piece[i]]; id >= 0 {
			n := int32(len(nodes))
			nodes = append(nodes, node{id: id, rank: noRank, prev: n - 1, next: n + 1})
		}
	}
	if len(nodes) == 0 {
		return dst
	}
	nodes[len(nodes)-1].next = -1
	l.nodes, l.heap = nodes, l.heap[:0]

	for i := range nodes[:len(nodes)-1] {
		if p := m.pairs.find(nodes[i].id, nodes[i+1].id); p != noMerge {
			nodes[i].rank = p.rank()
			l.heap = append(l.heap, candidate(p.rank())<<32|candidate(i))
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
		left.id = m.pairs.find(left.id, right.id).id()
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
	if p := m.pairs.find(n.id, l.nodes[n.next].id); p != noMerge {
		n.rank = p.rank()
		l.push(candidate(p.rank())<<32 | candidate(i))
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
