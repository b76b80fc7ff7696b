package llama

import (
	lru "container/list"

	"github.com/llama31/llama31/kernels"
)

const pageSize = kernels.PageSize

// pages hands out the pages of the KV cache. Full pages of finished prompts and answers stay behind in a tree keyed by their
// tokens, so that a request that starts alike finds them; they are given away, least recently used first, when pages run out.
// It belongs to the engine's goroutine.
type pages struct {
	free []int32
	root node
	idle lru.List // of *node: leaves of the tree that no sequence uses, least recently used in front
	held int      // pages in the tree that no sequence uses
}

// node is a full page of a sequence of tokens, below the page before it.
type node struct {
	tokens   [pageSize]int32
	page     int32
	parent   *node
	children map[[pageSize]int32]*node
	refs     int          // sequences that use it
	idle     *lru.Element // in pages.idle
}

func newPages(n int) *pages {
	p := &pages{free: make([]int32, n)}
	for i := range p.free {
		p.free[i] = int32(n - 1 - i)
	}
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
	e := p.idle.Front()
	if e == nil {
		return 0, false
	}
	n := e.Value.(*node)
	p.idle.Remove(e)
	p.held--
	delete(n.parent.children, n.tokens)
	p.settle(n.parent)
	return n.page, true
}

// give returns a page that is in no tree.
func (p *pages) give(page int32) { p.free = append(p.free, page) }

// find walks the tree along tokens and gives the nodes, each with a reference for the caller. The last page is left out if it
// would cover all tokens: one at least must run to give logits.
func (p *pages) find(tokens []int32) []*node {
	var found []*node
	at := &p.root
	for len(tokens) > pageSize {
		next := at.children[[pageSize]int32(tokens)]
		if next == nil {
			break
		}
		p.retain(next)
		found = append(found, next)
		at, tokens = next, tokens[pageSize:]
	}
	return found
}

// put adds a full page below parent (nil: the root) with a reference for the caller. Where the same tokens are there already, the
// page is given back: it holds the same bits.
func (p *pages) put(parent *node, tokens [pageSize]int32, page int32) *node {
	if parent == nil {
		parent = &p.root
	}
	if n := parent.children[tokens]; n != nil {
		p.retain(n)
		p.give(page)
		return n
	}
	n := &node{tokens: tokens, page: page, parent: parent, refs: 1}
	if parent.children == nil {
		parent.children = map[[pageSize]int32]*node{}
	}
	parent.children[tokens] = n
	p.unsettle(parent)
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
	p.settle(n)
}

// settle puts a node that nobody uses and nothing follows at the end of the idle list.
func (p *pages) settle(n *node) {
	if n != &p.root && n.refs == 0 && len(n.children) == 0 && n.idle == nil {
		n.idle = p.idle.PushBack(n)
	}
}

func (p *pages) unsettle(n *node) {
	if n.idle != nil {
		p.idle.Remove(n.idle)
		n.idle = nil
	}
}
