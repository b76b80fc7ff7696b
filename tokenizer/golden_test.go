package tokenizer_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llama31/llama31/tokenizer"
)

var casesFile = flag.String("cases", "testdata/golden.jsonl", "cases for TestGolden, made by testdata/write.py")

// A goldenCase is a line of write.py: a text and its ids by model.
type goldenCase struct {
	text string
	ids  map[string][]int32
}

func goldenCases(t *testing.T) []goldenCase {
	t.Helper()
	f, err := os.Open(*casesFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var cases []goldenCase
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var raw map[string]json.RawMessage
		if err := json.Unmarshal(lines.Bytes(), &raw); err != nil {
			t.Fatal(err)
		}
		c := goldenCase{ids: map[string][]int32{}}
		for key, value := range raw {
			if key == "text" {
				err = json.Unmarshal(value, &c.text)
			} else {
				var ids []int32
				err = json.Unmarshal(value, &ids)
				c.ids[key] = ids
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		cases = append(cases, c)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 300 {
		t.Fatalf("only %d cases in %s", len(cases), *casesFile)
	}
	return cases
}

// TestGolden compares ids with those of Hugging Face's tokenizers.
func TestGolden(t *testing.T) {
	cases := goldenCases(t)
	for name, model := range models {
		t.Run(name, func(t *testing.T) {
			tok := model(t)
			failed := 0
			check := func(method, text string, got, want []int32) {
				t.Helper()
				if slices.Equal(got, want) {
					return
				}
				if failed++; failed <= 20 {
					t.Errorf("%s(%q)\n got %d\nwant %d", method, text, got, want)
				}
			}
			bytes, special := 0, 0
			for _, c := range cases {
				want, ok := c.ids[name]
				if !ok {
					t.Fatalf("%q has no ids", c.text)
				}
				got := tok.Encode(nil, c.text)
				check("Encode", c.text, got, want)
				if text := tok.Decode(got); name == "llama-3.1" && text != c.text {
					t.Errorf("Decode(Encode(%q)) = %q", c.text, text)
				}
				bytes += len(c.text)
				if other, ok := c.ids[name+" special"]; ok {
					want = other
					special++
				}
				check("EncodeSpecial", c.text, tok.EncodeSpecial(nil, c.text), want)
				if decoded := tok.DecodeSpecial(want); name == "llama-3.1" && decoded != c.text {
					t.Errorf("DecodeSpecial(%d) = %q, want %q", want, decoded, c.text)
				}
			}
			if special == 0 {
				t.Error("no case has control tokens")
			}
			if failed > 0 {
				t.Errorf("%d of %d differ", failed, 2*len(cases))
			}
			t.Logf("%d texts, %d bytes, %d with control tokens", len(cases), bytes, special)
		})
	}
}

// TestControlTokensOnlyFromSpecial looks at what Encode makes of every control
// token's name, as no golden case could cover them all.
func TestControlTokensOnlyFromSpecial(t *testing.T) {
	for name, model := range models {
		t.Run(name, func(t *testing.T) {
			tok := model(t)
			n := 0
			for id := range int32(tok.Size()) {
				if !tok.IsControl(id) {
					continue
				}
				n++
				for _, text := range []string{tok.Token(id), "a" + tok.Token(id) + "b", strings.Repeat(tok.Token(id), 3)} {
					if ids := tok.Encode(nil, text); slices.ContainsFunc(ids, tok.IsControl) {
						t.Errorf("Encode(%q) = %d", text, ids)
					}
				}
				if ids := tok.EncodeSpecial(nil, tok.Token(id)); !slices.Equal(ids, []int32{id}) {
					t.Errorf("EncodeSpecial(%q) = %d, want %d", tok.Token(id), ids, id)
				}
			}
			if n < 17 {
				t.Errorf("%d control tokens", n)
			}
		})
	}
}

// TestOtherWays loads Llama 3.1's vocabulary in the other ways there are: as
// Meta's tokenizer.model, which has no merges, and with the pre-tokenizer as a
// regular expression, by tiktoken-go.
func TestOtherWays(t *testing.T) {
	v := llama31Vocab(t)
	tok := models["llama-3.1"](t)
	var file strings.Builder
	for id := range 128000 {
		fmt.Fprintf(&file, "%s %d\n", base64.StdEncoding.EncodeToString(tok.Bytes(int32(id))), id)
	}
	meta, err := tokenizer.ReadTiktoken(strings.NewReader(file.String()), nil)
	if err != nil {
		t.Fatal(err)
	}
	v.Pre, v.Pattern, v.IgnoreMerges = "", llama3Pattern, true
	for name, v := range map[string]tokenizer.Vocab{"tokenizer.model": meta, "pattern": v} {
		start := time.Now()
		tok, err := tokenizer.New(v)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: New took %v", name, time.Since(start))
		for _, c := range goldenCases(t) {
			if got := tok.Encode(nil, c.text); !slices.Equal(got, c.ids["llama-3.1"]) {
				t.Errorf("%s: Encode(%q)\n got %d\nwant %d", name, c.text, got, c.ids["llama-3.1"])
			}
		}
	}
}

// llama3Pattern is that of Llama 3's tokenizer.json; ſ is there for tiktoken-go's
// engine, which does not count it as an s.
const llama3Pattern = `(?i:'[sſ]|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
