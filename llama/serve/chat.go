package serve

import (
	"github.com/llama31/llama31/llama"
)

// chatRequest is what /v1/chat/completions is asked.
type chatRequest struct {
	m             *model
	q             llama.Request
	stream, usage bool
	logprobs      bool
	promptTop     int // vLLM's prompt_logprobs; −1: none
	prefill       string
}

func (c *call) readChat() (*chatRequest, error) {
	o, d, err := c.read()
	if err != nil {
		return nil, err
	}
	m, err := c.s.models.find(o.get("model").string())
	if err != nil {
		return nil, err
	}
	a := &chatRequest{m: m}
	q := &a.q
	q.Messages = readMessages(o.get("messages"))
	q.Sampling = m.readSampling(o)
	q.MaxTokens = readMaxTokens(o, 1, 0, "max_completion_tokens", "max_tokens")
	q.N = readInt(o.get("n"), 1, maxChoices, 1)
	q.Stop = readStop(o.get("stop"))
	q.Key = c.fair(o.get("user").string())
	q.Tools = readTools(o.get("tools"))
	q.ToolChoice = readToolChoice(o)
	checkToolChoice(o.get("tool_choice"), q.ToolChoice, q.Tools)
	q.Format = readFormat(o)
	q.Priority = readInt(o.get("priority"), -1<<31, 1<<31-1, 0)
	a.stream, a.usage = readStream(o)
	a.logprobs = o.get("logprobs").bool()
	if top := o.get("top_logprobs"); top.ok() {
		q.TopLogprobs = readInt(top, 0, maxTop, 0)
		if !a.logprobs {
			top.fail("invalid_value", "top_logprobs is %d, and logprobs is not true", q.TopLogprobs)
		}
	}
	a.promptTop = readInt(o.get("prompt_logprobs"), -1, maxTop, -1)
	if a.promptTop >= 0 && a.stream {
		o.get("prompt_logprobs").fail("unsupported_parameter", "prompt_logprobs is not for streams")
	}
	if list := o.get("modalities").list(); len(list) > 0 {
		for _, e := range list {
			e.choose("text")
		}
	}
	for _, old := range []string{"functions", "function_call"} {
		if v := o.get(old); v.ok() {
			v.fail("unsupported_parameter", "%s is not served here: OpenAI has tools and tool_choice in its place", old)
		}
	}
	if o.get("audio").ok() {
		o.get("audio").fail("unsupported_parameter", "audio is not served here")
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	if o.get("continue_final_message").bool() {
		if a.prefill, err = m.continueLast(q); err != nil {
			return nil, err
		}
	}
	return a, d.err()
}

// continueLast turns a conversation whose last message is the assistant's into a prompt that ends in it, to be gone on with.
func (m *model) continueLast(q *llama.Request) (prefill string, err error) {
	last := len(q.Messages) - 1
	if last < 1 || q.Messages[last].Role != llama.RoleAssistant || m.local == nil {
		return "", invalid("messages", "invalid_value", "the last message is not one of the assistant's that could be gone on with")
	}
	prefill = q.Messages[last].Content
	before := *q
	before.Messages = q.Messages[:last]
	ids, err := m.local.Prompt(before)
	if err != nil {
		return "", err
	}
	q.Tokens, q.Messages = m.local.Tokenizer().Encode(ids, prefill), nil
	return prefill, nil
}

func (c *call) chat() error {
	a, err := c.readChat()
	if err != nil {
		return err
	}
	out := &chatAnswer{request: a, ID: newID("chatcmpl-"), Created: c.start.Unix(), Model: a.m.name, Fingerprint: a.m.fingerprint}
	if a.stream {
		return out.stream(c)
	}
	return out.whole(c)
}

// chatAnswer is OpenAI's chat.completion and chat.completion.chunk.
type chatAnswer struct {
	request     *chatRequest
	ID          string       `json:"id"`
	Object      string       `json:"object"`
	Created     int64        `json:"created"`
	Model       string       `json:"model"`
	Fingerprint string       `json:"system_fingerprint"`
	Choices     []chatChoice `json:"choices"`
	Usage       *usage       `json:"usage"`
	Timings     *timings     `json:"timings,omitempty"`
	Prompt      []any        `json:"prompt_logprobs,omitempty"`
}

type chatChoice struct {
	Index    int           `json:"index"`
	Message  *chatMessage  `json:"message,omitempty"`
	Delta    *chatDelta    `json:"delta,omitempty"`
	Logprobs *chatLogprobs `json:"logprobs"`
	Finish   *llama.Finish `json:"finish_reason"`
}

type chatMessage struct {
	Role      llama.Role       `json:"role"`
	Content   *string          `json:"content"` // null beside calls
	Refusal   *string          `json:"refusal"`
	ToolCalls []llama.ToolCall `json:"tool_calls,omitempty"`
}

type chatDelta struct {
	Role      llama.Role  `json:"role,omitempty"`
	Content   *string     `json:"content,omitempty"`
	ToolCalls []callDelta `json:"tool_calls,omitempty"`
}

// callDelta is a piece of a call: its id and name come with the first, its arguments bit by bit.
type callDelta struct {
	Index    int           `json:"index"`
	ID       string        `json:"id,omitempty"`
	Type     string        `json:"type,omitempty"`
	Function functionDelta `json:"function"`
}

type functionDelta struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

func newCallDelta(p llama.ToolCallDelta) callDelta {
	d := callDelta{Index: p.Index, ID: p.ID, Function: functionDelta{Name: p.Name, Arguments: p.Arguments}}
	if p.Name != "" {
		d.Type = "function"
	}
	return d
}

// whole answers when all is there.
func (out *chatAnswer) whole(c *call) error {
	a := out.request
	out.Object = "chat.completion"
	logprobs := make([]*chatLogprobs, a.q.N)
	var each func(llama.Token) error
	if a.logprobs {
		each = func(t llama.Token) error {
			if t.ToolCall == nil {
				logprobs[t.Choice] = logprobs[t.Choice].add(a.m, t)
			}
			return nil
		}
	}
	if a.promptTop >= 0 {
		q := a.q
		q.TopLogprobs = a.promptTop
		tokens, err := c.scorePrompt(a.m, q)
		if err != nil {
			return err
		}
		out.Prompt = promptLogprobs(tokens)
	}
	r, err := c.generate(a.m, a.q, each)
	if err != nil {
		return err
	}
	for i, choice := range r.Choices {
		message := &chatMessage{Role: llama.RoleAssistant, ToolCalls: choice.Message.ToolCalls}
		if text := choice.Message.Content; text != "" || len(message.ToolCalls) == 0 {
			message.Content = &text
		}
		out.Choices = append(out.Choices, chatChoice{Index: i, Message: message, Logprobs: logprobs[i], Finish: &choice.Finish})
	}
	out.Usage, out.Timings = newUsage(r), newTimings(r)
	return c.reply(out)
}

// stream answers token by token.
func (out *chatAnswer) stream(c *call) error {
	a := out.request
	out.Object = "chat.completion.chunk"
	s := c.stream(": still at work\n\n")
	defer s.close()
	send := func(choices ...chatChoice) error {
		out.Choices = choices
		return s.send("", out.chunk())
	}
	begun, ended := make([]bool, a.q.N), make([]bool, a.q.N)
	calls := make([]int, a.q.N) // begun
	r, err := c.generate(a.m, a.q, func(t llama.Token) error {
		if !begun[t.Choice] {
			begun[t.Choice] = true
			if err := send(chatChoice{Index: t.Choice, Delta: &chatDelta{Role: llama.RoleAssistant, Content: new(string)}}); err != nil {
				return err
			}
		}
		piece := chatChoice{Index: t.Choice, Delta: &chatDelta{}}
		if t.Text != "" {
			piece.Delta.Content = &t.Text
		}
		if p := t.ToolCall; p != nil {
			calls[t.Choice] = max(calls[t.Choice], p.Index+1)
			piece.Delta.ToolCalls = []callDelta{newCallDelta(*p)}
		} else if a.logprobs {
			piece.Logprobs = (*chatLogprobs)(nil).add(a.m, t)
		}
		if piece.Delta.Content != nil || piece.Delta.ToolCalls != nil || piece.Logprobs != nil {
			if err := send(piece); err != nil {
				return err
			}
		}
		if t.Finish == "" || t.Response != nil {
			return nil
		}
		ended[t.Choice] = true
		return send(chatChoice{Index: t.Choice, Delta: &chatDelta{}, Finish: &t.Finish})
	})
	if err != nil {
		return c.failStream(s, err)
	}
	for i := range r.Choices {
		if ended[i] {
			continue
		}
		for _, p := range pieces(r.Choices[i].Message.ToolCalls, calls[i]) {
			if err := send(chatChoice{Index: i, Delta: &chatDelta{ToolCalls: []callDelta{newCallDelta(p)}}}); err != nil {
				return err
			}
		}
		if err := send(chatChoice{Index: i, Delta: &chatDelta{}, Finish: &r.Choices[i].Finish}); err != nil {
			return err
		}
	}
	if a.usage {
		out.Usage, out.Timings = newUsage(r), newTimings(r)
		if err := send(); err != nil {
			return err
		}
	}
	return s.done()
}

// chunk is the answer's next event: usage is null but in the last, and absent where nobody asked for it.
func (out *chatAnswer) chunk() any {
	if out.Choices == nil {
		out.Choices = []chatChoice{}
	}
	if out.request.usage {
		return out
	}
	return struct {
		*chatAnswer
		Usage *usage `json:"usage,omitempty"`
	}{chatAnswer: out}
}

// failStream tells of an error in a stream that has begun; else the caller does, by a status.
func (c *call) failStream(s *stream, err error) error {
	f := failureOf(err)
	if s.begun() && f.status != statusGone {
		s.send("", f.openai())
	}
	return err
}

type usage struct {
	Prompt            int               `json:"prompt_tokens"`
	Completion        int               `json:"completion_tokens"`
	Total             int               `json:"total_tokens"`
	PromptDetails     promptDetails     `json:"prompt_tokens_details"`
	CompletionDetails completionDetails `json:"completion_tokens_details"`
}

type promptDetails struct {
	Cached int `json:"cached_tokens"`
	Audio  int `json:"audio_tokens"`
}

type completionDetails struct {
	Reasoning int `json:"reasoning_tokens"`
	Audio     int `json:"audio_tokens"`
	Accepted  int `json:"accepted_prediction_tokens"`
	Rejected  int `json:"rejected_prediction_tokens"`
}

func newUsage(r *llama.Response) *usage {
	u := r.Usage
	return &usage{Prompt: u.Prompt, Completion: u.Generated, Total: u.Prompt + u.Generated, PromptDetails: promptDetails{Cached: u.Cached}}
}

// timings are llama.cpp's.
type timings struct {
	Cached       int     `json:"cache_n"`
	Prompt       int     `json:"prompt_n"`
	PromptMS     float64 `json:"prompt_ms"`
	PromptPerS   float64 `json:"prompt_per_second"`
	Generated    int     `json:"predicted_n"`
	GenerateMS   float64 `json:"predicted_ms"`
	GeneratePerS float64 `json:"predicted_per_second"`
	QueuedMS     float64 `json:"queued_ms"`
}

func newTimings(r *llama.Response) *timings {
	t := &timings{Cached: r.Usage.Cached, Prompt: r.Usage.Prompt - r.Usage.Cached, Generated: r.Usage.Generated,
		PromptMS: 1000 * r.Timings.Prompt.Seconds(), GenerateMS: 1000 * r.Timings.Generate.Seconds(), QueuedMS: 1000 * r.Timings.Queued.Seconds()}
	if t.PromptMS > 0 {
		t.PromptPerS = 1000 * float64(t.Prompt) / t.PromptMS
	}
	if t.GenerateMS > 0 { // the first token is the prompt's
		t.GeneratePerS = 1000 * float64(t.Generated-len(r.Choices)) / t.GenerateMS
	}
	return t
}
