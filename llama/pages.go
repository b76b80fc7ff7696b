package llama

import (
	"hash/maphash"

	"github.com/llama31/llama31/kernels"
)

const pageSize = kernels.PageSize

// pages hands out the pages of the KV cache. Full pages of prompts and answers stay behind in a tree keyed by their tokens, so that
// a request that starts alike finds them; they are given away, least recently used first, when pages run out. It belongs to the
// engine's goroutine, and allocates nothing once it is made: each page has its node.
type pages struct {
	nodes []node
	free  []int32
	index map[uint64]*node // by node.key; those of one key are linked
	seed  maphash.Seed
	idle  node // head of the ring of leaves that no sequence uses, least recently used first
	held  int  // pages in the tree that no sequence uses
	clock int64
}

// node is a full page of a sequence of tokens, below the page before it.
type node struct {
	owner      string // who may find it; "": everyone
	tokens     [pageSize]int32
	page       int32
	parent     *node // nil: the first page
	key        uint64
	alike      *node // the next of the same key
	children   int
	refs       int   // sequences that use it
	used       int64 // when the last one let go of it
	prev, next *node // in the ring of idle leaves; nil: not there
}

func newPages(n int) *pages {
	p := &pages{nodes: make([]node, n), free: make([]int32, n), index: make(map[uint64]*node, n), seed: maphash.MakeSeed()}
	for i := range p.free {
		p.free[i] = int32(n - 1 - i)
	}
	p.idle.prev, p.idle.next = &p.idle, &p.idle
	return p
}

// available counts the pages that take could give.
func (p *pages) available() int { return len(p.free) + p.held }

// take gives a page, or false if every page is in use.
func (p *pages) take() (int32, bool) {
	if n := len(p.free); n > 0 {
		page := p.free[n-1]
		p.free = p.free[:n-1]
		return page, true
	}
	n := p.idle.next
	if n == &p.idle {
		return 0, false
	}
	p.unsettle(n)
	p.held--
	p.forget(n)
	if n.parent != nil {
		n.parent.children--
		// It was used when n was, or since then by others: the ring stays in the order of use.
		at := &p.idle
		for at.next != &p.idle && at.next.used < n.parent.used {
			at = at.next
		}
		p.settle(n.parent, at)
	}
	return n.page, true
}

// give returns a page that is in no tree.
func (p *pages) give(page int32) { p.free = append(p.free, page) }

// key is the hash of a page's tokens, of those before it, and of the owner.
func (p *pages) key(owner string, parent *node, tokens *[pageSize]int32) uint64 {
	var before uint64
	if parent != nil {
		before = parent.key
	} else if owner != "" {
		before = maphash.String(p.seed, owner)
	}
	return maphash.Comparable(p.seed, *tokens)*0x9E3779B97F4A7C15 ^ (before<<31 | before>>33)
}

// child finds an owner's page of tokens below parent.
func (p *pages) child(owner string, parent *node, tokens *[pageSize]int32) *node {
	n := p.index[p.key(owner, parent, tokens)]
	for n != nil && (n.owner != owner || n.parent != parent || n.tokens != *tokens) {
		n = n.alike
	}
	return n
}

// forget takes a node out of the index.
func (p *pages) forget(n *node) {
	if first := p.index[n.key]; first != n {
		for first.alike != n {
			first = first.alike
		}
		first.alike = n.alike
	} else if n.alike != nil {
		p.index[n.key] = n.alike
	} else {
		delete(p.index, n.key)
	}
}

// find walks an owner's tree along tokens and appends the nodes to found, each with a reference for the caller. The last page is left
// out if it would cover all tokens: one at least must run to give logits.
func (p *pages) find(found []*node, owner string, tokens []int32) []*node {
	var at *node
	for len(tokens) > pageSize {
		next := p.child(owner, at, (*[pageSize]int32)(tokens))
		if next == nil {
			break
		}
		p.retain(next)
		found = append(found, next)
		at, tokens = next, tokens[pageSize:]
	}
	return found
}

// known counts the tokens that find would find.
func (p *pages) known(owner string, tokens []int32) int {
	n := 0
	for at := (*node)(nil); len(tokens)-n > pageSize; n += pageSize {
		if at = p.child(owner, at, (*[pageSize]int32)(tokens[n:])); at == nil {
			break
		}
	}
	return n
}

// put adds an owner's full page below parent (nil: the first) with a reference for the caller. Where the same tokens are there already,
// the page is given back: it holds the same bits.
func (p *pages) put(owner string, parent *node, tokens *[pageSize]int32, page int32) *node {
	if n := p.child(owner, parent, tokens); n != nil {
		p.retain(n)
		p.give(page)
		return n
	}
	key := p.key(owner, parent, tokens)
	n := &p.nodes[page]
	*n = node{owner: owner, tokens: *tokens, page: page, parent: parent, key: key, alike: p.index[key], refs: 1}
	p.index[key] = n
	if parent != nil {
		parent.children++
		p.unsettle(parent)
	}
	return n
}

func (p *pages) retain(n *node) {
	if n.refs == 0 {
		p.held--
	}
	n.refs++
	p.unsettle(n)
}

func (p *pages) release(n *node) {
	n.refs--
	if n.refs == 0 {
		p.held++
	}
	p.clock++
	n.used = p.clock
	p.settle(n, p.idle.prev)
}

// settle puts a node that nobody uses and nothing follows into the ring, after another.
func (p *pages) settle(n, after *node) {
	if n.refs == 0 && n.children == 0 && n.next == nil {
		n.prev, n.next = after, after.next
		n.prev.next, n.next.prev = n, n
	}
}

func (p *pages) unsettle(n *node) {
	if n.next != nil {
		n.prev.next, n.next.prev = n.next, n.prev
		n.prev, n.next = nil, nil
	}
}
