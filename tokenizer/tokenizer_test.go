package tokenizer

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestEncodeSpecial(t *testing.T) {
	tok := mustNew(t, toyVocab(toyMerges...))
	eot, _ := tok.ID("<|eot|>")
	longer, _ := tok.ID("<|eot|>x")
	ab, _ := tok.ID("ab")
	for _, c := range []struct {
		text string
		want []int32
	}{
		{"<|eot|>", []int32{eot}},
		{"ab<|eot|>ab", []int32{ab, eot, ab}},
		{"<|eot|><|eot|>x<|eot|>", []int32{eot, longer, eot}}, // the longest
		{"<<|eot|>>", []int32{'<', eot, '>'}},
		{"<|eot|", []int32{'<', '|', 'e', 'o', 't', '|'}},
		{"", nil},
	} {
		if got := tok.EncodeSpecial(nil, c.text); !slices.Equal(got, c.want) {
			t.Errorf("EncodeSpecial(%q) = %d, want %d", c.text, got, c.want)
		}
		plain := tok.Encode(nil, c.text)
		if slices.ContainsFunc(plain, tok.IsControl) {
			t.Errorf("Encode(%q) = %d", c.text, plain)
		}
		if tok.Decode(plain) != c.text || tok.DecodeSpecial(tok.EncodeSpecial(nil, c.text)) != c.text {
			t.Errorf("%q does not come back", c.text)
		}
	}
	if got := tok.Decode([]int32{ab, eot, ab, -1, 1 << 30}); got != "abab" {
		t.Errorf("Decode = %q", got)
	}
	if got := tok.Encode([]int32{7}, "ab"); !slices.Equal(got, []int32{7, ab}) {
		t.Errorf("appended %d", got)
	}
}

// TestUserDefined: such tokens come from any text, before it is split.
func TestUserDefined(t *testing.T) {
	v := toyVocab(toyMerges...)
	v.Tokens = append(v.Tokens, "b c")
	v.Types = append(v.Types, int32(UserDefined))
	id := int32(len(v.Tokens) - 1)
	tok := mustNew(t, v)
	want := []int32{'a', id, 'd'}
	for _, got := range [][]int32{tok.Encode(nil, "ab cd"), tok.EncodeSpecial(nil, "ab cd")} {
		if !slices.Equal(got, want) {
			t.Errorf("%d, want %d", got, want)
		}
	}
	if got := tok.Decode(want); got != "ab cd" {
		t.Errorf("Decode = %q", got)
	}
}

// TestWholePieces: Llama 3's pre-tokenizer takes a piece that is a token as that
// token; SmolLM's does so only if merging leads there.
func TestWholePieces(t *testing.T) {
	v := toyVocab("a b", "b c", "ab c", "x y")
	// "abcd" is a token that merging cannot reach: abc d is no merge.
	v.Tokens = append(v.Tokens, "abcd")
	v.Types = append(v.Types, int32(Normal))
	id := int32(len(v.Tokens) - 1)
	if got := mustNew(t, v).Encode(nil, "abcd"); !slices.Equal(got, []int32{id}) {
		t.Errorf("llama-bpe: %d", got)
	}
	v.Pre = "smollm"
	tok := mustNew(t, v)
	abc, _ := tok.ID("abc")
	if got := tok.Encode(nil, "abcd"); !slices.Equal(got, []int32{abc, 'd'}) {
		t.Errorf("smollm: %d", got)
	}
}

func TestBadVocab(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Vocab)
		want   string
	}{
		"no tokens":      {func(v *Vocab) { v.Tokens = nil }, "Tokens: 0 tokens"},
		"few types":      {func(v *Vocab) { v.Types = v.Types[:3] }, "Types: 3 types"},
		"type":           {func(v *Vocab) { v.Types[5] = 7 }, "Types[5]: type 7"},
		"negative type":  {func(v *Vocab) { v.Types[5] = -1 }, "Types[5]"},
		"BOS":            {func(v *Vocab) { v.BOS = new(int32(len(v.Tokens))) }, "BOS: id"},
		"EOM":            {func(v *Vocab) { v.EOM = new(int32(-1)) }, "EOM: id -1"},
		"long token":     {func(v *Vocab) { v.Tokens[9] = strings.Repeat("x", 1<<20) }, "Tokens[9]: 1048576 bytes"},
		"merge of one":   {func(v *Vocab) { v.Merges[1] = "aa" }, "Merges[1]"},
		"empty merge":    {func(v *Vocab) { v.Merges[2] = "" }, "Merges[2]"},
		"half merge":     {func(v *Vocab) { v.Merges[2] = "a " }, "Merges[2]"},
		"three":          {func(v *Vocab) { v.Merges[2] = "a a a" }, "Merges[2]"},
		"unknown part":   {func(v *Vocab) { v.Merges[2] = "zz a" }, "Merges[2]"},
		"unknown result": {func(v *Vocab) { v.Merges[2] = "z z" }, "Merges[2]"},
		"no letters":     {func(v *Vocab) { v.Merges[2] = "中 a" }, "Merges[2]"},
		"invalid UTF-8":  {func(v *Vocab) { v.Merges[2] = "\xff a" }, "Merges[2]"},
		"many merges":    {func(v *Vocab) { v.Merges = slices.Repeat(v.Merges, 1+maxRanks/len(v.Merges)) }, "Merges: "},
		"pattern":        {func(v *Vocab) { v.Pattern, v.IgnoreMerges = "(", true }, "Pattern: "},
		"pattern's byte": {func(v *Vocab) { v.Pattern, v.Types[65] = `\S+|\s+`, int32(Unused) }, "0x41"},
		"pattern's own":  {func(v *Vocab) { v.Pattern = `\S+|\s+` }, "merge to other tokens"},
		"pattern's ids":  {func(v *Vocab) { v.Pattern = `\S+|\s+`; slices.Reverse(v.Merges) }, "order of the merges"},
	} {
		v := toyVocab(toyMerges...)
		c.change(&v)
		_, err := New(v)
		var vocabErr *VocabError
		if !errors.As(err, &vocabErr) || !errors.Is(err, ErrVocab) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}

	v := toyVocab()
	for _, pre := range []string{"", "default", "chameleon", "Llama-BPE"} {
		v.Pre = pre
		_, err := New(v)
		var preErr *PretokenizerError
		if !errors.As(err, &preErr) || preErr.Name != pre || !strings.Contains(err.Error(), fmt.Sprintf("%q", pre)) {
			t.Errorf("%q: %v", pre, err)
		}
	}
}

// TestOddVocab: what real files have and what is fine.
func TestOddVocab(t *testing.T) {
	v := toyVocab(toyMerges...)
	v.Tokens = append(v.Tokens, "", "ab", "<unused>", "中 文", "\xff", "", "<|eot|>")
	v.Types = append(v.Types, 1, 1, 5, 1, 1, 3, 3)
	v.Merges = append(v.Merges, v.Merges[3])
	tok := mustNew(t, v)
	first := int32(slices.Index(v.Tokens, "ab"))
	if got := tok.Encode(nil, "ab"); !slices.Equal(got, []int32{first}) {
		t.Errorf("of two tokens ab the second: %d", got)
	}
	if id, ok := tok.ID("<|eot|>"); !ok || id != int32(slices.Index(v.Tokens, "<|eot|>")) {
		t.Errorf("of two control tokens: %d", id)
	}
	for _, s := range []string{"中 文", "<unused>", "\xff", "ab中 文"} {
		if got := tok.Decode(tok.Encode(nil, s)); got != s {
			t.Errorf("%q came back as %q", s, got)
		}
	}
	if got := tok.Token(int32(len(v.Tokens) - 4)); got != "中 文" {
		t.Errorf("token that is no bytes: %q", got)
	}
	if tok := mustNew(t, Vocab{Pre: "smollm", Tokens: []string{"a"}}); len(tok.Encode(nil, "bab")) != 1 {
		t.Error("vocabulary of one token")
	}
	if tok := mustNew(t, Vocab{Pre: "gpt-2", Tokens: []string{"中"}, Merges: nil}); len(tok.Encode(nil, "bab")) != 0 {
		t.Error("vocabulary of no bytes")
	}
}

func TestRoles(t *testing.T) {
	v := toyVocab()
	eot := int32(256)
	v.BOS, v.EOT, v.AddBOS = new(int32(1)), &eot, true
	tok := mustNew(t, v)
	if id, ok := tok.BOS(); !ok || id != 1 || !tok.AddBOS() || tok.AddEOS() {
		t.Error("BOS", id, ok)
	}
	if _, ok := tok.EOS(); ok {
		t.Error("EOS is there")
	}
	if got := tok.Stops(); !slices.Equal(got, []int32{eot}) {
		t.Errorf("Stops = %d", got)
	}
	if tok.Kind(eot) != Control || tok.Kind(0) != Normal || tok.Kind(-1) != 0 || tok.Size() != 258 {
		t.Error("Kind or Size")
	}
	b := tok.Bytes('a')
	b[0] = 'b' // is the caller's own
	if tok.Token('a') != "a" {
		t.Error("Bytes is shared")
	}
}

func TestDecoder(t *testing.T) {
	tok := mustNew(t, toyVocab(toyMerges...))
	eot, _ := tok.ID("<|eot|>")
	for _, c := range []struct {
		bytes string
		steps []string // what each byte's Next returns, then Flush
	}{
		{"ab", []string{"a", "b", ""}},
		{"é", []string{"", "é", ""}},
		{"中x", []string{"", "", "中", "x", ""}},
		{"😀", []string{"", "", "", "😀", ""}},
		{"\xffa", []string{"�", "a", ""}},
		{"\x80", []string{"�", ""}},
		{"\xe4\xb8", []string{"", "", "�"}},
		{"\xe4\xb8a", []string{"", "", "�a", ""}},
		{"\xe4\xe4\xb8\xad", []string{"", "�", "", "中", ""}},
		{"\xed\xa0\x80", []string{"", "��", "�", ""}}, // half of a surrogate pair
		{"\xf0\x9f\x98\xff", []string{"", "", "", "��", ""}},
		{"\xc0\xaf", []string{"�", "�", ""}},
		{"\xef\xbf\xbd", []string{"", "", "\uFFFD", ""}},
	} {
		d := tok.NewDecoder()
		var steps []string
		for i := range len(c.bytes) {
			steps = append(steps, d.Next(int32(c.bytes[i])))
			if got := d.Next(eot); got != "" {
				t.Errorf("control token is %q", got)
			}
		}
		if steps = append(steps, d.Flush()); !slices.Equal(steps, c.steps) {
			t.Errorf("%q: %q, want %q", c.bytes, steps, c.steps)
		}
		if d.Held() != 0 || d.Flush() != "" {
			t.Errorf("%q: something is left", c.bytes)
		}
	}
	d := tok.NewDecoder()
	d.Special = true
	if got := d.Next(0xe4) + d.Next(eot) + d.Flush(); got != "�<|eot|>" {
		t.Errorf("shown control token: %q", got)
	}
}

func TestReadTiktoken(t *testing.T) {
	v := toyVocab(toyMerges...)
	want := mustNew(t, v)
	var file strings.Builder
	n := len(v.Tokens) - 2
	for id := range n {
		fmt.Fprintf(&file, "%s %d\n", base64.StdEncoding.EncodeToString(want.Bytes(int32(id))), id)
	}
	got, err := ReadTiktoken(strings.NewReader(file.String()), nil)
	if err != nil {
		t.Fatal(err)
	}
	tok := mustNew(t, got)
	if tok.Size() != n+256 {
		t.Errorf("%d tokens", tok.Size())
	}
	for _, s := range []string{"abcabc é\n\n  x", strings.Repeat("aab", 100)} {
		if a, b := tok.Encode(nil, s), want.Encode(nil, s); !slices.Equal(a, b) {
			t.Errorf("%q: %d, want %d", s, a, b)
		}
	}
	for name, id := range map[string]int{"<|begin_of_text|>": 0, "<|eom_id|>": 8, "<|eot_id|>": 9, "<|python_tag|>": 10,
		"<|reserved_special_token_2|>": 5, "<|reserved_special_token_3|>": 11, "<|reserved_special_token_247|>": 255} {
		if got, ok := tok.ID(name); !ok || int(got) != n+id {
			t.Errorf("%s is %d, want %d", name, got, n+id)
		}
	}
	if id, ok := tok.BOS(); !ok || int(id) != n {
		t.Error("BOS")
	}
	for _, bad := range []string{"", "IQ==", "IQ== 1", "IQ== x", "?? 0", "IQ== 0\nIQ== 0", " 0", strings.Repeat("A", 1<<17)} {
		v, err := ReadTiktoken(strings.NewReader(bad), []string{})
		if err == nil {
			t.Errorf("%.20q: %d tokens", bad, len(v.Tokens))
		}
	}
}

func TestReadHuggingFace(t *testing.T) {
	const file = `{"added_tokens":[{"id":4,"content":"<|eot_id|>","special":true},{"id":6,"content":"<think>","special":false}],
		"normalizer":%s,"pre_tokenizer":%s,"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2,"Ġ":3},"merges":%s,"ignore_merges":%s}}`
	const llama3 = `{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},"behavior":"Isolated"},{"type":"ByteLevel","use_regex":false}]}`
	const smollm = `{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},{"type":"ByteLevel","use_regex":true}]}`
	const other = `{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"\\S+|\\s+"},"behavior":"Isolated"},{"type":"ByteLevel","use_regex":false}]}`
	for _, c := range []struct{ pre, merges, ignore, name, pattern string }{
		{llama3, `["a b"]`, "true", "llama-bpe", ""},
		{llama3, `[["a","b"]]`, "false", "", llama3Pattern},
		{smollm, `["a b"]`, "false", "smollm", ""},
		{`{"type":"ByteLevel"}`, `["a b"]`, "false", "gpt-2", ""},
		{other, `["a b"]`, "false", "", `\S+|\s+`},
	} {
		v, err := ReadHuggingFace(strings.NewReader(fmt.Sprintf(file, "null", c.pre, c.merges, c.ignore)))
		if err != nil {
			t.Fatal(err)
		}
		if v.Pre != c.name || v.Pattern != c.pattern || !slices.Equal(v.Merges, []string{"a b"}) {
			t.Errorf("%s: %q, %q, %q", c.pre, v.Pre, v.Pattern, v.Merges)
		}
		if v.EOT == nil || *v.EOT != 4 || !slices.Equal(v.Types, []int32{1, 1, 1, 1, 3, 5, 4}) {
			t.Errorf("types %d", v.Types)
		}
		if c.pattern != "" {
			continue
		}
		if got := mustNew(t, v).EncodeSpecial(nil, "ab<|eot_id|><think>b"); !slices.Equal(got, []int32{2, 4, 6, 1}) {
			t.Errorf("%d", got)
		}
	}
	for _, bad := range []string{
		"", "{}", `{"model":{"type":"Unigram"}}`,
		fmt.Sprintf(file, `{"type":"NFC"}`, smollm, "[]", "false"),
		fmt.Sprintf(file, "null", "null", "[]", "false"),
		fmt.Sprintf(file, "null", `{"type":"Whitespace"}`, "[]", "false"),
		fmt.Sprintf(file, "null", smollm, `["a b", 3]`, "false"),
		strings.Replace(fmt.Sprintf(file, "null", smollm, "[]", "false"), `"a":0`, `"a":-1`, 1),
		strings.Replace(fmt.Sprintf(file, "null", smollm, "[]", "false"), `"a":0`, `"a":2000000000`, 1),
		strings.Replace(fmt.Sprintf(file, "null", smollm, "[]", "false"), `"id":4`, `"id":-4`, 1),
	} {
		if _, err := ReadHuggingFace(strings.NewReader(bad)); err == nil {
			t.Errorf("no error for %s", bad)
		}
	}
}

// TestPattern: what the splitters do by hand, tiktoken-go does by the expression.
func TestPattern(t *testing.T) {
	v := toyVocab(toyMerges...)
	byHand := mustNew(t, v)
	v.Pre, v.Pattern, v.IgnoreMerges = "", llama3Pattern, true
	tok := mustNew(t, v)
	texts := append([]string{
		"aab abcabc\n\n x 1234", "ab<|eot|>ab", "a\xffb \xe4\xb8", "\xff", "a\uFFFDb", "",
		strings.Repeat("abc aab\n", 9000), strings.Repeat("é", patternChunk),
	}, splitTexts...)
	for _, s := range texts {
		if strings.Contains(s, "ſ") {
			continue // see checkSplit
		}
		got, want := tok.EncodeSpecial(nil, s), byHand.EncodeSpecial(nil, s)
		if text := tok.DecodeSpecial(got); text != s {
			t.Errorf("%.60q came back as %.60q", s, text)
		}
		// Bytes that are no UTF-8 are pieces of their own here.
		if len(s) <= patternChunk && !strings.Contains(s, "\xff") && !strings.Contains(s, "\xe4\xb8 ") && strings.ToValidUTF8(s, "") == s && !slices.Equal(got, want) {
			t.Errorf("%.60q: %d, want %d", s, got, want)
		}
	}
	v.Pattern = "[a-z]+" // leaves out everything else
	tok = mustNew(t, v)
	if got := tok.Decode(tok.Encode(nil, "ab 12 cd")); got != "ab 12 cd" {
		t.Errorf("text that the expression does not match: %q", got)
	}
}

func TestConcurrent(t *testing.T) {
	tok := mustNew(t, toyVocab(toyMerges...))
	texts := []string{"aab abc", strings.Repeat("aabcd", 100), "é 中 😀\n\n", strings.Repeat(" ", 500)}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				s := texts[i%len(texts)]
				if got := tok.Decode(tok.Encode(nil, s)); got != s {
					t.Errorf("%q came back as %q", s, got)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestAllocs(t *testing.T) {
	tok := mustNew(t, toyVocab(toyMerges...))
	text := strings.Repeat("aab abcde é 中 12\n\n<|eot|>", 50)
	dst := tok.EncodeSpecial(nil, text)
	if n := testing.AllocsPerRun(20, func() { dst = tok.EncodeSpecial(dst[:0], text) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// CVE-2025-52566: the number of tokens was compared with the room for them as
// numbers of different signs, so they were written past its end. Here they are
// appended: what lies behind the room stays as it is.
func TestCVE_2025_52566_MoreTokensThanRoom(t *testing.T) {
	tok := mustNew(t, toyVocab(toyMerges...))
	text := strings.Repeat("ab cd\n", 1000)
	want := tok.Encode(nil, text)
	for _, room := range []int{0, 1, 2, 63, 64, 65, len(want) - 1, len(want)} {
		memory := slices.Repeat([]int32{-7}, len(want)+64)
		got := tok.Encode(memory[:0:room], text)
		if !slices.Equal(got, want) {
			t.Errorf("room for %d: other tokens", room)
		}
		for i, id := range memory[room:] {
			if id != -7 {
				t.Fatalf("room for %d: token %d written at %d", room, id, room+i)
			}
		}
	}
}

// CVE-2025-49847: the length of a token from the file was cast to a signed number,
// and the token copied past a buffer's end.
func TestCVE_2025_49847_LongToken(t *testing.T) {
	v := toyVocab(toyMerges...)
	long := strings.Repeat("x", maxTokenLength)
	v.Tokens, v.Types = append(v.Tokens, long), append(v.Types, int32(Normal))
	id := int32(len(v.Tokens) - 1)
	tok := mustNew(t, v)
	if tok.Token(id) != long || tok.Decode([]int32{id, id}) != long+long || tok.NewDecoder().Next(id) != long {
		t.Error("a long token does not come back")
	}
	for _, n := range []int{maxTokenLength + 1, 1 << 15, 1 << 24} {
		v.Tokens[id] = strings.Repeat("x", n)
		if _, err := New(v); !errors.Is(err, ErrVocab) {
			t.Errorf("a token of %d bytes: %v, expected ErrVocab", n, err)
		}
	}
}
