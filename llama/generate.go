package llama

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
)

// Generate answers a request. On an error of ctx, or of the model while it runs, the response holds what there is so far, beside
// the error. A request that waits for others ends with ctx, too, and at once.
//
// Errors: ErrRequest for a request that contradicts itself, ErrUnsupported for a Format that cannot be held to, ErrContextLength for a prompt that does not fit, ErrTemplate, ErrBusy
// (Options.RejectWhenFull), ErrClosed, ctx's.
func (m *Model) Generate(ctx context.Context, r Request) (*Response, error) {
	j, err := m.start(ctx, &r, true)
	if err != nil {
		return nil, err
	}
	_, response, err := j.take(ctx, nil)
	return response, err
}

// Stream answers a request token by token. It starts when the loop does; leaving the loop cancels it. The last token carries the
// response; text that is held back for a stop text or an unfinished character may come with ID −1, as does the Finish of each of several
// choices. An error comes last, alone.
// Tokens that come of one step, by speculation, are shown at even intervals while the next step runs.
func (m *Model) Stream(ctx context.Context, r Request) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		j, err := m.start(ctx, &r, false)
		if err != nil {
			yield(Token{}, err)
			return
		}
		defer j.cancel()
		var tokens []Token
		for {
			var response *Response
			tokens, response, err = j.take(ctx, tokens)
			if response != nil && err == nil {
				if len(tokens) == 0 {
					tokens = append(tokens, Token{ID: -1})
				}
				last := &tokens[len(tokens)-1]
				last.Response, last.Finish = response, response.Choices[last.Choice].Finish
			}
			for _, t := range tokens {
				if !yield(t, nil) {
					return
				}
			}
			if err != nil {
				yield(Token{}, err)
				return
			}
			if response != nil {
				return
			}
		}
	}
}

// start checks a request, makes its sequences and hands them to the engine. Of a quiet one only the end is told.
func (m *Model) start(ctx context.Context, r *Request, quiet bool) (*job, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	prompt, dropped, err := m.prompt(r)
	if err != nil {
		return nil, err
	}
	if err := r.check(m.config.vocab); err != nil {
		return nil, err
	}
	machine, style, arguments, err := m.constrainTools(r)
	if err != nil {
		return nil, err
	}
	limit := m.context
	if r.MaxTokens > 0 && r.MaxTokens < limit-len(prompt) {
		limit = len(prompt) + r.MaxTokens
	}
	sampling := m.sampling
	if r.Sampling != nil {
		sampling = *r.Sampling
	}
	seed := randomSeed()
	if sampling.Seed != nil {
		seed = *sampling.Seed
	}
	j := newJob(m.tokenizer, max(1, r.N), seed)
	j.response.Dropped = dropped
	j.key, j.quiet = r.Key, quiet
	for i := range max(1, r.N) {
		s := &sequence{job: j, choice: i, tokens: append(make([]int32, 0, len(prompt)+64), prompt...), prompt: len(prompt), limit: limit, slot: -1, priority: r.Priority, seed: seed, top: r.TopLogprobs, stops: m.stops}
		s.text = newStopText(m.tokenizer.NewDecoder(), r.Stop)
		s.format.machine, s.format.from = machine, len(prompt)
		if style != nil {
			s.arguments = arguments
			s.calls = newCallReader(*style, r.shown(), func(n int) string { return callID(seed, i, len(prompt), n) })
		}
		s.setSampling(&sampling)
		j.seqs = append(j.seqs, s)
	}
	if err := m.engine.submit(j); err != nil {
		return nil, err
	}
	return j, nil
}

func randomSeed() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

// Prompt gives the tokens that a request begins with: its Tokens as they are; its Prompt, after a beginning-of-text token if the
// model wants one; or its Messages by the chat template, up to the assistant's header, less what Shift leaves out.
func (m *Model) Prompt(r Request) ([]int32, error) {
	ids, _, err := m.prompt(&r)
	return ids, err
}

// prompt is Prompt, and the number of messages left out.
func (m *Model) prompt(r *Request) (ids []int32, dropped int, err error) {
	given := 0
	for _, is := range []bool{r.Messages != nil, r.Prompt != "", r.Tokens != nil} {
		if is {
			given++
		}
	}
	if given > 1 {
		return nil, 0, fmt.Errorf("%w: %d of Messages, Prompt and Tokens are set, expected one", ErrRequest, given)
	}
	switch {
	case r.Messages != nil:
		if ids, dropped, err = m.encodeMessages(r); err != nil {
			return nil, 0, err
		}
	case r.Tokens != nil:
		ids = r.Tokens
		for i, id := range ids {
			if id < 0 || int(id) >= m.config.vocab {
				return nil, 0, fmt.Errorf("%w: Tokens[%d] is %d, expected 0 to %d", ErrRequest, i, id, m.config.vocab-1)
			}
		}
	default:
		ids = m.encodeText(r.Prompt)
	}
	if len(ids) == 0 {
		return nil, 0, fmt.Errorf("%w: an empty prompt", ErrRequest)
	}
	if len(ids)+1 > m.context {
		return nil, 0, &ContextLengthError{Need: len(ids) + 1, Have: m.context}
	}
	return ids, dropped, nil
}

// encodeText is plain text with the beginning-of-text token, if the model wants one.
func (m *Model) encodeText(text string) []int32 {
	var ids []int32
	if bos, ok := m.tokenizer.BOS(); ok && m.tokenizer.AddBOS() {
		ids = append(ids, bos)
	}
	return m.tokenizer.Encode(ids, text)
}

// check refuses values that have no meaning.
func (r *Request) check(vocab int) error {
	bad := func(field string, value any, expected string) error {
		return fmt.Errorf("%w: %s is %v, expected %s", ErrRequest, field, value, expected)
	}
	switch {
	case r.MaxTokens < 0:
		return bad("MaxTokens", r.MaxTokens, "0 or more")
	case r.N < 0 || r.N > 1024:
		return bad("N", r.N, "0 to 1024")
	case r.TopLogprobs < 0 || r.TopLogprobs > vocab:
		return bad("TopLogprobs", r.TopLogprobs, fmt.Sprintf("0 to %d", vocab))
	}
	for _, s := range r.Stop {
		if s == "" {
			return bad("Stop", `""`, "a text")
		}
	}
	if r.Sampling == nil {
		return nil
	}
	for id := range r.Sampling.Bias {
		if id < 0 || int(id) >= vocab {
			return bad("Bias", id, fmt.Sprintf("tokens 0 to %d", vocab-1))
		}
	}
	return r.Sampling.check()
}

func (s *Sampling) check() error {
	bad := func(field string, value any, expected string) error {
		return fmt.Errorf("%w: Sampling.%s is %v, expected %s", ErrRequest, field, value, expected)
	}
	finite := func(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
	switch {
	case s.Temperature != nil && !(*s.Temperature >= 0 && *s.Temperature <= 100):
		return bad("Temperature", *s.Temperature, "0 to 100")
	case s.TopK < 0:
		return bad("TopK", s.TopK, "0 or more")
	case !(s.TopP >= 0 && s.TopP <= 1):
		return bad("TopP", s.TopP, "0 to 1")
	case !(s.MinP >= 0 && s.MinP <= 1):
		return bad("MinP", s.MinP, "0 to 1")
	case !(s.Typical >= 0 && s.Typical <= 1):
		return bad("Typical", s.Typical, "0 to 1")
	case !(s.Repeat >= 0) || !finite(s.Repeat):
		return bad("Repeat", s.Repeat, "0 or more")
	case !finite(s.Frequency):
		return bad("Frequency", s.Frequency, "a number")
	case !finite(s.Presence):
		return bad("Presence", s.Presence, "a number")
	}
	for id, v := range s.Bias {
		if math.IsNaN(v) || math.IsInf(v, 1) {
			return bad("Bias", v, fmt.Sprintf("a number or -Inf for token %d", id))
		}
	}
	return nil
}
