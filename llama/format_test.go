package llama

import (
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"testing"
)

// TestFormats: answers of a model with random weights match their formats, and are the same with and without speculation.
func TestFormats(t *testing.T) {
	file := tinyFile(t, 1024)
	m := openBytes(t, file, nil)
	alone := openBytes(t, file, &Options{NoSpeculation: true, MaxRunning: 1})
	word := regexp.MustCompile(`^(yes|no|[a-f]{3,9})( \d+)?$`)
	for name, c := range map[string]struct {
		format Format
		match  func(text string) bool
	}{
		"object": {AnyJSON(), func(text string) bool { return json.Unmarshal([]byte(text), &map[string]any{}) == nil }},
		"schema": {JSONSchema([]byte(`{"type": "object", "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "minimum": 0, "maximum": 150}}, "required": ["name", "age"]}`)), func(text string) bool {
			var v struct {
				Name *string
				Age  *int
			}
			return json.Unmarshal([]byte(text), &v) == nil && v.Name != nil && v.Age != nil && len([]rune(*v.Name)) <= 20 && *v.Age >= 0 && *v.Age <= 150
		}},
		"regexp":  {Regexp(word.String()), word.MatchString},
		"grammar": {Grammar("root ::= \"- \" [a-z]{5} \"\\n\" root | \"\""), regexp.MustCompile(`^(- [a-z]{5}\n)*$`).MatchString},
	} {
		ended := 0
		for seed := range uint64(20) {
			r := Request{Prompt: "answer " + name, Format: c.format, MaxTokens: 400, N: 2, Sampling: &Sampling{Seed: &seed}}
			got, err := m.Generate(t.Context(), r)
			if err != nil {
				t.Fatal(name, err)
			}
			want, err := alone.Generate(t.Context(), r)
			if err != nil {
				t.Fatal(name, err)
			}
			same(t, name, got, want)
			for _, choice := range got.Choices {
				if choice.Finish != FinishStop {
					continue
				}
				ended++
				if !c.match(choice.Message.Content) {
					t.Errorf("%s: %q", name, choice.Message.Content)
				}
			}
		}
		if ended < 5 {
			t.Errorf("%s: %d of 40 answers ended", name, ended)
		}
	}
}

// TestAmbiguousFormat: an answer that can be read in exponentially many ways is an error that says so.
func TestAmbiguousFormat(t *testing.T) {
	m := openTiny(t, nil)
	_, err := m.Generate(t.Context(), Request{Prompt: "x", MaxTokens: 200, Sampling: &Sampling{Bias: map[int32]float64{'z': math.Inf(-1)}}, Format: Grammar("root ::= (a | b)+ \"z\"\na ::= b*\nb ::= \"x\" root | \"x\" a \"x\" | \"x\"")})
	if !errors.Is(err, ErrUnsupported) {
		t.Errorf("%v, expected ErrUnsupported", err)
	}
}

func TestFormatErrors(t *testing.T) {
	m := openTiny(t, nil)
	for name, c := range map[string]struct {
		format Format
		want   error
	}{
		"no JSON":     {JSONSchema([]byte(`{`)), ErrRequest},
		"impossible":  {JSONSchema([]byte(`{"type": "integer", "minimum": 2, "maximum": 1}`)), ErrRequest},
		"endless":     {JSONSchema([]byte(`{"type": "object", "properties": {"again": {"$ref": "#"}}, "required": ["again"]}`)), ErrRequest},
		"unsupported": {JSONSchema([]byte(`{"type": "array", "uniqueItems": true}`)), ErrUnsupported},
		"regexp":      {Regexp(`(`), ErrRequest},
		"grammar":     {Grammar(`root ::= root "a" | "a"`), ErrUnsupported},
	} {
		if _, err := m.Generate(t.Context(), Request{Prompt: "x", Format: c.format}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, expected %v", name, err, c.want)
		}
		if err := c.format.Check(); !errors.Is(err, c.want) {
			t.Errorf("%s: Check: %v, expected %v", name, err, c.want)
		}
	}
	if err := AnyJSON().Check(); err != nil {
		t.Error(err)
	}
}
