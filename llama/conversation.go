package llama

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
)

// Chat is a conversation that grows by turns. It is for one goroutine.
type Chat struct {
	m       *Model
	r       Request // its messages are the history
	dropped int     // messages of the history that Request.Shift leaves out
}

// NewChat begins a conversation: r's messages are its history, and its other fields hold for every turn. With Shift, what once was
// left out of the context stays out of it; the history keeps it.
func (m *Model) NewChat(r Request) *Chat {
	r.Messages = slices.Clone(r.Messages)
	r.N = 1
	return &Chat{m: m, r: r}
}

// History is the conversation so far.
func (c *Chat) History() []Message { return slices.Clone(c.r.Messages) }

// Send asks as the user and waits for the answer. On an error the history is as before.
func (c *Chat) Send(ctx context.Context, text string) (*Response, error) {
	history, r := c.turn(text)
	response, err := c.m.Generate(ctx, r)
	c.note(response)
	if err == nil {
		c.r.Messages = append(history, response.Choices[0].Message)
	}
	return response, err
}

// Stream asks as the user and gives the answer token by token. The turn joins the history when it ends, with what there is of the
// answer if the loop is left or ctx ends; on another error the history is as before.
func (c *Chat) Stream(ctx context.Context, text string) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		history, r := c.turn(text)
		answer := Message{Role: RoleAssistant}
		for t, err := range c.m.Stream(ctx, r) {
			if err != nil {
				if isContext(err) && answer.Content != "" {
					c.r.Messages = append(history, answer)
				}
				yield(t, err)
				return
			}
			answer.Content += t.Text
			c.note(t.Response)
			if t.Response != nil {
				answer = t.Response.Choices[0].Message
			}
			if !yield(t, nil) {
				break
			}
		}
		c.r.Messages = append(history, answer)
	}
}

// savedChat is a conversation as Save writes it.
type savedChat struct {
	Messages []Message `json:"messages"` // in OpenAI's form
	Dropped  int       `json:"dropped,omitempty"`
}

// maxSavedChat bounds what Restore reads.
const maxSavedChat = 64 << 20

// Save writes the history as JSON, {"messages": […]}, with the messages in the form of OpenAI's API. The keys and values that the
// model has of it are SaveKV's.
func (c *Chat) Save(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(savedChat{append([]Message{}, c.r.Messages...), c.dropped})
}

// Restore replaces the history by what Save wrote, or by any {"messages": […]}, of at most 64 MiB. On an error, ErrDamaged for what
// is no such JSON, the history is as before.
func (c *Chat) Restore(r io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(r, maxSavedChat+1))
	if err != nil {
		return err
	}
	if len(data) > maxSavedChat {
		return fmt.Errorf("%w: more than %d bytes", ErrDamaged, maxSavedChat)
	}
	var s savedChat
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	shown := 0
	for i, m := range s.Messages {
		switch m.Role {
		case RoleSystem:
		case RoleUser, RoleAssistant, RoleTool:
			shown++
		default:
			return fmt.Errorf("%w: message %d has role %q, expected system, user, assistant or tool", ErrDamaged, i, m.Role)
		}
	}
	if s.Messages == nil || s.Dropped < 0 || s.Dropped > shown {
		return fmt.Errorf("%w: %d messages, %d of them dropped", ErrDamaged, shown, s.Dropped)
	}
	c.r.Messages, c.dropped = s.Messages, s.Dropped
	return nil
}

// SaveKV is Model.SaveKV of the conversation: once the model has it back by Chat.RestoreKV, the next turn computes nothing that it would
// not have computed here.
func (c *Chat) SaveKV(ctx context.Context, w io.Writer) (tokens int, err error) {
	_, r := c.turn("") // what any next turn begins with
	ids, err := c.m.Prompt(r)
	if err != nil {
		return 0, err
	}
	return c.m.saveKV(ctx, w, c.m.engine.owner(c.r.Key), ids)
}

// RestoreKV is Model.RestoreKV for the conversation's key.
func (c *Chat) RestoreKV(ctx context.Context, r io.Reader) (tokens int, err error) {
	return c.m.restoreKV(ctx, r, c.m.engine.owner(c.r.Key))
}

// turn is the history with the user's next message, and the request for the answer to it.
func (c *Chat) turn(text string) (history []Message, r Request) {
	history = append(slices.Clone(c.r.Messages), User(text))
	r = c.r
	end, gone := 0, 0
	for ; gone < c.dropped; end++ {
		if history[end].Role != RoleSystem {
			gone++
		}
	}
	r.Messages = without(history, end)
	return history, r
}

// note makes a response count all messages of the history that it was not shown.
func (c *Chat) note(r *Response) {
	if r != nil {
		r.Dropped += c.dropped
		c.dropped = r.Dropped
	}
}
