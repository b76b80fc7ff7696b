package tokenizer

import (
	"hash/maphash"
	"math"
	"math/bits"
	"math/rand/v2"
)

// A tokenTable finds tokens by their bytes. It is open addressing with linear
// probing, at most two thirds full. Hashes are seeded at random, so that no
// vocabulary can be made to collide.
//
// A slot has the upper half of the hash, so that a lookup touches the bytes of
// one token at most, and id+1, 0 being an empty slot.
type tokenTable struct {
	tokens *tokenBytes
	seed   maphash.Seed
	slots  []uint64
	// longest is the length of the longest token in the table: no longer
	// piece needs to be looked up.
	longest int
}

// newTokenTable returns a table with room for n tokens.
func newTokenTable(tokens *tokenBytes, n int) *tokenTable {
	return &tokenTable{tokens: tokens, seed: maphash.MakeSeed(), slots: make([]uint64, slotsFor(n))}
}

// slotsFor is a power of two that n entries fill to at most two thirds.
func slotsFor(n int) int { return 1 << bits.Len(uint(n+n/2)) }

// put adds a token. Of two tokens of the same bytes the first one stays.
func (t *tokenTable) put(id int32) {
	s := t.tokens.at(id)
	h := maphash.String(t.seed, s)
	mask := uint64(len(t.slots) - 1)
	i := h & mask
	for ; t.slots[i] != 0; i = (i + 1) & mask {
		if t.slots[i]>>32 == h>>32 && t.tokens.at(int32(uint32(t.slots[i])-1)) == s {
			return
		}
	}
	t.slots[i] = h>>32<<32 | uint64(id+1)
	t.longest = max(t.longest, len(s))
}

// find returns the token of the bytes s, or -1.
func (t *tokenTable) find(s string) int32 {
	return find(t, s, maphash.String(t.seed, s))
}

func (t *tokenTable) findBytes(s []byte) int32 {
	return find(t, s, maphash.Bytes(t.seed, s))
}

func find[S string | []byte](t *tokenTable, s S, h uint64) int32 {
	mask := uint64(len(t.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		e := t.slots[i]
		if e == 0 {
			return -1
		}
		if e>>32 == h>>32 {
			if id := int32(uint32(e) - 1); t.tokens.at(id) == string(s) {
				return id
			}
		}
	}
}

// A pairTable has the rank of every pair of tokens that can be merged: the lower,
// the earlier. Llama 3.1's 280,147 pairs take 4 MB.
//
// A slot is left+1, right and rank, in 24, 20 and 20 bits; 0 is an empty slot. The
// hash is multiply-shift (Dietzfelbinger et al., 1997) with a random multiplier,
// again so that no vocabulary can be made to collide.
type pairTable struct {
	multiplier uint64 // odd
	shift      int
	slots      []uint64
}

const (
	idBits   = 20
	rankBits = 20
	maxRanks = 1 << rankBits
	noRank   = math.MaxUint32
)

func newPairTable(n int) pairTable {
	size := slotsFor(n)
	return pairTable{
		multiplier: rand.Uint64() | 1,
		shift:      64 - bits.TrailingZeros(uint(size)),
		slots:      make([]uint64, size),
	}
}

func (t *pairTable) slot(left, right int32) (at *uint64, key uint64) {
	key = uint64(left+1)<<idBits | uint64(right)
	mask := uint64(len(t.slots) - 1)
	for i := key * t.multiplier >> t.shift; ; i++ {
		if at = &t.slots[i&mask]; *at>>rankBits == key || *at == 0 {
			return at, key
		}
	}
}

// put adds a pair. A later rank of the same pair replaces an earlier one.
func (t *pairTable) put(left, right int32, rank int) {
	at, key := t.slot(left, right)
	*at = key<<rankBits | uint64(rank)
}

// find returns the rank of a pair, or noRank.
func (t *pairTable) find(left, right int32) uint32 {
	at, _ := t.slot(left, right)
	if *at == 0 {
		return noRank
	}
	return uint32(*at) & (maxRanks - 1)
}

// tokenBytes are the bytes of all tokens, one after the other.
type tokenBytes struct {
	text string
	ends []uint32
}

func (t *tokenBytes) at(id int32) string {
	start := uint32(0)
	if id > 0 {
		start = t.ends[id-1]
	}
	return t.text[start:t.ends[id]]
}
