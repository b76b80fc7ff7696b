package serve

import (
	"context"
	"sync"

	"github.com/llama31/llama31/llama"
)

// completionRequest is what /v1/completions is asked: several prompts, each a request of its own.
type completionRequest struct {
	m             *model
	prompts       []llama.Request
	texts         []string // of the prompts, for echo
	stream, usage bool
	echo          bool
	logprobs      bool
	nothing       bool // max_tokens is 0
	promptTop     int
}

func (c *call) readCompletion() (*completionRequest, error) {
	o, d, err := c.read()
	if err != nil {
		return nil, err
	}
	m, err := c.s.models.find(o.get("model").string())
	if err != nil {
		return nil, err
	}
	a := &completionRequest{m: m}
	q := llama.Request{Sampling: m.readSampling(o), Stop: readStop(o.get("stop")), Format: readFormat(o)}
	q.MaxTokens = readMaxTokens(o, 0, 16, "max_tokens")
	a.nothing = q.MaxTokens == 0
	q.N = readInt(o.get("n"), 1, maxChoices, 1)
	q.Key = c.fair(o.get("user").string())
	q.Priority = readInt(o.get("priority"), -1<<31, 1<<31-1, 0)
	if n := o.get("best_of").integer(1, maxChoices); n != nil && int(*n) != q.N {
		o.get("best_of").fail("unsupported_parameter", "best_of is %d and n is %d, expected them to be the same", *n, q.N)
	}
	if s := o.get("suffix"); s.ok() && s.string() != "" {
		s.fail("unsupported_parameter", "suffix is not served here: Llama 3.1 was not trained to fill in the middle")
	}
	a.echo = o.get("echo").bool()
	a.stream, a.usage = readStream(o)
	if v := o.get("logprobs"); v.ok() {
		a.logprobs, q.TopLogprobs = true, readInt(v, 0, maxTop, 0)
	}
	a.promptTop = readInt(o.get("prompt_logprobs"), -1, maxTop, -1)
	if a.promptTop >= 0 && a.stream {
		o.get("prompt_logprobs").fail("unsupported_parameter", "prompt_logprobs is not for streams")
	}
	a.readPrompts(o.get("prompt").need(), q)
	return a, d.err()
}

// readPrompts reads a prompt or several, as texts or as ids.
func (a *completionRequest) readPrompts(v value, q llama.Request) {
	add := func(text string, ids []int32) {
		q.Prompt, q.Tokens = text, ids
		a.prompts, a.texts = append(a.prompts, q), append(a.texts, text)
		if ids != nil && a.m.local != nil {
			a.texts[len(a.texts)-1] = a.m.local.Tokenizer().Decode(ids)
		}
	}
	texts, ids := readInputs(v)
	for _, t := range texts {
		add(t, nil)
	}
	for _, i := range ids {
		add("", i)
	}
}

// readInputs reads a text, ids, or several of one of them.
func readInputs(v value) (texts []string, ids [][]int32) {
	const expected = "a string, an array of strings, an array of tokens or an array of such arrays"
	if !v.ok() {
		return nil, nil
	}
	switch v.kind() {
	case "a string":
		return []string{v.string()}, nil
	case "an array":
	default:
		v.wrongType(expected)
		return nil, nil
	}
	list := v.list()
	if len(list) == 0 {
		v.fail("empty_array", "%s is empty", v.path)
		return nil, nil
	}
	switch list[0].kind() {
	case "a string":
		texts = v.strings()
	case "a number":
		ids = [][]int32{readIDs(v)}
	case "an array":
		for _, e := range list {
			ids = append(ids, readIDs(e))
		}
	default:
		list[0].wrongType(expected)
	}
	if n := len(texts) + len(ids); n > maxPrompts {
		v.fail("array_above_max_length", "%s has %d elements, expected %d at most", v.path, n, maxPrompts)
	}
	return texts, ids
}

func readIDs(v value) []int32 {
	ids := []int32{}
	list := v.list()
	if len(list) == 0 {
		v.fail("empty_array", "%s is empty, expected an array of tokens", v.path)
	}
	for _, e := range list {
		if !e.ok() {
			e.wrongType("a token")
		}
		ids = append(ids, int32(readInt(e, 0, 1<<31-1, 0)))
	}
	return ids
}

// completion is OpenAI's text_completion.
type completion struct {
	ID          string             `json:"id"`
	Object      string             `json:"object"`
	Created     int64              `json:"created"`
	Model       string             `json:"model"`
	Fingerprint string             `json:"system_fingerprint"`
	Choices     []completionChoice `json:"choices"`
	Usage       *usage             `json:"usage,omitempty"`
	Timings     *timings           `json:"timings,omitempty"`
}

type completionChoice struct {
	Index    int           `json:"index"`
	Text     string        `json:"text"`
	Logprobs *textLogprobs `json:"logprobs"`
	Finish   *llama.Finish `json:"finish_reason"`
	Prompt   []any         `json:"prompt_logprobs,omitempty"`
}

func (c *call) completions() error {
	a, err := c.readCompletion()
	if err != nil {
		return err
	}
	out := completion{ID: newID("cmpl-"), Object: "text_completion", Created: c.start.Unix(), Model: a.m.name, Fingerprint: a.m.fingerprint}
	if !a.stream {
		return a.whole(c, out)
	}
	return a.streamed(c, out)
}

// each runs f for every prompt, at once. The first error ends the others.
func (a *completionRequest) each(c *call, f func(i int, c *call) error) error {
	ctx, cancel := context.WithCancelCause(c.r.Context())
	defer cancel(nil)
	c.r = c.r.WithContext(ctx)
	var all sync.WaitGroup
	for i := range a.prompts {
		all.Go(func() {
			if err := f(i, c); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// begin gives what the choices of a prompt begin with: with echo the prompt, and its log-probabilities where they are wanted.
func (a *completionRequest) begin(c *call, i int) (completionChoice, error) {
	choice := completionChoice{}
	q := a.prompts[i]
	if a.logprobs {
		choice.Logprobs = &textLogprobs{}
	}
	if a.echo {
		choice.Text = a.texts[i]
	}
	if a.promptTop >= 0 || a.echo && a.logprobs {
		q.TopLogprobs = max(q.TopLogprobs, a.promptTop)
		tokens, err := c.scorePrompt(a.m, q)
		if err != nil {
			return choice, err
		}
		if a.promptTop >= 0 {
			choice.Prompt = promptLogprobs(firstOf(tokens, a.promptTop))
		}
		if a.echo && a.logprobs {
			for k, t := range firstOf(tokens, a.prompts[i].TopLogprobs) {
				choice.Logprobs.add(t, k == 0)
			}
		}
	}
	return choice, nil
}

// firstOf cuts the tokens' alternatives to n.
func firstOf(tokens []llama.Token, n int) []llama.Token {
	cut := make([]llama.Token, len(tokens))
	for i, t := range tokens {
		t.Top = t.Top[:min(n, len(t.Top))]
		cut[i] = t
	}
	return cut
}

// nothingMore is the answer to max_tokens 0.
func (a *completionRequest) nothingMore(c *call, i int) (*llama.Response, error) {
	r := &llama.Response{}
	for range a.prompts[i].N {
		r.Choices = append(r.Choices, llama.Choice{Finish: llama.FinishLength})
	}
	if a.m.local == nil {
		return r, nil
	}
	ids, err := a.m.local.Prompt(a.prompts[i])
	r.Usage.Prompt = len(ids)
	c.spent(a.m, len(ids))
	return r, err
}

// run answers a prompt.
func (a *completionRequest) run(c *call, i int, each func(llama.Token) error) (*llama.Response, error) {
	if a.nothing {
		return a.nothingMore(c, i)
	}
	return c.generate(a.m, a.prompts[i], each)
}

func (a *completionRequest) whole(c *call, out completion) error {
	n := a.prompts[0].N
	out.Choices = make([]completionChoice, n*len(a.prompts))
	var mu sync.Mutex
	var sum llama.Response
	err := a.each(c, func(i int, c *call) error {
		first, err := a.begin(c, i)
		if err != nil {
			return err
		}
		choices := out.Choices[i*n : (i+1)*n]
		for k := range choices {
			choices[k] = first
			choices[k].Index = i*n + k
			choices[k].Logprobs = first.Logprobs.clone()
		}
		var each func(llama.Token) error
		if a.logprobs {
			each = func(t llama.Token) error {
				if t.ID >= 0 && !a.m.stops(t.ID) {
					choices[t.Choice].Logprobs.add(t, false)
				}
				return nil
			}
		}
		r, err := a.run(c, i, each)
		if err != nil {
			return err
		}
		for k := range choices {
			choices[k].Text += r.Choices[k].Message.Content
			choices[k].Finish = &r.Choices[k].Finish
		}
		mu.Lock()
		defer mu.Unlock()
		add(&sum, r)
		return nil
	})
	if err != nil {
		return err
	}
	out.Usage = newUsage(&sum)
	if len(a.prompts) == 1 && !a.nothing {
		out.Timings = newTimings(&sum)
	}
	return c.reply(out)
}

// add sums up what several prompts took.
func add(sum, r *llama.Response) {
	sum.Choices = append(sum.Choices, r.Choices...)
	sum.Usage.Prompt += r.Usage.Prompt
	sum.Usage.Cached += r.Usage.Cached
	sum.Usage.Generated += r.Usage.Generated
	sum.Timings = r.Timings
}

func (l *textLogprobs) clone() *textLogprobs {
	if l == nil {
		return nil
	}
	return &textLogprobs{Tokens: append([]string{}, l.Tokens...), Logprobs: append([]*float64{}, l.Logprobs...),
		Top: append([]map[string]float64{}, l.Top...), Offsets: append([]int{}, l.Offsets...), at: l.at}
}

func (a *completionRequest) streamed(c *call, out completion) error {
	n := a.prompts[0].N
	s := c.stream(": still at work\n\n")
	defer s.close()
	send := func(choices ...completionChoice) error {
		out := out
		out.Choices = choices
		return s.send("", out)
	}
	var mu sync.Mutex
	var sum llama.Response
	err := a.each(c, func(i int, c *call) error {
		first, err := a.begin(c, i)
		if err != nil {
			return err
		}
		at, ended := make([]int, n), make([]bool, n)
		if a.echo {
			for k := range n {
				first.Index = i*n + k
				if err := send(first); err != nil {
					return err
				}
				if first.Logprobs != nil {
					at[k] = first.Logprobs.at
				}
			}
		}
		r, err := a.run(c, i, func(t llama.Token) error {
			piece := completionChoice{Index: i*n + t.Choice, Text: t.Text}
			if t.Finish != "" && t.Response == nil {
				ended[t.Choice], piece.Finish = true, &t.Finish
			} else if t.Text == "" && (t.ID < 0 || a.m.stops(t.ID)) {
				return nil
			}
			if a.logprobs && t.ID >= 0 {
				piece.Logprobs = &textLogprobs{at: at[t.Choice]}
				piece.Logprobs.add(t, false)
				at[t.Choice] = piece.Logprobs.at
			}
			return send(piece)
		})
		if err != nil {
			return err
		}
		for k := range r.Choices {
			if ended[k] {
				continue
			}
			if err := send(completionChoice{Index: i*n + k, Finish: &r.Choices[k].Finish}); err != nil {
				return err
			}
		}
		mu.Lock()
		defer mu.Unlock()
		add(&sum, r)
		return nil
	})
	if err != nil {
		return c.failStream(s, err)
	}
	if a.usage {
		out.Choices, out.Usage = []completionChoice{}, newUsage(&sum)
		if err := s.send("", out); err != nil {
			return err
		}
	}
	return s.done()
}
