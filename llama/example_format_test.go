package llama_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/llama31/llama31/llama"
	"github.com/llama31/llama31/llama/llamatest"
)

// says opens a model that answers everything alike, where its request lets it.
func says(words ...string) *llama.Model {
	file := longParrot(2048, words...)
	m, err := llama.OpenReader(context.Background(), bytes.NewReader(file), int64(len(file)), nil)
	if err != nil {
		log.Fatal(err)
	}
	return m
}

// An answer as a Go value.
func ExampleGenerateInto() {
	m := says(`{"city": `, `"Paris"`, `, "population": `, `2102650`, `}`, " and so on")
	defer m.Close()
	type city struct {
		Name       string `json:"city" description:"in English"`
		Population int    `json:"population"`
		Mayor      string `json:"mayor,omitempty"`
	}
	c, _, err := llama.GenerateInto[city](context.Background(), m, llama.Request{
		Messages: []llama.Message{llama.User("The capital of France, as JSON with city and population.")},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s has %d inhabitants.\n", c.Name, c.Population)
	// Output: Paris has 2102650 inhabitants.
}

// A schema as it comes from elsewhere.
func ExampleJSONSchema() {
	m := says(`{"sky": `, `"green"`, `}`)
	defer m.Close()
	r, err := m.Generate(context.Background(), llama.Request{
		Messages: []llama.Message{llama.User("What colour is the sky? Answer as JSON.")},
		Format:   llama.JSONSchema([]byte(`{"type": "object", "properties": {"sky": {"enum": ["blue", "gray"]}}, "required": ["sky"]}`)),
		Sampling: &llama.Sampling{Temperature: new(float64)},
	})
	if err != nil {
		log.Fatal(err)
	}
	var answer struct{ Sky string }
	fmt.Println(json.Unmarshal([]byte(r.Text()), &answer), answer.Sky)
	// Output: <nil> blue
}

func ExampleRegexp() {
	m := says("Well", ", ", "no", ", because")
	defer m.Close()
	r, err := m.Generate(context.Background(), llama.Request{
		Messages: []llama.Message{llama.User("Is the sky green?")},
		Format:   llama.Regexp(`(Well, )?(yes|no)`),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Text())
	// Output: Well, no
}

// What is wrong with a format is told without a model.
func ExampleFormat_Check() {
	fmt.Println(llama.JSONSchema([]byte(`{"type": "integer", "minimum": 5, "maximum": 3}`)).Check())
	fmt.Println(llama.JSONSchema([]byte(`{"type": "array", "uniqueItems": true}`)).Check())
	fmt.Println(llama.Grammar(`root ::= "yes" | maybe`).Check())
	// Output:
	// llama: bad request: format: cannot be matched: no text that ends matches it
	// llama: not supported: format: #/uniqueItems is not supported: this keyword
	// llama: bad request: format: rule maybe is not understood: it is referred to and not defined
}

func ExampleSchemaOf() {
	type answer struct {
		Sure  bool   `json:"sure"`
		Words []int8 `json:"words,omitempty"`
	}
	fmt.Println(string(llama.SchemaOf[answer]().Schema()))
	// Output: {"type":"object","properties":{"sure":{"type":"boolean"},"words":{"type":"array","items":{"type":"integer","minimum":-128,"maximum":127}}},"required":["sure"],"additionalProperties":false}
}

// A call as it streams: its arguments come piece by piece, and none of it as text.
func ExampleRequest_tools() {
	m := says(`{"name": `, `"weather"`, `, "parameters": `, `{"city": `, `"Paris"`, `}`, `} `)
	defer m.Close()
	request := llama.Request{
		Messages: []llama.Message{llama.User("Will it rain in Paris?")},
		Tools: []llama.Tool{{
			Name: "weather", Description: "The weather in a city.",
			Parameters: json.RawMessage(`{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}`),
		}},
	}
	for tok, err := range m.Stream(context.Background(), request) {
		if err != nil {
			log.Fatal(err)
		}
		if c := tok.ToolCall; c != nil {
			fmt.Printf("call %d: %s %q\n", c.Index, c.Name, c.Arguments)
		}
		if tok.Response != nil {
			call := tok.Response.Choices[0].Message.ToolCalls[0]
			fmt.Println(call.Name, string(call.Arguments), tok.Response.Choices[0].Finish)
		}
	}
	// Output:
	// call 0: weather "{\"city\": "
	// call 0:  "\"Paris\""
	// call 0:  "}"
	// weather {"city": "Paris"} tool_calls
}

// Go functions as tools. The model here is a script; a *llama.Model takes its place.
func ExampleRunTools() {
	type place struct {
		City string `json:"city" description:"a city"`
	}
	weather, err := llama.NewTool("weather", "The weather in a city.", func(ctx context.Context, in place) (string, error) {
		return "rain in " + in.City, nil
	})
	if err != nil {
		log.Fatal(err)
	}
	m := llamatest.New(
		llamatest.Answer{ToolCalls: []llama.ToolCall{{ID: "call_1", Name: "weather", Arguments: json.RawMessage(`{"city": "Paris"}`)}}},
		llamatest.Answer{Text: "Take an umbrella."},
	)
	r, messages, err := llama.RunTools(context.Background(), m, llama.Request{
		Messages: []llama.Message{llama.User("Will it rain in Paris?")},
		Tools:    []llama.Tool{weather},
	}, 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(messages[1].Content)
	fmt.Println(r.Text())
	// Output:
	// rain in Paris
	// Take an umbrella.
}

// The same, shown while it is made.
func ExampleStreamTools() {
	type place struct {
		City string `json:"city" description:"a city"`
	}
	weather, err := llama.NewTool("weather", "The weather in a city.", func(ctx context.Context, in place) (string, error) {
		return "rain in " + in.City, nil
	})
	if err != nil {
		log.Fatal(err)
	}
	m := llamatest.New(
		llamatest.Answer{Text: "Let me see. ", ToolCalls: []llama.ToolCall{{ID: "call_1", Name: "weather", Arguments: json.RawMessage(`{"city": "Paris"}`)}}},
		llamatest.Answer{Text: "Take an umbrella."},
	)
	r := llama.Request{Messages: []llama.Message{llama.User("Will it rain in Paris?")}, Tools: []llama.Tool{weather}}
	for tok, err := range llama.StreamTools(context.Background(), m, &r, 0) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(tok.Text)
	}
	fmt.Println()
	for _, message := range r.Messages {
		fmt.Printf("%s: %q, %d calls\n", message.Role, message.Content, len(message.ToolCalls))
	}
	// Output:
	// Let me see. Take an umbrella.
	// user: "Will it rain in Paris?", 0 calls
	// assistant: "Let me see. ", 1 calls
	// tool: "rain in Paris", 0 calls
	// assistant: "Take an umbrella.", 0 calls
}
