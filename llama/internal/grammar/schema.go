package grammar

import (
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/llama31/llama31/llama/internal/python"
)

// schema is a JSON Schema (2020-12), read. Keywords that only describe, and unknown ones, are left out.
type schema struct {
	where  string // a JSON pointer
	id     int
	always *bool // of true and false

	types   types // 0: not said
	enum    []any // with const
	hasEnum bool
	all     []*schema // allOf and $ref
	any     []*schema
	one     []*schema
	not     *schema

	properties     []property
	patterns       []patternProperty
	additional     *schema
	closed         bool // unevaluatedProperties: false
	required       []string
	names          *schema
	minProps       int
	maxProps       int
	prefix         []*schema
	items          *schema
	minItems       int
	maxItems       int
	minLength      int
	maxLength      int
	strings        []*dfa // pattern and format
	minimum        *bound
	maximum        *bound
	multipleOf     *big.Rat
	hasProperties  bool // says something of objects, and so on
	hasItems       bool
	hasString      bool
	hasNumber      bool
	closedElements bool // unevaluatedItems: false
}

type property struct {
	name  string
	value *schema
}

type patternProperty struct {
	pattern string
	keys    *dfa
	value   *schema
}

type bound struct {
	value     *big.Rat
	exclusive bool
}

// types is a set of JSON types. Numbers are integers and others.
type types uint8

const (
	typeNull types = 1 << iota
	typeBoolean
	typeInteger
	typeFraction
	typeString
	typeArray
	typeObject

	typeNumber = typeInteger | typeFraction
	typeAny    = 1<<7 - 1
)

var typeNames = map[string]types{"null": typeNull, "boolean": typeBoolean, "integer": typeInteger, "number": typeNumber, "string": typeString, "array": typeArray, "object": typeObject}

// schemaReader reads a document.
type schemaReader struct {
	root  any
	id    string // $id of the root
	known map[string]*schema
	dfas  map[string]*dfa // by pattern
}

// unsupported are keywords that say what is valid and are not supported.
var unsupported = []string{"if", "dependentRequired", "dependentSchemas", "dependencies", "contains", "$dynamicRef", "$recursiveRef"}

func readSchema(source []byte) (*schemaReader, *schema, error) {
	v, err := python.ParseJSON(source)
	if err != nil {
		return nil, nil, &Error{ErrSyntax, "the schema", err.Error()}
	}
	r := &schemaReader{root: v, known: map[string]*schema{}, dfas: map[string]*dfa{}}
	if o, ok := v.(python.Object); ok {
		r.id, _ = get(o, "$id").(string)
	}
	s, err := r.read("#", v)
	if err != nil {
		return nil, nil, err
	}
	seen := map[*schema]int{}
	for _, s := range r.known {
		if at := s.cycle(seen); at != "" {
			return nil, nil, &Error{ErrImpossible, at, "it refers to itself and to nothing else"}
		}
	}
	return r, s, nil
}

// cycle is where a schema is that is itself by $ref and allOf alone; "" if there is none.
func (s *schema) cycle(seen map[*schema]int) string {
	const (
		open = 1
		done = 2
	)
	switch seen[s] {
	case open:
		return s.where
	case done:
		return ""
	}
	seen[s] = open
	for _, t := range s.all {
		if at := t.cycle(seen); at != "" {
			return at
		}
	}
	seen[s] = done
	return ""
}

// get is a key's value, nil without it.
func get(o python.Object, key string) any {
	for _, f := range o {
		if f.Key == key {
			return f.Value
		}
	}
	return nil
}

func has(o python.Object, key string) bool {
	return slices.ContainsFunc(o, func(f python.Field) bool { return f.Key == key })
}

// point appends a key to a JSON pointer.
func point(where, key string) string {
	return where + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// read reads the schema at a place. The same place gives the same schema.
func (r *schemaReader) read(where string, v any) (*schema, error) {
	if s := r.known[where]; s != nil {
		return s, nil
	}
	s := &schema{where: where, id: len(r.known), maxProps: unlimited, maxItems: unlimited, maxLength: unlimited}
	r.known[where] = s
	switch v := v.(type) {
	case bool:
		s.always = &v
	case python.Object:
		if err := r.keywords(s, v); err != nil {
			return nil, err
		}
	default:
		return nil, &Error{ErrSyntax, where, "expected an object, true or false"}
	}
	return s, nil
}

func (r *schemaReader) keywords(s *schema, o python.Object) (err error) {
	bad := func(key, expected string) error {
		return &Error{ErrSyntax, point(s.where, key), "expected " + expected}
	}
	for _, key := range unsupported {
		if has(o, key) {
			return &Error{ErrUnsupported, point(s.where, key), "this keyword"}
		}
	}
	sub := func(to **schema, key string, v any) error {
		*to, err = r.read(point(s.where, key), v)
		return err
	}
	list := func(to *[]*schema, key string, v any) error {
		values, ok := v.([]any)
		if !ok || len(values) == 0 && key != "prefixItems" && key != "items" {
			return bad(key, "an array of schemas")
		}
		for i, v := range values {
			one, err := r.read(point(point(s.where, key), strconv.Itoa(i)), v)
			if err != nil {
				return err
			}
			*to = append(*to, one)
		}
		return nil
	}
	count := func(to *int, key string, v any) error {
		n, ok := v.(json.Number)
		x, e := readRat(n.String())
		if !ok || e != nil || !x.IsInt() || x.Sign() < 0 {
			return bad(key, "a whole number from 0 on")
		}
		*to = maxCount
		if x.Num().IsInt64() && x.Num().Int64() < maxCount {
			*to = int(x.Num().Int64())
		}
		return nil
	}
	limit := func(key string, v any) (*big.Rat, error) {
		n, ok := v.(json.Number)
		if !ok {
			return nil, bad(key, "a number")
		}
		x, e := readRat(n.String())
		if e != nil {
			return nil, &Error{ErrUnsupported, point(s.where, key), e.Error()}
		}
		return x, nil
	}
	tighten := func(to **bound, key string, v any, exclusive bool, sign int) error {
		x, err := limit(key, v)
		if err == nil {
			*to = tighter(*to, &bound{x, exclusive}, sign)
		}
		return err
	}
	for _, f := range o {
		key, v := f.Key, f.Value
		switch key {
		case "type":
			names, ok := v.([]any)
			if !ok {
				names = []any{v}
			}
			for _, n := range names {
				name, _ := n.(string)
				t, ok := typeNames[name]
				if !ok {
					return bad(key, "null, boolean, integer, number, string, array or object")
				}
				s.types |= t
			}
			if s.types == 0 {
				return bad(key, "a type")
			}
		case "enum":
			values, ok := v.([]any)
			if !ok {
				return bad(key, "an array")
			}
			s.restrict(values)
		case "const":
			s.restrict([]any{v})
		case "$ref":
			err = r.reference(s, v)
		case "allOf":
			err = list(&s.all, key, v)
		case "anyOf":
			err = list(&s.any, key, v)
		case "oneOf":
			err = list(&s.one, key, v)
		case "not":
			err = sub(&s.not, key, v)
		case "properties":
			s.hasProperties = true
			values, ok := v.(python.Object)
			if !ok {
				return bad(key, "an object")
			}
			for _, p := range values {
				value, err := r.read(point(point(s.where, key), p.Key), p.Value)
				if err != nil {
					return err
				}
				s.properties = append(s.properties, property{p.Key, value})
			}
		case "patternProperties":
			s.hasProperties = true
			values, ok := v.(python.Object)
			if !ok {
				return bad(key, "an object")
			}
			for _, p := range values {
				where := point(point(s.where, key), p.Key)
				keys, err := r.pattern(p.Key, where)
				if err != nil {
					return err
				}
				value, err := r.read(where, p.Value)
				if err != nil {
					return err
				}
				s.patterns = append(s.patterns, patternProperty{p.Key, keys, value})
			}
		case "additionalProperties":
			s.hasProperties = true
			err = sub(&s.additional, key, v)
		case "unevaluatedProperties", "unevaluatedItems":
			open, ok := v.(bool)
			if !ok {
				return &Error{ErrUnsupported, point(s.where, key), "this keyword with a schema"}
			}
			if key == "unevaluatedItems" {
				s.closedElements = !open
			} else {
				s.closed = !open
			}
		case "propertyNames":
			s.hasProperties = true
			err = sub(&s.names, key, v)
		case "required":
			s.hasProperties = true
			values, ok := v.([]any)
			if !ok {
				return bad(key, "an array")
			}
			for _, v := range values {
				name, ok := v.(string)
				if !ok {
					return bad(key, "an array of strings")
				}
				s.required = append(s.required, name)
			}
		case "minProperties":
			s.hasProperties = true
			err = count(&s.minProps, key, v)
		case "maxProperties":
			s.hasProperties = true
			err = count(&s.maxProps, key, v)
		case "prefixItems":
			s.hasItems = true
			err = list(&s.prefix, key, v)
		case "items":
			s.hasItems = true
			if _, old := v.([]any); old { // of draft 7
				err = list(&s.prefix, key, v)
			} else {
				err = sub(&s.items, key, v)
			}
		case "additionalItems": // of draft 7: nothing beside a schema of all items
			if _, old := get(o, "items").([]any); old {
				err = sub(&s.items, key, v)
			}
		case "minItems":
			s.hasItems = true
			err = count(&s.minItems, key, v)
		case "maxItems":
			s.hasItems = true
			err = count(&s.maxItems, key, v)
		case "uniqueItems":
			if unique, ok := v.(bool); !ok || unique {
				return &Error{ErrUnsupported, point(s.where, key), "this keyword"}
			}
		case "minLength":
			s.hasString = true
			err = count(&s.minLength, key, v)
		case "maxLength":
			s.hasString = true
			err = count(&s.maxLength, key, v)
		case "pattern":
			s.hasString = true
			p, ok := v.(string)
			if !ok {
				return bad(key, "a string")
			}
			d, err := r.pattern(p, point(s.where, key))
			if err != nil {
				return err
			}
			s.strings = append(s.strings, d)
		case "format":
			name, ok := v.(string)
			if !ok {
				return bad(key, "a string")
			}
			d, known, err := formatDFA(name)
			if err != nil {
				return &Error{ErrUnsupported, point(s.where, key), "the format " + name}
			}
			if known {
				s.hasString = true
				s.strings = append(s.strings, d)
			}
		case "minimum":
			s.hasNumber = true
			err = tighten(&s.minimum, key, v, false, 1)
		case "maximum":
			s.hasNumber = true
			err = tighten(&s.maximum, key, v, false, -1)
		case "exclusiveMinimum":
			s.hasNumber = true
			err = tighten(&s.minimum, key, v, true, 1)
		case "exclusiveMaximum":
			s.hasNumber = true
			err = tighten(&s.maximum, key, v, true, -1)
		case "multipleOf":
			s.hasNumber = true
			s.multipleOf, err = limit(key, v)
			if err == nil && s.multipleOf.Sign() <= 0 {
				return bad(key, "a number above 0")
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// restrict takes enum or const.
func (s *schema) restrict(values []any) {
	if s.hasEnum {
		values = slices.DeleteFunc(slices.Clone(values), func(v any) bool {
			return !slices.ContainsFunc(s.enum, func(w any) bool { return equal(v, w) })
		})
	}
	s.enum, s.hasEnum = values, true
}

// reference reads what $ref refers to, in this document.
func (r *schemaReader) reference(s *schema, v any) error {
	where := point(s.where, "$ref")
	to, ok := v.(string)
	if !ok {
		return &Error{ErrSyntax, where, "expected a string"}
	}
	fragment := to
	if r.id != "" {
		fragment = strings.TrimPrefix(to, strings.TrimSuffix(r.id, "#"))
	}
	pointer, err := url.PathUnescape(strings.TrimPrefix(fragment, "#"))
	if fragment != "" && fragment[0] != '#' || err != nil || pointer != "" && pointer[0] != '/' {
		return &Error{ErrUnsupported, where, fmt.Sprintf("%q, expected a JSON pointer into this schema such as #/$defs/name", to)}
	}
	at, value := "#", r.root
	for _, key := range strings.Split(pointer, "/")[1:] {
		key = strings.NewReplacer("~1", "/", "~0", "~").Replace(key)
		switch v := value.(type) {
		case python.Object:
			if !has(v, key) {
				return &Error{ErrSyntax, where, fmt.Sprintf("%q is not in the schema", to)}
			}
			value = get(v, key)
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(v) {
				return &Error{ErrSyntax, where, fmt.Sprintf("%q is not in the schema", to)}
			}
			value = v[i]
		default:
			return &Error{ErrSyntax, where, fmt.Sprintf("%q is not in the schema", to)}
		}
		at = point(at, key)
	}
	target, err := r.read(at, value)
	if err != nil {
		return err
	}
	s.all = append(s.all, target)
	return nil
}

var unicodeEscape = regexp.MustCompile(`(\\\\)|\\u([0-9a-fA-F]{4})`)

// pattern is the automaton of the texts in which a pattern is found. Patterns are RE2's, and of ECMA-262 what both have.
func (r *schemaReader) pattern(pattern, where string) (*dfa, error) {
	if d := r.dfas[pattern]; d != nil {
		return d, nil
	}
	p := unicodeEscape.ReplaceAllStringFunc(pattern, func(s string) string {
		if s == `\\` {
			return s
		}
		return `\x{` + s[2:] + `}`
	})
	if _, err := parseRegexp(p, where); err != nil {
		return nil, err
	}
	re, err := parseRegexp(`(?s:.*)(?:`+p+`)(?s:.*)`, where)
	if err != nil {
		return nil, err
	}
	d, err := regexpDFA(re, where)
	if err != nil {
		return nil, err
	}
	r.dfas[pattern] = d
	return d, nil
}

// readRat reads a JSON number, exactly. Those beyond 1e400 and below 1e-400 are an error, for their digits take memory.
func readRat(n string) (*big.Rat, error) {
	if _, exp, ok := strings.Cut(strings.ToLower(n), "e"); ok {
		if x, err := strconv.Atoi(exp); err != nil || x > 400 || x < -400 {
			return nil, fmt.Errorf("the number %.20s", n)
		}
	}
	x, ok := new(big.Rat), len(n) <= 1000
	if ok {
		x, ok = x.SetString(n)
	}
	if !ok {
		return nil, fmt.Errorf("the number %.20s", n)
	}
	return x, nil
}

// tighter is the narrower of two bounds: for minima the greater (sign 1), for maxima the smaller (sign -1).
func tighter(a, b *bound, sign int) *bound {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	switch c := sign * a.value.Cmp(b.value); {
	case c > 0, c == 0 && a.exclusive:
		return a
	}
	return b
}

// equal compares JSON values; numbers by value.
func equal(a, b any) bool {
	switch a := a.(type) {
	case json.Number:
		b, ok := b.(json.Number)
		if !ok {
			return false
		}
		x, e := readRat(a.String())
		y, f := readRat(b.String())
		return e == nil && f == nil && x.Cmp(y) == 0 || a == b
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equal)
	case python.Object:
		b, ok := b.(python.Object)
		if !ok || len(a) != len(b) {
			return false
		}
		for _, f := range a {
			if !has(b, f.Key) || !equal(f.Value, get(b, f.Key)) {
				return false
			}
		}
		return true
	case python.Field:
		return false
	}
	switch b.(type) {
	case []any, python.Object:
		return false
	}
	return a == b
}
