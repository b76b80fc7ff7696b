package llama

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// served runs a queue as the engine does, one sequence at a time of so many rows each, and gives the keys in the order of service.
func served(q *queue, rows map[string]int, n int) []string {
	var keys []string
	for range n {
		for _, t := range q.order() {
			s := t.next(func(*sequence) bool { return true })
			if s == nil {
				continue
			}
			q.take(s)
			q.enter(t)
			q.ran(t, rows[t.key])
			q.leave(t)
			keys = append(keys, t.key)
			break
		}
	}
	return keys
}

func push(q *queue, key string, priority int) *sequence {
	s := &sequence{tenant: q.tenant(key), priority: priority, slot: -1}
	q.push(s)
	return s
}

func count(keys []string, key string) (n int) {
	for _, k := range keys {
		if k == key {
			n++
		}
	}
	return n
}

func TestShares(t *testing.T) {
	q := &queue{weights: map[string]float64{"heavy": 3}}
	for range 1000 {
		push(q, "heavy", 0)
		push(q, "light", 0)
		push(q, "long", 0)
	}
	// Rows, not requests, are shared: long's requests take four times as many.
	keys := served(q, map[string]int{"heavy": 100, "light": 100, "long": 400}, 600)
	heavy, light, lengthy := count(keys, "heavy"), count(keys, "light"), count(keys, "long")
	if heavy < 400 || heavy > 440 || light < 130 || light > 150 || lengthy < 30 || lengthy > 40 {
		t.Errorf("heavy %d, light %d, long %d of 600, expected about 424, 141 and 35", heavy, light, lengthy)
	}
}

// TestNewcomer: a key that was away is served at once, for the rows of its credit; having been away for longer gives no more.
func TestNewcomer(t *testing.T) {
	q := &queue{}
	rows := map[string]int{"a": 512, "b": 512}
	for range 1000 {
		push(q, "a", 0)
	}
	served(q, rows, 500)
	for range 100 {
		push(q, "b", 0)
	}
	keys := served(q, rows, 40)
	if n := count(keys[:credit/512], "b"); n != credit/512 {
		t.Errorf("%d of the first %d are b's", n, credit/512)
	}
	rest := keys[credit/512+1:]
	if n := count(rest, "b"); n < len(rest)/2-2 || n > len(rest)/2+2 {
		t.Errorf("%d of the next %d are b's, expected half", n, len(rest))
	}
}

func TestPriority(t *testing.T) {
	q := &queue{}
	low := push(q, "", 0)
	for range 100 {
		push(q, "", 5)
	}
	first := push(q, "", 9)
	tenant := low.tenant
	all := func(*sequence) bool { return true }
	if tenant.next(all) != first {
		t.Error("the highest priority is not the next")
	}
	// It is refilled all the time; the low one has its turn all the same.
	for turn := 1; ; turn++ {
		s := tenant.next(all)
		q.take(s)
		q.enter(tenant)
		q.leave(tenant)
		push(q, "", 5)
		if s == low {
			break
		}
		if turn > oldestTurn {
			t.Fatal("the low priority starves")
		}
	}
}

func TestPreemptedGoesFirst(t *testing.T) {
	q := &queue{}
	a, b := push(q, "", 1), push(q, "", 1)
	high := push(q, "", 2)
	q.take(b)
	q.push(b)
	if want := []*sequence{high, b, a}; !slices.Equal(a.tenant.waiting, want) {
		t.Error("a preempted sequence goes before those of its priority, not before higher ones")
	}
}

// TestManyKeys: keys that come once do not stay.
func TestManyKeys(t *testing.T) {
	q := &queue{}
	r := rand.New(rand.NewPCG(1, 1))
	for range 10_000 {
		key := string(rune(r.IntN(1 << 16)))
		push(q, key, 0)
		served(q, map[string]int{key: 10}, 1)
	}
	if len(q.tenants) > 200 || len(q.active) != 0 || q.waiting != 0 {
		t.Errorf("%d keys, %d active, %d waiting", len(q.tenants), len(q.active), q.waiting)
	}
}

// TestYield: streams of a key that took far more than its share leave every other step to another key's prompt.
func TestYield(t *testing.T) {
	flood, other := &tenant{weight: 1, clock: 10_000}, &tenant{weight: 1, clock: 10_000}
	stream := &sequence{tenant: flood, tokens: make([]int32, 9), prompt: 8, done: 8, slot: 0}
	theirs := &sequence{tenant: flood, tokens: make([]int32, 8), prompt: 8, slot: 1}
	prompt := &sequence{tenant: other, tokens: make([]int32, 300), prompt: 300, slot: 2}
	e := &engine{step: new(ahead), next: new(ahead), maxRows: 64, maxOut: 64, pages: newPages(32), running: []*sequence{stream, theirs, prompt}}
	chunks := func() [3]int {
		e.plan()
		return [3]int{stream.chunk, theirs.chunk, prompt.chunk}
	}
	if c := chunks(); c[0] != 1 || c[1]+c[2] != 63 || c[1] == 0 {
		t.Errorf("of equals: %v rows", c)
	}
	other.clock -= farBehind + 1
	for _, want := range [][3]int{{0, 0, 64}, {1, 0, 63}, {0, 0, 64}} {
		if c := chunks(); c != want {
			t.Errorf("%v rows, expected %v", c, want)
		}
	}
	prompt.done = 300 - 10 // what is left of a step in which they take part is theirs
	stream.yields = true
	if c := chunks(); c != [3]int{1, 8, 10} {
		t.Errorf("%v rows, expected 1, 8 and 10", c)
	}
}
