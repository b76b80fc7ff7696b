// Package llamatest has a fake model for the tests of programs that use package llama: it answers by a script, at once or after
// delays, with errors where they are wanted, and remembers what it was asked.
//
// It is no language model: it does not read its requests, beyond MaxTokens, N and Tokens' length.
package llamatest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/llama31/llama31/llama"
)

// ErrScript is the error of a request for which the script has no answer.
var ErrScript = errors.New("llamatest: the script has no further answer")

// Model is a [llama.Generator] that answers by a script. The zero value has no answers. It is safe for concurrent use.
type Model struct {
	// Answer, if not nil, makes the answer to a request, the i-th from 0 on, in place of the script.
	Answer func(i int, r llama.Request) Answer

	mu       sync.Mutex
	script   []Answer
	requests []llama.Request
}

var _ llama.Generator = (*Model)(nil)

// Answer is what the model does for one request. Each choice of Request.N gets the same.
type Answer struct {
	Text      string           // comes token by token: words with the space before them
	Tokens    []string         // the tokens' texts, in place of Text
	ToolCalls []llama.ToolCall // of the message, told of after the text; the finish reason is then llama.FinishToolCalls
	Finish    llama.Finish     // "": llama.FinishStop, or llama.FinishLength where Request.MaxTokens cut the answer
	Err       error            // comes after the tokens, in place of a response
	Delay     time.Duration    // before the first token
	Every     time.Duration    // before each further token
	Usage     *llama.Usage     // nil: words of the prompt, and tokens given
}

// New makes a model with a script, an answer for each request in the order in which they come.
func New(script ...Answer) *Model { return &Model{script: script} }

// Says makes a model that answers with these texts, in order.
func Says(texts ...string) *Model {
	m := &Model{}
	for _, t := range texts {
		m.script = append(m.script, Answer{Text: t})
	}
	return m
}

// Requests are those that came so far.
func (m *Model) Requests() []llama.Request {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.requests)
}

// Generate gives the script's next answer. On an error, the script's or ctx's, the response holds the tokens before it.
func (m *Model) Generate(ctx context.Context, r llama.Request) (*llama.Response, error) {
	a, err := m.next(ctx, r)
	if err != nil {
		return nil, err
	}
	response := a.begin(r)
	for t, err := range a.tokens(ctx, r, response) {
		if err != nil {
			return response, err
		}
		if t.Response != nil {
			return t.Response, nil
		}
	}
	return response, nil
}

// Stream gives the script's next answer token by token.
func (m *Model) Stream(ctx context.Context, r llama.Request) iter.Seq2[llama.Token, error] {
	return func(yield func(llama.Token, error) bool) {
		a, err := m.next(ctx, r)
		if err != nil {
			yield(llama.Token{}, err)
			return
		}
		for t, err := range a.tokens(ctx, r, a.begin(r)) {
			if !yield(t, err) {
				return
			}
		}
	}
}

// next notes a request and gives its answer.
func (m *Model) next(ctx context.Context, r llama.Request) (Answer, error) {
	if ctx.Err() != nil {
		return Answer{}, context.Cause(ctx)
	}
	m.mu.Lock()
	i := len(m.requests)
	m.requests = append(m.requests, r)
	f := m.Answer
	m.mu.Unlock()
	switch {
	case f != nil:
		return f(i, r), nil
	case i >= len(m.script):
		return Answer{}, fmt.Errorf("%w: request %d of a script of %d", ErrScript, i+1, len(m.script))
	}
	return m.script[i], nil
}

// begin is the response before the first token.
func (a *Answer) begin(r llama.Request) *llama.Response {
	response := &llama.Response{Choices: make([]llama.Choice, max(1, r.N))}
	for i := range response.Choices {
		response.Choices[i] = llama.Choice{Message: llama.Message{Role: llama.RoleAssistant}, Finish: llama.FinishError}
	}
	if r.Sampling != nil && r.Sampling.Seed != nil {
		response.Seed = *r.Sampling.Seed
	}
	response.Usage.Prompt = len(r.Tokens) + len(strings.Fields(r.Prompt))
	for _, message := range r.Messages {
		response.Usage.Prompt += len(strings.Fields(message.Content))
	}
	if a.Usage != nil {
		response.Usage = *a.Usage
	}
	return response
}

// tokens gives the answer's tokens and adds each to the response, which comes with the last.
func (a *Answer) tokens(ctx context.Context, r llama.Request, response *llama.Response) iter.Seq2[llama.Token, error] {
	texts, finish := a.Tokens, a.Finish
	if texts == nil {
		texts = words(a.Text)
	}
	if finish == "" {
		finish = llama.FinishStop
		if len(a.ToolCalls) > 0 {
			finish = llama.FinishToolCalls
		}
		if r.MaxTokens > 0 && len(texts) > r.MaxTokens {
			texts, finish = texts[:r.MaxTokens], llama.FinishLength
		}
	}
	return func(yield func(llama.Token, error) bool) {
		start := time.Now()
		for i, text := range texts {
			wait := a.Every
			if i == 0 {
				wait = a.Delay
			}
			if err := sleep(ctx, wait); err != nil {
				yield(llama.Token{}, err)
				return
			}
			if i == 0 {
				response.Timings.Prompt = time.Since(start)
			}
			for c := range response.Choices {
				choice := &response.Choices[c]
				choice.Message.Content += text
				choice.Tokens = append(choice.Tokens, int32(i))
				if a.Usage == nil {
					response.Usage.Generated++
				}
				if !yield(llama.Token{Choice: c, ID: int32(i), Text: text, Bytes: []byte(text)}, nil) {
					return
				}
			}
		}
		if a.Err != nil {
			yield(llama.Token{}, a.Err)
			return
		}
		for c := range response.Choices {
			for i, call := range a.ToolCalls {
				for _, d := range []llama.ToolCallDelta{{Index: i, ID: call.ID, Name: call.Name}, {Index: i, Arguments: string(call.Arguments)}} {
					if !yield(llama.Token{Choice: c, ID: -1, ToolCall: &d}, nil) {
						return
					}
				}
			}
		}
		response.Timings.Generate = time.Since(start) - response.Timings.Prompt
		for c := range response.Choices {
			response.Choices[c].Finish = finish
			response.Choices[c].Message.ToolCalls = a.ToolCalls
		}
		for c := range response.Choices {
			t := llama.Token{Choice: c, ID: -1, Finish: finish}
			if c == len(response.Choices)-1 {
				t.Response = response
			}
			if !yield(t, nil) {
				return
			}
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// words cuts a text before its spaces.
func words(text string) []string {
	var all []string
	for len(text) > 0 {
		n := strings.IndexByte(text[1:], ' ') + 1
		if n == 0 {
			n = len(text)
		}
		all = append(all, text[:n])
		text = text[n:]
	}
	return all
}
