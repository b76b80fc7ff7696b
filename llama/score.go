package llama

import (
	"context"
	"fmt"

	"github.com/llama31/llama31/kernels"
	"gorgonia.org/tensor"
)

// Score is how likely a model finds a continuation.
type Score struct {
	Logprob float64 // natural logarithm of its probability after the prompt: the sum over its tokens, not normalised by length
	Tokens  int     // that the sum is over
	Greedy  bool    // each of its tokens is the most probable one at its place: generation at temperature 0 would give it
}

// Score gives the log-probability of each continuation after prompt, which is plain text, begun as Request.Prompt is. What the
// continuations have in common with the prompt is computed once.
//
// Prompt and continuation are tokenized as one text, as they would be if they were read: a continuation's tokens are those from
// the first on that the prompt alone does not have. A prompt that ends in a space thus gives that space to the continuation, as
// the evaluation harness of EleutherAI does. Errors: those of Generate; ErrRequest where a continuation has no token before it, for
// the prompt is empty and the model begins its texts with nothing.
func (m *Model) Score(ctx context.Context, prompt string, continuations ...string) ([]Score, error) {
	before := m.encodeText(prompt)
	scores := make([]Score, len(continuations))
	var scans []*scan
	for i, c := range continuations {
		s := &scores[i]
		s.Greedy = true
		if c == "" {
			continue
		}
		ids := m.encodeText(prompt + c)
		start := common(before, ids)
		if start == 0 && len(before) > 0 { // all of it melts into the continuation
			ids, start = m.tokenizer.Encode(before[:len(before):len(before)], c), len(before)
		}
		if start == 0 {
			return nil, fmt.Errorf("%w: continuation %d has no token before it, expected a prompt", ErrRequest, i)
		}
		s.Tokens = len(ids) - start
		scans = append(scans, &scan{ids: ids[:len(ids)-1], from: start - 1,
			want: func(i int, o *kernels.Out) { o.Target, o.Top = ids[i+1], 1 },
			got: func(i int, o *kernels.Out) {
				s.Logprob += o.TargetLogprob
				s.Greedy = s.Greedy && o.TopIDs[0] == ids[i+1]
			}})
	}
	if err := m.scan(ctx, "", scans...); err != nil {
		return nil, err
	}
	return scores, nil
}

// common counts the tokens that two texts begin with alike.
func common(a, b []int32) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// Logits runs ids through the model and gives the logits after each of them: float32 [len(ids), vocabulary], the caller's own. For
// long texts LogitRows takes less memory: Llama 3.1's logits of 8,192 tokens are 4.2 GB.
func (m *Model) Logits(ctx context.Context, ids []int32) (*tensor.Dense, error) {
	v := m.config.vocab
	all := make([]float32, len(ids)*v)
	err := m.scan(ctx, "", &scan{ids: ids, want: func(i int, o *kernels.Out) { o.Logits = all[i*v : (i+1)*v] }, got: func(int, *kernels.Out) {}})
	if err != nil {
		return nil, err
	}
	return tensor.New(tensor.WithShape(len(ids), v), tensor.WithBacking(all)), nil
}

// LogitRows runs ids through the model and calls row for each of them, in order, with the logits after it. The slice is valid until
// row returns; row runs on the engine's goroutine and must not call the model.
func (m *Model) LogitRows(ctx context.Context, ids []int32, row func(i int, logits []float32)) error {
	bufs := rowBuffers{n: m.config.vocab}
	return m.scan(ctx, "", &scan{ids: ids,
		want: func(_ int, o *kernels.Out) { o.Logits = bufs.take() },
		got: func(i int, o *kernels.Out) {
			row(i, o.Logits)
			bufs.give(o.Logits)
		}})
}

// Logprobs gives the log-probability of each token after the first under the model, [len(ids)−1]: of ids[i+1] after ids[0…i]. With
// Tokenizer's or Prompt's ids these are a prompt's.
func (m *Model) Logprobs(ctx context.Context, ids []int32) ([]float64, error) {
	p := make([]float64, max(0, len(ids)-1))
	err := m.scan(ctx, "", &scan{ids: ids,
		want: func(i int, o *kernels.Out) {
			if i < len(p) {
				o.Target = ids[i+1]
			}
		},
		got: func(i int, o *kernels.Out) {
			if i < len(p) {
				p[i] = o.TargetLogprob
			}
		}})
	return p, err
}

// ScorePrompt gives the tokens of a request's prompt as Stream would if it had generated them: each with its log-probability after
// those before it, and with Request.TopLogprobs alternatives. Of the first the model thinks nothing: its Logprob is 0 and it has no
// alternatives. Of the request Messages, Prompt or Tokens, Tools, TopLogprobs and Key count.
func (m *Model) ScorePrompt(ctx context.Context, r Request) ([]Token, error) {
	ids, err := m.Prompt(r)
	if err != nil {
		return nil, err
	}
	if err := r.check(m.config.vocab); err != nil {
		return nil, err
	}
	tokens := make([]Token, len(ids))
	text := m.tokenizer.NewDecoder()
	for i, id := range ids {
		tokens[i] = Token{ID: id, Text: text.Next(id), Bytes: m.tokenizer.Bytes(id)}
	}
	if rest := text.Flush(); rest != "" {
		tokens[len(ids)-1].Text += rest
	}
	if len(ids) == 1 {
		return tokens, nil
	}
	err = m.scan(ctx, r.Key, &scan{ids: ids[:len(ids)-1],
		want: func(i int, o *kernels.Out) { o.Target, o.Top = ids[i+1], r.TopLogprobs },
		got: func(i int, o *kernels.Out) {
			t := &tokens[i+1]
			t.Logprob = o.TargetLogprob
			for k, id := range o.TopIDs {
				t.Top = append(t.Top, Alternative{ID: id, Bytes: m.tokenizer.Bytes(id), Logprob: o.TopLogprobs[k]})
			}
		}})
	if err != nil {
		return nil, err
	}
	return tokens, nil
}

// rowBuffers hands out rows of n floats: as many exist as a step has rows.
type rowBuffers struct {
	n    int
	free [][]float32
}

func (b *rowBuffers) take() []float32 {
	if len(b.free) == 0 {
		return make([]float32, b.n)
	}
	row := b.free[len(b.free)-1]
	b.free = b.free[:len(b.free)-1]
	return row
}

func (b *rowBuffers) give(row []float32) { b.free = append(b.free, row) }

// scan is a text to run for its rows' results instead of an answer. want and got are called on the engine's goroutine, got in order
// and once for each row, even if the text is preempted between them.
type scan struct {
	ids  []int32
	from int // the next row whose results are wanted
	want func(i int, o *kernels.Out)
	got  func(i int, o *kernels.Out)
}

// scan runs texts for a key and waits for the last of them. Those that have pages in common with the first begin when it is done.
func (m *Model) scan(ctx context.Context, key string, scans ...*scan) error {
	for _, s := range scans {
		if len(s.ids) == 0 {
			return fmt.Errorf("%w: no tokens", ErrRequest)
		}
		if len(s.ids) > m.context {
			return &ContextLengthError{Need: len(s.ids), Have: m.context}
		}
		for i, id := range s.ids {
			if id < 0 || int(id) >= m.config.vocab {
				return fmt.Errorf("%w: ids[%d] is %d, expected 0 to %d", ErrRequest, i, id, m.config.vocab-1)
			}
		}
	}
	if len(scans) == 0 {
		return nil
	}
	j := newJob(m.tokenizer, len(scans), 0)
	j.key = key
	for i, s := range scans {
		q := &sequence{job: j, choice: i, tokens: s.ids, prompt: len(s.ids), limit: len(s.ids), slot: -1, scan: s}
		j.seqs = append(j.seqs, q)
	}
	if err := m.engine.submit(j); err != nil {
		return err
	}
	// The engine writes into the caller's buffers, so its last word is waited for even when ctx ends.
	stop := context.AfterFunc(ctx, j.cancel)
	defer stop()
	_, _, err := j.take(context.WithoutCancel(ctx), nil)
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}
