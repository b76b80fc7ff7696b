package llama

import (
	"math/rand/v2"
	"testing"
)

// TestPages runs random sequences against a model of what the tree must hold: pages are lent once, found by exactly the tokens they
// were put in with, and all there in the end.
func TestPages(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	p := newPages(40)
	type use struct {
		s    *sequence
		text []int32
	}
	var running []use
	content := map[int32][]int32{} // the tokens up to the end of each page
	for range 20_000 {
		switch {
		case len(running) < 4 && r.IntN(3) == 0:
			text := make([]int32, 1+r.IntN(6*pageSize))
			for i := range text {
				text[i] = int32(i / pageSize * r.IntN(2)) // few kinds of pages
				if i%pageSize != 0 {
					text[i] = text[i-1]
				}
			}
			s := &sequence{tokens: text, prompt: len(text), slot: -1}
			s.start(p)
			if s.done >= len(text) {
				t.Fatal("nothing is left to run")
			}
			for i, n := range s.nodes {
				got := content[n.page]
				if len(got) != (i+1)*pageSize || !equal(got, text[:len(got)]) {
					t.Fatalf("page %d of %v holds %v", i, text, got)
				}
			}
			running = append(running, use{s, text})
		case len(running) > 0:
			i := r.IntN(len(running))
			u := running[i]
			n := min(1+r.IntN(50), u.s.pending())
			if n == 0 || r.IntN(5) == 0 || !u.s.reserve(p, n) {
				u.s.drop(p)
				running = append(running[:i], running[i+1:]...)
				continue
			}
			for j := len(u.s.nodes); j < len(u.s.table); j++ {
				delete(content, u.s.table[j]) // overwritten
			}
			u.s.advance(p, n)
			for j, n := range u.s.nodes {
				if content[n.page] == nil {
					content[n.page] = u.text[:(j+1)*pageSize]
				}
			}
		}
		lent := map[int32]bool{}
		for _, u := range running {
			for _, page := range u.s.table {
				lent[page] = true
			}
		}
		if p.available() != 40-len(lent) {
			t.Fatalf("%d pages available, %d of 40 are lent", p.available(), len(lent))
		}
	}
	for _, u := range running {
		u.s.drop(p)
	}
	for range 40 {
		if _, ok := p.take(); !ok {
			t.Fatal("a page is lost")
		}
	}
	if len(p.index) != 0 || p.held != 0 {
		t.Errorf("%d nodes and %d held pages are left of none", len(p.index), p.held)
	}
}

// TestLeastRecentlyUsed: of a long text that was used before others all goes before anything of theirs, from its end on, but for what
// they begin with too.
func TestLeastRecentlyUsed(t *testing.T) {
	p := newPages(20)
	text := func(first, id int32, pages int) (tokens []int32) {
		for i := range pages * pageSize {
			tokens = append(tokens, id)
			if i < pageSize {
				tokens[i] = first
			}
		}
		return append(tokens, 0)
	}
	use := func(tokens []int32) {
		s := &sequence{tokens: tokens, prompt: len(tokens), slot: -1}
		s.start(p)
		if !s.reserve(p, s.pending()) {
			t.Fatal("no page")
		}
		s.advance(p, s.pending())
		s.drop(p)
	}
	old, alike, others := text(1, 2, 8), text(1, 3, 3), [][]int32{text(4, 5, 3), text(6, 7, 2), text(8, 9, 4)}
	use(old)
	use(alike)
	for _, o := range others {
		use(o)
	}
	for p.known("", old) > pageSize {
		if _, ok := p.take(); !ok {
			t.Fatal("no page")
		}
		for _, o := range append(others, alike) {
			if n := p.known("", o); n != len(o)-1 {
				t.Fatalf("of a later text %d of %d tokens are left, of the old one %d", n, len(o)-1, p.known("", old))
			}
		}
	}
	for i, o := range append([][]int32{alike}, others...) { // the rest in their order
		for p.known("", o) > 0 {
			p.take()
		}
		for _, later := range others[i:] {
			if n := p.known("", later); n != len(later)-1 {
				t.Fatalf("of text %d %d tokens are left of %d", i, n, len(later)-1)
			}
		}
	}
}

func equal(a, b []int32) bool { return len(a) == len(b) && common(a, b) == len(a) }
