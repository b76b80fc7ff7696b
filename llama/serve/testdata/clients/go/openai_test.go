// Package clients has openai-go ask the server at $LLAMA31_URL.
package clients

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"
)

func client(t *testing.T) openai.Client {
	t.Helper()
	url := os.Getenv("LLAMA31_URL")
	if url == "" {
		t.Fatal("LLAMA31_URL is not set")
	}
	return openai.NewClient(option.WithBaseURL(url+"/v1/"), option.WithAPIKey("none"), option.WithMaxRetries(0))
}

var question = []openai.ChatCompletionMessageParamUnion{openai.UserMessage("What is the capital of France?")}

func TestChat(t *testing.T) {
	c := client(t)
	p := openai.ChatCompletionNewParams{Model: "smol", Messages: question, Temperature: openai.Float(0), MaxCompletionTokens: openai.Int(20), Logprobs: openai.Bool(true), TopLogprobs: openai.Int(2)}
	r, err := c.Chat.Completions.New(t.Context(), p)
	if err != nil || !strings.Contains(r.Choices[0].Message.Content, "Paris") || len(r.Choices[0].Logprobs.Content[0].TopLogprobs) != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	stream := c.Chat.Completions.NewStreaming(t.Context(), p)
	all := openai.ChatCompletionAccumulator{}
	for stream.Next() {
		all.AddChunk(stream.Current())
	}
	if err := stream.Err(); err != nil || all.Choices[0].Message.Content != r.Choices[0].Message.Content {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestTools(t *testing.T) {
	c := client(t)
	tool := openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{Name: "get_weather", Parameters: shared.FunctionParameters{
		"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string", "maxLength": 20}}, "required": []string{"city"}, "additionalProperties": false}})
	r, err := c.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{Model: "tools", Messages: question, Tools: []openai.ChatCompletionToolUnionParam{tool}, MaxTokens: openai.Int(200),
		ToolChoice: openai.ToolChoiceOptionFunctionToolChoice(openai.ChatCompletionNamedToolChoiceFunctionParam{Name: "get_weather"})})
	if err != nil || len(r.Choices[0].Message.ToolCalls) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	call := r.Choices[0].Message.ToolCalls[0].Function
	var args struct{ City *string }
	if err := json.Unmarshal([]byte(call.Arguments), &args); err != nil || call.Name != "get_weather" || args.City == nil {
		t.Errorf("%+v, %v", call, err)
	}
}

func TestOthers(t *testing.T) {
	c := client(t)
	e, err := c.Embeddings.New(t.Context(), openai.EmbeddingNewParams{Model: "smol", Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"a", "b"}}})
	if err != nil || len(e.Data) != 2 || len(e.Data[1].Embedding) < 100 {
		t.Errorf("%+v, %v", e, err)
	}
	r, err := c.Responses.New(t.Context(), responses.ResponseNewParams{Model: "smol", Temperature: openai.Float(0), MaxOutputTokens: openai.Int(20),
		Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("What is the capital of France?")}})
	if err != nil || !strings.Contains(r.OutputText(), "Paris") {
		t.Errorf("%+v, %v", r, err)
	}
	list, err := c.Models.List(t.Context())
	if err != nil || list.Data[0].ID != "smol" {
		t.Errorf("%+v, %v", list, err)
	}
	_, err = c.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{Model: "nosuch", Messages: question})
	var bad *openai.Error
	if !errors.As(err, &bad) || bad.StatusCode != 404 || bad.Code != "model_not_found" || bad.Param != "model" {
		t.Errorf("%v", err)
	}
}
