package tokenizer

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// fuzzVocab has merges of all kinds of text, so that fuzzing without the fetched
// data still merges.
func fuzzVocab() Vocab {
	merges := slices.Clone(toyMerges)
	for _, w := range []string{"the", "Ġthe", "ing", "tion", "Ġfox", "ĠĠĠĠĠĠĠĠĠ", "===", "ä¸Ńæ", "123"} {
		letters := []rune(w)
		for i := 1; i < len(letters); i++ {
			if m := string(letters[:i]) + " " + string(letters[i]); !slices.Contains(merges, m) {
				merges = append(merges, m)
			}
		}
	}
	// Of several merges with the same result only the first has a token.
	seen := map[string]bool{}
	merges = slices.DeleteFunc(merges, func(m string) bool {
		result := strings.ReplaceAll(m, " ", "")
		defer func() { seen[result] = true }()
		return seen[result]
	})
	return toyVocab(merges...)
}

func FuzzEncode(f *testing.F) {
	for _, s := range splitTexts {
		f.Add(s)
	}
	f.Add("ab<|eot|>xab" + strings.Repeat("aab", 50))
	v := fuzzVocab()
	tok := mustNew(f, v)
	f.Fuzz(func(t *testing.T, text string) {
		plain, special := tok.Encode(nil, text), tok.EncodeSpecial(nil, text)
		if got := tok.Decode(plain); got != text {
			t.Errorf("Decode(Encode) = %q", got)
		}
		if got := tok.DecodeSpecial(special); got != text {
			t.Errorf("DecodeSpecial(EncodeSpecial) = %q", got)
		}
		if slices.ContainsFunc(plain, tok.IsControl) {
			t.Error("control token from text")
		}
		d := tok.NewDecoder()
		var shown strings.Builder
		for _, id := range plain {
			s := d.Next(id)
			if !utf8.ValidString(s) || d.Held() > 3 {
				t.Errorf("Next returned %q and holds %d bytes", s, d.Held())
			}
			shown.WriteString(s)
		}
		shown.WriteString(d.Flush())
		if utf8.ValidString(text) && shown.String() != text {
			t.Errorf("Decoder returned %q", shown.String())
		}
	})
}

// FuzzTiktoken compares merging with tiktoken-go's, which takes ids for ranks.
func FuzzTiktoken(f *testing.F) {
	for _, s := range splitTexts {
		f.Add(s)
	}
	f.Add(strings.Repeat("aab", 50))
	v := fuzzVocab()
	v.Merges = nil
	tok := mustNew(f, v)
	byOracle := oracle(f, tok, llama3Pattern)
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) || strings.Contains(text, "'ſ") || len(text) > 2000 {
			return
		}
		if got, want := tok.Encode(nil, text), byOracle(text); !slices.Equal(got, want) {
			t.Errorf("\n got %d\nwant %d", got, want)
		}
	})
}

// FuzzVocab makes vocabularies of lines and expects an error or a tokenizer that
// works.
func FuzzVocab(f *testing.F) {
	f.Add("a\nb\nab\n<|x|>", "a b", "\x01\x01\x01\x03", "smollm", "ab<|x|>")
	f.Add("a\n\n\xff\nĠ\nĠa", "Ġ a\n", "", "llama-bpe", " a")
	f.Add("?\n▁\na\n▁a\n<0x0A>\n▁▁\na▁", "", "\x02\x01\x01\x01\x06\x01\x01", "scores", "a a  a\n")
	f.Add("aa\na\na\na", "a a\na a", "\x04\x01\x02", "gpt-2", "aaa")
	f.Fuzz(func(t *testing.T, tokens, merges, types, pre, text string) {
		if len(tokens)+len(merges)+len(text) > 4000 {
			return
		}
		v := Vocab{Tokens: strings.Split(tokens, "\n"), Pre: pre}
		if merges != "" {
			v.Merges = strings.Split(merges, "\n")
		}
		for _, c := range []byte(types) {
			v.Types = append(v.Types, int32(c))
		}
		if pre == "scores" {
			for i := range v.Tokens {
				v.Scores = append(v.Scores, float32(i%7))
			}
			v.SpacePrefix, v.UNK = len(text)%2 == 0, new(int32(0))
		}
		tok, err := New(v)
		if err != nil {
			return
		}
		for _, id := range append(tok.Encode(nil, text), tok.EncodeSpecial(nil, text)...) {
			if id < 0 || int(id) >= tok.Size() {
				t.Errorf("id %d of %d", id, tok.Size())
			}
		}
	})
}

func FuzzReaders(f *testing.F) {
	f.Add("IQ== 0\nIg== 1\n")
	f.Add(`{"added_tokens":[{"id":1,"content":"x","special":true}],"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}`)
	f.Fuzz(func(t *testing.T, file string) {
		if v, err := ReadTiktoken(strings.NewReader(file), nil); err == nil {
			New(v)
		}
		if v, err := ReadHuggingFace(strings.NewReader(file)); err == nil && v.Pattern == "" {
			New(v)
		}
	})
}
