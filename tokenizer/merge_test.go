package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pkoukk/tiktoken-go"
)

// toyVocab has all bytes, then merges learned from nothing in particular, and two
// control tokens: small enough to be seen whole, and with every kind of merge.
func toyVocab(merges ...string) Vocab {
	v := Vocab{Pre: "llama-bpe"}
	for b := range 256 {
		v.Tokens = append(v.Tokens, letters(string([]byte{byte(b)})))
	}
	for _, m := range merges {
		a, b, _ := strings.Cut(m, " ")
		v.Tokens = append(v.Tokens, a+b)
		v.Merges = append(v.Merges, m)
	}
	v.Types = slices.Repeat([]int32{int32(Normal)}, len(v.Tokens))
	v.Tokens = append(v.Tokens, "<|eot|>", "<|eot|>x")
	v.Types = append(v.Types, int32(Control), int32(Control))
	return v
}

var toyMerges = []string{
	"a a", "aa aa", "a b", "aa b", "b c", "ab c", "c d", "Ġ a", "Ġa b", "aaaa aaaa", "abc abc", "d e", "cd e", "Ã ©", "e Ã©", "Ċ Ċ", "Ġ Ġ", "ĠĠ ĠĠ",
}

func mustNew(t testing.TB, v Vocab) *Tokenizer {
	t.Helper()
	tok, err := New(v)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// naive merges by the definition: again and again the leftmost pair of the lowest
// rank.
func naive(m *merger, piece string) []int32 {
	var ids []int32
	for i := range len(piece) {
		if id := m.bytes[piece[i]]; id >= 0 {
			ids = append(ids, id)
		}
	}
	for {
		best, at := uint32(noRank), -1
		for i := range len(ids) - 1 {
			if r := m.pairs.find(ids[i], ids[i+1]); r < best {
				best, at = r, i
			}
		}
		if at < 0 {
			return ids
		}
		ids[at] = m.result[best]
		ids = slices.Delete(ids, at+1, at+2)
	}
}

func TestMerge(t *testing.T) {
	tok := mustNew(t, toyVocab(toyMerges...))
	m := &tok.merger
	rnd := rand.New(rand.NewPCG(3, 4))
	alphabet := "aaaabbccdde é\n  "
	var long longPiece
	for n := range 400 {
		piece := make([]byte, n)
		for i := range piece {
			piece[i] = alphabet[rnd.IntN(len(alphabet))]
		}
		want := naive(m, string(piece))
		if got := m.append(nil, string(piece)); !slices.Equal(got, want) {
			t.Fatalf("append(%q)\n got %d\nwant %d", piece, got, want)
		}
		if got := long.merge(nil, m, string(piece)); !slices.Equal(got, want) {
			t.Fatalf("long.merge(%q)\n got %d\nwant %d", piece, got, want)
		}
	}
}

// TestMissingBytes: what the vocabulary lacks is dropped before merging.
func TestMissingBytes(t *testing.T) {
	v := toyVocab(toyMerges...)
	v.Types['x'] = int32(Unused)
	tok := mustNew(t, v)
	ab, _ := tok.ID("ab")
	if got := tok.Encode(nil, "axb"); !slices.Equal(got, []int32{ab}) {
		t.Errorf("axb: %d, want %d", got, ab)
	}
	if got := tok.Encode(nil, strings.Repeat("x", 200)); len(got) != 0 {
		t.Errorf("x: %d, want nothing", got)
	}
}

// TestRanksAreIDs: without merges, ids are ranks.
func TestRanksAreIDs(t *testing.T) {
	v := toyVocab(toyMerges...)
	with := mustNew(t, v)
	v.Merges = nil
	without := mustNew(t, v)
	for _, s := range []string{"aaaaab abcabc", "abcde cde bcd", strings.Repeat("aab", 60)} {
		a, b := with.Encode(nil, s), without.Encode(nil, s)
		if !slices.Equal(a, b) || with.Decode(a) != s {
			t.Errorf("%q: %d with merges, %d without", s, a, b)
		}
	}
}

// oracle is tiktoken-go with the vocabulary's bytes as ranks.
func oracle(t testing.TB, tok *Tokenizer, pattern string) func(string) []int32 {
	t.Helper()
	ranks := map[string]int{}
	for id := range int32(tok.Size()) {
		if tok.Kind(id) == Normal {
			ranks[tok.Token(id)] = int(id)
		}
	}
	core, err := tiktoken.NewCoreBPE(ranks, nil, pattern)
	if err != nil {
		t.Fatal(err)
	}
	bpe := tiktoken.NewTiktoken(core, nil, nil)
	return func(s string) (ids []int32) {
		for _, id := range bpe.EncodeOrdinary(s) {
			ids = append(ids, int32(id))
		}
		return ids
	}
}

func TestTables(t *testing.T) {
	var text strings.Builder
	var tokens tokenBytes
	rnd := rand.New(rand.NewPCG(5, 6))
	for i := range 1000 {
		text.WriteString(strings.Repeat(string(rune('a'+i%26)), 1+i/26))
		tokens.ends = append(tokens.ends, uint32(text.Len()))
	}
	tokens.text = text.String()
	table := newTokenTable(&tokens, 1000)
	pairs := newPairTable(1000)
	for id := range int32(1000) {
		table.put(id)
		table.put(id)
		pairs.put(id, 999-id, int(id))
	}
	for id := range int32(1000) {
		if got := table.find(tokens.at(id)); got != id {
			t.Errorf("token %d found as %d", id, got)
		}
		if got := pairs.find(id, 999-id); got != uint32(id) {
			t.Errorf("pair %d has rank %d", id, got)
		}
		if a, b := int32(rnd.IntN(1000)), int32(rnd.IntN(1000)); a+b != 999 && pairs.find(a, b) != noRank {
			t.Errorf("found pair %d, %d", a, b)
		}
	}
	if table.find("zzz!") != -1 || table.find("") != -1 {
		t.Error("found a token that is not there")
	}
	pairs.put(3, 996, 7)
	if got := pairs.find(3, 996); got != 7 {
		t.Errorf("replaced rank is %d", got)
	}
}
