package tokenizer

import (
	"slices"
	"sort"
	"strings"
)

// specials finds tokens that are taken from the text as they stand. It is the
// only place where control tokens come from text.
type specials struct {
	tokens *tokenBytes
	ids    []int32 // sorted by the tokens' bytes
	first  [256]struct{ lo, hi int32 }
	// only is the first byte of all of them, if they share it: '<' mostly.
	only string
	// longest is the number of bytes of the longest of them.
	longest int
}

// newSpecials takes the tokens' ids. Empty ones are left out, and of two of the
// same bytes the first one stays.
func newSpecials(tokens *tokenBytes, ids []int32) *specials {
	s := &specials{tokens: tokens}
	for _, id := range ids {
		if tokens.at(id) != "" {
			s.ids = append(s.ids, id)
		}
	}
	slices.SortStableFunc(s.ids, func(a, b int32) int { return strings.Compare(tokens.at(a), tokens.at(b)) })
	s.ids = slices.CompactFunc(s.ids, func(a, b int32) bool { return tokens.at(a) == tokens.at(b) })
	for i, id := range s.ids {
		f := &s.first[tokens.at(id)[0]]
		if f.hi == 0 {
			f.lo = int32(i)
		}
		f.hi = int32(i) + 1
		s.longest = max(s.longest, len(tokens.at(id)))
	}
	if n := len(s.ids); n > 0 {
		if first := tokens.at(s.ids[0])[:1]; first == tokens.at(s.ids[n-1])[:1] {
			s.only = first
		}
	}
	return s
}

// next finds the leftmost special token of the text from i on, and of those that
// begin there the longest. Without one it returns start == len(text), id -1.
func (s *specials) next(text string, i int) (start, end int, id int32) {
	if len(s.ids) == 0 {
		return len(text), len(text), -1
	}
	for ; i < len(text); i++ {
		if s.only != "" {
			n := strings.IndexByte(text[i:], s.only[0])
			if n < 0 {
				break
			}
			i += n
		}
		if id, n := s.match(text[i:]); n > 0 {
			return i, i + n, id
		}
	}
	return len(text), len(text), -1
}

// match returns the longest special token that text begins with: it narrows the
// sorted tokens down to those that begin like the text, byte by byte.
func (s *specials) match(text string) (id int32, n int) {
	f := s.first[text[0]]
	lo, hi := int(f.lo), int(f.hi)
	for depth := 1; lo < hi; depth++ {
		// The token that has no further byte sorts before those that have.
		if t := s.tokens.at(s.ids[lo]); len(t) == depth {
			id, n = s.ids[lo], depth
			lo++
		}
		if depth == len(text) {
			break
		}
		c := text[depth]
		in := s.ids[lo:hi]
		a := sort.Search(len(in), func(i int) bool { return s.tokens.at(in[i])[depth] >= c })
		b := sort.Search(len(in), func(i int) bool { return s.tokens.at(in[i])[depth] > c })
		lo, hi = lo+a, lo+b
	}
	return id, n
}

// endsInStart tells whether the text ends in the beginning of a special token,
// but not in the whole of it.
func (s *specials) endsInStart(text string) bool {
	for i := max(0, len(text)-s.longest+1); i < len(text); i++ {
		tail := text[i:]
		n := sort.Search(len(s.ids), func(i int) bool { return s.tokens.at(s.ids[i]) > tail })
		if n < len(s.ids) && strings.HasPrefix(s.tokens.at(s.ids[n]), tail) {
			return true
		}
	}
	return false
}

// has tells whether a special token has the text in it.
func (s *specials) has(text string) bool {
	return slices.ContainsFunc(s.ids, func(id int32) bool { return strings.Contains(s.tokens.at(id), text) })
}
