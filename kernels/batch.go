package kernels

import (
	"errors"
	"fmt"
)

// Batch is the work of one step: chunks of any mix of sequences, prompt and generated tokens alike. Its rows are the chunks'
// tokens, in order. A device keeps no reference to it after Step.
type Batch struct {
	Chunks []Chunk
	Out    []Out

	// Enter and Leave are [rows, Hidden], for a device that runs some of a model's layers: the residual stream that the step begins with,
	// where forward does not Embed, and where it goes at the end. nil: none.
	Enter, Leave []float32
}

// Chunk is a run of consecutive tokens of one sequence.
type Chunk struct {
	Slot  int     // the sequence, below Shape.Slots
	Pos   int     // position of the first token
	IDs   []int32 // tokens; LastSampled stands for what this slot sampled last
	Pages []int32 // the sequence's page table: position p lies in Pages[p/PageSize]
}

// LastSampled as a token id stands for the id that the slot sampled in the step before.
const LastSampled int32 = -1

// Rows counts the batch's rows.
func (b *Batch) Rows() int {
	n := 0
	for i := range b.Chunks {
		n += len(b.Chunks[i].IDs)
	}
	return n
}

// Out is a row whose logits are wanted, with what to do with them, and the result.
type Out struct {
	Row    int       // index among the batch's rows, ascending in Batch.Out
	Slot   int       // remembers the sampled id for LastSampled; of several rows the last
	Sample *Sampling // draw a token; nil: none
	Target int32     // a token whose log-probability is wanted; -1: none
	Top    int       // how many of the most probable tokens are wanted, with their log-probabilities
	Logits []float32 // [Vocab] receives a copy if not nil
	Hidden []float32 // [Hidden] receives the normed row if not nil

	ID            int32     // result: the sampled token; -1 if mask, bias and logits leave none (Logprob is then -Inf)
	Logprob       float64   // result: its log-probability under the model's own distribution (temperature 1, no filters)
	TargetLogprob float64   // result
	TopIDs        []int32   // result: most probable first, ties to the lower id
	TopLogprobs   []float64 // result
}

// Sampling says how to draw a token from logits. The steps, in order: mask, bias, penalties; temperature 0 takes the largest
// (ties go to the lower id); else temperature, then top-k, typical, top-p, min-p, each on the renormalised rest, and Draw.
//
// Top-k keeps the k most probable tokens; typical and top-p keep the fewest whose probabilities add up to the value, beginning
// with those of surprise closest to the entropy (compared as float32), and with the most probable; min-p keeps those with at
// least that fraction of the largest probability. Ties go to the lower id everywhere. The kept tokens then divide [0, 1) in order
// of their ids. Ids outside the vocabulary are ignored, and so are ids above the mask's last bit.
type Sampling struct {
	Temperature float64
	TopK        int      // 0: all
	TopP        float64  // 0 or 1: all
	MinP        float64  // 0: all
	Typical     float64  // 0 or 1: all
	Draw        float64  // uniform in [0, 1): picks the token, so a device needs no random state
	Mask        []uint32 // bit id%32 of word id/32 set: allowed; nil: all allowed
	Bias        []Bias   // added to logits
	Repeat      float64  // 0 or 1: off; logits of Seen tokens are divided (if positive) or multiplied by it (Keskar et al. 2019)
	Frequency   float64  // subtracted per occurrence
	Presence    float64  // subtracted once
	Seen        []Count  // the tokens that penalties count, each once
}

// Check says whether a device of shape s, with a KV cache of the given pages, can run the batch.
func (b *Batch) Check(s *Shape, pages int) error {
	rows := b.Rows()
	switch {
	case rows == 0:
		return errors.New("batch: no rows")
	case rows > s.MaxRows:
		return fmt.Errorf("batch: %d rows, at most %d fit", rows, s.MaxRows)
	case len(b.Out) > s.MaxOut:
		return fmt.Errorf("batch: %d Out rows, at most %d fit", len(b.Out), s.MaxOut)
	case b.Enter != nil && len(b.Enter) != rows*s.Hidden, b.Leave != nil && len(b.Leave) != rows*s.Hidden:
		return fmt.Errorf("batch: a residual stream of %d and %d values, expected %d rows of %d", len(b.Enter), len(b.Leave), rows, s.Hidden)
	}
	for i := range b.Chunks {
		c := &b.Chunks[i]
		end := c.Pos + len(c.IDs)
		switch {
		case c.Slot < 0 || c.Slot >= s.Slots:
			return fmt.Errorf("batch: chunk %d: slot %d of %d", i, c.Slot, s.Slots)
		case c.Pos < 0:
			return fmt.Errorf("batch: chunk %d: position %d", i, c.Pos)
		case len(c.Pages)*PageSize < end:
			return fmt.Errorf("batch: chunk %d: %d pages of %d do not hold %d positions", i, len(c.Pages), PageSize, end)
		}
		for j := range (end + PageSize - 1) / PageSize {
			if p := c.Pages[j]; p < 0 || int(p) >= pages {
				return fmt.Errorf("batch: chunk %d: page %d of %d", i, p, pages)
			}
		}
		for _, id := range c.IDs {
			if id != LastSampled && (id < 0 || int(id) >= s.Vocab) {
				return fmt.Errorf("batch: chunk %d: token %d of a vocabulary of %d", i, id, s.Vocab)
			}
		}
	}
	for i := range b.Out {
		o := &b.Out[i]
		switch {
		case o.Row < 0 || o.Row >= rows || i > 0 && o.Row <= b.Out[i-1].Row:
			return fmt.Errorf("batch: Out %d: row %d of %d, or not ascending", i, o.Row, rows)
		case o.Slot < 0 || o.Slot >= s.Slots:
			return fmt.Errorf("batch: Out %d: slot %d of %d", i, o.Slot, s.Slots)
		case o.Target >= 0 && int(o.Target) >= s.Vocab:
			return fmt.Errorf("batch: Out %d: target %d of a vocabulary of %d", i, o.Target, s.Vocab)
		case o.Logits != nil && len(o.Logits) != s.Vocab, o.Hidden != nil && len(o.Hidden) != s.Hidden:
			return fmt.Errorf("batch: Out %d: room for %d logits and %d of the hidden row, expected %d and %d", i, len(o.Logits), len(o.Hidden), s.Vocab, s.Hidden)
		}
	}
	return nil
}

// Bias is added to a token's logit.
type Bias struct {
	ID    int32
	Value float32
}

// Count is how often a token occurred.
type Count struct {
	ID int32
	N  int32
}
