package tokenizer_test

import (
	"bufio"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

var casesFile = flag.String("cases", "testdata/golden.jsonl", "cases for TestGolden, made by testdata/write.py")

// TestGolden compares ids with those of Hugging Face's tokenizers.
func TestGolden(t *testing.T) {
	f, err := os.Open(*casesFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	type goldenCase struct {
		text string
		ids  map[string][]int32
	}
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
