package llama

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"github.com/llama31/llama31/internal/testenv"
	"github.com/llama31/llama31/kernels"
)

func pointer[T any](x T) *T { return &x }

// randomRequest is a request of the kinds that users mix: prompts that start alike or repeat themselves, greedy and drawn answers,
// several choices, stop texts, penalties, keys and priorities.
func randomRequest(r *rand.Rand) Request {
	text := func(n int) string {
		const words = "the cat sat on a mat and the dog sat on the log while it rained in the town of the cat "
		at := r.IntN(len(words) / 2)
		return strings.Repeat(words[at:at+1+r.IntN(len(words)/2)], 1+n)
	}
	q := Request{
		Prompt:    strings.Repeat("shared beginning of many prompts; ", r.IntN(6)) + text(r.IntN(6)),
		MaxTokens: 1 + r.IntN(60),
		N:         1 + r.IntN(3)/2,
		Key:       []string{"", "a", "b"}[r.IntN(3)],
		Priority:  r.IntN(3),
		Sampling:  &Sampling{Temperature: pointer([]float64{0, 0, 0.3, 1}[r.IntN(4)]), Seed: pointer(r.Uint64N(4)), IgnoreEOS: r.IntN(2) == 0},
	}
	switch r.IntN(6) {
	case 0:
		q.Sampling.Repeat = 1.3
	case 1:
		q.Stop = []string{text(0)[:1]}
	case 2:
		q.TopLogprobs = 2
	case 3:
		q.Sampling.TopP, q.Sampling.TopK = 0.9, 40
	case 4:
		q.Format = []Format{AnyJSON(), Regexp(`[a-d]{5,40}(the|dog)+`), Grammar(`root ::= "the " (" cat" | [^a]{2,30}) root | "."`)}[r.IntN(3)]
	case 5:
		q.Tools, q.ToolChoice = weatherTools, ToolChoice{Mode: []ToolMode{ToolAuto, ToolRequired}[r.IntN(2)]}
	}
	return q
}

// same compares answers, log-probabilities included.
func same(t *testing.T, what string, got, want *Response) {
	t.Helper()
	for i := range want.Choices {
		g, w := got.Choices[i], want.Choices[i]
		if g.Message.Content != w.Message.Content || g.Finish != w.Finish || !slices.Equal(g.Tokens, w.Tokens) {
			t.Fatalf("%s: choice %d is %q (%s, %d tokens), alone it was %q (%s, %d tokens)", what, i, g.Message.Content, g.Finish, len(g.Tokens), w.Message.Content, w.Finish, len(w.Tokens))
		}
	}
}

// TestMixes runs random mixes of requests, some of which are cancelled, on a model with so little memory that they preempt each other;
// each text is that of the request alone, without speculation.
func TestMixes(t *testing.T) {
	file := tinyFile(t, 512)
	alone := openBytes(t, file, &Options{NoSpeculation: true, MaxRunning: 1})
	rounds := 100
	switch {
	case testenv.Long():
		rounds = 1000
	case testing.Short():
		rounds = 20
	}
	draft := draftFile(t, file)
	stats := Stats{}
	for round := 0; round < rounds; {
		r := rand.New(rand.NewPCG(uint64(round), 1))
		o := &Options{MaxRunning: 1 + r.IntN(8), KVBytes: 1} // one context's pages
		if round%20 == 10 {
			o.Draft = draft
		}
		m := openBytes(t, file, o)
		if o.Draft != "" {
			m.engine.drafter.fixed = 1 + r.IntN(5)
		}
		for range 10 { // mixes to a model: what one leaves in the cache, the next finds
			mix(t, r, m, alone, round)
			round++
		}
		s := m.Stats()
		if s.Running+s.Waiting != 0 || s.PagesAvailable != s.Pages {
			t.Fatalf("round %d: afterwards %+v", round, s)
		}
		stats.Preempted += s.Preempted
		stats.CachedTokens += s.CachedTokens
		stats.AcceptedTokens += s.AcceptedTokens
		m.Close()
	}
	t.Logf("%+v", stats)
	if testing.Short() {
		return // so few mixes need not have some of each
	}
	if stats.Preempted == 0 || stats.CachedTokens == 0 || stats.AcceptedTokens == 0 {
		t.Errorf("%d preemptions, %d cached and %d guessed tokens, expected some of each", stats.Preempted, stats.CachedTokens, stats.AcceptedTokens)
	}
}

func mix(t *testing.T, r *rand.Rand, m, alone *Model, round int) {
	var all sync.WaitGroup
	for i := range 2 + r.IntN(12) {
		q := randomRequest(r)
		want, err := alone.Generate(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		what := fmt.Sprintf("mix %d, request %d (%+v)", round, i, *q.Sampling)
		kind, wait := r.IntN(4), time.Duration(r.IntN(3000))*time.Microsecond
		all.Go(func() {
			switch kind {
			case 0: // cancelled: what is there is a beginning
				ctx, cancel := context.WithTimeout(t.Context(), wait)
				defer cancel()
				got, err := m.Generate(ctx, q)
				if err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: %v", what, err)
				}
				for c := range min(1, len(want.Choices)) {
					if got == nil {
						continue
					}
					text := strings.TrimSuffix(got.Choices[c].Message.Content, "\ufffd") // what is there of a character that another token would have ended
					if !strings.HasPrefix(want.Choices[c].Message.Content, text) {
						t.Errorf("%s: cancelled, %q is not the beginning of %q", what, text, want.Choices[c].Message.Content)
					}
				}
			case 1: // a stream that is left
				text, n := "", 0
				for tok, err := range m.Stream(t.Context(), q) {
					if err != nil {
						t.Errorf("%s: %v", what, err)
						return
					}
					if tok.Choice == 0 {
						text += tok.Text
					}
					if n++; n > 10 {
						break
					}
				}
				if !strings.HasPrefix(want.Choices[0].Message.Content, text) {
					t.Errorf("%s: left, %q is not the beginning of %q", what, text, want.Choices[0].Message.Content)
				}
			default:
				got, err := m.Generate(t.Context(), q)
				if err != nil {
					t.Errorf("%s: %v", what, err)
					return
				}
				same(t, what, got, want)
			}
		})
	}
	all.Wait()
	// Cancelled ones leave within a step.
	for end := time.Now().Add(5 * time.Second); m.Stats().Running+m.Stats().Waiting > 0 && time.Now().Before(end); {
		time.Sleep(100 * time.Microsecond)
	}
}

// TestTenThousand has ten thousand goroutines ask at once.
func TestTenThousand(t *testing.T) {
	m := openTiny(t, nil)
	n := 10_000
	if testing.Short() {
		n = 1000
	}
	var answered atomic.Int64
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			r, err := m.Generate(t.Context(), Request{Prompt: fmt.Sprint(i % 100), MaxTokens: 2, Sampling: &Sampling{Seed: pointer(uint64(i)), IgnoreEOS: true}})
			if err == nil && r.Usage.Generated == 2 {
				answered.Add(1)
			}
		})
	}
	all.Wait()
	if answered.Load() != int64(n) {
		t.Errorf("%d of %d were answered", answered.Load(), n)
	}
}

// TestSoak runs and cancels requests for a while, and finds goroutines, pages and memory as they were. LLAMA31_SOAK=30m says how long.
func TestSoak(t *testing.T) {
	lasts := 2 * time.Second
	if s := os.Getenv("LLAMA31_SOAK"); s != "" {
		var err error
		if lasts, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	m := openTiny(t, &Options{MaxRunning: 8, KVBytes: 1})
	round := func(seed uint64) {
		r := rand.New(rand.NewPCG(seed, 2))
		var all sync.WaitGroup
		for range 20 {
			q, kind, cancelled, wait := randomRequest(r), r.IntN(10), r.IntN(2) == 0, time.Duration(r.IntN(2000))*time.Microsecond
			all.Go(func() {
				ctx := t.Context()
				if cancelled {
					var cancel func()
					ctx, cancel = context.WithTimeout(ctx, wait)
					defer cancel()
				}
				var err error
				switch kind {
				case 0:
					_, err = m.Score(ctx, q.Prompt, "one", "another")
				case 1:
					_, err = m.Embed(ctx, []string{q.Prompt, "text"}, nil)
				case 2:
					_, err = m.Generate(ctx, q)
				default:
					for _, err = range m.Stream(ctx, q) {
					}
				}
				if err != nil && !isContext(err) {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	settle := func() (goroutines int, heap uint64) {
		for end := time.Now().Add(5 * time.Second); m.Stats().Running+m.Stats().Waiting > 0 && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		dropFormats(m) // what grammars remember is bounded, but not by half an hour
		var s runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&s)
		return runtime.NumGoroutine(), s.HeapAlloc
	}
	for i := range uint64(20) {
		round(i)
	}
	goroutines, heap := settle()
	rounds := 0
	for end := time.Now().Add(lasts); time.Now().Before(end); rounds++ {
		round(uint64(rounds))
	}
	g, h := settle()
	s := m.Stats()
	t.Logf("%d rounds: %d goroutines, %d before; heap %d KiB, %d before; %+v", rounds, g, goroutines, h>>10, heap>>10, s)
	if g > goroutines || s.PagesAvailable != s.Pages || s.Running+s.Waiting != 0 || h > heap+heap/10+256<<10 {
		t.Error("more is left than before")
	}
}

func dropFormats(m *Model) {
	m.formats.mu.Lock()
	defer m.formats.mu.Unlock()
	m.formats.latest = nil
}

// TestForget: an idle engine holds nothing of the requests it has answered.
func TestForget(t *testing.T) {
	m := openTiny(t, &Options{MaxRunning: 4, KVBytes: 1})
	format := AnyJSON()
	if _, err := m.Generate(t.Context(), Request{Prompt: "a secret", Format: format, MaxTokens: 20, N: 2}); err != nil {
		t.Fatal(err)
	}
	used, err := m.formats.machine(format)
	if err != nil {
		t.Fatal(err)
	}
	machine := weak.Make(used)
	dropFormats(m)
	for end := time.Now().Add(5 * time.Second); machine.Value() != nil; time.Sleep(time.Millisecond) {
		runtime.GC()
		if time.Now().After(end) {
			t.Fatal("the grammar of an answered request is still in use")
		}
	}
}

// TestSharedPrefix asks 32 times at once with the same beginning: it is computed once.
func TestSharedPrefix(t *testing.T) {
	m := openTiny(t, nil)
	prefix := strings.Repeat("a system prompt that many share, ", 20) // 660 tokens
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			_, err := m.Generate(t.Context(), Request{Prompt: fmt.Sprint(prefix, "question ", i), MaxTokens: 1})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n, most := m.Stats().PromptTokens, int64(len(prefix)+32*2*pageSize); n > most {
		t.Errorf("%d tokens of prompts were run, expected at most %d", n, most)
	}
}

// TestIsolateKeys: no key finds what another's requests left in the cache, at once or later; its own it finds.
func TestIsolateKeys(t *testing.T) {
	file := tinyFile(t, 512)
	for _, isolate := range []bool{false, true} {
		m := openBytes(t, file, &Options{IsolateKeys: isolate, Draft: draftFile(t, file)})
		secret := strings.Repeat("what one tenant asks is no other's business. ", 5)
		cached := func(key string) int {
			r, err := m.Generate(t.Context(), Request{Prompt: secret, MaxTokens: 3, Key: key})
			if err != nil {
				t.Fatal(err)
			}
			return r.Usage.Cached
		}
		first, other, none, again := cached("a"), cached("b"), cached(""), cached("a")
		if first != 0 || again < 192 || isolate && other+none != 0 || !isolate && (other < 192 || none < 192) {
			t.Errorf("isolated %v: %d tokens cached of the first, %d of another's, %d of nobody's, %d of the first again", isolate, first, other, none, again)
		}
		c := m.NewChat(Request{MaxTokens: 40, Key: "a"})
		if _, err := c.Send(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
		var kv bytes.Buffer
		saved, err := c.SaveKV(t.Context(), &kv)
		if err != nil || saved < 192 {
			t.Fatalf("%d tokens saved, %v", saved, err)
		}
		m2 := openBytes(t, file, &Options{IsolateKeys: isolate})
		d := m2.NewChat(Request{MaxTokens: 40, Key: "a", Messages: c.History()})
		if n, err := d.RestoreKV(t.Context(), &kv); n != saved || err != nil {
			t.Errorf("%d tokens restored of %d, %v", n, saved, err)
		}
		_, q := d.turn("and?")
		for _, key := range []string{"b", "a"} {
			q.Key = key
			r, err := m2.Generate(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if found := r.Usage.Cached >= saved; found != (key == "a" || !isolate) {
				t.Errorf("isolated %v: key %s found %d tokens of %d that a restored", isolate, key, r.Usage.Cached, saved)
			}
		}
	}
}

// TestFlood has one key ask for all it can get: another key's first token comes within some steps.
func TestFlood(t *testing.T) {
	m := openTiny(t, &Options{MaxRunning: 8})
	ctx, cancel := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	for i := range 200 {
		flood.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				m.Generate(ctx, Request{Prompt: fmt.Sprint(i, n, strings.Repeat(" flood", 100)), MaxTokens: 200, Key: "flood", Priority: 9, Sampling: &Sampling{IgnoreEOS: true}})
			}
		})
	}
	for m.Stats().Waiting < 100 {
		time.Sleep(time.Millisecond)
	}
	for i := range 20 {
		before := m.Stats().Steps
		q := Request{Prompt: fmt.Sprint(i, strings.Repeat(" a question of some length", 4)), MaxTokens: 3, Key: "other"}
		for _, err := range m.Stream(t.Context(), q) {
			if err != nil {
				t.Fatal(err)
			}
			// The step in flight, the prompt in chunks of at least 16 rows beside the flood's streams, and the steps that go on before
			// this goroutine has its turn. In the order of arrival it would be thousands.
			if steps := m.Stats().Steps - before; steps > 60 {
				t.Fatalf("request %d: first token after %d steps", i, steps)
			}
			break
		}
	}
	cancel()
	flood.Wait()
}

// TestLowPriority has a long prompt of low priority wait beside others of its key, which never stop coming and take all the memory: it
// is answered all the same.
func TestLowPriority(t *testing.T) {
	m := openTiny(t, &Options{MaxRunning: 6, KVBytes: 1}) // one context's pages
	ctx, cancel := context.WithCancel(t.Context())
	var others sync.WaitGroup
	for i := range 12 {
		others.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				m.Generate(ctx, Request{Prompt: fmt.Sprint(i, n, " is in a hurry"), MaxTokens: 300, Priority: 9, Sampling: &Sampling{IgnoreEOS: true}})
			}
		})
	}
	for m.Stats().Waiting < 6 {
		time.Sleep(time.Millisecond)
	}
	before := m.Stats()
	low, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	_, err := m.Generate(low, Request{Prompt: strings.Repeat("a report that can wait; ", 35), MaxTokens: 100, Sampling: &Sampling{IgnoreEOS: true}})
	s := m.Stats()
	t.Logf("answered after %d steps, %d preemptions, %d prompt tokens", s.Steps-before.Steps, s.Preempted-before.Preempted, s.PromptTokens-before.PromptTokens)
	if err != nil {
		t.Error(err)
	}
	cancel()
	others.Wait()
}

// TestDeadlineInQueue has a request wait for one that takes long: it ends with its own deadline.
func TestDeadlineInQueue(t *testing.T) {
	m := openTiny(t, &Options{MaxRunning: 1})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, err := range m.Stream(ctx, Request{Prompt: "long", Sampling: &Sampling{IgnoreEOS: true}}) {
		if err != nil {
			t.Fatal(err)
		}
		short, stop := context.WithTimeout(t.Context(), time.Millisecond)
		defer stop()
		r, err := m.Generate(short, Request{Prompt: "short"})
		if !errors.Is(err, context.DeadlineExceeded) || r == nil || r.Usage.Generated != 0 {
			t.Errorf("%+v, %v, expected an empty response and the deadline's error", r, err)
		}
		if s := m.Stats(); s.Running != 1 {
			t.Errorf("%+v: the long request should still run", s)
		}
		break
	}
}

// TestBusy fills the queue: the next request of the key that filled it gets ErrBusy, another key's takes a place of it.
func TestBusy(t *testing.T) {
	const long = 1 << 16 // more tokens than are generated before the test cancels the request that runs
	m := openBytes(t, tinyFile(t, long), &Options{MaxRunning: 1, MaxQueued: 4, RejectWhenFull: true})
	errs := make(chan error, 100)
	ask := func(ctx context.Context, key string, tokens int) {
		_, err := m.Generate(ctx, Request{Prompt: key, MaxTokens: tokens, Key: key, Sampling: &Sampling{IgnoreEOS: true}})
		errs <- err
	}
	busy := func(requests int) {
		for s := m.Stats(); s.Running+s.Waiting < requests; s = m.Stats() {
			runtime.Gosched()
		}
	}
	running, cancel := context.WithCancel(t.Context())
	defer cancel()
	go ask(running, "a", long-2)
	busy(1)
	for range 4 {
		go ask(t.Context(), "a", 1)
	}
	busy(5)
	ask(t.Context(), "a", 1)
	if err := <-errs; !errors.Is(err, ErrBusy) {
		t.Errorf("a sixth request: %v, expected ErrBusy", err)
	}
	if _, err := m.Generate(t.Context(), Request{Prompt: "c", MaxTokens: 1, N: 3, Key: "c"}); !errors.Is(err, ErrBusy) {
		t.Errorf("three choices, with one place to be had: %v, expected ErrBusy", err)
	}
	go ask(t.Context(), "b", 1)
	if err := <-errs; !errors.Is(err, ErrBusy) {
		t.Errorf("the request that gave way: %v, expected ErrBusy", err)
	}
	cancel()
	cancelled := 0
	for range 5 {
		switch err := <-errs; {
		case errors.Is(err, context.Canceled):
			cancelled++
		case err != nil:
			t.Error(err)
		}
	}
	if cancelled != 1 {
		t.Errorf("%d requests were cancelled, expected the one that ran", cancelled)
	}
}

// TestAllocations counts what a generated token allocates on every instruction set, with more threads than many machines have cores:
// nothing, but for slices that grow. Stream allocates the texts and bytes of many tokens at once.
func TestAllocations(t *testing.T) {
	for _, set := range kernels.Features() {
		for _, threads := range []int{1, 3} {
			if threads == 3 && set != kernels.Features()[0] {
				continue // the pool is the same
			}
			m := openTiny(t, &Options{Device: "cpu", Threads: threads, InstructionSet: set})
			for _, stream := range []bool{false, true} {
				ask := func(n int) uint64 {
					q := Request{Prompt: "count", MaxTokens: n, Stop: []string{"no such text"}, Sampling: &Sampling{Seed: pointer(uint64(1)), IgnoreEOS: true}}
					var before, after runtime.MemStats
					runtime.ReadMemStats(&before)
					var r *Response
					var err error
					if stream {
						for tok, e := range m.Stream(t.Context(), q) {
							if err = e; tok.Response != nil {
								r = tok.Response
							}
						}
					} else {
						r, err = m.Generate(t.Context(), q)
					}
					runtime.ReadMemStats(&after)
					if err != nil || r.Usage.Generated != n {
						t.Fatalf("%+v, %v", r, err)
					}
					return after.Mallocs - before.Mallocs
				}
				ask(500)
				few, many := ask(100), ask(500)
				most := few + 40
				for range 2 { // the runtime's own allocations are counted too; those of a token come back
					if many > most {
						many = min(many, ask(500))
					}
				}
				t.Logf("%s, %d threads, stream %v: %d allocations for 100 tokens, %d for 500", set, threads, stream, few, many)
				if many > most {
					t.Errorf("%s, %d threads, stream %v: %.2f allocations per token", set, threads, stream, float64(many-few)/400)
				}
			}
		}
	}
}
