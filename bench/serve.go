package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/llama31/llama31/llama"
)

// Load is what many users ask of a model at once: requests that come by themselves, at random times (open loop), or from a number of
// users who each ask again when they have their answer (closed loop). Lengths are drawn as those of conversations are: log-normal, many
// short and a few long ones; the default is close to ShareGPT's, of about 200 tokens in and out.
type Load struct {
	Rate        float64       // requests per second, at the times of a Poisson process; 0: closed loop
	Concurrency int           // users of the closed loop
	Duration    time.Duration // in which requests begin
	Prompt      Lengths       // words, of about a token each
	Answer      Lengths       // tokens; stop tokens are ignored
	Prefix      int           // words that all prompts begin with
	Seed        uint64        // of times, lengths and words: the same for everyone that is compared

	FirstLimit   time.Duration // for goodput: longest time to the first token,
	BetweenLimit time.Duration // and longest mean time between tokens

	words uint64 // of the same lengths others: what was asked before is in a cache
}

// Lengths is a log-normal distribution.
type Lengths struct {
	Median float64
	Sigma  float64 // of the logarithm
	Most   int
}

// ShareGPT's lengths, in round figures.
var (
	SharePrompt = Lengths{Median: 80, Sigma: 1.2, Most: 1000}
	ShareAnswer = Lengths{Median: 120, Sigma: 0.9, Most: 500}
)

func (l Lengths) draw(r *rand.Rand) int {
	return min(l.Most, max(1, int(math.Round(l.Median*math.Exp(l.Sigma*r.NormFloat64())))))
}

// Target answers a prompt with n tokens, greedily, and calls token as each of them arrives. Without room for it the error is
// llama.ErrBusy.
type Target interface {
	Ask(ctx context.Context, prompt string, n int, token func()) error
}

// LoadResult is how a target bore a load. Times are in seconds.
type LoadResult struct {
	Name         string    `json:"name"`
	Rate         float64   `json:"rate,omitempty"`
	Concurrency  int       `json:"concurrency,omitempty"`
	Requests     int       `json:"requests"`
	Failed       int       `json:"failed"`
	Refused      int       `json:"refused"`         // of these, the ones for which there was no room: llama.ErrBusy
	Error        string    `json:"error,omitempty"` // of the first that failed
	TokensPerSec float64   `json:"tok_s"`           // generated
	First        Quantiles `json:"first_token"`     // from the time at which a request was due
	Between      Quantiles `json:"between_tokens"`
	Goodput      float64   `json:"goodput"` // requests per second that were answered within both limits

	first, between []float64 // all times
	tokens, good   int
	seconds        float64
}

// Quantiles of times, in seconds.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
}

func quantiles(s []float64) Quantiles {
	slices.Sort(s)
	at := func(q float64) float64 {
		if len(s) == 0 {
			return 0
		}
		return s[min(len(s)-1, int(q*float64(len(s))))]
	}
	return Quantiles{at(0.5), at(0.9), at(0.99)}
}

// ask is one request, with what came of it.
type ask struct {
	due    time.Duration // after the start; closed loop: when it was its turn
	prompt string
	tokens int
	times  []time.Duration // of the tokens, after the start
	end    time.Duration
	err    error
}

// Run puts the load on a target.
func (l Load) Run(ctx context.Context, name string, t Target) (LoadResult, error) {
	if (l.Rate > 0) == (l.Concurrency > 0) || l.Duration <= 0 {
		return LoadResult{}, errors.New("expected a rate or a number of users, and a duration")
	}
	var asks []*ask
	var err error
	start := time.Now()
	if l.Rate > 0 {
		asks, err = l.open(ctx, t, start)
	} else {
		asks, err = l.closed(ctx, t, start)
	}
	if err != nil {
		return LoadResult{}, err
	}
	return l.result(name, asks), nil
}

// Beside puts the load on a target while so many users, of whom the target should know that they are others, ask another one without a
// pause for prompts and answers of the same lengths. All of them have asked before the load begins.
func (l Load) Beside(ctx context.Context, users int, flood Target, name string, t Target) (LoadResult, error) {
	crowd := l
	crowd.Rate, crowd.Concurrency, crowd.Duration, crowd.Seed = 0, users, math.MaxInt64, l.Seed+1
	l.words, crowd.words = 1, 2
	ctx2, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	all.Go(func() { crowd.closed(ctx2, flood, time.Now()) })
	select {
	case <-time.After(settling):
	case <-ctx.Done():
	}
	return l.Run(ctx, name, t)
}

// settling is how long a crowd asks before others do.
const settling = 4 * time.Second

// requests draws requests, without end.
func (l Load) requests() func() *ask {
	r := rand.New(rand.NewPCG(l.Seed, 1))
	prefix := text(rand.New(rand.NewPCG(l.Seed, 2)), l.Prefix)
	words := rand.New(rand.NewPCG(l.Seed, 3+l.words))
	due := 0.
	return func() *ask {
		if l.Rate > 0 {
			due += r.ExpFloat64() / l.Rate
		}
		n := l.Prompt.draw(r)
		return &ask{due: time.Duration(due * float64(time.Second)), prompt: prefix + text(words, n), tokens: l.Answer.draw(r)}
	}
}

func (l Load) open(ctx context.Context, t Target, start time.Time) ([]*ask, error) {
	var asks []*ask
	var flight sync.WaitGroup
	defer flight.Wait()
	for next := l.requests(); ; {
		a := next()
		if a.due > l.Duration {
			break
		}
		select {
		case <-time.After(time.Until(start.Add(a.due))):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		asks = append(asks, a)
		flight.Go(func() { a.run(ctx, t, start) })
	}
	flight.Wait()
	return asks, ctx.Err()
}

func (l Load) closed(ctx context.Context, t Target, start time.Time) ([]*ask, error) {
	var mu sync.Mutex
	var asks []*ask
	next := l.requests()
	var users sync.WaitGroup
	for range l.Concurrency {
		users.Go(func() {
			for ctx.Err() == nil && time.Since(start) < l.Duration {
				mu.Lock()
				a := next()
				a.due = time.Since(start)
				asks = append(asks, a)
				mu.Unlock()
				a.run(ctx, t, start)
			}
		})
	}
	users.Wait()
	return asks, ctx.Err()
}

func (a *ask) run(ctx context.Context, t Target, start time.Time) {
	a.err = t.Ask(ctx, a.prompt, a.tokens, func() { a.times = append(a.times, time.Since(start)) })
	a.end = time.Since(start)
	if a.err == nil && len(a.times) == 0 {
		a.err = errors.New("no tokens came")
	}
}

func (l Load) result(name string, asks []*ask) LoadResult {
	r := LoadResult{Name: name, Rate: l.Rate, Concurrency: l.Concurrency, Requests: len(asks)}
	last := l.Duration
	for _, a := range asks {
		last = max(last, a.end)
		if a.err != nil {
			if r.Failed++; r.Failed == 1 {
				r.Error = a.err.Error()
			}
			if errors.Is(a.err, llama.ErrBusy) {
				r.Refused++
			}
			continue
		}
		r.tokens += len(a.times)
		wait := a.times[0] - a.due
		r.first = append(r.first, wait.Seconds())
		for i, t := range a.times[1:] {
			r.between = append(r.between, (t - a.times[i]).Seconds())
		}
		mean := (a.end - a.times[0]) / time.Duration(max(1, len(a.times)-1))
		if (l.FirstLimit == 0 || wait <= l.FirstLimit) && (l.BetweenLimit == 0 || mean <= l.BetweenLimit) {
			r.good++
		}
	}
	r.seconds = last.Seconds()
	r.sum()
	return r
}

func (r *LoadResult) sum() {
	r.TokensPerSec, r.Goodput = float64(r.tokens)/r.seconds, float64(r.good)/r.seconds
	r.First, r.Between = quantiles(r.first), quantiles(r.between)
}

// Add takes another run of the same target under the same load, as if both had been one.
func (r *LoadResult) Add(other LoadResult) {
	if r.Failed == 0 {
		r.Error = other.Error
	}
	r.Requests, r.Failed, r.Refused = r.Requests+other.Requests, r.Failed+other.Failed, r.Refused+other.Refused
	r.first, r.between = append(r.first, other.first...), append(r.between, other.between...)
	r.tokens, r.good, r.seconds = r.tokens+other.tokens, r.good+other.good, r.seconds+other.seconds
	r.sum()
}

// text is n random words.
func text(r *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte(' ')
		b.WriteString(commonWords[r.IntN(len(commonWords))])
	}
	return b.String()
}

// commonWords are a token each in most vocabularies.
var commonWords = strings.Fields(`the of and to in is you that it he was for on are as with his they at be this have from or one had by
	word but not what all were we when your can said there use an each which she do how their if will up other about out many then them
	these so some her would make like him into time has look two more write go see number no way could people my than first water been
	call who oil its now find long down day did get come made may part over new sound take only little work know place year live me back
	give most very after thing our just name good sentence man think say great where help through much before line right too mean old
	any same tell boy follow came want show also around form three small set put end does another well large must big even such because
	turn here why ask went men read need land different home us move try kind hand picture again change off play spell air away animal
	house point page letter mother answer found study still learn should world high every near add food between own below country`)

// LoadMarkdown is a table of results.
func LoadMarkdown(results []LoadResult) string {
	var b strings.Builder
	b.WriteString("| server | load | requests | failed (refused) | tok/s | first token p50 / p90 / p99 ms | between tokens p50 / p90 / p99 ms | goodput req/s |\n|---|--:|--:|--:|--:|--:|--:|--:|\n")
	ms := func(q Quantiles) string {
		return fmt.Sprintf("%.0f / %.0f / %.0f", 1000*q.P50, 1000*q.P90, 1000*q.P99)
	}
	for _, r := range results {
		load := fmt.Sprintf("%d users", r.Concurrency)
		if r.Rate > 0 {
			load = fmt.Sprintf("%.3g req/s", r.Rate)
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %d (%d) | %.1f | %s | %s | %.2f |\n", r.Name, load, r.Requests, r.Failed, r.Refused, r.TokensPerSec, ms(r.First), ms(r.Between), r.Goodput)
	}
	return b.String()
}
