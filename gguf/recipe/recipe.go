// Package recipe says which block type each tensor of a Llama model gets under the
// names that people use for whole files: "q4_k_m", "q8_0", "f16" and so on. The
// mixtures are those of llama.cpp's llama-quantize without an importance matrix, so
// a file of a recipe has the size and quality that its name makes people expect
// (testdata/mixtures.txt has what llama-quantize gave ten models).
package recipe

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/llama31/llama31/gguf/block"
)

// ErrUnknown is wrapped by [Parse]'s error for a name that is no recipe.
var ErrUnknown = errors.New("unknown recipe")

// Recipe is a mixture of block types.
type Recipe struct {
	Name     string // in lower case
	FileType uint32 // llama.cpp's number for general.file_type

	base  block.Type
	parts map[string][]rule // of a layer that get another type than base
}

// A rule gives a type to the layers that it picks. The first one that fits counts.
type rule struct {
	t     block.Type
	picks func(layer int, m Model) bool
}

func all(int, Model) bool               { return true }
func firstTwo(layer int, _ Model) bool  { return layer < 2 }
func firstFour(layer int, _ Model) bool { return layer < 4 }
func sixteenth(layer int, m Model) bool { return layer < m.Layers/16 }
func eighth(layer int, m Model) bool    { return layer < m.Layers/8 }

// more picks the first and the last eighth and every third layer in between.
func more(layer int, m Model) bool {
	return eighth(layer, m) || layer >= 7*m.Layers/8 || (layer-m.Layers/8)%3 == 2
}

// grouped picks attn_v where four or more heads share it, so that it is small.
func grouped(_ int, m Model) bool { return m.KVHeads > 0 && m.Heads/m.KVHeads >= 4 }

var recipes = map[string]Recipe{
	"f32":  {FileType: 0, base: block.TypeF32},
	"f16":  {FileType: 1, base: block.TypeF16},
	"bf16": {FileType: 32, base: block.TypeBF16},
	"q8_0": {FileType: 7, base: block.TypeQ8_0},
	"q4_0": {FileType: 2, base: block.TypeQ4_0},
	"q4_1": {FileType: 3, base: block.TypeQ4_1},
	"q5_0": {FileType: 8, base: block.TypeQ5_0},
	"q5_1": {FileType: 9, base: block.TypeQ5_1},
	"q2_k": {FileType: 10, base: block.TypeQ2_K, parts: map[string][]rule{
		"attn_v":      {{block.TypeQ4_K, grouped}, {block.TypeQ3_K, all}},
		"attn_output": {{block.TypeQ3_K, all}},
		"ffn_down":    {{block.TypeQ3_K, all}},
	}},
	"q3_k_s": {FileType: 11, base: block.TypeQ3_K},
	"q3_k_m": {FileType: 12, base: block.TypeQ3_K, parts: map[string][]rule{
		"attn_v":      {{block.TypeQ5_K, firstTwo}, {block.TypeQ4_K, all}},
		"attn_output": {{block.TypeQ4_K, all}},
		"ffn_down":    {{block.TypeQ5_K, sixteenth}, {block.TypeQ4_K, all}},
	}},
	"q3_k_l": {FileType: 13, base: block.TypeQ3_K, parts: map[string][]rule{
		"attn_v":      {{block.TypeQ5_K, all}},
		"attn_output": {{block.TypeQ5_K, all}},
		"ffn_down":    {{block.TypeQ5_K, all}},
	}},
	"q4_k_s": {FileType: 14, base: block.TypeQ4_K, parts: map[string][]rule{
		"attn_v":   {{block.TypeQ5_K, firstFour}},
		"ffn_down": {{block.TypeQ5_K, eighth}},
	}},
	"q4_k_m": {FileType: 15, base: block.TypeQ4_K, parts: map[string][]rule{
		"attn_v":   {{block.TypeQ6_K, more}},
		"ffn_down": {{block.TypeQ6_K, more}},
	}},
	"q5_k_s": {FileType: 16, base: block.TypeQ5_K},
	"q5_k_m": {FileType: 17, base: block.TypeQ5_K, parts: map[string][]rule{
		"attn_v":   {{block.TypeQ6_K, more}},
		"ffn_down": {{block.TypeQ6_K, more}},
	}},
	"q6_k": {FileType: 18, base: block.TypeQ6_K},
	"iq4_nl": {FileType: 25, base: block.TypeIQ4_NL, parts: map[string][]rule{
		"attn_v":   {{block.TypeQ5_K, grouped}},
		"ffn_down": {{block.TypeQ5_K, eighth}},
	}},
	"iq4_xs": {FileType: 30, base: block.TypeIQ4_XS, parts: map[string][]rule{
		"attn_v":   {{block.TypeQ5_K, grouped}},
		"ffn_down": {{block.TypeQ5_K, eighth}},
	}},
	// Of one type but for the output, for tests of these formats: there is no
	// quantiser for them here.
	"iq1_s":   {FileType: 24, base: block.TypeIQ1_S},
	"iq1_m":   {FileType: 31, base: block.TypeIQ1_M},
	"iq2_xxs": {FileType: 19, base: block.TypeIQ2_XXS},
	"iq2_xs":  {FileType: 20, base: block.TypeIQ2_XS},
	"iq2_s":   {FileType: 28, base: block.TypeIQ2_S},
	"iq3_xxs": {FileType: 23, base: block.TypeIQ3_XXS},
	"iq3_s":   {FileType: 26, base: block.TypeIQ3_S},
	"tq1_0":   {FileType: 36, base: block.TypeTQ1_0},
	"tq2_0":   {FileType: 37, base: block.TypeTQ2_0},
}

// short are llama.cpp's short names.
var short = map[string]string{"q3_k": "q3_k_m", "q4_k": "q4_k_m", "q5_k": "q5_k_m"}

// Names are all recipes, sorted.
func Names() []string { return slices.Sorted(maps.Keys(recipes)) }

// Parse finds a recipe by its name; case does not matter, and q3_k, q4_k and q5_k
// are short for q3_k_m, q4_k_m and q5_k_m.
func Parse(name string) (Recipe, error) {
	key := strings.ToLower(name)
	if long, ok := short[key]; ok {
		key = long
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
	return fit(r.wanted(strings.TrimSuffix(name, ".weight"), m), shape[len(shape)-1])
}

func (r Recipe) wanted(name string, m Model) block.Type {
	if name == "output" || name == "token_embd" && m.Tied {
		// The output's errors go straight into the logits.
		if !r.base.Quantized() || r.base == block.TypeQ8_0 {
			return r.base
		}
		return block.TypeQ6_K
	}
	rest, ok := strings.CutPrefix(name, "blk.")
	number, part, _ := strings.Cut(rest, ".")
	layer, err := strconv.Atoi(number)
	if !ok || err != nil {
		return r.base
	}
	t := r.base
	for _, rule := range r.parts[part] {
		if rule.picks(layer, m) {
			t = rule.t
			break
		}
	}
	// The 70B's attn_v is an eighth of the size of its attn_q: more bits cost little.
	if part == "attn_v" && m.Layers == 80 && m.Heads != m.KVHeads && (t == block.TypeQ3_K || t == block.TypeQ4_K) {
		t = block.TypeQ5_K
	}
	return t
}

// fit replaces a type whose blocks are longer than a row allows.
func fit(t block.Type, cols int) block.Type {
	if cols%t.Len() == 0 {
		return t
	}
	small := t
	switch t {
	case block.TypeQ2_K, block.TypeQ3_K, block.TypeTQ1_0, block.TypeTQ2_0:
		small = block.TypeQ4_0
	case block.TypeQ4_K:
		small = block.TypeQ5_0
	case block.TypeQ5_K:
		small = block.TypeQ5_1
	case block.TypeQ6_K:
		small = block.TypeQ8_0
	default:
		if t.Len() == 256 { // the IQ formats
			small = block.TypeIQ4_NL
		}
	}
	if cols%small.Len() == 0 {
		return small
	}
	return block.TypeF16
}
