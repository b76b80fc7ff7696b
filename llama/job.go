package llama

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/llama31/llama31/kernels"
	"github.com/llama31/llama31/tokenizer"
)

// job is a request in the engine's hands. The engine appends tokens; the caller takes them at its own pace, so that a slow
// caller holds up nobody.
type job struct {
	seqs      []*sequence
	tokenizer *tokenizer.Tokenizer
	key       string
	quiet     bool    // the caller wants the end only
	engine    *engine // that it was given to
	submitted time.Time

	mu       sync.Mutex
	queue    []piece // not yet taken
	tops     []Alternative
	response Response
	texts    [][]byte // of the choices
	given    given    // what the tokens taken hold
	ends     int      // choices that have ended
	ended    bool
	err      error
	started  time.Time // first step
	first    time.Time // first token
	last     time.Time // latest token
	notify   chan struct{}
	timer    *time.Timer // of the first token that is not yet due; nil: none was
}

// piece is a token as the engine hands it over; the caller's goroutine makes the Token.
type piece struct {
	choice   int
	id       int32
	from, to int // of its text in texts
	call     *ToolCallDelta
	top      int // how many of tops are its
	logprob  float64
	due      time.Time // not to be shown before, but for the end
	finish   Finish    // of the last of several choices' pieces
}

func newJob(t *tokenizer.Tokenizer, n int, seed uint64) *job {
	j := &job{tokenizer: t, submitted: time.Now(), notify: make(chan struct{}, 1)}
	j.texts = make([][]byte, n)
	j.response = Response{Choices: make([]Choice, n), Seed: seed}
	for i := range j.response.Choices {
		j.response.Choices[i].Message.Role = RoleAssistant
		j.response.Choices[i].Finish = FinishError // until it ends well
	}
	return j
}

// busy is the error of a full queue.
func busy(places int) error { return fmt.Errorf("%w: %d run or wait", ErrBusy, places) }

// cancel tells the engine to let go of the job, at its next step.
func (j *job) cancel() { j.engine.cancel(j) }

func (j *job) signal() {
	select {
	case j.notify <- struct{}{}:
	default:
	}
}

// begin notes the first step.
func (j *job) begin(s *sequence) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.started.IsZero() {
		j.started = time.Now()
		j.response.Timings.Queued = j.started.Sub(j.submitted)
	}
	if s.choice == 0 {
		j.response.Usage.Prompt, j.response.Usage.Cached = s.prompt, s.cached
	}
}

// paced says that tokens of one step are shown one after the other: of several answers they would wait for each other.
func (j *job) paced() bool { return !j.quiet && len(j.seqs) == 1 }

// token hands over a generated token, and reports whether it, or its text, ends the answer.
func (j *job) token(s *sequence, o *kernels.Out, due time.Time) (stop bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last = time.Now()
	if j.first.IsZero() {
		j.first = j.last
		j.response.Timings.Prompt = j.first.Sub(j.started)
	}
	j.response.Timings.Generate = j.last.Sub(j.first)
	j.response.Usage.Generated++
	c, text := &j.response.Choices[s.choice], &j.texts[s.choice]
	c.Tokens = append(c.Tokens, o.ID)
	from := len(*text)
	if stop = s.stops[o.ID]; !stop {
		*text, stop = s.read(*text, o.ID)
		c.Stop = s.text.found
	}
	deltas := s.deltas()
	if j.quiet {
		return stop
	}
	p := piece{choice: s.choice, id: o.ID, from: from, to: len(*text), top: len(o.TopIDs), logprob: o.Logprob, due: due}
	if len(deltas) > 0 {
		p.call, deltas = &deltas[0], deltas[1:]
	}
	j.queue = append(j.queue, p)
	j.tell(s, deltas)
	for i, id := range o.TopIDs {
		j.tops = append(j.tops, Alternative{ID: id, Logprob: o.TopLogprobs[i]})
	}
	j.signal()
	return stop
}

// tell hands over pieces of calls beside a token's own. j.mu is held.
func (j *job) tell(s *sequence, deltas []ToolCallDelta) {
	end := len(j.texts[s.choice])
	for i := range deltas {
		j.queue = append(j.queue, piece{choice: s.choice, id: -1, from: end, to: end, call: &deltas[i]})
	}
}

// finish ends one choice, with the text that had been held back.
func (j *job) finish(s *sequence, f Finish, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.ended {
		j.response.Choices[s.choice].Finish = f
		if s.scan == nil {
			text := &j.texts[s.choice]
			from := len(*text)
			*text = s.flush(*text)
			c := &j.response.Choices[s.choice]
			c.Stop = s.text.found
			if s.calls != nil && len(s.calls.calls) > 0 && f == FinishStop {
				c.Finish = FinishToolCalls
			}
			deltas := s.deltas()
			if len(*text) > from && !j.quiet {
				j.queue = append(j.queue, piece{choice: s.choice, id: -1, from: from, to: len(*text)})
			}
			if !j.quiet {
				j.tell(s, deltas)
			}
			if end := len(*text); !j.quiet && len(j.seqs) > 1 && f != FinishError {
				j.queue = append(j.queue, piece{choice: s.choice, id: -1, from: end, to: end, finish: c.Finish})
			}
		}
		j.ends++
		if j.err == nil {
			j.err = err
		}
		j.ended = j.ends == len(j.response.Choices)
	}
	if j.ended || !j.quiet {
		j.signal()
	}
}

// take waits for tokens and gives all that are due; the last of the job comes with the response, and then none waits any longer. On an
// error, the context's or the engine's, the response holds what there is so far.
func (j *job) take(ctx context.Context, into []Token) (tokens []Token, r *Response, err error) {
	for {
		j.mu.Lock()
		n, wait := j.ready()
		if n > 0 && ctx.Err() == nil || j.ended { // a fast model must not outrun the end of ctx
			tokens = j.tokens(into[:0], n)
			if j.ended {
				r, err = j.snapshot(), j.err
			}
			j.mu.Unlock()
			return tokens, r, err
		}
		j.mu.Unlock()
		var due <-chan time.Time
		if wait > 0 {
			if j.timer == nil {
				j.timer = time.NewTimer(wait)
			} else {
				j.timer.Reset(wait)
			}
			due = j.timer.C
		}
		select {
		case <-j.notify:
		case <-due:
		case <-ctx.Done():
			j.cancel()
			j.mu.Lock()
			defer j.mu.Unlock()
			j.ended = true
			return nil, j.snapshot(), context.Cause(ctx)
		}
	}
}

// ready counts the tokens that may be taken, and says how long it is until there is one if there is none. j.mu is held.
func (j *job) ready() (n int, wait time.Duration) {
	if j.ended || len(j.queue) == 0 {
		return len(j.queue), 0
	}
	now := time.Now()
	for n < len(j.queue) && !j.queue[n].due.After(now) {
		n++
	}
	if n == 0 {
		wait = j.queue[0].due.Sub(now)
	}
	return n, wait
}

// tokens takes the first n off the queue. j.mu is held.
func (j *job) tokens(into []Token, n int) []Token {
	count := 0
	for _, p := range j.queue[:n] {
		count += p.top
	}
	tops := slices.Clone(j.tops[:count])
	for i := range tops {
		tops[i].Bytes = j.tokenizer.Bytes(tops[i].ID)
	}
	for _, p := range j.queue[:n] {
		t := Token{Choice: p.choice, ID: p.id, Text: j.given.text(j.texts[p.choice][p.from:p.to]), Logprob: p.logprob, ToolCall: p.call, Finish: p.finish}
		if p.id >= 0 {
			t.Bytes = j.given.bytes(j.tokenizer.Token(p.id))
		}
		if p.top > 0 {
			t.Top, tops = tops[:p.top:p.top], tops[p.top:]
		}
		into = append(into, t)
	}
	j.queue, j.tops = slices.Delete(j.queue, 0, n), slices.Delete(j.tops, 0, count)
	return into
}

// given makes texts and bytes that are the caller's own, of many tokens in one allocation: what is handed out stays as it is.
type given struct {
	texts strings.Builder
	all   []byte
}

// givenSize is how many bytes are allocated at once, all of which one token that is kept holds.
const givenSize = 1 << 10

func (g *given) text(b []byte) string {
	if g.texts.Cap()-g.texts.Len() < len(b) {
		g.texts.Reset()
		g.texts.Grow(max(givenSize, len(b)))
	}
	from := g.texts.Len()
	g.texts.Write(b)
	return g.texts.String()[from:]
}

func (g *given) bytes(s string) []byte {
	if cap(g.all)-len(g.all) < len(s) {
		g.all = make([]byte, 0, max(givenSize, len(s)))
	}
	from := len(g.all)
	g.all = append(g.all, s...)
	return g.all[from:len(g.all):len(g.all)]
}

// snapshot copies the response. j.mu is held.
func (j *job) snapshot() *Response {
	r := j.response
	r.Choices = append([]Choice(nil), r.Choices...)
	for i := range r.Choices {
		r.Choices[i].Message.Content = string(j.texts[i])
		r.Choices[i].Tokens = slices.Clone(r.Choices[i].Tokens)
		if s := j.seqs[i]; s.calls != nil {
			r.Choices[i].Message.ToolCalls = slices.Clone(s.calls.calls)
		}
	}
	return &r
}

// isContext tells a caller's own ending from a failure.
func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
