// Package schematest makes random JSON Schemas, and validates what is generated for them with a library that knows nothing of this
// one. It is for tests.
package schematest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Validate says in what a text is not valid by a schema; formats count.
func Validate(schema []byte, text string) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("schema.json", doc); err != nil {
		return err
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		return fmt.Errorf("the schema: %w", err)
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

// Random makes a schema, as JSON with keys in a random order. Most can be fulfilled, some not, and some have what is not supported.
func Random(r *rand.Rand) []byte {
	g := generator{r: r}
	for range r.IntN(3) {
		g.defs = append(g.defs, fmt.Sprint("d", len(g.defs)))
	}
	s := g.schema(3)
	if o, ok := s.(object); ok && len(g.defs) > 0 {
		var defs object
		for _, d := range g.defs {
			defs = append(defs, field{d, g.schema(2)})
		}
		s = append(o, field{"$defs", defs})
	}
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return b
}

type generator struct {
	r    *rand.Rand
	defs []string
}

type object []field

type field struct {
	key   string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		k, err := json.Marshal(f.key)
		if err != nil {
			return nil, err
		}
		v, err := json.Marshal(f.value)
		if err != nil {
			return nil, err
		}
		b.Write(k)
		b.WriteByte(':')
		b.Write(v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

func (g *generator) chance(percent int) bool { return g.r.IntN(100) < percent }

func (g *generator) schema(depth int) any {
	if g.chance(2) {
		return pick[any](g.r, true, object{}, false)
	}
	if len(g.defs) > 0 && g.chance(12) {
		o := object{{"$ref", "#/$defs/" + pick(g.r, g.defs...)}}
		if g.chance(20) {
			o = append(o, g.plain(0)...)
		}
		return o
	}
	if depth > 0 && g.chance(14) {
		key := pick(g.r, "anyOf", "anyOf", "allOf", "oneOf")
		var list []any
		for range 1 + g.r.IntN(3) {
			list = append(list, g.schema(depth-1))
		}
		o := object{{key, list}}
		if g.chance(40) {
			o = append(o, g.plain(depth-1)...)
		}
		return o
	}
	if g.chance(6) {
		if g.chance(50) {
			return object{{"const", g.value(2)}}
		}
		var list []any
		for range 1 + g.r.IntN(4) {
			list = append(list, g.value(1))
		}
		o := object{{"enum", list}}
		if g.chance(30) {
			o = append(o, g.plain(0)...)
		}
		return o
	}
	o := g.plain(depth)
	if g.chance(4) {
		o = append(o, field{"not", pick[any](g.r, object{{"type", "null"}}, object{{"const", "a"}}, object{{"enum", []any{true, "b", nil}}}, object{{"type", "integer"}})})
	}
	if g.chance(10) {
		o = append(o, field{"description", "what it is"}, field{"default", nil})
	}
	g.r.Shuffle(len(o), func(i, j int) { o[i], o[j] = o[j], o[i] })
	return o
}

var names = []string{"a", "b", "name", "x-1", "ä", "a\"b", "x_2", "long name"}

// plain is a schema of one type or two, without combinations.
func (g *generator) plain(depth int) object {
	kinds := []string{"string", "integer", "number", "boolean", "null"}
	if depth > 0 {
		kinds = append(kinds, "object", "object", "object", "array", "array")
	}
	kind := pick(g.r, kinds...)
	var o object
	switch {
	case g.chance(10):
		o = object{{"type", []any{kind, pick(g.r, "string", "null", "boolean")}}}
		if t := o[0].value.([]any); t[0] == t[1] {
			o[0].value = t[:1]
		}
	case !g.chance(8):
		o = object{{"type", kind}}
	}
	maybe := func(percent int, key string, value func() any) {
		if g.chance(percent) {
			o = append(o, field{key, value()})
		}
	}
	switch kind {
	case "string":
		n := g.r.IntN(8)
		switch g.r.IntN(4) {
		case 0:
			maybe(60, "minLength", func() any { return n })
			maybe(60, "maxLength", func() any { return n + g.r.IntN(30) })
		case 1:
			maybe(90, "pattern", func() any {
				return pick(g.r, `^[a-z]+$`, `[0-9]{3}`, `^\p{L}{2,5}$`, `a|b`, `^(ab?c)*$`, `\d$`, `^.{0,4}$`, `^\S+@\S+$`, `x\b`, `^"`, `\\`, `[^a-z]`)
			})
			maybe(20, "maxLength", func() any { return 3 + g.r.IntN(10) })
		case 2:
			maybe(80, "format", func() any {
				return pick(g.r, "date", "time", "date-time", "duration", "uuid", "email", "hostname", "ipv4", "ipv6", "uri", "uri-reference", "json-pointer", "color")
			})
		}
	case "integer", "number":
		number := func() any {
			if kind == "integer" || g.chance(50) {
				return pick(g.r, -1000, -17, -1, 0, 1, 5, 12, 99, 100, 12345) + g.r.IntN(3)
			}
			return json.Number(pick(g.r, "-2.75", "0.1", "0.05", "-0.001", "3.14159", "1e3", "99.99", "1.0", "1.5E-2"))
		}
		maybe(30, pick(g.r, "minimum", "exclusiveMinimum"), number)
		maybe(30, pick(g.r, "maximum", "exclusiveMaximum"), number)
		maybe(15, "multipleOf", func() any { return json.Number(pick(g.r, "1", "2", "3", "7", "10", "0.5", "0.01", "0.25", "60")) })
	case "array":
		var prefix []any
		if g.chance(25) {
			for range 1 + g.r.IntN(3) {
				prefix = append(prefix, g.schema(depth-1))
			}
			o = append(o, field{"prefixItems", prefix})
		}
		maybe(70, "items", func() any { return g.schema(depth - 1) })
		n := g.r.IntN(4)
		maybe(40, "minItems", func() any { return n })
		maybe(50, "maxItems", func() any { return n + g.r.IntN(4) })
		maybe(3, "uniqueItems", func() any { return g.chance(50) })
		maybe(4, "unevaluatedItems", func() any { return false })
	case "object":
		var properties object
		var required []any
		all := slices.Clone(names)
		g.r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, name := range all[:g.r.IntN(5)] {
			properties = append(properties, field{name, g.schema(depth - 1)})
			if g.chance(60) {
				required = append(required, name)
			}
		}
		maybe(8, "patternProperties", func() any {
			p := object{{pick(g.r, "^x", "^[a-z]+$", "[0-9]"), g.schema(depth - 1)}}
			if g.chance(30) {
				p = append(p, field{"_", g.schema(depth - 1)})
			}
			return p
		})
		if g.chance(8) {
			required = append(required, "other")
		}
		if len(properties) > 0 {
			o = append(o, field{"properties", properties})
		}
		if len(required) > 0 {
			o = append(o, field{"required", required})
		}
		switch g.r.IntN(5) {
		case 0:
			o = append(o, field{"additionalProperties", g.schema(depth - 1)})
		case 1, 2:
			o = append(o, field{"additionalProperties", false})
		}
		maybe(8, "minProperties", func() any { return g.r.IntN(4) })
		maybe(8, "maxProperties", func() any { return g.r.IntN(5) })
		maybe(5, "propertyNames", func() any {
			return pick[any](g.r, object{{"pattern", "^[a-z]"}}, object{{"maxLength", 3}}, object{{"minLength", 2}}, object{{"enum", []any{"a", "b", "other"}}}, true)
		})
		maybe(4, "unevaluatedProperties", func() any { return false })
	}
	return o
}

func (g *generator) value(depth int) any {
	switch k := g.r.IntN(8); {
	case k == 0:
		return nil
	case k == 1:
		return g.chance(50)
	case k <= 3:
		return json.Number(pick(g.r, "0", "1", "-3", "2.50", "1e2", "12345678901234567890"))
	case k <= 5 || depth == 0:
		return pick(g.r, "a", "b", "", "ä\n\"\\/", "long name", "\u2028<>&")
	case k == 6:
		list := []any{}
		for range g.r.IntN(3) {
			list = append(list, g.value(depth-1))
		}
		return list
	}
	o := object{}
	for _, name := range names[:g.r.IntN(3)] {
		o = append(o, field{name, g.value(depth - 1)})
	}
	return o
}
