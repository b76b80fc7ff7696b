package main

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/llama31/llama31/llama"
	"github.com/llama31/llama31/llama/llamatest"
)

func TestFallback(t *testing.T) {
	for _, c := range []struct {
		name   string
		first  llamatest.Answer
		text   string
		why    error
		failed error
	}{
		{"answers", llamatest.Answer{Text: "the first"}, "the first", nil, nil},
		{"is busy", llamatest.Answer{Err: llama.ErrBusy}, "the second", llama.ErrBusy, nil},
		{"has too small a context", llamatest.Answer{Err: &llama.ContextLengthError{}}, "the second", llama.ErrContextLength, nil},
		{"is slow", llamatest.Answer{Text: "x", Delay: time.Hour}, "the second", errSlow, nil},
		{"is asked nonsense", llamatest.Answer{Err: llama.ErrRequest}, "", nil, llama.ErrRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			var why error
			f := fallback{first: llamatest.New(c.first, c.first), second: llamatest.Says("the second", "the second"), wait: 20 * time.Millisecond, why: func(err error) { why = err }}
			r, err := f.Generate(t.Context(), llama.Request{Prompt: "x"})
			if !errors.Is(err, c.failed) || c.failed == nil && r.Text() != c.text || !errors.Is(why, c.why) {
				t.Errorf("%+v, %v; because of %v", r, err, why)
			}
			why = nil
			text := ""
			var last error
			for tok, err := range f.Stream(t.Context(), llama.Request{Prompt: "x"}) {
				text += tok.Text
				last = err
			}
			if text != c.text || !errors.Is(last, c.failed) || !errors.Is(why, c.why) {
				t.Errorf("%q, %v; because of %v", text, last, why)
			}
		})
	}
	// An answer that has begun is not begun again by the other, and nobody asks the other when nobody waits.
	f := fallback{first: llamatest.New(llamatest.Answer{Text: "half", Err: io.ErrUnexpectedEOF}), second: llamatest.Says(), wait: time.Hour, why: func(error) { t.Error("the second was asked") }}
	var last error
	for _, err := range f.Stream(t.Context(), llama.Request{Prompt: "x"}) {
		last = err
	}
	if !errors.Is(last, io.ErrUnexpectedEOF) {
		t.Error(last)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Generate(ctx, llama.Request{Prompt: "x"}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
