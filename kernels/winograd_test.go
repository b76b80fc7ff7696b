package kernels

import (
	"fmt"
	"slices"
	"testing"

	"github.com/llama31/llama31/gguf/block"
)

// winogradTypes are the types whose panels are multiplied in pairs.
func winogradTypes() []block.Type {
	var ts []block.Type
	for _, ty := range sortedTypes(formats) {
		if formats[ty].limit() < 127 {
			ts = append(ts, ty)
		}
	}
	return ts
}

func TestLimit(t *testing.T) {
	want := map[block.Type]int32{
		block.TypeQ4_0: 118, block.TypeQ4_1: 118, block.TypeQ4_K: 118,
		block.TypeQ5_0: 112, block.TypeQ5_1: 112, block.TypeQ5_K: 112,
		block.TypeQ6_K: 96, block.TypeQ2_K: 105, block.TypeQ3_K: 118,
		block.TypeIQ1_S: 118, block.TypeIQ1_M: 118, block.TypeIQ3_S: 112, block.TypeIQ3_XXS: 96,
		block.TypeIQ2_XXS: 84, block.TypeIQ2_XS: 84, block.TypeIQ2_S: 84,
		block.TypeTQ1_0: 118, block.TypeTQ2_0: 118,
	}
	for ty, f := range formats {
		limit := want[ty]
		if limit == 0 {
			limit = 127
		}
		if got := f.limit(); got != limit {
			t.Errorf("%v's limit is %d, expected %d", ty, got, limit)
		}
		if limit == 127 {
			continue
		}
		for _, stored := range []uint8{f.min, f.max} {
			for _, a := range []int32{-limit, limit} {
				if s := int32(stored) - f.mid() + a; s < -128 || s > 127 {
					t.Errorf("%v: %d with an activation of %d is %d, which is no byte", ty, stored, a, s)
				}
			}
		}
	}
}

// TestWinograd compares with the plain product of the same panel, bit for bit; extremes of both sides are among its values.
func TestWinograd(t *testing.T) {
	eachLeaf(t, func(t *testing.T, l *leaf) {
		w := l.winograd
		if w == nil {
			plain := *l
			plain.abreast = 1
			l = &plain
			w = &winogradLeaf{panel: winogradPanelGeneric, tile: func(f *format, nb int, a *int8, init *int32) { winogradTileGeneric(f, nb, a, init, l.tile) },
				mul: func(f *format, a *mulArgs) { mulWinogradGeneric(f, a, l.tile) }}
		}
		for _, ty := range winogradTypes() {
			f := formats[ty]
			t.Run(ty.String(), func(t *testing.T) {
				m := &memory{t: t}
				for _, nb := range blockCounts() {
					r, shift, T := newRandom(nb, int(ty)), nb%3, l.tile
					a := mulArgsFor(l, nb, 1)
					q, act := buffer[byte](m, a.apart+512*nb, shift), buffer[int8](m, 32*T*nb, shift)
					r.stored(f, q)
					limit := int(f.limit())
					for run := range slices.Chunk(act, 128) {
						extreme, side := r.IntN(4) == 0, int8(limit*(r.IntN(2)*2-1))
						for i := range run {
							if run[i] = int8(r.IntN(2*limit+1) - limit); extreme {
								run[i] = side
							}
						}
					}
					scale, off := buffer[float32](m, a.apart/4+16*f.scales*nb, shift), buffer[float32](m, a.apart/4+16*f.offs*nb, shift)
					as, sum := buffer[float32](m, T*nb, shift), buffer[float32](m, f.offs*T*nb, shift)
					init, cross := buffer[int32](m, f.scales*T*nb, shift), buffer[int32](m, a.apart/4+16*f.scales*nb, shift)
					for _, x := range [][]float32{scale, off, as, sum} {
						r.floats(x)
					}
					a.a, a.as, a.sum, a.init = &act[0], &as[0], ptr(sum), &init[0]

					// of has what mul takes of panel p, which writes to c.
					of := func(p int, c []float32) *mulArgs {
						b, w := *a, p*a.apart
						b.q, b.scale, b.off, b.cross, b.c = &q[w], &scale[w/4], ptr(off[w/4:]), &cross[w/4], &c[16*p]
						return &b
					}
					want := make([]float32, (T-1)*a.ldc+16*l.abreast)
					biasesOf(f, act, init, nb, T)
					for p := range l.abreast {
						mulGeneric(f, of(p, want), T)
					}

					factors, crosses, inits := slices.Clone(q), slices.Clone(cross), slices.Clone(init)
					winogradTileGeneric(f, nb, &act[0], &inits[0], T)
					w.tile(f, nb, &act[0], &init[0])
					for at := 0; at <= a.apart; at += max(1, a.apart) {
						winogradPanelGeneric(f, nb, &factors[at], &crosses[at/4])
						w.panel(f, nb, &q[at], &cross[at/4])
					}
					same(t, fmt.Sprintf("nb %d: factors", nb), q, factors)
					same(t, fmt.Sprintf("nb %d: cross", nb), cross, crosses)
					same(t, fmt.Sprintf("nb %d: init", nb), init, inits)

					got := make([]float32, len(want))
					for p := range l.abreast {
						mulWinogradGeneric(f, of(p, got), T)
					}
					sameBits(t, fmt.Sprintf("nb %d: c of plain Go", nb), got, want)
					got = buffer[float32](m, len(want), shift)
					w.mul(f, of(0, got))
					sameBits(t, fmt.Sprintf("nb %d: c", nb), got, want)
					m.done()
				}
			})
		}
	})
}
