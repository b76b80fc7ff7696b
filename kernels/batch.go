package kernels

// Batch is the work of one step: chunks of any mix of sequences, prompt and generated tokens alike. Its rows are the chunks'
// tokens, in order. A device keeps no reference to it after Step.
type Batch struct {
	Chunks []Chunk
	Out    []Out
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
	Slot   int       // remembers the sampled id for LastSampled
	Sample *Sampling // draw a token; nil: none
	Target int32     // a token whose log-probability is wanted; -1: none
	Top    int       // how many of the most probable tokens are wanted, with their log-probabilities
	Logits []float32 // [Vocab] receives a copy if not nil
	Hidden []float32 // [Hidden] receives the normed row if not nil

	ID            int32     // result: the sampled token
	Logprob       float64   // result: its log-probability under the model's own distribution (temperature 1, no filters)
	TargetLogprob float64   // result
	TopIDs        []int32   // result: most probable first, ties to the lower id
	TopLogprobs   []float64 // result
}

// Sampling says how to draw a token from logits. The steps, in order: mask, bias, penalties; temperature 0 takes the largest
// (ties go to the lower id); else temperature, then top-k, typical, top-p, min-p, each on the renormalised rest.
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
	Seen        []Count  // the tokens that penalties count
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
