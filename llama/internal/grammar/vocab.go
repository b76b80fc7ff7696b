package grammar

import (
	"slices"
	"sort"
	"strings"
)

// Vocab is the tokens of a vocabulary, as a grammar sees them. It does not change, and any number of machines may use it.
type Vocab struct {
	size  int
	text  func(id int32) string
	stops []int32
	words int   // of a mask
	all   *trie // of all tokens
	short *trie // of those with less than farBytes
	far   *trie // of the others
}

// farBytes is the length of tokens that are few: 0.2% of Llama 3.1's.
const farBytes = 32

// NewVocab makes the vocabulary of tokens 0 to size-1. text gives a token's bytes, "" for one that matches nothing; a control token
// that grammars may name has Control's. Stops are the tokens that end a text.
func NewVocab(size int, text func(id int32) string, stops []int32) *Vocab {
	v := &Vocab{size: size, stops: stops, words: (size + 31) / 32}
	v.text = func(id int32) string {
		s := text(id)
		if hasControl(s) && (len(s) < 3 || s != Control(s[1:len(s)-1])) || slices.Contains(stops, id) {
			return "" // a byte that no text has
		}
		return s
	}
	var all, short, far []entry
	for id := range int32(size) {
		s := v.text(id)
		if s == "" {
			continue
		}
		e := entry{s, id}
		all = append(all, e)
		if len(s) < farBytes {
			short = append(short, e)
		} else {
			far = append(far, e)
		}
	}
	v.all, v.short, v.far = newTrie(all), newTrie(short), newTrie(far)
	return v
}

type entry struct {
	text string
	id   int32
}

// trie is tokens by their bytes: its nodes in the order of a walk, parents before children.
type trie struct {
	nodes []trieNode
	ids   []int32 // of the tokens, in the order of their bytes
	depth int     // of the deepest node
}

type trieNode struct {
	end   int32  // the node after all that are below this one
	ids   int32  // the first of ids that is here or below
	count int32  // of tokens that end here
	depth uint16 // bytes from the root
	b     byte   // that leads here
}

func newTrie(entries []entry) *trie {
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.text, b.text) })
	t := &trie{nodes: []trieNode{{}}}
	for _, e := range entries {
		t.ids = append(t.ids, e.id)
	}
	t.build(entries, 0, 0)
	t.nodes = slices.Clip(t.nodes)
	return t
}

// build adds what is below a node: entries share their first depth bytes, first is the first one's place in ids.
func (t *trie) build(entries []entry, depth, first int) {
	at := len(t.nodes) - 1
	n := 0
	for n < len(entries) && len(entries[n].text) == depth {
		n++
	}
	t.nodes[at].ids, t.nodes[at].count = int32(first), int32(n)
	t.depth = max(t.depth, depth)
	for n < len(entries) {
		b := entries[n].text[depth]
		last := n + sort.Search(len(entries)-n, func(i int) bool { return entries[n+i].text[depth] > b })
		t.nodes = append(t.nodes, trieNode{depth: uint16(depth + 1), b: b})
		t.build(entries[n:last], depth+1, first+n)
		n = last
	}
	t.nodes[at].end = int32(len(t.nodes))
}

// below is the number of tokens at a node or below it.
func (t *trie) below(i int32) int32 {
	last := int32(len(t.ids))
	if e := t.nodes[i].end; int(e) < len(t.nodes) {
		last = t.nodes[e].ids
	}
	return last - t.nodes[i].ids
}
