package kernels

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// sampleScratch is what sampleRow keeps between calls, so that it allocates nothing once it has seen a vocabulary. The zero
// value is ready. One goroutine at a time.
type sampleScratch struct {
	ids    []int32   // candidates, ascending
	keys   []uint32  // their order, see orderKey
	probs  []float64 // their probabilities, up to a common factor
	undo   []Bias    // logits that bias and penalties replaced
	counts [1 << 11]int
	masses [1 << 11]float64
}

// Sampler does to rows of logits what their Outs ask for, for devices that copy them to host memory. The zero value is ready. One
// goroutine at a time.
type Sampler struct{ scratch sampleScratch }

// Row fills in o's results from logits [Vocab], which are changed meanwhile and restored, but for infinities that are replaced.
func (s *Sampler) Row(o *Out, logits []float32) { sampleRow(o, logits, nil, &s.scratch) }

// sampleRow does to one row of logits what o asks for. It is the meaning of [Out] and [Sampling], for every device that has its
// logits in host memory. stats, if not nil, are those of every statsChunk logits: a device that has just computed them in parts,
// by many workers, can add them at once, in place of a pass over the vocabulary by one.
//
// A NaN counts as -Inf, +Inf as the largest float32: neither is drawn, nor hides the rest. logits may be changed while
// sampleRow runs and is as before when it returns, but for infinities that were replaced.
func sampleRow(o *Out, logits []float32, stats []rowStats, s *sampleScratch) {
	if o.Logits != nil {
		copy(o.Logits, logits)
	}
	o.TopIDs, o.TopLogprobs = o.TopIDs[:0], o.TopLogprobs[:0]
	if o.Sample == nil && o.Target < 0 && o.Top <= 0 {
		return
	}
	all := mergeStats(logits, stats)
	if all.top == inf32 {
		for i, l := range logits {
			if l == inf32 {
				logits[i] = math.MaxFloat32
			}
		}
		all = mergeStats(logits, nil)
	}
	z := float64(all.top) + math.Log(all.sum)
	logprob := func(id int32) float64 {
		if l := logits[id]; l > -inf32 {
			return float64(l) - z
		}
		return math.Inf(-1)
	}
	if o.Target >= 0 {
		o.TargetLogprob = math.Inf(-1)
		if int(o.Target) < len(logits) {
			o.TargetLogprob = logprob(o.Target)
		}
	}
	if o.Top > 0 {
		o.TopIDs = s.best(o.TopIDs, logits, o.Top)
		for _, id := range o.TopIDs {
			o.TopLogprobs = append(o.TopLogprobs, logprob(id))
		}
	}
	if o.Sample != nil {
		p := o.Sample
		if o.ID = all.id; p.Temperature > 0 || p.Mask != nil || len(p.Bias) > 0 || len(p.Seen) > 0 {
			o.ID = s.draw(logits, p)
		}
		if o.Logprob = math.Inf(-1); o.ID >= 0 {
			o.Logprob = logprob(o.ID)
		}
	}
}

var inf32 = float32(math.Inf(1))

// statsChunk is how many logits a rowStats summarises: a constant, so that sums have the same bits whoever computes them.
const statsChunk = 2048

// rowStats summarises some logits.
type rowStats struct {
	top float32 // the largest, -Inf if all are NaN
	id  int32   // the lowest that has it, -1 if it is -Inf
	sum float64 // Σ exp(logit - top)
}

// statsOf summarises logits, the first of which is that of token first.
func statsOf(logits []float32, first int) rowStats {
	s := rowStats{top: -inf32, id: -1}
	for i, l := range logits {
		if l > s.top { // false for NaN
			s.top, s.id = l, int32(first+i)
		}
	}
	for _, l := range logits {
		if x := float64(l) - float64(s.top); x > -700 { // false for NaN
			s.sum += expNeg(x)
		}
	}
	return s
}

// mergeStats summarises a row from the stats of its chunks, in order; nil: they are computed.
func mergeStats(logits []float32, stats []rowStats) rowStats {
	all := rowStats{top: -inf32, id: -1}
	for first := 0; first < len(logits); first += statsChunk {
		var c rowStats
		if stats != nil {
			c = stats[first/statsChunk]
		} else {
			c = statsOf(logits[first:min(first+statsChunk, len(logits))], first)
		}
		switch {
		case c.id < 0:
		case c.top > all.top:
			all.top, all.id, all.sum = c.top, c.id, all.sum*math.Exp(float64(all.top)-float64(c.top))+c.sum
		default:
			all.sum += c.sum * math.Exp(float64(c.top)-float64(all.top))
		}
	}
	return all
}

// pow2 has the bits of 2^(i/256).
var pow2 = func() (t [256]uint64) {
	for i := range t {
		t[i] = math.Float64bits(math.Exp2(float64(i) / 256))
	}
	return t
}()

// expNeg is e^x for -700 < x <= 0 with a relative error below 3e-13: 2^(k/256), from a table, times e^r with |r| <= ln 2/512. It
// is small enough to be inlined, which counts over a vocabulary of 128,256.
func expNeg(x float64) float64 {
	const magic = 0x1.8p52 // adding it rounds to an integer, which is then in the low bits
	k := x*(256/math.Ln2) + magic
	n := math.Float64bits(k) - math.Float64bits(magic)
	r := x - (k-magic)*(math.Ln2/256)
	return math.Float64frombits(pow2[n&255]+n>>8<<52) * (1 + r*(1+r*(1./2+r*(1./6))))
}

// orderKey maps logits to integers of the same order; NaN is as -Inf, -0 as 0.
func orderKey(l float32) uint32 {
	if l != l {
		l = -inf32
	}
	b := math.Float32bits(l + 0)
	if b>>31 != 0 {
		return ^b
	}
	return b | 1<<31
}

// best appends the ids of the n largest logits to dst, largest first, ties to the lower id.
func (s *sampleScratch) best(dst []int32, logits []float32, n int) []int32 {
	s.keys = slices.Grow(s.keys[:0], len(logits))[:len(logits)]
	for i, l := range logits {
		s.keys[i] = orderKey(l)
	}
	last, ties := s.boundary(s.keys, nil, float64(min(n, len(logits))))
	for id, k := range s.keys {
		if k > last || k == last && ties > 0 {
			if k == last {
				ties--
			}
			dst = append(dst, int32(id))
		}
	}
	slices.SortFunc(dst, func(a, b int32) int {
		if c := cmp.Compare(s.keys[b], s.keys[a]); c != 0 {
			return c
		}
		return cmp.Compare(a, b)
	})
	return dst
}

// draw changes the logits as p says, draws, and changes them back. -1: no token is allowed.
func (s *sampleScratch) draw(logits []float32, p *Sampling) int32 {
	s.undo = s.undo[:0]
	set := func(id int32, l float32) {
		s.undo = append(s.undo, Bias{id, logits[id]})
		logits[id] = min(l, math.MaxFloat32) // a NaN stays one
	}
	for _, b := range p.Bias {
		if b.ID >= 0 && int(b.ID) < len(logits) {
			set(b.ID, logits[b.ID]+b.Value)
		}
	}
	repeat := float32(p.Repeat)
	if !(repeat > 0) {
		repeat = 1
	}
	for _, c := range p.Seen {
		if c.ID < 0 || int(c.ID) >= len(logits) || c.N <= 0 {
			continue
		}
		l := logits[c.ID]
		if l > 0 {
			l /= repeat
		} else {
			l *= repeat
		}
		set(c.ID, l-float32(p.Frequency*float64(c.N)+p.Presence))
	}
	var id int32
	if p.Temperature > 0 {
		id = s.random(logits, p)
	} else {
		id = greedy(logits, p.Mask)
	}
	for i := len(s.undo) - 1; i >= 0; i-- {
		logits[s.undo[i].ID] = s.undo[i].Value
	}
	return id
}

// greedy is the allowed id with the largest logit, the lowest such; -1 if there is none above -Inf.
func greedy(logits []float32, mask []uint32) int32 {
	id, top := int32(-1), -inf32
	if mask == nil {
		for i, l := range logits {
			if l > top {
				id, top = int32(i), l
			}
		}
		return id
	}
	for w, m := range mask {
		for ; m != 0; m &= m - 1 {
			i := 32*w + bits.TrailingZeros32(m)
			if i >= len(logits) {
				return id
			}
			if l := logits[i]; l > top {
				id, top = int32(i), l
			}
		}
	}
	return id
}

// random draws at a temperature above 0.
func (s *sampleScratch) random(logits []float32, p *Sampling) int32 {
	s.candidates(logits, p.Mask)
	if len(s.ids) == 0 {
		return -1
	}
	if p.TopK > 0 && p.TopK < len(s.ids) {
		s.probs = s.probs[:0]
		s.keep(s.boundary(s.keys, nil, float64(p.TopK)))
	}

	top := -inf32
	for _, id := range s.ids {
		top = max(top, logits[id])
	}
	s.probs = slices.Grow(s.probs[:0], len(s.ids))[:len(s.ids)]
	total := 0.0
	for i, id := range s.ids {
		w := 0.0
		if x := (float64(logits[id]) - float64(top)) / p.Temperature; x > -700 {
			w = expNeg(x)
		}
		s.probs[i] = w
		total += w
	}

	if p.Typical > 0 && p.Typical < 1 {
		// Locally typical sampling (Meister et al. 2022): tokens whose surprise is closest to the entropy come first.
		entropy := 0.0
		for _, w := range s.probs {
			if w > 0 {
				entropy -= w / total * math.Log(w/total)
			}
		}
		for i, w := range s.probs {
			s.keys[i] = ^math.Float32bits(float32(math.Abs(-math.Log(w/total) - entropy)))
		}
		s.keep(s.boundary(s.keys, s.probs, p.Typical*total))
		total = 0
		for i, id := range s.ids {
			s.keys[i] = orderKey(logits[id])
			total += s.probs[i]
		}
	}
	if p.TopP > 0 && p.TopP < 1 {
		// Nucleus sampling (Holtzman et al. 2020).
		s.keep(s.boundary(s.keys, s.probs, p.TopP*total))
	}
	if p.MinP > 0 {
		least := min(p.MinP, 1) * slices.Max(s.probs)
		for i, w := range s.probs {
			if w < least {
				s.probs[i] = 0
			}
		}
	}

	total = 0
	for _, w := range s.probs {
		total += w
	}
	// The kept tokens divide [0, 1) in order of their ids.
	id, sum, at := int32(-1), 0.0, p.Draw*total
	for i, w := range s.probs {
		if w > 0 {
			id = s.ids[i]
			if sum += w; sum > at {
				break
			}
		}
	}
	return id
}

// candidates collects the allowed ids whose logits are above -Inf.
func (s *sampleScratch) candidates(logits []float32, mask []uint32) {
	ids, keys := slices.Grow(s.ids[:0], len(logits))[:len(logits)], slices.Grow(s.keys[:0], len(logits))[:len(logits)]
	n := 0
	for i, l := range logits {
		if mask != nil && (i/32 >= len(mask) || mask[i/32]>>(i%32)&1 == 0) {
			continue
		}
		if l > -inf32 {
			ids[n], keys[n] = int32(i), orderKey(l)
			n++
		}
	}
	s.ids, s.keys = ids[:n], keys[:n]
}

// keep drops the candidates whose key is below last, and of those that have it all but the first ties.
func (s *sampleScratch) keep(last uint32, ties int) {
	n := 0
	for i, k := range s.keys {
		if k < last || k == last && ties == 0 {
			continue
		}
		if k == last {
			ties--
		}
		s.ids[n], s.keys[n] = s.ids[i], k
		if len(s.probs) > 0 {
			s.probs[n] = s.probs[i]
		}
		n++
	}
	s.ids, s.keys, s.probs = s.ids[:n], s.keys[:n], s.probs[:min(n, len(s.probs))]
}

// boundary finds where a descending walk over keys, ties in index order, has gathered at least want of mass (nil: 1 each): at
// the ties-th entry whose key is last. At least one entry is gathered. It is a radix select, 11 bits at a time: linear, whatever
// the logits.
func (s *sampleScratch) boundary(keys []uint32, mass []float64, want float64) (last uint32, ties int) {
	have := 0.0 // mass of the entries above those that share last's digits so far
	for _, shift := range [3]int{22, 11, 0} {
		higher := ^uint32(0) << (shift + 11) // 0 for the first digit, which has 10 bits
		clear(s.counts[:])
		clear(s.masses[:])
		for i, k := range keys {
			if (k^last)&higher != 0 {
				continue
			}
			digit := k >> shift & (1<<11 - 1)
			s.counts[digit]++
			if mass == nil {
				s.masses[digit]++
			} else {
				s.masses[digit] += mass[i]
			}
		}
		found := -1
		for digit := len(s.counts) - 1; digit >= 0; digit-- {
			if s.counts[digit] == 0 {
				continue
			}
			if found >= 0 {
				have += s.masses[found]
			}
			if found = digit; have+s.masses[digit] >= want {
				break
			}
		}
		last |= uint32(max(found, 0)) << shift
	}
	for i, k := range keys {
		if k != last {
			continue
		}
		ties++
		if mass == nil {
			have++
		} else {
			have += mass[i]
		}
		if have >= want {
			break
		}
	}
	return last, ties
}
