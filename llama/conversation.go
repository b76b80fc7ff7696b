package llama

import (
	"context"
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
