package llama

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestShift grows a conversation past its context.
func TestShift(t *testing.T) {
	m := openTiny(t, &Options{Context: 512})
	r := Request{MaxTokens: 20, Shift: true, Sampling: &Sampling{Temperature: new(float64)}}
	r.Messages = []Message{System("be brief")}
	plain := 0
	for turn := range 30 {
		r.Messages = append(r.Messages, User(fmt.Sprintf("question %d", turn)))
		without := r
		without.Shift = false
		_, err := m.Prompt(without)
		if err != nil && !errors.Is(err, ErrContextLength) {
			t.Fatal(err)
		}
		response, errShift := m.Generate(t.Context(), r)
		if errShift != nil {
			t.Fatalf("turn %d: %v", turn, errShift)
		}
		if err == nil && response.Dropped == 0 {
			plain++
		}
		if err != nil && (response.Dropped == 0 || response.Dropped%2 != 0 || response.Dropped >= len(r.Messages)-1) {
			t.Errorf("turn %d: %d of %d messages were dropped", turn, response.Dropped, len(r.Messages))
		}
		ids, err := m.Prompt(r)
		if err != nil {
			t.Fatal(err)
		}
		text := m.tokenizer.Decode(ids)
		if response.Dropped > 0 && len(ids)+512/4 > 512 {
			t.Errorf("turn %d: %d tokens are left of 512, expected a quarter to be free", turn, len(ids))
		}
		if !strings.Contains(text, "be brief") || !strings.Contains(text, fmt.Sprintf("question %d", turn)) {
			t.Errorf("turn %d: the system message or the last are gone: %q", turn, text)
		}
		if first := fmt.Sprintf("question %d", response.Dropped/2); !strings.Contains(text, first) || response.Dropped > 0 && strings.Contains(text, "question 0") {
			t.Errorf("turn %d: %d messages dropped of %q", turn, response.Dropped, text)
		}
		r.Messages = append(r.Messages, Assistant("some answer"))
	}
	if plain == 0 || plain == 30 {
		t.Errorf("%d turns of 30 fitted", plain)
	}
	r.Messages = []Message{System("be brief"), User(strings.Repeat("long ", 200))}
	if _, err := m.Generate(t.Context(), r); !errors.Is(err, ErrContextLength) {
		t.Errorf("one turn that is too long: %v", err)
	}
}

// TestChatShift has a chat that forgets for good what it once left out, so that its prompts keep their beginnings.
func TestChatShift(t *testing.T) {
	m := openTiny(t, &Options{Context: 512})
	c := m.NewChat(Request{MaxTokens: 8, Shift: true, Messages: []Message{System("be brief")}, Sampling: &Sampling{Temperature: new(float64)}})
	var dropped []int
	cached := 0
	for turn := range 40 {
		response, err := c.Send(t.Context(), fmt.Sprintf("question %d", turn))
		if err != nil {
			t.Fatalf("turn %d: %v", turn, err)
		}
		dropped = append(dropped, response.Dropped)
		if response.Usage.Cached*2 > response.Usage.Prompt {
			cached++
		}
		if len(c.History()) != 2*turn+3 {
			t.Errorf("turn %d: %d messages in the history", turn, len(c.History()))
		}
	}
	if !slices.IsSorted(dropped) || dropped[39] == 0 || len(slices.Compact(slices.Clone(dropped))) > 16 {
		t.Errorf("dropped: %v, expected steps", dropped)
	}
	if cached < 25 {
		t.Errorf("%d turns of 40 found most of their prompt in the cache", cached)
	}
}
