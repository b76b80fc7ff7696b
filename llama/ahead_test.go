package llama

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/llama31/llama31/kernels"
)

// overlapped is the CPU with the two halves of a step: a step runs when its end is waited for, so late that whatever of its batch
// changes in between shows.
type overlapped struct {
	kernels.Device
	batches []*kernels.Batch
	forward func(kernels.Ops)
}

// begunAhead counts the steps that began before the last had ended; failAt is the number of one that fails, counted down.
var begunAhead, failAt atomic.Int64

func (d *overlapped) Step(b *kernels.Batch, forward func(kernels.Ops)) error {
	if err := d.Begin(b, forward); err != nil {
		return err
	}
	return d.End()
}

func (d *overlapped) Begin(b *kernels.Batch, forward func(kernels.Ops)) error {
	if len(d.batches) > 0 {
		begunAhead.Add(1)
	}
	if len(d.batches) == 2 {
		return errors.New("two steps have begun already")
	}
	d.batches, d.forward = append(d.batches, b), forward
	return nil
}

func (d *overlapped) End() error {
	if len(d.batches) == 0 {
		return errors.New("no step has begun")
	}
	b := d.batches[0]
	d.batches = d.batches[1:]
	if failAt.Add(-1) == 0 {
		return errors.New("a step fails")
	}
	return d.Device.Step(b, d.forward)
}

func init() {
	kernels.Register("overlapped", func(name string, s kernels.Shape, o kernels.Options) (kernels.Device, error) {
		if name == "" {
			return nil, kernels.ErrUnavailable // lest "auto" takes it in the other tests
		}
		d, err := kernels.Open("cpu", s, o)
		return &overlapped{Device: d}, err
	})
}

// TestAhead has the promise on a device whose steps begin before the last one has ended: mixes of requests, cancelled ones among them,
// give what each gives alone on the CPU.
func TestAhead(t *testing.T) {
	file := tinyFile(t, 512)
	alone := openBytes(t, file, &Options{NoSpeculation: true, MaxRunning: 1})
	rounds := 40
	if testing.Short() {
		rounds = 10
	}
	for round := 0; round < rounds; {
		r := rand.New(rand.NewPCG(uint64(round), 2))
		m := openBytes(t, file, &Options{Device: "overlapped:0", MaxRunning: 1 + r.IntN(8), KVBytes: 1, NoSpeculation: r.IntN(2) == 0})
		before := begunAhead.Load()
		for range 10 {
			mix(t, r, m, alone, round)
			round++
		}
		if s := m.Stats(); s.Running+s.Waiting != 0 || s.PagesAvailable != s.Pages {
			t.Fatalf("round %d: afterwards %+v", round, s)
		}
		ahead := begunAhead.Load() - before
		t.Logf("%d of %d steps begun ahead", ahead, m.Stats().Steps)
		if ahead == 0 {
			t.Error("no step was begun ahead")
		}
		m.Close()
	}
}

// A lone greedy answer has all of its steps but the prompt's and the first begun ahead; a step that fails ends it, and the next works.
func TestAheadAlone(t *testing.T) {
	m := openBytes(t, tinyFile(t, 512), &Options{Device: "overlapped:0", NoSpeculation: true})
	q := Request{Prompt: "one after the other", MaxTokens: 30, Sampling: &Sampling{Temperature: new(float64), IgnoreEOS: true}}
	before := begunAhead.Load()
	want, err := m.Generate(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if n := begunAhead.Load() - before; n != 28 {
		t.Errorf("%d steps begun ahead for %d tokens, expected 28", n, want.Usage.Generated)
	}
	for n := int64(1); n < 6; n++ {
		failAt.Store(n)
		if _, err := m.Generate(t.Context(), q); err == nil {
			t.Errorf("step %d fails: no error", n)
		}
		got, err := m.Generate(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "after a step that failed", got, want)
	}
}
