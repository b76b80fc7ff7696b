package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/llama31/llama31/llama"
)

// ModelTarget is a model in this process.
type ModelTarget struct {
	Model llama.Generator
	Key   string // of the requests: who they are for
}

// Ask answers greedily.
func (t ModelTarget) Ask(ctx context.Context, prompt string, n int, token func()) error {
	greedy := 0.
	q := llama.Request{Prompt: prompt, MaxTokens: n, Key: t.Key, Sampling: &llama.Sampling{Temperature: &greedy, IgnoreEOS: true}}
	for t, err := range t.Model.Stream(ctx, q) {
		if err != nil {
			return err
		}
		if t.ID >= 0 {
			token()
		}
	}
	return nil
}

// URLTarget is a server with OpenAI's API, at an address such as http://127.0.0.1:8080. It is asked for completions, as a stream, with
// llama.cpp's ignore_eos; a server that does not know that may give fewer tokens.
type URLTarget struct {
	URL   string
	Model string // name of the model, for servers that have several
}

// Ask answers greedily. A chunk of the stream counts as a token.
func (t URLTarget) Ask(ctx context.Context, prompt string, n int, token func()) error {
	body, err := json.Marshal(map[string]any{"model": t.Model, "prompt": prompt, "max_tokens": n, "temperature": 0, "stream": true, "ignore_eos": true})
	if err != nil {
		return err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(t.URL, "/")+"/v1/completions", bytes.NewReader(body))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Idempotency-Key", rand.Text()) // asked again where the server closed a kept connection meanwhile (net/http.Transport), as llama-server does
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(r.Body, 300))
		if r.StatusCode == http.StatusTooManyRequests {
			return fmt.Errorf("%w: %s: %s", llama.ErrBusy, r.Status, bytes.TrimSpace(why))
		}
		return fmt.Errorf("%s: %s", r.Status, bytes.TrimSpace(why))
	}
	lines := bufio.NewScanner(r.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if data == "[DONE]" {
			return nil
		}
		var event struct {
			Choices []struct {
				Finish *string `json:"finish_reason"`
			} `json:"choices"`
			Error json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal([]byte(data), &event); err != nil {
			return fmt.Errorf("an event of the stream: %w", err)
		}
		if event.Error != nil {
			return fmt.Errorf("the server says %s", event.Error)
		}
		if len(event.Choices) > 0 && event.Choices[0].Finish == nil {
			token()
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}
