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

func equal(a, b []int32) bool { return len(a) == len(b) && common(a, b) == len(a) }
