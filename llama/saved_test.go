package llama

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/llama31/llama31/kernels"
)

// talk has a conversation of some turns and gives it, saved.
func talk(t *testing.T, m *Model, turns int) (c *Chat, messages, kv []byte) {
	t.Helper()
	c = m.NewChat(Request{MaxTokens: 40, Messages: []Message{System("be brief")}, Sampling: &Sampling{Temperature: new(float64), IgnoreEOS: true}})
	for i := range turns {
		if _, err := c.Send(t.Context(), fmt.Sprintf("question %d, and some more words", i)); err != nil {
			t.Fatal(err)
		}
	}
	var text, pages bytes.Buffer
	if err := c.Save(&text); err != nil {
		t.Fatal(err)
	}
	n, err := c.SaveKV(t.Context(), &pages)
	if err != nil || n < 64 || n%pageSize != 0 {
		t.Fatalf("%d tokens saved, %v", n, err)
	}
	return c, text.Bytes(), pages.Bytes()
}

// TestSaved restores a conversation into another model and goes on there: the same bits, and no token computed that would not have
// been computed before.
func TestSaved(t *testing.T) {
	for name, o := range map[string]Options{"f16": {}, "q8": {KV: Q8}, "exact": {Exact: true}} {
		m := openTiny(t, &o)
		c, messages, kv := talk(t, m, 3)
		other := openTiny(t, &o)
		ran := other.Stats().PromptTokens
		n, err := other.RestoreKV(t.Context(), bytes.NewReader(kv))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if other.Stats().PromptTokens != ran {
			t.Error("restoring ran the model")
		}
		d := other.NewChat(c.r)
		d.r.Messages = nil
		if err := d.Restore(bytes.NewReader(messages)); err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(c.History(), d.History(), func(a, b Message) bool { return a.Role == b.Role && a.Content == b.Content }) {
			t.Fatalf("%s: history %v, expected %v", name, d.History(), c.History())
		}
		for turn := range 2 {
			want, err := c.Send(t.Context(), "and then?")
			if err != nil {
				t.Fatal(err)
			}
			got, err := d.Send(t.Context(), "and then?")
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.Choices[0].Tokens, want.Choices[0].Tokens) {
				t.Errorf("%s, turn %d: %v, expected %v", name, turn, got.Choices[0].Tokens, want.Choices[0].Tokens)
			}
			if got.Usage != want.Usage || turn == 0 && got.Usage.Cached != n {
				t.Errorf("%s, turn %d: %+v, expected %+v with %d tokens restored", name, turn, got.Usage, want.Usage, n)
			}
		}
		// The bits themselves: log-probabilities on top of restored pages.
		ids, err := m.Prompt(Request{Messages: c.History()})
		if err != nil {
			t.Fatal(err)
		}
		last := func(m *Model) (row []float32) {
			s := &scan{ids: ids[:n+5], from: n + 4, want: func(_ int, o *kernels.Out) { o.Logits = make([]float32, m.config.vocab) },
				got: func(_ int, o *kernels.Out) { row = o.Logits }}
			if err := m.scan(t.Context(), "", s); err != nil {
				t.Fatal(err)
			}
			return row
		}
		fresh := openTiny(t, &o)
		if !slices.Equal(last(fresh), last(other)) {
			t.Errorf("%s: logits over restored pages differ from computed ones", name)
		}
	}
}

func TestSavedMismatch(t *testing.T) {
	m := openTiny(t, nil)
	_, _, kv := talk(t, m, 1)
	for name, c := range map[string]struct {
		what string
		m    *Model
	}{
		"cache":  {"page", openTiny(t, &Options{KV: Q8})},
		"exact":  {"page", openTiny(t, &Options{Exact: true})},
		"device": {"device", openTiny(t, &Options{InstructionSet: "generic"})},
		"model":  {"model file", openBytes(t, tinyFile(t, 1000), nil)},
		"small":  {"", openTiny(t, &Options{Context: 32, KVBytes: 1, MaxRunning: 1})},
	} {
		n, err := c.m.RestoreKV(t.Context(), bytes.NewReader(kv))
		var mismatch *MismatchError
		if n != 0 || !errors.Is(err, ErrMismatch) || c.what != "" && (!errors.As(err, &mismatch) || mismatch.What != c.what) {
			t.Errorf("%s: %d tokens, %v", name, n, err)
		}
	}
}

// TestSavedDamage changes, shortens and fills up what was saved. Each is a typed error, reads no further than the file says, and leaves
// the model as right as before.
func TestSavedDamage(t *testing.T) {
	m := openTiny(t, nil)
	c, _, kv := talk(t, m, 2)
	_, r := c.turn("go on")
	want, err := m.Generate(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	var files [][]byte
	for range 60 {
		b := slices.Clone(kv)
		b[random.IntN(len(b))] ^= 1 << random.IntN(8)
		files = append(files, b, kv[:random.IntN(len(kv))])
	}
	for i := range 200 { // the header
		b := slices.Clone(kv)
		b[i] ^= 1 << random.IntN(8)
		files = append(files, b)
	}
	files = append(files, nil, []byte("LLAMA31KV\n\xff\xff\xff\xff"), bytes.Repeat([]byte{0xff}, 1000))
	for i, b := range files {
		other := openTiny(t, nil)
		n, err := other.RestoreKV(t.Context(), bytes.NewReader(b))
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrMismatch) {
			t.Fatalf("file %d: %v", i, err)
		}
		if i%10 > 0 {
			other.Close()
			continue
		}
		got, err := other.Generate(t.Context(), r)
		if err != nil || !slices.Equal(got.Choices[0].Tokens, want.Choices[0].Tokens) || got.Usage.Cached != n {
			t.Errorf("file %d, %d tokens restored: %+v, %v", i, n, got, err)
		}
		other.Close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.RestoreKV(ctx, bytes.NewReader(kv)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := c.SaveKV(t.Context(), failing{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a writer that fails: %v", err)
	}
	m.Close()
	if _, err := m.RestoreKV(t.Context(), bytes.NewReader(kv)); err == nil {
		t.Error("a closed model: no error")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestChatRestore(t *testing.T) {
	m := openTiny(t, nil)
	c := m.NewChat(Request{Messages: []Message{System("s"), User("<q> & \u2028"), Assistant("a")}})
	for _, text := range []string{"", "[]", "{}", `{"messages": null}`, `{"messages": [{"role": "robot", "content": "x"}]}`, `{"messages": [], "dropped": 1}`,
		`{"messages": [], "dropped": -1}`, `{"messages": [{"role": 5}]}`, strings.Repeat("[", 1<<20)} {
		if err := c.Restore(strings.NewReader(text)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%.40q: %v, expected %v", text, err, ErrDamaged)
		}
		if len(c.History()) != 3 {
			t.Fatalf("%.40q changed the history", text)
		}
	}
	if err := c.Restore(endless{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("endless: %v", err)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}
