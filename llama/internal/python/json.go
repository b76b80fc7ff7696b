package python

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON as Python has it: keys keep their order, and json.dumps puts a space after each comma and colon. A value is nil, a bool, a
// json.Number, a string, a []any, or an Object.

// An Object is an object with its keys in order.
type Object []Field

// A Field is one key of an object.
type Field struct {
	Key   string
	Value any
}

// maxJSONDepth is how deep arrays and objects may nest. Indented by four, depth d takes space in d²: Python gives up at 1000.
const maxJSONDepth = 100

// ParseJSON reads one value. Of equal keys the last value counts, at the first one's place, as in Python.
func ParseJSON(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := parseValue(d, 0)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("text after the JSON value")
	}
	return v, nil
}

func parseValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return t, nil
	}
	if depth == maxJSONDepth {
		return nil, fmt.Errorf("JSON nested more than %d deep", maxJSONDepth)
	}
	if delim == '[' {
		list := []any{}
		for d.More() {
			v, err := parseValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = d.Token()
		return list, err
	}
	object, places := Object{}, map[string]int{}
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := parseValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		key := k.(string) // the decoder takes no other
		if i, ok := places[key]; ok {
			object[i].Value = v
			continue
		}
		places[key] = len(object)
		object = append(object, Field{key, v})
	}
	_, err = d.Token()
	return object, err
}

// A Style is what json.dumps is told. The zero value writes one line.
type Style struct {
	Lines  bool   // one line for each element
	Indent string // in front of it, for each level
	ASCII  bool   // other characters as \u0000

	Item, Colon *string // what separates elements, and keys from values; nil: ", " (or "," with lines) and ": "
}

// Append writes a value as json.dumps does.
func (s *Style) Append(dst []byte, v any) []byte { return s.append(dst, v, 0) }

func (s *Style) append(dst []byte, v any, level int) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case json.Number:
		return append(dst, number(v.String())...)
	case string:
		return s.AppendString(dst, v)
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			dst = s.append(s.next(dst, i, level+1), e, level+1)
		}
		return append(s.end(dst, len(v), level), ']')
	case Object:
		dst = append(dst, '{')
		for i, f := range v {
			dst = s.AppendString(s.next(dst, i, level+1), f.Key)
			if s.Colon != nil {
				dst = append(dst, *s.Colon...)
			} else {
				dst = append(dst, ": "...)
			}
			dst = s.append(dst, f.Value, level+1)
		}
		return append(s.end(dst, len(v), level), '}')
	}
	panic(fmt.Sprintf("python: %T is no JSON value", v)) // ParseJSON makes no other
}

// next begins element i, end ends after n elements.
func (s *Style) next(dst []byte, i, level int) []byte {
	switch {
	case i == 0:
	case s.Item != nil:
		dst = append(dst, *s.Item...)
	case s.Lines:
		dst = append(dst, ',')
	default:
		dst = append(dst, ", "...)
	}
	if s.Lines {
		dst = s.line(dst, level)
	}
	return dst
}

func (s *Style) end(dst []byte, n, level int) []byte {
	if s.Lines && n > 0 {
		return s.line(dst, level)
	}
	return dst
}

func (s *Style) line(dst []byte, level int) []byte {
	dst = append(dst, '\n')
	for range level {
		dst = append(dst, s.Indent...)
	}
	return dst
}

// AppendString writes a string in quotes.
func (s *Style) AppendString(dst []byte, text string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(text); {
		c := text[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(text[i:])
			switch {
			case !s.ASCII || IsNoncharacter(r): // a guard stays one
				dst = append(dst, text[i:i+n]...)
			case r > 0xFFFF:
				hi, lo := utf16.EncodeRune(r)
				dst = fmt.Appendf(dst, `\u%04x\u%04x`, hi, lo)
			default:
				dst = fmt.Appendf(dst, `\u%04x`, r)
			}
			i += n
			continue
		}
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		default:
			if c < ' ' {
				dst = fmt.Appendf(dst, `\u%04x`, c)
			} else {
				dst = append(dst, c)
			}
		}
		i++
	}
	return append(dst, '"')
}

// number is a JSON number after a way through Python: integers stay as they are, others are written as repr does.
func number(n string) string {
	if !strings.ContainsAny(n, ".eE") {
		if n == "-0" {
			return "0"
		}
		return n
	}
	f, _ := strconv.ParseFloat(n, 64) // out of range: an infinity, as in Python
	return Float(f)
}

// Float is Python's repr: the shortest digits that give the number back, with an exponent below 1e-4 and from 1e16 on.
func Float(f float64) string {
	switch a := math.Abs(f); {
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case math.IsNaN(f):
		return "NaN"
	case a != 0 && (a < 1e-4 || a >= 1e16):
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
