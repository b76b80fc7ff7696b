package llama

import (
	"bytes"
	"context"
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SchemaOf asks for JSON that encoding/json reads into a T: a JSONSchema made by reflection. Fields are named by their json tags, and
// required but for those with omitempty or omitzero; a pointer may be null, or is left out if it has one of these. Tags beside json's:
//
//	City string `json:"city" description:"Where to look"`
//	Unit string `json:"unit,omitempty" enum:"celsius,fahrenheit"`
//
// Integers have the range of their type, arrays their length; a time.Time is in RFC 3339, a []byte in base64, what has an
// UnmarshalText any string, and any, json.RawMessage and what has an UnmarshalJSON any JSON. Types that JSON has no form for are
// ErrUnsupported, when the format is used.
func SchemaOf[T any]() Format {
	schema, err := schemaOf(reflect.TypeFor[T]())
	if err != nil {
		return Format{kind: formatSchema, err: fmt.Errorf("%w: schema of %v: %w", ErrUnsupported, reflect.TypeFor[T](), err)}
	}
	return JSONSchema(schema)
}

// GenerateInto answers a request with a T, by SchemaOf. Beside the errors of Generate there are ErrIncomplete, where the answer ended
// before it was complete, for MaxTokens or a stop text, and encoding/json's, which a *Model leaves no room for unless T reads itself.
func GenerateInto[T any](ctx context.Context, g Generator, r Request) (T, *Response, error) {
	var v T
	r.Format, r.N = SchemaOf[T](), 1
	response, err := g.Generate(ctx, r)
	if err != nil {
		return v, response, err
	}
	if len(response.Choices) == 0 || response.Choices[0].Finish != FinishStop || response.Choices[0].Stop != "" {
		return v, response, ErrIncomplete
	}
	if err := json.Unmarshal([]byte(response.Text()), &v); err != nil {
		return v, response, fmt.Errorf("llama: the answer as %T: %w", v, err)
	}
	return v, response, nil
}

// schemaMaker makes the schema of a Go type. Structs that are inside themselves are in $defs.
type schemaMaker struct {
	names map[reflect.Type]string // of structs
	defs  []definition
	open  map[reflect.Type]bool // structs that are being described
}

type definition struct {
	name   string
	schema []byte
}

func schemaOf(t reflect.Type) ([]byte, error) {
	m := schemaMaker{names: map[reflect.Type]string{}, open: map[reflect.Type]bool{}}
	s, err := m.of(t)
	if err != nil {
		return nil, err
	}
	if len(m.defs) > 0 {
		var b bytes.Buffer
		b.Write(bytes.TrimSuffix(s, []byte("}")))
		b.WriteString(`,"$defs":{`)
		for i, d := range m.defs {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "%s:%s", quote(d.name), d.schema)
		}
		b.WriteString("}}")
		s = b.Bytes()
	}
	return s, nil
}

func quote(s string) []byte {
	b, _ := json.Marshal(s) // a string cannot fail
	return b
}

var (
	timeType        = reflect.TypeFor[time.Time]()
	numberType      = reflect.TypeFor[json.Number]()
	unmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func (m *schemaMaker) of(t reflect.Type) ([]byte, error) {
	switch {
	case t == timeType:
		return []byte(`{"type":"string","format":"date-time"}`), nil
	case t == numberType:
		return []byte(`{"type":"number"}`), nil
	case reflect.PointerTo(t).Implements(unmarshaler):
		return []byte(`{}`), nil
	case reflect.PointerTo(t).Implements(textUnmarshaler):
		return []byte(`{"type":"string"}`), nil
	}
	switch k := t.Kind(); k {
	case reflect.Bool:
		return []byte(`{"type":"boolean"}`), nil
	case reflect.String:
		return []byte(`{"type":"string"}`), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n := t.Bits() - 1
		return fmt.Appendf(nil, `{"type":"integer","minimum":%d,"maximum":%d}`, int64(-1)<<n, int64(1)<<n-1), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return fmt.Appendf(nil, `{"type":"integer","minimum":0,"maximum":%d}`, uint64(math.MaxUint64)>>(64-t.Bits())), nil
	case reflect.Float32:
		return []byte(`{"type":"number","minimum":-3.4e38,"maximum":3.4e38}`), nil
	case reflect.Float64:
		return []byte(`{"type":"number"}`), nil
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return []byte(`{}`), nil
		}
	case reflect.Pointer:
		s, err := m.of(t.Elem())
		if err != nil {
			return nil, err
		}
		return fmt.Appendf(nil, `{"anyOf":[%s,{"type":"null"}]}`, s), nil
	case reflect.Slice, reflect.Array:
		if k == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
			return []byte(`{"type":"string","pattern":"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"}`), nil
		}
		s, err := m.of(t.Elem())
		if err != nil {
			return nil, err
		}
		if k == reflect.Array {
			return fmt.Appendf(nil, `{"type":"array","items":%s,"minItems":%d,"maxItems":%d}`, s, t.Len(), t.Len()), nil
		}
		return fmt.Appendf(nil, `{"type":"array","items":%s}`, s), nil
	case reflect.Map:
		names := ""
		switch {
		case t.Key().Kind() == reflect.String || reflect.PointerTo(t.Key()).Implements(textUnmarshaler):
		case reflect.Int <= t.Key().Kind() && t.Key().Kind() <= reflect.Int64:
			names = fmt.Sprintf(`,"propertyNames":{"pattern":"^(0|-?[1-9][0-9]{0,%d})$"}`, decimals(t.Key().Bits()))
		case reflect.Uint <= t.Key().Kind() && t.Key().Kind() <= reflect.Uint64:
			names = fmt.Sprintf(`,"propertyNames":{"pattern":"^(0|[1-9][0-9]{0,%d})$"}`, decimals(t.Key().Bits()))
		default:
			return nil, fmt.Errorf("a map with keys of type %v", t.Key())
		}
		s, err := m.of(t.Elem())
		if err != nil {
			return nil, err
		}
		return fmt.Appendf(nil, `{"type":"object","additionalProperties":%s%s}`, s, names), nil
	case reflect.Struct:
		return m.structure(t)
	}
	return nil, fmt.Errorf("the type %v", t)
}

// decimals is how many digits after the first a number of so many bits always has room for.
func decimals(bits int) int { return len(strconv.FormatUint(1<<(bits-1)-1, 10)) - 2 }

func (m *schemaMaker) structure(t reflect.Type) ([]byte, error) {
	if m.open[t] {
		name := m.names[t]
		if name == "" {
			name = t.Name()
			for i := 2; slices.Contains(values(m.names), name); i++ {
				name = t.Name() + strconv.Itoa(i)
			}
			m.names[t] = name
		}
		return fmt.Appendf(nil, `{"$ref":%s}`, quote("#/$defs/"+name)), nil
	}
	m.open[t] = true
	defer delete(m.open, t)
	var properties, required [][]byte
	seen := map[string]bool{}
	err := m.fields(t, func(name string, schema []byte, optional bool) {
		if seen[name] {
			return
		}
		seen[name] = true
		properties = append(properties, append(append(quote(name), ':'), schema...))
		if !optional {
			required = append(required, quote(name))
		}
	})
	if err != nil {
		return nil, err
	}
	comma := []byte(",")
	s := fmt.Appendf(nil, `{"type":"object","properties":{%s},"required":[%s],"additionalProperties":false}`, bytes.Join(properties, comma), bytes.Join(required, comma))
	name := m.names[t]
	if name == "" {
		return s, nil
	}
	if !slices.ContainsFunc(m.defs, func(d definition) bool { return d.name == name }) {
		m.defs = append(m.defs, definition{name, s})
	}
	return fmt.Appendf(nil, `{"$ref":%s}`, quote("#/$defs/"+name)), nil
}

func values(m map[reflect.Type]string) (all []string) {
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

// fields calls f with each field as encoding/json has them, those of embedded structs after a struct's own.
func (m *schemaMaker) fields(t reflect.Type, f func(name string, schema []byte, optional bool)) error {
	var embedded []reflect.Type
	for i := range t.NumField() {
		field := t.Field(i)
		tag := field.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		if tag == "-" {
			continue
		}
		if field.Anonymous && name == "" {
			inner := field.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct && inner != timeType {
				if !m.open[inner] {
					embedded = append(embedded, inner)
				}
				continue
			}
		}
		if !field.IsExported() {
			continue
		}
		if name == "" {
			name = field.Name
		}
		all := strings.Split(options, ",")
		if slices.Contains(all, "string") {
			return fmt.Errorf("the field %s of %v with the json option string", field.Name, t)
		}
		optional := slices.Contains(all, "omitempty") || slices.Contains(all, "omitzero")
		of := field.Type
		if optional && of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		s, err := m.of(of)
		if err != nil {
			return fmt.Errorf("the field %s of %v: %w", field.Name, t, err)
		}
		if s, err = described(s, field.Tag, of); err != nil {
			return fmt.Errorf("the field %s of %v: %w", field.Name, t, err)
		}
		f(name, s, optional)
	}
	for _, e := range embedded {
		if err := m.fields(e, f); err != nil {
			return err
		}
	}
	return nil
}

// described adds what a field's tags say.
func described(schema []byte, tag reflect.StructTag, t reflect.Type) ([]byte, error) {
	more := ""
	if d := tag.Get("description"); d != "" {
		more += fmt.Sprintf(`,"description":%s`, quote(d))
	}
	if e := tag.Get("enum"); e != "" {
		var list [][]byte
		for _, v := range strings.Split(e, ",") {
			b := []byte(v)
			if t.Kind() == reflect.String {
				b = quote(v)
			} else if !json.Valid(b) {
				return nil, fmt.Errorf("the enum %q", e)
			}
			list = append(list, b)
		}
		more += fmt.Sprintf(`,"enum":[%s]`, bytes.Join(list, []byte(",")))
	}
	if more == "" {
		return schema, nil
	}
	if string(schema) == "{}" {
		more = more[1:]
	}
	return append(append(bytes.TrimSuffix(schema, []byte("}")), more...), '}'), nil
}
