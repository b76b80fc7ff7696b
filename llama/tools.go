package llama

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
)

// NewTool makes a tool of a function, for [RunTools]. In is a struct or a map, whose schema (see [SchemaOf]) is the tool's Parameters;
// a result that is no string is told to the model as JSON. The error is an ErrUnsupported for a type that has no schema.
//
// A tool of the name of one that Llama 3.1 has built in, brave_search, wolfram_alpha or code_interpreter, without a description, is
// that: In is then struct{ Query string } or struct{ Code string }, with json tags "query" and "code".
func NewTool[In, Out any](name, description string, f func(context.Context, In) (Out, error)) (Tool, error) {
	t := Tool{Name: name, Description: description}
	if k := reflect.TypeFor[In]().Kind(); k != reflect.Struct && k != reflect.Map {
		return Tool{}, fmt.Errorf("%w: the input of tool %q is %v, expected a struct or a map", ErrUnsupported, name, reflect.TypeFor[In]())
	}
	if !slices.Contains(builtinTools, name) || description != "" {
		format := SchemaOf[In]()
		if err := format.Check(); err != nil {
			return Tool{}, fmt.Errorf("tool %q: %w", name, err)
		}
		t.Parameters = format.Schema()
	}
	t.call = func(ctx context.Context, args json.RawMessage) (string, error) {
		var in In
		if err := json.Unmarshal(args, &in); err != nil {
			return "", err
		}
		out, err := f(ctx, in)
		if err != nil {
			return "", err
		}
		if s, ok := any(out).(string); ok {
			return s, nil
		}
		b, err := json.Marshal(out)
		return string(b), err
	}
	return t, nil
}

// Call calls the function of a tool that NewTool made; of others it is an ErrUnsupported.
func (t *Tool) Call(ctx context.Context, arguments json.RawMessage) (string, error) {
	if t.call == nil {
		return "", fmt.Errorf("%w: tool %q has no function", ErrUnsupported, t.Name)
	}
	if len(arguments) == 0 {
		arguments = json.RawMessage("{}")
	}
	return t.call(ctx, arguments)
}

// RunTools answers a request whose tools NewTool made: it calls what the model asks for, in order, tells it the results, and asks
// again, until an answer has no calls. Rounds is how often that may be, 0 for 8; beyond it the error is an ErrToolRounds. A call that
// fails does not end it: the model is told the error. A ToolChoice holds for the first answer only.
//
// The response is the last answer, with the usage of all; messages are all that came to be after the request's own, the last answer
// included. If an answer calls a tool without a function, it is the last, for the caller to go on with. On an error there is what
// there is so far.
func RunTools(ctx context.Context, g Generator, r Request, rounds int) (response *Response, messages []Message, err error) {
	var usage Usage
	before := len(r.Messages)
	err = runTools(ctx, &r, rounds, func(r Request) (*Response, error) {
		answer, err := g.Generate(ctx, r)
		if answer != nil {
			usage.Prompt += answer.Usage.Prompt
			usage.Cached += answer.Usage.Cached
			usage.Generated += answer.Usage.Generated
			answer.Usage = usage
			response = answer
		}
		return answer, err
	})
	return response, r.Messages[before:], err
}

// StreamTools is RunTools token by token: it gives the tokens of one answer after another, calls included. The last token of each
// carries that answer's response. r.Messages grows by the answers and the tools' results, so that after the loop it is the
// conversation so far. Leaving the loop cancels the answer that is under way; an error comes last, alone.
func StreamTools(ctx context.Context, g Generator, r *Request, rounds int) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		err := runTools(ctx, r, rounds, func(r Request) (response *Response, err error) {
			for t, err := range g.Stream(ctx, r) {
				if err != nil {
					return nil, err
				}
				response = t.Response
				if !yield(t, nil) {
					return nil, nil
				}
			}
			if response == nil {
				return nil, fmt.Errorf("%w: a stream without a response", ErrIncomplete)
			}
			return response, nil
		})
		if err != nil {
			yield(Token{}, err)
		}
	}
}

// runTools asks, calls, and asks again, and adds to r's messages. It ends where ask gives no response.
func runTools(ctx context.Context, r *Request, rounds int, ask func(Request) (*Response, error)) error {
	if r.N > 1 {
		return fmt.Errorf("%w: tools with N of %d, expected 1", ErrRequest, r.N)
	}
	if rounds <= 0 {
		rounds = defaultRounds
	}
	r.Messages = slices.Clone(r.Messages)
	choice := r.ToolChoice
	for round := 0; ; round++ {
		q := *r
		q.Messages, q.ToolChoice = slices.Clone(r.Messages), choice
		answer, err := ask(q)
		if err != nil || answer == nil {
			return err
		}
		message := answer.Choices[0].Message
		r.Messages = append(r.Messages, message)
		if len(message.ToolCalls) == 0 || slices.ContainsFunc(message.ToolCalls, func(c ToolCall) bool { return function(r.Tools, c.Name) == nil }) {
			return nil
		}
		if round == rounds {
			return fmt.Errorf("%w: %d", ErrToolRounds, rounds)
		}
		for _, c := range message.ToolCalls {
			result, err := function(r.Tools, c.Name).Call(ctx, c.Arguments)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				b, _ := json.Marshal(map[string]string{"error": err.Error()}) // strings cannot fail
				result = string(b)
			}
			r.Messages = append(r.Messages, ToolResult(c.ID, result))
		}
		choice = ToolChoice{}
	}
}

const defaultRounds = 8

// ErrToolRounds says that a model goes on calling tools.
var ErrToolRounds = errors.New("llama: more rounds of tool calls than allowed")

// function finds a tool that has one.
func function(tools []Tool, name string) *Tool {
	for i := range tools {
		if tools[i].Name == name && tools[i].call != nil {
			return &tools[i]
		}
	}
	return nil
}
