package llama

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llama31/llama31/llama/internal/grammar"
)

var weatherTools = []Tool{
	{Name: "get_weather", Description: "The weather.", Parameters: json.RawMessage(`{"type": "object", "properties": {"city": {"type": "string", "maxLength": 12}, "days": {"type": "integer", "minimum": 1, "maximum": 7}}, "required": ["city"]}`)},
	{Name: "now", Description: "The time."},
}

// TestRequiredCalls: a model with random weights that must call does, with arguments that match, streamed as they are in the end.
func TestRequiredCalls(t *testing.T) {
	file := tinyFile(t, 4096)
	m := openBytes(t, file, nil)
	alone := openBytes(t, file, &Options{NoSpeculation: true, MaxRunning: 1})
	several := 0
	for seed := range uint64(12) {
		for _, choice := range []ToolChoice{{Mode: ToolRequired}, {Mode: ToolRequired, Single: true}, {Name: "get_weather"}} {
			tools := weatherTools
			if seed%3 == 0 {
				tools = append(slices.Clone(tools), Tool{Name: "brave_search"}, Tool{Name: "code_interpreter"})
			}
			r := Request{Messages: []Message{User("Weather?")}, Tools: tools, ToolChoice: choice, MaxTokens: 200, Sampling: &Sampling{Seed: &seed, MinP: 0.02}}
			want, err := alone.Generate(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			var got *Response
			var told []ToolCall
			for tok, err := range m.Stream(t.Context(), r) {
				if err != nil {
					t.Fatal(err)
				}
				if tok.Text != "" {
					t.Errorf("content %q", tok.Text)
				}
				if d := tok.ToolCall; d != nil {
					if d.Index == len(told) {
						told = append(told, ToolCall{ID: d.ID, Name: d.Name})
					}
					told[d.Index].Arguments = append(told[d.Index].Arguments, d.Arguments...)
				}
				if tok.Response != nil {
					got = tok.Response
				}
			}
			same(t, fmt.Sprint(choice), got, want)
			c := got.Choices[0]
			if !reflect.DeepEqual(c.Message, want.Choices[0].Message) {
				t.Errorf("%v, alone %v", c.Message, want.Choices[0].Message)
			}
			if c.Finish == FinishLength {
				continue
			}
			if c.Finish != FinishToolCalls || len(c.Message.ToolCalls) == 0 || choice != (ToolChoice{Mode: ToolRequired}) && len(c.Message.ToolCalls) != 1 {
				t.Errorf("%v: %s, %v", choice, c.Finish, c.Message)
			}
			if len(c.Message.ToolCalls) > 1 {
				several++
			}
			if !reflect.DeepEqual(told, c.Message.ToolCalls) {
				t.Errorf("told of %v, expected %v", told, c.Message.ToolCalls)
			}
			ids := map[string]bool{}
			for _, call := range c.Message.ToolCalls {
				ids[call.ID] = true
				var args struct {
					City *string
					Days *int
				}
				if err := json.Unmarshal(call.Arguments, &args); err != nil || call.Name == "get_weather" && (args.City == nil || len([]rune(*args.City)) > 12 || args.Days != nil && (*args.Days < 1 || *args.Days > 7)) {
					t.Errorf("%s(%s): %v", call.Name, call.Arguments, err)
				}
			}
			if len(ids) != len(c.Message.ToolCalls) {
				t.Errorf("ids of %v", c.Message.ToolCalls)
			}
		}
	}
	if several == 0 {
		t.Error("no answer has several calls")
	}
}

// TestCallStyles: what the styles' grammars take, their readers read.
func TestCallStyles(t *testing.T) {
	tok := byteTokenizer(t, append(llama3Control, pythonTag)...)
	vocab := grammar.NewVocab(tok.Size(), func(id int32) string { return grammarText(tok, id) }, nil)
	tools := append(slices.Clone(weatherTools), Tool{Name: "brave_search"}, Tool{Name: "code_interpreter"})
	for _, c := range []struct {
		style  callStyle
		choice ToolChoice
		text   string
		ok     bool
	}{
		{llamaCalls, ToolChoice{}, `{"name": "get_weather", "parameters": {"city": "Paris", "days": 7}}`, true},
		{llamaCalls, ToolChoice{}, `{"name": "now", "parameters": {}}; {"name": "get_weather", "parameters": {"city": ""}}`, true},
		{llamaCalls, ToolChoice{Single: true}, `{"name": "now", "parameters": {}}; {"name": "now", "parameters": {}}`, false},
		{llamaCalls, ToolChoice{Name: "now"}, `{"name": "get_weather", "parameters": {"city": ""}}`, false},
		{llamaCalls, ToolChoice{}, `{"name": "get_weather", "parameters": {"days": 7}}`, false},
		{llamaCalls, ToolChoice{}, `{"name": "now", "parameters": []}`, false},
		{llamaCalls, ToolChoice{}, `<|python_tag|>brave_search.call(query="who won")`, true},
		{llamaCalls, ToolChoice{}, `brave_search.call(query="who won")`, false},
		{llamaCalls, ToolChoice{}, "<|python_tag|>import math\nprint(1)", true},
		{hermesCalls, ToolChoice{}, "<tool_call>\n{\"name\": \"now\", \"arguments\": {\"x\": [1]}}\n</tool_call>\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>", true},
		{hermesCalls, ToolChoice{}, `{"name": "now", "arguments": {}}`, false},
		{mistralCalls, ToolChoice{}, `[TOOL_CALLS][{"name": "now", "arguments": {}}, {"name": "get_weather", "arguments": {"city": "x"}}]`, true},
	} {
		g, err := c.style.required(tools, c.choice, nil).grammar()
		if err != nil {
			t.Fatal(err)
		}
		m, err := grammar.NewMachine(g, vocab)
		if err != nil {
			t.Fatal(err)
		}
		s := m.AdvanceText(m.Start(), strings.ReplaceAll(c.text, pythonTag, grammar.Control(pythonTag)))
		if m.Ends(s) != c.ok {
			t.Errorf("%s is taken: %v", c.text, m.Ends(s))
		}
		if s := m.AdvanceText(m.Start(), c.text); strings.Contains(c.text, pythonTag) && s != grammar.Dead {
			t.Errorf("%s: the token's name in letters is taken for the token", c.text)
		}
		if content, calls := read(t, c.style, tools, c.text, rand.New(rand.NewPCG(1, 1))); c.ok && (content != "" || len(calls) == 0) {
			t.Errorf("%s: %q, %v", c.text, content, calls)
		}
	}
}

func TestToolChoiceErrors(t *testing.T) {
	m := openTiny(t, nil)
	for name, r := range map[string]Request{
		"no tools":     {ToolChoice: ToolChoice{Mode: ToolRequired}},
		"unknown name": {Tools: weatherTools, ToolChoice: ToolChoice{Name: "x"}},
		"mode":         {Tools: weatherTools, ToolChoice: ToolChoice{Mode: "auto?"}},
		"twice":        {Tools: []Tool{{Name: "a"}, {Name: "a"}}},
		"impossible":   {Tools: []Tool{{Name: "a", Parameters: json.RawMessage(`{"type": "string"}`)}}, ToolChoice: ToolChoice{Name: "a"}},
	} {
		r.Prompt = "x"
		if _, err := m.Generate(t.Context(), r); !errors.Is(err, ErrRequest) {
			t.Errorf("%s: %v, expected ErrRequest", name, err)
		}
	}
	for in, want := range map[string]ToolChoice{`"auto"`: {}, `"none"`: {Mode: ToolNone}, `"required"`: {Mode: ToolRequired}, `{"type":"function","function":{"name":"f"}}`: {Mode: ToolRequired, Name: "f"}} {
		var c ToolChoice
		if err := json.Unmarshal([]byte(in), &c); err != nil || c != want {
			t.Errorf("%s: %+v, %v", in, c, err)
		}
		if out, err := json.Marshal(c); err != nil || string(out) != in {
			t.Errorf("%s: %s, %v", in, out, err)
		}
	}
	var c ToolChoice
	if err := json.Unmarshal([]byte(`"any"`), &c); !errors.Is(err, ErrRequest) {
		t.Error(err)
	}
}

// TestToolFormat: with tools and a format the answer is either.
func TestToolFormat(t *testing.T) {
	m := openTiny(t, nil)
	kinds := map[string]int{}
	for seed := range uint64(30) {
		r, err := m.Generate(t.Context(), Request{Prompt: fmt.Sprint("question ", seed), Tools: weatherTools, Format: Regexp(`\{?no`), MaxTokens: 200, Sampling: &Sampling{Seed: &seed}})
		if err != nil {
			t.Fatal(err)
		}
		c := r.Choices[0]
		switch {
		case c.Finish == FinishLength:
		case len(c.Message.ToolCalls) > 0 && c.Message.Content == "" && c.Finish == FinishToolCalls:
			kinds["calls"]++
		case (c.Message.Content == "no" || c.Message.Content == "{no") && c.Finish == FinishStop:
			kinds["format"]++
		default:
			t.Errorf("%+v", c)
		}
	}
	if kinds["calls"] == 0 || kinds["format"] == 0 {
		t.Errorf("%v, expected some of each", kinds)
	}
}

type fakeGenerator struct {
	Generator
	answers []Message
	asked   []Request
	fails   bool // after the first answer
}

func (f *fakeGenerator) Stream(ctx context.Context, r Request) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		if f.fails && len(f.asked) > 0 {
			yield(Token{}, ErrClosed)
			return
		}
		response, _ := f.Generate(ctx, r)
		yield(Token{ID: -1, Text: response.Text(), Response: response}, nil)
	}
}

func (f *fakeGenerator) Generate(ctx context.Context, r Request) (*Response, error) {
	f.asked = append(f.asked, r)
	m := f.answers[min(len(f.asked), len(f.answers))-1]
	return &Response{Choices: []Choice{{Message: m, Finish: FinishStop}}, Usage: Usage{Prompt: 10, Generated: 1}}, nil
}

func TestRunTools(t *testing.T) {
	type in struct {
		City string `json:"city" description:"Where"`
	}
	weather, err := NewTool("get_weather", "The weather.", func(ctx context.Context, i in) (map[string]any, error) {
		if i.City == "" {
			return nil, errors.New("no city")
		}
		return map[string]any{"city": i.City, "rain": true}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"type":"object","properties":{"city":{"type":"string","description":"Where"}},"required":["city"],"additionalProperties":false}`; string(weather.Parameters) != want {
		t.Errorf("parameters %s, expected %s", weather.Parameters, want)
	}
	call := func(id, args string) Message {
		return Message{Role: RoleAssistant, ToolCalls: []ToolCall{{ID: id, Name: "get_weather", Arguments: json.RawMessage(args)}}}
	}
	g := &fakeGenerator{answers: []Message{call("1", `{"city": "Paris"}`), call("2", `{"city": ""}`), Assistant("It rains.")}}
	r, messages, err := RunTools(t.Context(), g, Request{Messages: []Message{User("Rain?")}, Tools: []Tool{weather}, ToolChoice: ToolChoice{Mode: ToolRequired}}, 0)
	if err != nil || r.Text() != "It rains." || r.Usage.Generated != 3 {
		t.Fatalf("%+v, %v", r, err)
	}
	var text []string
	for _, m := range messages {
		text = append(text, fmt.Sprintf("%s %s%s", m.Role, m.ToolCallID, m.Content))
	}
	if got := strings.Join(text, "; "); got != `assistant ; tool 1{"city":"Paris","rain":true}; assistant ; tool 2{"error":"no city"}; assistant It rains.` {
		t.Error(got)
	}
	if g.asked[0].ToolChoice.Mode != ToolRequired || g.asked[1].ToolChoice.Mode != ToolAuto || len(g.asked[2].Messages) != 5 {
		t.Errorf("%+v", g.asked)
	}

	g = &fakeGenerator{answers: []Message{call("1", `{"city": "Paris"}`)}}
	if _, messages, err := RunTools(t.Context(), g, Request{Tools: []Tool{weather}}, 2); !errors.Is(err, ErrToolRounds) || len(g.asked) != 3 || len(messages) != 5 {
		t.Errorf("%v after %d questions, %d messages", err, len(g.asked), len(messages))
	}
	g = &fakeGenerator{answers: []Message{call("1", `{"city": "Paris"}`)}}
	if _, messages, err := RunTools(t.Context(), g, Request{Tools: []Tool{{Name: "get_weather"}}}, 2); err != nil || len(messages) != 1 {
		t.Errorf("a tool without a function: %v, %d messages", err, len(messages))
	}
	for _, c := range []struct {
		leave int // after so many tokens; 0: never
		fails bool
		want  string
	}{{0, false, "calls, calls, says; 6 messages"}, {1, false, "calls; 1 messages"}, {2, false, "calls, calls; 3 messages"}, {0, true, "calls, fails; 3 messages"}} {
		g := &fakeGenerator{answers: []Message{call("1", `{"city": "Paris"}`), call("2", `{"city": ""}`), Assistant("It rains.")}, fails: c.fails}
		r := Request{Messages: []Message{User("Rain?")}, Tools: []Tool{weather}}
		var seen []string
		for tok, err := range StreamTools(t.Context(), g, &r, 0) {
			switch {
			case err != nil:
				seen = append(seen, "fails")
			case tok.Text != "":
				seen = append(seen, "says")
			default:
				seen = append(seen, "calls")
			}
			if len(seen) == c.leave {
				break
			}
		}
		if got := fmt.Sprintf("%s; %d messages", strings.Join(seen, ", "), len(r.Messages)); got != c.want {
			t.Errorf("%s, expected %s", got, c.want)
		}
	}
	if _, err := NewTool("f", "", func(context.Context, int) (int, error) { return 0, nil }); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
}

type thing struct {
	Name     string           `json:"name"`
	Children []thing          `json:"children"`
	Next     *thing           `json:"next,omitempty"`
	Extra    map[string]int8  `json:"extra,omitempty"`
	Keys     map[uint16]bool  `json:"keys"`
	When     time.Time        `json:"when"`
	Kind     string           `json:"kind" enum:"a,b"`
	Data     []byte           `json:"data"`
	Pair     [2]float32       `json:"pair"`
	Any      any              `json:"any,omitempty"`
	Big      uint64           `json:"big"`
	Null     *bool            `json:"null"`
	Raw      *json.RawMessage `json:"-"`
	inner
}

type inner struct {
	Inside int64
}

// TestSchemaOf: what a model with random weights writes, encoding/json reads without a field left over.
func TestSchemaOf(t *testing.T) {
	m := openTiny(t, nil)
	ended := 0
	for seed := range uint64(20) {
		var v thing
		v, r, err := GenerateInto[thing](t.Context(), m, Request{Prompt: fmt.Sprint("node ", seed), MaxTokens: 900, Sampling: &Sampling{Seed: &seed, Temperature: pointer(0.7)}})
		if errors.Is(err, ErrIncomplete) {
			continue
		}
		if err != nil {
			t.Fatalf("%v: %s", err, r.Text())
		}
		ended++
		if v.Kind != "a" && v.Kind != "b" || v.When.IsZero() && !strings.Contains(r.Text(), "0001-01-01") {
			t.Errorf("%+v of %s", v, r.Text())
		}
		d := json.NewDecoder(strings.NewReader(r.Text()))
		d.DisallowUnknownFields()
		if err := d.Decode(&v); err != nil {
			t.Errorf("%v: %s", err, r.Text())
		}
	}
	t.Logf("%d of 20 ended", ended)
	if ended < 2 {
		t.Errorf("%d of 20 answers ended", ended)
	}
	for _, f := range []Format{SchemaOf[chan int](), SchemaOf[struct{ F func() }](), SchemaOf[map[bool]int]()} {
		if err := f.Check(); !errors.Is(err, ErrUnsupported) {
			t.Error(err)
		}
		if _, err := m.Generate(t.Context(), Request{Prompt: "x", Format: f}); !errors.Is(err, ErrUnsupported) {
			t.Error(err)
		}
	}
}
