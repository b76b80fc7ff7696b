package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/llama31/llama31/llama"
)

// Divergence compares a model's predictions with those that llama.cpp's
// llama-perplexity wrote with --kl-divergence-base: the same tokens, in the same
// windows, at the same places, as its own option --kl-divergence compares them.
type Divergence struct {
	Model   string
	Base    io.Reader // the file that llama-perplexity wrote
	Exact   bool
	KV      llama.KVType
	Threads int
	Device  string
}

// DivergenceResult is how far predictions are from the base's.
type DivergenceResult struct {
	Mean   float64 // Kullback-Leibler divergence from the base, in nats per token
	Most   float64 // the largest of a token
	Top    float64 // share of the tokens for which both think the same next one the likeliest
	Tokens int     // that were compared
}

// Run compares at all places of the file: the second half of each window, whose
// last token predicts nothing.
func (d Divergence) Run(ctx context.Context) (info llama.Info, r DivergenceResult, err error) {
	base, err := openBase(d.Base)
	if err != nil {
		return info, r, err
	}
	m, err := llama.Open(ctx, d.Model, &llama.Options{
		Device: d.Device, Threads: d.Threads, Exact: d.Exact, KV: d.KV, Context: base.window, MaxRunning: 1, KVBytes: 1,
	})
	if err != nil {
		return info, r, err
	}
	defer m.Close()
	if info = m.Info(); info.Vocabulary != base.vocab {
		return info, r, fmt.Errorf("the model has %d tokens, the base file is of a model with %d", info.Vocabulary, base.vocab)
	}
	bos, ok := m.Tokenizer().BOS()
	replace := ok && m.Tokenizer().AddBOS() // llama-perplexity puts it in the place of a window's first token
	sum, same := 0.0, 0
	for w := range base.windows {
		ids := base.tokens[w*base.window:][:base.window]
		if replace {
			ids[0] = bos
		}
		var failed error
		err := m.LogitRows(ctx, ids[:base.window-1], func(i int, logits []float32) {
			if i < base.window/2 || failed != nil {
				return
			}
			if failed = base.next(); failed != nil {
				return
			}
			kl, top := divergence(base.row, logits)
			sum, r.Most = sum+kl, max(r.Most, kl)
			if top {
				same++
			}
			r.Tokens++
		})
		if err = errors.Join(err, failed); err != nil {
			return info, r, err
		}
	}
	r.Mean, r.Top = sum/float64(r.Tokens), float64(same)/float64(r.Tokens)
	return info, r, nil
}

// divergence of the softmax of logits from p, rounded log-probabilities. Both are
// normed first, over the tokens that p knows: of those 16 nats below the likeliest
// it has −Inf.
func divergence(p, logits []float32) (kl float64, sameTop bool) {
	a, b := logSum(p, p), logSum(p, logits)
	i, j := 0, 0
	for k := range p {
		if lp := float64(p[k]) - a; !math.IsInf(lp, -1) {
			kl += math.Exp(lp) * (lp - float64(logits[k]) + b)
		}
		if p[k] > p[i] {
			i = k
		}
		if logits[k] > logits[j] {
			j = k
		}
	}
	return kl, i == j
}

// logSum is log Σ exp(x) over the tokens that p knows.
func logSum(p, x []float32) float64 {
	most := float64(slices.Max(x))
	sum := 0.0
	for k, v := range x {
		if !math.IsInf(float64(p[k]), -1) {
			sum += math.Exp(float64(v) - most)
		}
	}
	return most + math.Log(sum)
}

// base reads llama-perplexity's file, little-endian: "_logits_", int32 window,
// int32 vocabulary, int32 windows, int32 tokens [windows][window], then for each
// place a row of float32 scale and least, and uint16 q [vocabulary, made even]:
// log-probabilities least + scale·q, and with q = 0 what lies below.
type base struct {
	r                      io.Reader
	window, vocab, windows int
	tokens                 []int32
	bytes                  []byte
	row                    []float32
}

func openBase(r io.Reader) (*base, error) {
	b := &base{r: bufio.NewReaderSize(r, 1<<20)}
	var head [8 + 3*4]byte
	if _, err := io.ReadFull(b.r, head[:]); err != nil {
		return nil, fmt.Errorf("base file: %w", err)
	}
	const magic = "_logits_"
	if string(head[:8]) != magic {
		return nil, fmt.Errorf("base file: expected it to begin with %q, found %q", magic, head[:8])
	}
	n := func(i int) int { return int(int32(binary.LittleEndian.Uint32(head[8+4*i:]))) }
	b.window, b.vocab, b.windows = n(0), n(1), n(2)
	const most = 1 << 24
	if b.window < 4 || b.window > most || b.vocab < 1 || b.vocab > most || b.windows < 1 || b.windows > most/b.window {
		return nil, fmt.Errorf("base file: %d windows of %d tokens, of a vocabulary of %d: expected windows of 4 or more, and at most %d tokens", b.windows, b.window, b.vocab, most)
	}
	b.tokens = make([]int32, b.windows*b.window)
	if err := binary.Read(b.r, binary.LittleEndian, b.tokens); err != nil {
		return nil, fmt.Errorf("base file: tokens: %w", err)
	}
	for i, id := range b.tokens {
		if id < 0 || int(id) >= b.vocab {
			return nil, fmt.Errorf("base file: token %d is %d, expected 0 to %d", i, id, b.vocab-1)
		}
	}
	b.bytes = make([]byte, 2*4+2*(b.vocab+b.vocab%2))
	b.row = make([]float32, b.vocab)
	return b, nil
}

// next reads a row.
func (b *base) next() error {
	if _, err := io.ReadFull(b.r, b.bytes); err != nil {
		return fmt.Errorf("base file: log-probabilities: %w", err)
	}
	scale := math.Float32frombits(binary.LittleEndian.Uint32(b.bytes))
	least := math.Float32frombits(binary.LittleEndian.Uint32(b.bytes[4:]))
	for i := range b.row {
		b.row[i] = float32(math.Inf(-1))
		if q := binary.LittleEndian.Uint16(b.bytes[8+2*i:]); q > 0 || scale == 0 {
			b.row[i] = least + scale*float32(q)
		}
	}
	return nil
}
