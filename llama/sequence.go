package llama

import (
	"math"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/llama31/llama31/kernels"
	"github.com/llama31/llama31/tokenizer"
)

// sequence is one run of tokens through the model: a choice of a request, or a text to score. It belongs to the engine's goroutine,
// but for cancelled.
type sequence struct {
	job    *job
	choice int
	after  *sequence // waits until that one's prompt is in the cache, to share it

	tokens []int32 // prompt, then what was generated
	prompt int
	limit  int // most tokens
	done   int // tokens whose keys and values are computed
	cached int // of these, found in the cache
	chunk  int // tokens in the current step

	nodes []*node // full pages, shared through the tree
	table []int32 // all pages: the nodes', then its own
	slot  int

	scan *scan // a text to score; nil: a request

	sampling kernels.Sampling
	counts   []kernels.Count // of generated tokens, where penalties need them
	seed     uint64
	top      int
	stops    map[int32]bool // stop tokens
	text     stopText
	ended    bool

	cancelled atomic.Bool
}

// pending counts tokens that have yet to run.
func (s *sequence) pending() int { return len(s.tokens) - s.done }

// generating says that the prompt is done, and one token is to follow the last.
func (s *sequence) generating() bool {
	return s.scan == nil && len(s.tokens) > s.prompt && s.pending() == 1
}

// start finds what the cache has of the sequence.
func (s *sequence) start(p *pages) {
	known := s.tokens
	if s.scan != nil {
		known = known[:s.scan.from+1] // rows from there on are wanted
	}
	s.nodes = append(s.nodes[:0], p.find(known)...)
	s.table = s.table[:0]
	for _, n := range s.nodes {
		s.table = append(s.table, n.page)
	}
	s.done = len(s.nodes) * pageSize
	if len(s.tokens) == s.prompt {
		s.cached = s.done
	}
}

// reserve makes room for n more tokens, or reports false if pages ran out.
func (s *sequence) reserve(p *pages, n int) bool {
	for len(s.table)*pageSize < s.done+n {
		page, ok := p.take()
		if !ok {
			return false
		}
		s.table = append(s.table, page)
	}
	return true
}

// advance takes note of a step's tokens, and shares the pages that are full now.
func (s *sequence) advance(p *pages) {
	s.done += s.chunk
	s.chunk = 0
	for (len(s.nodes)+1)*pageSize <= s.done {
		i := len(s.nodes)
		var parent *node
		if i > 0 {
			parent = s.nodes[i-1]
		}
		n := p.put(parent, [pageSize]int32(s.tokens[i*pageSize:]), s.table[i])
		s.nodes, s.table[i] = append(s.nodes, n), n.page
	}
}

// drop returns all pages. The full ones stay in the tree for later.
func (s *sequence) drop(p *pages) {
	for _, page := range s.table[len(s.nodes):] {
		p.give(page)
	}
	for i := len(s.nodes) - 1; i >= 0; i-- {
		p.release(s.nodes[i])
	}
	s.nodes, s.table, s.done = s.nodes[:0], s.table[:0], 0
}

// sample gives the draw for the next token.
func (s *sequence) sample() *kernels.Sampling {
	s.sampling.Draw = uniform(s.seed, s.choice, len(s.tokens))
	s.sampling.Seen = s.counts
	return &s.sampling
}

// count takes note of a generated token for the penalties.
func (s *sequence) count(id int32) {
	p := &s.sampling
	if (p.Repeat == 0 || p.Repeat == 1) && p.Frequency == 0 && p.Presence == 0 {
		return
	}
	for i := range s.counts {
		if s.counts[i].ID == id {
			s.counts[i].N++
			return
		}
	}
	s.counts = append(s.counts, kernels.Count{ID: id, N: 1})
}

// setSampling translates a request's sampling.
func (s *sequence) setSampling(p *Sampling) {
	temperature := 1.0
	if p.Temperature != nil {
		temperature = *p.Temperature
	}
	s.sampling = kernels.Sampling{Temperature: temperature, TopK: p.TopK, TopP: p.TopP, MinP: p.MinP, Typical: p.Typical, Repeat: p.Repeat, Frequency: p.Frequency, Presence: p.Presence}
	for id, v := range p.Bias {
		s.sampling.Bias = append(s.sampling.Bias, kernels.Bias{ID: id, Value: float32(v)})
	}
	if p.IgnoreEOS {
		for id := range s.stops {
			s.sampling.Bias = append(s.sampling.Bias, kernels.Bias{ID: id, Value: float32(math.Inf(-1))})
		}
	}
	slices.SortFunc(s.sampling.Bias, func(a, b kernels.Bias) int { return int(a.ID) - int(b.ID) })
}

// stopText turns tokens into text, holding back partial UTF-8 and whatever may be the beginning of a stop text.
type stopText struct {
	decoder *tokenizer.Decoder
	stops   []string
	held    string
	all     strings.Builder // what was let go
}

// next gives the text that is complete with a token, and whether a stop text ended it.
func (t *stopText) next(id int32) (text string, stop bool) { return t.add(t.decoder.Next(id)) }

// flush gives what was held back.
func (t *stopText) flush() string {
	text, stop := t.add(t.decoder.Flush())
	if !stop {
		t.all.WriteString(t.held)
		text += t.held
	}
	t.held = ""
	return text
}

func (t *stopText) add(new string) (text string, stop bool) {
	t.held += new
	first := -1
	for _, s := range t.stops {
		if i := strings.Index(t.held, s); i >= 0 && (first < 0 || i < first) {
			first = i
		}
	}
	if first >= 0 {
		text, t.held = t.held[:first], ""
		t.decoder.Flush() // whatever follows is not part of the answer
		t.all.WriteString(text)
		return text, true
	}
	keep := 0
	for _, s := range t.stops {
		for n := min(len(s)-1, len(t.held)); n > keep; n-- {
			if strings.HasSuffix(t.held, s[:n]) {
				keep = n
				break
			}
		}
	}
	text, t.held = t.held[:len(t.held)-keep], t.held[len(t.held)-keep:]
	t.all.WriteString(text)
	return text, false
}
