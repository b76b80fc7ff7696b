package llama

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/llama31/llama31/tokenizer"
)

// job is a request in the engine's hands. The engine appends tokens; the caller takes them at its own pace, so that a slow
// caller holds up nobody.
type job struct {
	seqs      []*sequence
	tokenizer *tokenizer.Tokenizer
	submitted time.Time

	mu       sync.Mutex
	queue    []Token // not yet taken
	response Response
	texts    [][]byte // of the choices
	ends     int      // choices that have ended
	ended    bool
	err      error
	started  time.Time // first step
	first    time.Time // first token
	last     time.Time // latest token
	notify   chan struct{}
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

// cancel tells the engine to let go of the job, at its next step.
func (j *job) cancel() {
	for _, s := range j.seqs {
		s.cancelled.Store(true)
	}
}

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

// token hands over a generated token.
func (j *job) token(t Token) {
	j.mu.Lock()
	j.last = time.Now()
	if j.first.IsZero() {
		j.first = j.last
		j.response.Timings.Prompt = j.first.Sub(j.started)
	}
	j.response.Timings.Generate = j.last.Sub(j.first)
	j.response.Usage.Generated++
	c := &j.response.Choices[t.Choice]
	c.Tokens = append(c.Tokens, t.ID)
	j.texts[t.Choice] = append(j.texts[t.Choice], t.Text...)
	j.queue = append(j.queue, t)
	j.mu.Unlock()
	j.signal()
}

// finish ends one choice, with the text that had been held back.
func (j *job) finish(choice int, text string, f Finish, err error) {
	j.mu.Lock()
	if !j.ended {
		j.response.Choices[choice].Finish = f
		j.texts[choice] = append(j.texts[choice], text...)
		if text != "" {
			j.queue = append(j.queue, Token{Choice: choice, ID: -1, Text: text})
		}
		j.ends++
		if j.err == nil {
			j.err = err
		}
		j.ended = j.ends == len(j.response.Choices)
	}
	j.mu.Unlock()
	j.signal()
}

// take waits for tokens and gives all there are; the last of the job comes with the response. On an error, the context's or the
// engine's, the response holds what there is so far.
func (j *job) take(ctx context.Context, into []Token) (tokens []Token, r *Response, err error) {
	for {
		j.mu.Lock()
		if len(j.queue) > 0 || j.ended {
			tokens = append(into[:0], j.queue...)
			j.queue = j.queue[:0]
			if j.ended {
				r, err = j.snapshot(), j.err
			}
			j.mu.Unlock()
			return tokens, r, err
		}
		j.mu.Unlock()
		select {
		case <-j.notify:
		case <-ctx.Done():
			j.cancel()
			j.mu.Lock()
			defer j.mu.Unlock()
			j.ended = true
			return nil, j.snapshot(), context.Cause(ctx)
		}
	}
}

// snapshot copies the response. j.mu is held.
func (j *job) snapshot() *Response {
	r := j.response
	r.Choices = append([]Choice(nil), r.Choices...)
	for i := range r.Choices {
		r.Choices[i].Message.Content = string(j.texts[i])
		r.Choices[i].Tokens = slices.Clone(r.Choices[i].Tokens)
	}
	return &r
}

// isContext tells a caller's own ending from a failure.
func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
