package serve

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/llama31/llama31/llama"
)

// chatLogprobs are those of chat completions.
type chatLogprobs struct {
	Content []tokenLogprob `json:"content"`
	Refusal *struct{}      `json:"refusal"`
}

type tokenLogprob struct {
	alternative
	Top []alternative `json:"top_logprobs"`
}

type alternative struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Bytes   []int   `json:"bytes"`
}

// add adds a token to l, which may be nil. Stop tokens and the text that comes last are none.
func (l *chatLogprobs) add(m *model, t llama.Token) *chatLogprobs {
	if t.ID < 0 || m.stops(t.ID) {
		return l
	}
	if l == nil {
		l = &chatLogprobs{}
	}
	one := tokenLogprob{alternative: newAlternative(t.Bytes, t.Logprob), Top: []alternative{}}
	for _, a := range t.Top {
		one.Top = append(one.Top, newAlternative(a.Bytes, a.Logprob))
	}
	l.Content = append(l.Content, one)
	return l
}

func newAlternative(b []byte, logprob float64) alternative {
	a := alternative{Token: tokenText(b), Logprob: finite(logprob), Bytes: make([]int, len(b))}
	for i := range b {
		a.Bytes[i] = int(b[i])
	}
	return a
}

// finite is a log-probability as JSON has it: OpenAI's for what cannot be is −9999.
func finite(x float64) float64 {
	if math.IsNaN(x) {
		return -9999
	}
	return max(-9999, x)
}

// tokenText shows a token's bytes, of which some are no text by themselves.
func tokenText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var s strings.Builder
	s.WriteString("bytes:")
	for _, x := range b {
		fmt.Fprintf(&s, `\x%02x`, x)
	}
	return s.String()
}

// stops reports whether a token ends answers.
func (m *model) stops(id int32) bool {
	return m.local != nil && slices.Contains(m.local.Tokenizer().Stops(), id)
}

// scorePrompt asks the model for a prompt's log-probabilities.
func (c *call) scorePrompt(m *model, q llama.Request) ([]llama.Token, error) {
	if m.local == nil {
		return nil, unsupported("prompt_logprobs", "model %q is not run here; that it serves answers only", m.name)
	}
	return m.local.ScorePrompt(c.r.Context(), q)
}

// promptLogprobs are vLLM's: for each token after the first the alternatives by id, its own among them.
func promptLogprobs(tokens []llama.Token) []any {
	type entry struct {
		Logprob float64 `json:"logprob"`
		Rank    int     `json:"rank,omitempty"`
		Text    string  `json:"decoded_token"`
	}
	all := make([]any, len(tokens)) // the first is null
	for i, t := range tokens[1:] {
		byID := map[string]entry{itoa(int(t.ID)): {Logprob: finite(t.Logprob), Text: tokenText(t.Bytes)}}
		for rank, a := range t.Top {
			byID[itoa(int(a.ID))] = entry{Logprob: finite(a.Logprob), Rank: rank + 1, Text: tokenText(a.Bytes)}
		}
		all[i+1] = byID
	}
	return all
}

func itoa(n int) string { return strconv.Itoa(n) }

// textLogprobs are those of completions.
type textLogprobs struct {
	Tokens   []string             `json:"tokens"`
	Logprobs []*float64           `json:"token_logprobs"`
	Top      []map[string]float64 `json:"top_logprobs"`
	Offsets  []int                `json:"text_offset"` // in characters
	at       int
}

// add adds a token, the first of a prompt without a log-probability.
func (l *textLogprobs) add(t llama.Token, first bool) {
	name := tokenText(t.Bytes)
	l.Tokens = append(l.Tokens, name)
	l.Offsets = append(l.Offsets, l.at)
	l.at += utf8.RuneCountInString(t.Text)
	if first {
		l.Logprobs, l.Top = append(l.Logprobs, nil), append(l.Top, nil)
		return
	}
	p := finite(t.Logprob)
	top := map[string]float64{}
	for _, a := range t.Top {
		if _, ok := top[tokenText(a.Bytes)]; !ok { // the most probable of those that look alike
			top[tokenText(a.Bytes)] = finite(a.Logprob)
		}
	}
	top[name] = p
	l.Logprobs, l.Top = append(l.Logprobs, &p), append(l.Top, top)
}
