package serve

import (
	"encoding/json"

	"github.com/llama31/llama31/llama"
)

// responseStream makes the events of a response. An item of its output is open while its pieces come.
type responseStream struct {
	*stream
	out      *responseObject
	sequence int
	message  *messageItem // open, if not nil
	call     *callItem    // open, if not nil
	calls    int          // begun
	logprobs *chatLogprobs
}

// event is an event's fields; type and sequence_number are added.
type event map[string]any

func (s *responseStream) emit(kind string, e event) error {
	e["type"], e["sequence_number"] = kind, s.sequence
	s.sequence++
	return s.send(kind, e)
}

// emitAll sends events until one fails.
func (s *responseStream) emitAll(events ...func() error) error {
	for _, e := range events {
		if err := e(); err != nil {
			return err
		}
	}
	return nil
}

func (a *responseRequest) streamed(c *call, out *responseObject) error {
	s := &responseStream{stream: c.stream(": still at work\n\n"), out: out}
	defer s.close()
	begun := false
	r, err := c.generate(a.m, a.q, func(t llama.Token) error {
		if !begun { // and not before, for until then the answer may be an error's status
			begun = true
			if err := s.begin(); err != nil {
				return err
			}
		}
		var l *chatLogprobs
		if a.logprobs && t.ToolCall == nil {
			l = l.add(a.m, t)
		}
		if t.Text != "" || l != nil {
			if err := s.text(t.Text, l); err != nil {
				return err
			}
		}
		if t.ToolCall != nil {
			return s.piece(*t.ToolCall)
		}
		return nil
	})
	if err != nil {
		if f := failureOf(err); s.stream.begun() && f.status != statusGone {
			out.Status, out.Error = "failed", map[string]string{"code": "server_error", "message": f.message}
			s.emit("response.failed", event{"response": out})
		}
		return err
	}
	message := r.Choices[0].Message
	for _, p := range pieces(message.ToolCalls, s.calls) {
		if err := s.piece(p); err != nil {
			return err
		}
	}
	if len(out.Output) == 0 && s.message == nil && s.call == nil {
		if err := s.text("", nil); err != nil { // an empty answer is one message
			return err
		}
	}
	out.complete(c, r)
	if err := s.closeItem(out.Status); err != nil {
		return err
	}
	return s.emit("response."+out.Status, event{"response": out})
}

func (s *responseStream) begin() error {
	return s.emitAll(
		func() error { return s.emit("response.created", event{"response": s.out}) },
		func() error { return s.emit("response.in_progress", event{"response": s.out}) })
}

func (s *responseStream) at() int { return len(s.out.Output) }

// text adds text to the open message, or opens one.
func (s *responseStream) text(text string, l *chatLogprobs) error {
	if s.message == nil {
		if err := s.closeItem("completed"); err != nil {
			return err
		}
		s.message, s.logprobs = newMessageItem("in_progress"), nil
		if err := s.emit("response.output_item.added", event{"output_index": s.at(), "item": s.message}); err != nil {
			return err
		}
		s.message.Content = []outputText{newOutputText("", nil)}
		if err := s.emit("response.content_part.added", event{"item_id": s.message.ID, "output_index": s.at(), "content_index": 0, "part": s.message.Content[0]}); err != nil {
			return err
		}
	}
	logprobs := []tokenLogprob{}
	if l != nil {
		logprobs = l.Content
		if s.logprobs == nil {
			s.logprobs = &chatLogprobs{}
		}
		s.logprobs.Content = append(s.logprobs.Content, l.Content...)
	}
	s.message.Content[0].Text += text
	if text == "" && l == nil {
		return nil
	}
	return s.emit("response.output_text.delta", event{"item_id": s.message.ID, "output_index": s.at(), "content_index": 0, "delta": text, "logprobs": logprobs})
}

// piece adds to the open call, or opens one.
func (s *responseStream) piece(p llama.ToolCallDelta) error {
	if s.call == nil || p.Name != "" {
		if err := s.closeItem("completed"); err != nil {
			return err
		}
		s.calls++
		s.call = &callItem{ID: newID("fc_"), Type: "function_call", Status: "in_progress", CallID: p.ID, Name: p.Name}
		if err := s.emit("response.output_item.added", event{"output_index": s.at(), "item": s.call}); err != nil {
			return err
		}
	}
	if p.Arguments == "" {
		return nil
	}
	s.call.Arguments += p.Arguments
	return s.emit("response.function_call_arguments.delta", event{"item_id": s.call.ID, "output_index": s.at(), "delta": p.Arguments})
}

// closeItem ends the open item, if there is one.
func (s *responseStream) closeItem(status string) error {
	switch {
	case s.message != nil:
		m := s.message
		s.message, m.Status = nil, status
		part := newOutputText(m.Content[0].Text, s.logprobs)
		m.Content[0] = part
		at := s.at()
		s.out.Output = append(s.out.Output, m)
		return s.emitAll(
			func() error {
				return s.emit("response.output_text.done", event{"item_id": m.ID, "output_index": at, "content_index": 0, "text": part.Text, "logprobs": part.Logprobs})
			},
			func() error {
				return s.emit("response.content_part.done", event{"item_id": m.ID, "output_index": at, "content_index": 0, "part": part})
			},
			func() error { return s.emit("response.output_item.done", event{"output_index": at, "item": m}) })
	case s.call != nil:
		call := s.call
		s.call, call.Status = nil, "completed"
		if !json.Valid([]byte(call.Arguments)) {
			call.Status = "incomplete"
		}
		at := s.at()
		s.out.Output = append(s.out.Output, call)
		return s.emitAll(
			func() error {
				return s.emit("response.function_call_arguments.done", event{"item_id": call.ID, "output_index": at, "name": call.Name, "arguments": call.Arguments})
			},
			func() error { return s.emit("response.output_item.done", event{"output_index": at, "item": call}) })
	}
	return nil
}
