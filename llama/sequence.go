package llama

import (
	"bytes"
	"math"
	"slices"
	"sync/atomic"

	"github.com/llama31/llama31/kernels"
	"github.com/llama31/llama31/llama/internal/grammar"
	"github.com/llama31/llama31/tokenizer"
)

// sequence is one run of tokens through the model: a choice of a request, or a text to score. It belongs to the engine's goroutine
// once it runs, but for cancelled; while it waits, the engine's mutex guards it.
type sequence struct {
	job      *job
	choice   int
	tenant   *tenant
	priority int
	arrival  int64 // its number among all that came
	admitted bool  // ran already
	aged     bool  // in the oldest's turn

	twin   *sequence // computes what both have in common, the first shared tokens
	shared int

	tokens []int32 // prompt, then what was generated
	prompt int
	limit  int  // most tokens
	done   int  // tokens whose keys and values are computed
	cached int  // of these, found in the cache
	chunk  int  // tokens in the current step
	yields bool // is left out of the current step for another key's sake
	out    int  // the first of its rows in the step's Out
	outs   int

	nextOut int // its row of the step after, see ahead

	owner string  // of its pages: the key, with Options.IsolateKeys; "": everyone
	nodes []*node // full pages, shared through the tree
	table []int32 // all pages: the nodes', then its own
	slot  int     // -1: waits

	scan *scan // a text to score; nil: a request

	sampling kernels.Sampling
	draws    []kernels.Sampling // of the current step's rows
	counts   []kernels.Count    // of generated tokens, where penalties need them
	seed     uint64
	top      int
	stops    map[int32]bool // stop tokens
	text     stopText
	ended    bool

	format    constraint                  // what the answer has to match
	calls     *callReader                 // finds calls of tools in it; nil: no tools
	arguments map[string]*grammar.Machine // what calls have to match that the model begins by itself

	draft   []int32 // guesses at the next tokens in the current step
	chance  float64 // that all of them are right
	lookup  lookup
	drafted *drafted // by the draft model; nil: nothing yet

	cancelled atomic.Bool
}

// pending counts tokens that have yet to run.
func (s *sequence) pending() int { return len(s.tokens) - s.done }

// rank is the priority among those that run.
func (s *sequence) rank() int {
	if s.aged {
		return math.MaxInt
	}
	return s.priority
}

// generating says that the prompt is done, and one token is to follow the last.
func (s *sequence) generating() bool {
	return s.scan == nil && len(s.tokens) > s.prompt && s.pending() == 1
}

// cacheable are the tokens that need not run if the cache has them; that after the last of them is wanted.
func (s *sequence) cacheable() []int32 {
	if s.scan != nil {
		return s.tokens[:s.scan.from+1]
	}
	return s.tokens
}

// start finds what the cache has of the sequence.
func (s *sequence) start(p *pages) {
	s.nodes = p.find(s.nodes[:0], s.owner, s.cacheable())
	s.table = s.table[:0]
	for _, n := range s.nodes {
		s.table = append(s.table, n.page)
	}
	s.done = len(s.nodes) * pageSize
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

// advance takes note of n tokens that ran, and shares the pages that are full now.
func (s *sequence) advance(p *pages, n int) {
	s.done += n
	for (len(s.nodes)+1)*pageSize <= s.done {
		i := len(s.nodes)
		var parent *node
		if i > 0 {
			parent = s.nodes[i-1]
		}
		n := p.put(s.owner, parent, (*[pageSize]int32)(s.tokens[i*pageSize:]), s.table[i])
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

// sample gives the draw for the i-th token from the next on.
func (s *sequence) sample(i int) *kernels.Sampling {
	if i == 0 {
		s.draws = s.draws[:0]
		s.draws = slices.Grow(s.draws, len(s.draft)+1) // pointers into it are out already when the next comes
	}
	s.draws = append(s.draws, s.sampling)
	d := &s.draws[i]
	d.Draw = uniform(s.seed, s.choice, len(s.tokens)+i)
	d.Seen, d.Mask = s.counts, s.format.mask(i)
	return d
}

// penalized says that a token's draw depends on the tokens before it, beside the model.
func (s *sequence) penalized() bool {
	p := &s.sampling
	return p.Repeat != 0 && p.Repeat != 1 || p.Frequency != 0 || p.Presence != 0
}

// count takes note of a generated token for the penalties.
func (s *sequence) count(id int32) {
	if !s.penalized() {
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

// read appends a token's text to the answer's content, less what belongs to calls, and reports whether a stop text ended it.
func (s *sequence) read(dst []byte, id int32) (content []byte, stop bool) {
	if s.calls == nil {
		return s.text.next(dst, id)
	}
	t := s.job.tokenizer
	if name := t.Token(id); t.IsControl(id) {
		dst = s.calls.text(dst, s.text.flush(nil))
		return s.calls.mark(dst, name), s.text.found != ""
	}
	text, stop := s.text.next(nil, id)
	return s.calls.text(dst, text), stop
}

// flush appends what was held back of the content.
func (s *sequence) flush(dst []byte) []byte {
	if s.calls == nil {
		return s.text.flush(dst)
	}
	return s.calls.end(s.calls.text(dst, s.text.flush(nil)), false)
}

// deltas are the pieces of calls since the last time.
func (s *sequence) deltas() []ToolCallDelta {
	if s.calls == nil {
		return nil
	}
	return s.calls.take()
}

// stopText turns tokens into text, holding back partial UTF-8 and whatever may be the beginning of a stop text.
type stopText struct {
	decoder *tokenizer.Decoder
	stops   [][]byte
	held    []byte
	found   string // the stop text that ended it
}

func newStopText(d *tokenizer.Decoder, stops []string) stopText {
	t := stopText{decoder: d}
	for _, s := range stops {
		t.stops = append(t.stops, []byte(s))
	}
	return t
}

// next appends to dst the text that is complete with a token, and reports whether a stop text ended it.
func (t *stopText) next(dst []byte, id int32) (text []byte, stop bool) {
	t.held = t.decoder.Append(t.held, id)
	return t.let(dst)
}

// holds says that text, or a part of a character, is held back.
func (t *stopText) holds() bool { return len(t.held) > 0 || t.decoder.Held() > 0 }

// flush appends what was held back.
func (t *stopText) flush(dst []byte) []byte {
	t.held = append(t.held, t.decoder.Flush()...)
	dst, stop := t.let(dst)
	if !stop {
		dst = append(dst, t.held...)
	}
	t.held = t.held[:0]
	return dst
}

// let moves to dst what cannot be part of a stop text.
func (t *stopText) let(dst []byte) (text []byte, stop bool) {
	first := -1
	for _, s := range t.stops {
		if i := bytes.Index(t.held, s); i >= 0 && (first < 0 || i < first) {
			first, t.found = i, string(s)
		}
	}
	if first >= 0 {
		dst = append(dst, t.held[:first]...)
		t.held = t.held[:0]
		t.decoder.Flush() // whatever follows is not part of the answer
		return dst, true
	}
	keep := 0
	for _, s := range t.stops {
		for n := min(len(s)-1, len(t.held)); n > keep; n-- {
			if bytes.HasSuffix(t.held, s[:n]) {
				keep = n
				break
			}
		}
	}
	n := len(t.held) - keep
	dst = append(dst, t.held[:n]...)
	t.held = t.held[:copy(t.held, t.held[n:])]
	return dst, false
}
