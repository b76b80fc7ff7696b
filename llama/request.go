package llama

import (
	"context"
	"encoding/json"
	"time"
)

// Request asks for an answer. Exactly one of Messages, Prompt and Tokens is set.
type Request struct {
	Messages []Message // a conversation, rendered by the model's chat template
	Prompt   string    // plain text, continued as it is; control tokens in it stay text
	Tokens   []int32   // ids, taken as they are: no beginning-of-text is added

	MaxTokens   int       // most tokens to generate; 0: to a stop or the context's end
	N           int       // choices; 0 means 1
	Sampling    *Sampling // nil: what the model file recommends, else Llama 3.1's defaults (temperature 0.6, top-p 0.9)
	Stop        []string  // texts that end the answer; they are not part of it
	Format      Format    // what the answer has to match: JSON of a schema, for instance; zero: nothing
	Tools       []Tool    // functions that the model may call
	ToolChoice  ToolChoice
	TopLogprobs int // how many alternatives come with each token

	// Shift leaves out old turns of Messages where they and the answer would not fit into the context: whole ones from a user's
	// message to the next, oldest first, until MaxTokens and a quarter of the context are free, so that the next turns need no
	// further ones to go. System messages and the last turn stay; if these alone are too long the error is ErrContextLength still.
	Shift bool

	// Key says for whom the request is: a user, a tenant. Keys share the model fairly, by Options.Weights, so that one who asks for
	// a lot delays himself more than others.
	Key string
	// Priority goes first among the waiting requests of a key; the higher, the sooner. One in eight goes by age alone.
	Priority int
}

// Sampling says how tokens are drawn. The zero value draws from the model's own distribution.
type Sampling struct {
	Temperature *float64 // nil: 1; 0 takes the most probable token
	TopK        int      // 0: all
	TopP        float64  // 0: all
	MinP        float64  // least probability as a share of the largest; 0: all
	Typical     float64  // locally typical sampling (Meister et al. 2022); 0: off
	Repeat      float64  // divides or multiplies the logits of generated tokens (Keskar et al. 2019); 0 or 1: off
	Frequency   float64  // subtracted from a generated token's logit, per occurrence
	Presence    float64  // subtracted once from a generated token's logit
	Bias        map[int32]float64
	Seed        *uint64 // nil: a random one, told in the response
	IgnoreEOS   bool    // stop tokens are not drawn
}

// Role says who wrote a message.
type Role string

// The roles of Llama 3.1. RoleTool is its "ipython": the result of a call.
const (
	RoleSystem    Role = "system"
	RoleUser      Role = "user"
	RoleAssistant Role = "assistant"
	RoleTool      Role = "tool"
)

// Message is one turn of a conversation.
type Message struct {
	Role       Role       `json:"role"`
	Content    string     `json:"content"`
	ToolCalls  []ToolCall `json:"tool_calls,omitempty"`   // of an assistant; those of an answer that are complete
	ToolCallID string     `json:"tool_call_id,omitempty"` // of a tool's result
}

// System, User and Assistant make messages; ToolResult answers the call of that id.
func System(s string) Message         { return Message{Role: RoleSystem, Content: s} }
func User(s string) Message           { return Message{Role: RoleUser, Content: s} }
func Assistant(s string) Message      { return Message{Role: RoleAssistant, Content: s} }
func ToolResult(id, s string) Message { return Message{Role: RoleTool, Content: s, ToolCallID: id} }

// ToolCall is a model's wish to call a function.
type ToolCall struct {
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"` // a JSON object
}

// Tool describes a function to the model.
type Tool struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"` // JSON Schema of the arguments, keys in the order to show

	call func(ctx context.Context, arguments json.RawMessage) (string, error) // of NewTool
}

// Token is a piece of an answer.
type Token struct {
	Choice   int
	ID       int32
	Text     string  // what is new and complete as UTF-8; empty while bytes or a possible stop text are held back
	Bytes    []byte  // the token's own bytes
	Logprob  float64 // under the model's own distribution
	Top      []Alternative
	ToolCall *ToolCallDelta // a piece of a call of a tool; its text is in no Text
	Finish   Finish         // on the last token of a choice; empty on the others
	Response *Response      // on the last token only
}

// Alternative is one of the most probable tokens at a place.
type Alternative struct {
	ID      int32
	Bytes   []byte
	Logprob float64
}

// Response is a whole answer.
type Response struct {
	Choices []Choice
	Usage   Usage
	Timings Timings
	Seed    uint64
	Dropped int // messages that Request.Shift left out
}

// Text is the first choice's text.
func (r *Response) Text() string {
	if r == nil || len(r.Choices) == 0 {
		return ""
	}
	return r.Choices[0].Message.Content
}

// Choice is one answer among Request.N.
type Choice struct {
	Message Message
	Finish  Finish
	Stop    string  // of Request.Stop the text that ended it; "" where a stop token or something else did
	Tokens  []int32 // as generated, the stop token included
}

// Finish says why an answer ended.
type Finish string

const (
	FinishStop      Finish = "stop"       // a stop token or stop text
	FinishLength    Finish = "length"     // MaxTokens, or the context's end
	FinishToolCalls Finish = "tool_calls" // the model calls functions
	FinishError     Finish = "error"      // the request's context ended, or the model failed
)

// Usage counts tokens.
type Usage struct {
	Prompt    int // tokens of the prompt
	Cached    int // of these, found in the KV cache
	Generated int // in all choices
}

// Timings says where a request's time went.
type Timings struct {
	Queued   time.Duration // before the first step
	Prompt   time.Duration // from then to the first token
	Generate time.Duration // from the first token to the last
}
