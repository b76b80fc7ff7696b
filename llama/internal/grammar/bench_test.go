package grammar_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/llama31/llama31/internal/testenv"
	"github.com/llama31/llama31/llama/internal/grammar"
	"github.com/llama31/llama31/tokenizer"
)

// documents are schemas, and texts that match them as a model writes them.
var documents = []struct{ name, schema, text string }{
	{"person", `{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0,"maximum":150},"email":{"type":"string","format":"email"},"address":{"type":"object","properties":{"street":{"type":"string"},"city":{"type":"string"},"zip":{"type":"string","pattern":"^[0-9]{5}$"}},"required":["street","city","zip"]},"tags":{"type":"array","items":{"type":"string"}}},"required":["name","age","email","address","tags"]}`,
		`{"name": "Ada Lovelace", "age": 36, "email": "ada.lovelace@example.com", "address": {"street": "12 St James's Square", "city": "London", "zip": "10117"}, "tags": ["mathematics", "analytical engine", "poetry"]}`},
	{"limits", `{"type":"object","properties":{"title":{"type":"string","maxLength":200},"summary":{"type":"string","minLength":20,"maxLength":1000},"score":{"type":"number","minimum":0,"maximum":1},"steps":{"type":"array","minItems":2,"maxItems":50,"items":{"type":"object","properties":{"kind":{"enum":["read","think","write"]},"note":{"type":"string","maxLength":80}},"required":["kind","note"]}}},"required":["title","summary","score","steps"]}`,
		"{\n  \"title\": \"Why the sky is blue\",\n  \"summary\": \"Light of the sun is scattered by the molecules of the air, and short waves more than long ones, so that blue comes from everywhere.\",\n  \"score\": 0.875,\n  \"steps\": [\n    {\"kind\": \"read\", \"note\": \"Rayleigh's paper of 1871\"},\n    {\"kind\": \"think\", \"note\": \"What about violet? The eye sees less of it.\"},\n    {\"kind\": \"write\", \"note\": \"An answer \\u2014 short\"}\n  ]\n}"},
	{"any", `{"type":"object"}`,
		`{"id": 17, "nested": {"list": [1, 2.5, -3e10, null, true, {"deep": [["a", "b"], []]}], "text": "Some text with \"quotes\", commas, and so on: all of it in a string."}, "unicode": "Zürich, 東京, Ελλάδα"}`},
	{"union", `{"$defs":{"node":{"anyOf":[{"type":"object","properties":{"op":{"enum":["+","-","*","/"]},"left":{"$ref":"#/$defs/node"},"right":{"$ref":"#/$defs/node"}},"required":["op","left","right"]},{"type":"object","properties":{"value":{"type":"number"}},"required":["value"]},{"type":"object","properties":{"name":{"type":"string","pattern":"^[a-z][a-z0-9_]*$"}},"required":["name"]}]}},"$ref":"#/$defs/node"}`,
		`{"op": "+", "left": {"op": "*", "left": {"name": "alpha_2"}, "right": {"value": 12.75}}, "right": {"op": "-", "left": {"value": 3}, "right": {"name": "beta"}}}`},
}

// llamaVocab is Llama 3.1's vocabulary.
func llamaVocab(b testing.TB) (*grammar.Vocab, *tokenizer.Tokenizer) {
	f, err := os.Open(testenv.Fetched(b, "tokenizer"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	v, err := tokenizer.ReadHuggingFace(f)
	if err != nil {
		b.Fatal(err)
	}
	t, err := tokenizer.New(v)
	if err != nil {
		b.Fatal(err)
	}
	return grammar.NewVocab(t.Size(), func(id int32) string {
		if t.IsControl(id) {
			return grammar.Control(t.Token(id))
		}
		return t.Token(id)
	}, t.Stops()), t
}

// follow takes a document's tokens, with the mask before each, and gives what each mask and step took.
func follow(tb testing.TB, m *grammar.Machine, ids []int32) (times []time.Duration) {
	s := m.Start()
	for _, id := range ids {
		start := time.Now()
		mask := m.Mask(s)
		next := m.Advance(s, id)
		times = append(times, time.Since(start))
		if !grammar.Allows(mask, id) || next == grammar.Dead {
			tb.Fatalf("token %d is not allowed", id)
		}
		s = next
	}
	if !m.Ends(s) {
		tb.Fatal("the document does not end")
	}
	return times
}

// BenchmarkMask takes a document token by token, with Llama 3.1's vocabulary: the first time that a model sees a schema, and again. The
// figures are microseconds per token, and of compiling the schema.
func BenchmarkMask(b *testing.B) {
	vocab, tok := llamaVocab(b)
	for _, d := range documents {
		ids := tok.Encode(nil, d.text)
		for _, again := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/again=%v", d.name, again), func(b *testing.B) {
				var all []time.Duration
				var sum, compiled time.Duration
				var m *grammar.Machine
				for range b.N {
					if m == nil || !again {
						start := time.Now()
						g, err := grammar.JSONSchema([]byte(d.schema))
						if err == nil {
							m, err = grammar.NewMachine(g, vocab)
						}
						if err != nil {
							b.Fatal(err)
						}
						compiled = time.Since(start)
						if again {
							follow(b, m, ids)
						}
					}
					all = append(all, follow(b, m, ids)...)
				}
				for _, t := range all {
					sum += t
				}
				slices.Sort(all)
				us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
				b.ReportMetric(us(all[len(all)/2]), "median-µs")
				b.ReportMetric(us(sum)/float64(len(all)), "mean-µs")
				b.ReportMetric(us(all[len(all)*99/100]), "p99-µs")
				b.ReportMetric(us(compiled), "compile-µs")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkVocab makes the trie of Llama 3.1's vocabulary, once for a model.
func BenchmarkVocab(b *testing.B) {
	_, tok := llamaVocab(b)
	for b.Loop() {
		grammar.NewVocab(tok.Size(), tok.Token, tok.Stops())
	}
}

// TestMaskTime bounds what masks take with Llama 3.1's vocabulary: 50 µs at the median when a schema is new, and 5% of the 130 ms that a
// step of the 8B model takes on two cores, at the mean.
func TestMaskTime(t *testing.T) {
	vocab, tok := llamaVocab(t)
	var all []time.Duration
	var sum time.Duration
	for _, d := range documents {
		g, err := grammar.JSONSchema([]byte(d.schema))
		if err != nil {
			t.Fatal(err)
		}
		m, err := grammar.NewMachine(g, vocab)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, follow(t, m, tok.Encode(nil, d.text))...)
		t.Logf("%s: %s", d.name, m)
	}
	for _, d := range all {
		sum += d
	}
	slices.Sort(all)
	median, mean := all[len(all)/2], sum/time.Duration(len(all))
	t.Logf("%d tokens: median %v, mean %v, p99 %v", len(all), median, mean, all[len(all)*99/100])
	if median > 500*time.Microsecond || mean > 6500*time.Microsecond { // ten times what is measured: the machine may be busy
		t.Errorf("median %v, mean %v", median, mean)
	}
}
