package llama

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	if r.N > 1 {
		return nil, nil, fmt.Errorf("%w: RunTools with N of %d, expected 1", ErrRequest, r.N)
	}
	if rounds <= 0 {
		rounds = defaultRounds
	}
	var usage Usage
	history := r.Messages
	for round := 0; ; round++ {
		r.Messages = append(slices.Clone(history), messages...)
		answer, err := g.Generate(ctx, r)
		if answer != nil {
			usage.Prompt += answer.Usage.Prompt
			usage.Cached += answer.Usage.Cached
			usage.Generated += answer.Usage.Generated
			answer.Usage = usage
			response = answer
		}
		if err != nil {
			return response, messages, err
		}
		message := answer.Choices[0].Message
		messages = append(messages, message)
		if len(message.ToolCalls) == 0 || slices.ContainsFunc(message.ToolCalls, func(c ToolCall) bool { return function(r.Tools, c.Name) == nil }) {
			return response, messages, nil
		}
		if round == rounds {
			return response, messages, fmt.Errorf("%w: %d", ErrToolRounds, rounds)
		}
		for _, c := range message.ToolCalls {
			result, err := function(r.Tools, c.Name).Call(ctx, c.Arguments)
			if ctx.Err() != nil {
				return response, messages, context.Cause(ctx)
			}
			if err != nil {
				b, _ := json.Marshal(map[string]string{"error": err.Error()}) // strings cannot fail
				result = string(b)
			}
			messages = append(messages, ToolResult(c.ID, result))
		}
		r.ToolChoice = ToolChoice{}
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
