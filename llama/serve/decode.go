package serve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// value is a value of a request's JSON, with where it stands. Its methods read it as something; the first that is something else is
// noted for the whole request, as OpenAI's errors name it. A value that is absent, or null, reads as the zero of everything.
type value struct {
	d    *decoding
	path string // such as messages[2].content
	raw  json.RawMessage
}

// decoding holds the first thing that is wrong with a request.
type decoding struct{ wrong *failure }

func (d *decoding) err() error {
	if d.wrong != nil {
		return d.wrong
	}
	return nil
}

// maxValues bounds the values of a body, by its commas: each takes up to fifty times the memory of its text. Texts of so many commas
// are beyond any context.
const maxValues = 1 << 20

// decode reads a request's body, which is an object.
func decode(body []byte) (object, *decoding) {
	d := &decoding{}
	if !json.Valid(body) {
		var ignored any
		d.wrong = invalid("", "invalid_json", "the body is no JSON: %v", json.Unmarshal(body, &ignored))
		return object{d: d}, d
	}
	if bytes.Count(body, []byte{','}) > maxValues {
		d.wrong = invalid("", "too_many_values", "the body has more than %d values", maxValues)
		return object{d: d}, d
	}
	v := value{d: d, raw: body}
	if !v.ok() {
		v.fail("invalid_type", "the body is null, expected an object")
	}
	return v.object(), d
}

func (v value) fail(code, format string, args ...any) {
	if v.d.wrong == nil {
		v.d.wrong = invalid(v.path, code, format, args...)
	}
}

// ok reports whether there is a value other than null.
func (v value) ok() bool { return len(v.raw) > 0 && v.kind() != "null" }

// kind is the type of a value, with its article.
func (v value) kind() string {
	raw := bytes.TrimLeft(v.raw, " \t\r\n")
	if len(raw) == 0 {
		return "null"
	}
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// is reports whether the value is of a kind, and notes it if it is of another.
func (v value) is(kind string) bool {
	if !v.ok() {
		return false
	}
	if got := v.kind(); got != kind {
		v.wrongType(kind)
		return false
	}
	return true
}

func (v value) wrongType(expected string) {
	where := v.path
	if where == "" {
		where = "the body"
	}
	v.fail("invalid_type", "%s is %s, expected %s", where, v.kind(), expected)
}

// need notes that a value is absent.
func (v value) need() value {
	if !v.ok() {
		v.fail("missing_required_parameter", "%s is missing", v.path)
	}
	return v
}

func (v value) string() (s string) {
	if v.is("a string") {
		json.Unmarshal(v.raw, &s)
	}
	return s
}

func (v value) bool() (b bool) {
	if v.is("a boolean") {
		json.Unmarshal(v.raw, &b)
	}
	return b
}

// number is nil if there is none.
func (v value) number(least, most float64) *float64 {
	if !v.is("a number") {
		return nil
	}
	x, err := strconv.ParseFloat(string(bytes.TrimSpace(v.raw)), 64)
	switch {
	case err != nil:
		v.fail("invalid_value", "%s is %s, expected a number that a float64 holds", v.path, v.raw)
	case x < least:
		v.fail("decimal_below_min_value", "%s is %g, expected %g or more", v.path, x, least)
	case x > most:
		v.fail("decimal_above_max_value", "%s is %g, expected %g or less", v.path, x, most)
	}
	return &x
}

// integer is nil if there is none. 3.0 is one, as in JSON Schema.
func (v value) integer(least, most int64) *int64 {
	if !v.is("a number") {
		return nil
	}
	text := string(bytes.TrimSpace(v.raw))
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		x, err := strconv.ParseFloat(text, 64)
		switch {
		case err != nil || x != math.Trunc(x):
			v.fail("invalid_type", "%s is %s, expected an integer", v.path, text)
			return new(int64)
		case x >= math.MaxInt64:
			n = math.MaxInt64
		case x <= math.MinInt64:
			n = math.MinInt64
		default:
			n = int64(x)
		}
	}
	switch {
	case n < least:
		v.fail("integer_below_min_value", "%s is %s, expected %d or more", v.path, text, least)
	case n > most:
		v.fail("integer_above_max_value", "%s is %s, expected %d or less", v.path, text, most)
	}
	return &n
}

// list is nil if there is none.
func (v value) list() []value {
	if !v.is("an array") {
		return nil
	}
	var raw []json.RawMessage
	json.Unmarshal(v.raw, &raw)
	all := make([]value, len(raw))
	for i := range raw {
		all[i] = value{d: v.d, path: fmt.Sprintf("%s[%d]", v.path, i), raw: raw[i]}
	}
	return all
}

// strings is a list of strings, none of them null.
func (v value) strings() []string {
	var all []string
	for _, e := range v.list() {
		if !e.ok() {
			e.wrongType("a string")
		}
		all = append(all, e.string())
	}
	return all
}

// object has no fields if there is none.
func (v value) object() object {
	o := object{d: v.d, path: v.path}
	if v.is("an object") {
		json.Unmarshal(v.raw, &o.fields)
	}
	return o
}

// object is an object of a request's JSON.
type object struct {
	d      *decoding
	path   string
	fields map[string]json.RawMessage
}

func (o object) get(name string) value {
	path := name
	if o.path != "" {
		path = o.path + "." + name
	}
	return value{d: o.d, path: path, raw: o.fields[name]}
}

// choose reads a string that is one of several; absent, it is the first.
func (v value) choose(among ...string) string {
	if !v.ok() {
		return among[0]
	}
	s := v.string()
	for _, a := range among {
		if s == a {
			return s
		}
	}
	v.fail("invalid_value", "%s is %.60q, expected one of %q", v.path, s, among)
	return among[0]
}
