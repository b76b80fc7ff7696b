package llamatest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/llama31/llama31/llama"
	"github.com/llama31/llama31/llama/llamatest"
)

// title is a function as a program might have it: it takes any Generator.
func title(ctx context.Context, g llama.Generator, text string) (string, error) {
	r, err := g.Generate(ctx, llama.Request{Messages: []llama.Message{llama.System("Answer with a title."), llama.User(text)}, MaxTokens: 5})
	if err != nil {
		return "", err
	}
	return r.Text(), nil
}

func Example() {
	m := llamatest.Says("A Day at the Sea")
	fmt.Println(title(context.Background(), m, "We went to the sea and …"))
	fmt.Println(m.Requests()[0].Messages[1].Content)
	// Output:
	// A Day at the Sea <nil>
	// We went to the sea and …
}

func TestStream(t *testing.T) {
	m := llamatest.New(llamatest.Answer{Text: "one two  three", Usage: &llama.Usage{Prompt: 7, Cached: 3, Generated: 9}})
	var texts []string
	var last *llama.Response
	var finish [2]llama.Finish
	for tok, err := range m.Stream(t.Context(), llama.Request{Prompt: "count", N: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		if tok.Choice == 1 && tok.ID >= 0 {
			texts = append(texts, tok.Text)
		}
		finish[tok.Choice] = tok.Finish
		last = tok.Response
	}
	if fmt.Sprintf("%q", texts) != `["one" " two" " " " three"]` {
		t.Errorf("tokens %q", texts)
	}
	if last == nil || last.Usage != (llama.Usage{Prompt: 7, Cached: 3, Generated: 9}) || last.Choices[1].Message.Content != "one two  three" || last.Choices[0].Finish != llama.FinishStop || finish != [2]llama.Finish{llama.FinishStop, llama.FinishStop} {
		t.Errorf("response %+v, ends %q", last, finish)
	}
}

func TestLimitsAndErrors(t *testing.T) {
	broken := errors.New("broken")
	call := llama.ToolCall{ID: "1", Name: "f"}
	m := llamatest.New(llamatest.Answer{Text: "a b c"}, llamatest.Answer{Text: "a b c", Err: broken}, llamatest.Answer{ToolCalls: []llama.ToolCall{call}})
	r, err := m.Generate(t.Context(), llama.Request{MaxTokens: 2})
	if err != nil || r.Text() != "a b" || r.Choices[0].Finish != llama.FinishLength || r.Usage.Generated != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err = m.Generate(t.Context(), llama.Request{}); !errors.Is(err, broken) || r.Text() != "a b c" || r.Choices[0].Finish != llama.FinishError {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err = m.Generate(t.Context(), llama.Request{}); err != nil || r.Choices[0].Finish != llama.FinishToolCalls || r.Choices[0].Message.ToolCalls[0].Name != "f" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err = m.Generate(t.Context(), llama.Request{}); !errors.Is(err, llamatest.ErrScript) {
		t.Errorf("%v, expected ErrScript", err)
	}
}

func TestDelay(t *testing.T) {
	m := &llamatest.Model{Answer: func(i int, r llama.Request) llamatest.Answer {
		return llamatest.Answer{Text: r.Prompt, Every: time.Hour}
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	r, err := m.Generate(ctx, llama.Request{Prompt: "first then"})
	if !errors.Is(err, context.DeadlineExceeded) || r.Text() != "first" {
		t.Errorf("%+v, %v: expected the first word, and the deadline", r, err)
	}
}
