// Package recipe says which block type each tensor of a Llama model gets under the
// names that people use for whole files: "q4_k_m", "q8_0", "f16" and so on. The
// mixtures are llama.cpp's, so a file of a recipe has the size and quality that
// its name makes people expect.
package recipe

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/llama31/llama31/gguf/block"
)

// ErrUnknown is wrapped by [Parse]'s error for a name that is no recipe.
var ErrUnknown = errors.New("unknown recipe")

// Recipe is a mixture of block types.
type Recipe struct {
	Name     string // in lower case
	FileType uint32 // llama.cpp's number for general.file_type

	base   block.Type // of most matrices
	more   block.Type // of attn_v and ffn_down in the layers that profit most
	output block.Type // of the output matrix, of token_embd where that serves as one
	valueG block.Type // of attn_v under grouped-query attention of 4 or more
	early  block.Type // of ffn_down in the first eighth of the layers
}

var recipes = map[string]Recipe{
	"f32":    {FileType: 0, base: block.TypeF32},
	"f16":    {FileType: 1, base: block.TypeF16},
	"bf16":   {FileType: 32, base: block.TypeBF16},
	"q8_0":   {FileType: 7, base: block.TypeQ8_0},
	"q4_0":   {FileType: 2, base: block.TypeQ4_0, output: block.TypeQ6_K},
	"q4_1":   {FileType: 3, base: block.TypeQ4_1, output: block.TypeQ6_K},
	"q5_0":   {FileType: 8, base: block.TypeQ5_0, output: block.TypeQ6_K},
	"q5_1":   {FileType: 9, base: block.TypeQ5_1, output: block.TypeQ6_K},
	"q4_k":   {FileType: 14, base: block.TypeQ4_K, output: block.TypeQ6_K},
	"q4_k_m": {FileType: 15, base: block.TypeQ4_K, more: block.TypeQ6_K, output: block.TypeQ6_K},
	"q5_k":   {FileType: 16, base: block.TypeQ5_K, output: block.TypeQ6_K},
	"q5_k_m": {FileType: 17, base: block.TypeQ5_K, more: block.TypeQ6_K, output: block.TypeQ6_K},
	"q6_k":   {FileType: 18, base: block.TypeQ6_K},
	"q2_k":   {FileType: 10, base: block.TypeQ2_K, output: block.TypeQ6_K, valueG: block.TypeQ4_K, early: block.TypeQ3_K},
	"q3_k":   {FileType: 11, base: block.TypeQ3_K, output: block.TypeQ6_K},
	"iq4_nl": {FileType: 25, base: block.TypeIQ4_NL, output: block.TypeQ6_K, valueG: block.TypeQ5_K, early: block.TypeQ5_K},
	"iq4_xs": {FileType: 30, base: block.TypeIQ4_XS, output: block.TypeQ6_K, valueG: block.TypeQ5_K, early: block.TypeQ5_K},
	// Of one type but for the output, for tests of these formats.
	"iq1_s":   {FileType: 24, base: block.TypeIQ1_S, output: block.TypeQ6_K},
	"iq1_m":   {FileType: 31, base: block.TypeIQ1_M, output: block.TypeQ6_K},
	"iq2_xxs": {FileType: 19, base: block.TypeIQ2_XXS, output: block.TypeQ6_K},
	"iq2_xs":  {FileType: 20, base: block.TypeIQ2_XS, output: block.TypeQ6_K},
	"iq2_s":   {FileType: 28, base: block.TypeIQ2_S, output: block.TypeQ6_K},
	"iq3_xxs": {FileType: 23, base: block.TypeIQ3_XXS, output: block.TypeQ6_K},
	"iq3_s":   {FileType: 26, base: block.TypeIQ3_S, output: block.TypeQ6_K},
	"tq1_0":   {FileType: 36, base: block.TypeTQ1_0, output: block.TypeQ6_K},
	"tq2_0":   {FileType: 37, base: block.TypeTQ2_0, output: block.TypeQ6_K},
}

// Names are all recipes, sorted.
func Names() []string {
	var names []string
	for name := range recipes {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Parse finds a recipe by its name; case does not matter, and q4_k_s is q4_k.
func Parse(name string) (Recipe, error) {
	key := strings.ToLower(name)
	if short, ok := strings.CutSuffix(key, "_k_s"); ok {
		key = short + "_k"
	}
	r, ok := recipes[key]
	if !ok {
		return Recipe{}, fmt.Errorf("%w %q (known: %s)", ErrUnknown, name, strings.Join(Names(), ", "))
	}
	r.Name = key
	return r, nil
}

// Model is what a mixture depends on.
type Model struct {
	Layers         int
	Heads, KVHeads int
	Tied           bool // token_embd.weight serves as the output matrix too
}

// Type is the block type of the tensor of that name and shape (rows first). Norms
// and other vectors stay F32. Where rows are not whole blocks of the type wanted,
// a type of about the same precision with smaller blocks takes its place.
func (r Recipe) Type(name string, shape []int, m Model) block.Type {
	if len(shape) < 2 {
		return block.TypeF32
	}
	return fit(r.wanted(name, m), shape[len(shape)-1])
}

func (r Recipe) wanted(name string, m Model) block.Type {
	var layer int
	part := name
	if _, err := fmt.Sscanf(name, "blk.%d.", &layer); err == nil {
		part = name[strings.Index(name[4:], ".")+5:]
	}
	switch {
	case r.output != 0 && (part == "output.weight" || part == "token_embd.weight" && m.Tied):
		return r.output
	case part == "attn_v.weight" && r.valueG != 0 && m.KVHeads > 0 && m.Heads/m.KVHeads >= 4:
		return r.valueG
	case part == "attn_v.weight" && r.more != 0:
		t := r.base
		if moreBits(layer, m.Layers) {
			t = r.more
		}
		// Eight heads share these weights in the 70B; one bit more costs little.
		if m.Layers == 80 && m.Heads == 8*m.KVHeads && t == block.TypeQ4_K {
			t = block.TypeQ5_K
		}
		return t
	case part == "ffn_down.weight" && r.more != 0 && moreBits(layer, m.Layers):
		return r.more
	case part == "ffn_down.weight" && r.early != 0 && layer < m.Layers/8:
		return r.early
	}
	return r.base
}

// moreBits picks the first and the last eighth of the layers and every third in
// between.
func moreBits(layer, layers int) bool {
	return layer < layers/8 || layer >= 7*layers/8 || (layer-layers/8)%3 == 2
}

// fit replaces a type whose blocks are longer than a row allows.
func fit(t block.Type, cols int) block.Type {
	if cols%t.Len() == 0 {
		return t
	}
	small := block.TypeQ4_0
	switch t {
	case block.TypeQ4_K:
		small = block.TypeQ5_0
	case block.TypeQ5_K:
		small = block.TypeQ5_1
	case block.TypeQ6_K:
		small = block.TypeQ8_0
	case block.TypeIQ4_XS, block.TypeQ2_K, block.TypeQ3_K, block.TypeIQ3_S, block.TypeIQ3_XXS, block.TypeIQ2_S, block.TypeIQ2_XS, block.TypeIQ2_XXS, block.TypeIQ1_S, block.TypeIQ1_M:
		small = block.TypeIQ4_NL
	}
	if cols%small.Len() == 0 {
		return small
	}
	return block.TypeF16
}
