package llama_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/llama31/llama31/llama"
)

// TestCallsByChoice: a call that the model begins by itself is held to the tool's parameters, whatever it would say, alone, with several
// choices, and cut short.
func TestCallsByChoice(t *testing.T) {
	m := says(`{"name": "weather", "parameters": `, `{"city": `, `"Berlin"`, `}`, `} `, "and more")
	defer m.Close()
	r := llama.Request{
		Messages: []llama.Message{llama.User("Rain?")}, MaxTokens: 40, N: 2,
		Sampling: &llama.Sampling{Temperature: new(float64)},
		Tools: []llama.Tool{{Name: "weather", Description: "x",
			Parameters: json.RawMessage(`{"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}`)}},
	}
	told := map[int]string{}
	for tok, err := range m.Stream(context.Background(), r) {
		if err != nil {
			t.Fatal(err)
		}
		if tok.ToolCall != nil {
			told[tok.Choice] += tok.ToolCall.Name + tok.ToolCall.Arguments
		}
		if tok.Response == nil {
			continue
		}
		for i, c := range tok.Response.Choices {
			var args struct{ City string }
			if len(c.Message.ToolCalls) != 1 || json.Unmarshal(c.Message.ToolCalls[0].Arguments, &args) != nil || args.City != "Paris" || told[i] != "weather"+string(c.Message.ToolCalls[0].Arguments) {
				t.Errorf("choice %d: %+v, told of %q", i, c.Message, told[i])
			}
		}
	}
	r.MaxTokens, r.N = 4, 1
	got, err := m.Generate(context.Background(), r)
	if err != nil || got.Text() != "" || len(got.Choices[0].Message.ToolCalls) != 0 || got.Choices[0].Finish != llama.FinishLength {
		t.Errorf("cut short: %+v, %v", got, err)
	}
	r.ToolChoice.Mode, r.MaxTokens = llama.ToolNone, 40
	got, err = m.Generate(context.Background(), r)
	if err != nil || !strings.Contains(got.Text(), "Berlin") || len(got.Choices[0].Message.ToolCalls) != 0 {
		t.Errorf("with no tools: %+v, %v", got, err)
	}
}
