package grammar

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/llama31/llama31/llama/internal/grammar/schematest"
)

// jsonVocab has the bytes and pieces of JSON of several characters.
func jsonVocab() *Vocab {
	return byteVocab(`":`, `": `, `",`, `", "`, `{"`, `"}`, `"]`, `}}`, `}]`, `],`, `},`, `[{`, `["`, "\n", "\n  ", "  ", ` "`, `\"`, `\\`, `\u00`, `true`, `false`, `null`, `name`, `"name"`,
		`12`, `99`, `00`, `.5`, `1.`, `e+`, `-1`, ` the`, `the`, `ing`, `ä`, `äö`, `"a":`, `"a": `, `"b`, `2024-`, `T12:`, `example.com`, `@`, `://`, strings.Repeat(" ", 24), strings.Repeat("a", 40), `aaaa`)
}

// TestRandomSchemas: whatever is drawn by the masks of a random schema's grammar is valid by it, and UTF-8. In the long form 10,000
// schemas.
func TestRandomSchemas(t *testing.T) {
	schemas := 1500
	if os.Getenv("LLAMA31_LONG") == "1" {
		schemas = 10_000
	}
	vocab := jsonVocab()
	texts, impossible, unsupported := 0, 0, map[string]int{}
	for seed := range uint64(schemas) {
		r := rand.New(rand.NewPCG(seed, 5))
		schema := schematest.Random(r)
		start := time.Now()
		g, err := JSONSchema(schema)
		var m *Machine
		if err == nil {
			m, err = NewMachine(g, vocab)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("seed %d: %v for %s", seed, d, schema)
		}
		switch {
		case errors.Is(err, ErrImpossible):
			impossible++
			continue
		case errors.Is(err, ErrUnsupported):
			unsupported[err.(*Error).What]++
			continue
		case err != nil:
			t.Fatalf("seed %d: %v\n%s", seed, err, schema)
		}
		for range 4 {
			text, ended := draw(r, m, 400)
			if !ended {
				continue
			}
			texts++
			if !utf8.ValidString(text) || !json.Valid([]byte(text)) {
				t.Fatalf("seed %d: %q is no JSON\n%s", seed, text, schema)
			}
			if err := schematest.Validate(schema, text); err != nil {
				t.Errorf("seed %d: %s\n%s\n%v", seed, text, schema, err)
			}
		}
	}
	t.Logf("%d texts, %d impossible, unsupported: %v", texts, impossible, unsupported)
	n := 0
	for _, k := range unsupported {
		n += k
	}
	if texts < 2*schemas || impossible > schemas/5 || n > schemas/5 {
		t.Errorf("%d texts of %d schemas, %d impossible, %d unsupported", texts, schemas, impossible, n)
	}
}

// draw draws tokens of a mask until the text ends, or reports false after so many.
func draw(r *rand.Rand, m *Machine, most int) (string, bool) {
	s := m.Start()
	var text []byte
	for n := range most {
		mask := m.Mask(s)
		var ids []int32
		for id := range int32(m.vocab.size) {
			if Allows(mask, id) && id != 256 {
				ids = append(ids, id)
			}
		}
		if m.Ends(s) != Allows(mask, 256) || !m.Ends(s) && len(ids) == 0 {
			panic("the mask and the state differ")
		}
		if m.Complete(s) || m.Ends(s) && r.IntN(3) == 0 {
			return string(text), true
		}
		// Late texts prefer what ends strings, arrays and objects.
		id := ids[r.IntN(len(ids))]
		for range min(8, n/20) {
			if b := m.vocab.text(id); strings.ContainsAny(b, `"}]`) {
				break
			}
			id = ids[r.IntN(len(ids))]
		}
		if s = m.Advance(s, id); s == Dead {
			panic("the mask has a token that does not match")
		}
		text = append(text, m.vocab.text(id)...)
	}
	return "", false
}

// TestSchemas has what must match a schema, and what must not.
func TestSchemas(t *testing.T) {
	for _, c := range []struct {
		schema  string
		yes, no []string
	}{
		{`{"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["a"]}`,
			[]string{`{"a": 1}`, `{"a":1,"b":"x"}`, "{\n  \"a\": -12,\n  \"b\": \"\\u00e9\\ud83d\\ude00\"\n}"},
			[]string{`{}`, `{"b": "x"}`, `{"a": 1.5}`, `{"a": 01}`, `{"a": 1, "c": 2}`, `{"b": "", "a": 1}`, `{"a": 1,}`, `{"a": 1, "b": "\ud83d"}`, "{\n\n\n\n\"a\": 1}", "{\"a\": 1, \"b\": \"\n\"}", `{"a": 1} `}},
		{`{"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}, "required": ["children"], "additionalProperties": false}}}`,
			[]string{`{"children": []}`, `{"children": [{"children": [{"children": []}]}, {"children": []}]}`}, []string{`{}`, `{"children": [1]}`}},
		{`{"enum": ["red", 1, null, {"a": [true]}]}`, []string{`"red"`, `1`, `null`, `{"a": [true]}`}, []string{`"green"`, `2`}},
		{`{"type": "integer", "minimum": -12, "exclusiveMaximum": 105}`, []string{`-12`, `-9`, `0`, `99`, `104`}, []string{`-13`, `105`, `-100`, `1000`, `-0`, `00`}},
		{`{"type": "number", "exclusiveMinimum": 0, "maximum": 1.25}`, []string{`0.001`, `1`, `1.25`, `1.0`, `1.24999`, `1.2500`}, []string{`0`, `0.0`, `1.26`, `2`, `-1`, `1.2501`}},
		{`{"type": "number", "minimum": -1.5}`, []string{`-1.5`, `-1.50`, `-1.4999`, `-1`, `7e0`, `7`}[:4], []string{`-1.6`, `-2`, `-1.51`, `-10`}},
		{`{"type": "integer", "multipleOf": 7, "minimum": 0}`, []string{`0`, `7`, `49`, `700`}, []string{`1`, `50`, `-7`}},
		{`{"type": "number", "multipleOf": 0.25}`, []string{`1`, `1.25`, `-0.5`, `3.50`}, []string{`1.1`, `0.3`, `1.250`}},
		{`{"type": "string", "minLength": 2, "maxLength": 3}`, []string{`"ab"`, `"äö"`, `"\n\""`, `"😀\ud83d\ude00a"`}, []string{`"a"`, `"abcd"`, `ab`}},
		{`{"type": "string", "pattern": "^[a-z]{2}\\d*$", "maxLength": 4}`, []string{`"ab"`, `"ab12"`}, []string{`"a"`, `"ab123"`, `"AB"`, `"abx"`}},
		{`{"type": "string", "pattern": "b+"}`, []string{`"abba"`, `"b"`, `"\nb"`, `"\"b\\"`}, []string{`"a"`, `"`}},
		{`{"type": "string", "pattern": "^\\u0061\\/"}`, []string{`"a/b"`}, []string{`"u0061/"`}},
		{`{"type": "string", "format": "date"}`, []string{`"2024-02-29"`, `"2023-12-31"`, `"2000-02-29"`}, []string{`"2023-02-29"`, `"1900-02-29"`, `"2023-13-01"`, `"2023-04-31"`}},
		{`{"type": "string", "format": "ipv6"}`, []string{`"::1"`, `"1:2:3:4:5:6:7:8"`, `"1::8"`, `"::"`, `"fe80::1:2"`}, []string{`"1"`, `"1::2::3"`, `":::"`, `"1:2:3:4:5:6:7:8:9"`}},
		{`{"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3}`, []string{`[true]`, `[true,false, true]`}, []string{`[]`, `[true, true, true, true]`, `[1]`}},
		{`{"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "items": false}`, []string{`[]`, `[1]`, `[1, 2]`}, []string{`[2]`, `[1, 2, 3]`}},
		{`{"type": "array", "prefixItems": [{"const": 1}], "items": {"const": 0}, "minItems": 2, "maxItems": 3}`, []string{`[1, 0]`, `[1, 0, 0]`}, []string{`[1]`, `[0, 0]`, `[1, 0, 0, 0]`}},
		{`{"type": ["string", "null"]}`, []string{`null`, `""`}, []string{`1`}},
		{`{"anyOf": [{"type": "integer"}, {"type": "object", "properties": {"x": {"type": "null"}}, "required": ["x"]}]}`, []string{`1`, `{"x": null}`}, []string{`"a"`, `{}`}},
		{`{"oneOf": [{"properties": {"kind": {"const": "a"}, "n": {"type": "integer"}}, "required": ["kind", "n"]}, {"properties": {"kind": {"const": "b"}}, "required": ["kind"]}], "type": "object"}`,
			[]string{`{"kind": "a", "n": 1}`, `{"kind": "b"}`}, []string{`{"kind": "a"}`, `{"kind": "c"}`}},
		{`{"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"a": {"minimum": 5}, "b": {"type": "null"}}, "required": ["b"]}]}`,
			[]string{`{"a": 5, "b": null}`}, []string{`{"a": 4, "b": null}`, `{"a": 5}`}},
		{`{"type": "object", "additionalProperties": {"type": "integer"}, "properties": {"a": {"type": "string"}}}`, []string{`{}`, `{"a": "x", "b": 1, "aa": 2}`, `{"b": 1}`}, []string{`{"b": "x"}`, `{"a": 1}`}},
		{`{"type": "object", "patternProperties": {"^n_": {"type": "integer"}}, "additionalProperties": false}`, []string{`{}`, `{"n_a": 1, "n_": 2}`}, []string{`{"a": 1}`, `{"n_a": "x"}`}},
		{`{"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "minProperties": 2, "maxProperties": 2, "additionalProperties": false}`, []string{`{"a": 1, "b": 2}`, `{"b": [], "c": {}}`}, []string{`{"a": 1}`, `{"a": 1, "b": 1, "c": 1}`, `{}`}},
		{`{"not": {"const": "a"}, "type": "string"}`, []string{`"b"`, `"aa"`, `""`}, []string{`"a"`}},
		{`{"properties": {"a\"/\u00e4": {"const": 1}}, "type": "object"}`, []string{`{"a\"/ä": 1}`, `{}`}, []string{`{"x": 1}`}},
		{`true`, []string{`1`, `[{"a": [null, 1.5e3]}]`, `"x"`}, []string{`nul`, `[1`}},
		{`{"anyOf": [{"$ref": "#"}, {"type": "integer"}]}`, []string{`1`}, []string{`"a"`, ``}},
		{`{"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}, {"type": "null"}, {"type": "array", "items": {"$ref": "#/$defs/b"}}]}, "b": {"anyOf": [{"type": "boolean"}, {"$ref": "#/$defs/a"}]}}}`,
			[]string{`null`, `true`, `[]`, `[null, [true]]`}, []string{`1`, `[1]`}},
		{`{"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"const": 3}}}`, []string{`3`}, []string{`4`}},
	} {
		g, err := JSONSchema([]byte(c.schema))
		if err != nil {
			t.Errorf("%s: %v", c.schema, err)
			continue
		}
		m, err := NewMachine(g, byteVocab())
		if err != nil {
			t.Errorf("%s: %v", c.schema, err)
			continue
		}
		for _, text := range c.yes {
			if ok, _ := takes(m, text); !ok {
				t.Errorf("%s: %s is refused", c.schema, text)
			}
		}
		for _, text := range c.no {
			if ok, _ := takes(m, text); ok {
				t.Errorf("%s: %s is taken", c.schema, text)
			}
		}
	}
}

func TestSchemaErrors(t *testing.T) {
	deep := strings.Repeat(`{"type":"array","items":`, 3000) + "{}" + strings.Repeat("}", 3000)
	var double, choices strings.Builder
	for i := range 30 {
		fmt.Fprintf(&double, `"d%d":{"anyOf":[{"type":"array","items":{"$ref":"#/$defs/d%d"}},{"$ref":"#/$defs/d%d"}]},`, i, i+1, i+1)
		fmt.Fprintf(&choices, `{"anyOf":[{"properties":{"p%d":{"const":1}}},{"properties":{"q%d":{"const":1}}}]},`, i, i)
	}
	for schema, want := range map[string]error{
		``: ErrSyntax, `{`: ErrSyntax, `[]`: ErrSyntax, `{"type": "text"}`: ErrSyntax, `{"items": 1}`: ErrSyntax, `{"required": "a"}`: ErrSyntax, `{"minLength": -1}`: ErrSyntax,
		`{"$ref": "#/nowhere"}`: ErrSyntax, `{"pattern": "("}`: ErrSyntax, deep: ErrSyntax, `{"multipleOf": 0}`: ErrSyntax,
		`{"if": {}}`: ErrUnsupported, `{"uniqueItems": true}`: ErrUnsupported, `{"contains": {}}`: ErrUnsupported, `{"$ref": "https://example.com/s"}`: ErrUnsupported,
		`{"format": "iri"}`: ErrUnsupported, `{"pattern": "(?=a)"}`: ErrUnsupported, `{"oneOf": [{"type": "integer"}, {"type": "number"}]}`: ErrUnsupported,
		`{"type": "number", "multipleOf": 0.0000000001}`: ErrUnsupported, `{"minimum": 1e1000000000}`: ErrUnsupported, `{"not": {"minimum": 1}}`: ErrUnsupported,
		`{"type": "string", "pattern": "a", "maxLength": 1000000000}`: ErrUnsupported,
		`{"allOf": [` + choices.String() + `{}]}`:                     ErrUnsupported,
		`false`: ErrImpossible, `{"enum": []}`: ErrImpossible, `{"type": "string", "enum": [1]}`: ErrImpossible, `{"type": "integer", "minimum": 2, "maximum": 1}`: ErrImpossible,
		`{"type": "string", "minLength": 3, "maxLength": 2}`: ErrImpossible, `{"type": "string", "pattern": "^a$", "minLength": 2}`: ErrImpossible,
		`{"allOf": [{"type": "string"}, {"type": "integer"}]}`: ErrImpossible, `{"$ref": "#"}`: ErrImpossible, `{"anyOf": [{"$ref": "#"}, false]}`: ErrImpossible,
		`{"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}`:                      ErrImpossible,
		`{"type": "array", "items": false, "minItems": 1}`:                                               ErrImpossible,
		`{"type": "object", "required": ["a"], "additionalProperties": false}`:                           ErrImpossible,
		`{"type": "object", "required": ["a", "b"], "maxProperties": 1}`:                                 ErrImpossible,
		`{"type": "object", "properties": {"a": {}}, "minProperties": 2, "additionalProperties": false}`: ErrImpossible,
		`{"$ref": "#/$defs/d0", "$defs": {` + double.String() + `"d30": {"type": "null"}}}`:              nil,
		`{"type": "string", "maxLength": 1000000000}`:                                                    nil,
		`{"type": "array", "minItems": 1000000000, "items": {"type": "array", "maxItems": 1000000000}}`:  nil,
	} {
		start := time.Now()
		g, err := JSONSchema([]byte(schema))
		if err == nil {
			_, err = NewMachine(g, byteVocab())
		}
		if want == nil && err != nil || !errors.Is(err, want) {
			t.Errorf("%.200s: %v, expected %v", schema, err, want)
		}
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("%.200s: %v", schema, d)
		}
	}
}

func FuzzJSONSchema(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(schematest.Random(rand.New(rand.NewPCG(seed, 6))), seed)
	}
	vocab := jsonVocab()
	f.Fuzz(func(t *testing.T, schema []byte, seed uint64) {
		g, err := JSONSchema(schema)
		if err != nil {
			return
		}
		m, err := NewMachine(g, vocab)
		if err != nil {
			return
		}
		if text, ended := draw(rand.New(rand.NewPCG(seed, 1)), m, 100); ended && !json.Valid([]byte(text)) {
			t.Errorf("%s: %q", schema, text)
		}
	})
}

func FuzzGBNF(f *testing.F) {
	for _, s := range []string{`root ::= "a"{1,9} [^b-c\n] (x | .)*` + "\nx ::= \"\\u00e4\"? # note", `root ::= root "a" | ""`, "root ::= (a |\n b)+\na ::= b?\nb ::= \"x\" root | \"\""} {
		f.Add(s, uint64(1))
	}
	vocab := jsonVocab()
	f.Fuzz(func(t *testing.T, source string, seed uint64) {
		g, err := GBNF(source)
		if err != nil {
			return
		}
		m, err := NewMachine(g, vocab)
		if err != nil {
			return
		}
		r := rand.New(rand.NewPCG(seed, 1))
		for s, n := m.Start(), 0; n < 20; n++ {
			mask := m.Mask(s)
			id := int32(r.IntN(m.vocab.size))
			for range m.vocab.size {
				if id++; int(id) >= m.vocab.size {
					id = 0
				}
				if id != 256 && Allows(mask, id) {
					break
				}
			}
			if id == 256 || !Allows(mask, id) {
				break
			}
			if s = m.Advance(s, id); s == Dead && !m.lost {
				t.Fatalf("%q: token %d is allowed and does not match", source, id)
			}
		}
	})
}

func FuzzRegexp(f *testing.F) {
	for _, s := range []string{`^(a|b)*\bc{2,3}[^d]\d$`, `(?i)straße`, `(a{1,1000}){1,1000}`, `\p{Greek}+|.?`} {
		f.Add(s, "a")
	}
	vocab := jsonVocab()
	f.Fuzz(func(t *testing.T, pattern, text string) {
		g, err := Regexp(pattern)
		if err != nil {
			return
		}
		m, err := NewMachine(g, vocab)
		if err != nil {
			return
		}
		m.Mask(m.AdvanceText(m.Start(), text))
	})
}
