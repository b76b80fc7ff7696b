package serve

import (
	"errors"
	"time"

	"github.com/llama31/llama31/llama"
)

// generate runs a request. Each, if not nil, gets the tokens as they come; its error ends the request.
func (c *call) generate(m *model, q llama.Request, each func(llama.Token) error) (r *llama.Response, err error) {
	start := time.Now()
	ctx := c.r.Context()
	var used llama.Usage
	if each == nil {
		if r, err = m.Generate(ctx, q); r != nil {
			used = r.Usage
		}
	} else {
		for t, e := range m.Stream(ctx, q) {
			if t.ID >= 0 && e == nil {
				used.Generated++
			}
			if t.Response != nil {
				r, used = t.Response, t.Response.Usage
			}
			if err = e; err == nil {
				err = each(t)
			}
			if err != nil {
				break
			}
		}
		if err == nil && r == nil {
			err = errNoResponse
		}
	}
	c.s.metrics.answered(m.name, &q, r, time.Since(start), err)
	c.key.spend(time.Now(), used.Prompt+used.Generated)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.model = m.name
	c.prompt += used.Prompt
	c.generated += used.Generated
	if r != nil {
		for _, choice := range r.Choices {
			c.finish = string(choice.Finish)
			if c.s.LogPrompts {
				c.texts = append(c.texts, choice.Message.Content)
			}
		}
	}
	return r, err
}

var errNoResponse = errors.New("serve: the model's stream ended without a response")

// spent counts the tokens of a request that generates nothing.
func (c *call) spent(m *model, tokens int) {
	c.key.spend(time.Now(), tokens)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.model = m.name
	c.prompt += tokens
}

// fair is for whom a request is: for its key, else for the user that it names. Keys, or users, share the model.
func (c *call) fair(user string) string {
	if c.key != nil {
		return c.key.name
	}
	return user
}
