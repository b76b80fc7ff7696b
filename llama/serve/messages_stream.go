package serve

import (
	"encoding/json"

	"github.com/llama31/llama31/llama"
)

// messageStream makes the events of a message. A block of its content is open while its pieces come.
type messageStream struct {
	*stream
	index int    // of the open block, or the next
	open  string // its type; "": none is open
	calls int    // begun
}

const ping = "event: ping\ndata: {\"type\": \"ping\"}\n\n"

func (s *messageStream) emit(kind string, e event) error {
	e["type"] = kind
	return s.send(kind, e)
}

func (a *messagesRequest) streamed(c *call, out *message) error {
	s := &messageStream{stream: c.stream(ping)}
	defer s.close()
	if a.m.local != nil {
		ids, err := a.m.local.Prompt(a.q)
		if err != nil {
			return err
		}
		out.Usage = a.usage(llama.Usage{Prompt: len(ids)})
	}
	begun := false
	r, err := c.generate(a.m, a.q, func(t llama.Token) error {
		if !begun { // and not before, for until then the answer may be an error's status
			begun = true
			if err := s.emit("message_start", event{"message": out}); err != nil {
				return err
			}
		}
		if err := s.text(t.Text); err != nil || t.ToolCall == nil {
			return err
		}
		return s.piece(*t.ToolCall)
	})
	if err != nil {
		if f := failureOf(err); s.stream.begun() && f.status != statusGone {
			s.send("error", f.anthropic(c.id))
		}
		return err
	}
	for _, p := range pieces(r.Choices[0].Message.ToolCalls, s.calls) {
		if err := s.piece(p); err != nil {
			return err
		}
	}
	if err := s.closeBlock(); err != nil {
		return err
	}
	out.end(r.Choices[0])
	if err := s.emit("message_delta", event{"delta": map[string]any{"stop_reason": out.StopReason, "stop_sequence": out.StopSequence}, "usage": a.usage(r.Usage)}); err != nil {
		return err
	}
	return s.emit("message_stop", event{})
}

// begin opens a block.
func (s *messageStream) begin(kind string, block any) error {
	if err := s.closeBlock(); err != nil {
		return err
	}
	s.open = kind
	return s.emit("content_block_start", event{"index": s.index, "content_block": block})
}

func (s *messageStream) closeBlock() error {
	if s.open == "" {
		return nil
	}
	s.open = ""
	s.index++
	return s.emit("content_block_stop", event{"index": s.index - 1})
}

func (s *messageStream) text(text string) error {
	if text == "" {
		return nil
	}
	if s.open != "text" {
		if err := s.begin("text", textBlock{Type: "text"}); err != nil {
			return err
		}
	}
	return s.emit("content_block_delta", event{"index": s.index, "delta": map[string]string{"type": "text_delta", "text": text}})
}

func (s *messageStream) piece(p llama.ToolCallDelta) error {
	if s.open != "tool_use" || p.Name != "" {
		s.calls++
		if err := s.begin("tool_use", toolUseBlock{"tool_use", p.ID, p.Name, json.RawMessage("{}")}); err != nil {
			return err
		}
	}
	if p.Arguments == "" {
		return nil
	}
	return s.emit("content_block_delta", event{"index": s.index, "delta": map[string]string{"type": "input_json_delta", "partial_json": p.Arguments}})
}
