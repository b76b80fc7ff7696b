package llama

import (
	"cmp"
	"slices"
)

// queue holds the sequences that wait, and shares the engine between the keys of Request.Key: by virtual time (Demers et al.,
// "Analysis and simulation of a fair queueing algorithm", 1989), in which a key's clock goes on by the rows that run for it, divided
// by its weight, and whoever's clock is behind is served first. The engine's mutex guards it.
type queue struct {
	weights map[string]float64
	tenants map[string]*tenant
	active  []*tenant // those with sequences that wait or run
	waiting int
	arrived int64
	now     float64 // the clock of the last to be behind
}

// tenant is what the engine does for one key.
type tenant struct {
	key     string
	weight  float64
	clock   float64     // rows / weight
	waiting []*sequence // by priority, then arrival
	running int
	admits  int // sequences admitted, to tell when it is the oldest's turn
}

// credit is how many rows a key's clock may be behind when it comes back: who asks for little is served at once, with a prompt of
// that many tokens, however much others ask for.
const credit = 1024

// oldestTurn: of so many admissions of a key one is the oldest sequence's, so that a low priority waits, but never for ever. From then
// on it is the last of its key to be sent back for want of pages: a long prompt that others' tokens drive out again and again, before
// it is through, would be waiting still.
const oldestTurn = 8

// tenant gives the state of a key, known or not.
func (q *queue) tenant(key string) *tenant {
	t := q.tenants[key]
	if t == nil {
		if q.tenants == nil {
			q.tenants = map[string]*tenant{}
		}
		if len(q.tenants) >= 2*len(q.active)+64 {
			q.forget()
		}
		t = &tenant{key: key, weight: 1}
		if w, ok := q.weights[key]; ok {
			t.weight = w
		}
		q.tenants[key] = t
	}
	return t
}

// forget drops the keys that are idle and owe nothing, or everything idle where that leaves too many.
func (q *queue) forget() {
	for pass := range 2 {
		for key, t := range q.tenants {
			if t.idle() && (pass == 1 || t.clock <= q.now-credit/t.weight) {
				delete(q.tenants, key)
			}
		}
		if len(q.tenants) < 4*len(q.active)+64 {
			return
		}
	}
}

func (t *tenant) idle() bool { return t.running == 0 && len(t.waiting) == 0 }

// share is how much of the running sequences a key has, or would have with more of them.
func (t *tenant) share(more int) float64 { return float64(t.running+more) / t.weight }

// push adds a sequence; one that was preempted goes before those of its priority, its tokens being in the cache for a while.
func (q *queue) push(s *sequence) {
	t := s.tenant
	if t.idle() {
		t.clock = max(t.clock, q.now-credit/t.weight)
		q.active = append(q.active, t)
	}
	again := s.arrival != 0
	if !again {
		q.arrived++
		s.arrival = q.arrived
	}
	i := len(t.waiting)
	for i > 0 && (t.waiting[i-1].priority < s.priority || again && t.waiting[i-1].priority == s.priority) {
		i--
	}
	t.waiting = slices.Insert(t.waiting, i, s)
	q.waiting++
}

// take removes a waiting sequence, to run or for good, and reports whether it was there.
func (q *queue) take(s *sequence) bool {
	t := s.tenant
	i := slices.Index(t.waiting, s)
	if i < 0 {
		return false
	}
	t.waiting = slices.Delete(t.waiting, i, i+1)
	q.waiting--
	q.settle(t)
	return true
}

// enter and leave count a key's running sequences.
func (q *queue) enter(t *tenant) {
	if t.idle() {
		q.active = append(q.active, t)
	}
	t.running++
	t.admits++
}

func (q *queue) leave(t *tenant) {
	t.running--
	q.settle(t)
}

// settle takes an idle key off the active ones.
func (q *queue) settle(t *tenant) {
	if t.idle() {
		q.active = slices.DeleteFunc(q.active, func(a *tenant) bool { return a == t })
	}
}

// ran advances a key's clock.
func (q *queue) ran(t *tenant, rows int) { t.clock += float64(rows) / t.weight }

// order sorts the active keys, the one that is behind first, and moves the queue's time on.
func (q *queue) order() []*tenant {
	slices.SortStableFunc(q.active, func(a, b *tenant) int { return cmp.Compare(a.clock, b.clock) })
	if len(q.active) > 0 {
		q.now = max(q.now, q.active[0].clock)
	}
	return q.active
}

// oldestNext says that the next admission of a key is the oldest sequence's.
func (t *tenant) oldestNext() bool { return t.admits%oldestTurn == oldestTurn-1 }

// next gives a key's waiting sequences that may run, best first: by priority and arrival, but when it is its turn the oldest.
func (t *tenant) next(may func(*sequence) bool) *sequence {
	var best *sequence
	for _, s := range t.waiting {
		switch {
		case !may(s):
		case !t.oldestNext():
			return s
		case best == nil || s.arrival < best.arrival:
			best = s
		}
	}
	return best
}

// displace finds room in a full queue for a sequence of t, where another key takes more than its share of it: its newest request
// gives way. Requests of which something ran stay.
func (q *queue) displace(t *tenant) *job {
	length := func(t *tenant, more int) float64 { return float64(len(t.waiting)+t.running+more) / t.weight }
	most := t
	for _, other := range q.active {
		if length(other, 0) > length(most, 0) {
			most = other
		}
	}
	if most == t || length(t, 1) > length(most, -1) {
		return nil
	}
	for _, s := range slices.Backward(most.waiting) {
		if !slices.ContainsFunc(s.job.seqs, func(s *sequence) bool { return s.admitted }) {
			return s.job
		}
	}
	return nil
}
