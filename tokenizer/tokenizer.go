package tokenizer

import (
	"fmt"
	"slices"
	"strings"
)

// A Tokenizer encodes and decodes. It never changes after New, and all its
// methods are safe for concurrent use.
type Tokenizer struct {
	vocab  Vocab // without Tokens, Types and Merges
	tokens *tokenBytes
	kinds  []Kind

	split   splitter
	whole   *tokenTable // what a piece may be without merging
	merger  merger
	pattern *pattern // instead of split, for Vocab.Pattern

	sentencePiece bool // ▁ in text is a space, and a space may go in front

	always *specials // user-defined tokens
	all    *specials // and control tokens
}

// New builds the tables for a vocabulary. That of Llama 3.1 takes about 0.1 s, and
// 10 MB stay.
// The error is a *PretokenizerError or a *VocabError.
func New(v Vocab) (*Tokenizer, error) {
	if err := v.check(); err != nil {
		return nil, err
	}
	pre, ok := pretokenizers[v.Pre]
	switch {
	case v.Scores != nil:
		pre, ok = pretokenizer{split: splitWords}, true
	case v.Pattern != "":
		pre, ok = pretokenizer{ignoreMerges: v.IgnoreMerges}, true
	}
	if !ok {
		return nil, &PretokenizerError{v.Pre}
	}

	t := &Tokenizer{vocab: v, split: pre.split, sentencePiece: v.Scores != nil}
	t.vocab.Tokens, t.vocab.Types, t.vocab.Merges, t.vocab.Scores = nil, nil, nil, nil
	table := t.readTokens(&v)
	if t.sentencePiece {
		t.merger.buildByScore(table, &v)
		if t.spacesInside(table) {
			t.split = splitNothing
		}
		t.whole = t.mergeable(table)
		return t, nil
	}
	err := t.merger.build(table, v.Merges)
	if err != nil {
		return nil, err
	}
	t.whole = table
	if !pre.ignoreMerges && len(v.Merges) > 0 {
		t.whole = t.mergeable(table)
	}
	if v.Pattern != "" {
		if t.pattern, err = newPattern(t, table, v.Pattern); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// readTokens fills in the tokens' bytes and kinds and the tables of specials,
// and returns a table of the tokens that merging can lead to.
func (t *Tokenizer) readTokens(v *Vocab) *tokenTable {
	size := 0
	for _, s := range v.Tokens {
		size += len(s)
	}
	var text strings.Builder
	text.Grow(size) // a letter is never shorter than its byte
	t.tokens = &tokenBytes{ends: make([]uint32, len(v.Tokens))}
	t.kinds = make([]Kind, len(v.Tokens))

	var ordinary, always, all []int32
	ordinary = make([]int32, 0, len(v.Tokens))
	scratch := make([]byte, 0, maxTokenLength)
	for i, s := range v.Tokens {
		id := int32(i)
		t.kinds[i] = v.kind(i)
		switch t.kinds[i] {
		case Normal:
			// A token with a letter that is no byte cannot come from text; it
			// is shown as it stands.
			if t.sentencePiece {
				if s != "" {
					ordinary = append(ordinary, id)
				}
				text.WriteString(strings.ReplaceAll(s, spaceMark, " "))
			} else if b, ok := appendBytes(scratch, s); ok && len(b) > 0 {
				ordinary = append(ordinary, id)
				text.Write(b)
			} else {
				text.WriteString(s)
			}
		case UserDefined:
			always, all = append(always, id), append(all, id)
			if t.sentencePiece {
				s = strings.ReplaceAll(s, spaceMark, " ")
			}
			text.WriteString(s)
		case Control, Unknown:
			all = append(all, id)
			text.WriteString(s)
		case Byte:
			if b, ok := byteToken(s); ok && t.sentencePiece {
				text.WriteByte(b)
			} else {
				text.WriteString(s)
			}
		default:
			text.WriteString(s)
		}
		t.tokens.ends[i] = uint32(text.Len())
	}
	t.tokens.text = text.String()
	t.always, t.all = newSpecials(t.tokens, always), newSpecials(t.tokens, all)

	table := newTokenTable(t.tokens, len(ordinary))
	for _, id := range ordinary {
		table.put(id)
	}
	return table
}

// mergeable returns a table of those tokens that their own bytes merge to.
func (t *Tokenizer) mergeable(table *tokenTable) *tokenTable {
	whole := newTokenTable(t.tokens, len(t.kinds))
	var out []int32
	for id := range int32(len(t.kinds)) {
		s := t.tokens.at(id)
		if t.kinds[id] != Normal || table.find(s) != id {
			continue
		}
		if out = t.merger.append(out[:0], s); len(out) == 1 && out[0] == id {
			whole.put(id)
		}
	}
	return whole
}

// Encode appends the ids of a text, such as a user's message, to dst. Text that
// looks like a control token is text. It allocates only to let dst grow, and
// scratch memory for pieces of more than 64 bytes, which is kept.
func (t *Tokenizer) Encode(dst []int32, text string) []int32 {
	return t.encode(dst, text, t.always)
}

// EncodeSpecial is like Encode but takes control tokens from the text: for a
// chat template's own text, never for what somebody typed.
func (t *Tokenizer) EncodeSpecial(dst []int32, text string) []int32 {
	return t.encode(dst, text, t.all)
}

func (t *Tokenizer) encode(dst []int32, text string, s *specials) []int32 {
	for i := 0; i < len(text); {
		start, end, id := s.next(text, i)
		dst = t.ordinary(dst, text[i:start])
		if id >= 0 {
			dst = append(dst, id)
		}
		i = end
	}
	return dst
}

// FindControl returns where in the text, at byte from or later, the first
// control token is, and of several that begin there the longest. A user-defined
// token does not hide a control token that begins inside it. Without any, ok is
// false and start and end are len(text).
func (t *Tokenizer) FindControl(text string, from int) (start, end int, id int32, ok bool) {
	for {
		start, end, id = t.all.next(text, from)
		if id < 0 || t.IsControl(id) {
			return start, end, id, id >= 0
		}
		from = start + 1
	}
}

// EndsInControl tells whether the text ends in the beginning of a control or
// user-defined token, so that text put behind it might complete one.
func (t *Tokenizer) EndsInControl(text string) bool { return t.all.endsInStart(text) }

// InControl tells whether a control or user-defined token has the text in it.
func (t *Tokenizer) InControl(text string) bool { return t.all.has(text) }

// ordinary encodes a text without special tokens.
func (t *Tokenizer) ordinary(dst []int32, text string) []int32 {
	if t.pattern != nil {
		return t.pattern.append(dst, text, t)
	}
	if t.sentencePiece {
		text = t.spaced(text)
	}
	for i := 0; i < len(text); {
		end := t.split(text, i)
		dst = t.piece(dst, text[i:end])
		i = end
	}
	return dst
}

// piece encodes what the splitter returned.
func (t *Tokenizer) piece(dst []int32, piece string) []int32 {
	if len(piece) <= t.whole.longest {
		if id := t.whole.find(piece); id >= 0 {
			return append(dst, id)
		}
	}
	return t.merger.append(dst, piece)
}

// Decode returns the bytes of the tokens as a string, without control tokens.
// The end of one token may be half a character that the next one completes, and
// models may produce bytes that are no UTF-8 at all; for text to show as it is
// generated see Decoder. Ids out of range count as empty. Where Encode puts a space
// in front (Vocab.SpacePrefix), Decode takes one off.
func (t *Tokenizer) Decode(ids []int32) string {
	return string(t.AppendDecode(nil, ids, false))
}

// DecodeSpecial is like Decode but shows control tokens by their names.
func (t *Tokenizer) DecodeSpecial(ids []int32) string {
	return string(t.AppendDecode(nil, ids, true))
}

// AppendDecode appends what Decode, or if special DecodeSpecial, returns to dst.
func (t *Tokenizer) AppendDecode(dst []byte, ids []int32, special bool) []byte {
	start := len(dst)
	for _, id := range ids {
		if special || !t.IsControl(id) {
			dst = append(dst, t.Token(id)...)
		}
	}
	if t.vocab.SpacePrefix && len(dst) > start && dst[start] == ' ' {
		dst = slices.Delete(dst, start, start+1)
	}
	return dst
}

// Token returns the bytes of a token, which may be part of a character, or the
// name of a control token. It is "" for ids out of range.
func (t *Tokenizer) Token(id int32) string {
	if id < 0 || int(id) >= len(t.kinds) {
		return ""
	}
	return t.tokens.at(id)
}

// Bytes is Token as a slice of the caller's own.
func (t *Tokenizer) Bytes(id int32) []byte { return []byte(t.Token(id)) }

// Kind returns the kind of a token, 0 for ids out of range.
func (t *Tokenizer) Kind(id int32) Kind {
	if id < 0 || int(id) >= len(t.kinds) {
		return 0
	}
	return t.kinds[id]
}

// IsControl tells whether Decode leaves the token out.
func (t *Tokenizer) IsControl(id int32) bool {
	k := t.Kind(id)
	return k == Control || k == Unknown
}

// ID returns the token with this text: a control or user-defined token such as
// "<|eot_id|>", else an ordinary one such as " the".
func (t *Tokenizer) ID(token string) (id int32, ok bool) {
	if token == "" {
		return 0, false
	}
	if id, n := t.all.match(token); n == len(token) {
		return id, true
	}
	id = t.whole.find(token)
	return id, id >= 0
}

// Size returns the number of tokens; ids are below it.
func (t *Tokenizer) Size() int { return len(t.kinds) }

// Pre returns the name of the pre-tokenizer.
func (t *Tokenizer) Pre() string { return t.vocab.Pre }

// The tokens with a part to play; ok is false where the vocabulary names none.

func (t *Tokenizer) BOS() (id int32, ok bool) { return deref(t.vocab.BOS) }
func (t *Tokenizer) EOS() (id int32, ok bool) { return deref(t.vocab.EOS) }
func (t *Tokenizer) EOT() (id int32, ok bool) { return deref(t.vocab.EOT) }
func (t *Tokenizer) EOM() (id int32, ok bool) { return deref(t.vocab.EOM) }
func (t *Tokenizer) PAD() (id int32, ok bool) { return deref(t.vocab.PAD) }
func (t *Tokenizer) UNK() (id int32, ok bool) { return deref(t.vocab.UNK) }

func deref(id *int32) (int32, bool) {
	if id == nil {
		return 0, false
	}
	return *id, true
}

// AddBOS and AddEOS tell whether the model wants these tokens around a text.
func (t *Tokenizer) AddBOS() bool { return t.vocab.AddBOS }
func (t *Tokenizer) AddEOS() bool { return t.vocab.AddEOS }

// stopNames are control tokens that end an answer whatever the file says about
// them: files often name only one of <|eot_id|>, <|eom_id|>, <|end_of_text|>.
var stopNames = [...]string{"<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|im_end|>", "<|endoftext|>", "</s>"}

// Stops returns the tokens that end an answer: EOS, EOT and EOM, and control
// tokens known by name to do so. No token is in it twice.
func (t *Tokenizer) Stops() []int32 {
	var ids []int32
	add := func(id int32, ok bool) {
		for _, have := range ids {
			ok = ok && have != id
		}
		if ok {
			ids = append(ids, id)
		}
	}
	add(t.EOS())
	add(t.EOT())
	add(t.EOM())
	for _, name := range stopNames {
		id, ok := t.ID(name)
		add(id, ok && t.IsControl(id))
	}
	return ids
}

// String describes the tokenizer in a few words.
func (t *Tokenizer) String() string {
	if t.sentencePiece {
		return fmt.Sprintf("%d tokens of SentencePiece", t.Size())
	}
	return fmt.Sprintf("%d tokens, pre-tokenizer %s", t.Size(), t.vocab.Pre)
}
