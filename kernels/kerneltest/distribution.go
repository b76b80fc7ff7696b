package kerneltest

import (
	"cmp"
	"math"
	"slices"

	"github.com/llama31/llama31/kernels"
)

// Distribution is the definition of [kernels.Sampling] with the least cleverness: the probability of each token, in float64, by
// sorting the whole vocabulary. All are 0 if no token is allowed. Draw is not used.
func Distribution(logits []float32, p *kernels.Sampling) []float64 {
	l := make([]float64, len(logits))
	for i, v := range logits {
		switch {
		case v != v, p.Mask != nil && (i/32 >= len(p.Mask) || p.Mask[i/32]&(1<<(i%32)) == 0):
			l[i] = math.Inf(-1)
		default:
			l[i] = math.Min(float64(v), math.MaxFloat32)
		}
	}
	for _, b := range p.Bias {
		if int(b.ID) < len(l) {
			l[b.ID] = float64(float32(l[b.ID]) + b.Value)
		}
	}
	for _, c := range p.Seen {
		if int(c.ID) >= len(l) || c.N < 1 {
			continue
		}
		v := float32(l[c.ID])
		if p.Repeat != 0 && v > 0 {
			v /= float32(p.Repeat)
		} else if p.Repeat != 0 {
			v *= float32(p.Repeat)
		}
		l[c.ID] = float64(v - float32(p.Frequency*float64(c.N)+p.Presence))
	}

	var ids []int // the rest
	for i := range l {
		if l[i] > math.Inf(-1) {
			ids = append(ids, i)
		}
	}
	result := make([]float64, len(l))
	if len(ids) == 0 {
		return result
	}
	likely := func(a, b int) int {
		if c := cmp.Compare(l[b], l[a]); c != 0 {
			return c
		}
		return cmp.Compare(a, b)
	}
	slices.SortFunc(ids, likely)
	if p.Temperature == 0 {
		result[ids[0]] = 1
		return result
	}
	normalise := func() {
		top := math.Inf(-1)
		for _, id := range ids {
			top = math.Max(top, l[id])
		}
		clear(result)
		sum := 0.0
		for _, id := range ids {
			result[id] = math.Exp((l[id] - top) / p.Temperature)
			sum += result[id]
		}
		for _, id := range ids {
			result[id] /= sum
		}
	}
	prefix := func(want float64) {
		sum := 0.0
		for i, id := range ids {
			if sum += result[id]; sum >= want {
				ids = ids[:i+1]
				break
			}
		}
		normalise()
	}
	if p.TopK > 0 {
		ids = ids[:min(p.TopK, len(ids))]
	}
	normalise()
	if p.Typical > 0 && p.Typical < 1 {
		entropy := 0.0
		for _, id := range ids {
			if result[id] > 0 {
				entropy -= result[id] * math.Log(result[id])
			}
		}
		far := func(id int) float32 { return float32(math.Abs(-math.Log(result[id]) - entropy)) }
		slices.SortFunc(ids, func(a, b int) int {
			if c := cmp.Compare(far(a), far(b)); c != 0 {
				return c
			}
			return cmp.Compare(a, b)
		})
		prefix(p.Typical)
		slices.SortFunc(ids, likely)
	}
	if p.TopP > 0 && p.TopP < 1 {
		prefix(p.TopP)
	}
	if p.MinP > 0 {
		least := math.Min(p.MinP, 1) * result[ids[0]]
		ids = slices.DeleteFunc(ids, func(id int) bool { return result[id] < least })
		normalise()
	}
	return result
}
