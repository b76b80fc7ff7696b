package llama

// Speculation: a step costs a CPU little more with a few rows more, for the weights are read once. So the engine guesses the next
// tokens of a sequence, runs them in the same step, and draws the model's own token after each; while guess and draw are equal, each
// draw is what it would have been without the guess (Leviathan et al., "Fast inference from transformers via speculative decoding",
// 2023, with draws keyed by position in place of their rejection sampling). The text is the same, with or without.

// lookup guesses that a sequence goes on as it did after an earlier place like this one (Saxena, "Prompt lookup decoding", 2023). It
// counts how often it is right whether or not a guess is run, so that it costs nothing to find out.
type lookup struct {
	at    int // index of the token that is the guess at the next one; 0: none
	match int // tokens that are equal before both, and editBonus more where it goes on after an edit
	edit  int // index of the token that was expected where a long match ended; 0: none did
	rate  [5]float64
}

// Matches of up to so many tokens form a class, with a rate of right guesses of its own: at first those given here.
var (
	matchClasses = [...]int{2, 4, 8, 16}
	matchRates   = [...]float64{0.3, 0.5, 0.7, 0.85, 0.95}
)

const (
	leastMatch = 2       // fewer equal tokens say nothing
	mostMatch  = 32      // more say no more
	lookBack   = 1 << 15 // tokens searched: 10 µs

	// A text that is given again with changes goes on soon after the place where it left the old one: a token that is among the next
	// editReach of those counts as so many more. Over a corpus of such texts, and of others, it made speculation's gain a tenth more.
	longMatch = 8
	editReach = 8
	editBonus = 4
)

func matchClass(n int) int {
	for i, most := range matchClasses {
		if n <= most {
			return i
		}
	}
	return len(matchClasses)
}

// update takes note of a token that was appended.
func (l *lookup) update(tokens []int32) {
	if l.rate[0] == 0 {
		l.rate = matchRates
	}
	last := len(tokens) - 1
	if l.at > 0 {
		right := tokens[l.at] == tokens[last]
		r := &l.rate[matchClass(l.match)]
		*r -= *r / 16
		if right {
			*r += 1. / 16
			l.at++
			l.match = min(l.match+1, mostMatch)
			return
		}
		if l.match >= longMatch {
			l.edit = l.at
		}
	}
	l.find(tokens)
}

// find looks for the longest match, of these the latest.
func (l *lookup) find(tokens []int32) {
	l.at, l.match = 0, leastMatch-1
	last := len(tokens) - 1
	for i := last - 1; i >= max(0, last-lookBack) && l.match < mostMatch; i-- {
		if tokens[i] != tokens[last] {
			continue
		}
		n := 1
		for n < mostMatch && n <= i && tokens[i-n] == tokens[last-n] {
			n++
		}
		if l.edit > 0 && i >= l.edit && i < l.edit+editReach {
			n = min(n+editBonus, mostMatch)
		}
		if n > l.match {
			l.at, l.match = i+1, n
		}
	}
}

// chance is how likely the guess after n right ones is right.
func (l *lookup) chance(n int) float64 {
	if l.at == 0 {
		return 0
	}
	return l.rate[matchClass(min(l.match+n, mostMatch))]
}

// guess gives the guess after draft.
func (l *lookup) guess(tokens, draft []int32) int32 {
	i := l.at + len(draft)
	if i < len(tokens) {
		return tokens[i]
	}
	return draft[i-len(tokens)]
}

const (
	speculatedRows = 48   // most rows of a step with guesses
	worthwhile     = 1.02 // least gain in tokens per second for which guesses are run
	longestGap     = 2    // times a step without guesses: how long a stream may wait for its next token for their sake
)

// patience is how many seconds a step with guesses may take: streams show what they have of the last one, and wait for a while. So
// steps grow with the guesses that are right. Without it one user had 86 ms between tokens at the 99th percentile where it was 12
// without guesses.
func (e *engine) patience(rows int) float64 { return e.slack + longestGap*e.costs.of(rows) }

// speculate adds guesses to a step in which all generate: the most likely first, as many as give the most tokens per second by the
// measured costs of steps and rates of right guesses.
func (e *engine) speculate() {
	rows := len(e.running)
	seconds := e.costs.of(rows)
	e.guesses = e.guesses[:0]
	if rows == 0 || seconds == 0 {
		return
	}
	for _, s := range e.running {
		s.chance = 1
	}
	patience := e.patience(rows)
	tokens, best, keep := float64(rows), worthwhile*float64(rows)/seconds, 0
	for rows+len(e.guesses) < min(speculatedRows, e.maxRows, e.maxOut) {
		var next *sequence
		chance := 0.
		for _, s := range e.running {
			if c := s.chance * s.lookup.chance(len(s.draft)); c > chance && len(s.tokens)+len(s.draft)+1 < s.limit && !s.penalized() {
				next, chance = s, c
			}
		}
		if chance < 0.02 {
			break
		}
		next.draft = append(next.draft, next.lookup.guess(next.tokens, next.draft))
		next.chance = chance
		e.guesses = append(e.guesses, next)
		tokens += chance
		cost := e.costs.of(rows + len(e.guesses))
		if cost > patience {
			break
		}
		if speed := tokens / cost; speed > best {
			best, keep = speed, len(e.guesses)
		}
	}
	for _, s := range e.guesses[keep:] {
		s.draft = s.draft[:len(s.draft)-1]
	}
	e.guesses = e.guesses[:keep]
	for _, s := range e.running {
		if !s.reserve(e.pages, 1+len(s.draft)) {
			s.draft = s.draft[:len(s.table)*pageSize-s.done-1]
		}
	}
}
