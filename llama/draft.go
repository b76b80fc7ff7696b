package llama

import (
	"context"
	"fmt"
	"time"

	"github.com/llama31/llama31/kernels"
)

// drafter guesses with a smaller model of the same vocabulary. It draws with the keys of the sequence that it guesses for, so that at
// any temperature the two models often draw the same. It belongs to the engine's goroutine.
type drafter struct {
	model *Model // its own engine is stopped; device, forward pass and pages are used here
	batch kernels.Batch
	costs costs
	idle  int // steps since it last guessed
	fixed int // guess so many, whatever the costs: for tests
}

// drafted is what the drafter has of a sequence.
type drafted struct {
	twin  sequence // in the draft model's pages
	rate  float64  // of right guesses
	tried bool     // the current step's guesses are the drafter's
}

const (
	mostDraft = 8   // tokens
	firstRate = 0.6 // of right guesses, until it is measured
	tryAgain  = 256 // steps without a guess after which it guesses all the same: rates change with the text
)

// openDraft opens Options.Draft for a model.
func openDraft(ctx context.Context, m *Model) (*drafter, error) {
	o := m.options
	o.Draft, o.Context, o.KVBytes, o.GPULayers, o.Progress, o.KeepGOMAXPROCS = "", 0, 0, nil, nil, true
	d, err := Open(ctx, m.options.Draft, &o)
	if err != nil {
		return nil, fmt.Errorf("draft model: %w", err)
	}
	for id := range int32(max(m.tokenizer.Size(), d.tokenizer.Size())) {
		if m.tokenizer.Token(id) != d.tokenizer.Token(id) {
			d.Close()
			return nil, fmt.Errorf("draft model: %w: its token %d is %q, expected %q as in the model", ErrRequest, id, d.tokenizer.Token(id), m.tokenizer.Token(id))
		}
	}
	d.engine.stop()
	return &drafter{model: d}, nil
}

// draft adds the drafter's guesses to a step in which all generate, where they promise more tokens per second.
func (e *engine) draft() {
	d := e.drafter
	for _, s := range e.running {
		if s.penalized() || len(s.tokens)+1 >= s.limit || len(s.tokens)+mostDraft >= d.model.context {
			return
		}
	}
	n := d.length(e)
	if n == 0 {
		if d.idle++; d.idle < tryAgain {
			return
		}
		n = 1
	}
	d.idle = 0
	for i := range n {
		if !d.guess(e.running, i) {
			break
		}
	}
	for _, s := range e.running {
		s.draft = s.draft[:min(len(s.draft), s.limit-len(s.tokens)-1)]
		if !s.reserve(e.pages, 1+len(s.draft)) {
			s.draft = s.draft[:len(s.table)*pageSize-s.done-1]
		}
	}
}

// length is how many tokens to guess of each sequence for the most tokens per second.
func (d *drafter) length(e *engine) (best int) {
	rows := len(e.running)
	if d.fixed > 0 {
		return d.fixed
	}
	if (mostDraft+1)*rows > e.maxOut || e.costs.of(rows) == 0 {
		return 0
	}
	own := d.costs.of(rows)
	if own == 0 {
		return 1 // to measure
	}
	speed := worthwhile * float64(rows) / e.costs.of(rows)
	tokens, patience := float64(rows), e.patience(rows)
	for n := 1; n <= mostDraft; n++ {
		for _, s := range e.running {
			chance := 1.
			for range n {
				chance *= s.drafted.chance()
			}
			tokens += chance
		}
		cost := e.costs.of(rows*(1+n)) + float64(n)*own
		if cost > patience {
			break
		}
		if x := tokens / cost; x > speed {
			best, speed = n, x
		}
	}
	return best
}

func (s *drafted) chance() float64 {
	if s == nil || s.rate == 0 {
		return firstRate
	}
	return s.rate
}

// guess runs a step of the draft model for the i-th guess of each sequence; those that it has yet to catch up with get none. It reports
// whether any did.
func (d *drafter) guess(running []*sequence, i int) bool {
	p, b := d.model.engine.pages, &d.batch
	b.Chunks, b.Out = b.Chunks[:0], b.Out[:0]
	rows := 0
	for _, s := range running {
		if s.drafted == nil {
			s.drafted = &drafted{}
		}
		t := &s.drafted.twin
		if i == 0 {
			t.follow(p, s)
		}
		if s.format.cut(s); len(s.draft) < i {
			continue
		}
		t.tokens = append(t.tokens[:len(s.tokens)], s.draft...)
		n := min(t.pending(), maxRows-rows)
		if n <= 0 || !t.reserve(p, n) {
			continue
		}
		t.chunk = n
		b.Chunks = append(b.Chunks, kernels.Chunk{Slot: s.slot, Pos: t.done, IDs: t.tokens[t.done : t.done+n], Pages: t.table})
		rows += n
		if n == t.pending() {
			draw := s.sampling
			draw.Draw = uniform(s.seed, s.choice, len(s.tokens)+i)
			draw.Mask = s.format.mask(i)
			t.draws = append(t.draws[:0], draw)
			t.outs = len(b.Out) + 1
			b.Out = append(b.Out, kernels.Out{Row: rows - 1, Slot: s.slot, Sample: &t.draws[0], Target: -1})
		}
	}
	if rows == 0 {
		return false
	}
	start := time.Now()
	err := d.model.device.Step(b, d.model.engine.forward)
	if err == nil && rows == len(b.Out) {
		d.costs.note(rows, time.Since(start))
	}
	any := false
	for _, s := range running {
		t := &s.drafted.twin
		if t.chunk > 0 && err == nil {
			t.done += t.chunk
			if t.outs > 0 && b.Out[t.outs-1].ID >= 0 {
				s.draft = append(s.draft, b.Out[t.outs-1].ID)
				s.drafted.tried, any = true, true
			}
		}
		t.chunk, t.outs = 0, 0
	}
	return any
}

// follow brings a twin's tokens in line with the sequence's: what it has beyond the place where they part was a wrong guess.
func (t *sequence) follow(p *pages, s *sequence) {
	if t.tokens == nil {
		t.tokens, t.prompt, t.slot, t.owner = append(t.tokens, s.tokens...), len(s.tokens), s.slot, s.owner
		t.start(p)
		return
	}
	// A twin is at most a few guesses beyond what it followed last.
	at := min(t.prompt, len(s.tokens))
	for at < len(t.tokens) && at < len(s.tokens) && t.tokens[at] == s.tokens[at] {
		at++
	}
	t.tokens = append(t.tokens[:at], s.tokens[at:]...)
	t.done, t.prompt = min(t.done, at), len(s.tokens)
	t.advance(p, 0)
}

// judge takes note of how many of a step's guesses were right.
func (s *drafted) judge(guesses, right int) {
	if s == nil || !s.tried {
		return
	}
	s.tried = false
	rate := s.chance()
	for i := range min(guesses, right+1) {
		rate -= rate / 16
		if i < right {
			rate += 1. / 16
		}
	}
	s.rate = rate
}

// forget lets go of a sequence.
func (d *drafter) forget(s *sequence) {
	if s.drafted == nil {
		return
	}
	t := &s.drafted.twin
	t.drop(d.model.engine.pages)
	t.tokens, t.prompt = nil, 0
}
