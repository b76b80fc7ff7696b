package remote

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"reflect"
	"slices"
	"time"

	"github.com/llama31/llama31/llama"
)

// isSet reports whether a format asks for anything.
func isSet(f llama.Format) bool { return !reflect.ValueOf(f).IsZero() }

// answer is an answer of chats or completions, or an event of its stream.
type answer struct {
	Choices []choice        `json:"choices"`
	Usage   *usage          `json:"usage"`
	Error   json.RawMessage `json:"error"`
}

type choice struct {
	Index    int             `json:"index"`
	Text     string          `json:"text"`
	Message  message         `json:"message"`
	Delta    message         `json:"delta"`
	Finish   string          `json:"finish_reason"`
	Logprobs json.RawMessage `json:"logprobs"`
}

type message struct {
	Content   string     `json:"content"`
	ToolCalls []callPart `json:"tool_calls"`
}

type callPart struct {
	Index    *int   `json:"index"`
	ID       string `json:"id"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Details    struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

func (u *usage) llama() llama.Usage {
	if u == nil {
		return llama.Usage{}
	}
	return llama.Usage{Prompt: u.Prompt, Cached: u.Details.Cached, Generated: u.Completion}
}

func finishOf(s string) llama.Finish {
	if s == "function_call" {
		return llama.FinishToolCalls
	}
	return llama.Finish(s)
}

// response is a whole answer.
func (a *answer) response() (*llama.Response, error) {
	if len(a.Error) > 0 && string(a.Error) != "null" {
		return nil, errorOf(a.Error)
	}
	if len(a.Choices) == 0 {
		return nil, errors.New("remote: an answer without choices")
	}
	r := &llama.Response{Usage: a.Usage.llama()}
	slices.SortStableFunc(a.Choices, func(x, y choice) int { return x.Index - y.Index })
	for _, c := range a.Choices {
		m := llama.Message{Role: llama.RoleAssistant, Content: c.Message.Content + c.Text}
		for _, p := range c.Message.ToolCalls {
			m.ToolCalls = append(m.ToolCalls, p.call())
		}
		r.Choices = append(r.Choices, llama.Choice{Message: m, Finish: finishOf(c.Finish)})
	}
	return r, nil
}

func (p *callPart) call() llama.ToolCall {
	return llama.ToolCall{ID: p.ID, Name: p.Function.Name, Arguments: json.RawMessage(p.Function.Arguments)}
}

// Stream answers a request piece by piece. It starts when the loop does; leaving the loop cancels it.
func (m *Model) Stream(ctx context.Context, r llama.Request) iter.Seq2[llama.Token, error] {
	return func(yield func(llama.Token, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		if err := m.stream(ctx, &r, func(t llama.Token) bool { return yield(t, nil) }); err != nil && err != errLeft {
			yield(llama.Token{}, err)
		}
	}
}

var errLeft = errors.New("the loop was left")

func (m *Model) stream(ctx context.Context, r *llama.Request, yield func(llama.Token) bool) error {
	start := time.Now()
	body, err := m.ask(ctx, r, true)
	if err != nil {
		return err
	}
	defer body.Close()
	response := &llama.Response{Choices: make([]llama.Choice, max(1, r.N))}
	for i := range response.Choices {
		response.Choices[i] = llama.Choice{Message: llama.Message{Role: llama.RoleAssistant}, Finish: llama.FinishError}
	}
	var first time.Time
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, mostEvent)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data:"))
		if !ok {
			continue
		}
		data = bytes.TrimSpace(data)
		if string(data) == "[DONE]" {
			break
		}
		var a answer
		if err := json.Unmarshal(data, &a); err != nil {
			return fmt.Errorf("remote: an event that is not understood: %w", err)
		}
		if len(a.Error) > 0 && string(a.Error) != "null" {
			return errorOf(a.Error)
		}
		if a.Usage != nil {
			response.Usage = a.Usage.llama()
		}
		for _, c := range a.Choices {
			if c.Index < 0 || c.Index >= len(response.Choices) {
				return fmt.Errorf("remote: an event of choice %d, of %d", c.Index, len(response.Choices))
			}
			if first.IsZero() {
				first = time.Now()
			}
			tokens := c.tokens(&response.Choices[c.Index])
			if c.Finish != "" && len(response.Choices) > 1 {
				tokens = append(tokens, llama.Token{Choice: c.Index, ID: -1, Finish: finishOf(c.Finish)})
			}
			for _, t := range tokens {
				if !yield(t) {
					return errLeft
				}
			}
		}
	}
	if err := lines.Err(); err != nil {
		return cause(ctx, fmt.Errorf("remote: %w", err))
	}
	for i := range response.Choices {
		if response.Choices[i].Finish == llama.FinishError {
			return cause(ctx, fmt.Errorf("remote: the stream ended before choice %d: %w", i, io.ErrUnexpectedEOF))
		}
	}
	response.Timings.Prompt, response.Timings.Generate = first.Sub(start), time.Since(first)
	if !yield(llama.Token{ID: -1, Finish: response.Choices[0].Finish, Response: response}) {
		return errLeft
	}
	return nil
}

// tokens are the pieces of an event, which are added to what there is of the choice.
func (c *choice) tokens(to *llama.Choice) []llama.Token {
	var all []llama.Token
	text := c.Delta.Content + c.Text
	to.Message.Content += text
	if c.Finish != "" {
		to.Finish = finishOf(c.Finish)
	}
	calls := &to.Message.ToolCalls
	for i, p := range c.Delta.ToolCalls {
		at := i
		if p.Index != nil {
			at = *p.Index
		}
		if at < 0 || at > len(*calls) {
			continue
		}
		if at == len(*calls) {
			*calls = append(*calls, llama.ToolCall{})
		}
		one := &(*calls)[at]
		one.ID += p.ID
		one.Name += p.Function.Name
		one.Arguments = append(one.Arguments, p.Function.Arguments...)
		all = append(all, callToken(c.Index, at, p))
	}
	tokens := c.logprobs()
	switch {
	case len(tokens) > 0:
		tokens[0].Text = text // of the event, however many tokens it has
		all = append(all, tokens...)
	case text != "":
		all = append(all, llama.Token{Choice: c.Index, ID: -1, Text: text, Bytes: []byte(text)})
	}
	return all
}

// logprobs reads those of chats and those of completions.
func (c *choice) logprobs() []llama.Token {
	if len(c.Logprobs) == 0 {
		return nil
	}
	type alternative struct {
		Token   string
		Logprob float64
		Bytes   []int
	}
	var l struct {
		Content []struct {
			alternative
			Top []alternative `json:"top_logprobs"`
		}
		Tokens   []string
		Logprobs []*float64           `json:"token_logprobs"`
		Top      []map[string]float64 `json:"top_logprobs"`
	}
	if json.Unmarshal(c.Logprobs, &l) != nil {
		return nil
	}
	bytesOf := func(a alternative) []byte {
		if a.Bytes == nil {
			return []byte(a.Token)
		}
		b := make([]byte, len(a.Bytes))
		for i := range b {
			b[i] = byte(a.Bytes[i])
		}
		return b
	}
	var all []llama.Token
	for _, e := range l.Content {
		t := llama.Token{Choice: c.Index, ID: -1, Bytes: bytesOf(e.alternative), Logprob: e.Logprob}
		for _, a := range e.Top {
			t.Top = append(t.Top, llama.Alternative{ID: -1, Bytes: bytesOf(a), Logprob: a.Logprob})
		}
		all = append(all, t)
	}
	for i, name := range l.Tokens {
		t := llama.Token{Choice: c.Index, ID: -1, Bytes: []byte(name)}
		if i < len(l.Logprobs) && l.Logprobs[i] != nil {
			t.Logprob = *l.Logprobs[i]
		}
		if i < len(l.Top) {
			for name, p := range l.Top[i] {
				t.Top = append(t.Top, llama.Alternative{ID: -1, Bytes: []byte(name), Logprob: p})
			}
			slices.SortFunc(t.Top, func(a, b llama.Alternative) int {
				switch {
				case a.Logprob > b.Logprob:
					return -1
				case a.Logprob < b.Logprob:
					return 1
				}
				return bytes.Compare(a.Bytes, b.Bytes)
			})
		}
		all = append(all, t)
	}
	return all
}

// callToken is a piece of a call.
func callToken(choice, at int, p callPart) llama.Token {
	return llama.Token{Choice: choice, ID: -1, ToolCall: &llama.ToolCallDelta{Index: at, ID: p.ID, Name: p.Function.Name, Arguments: p.Function.Arguments}}
}
