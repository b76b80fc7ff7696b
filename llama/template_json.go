package llama

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

// JSON as Python has it, because chat templates show tools to a model by Python's json.dumps: keys keep their order, and there is a
// space after each comma and colon. A value is nil, a bool, a json.Number, a string, a []any, or a jsonObject.

// A jsonObject is an object with its keys in order.
type jsonObject []jsonField

type jsonField struct {
	key   string
	value any
}

// maxJSONDepth is how deep arrays and objects may nest. Indented by four, depth d takes space in d²: Python gives up at 1000.
const maxJSONDepth = 100

// parseJSON reads one value. Of equal keys the last value counts, at the first one's place, as in Python.
func parseJSON(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := parseValue(d, 0)
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
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
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
	object, places := jsonObject{}, map[string]int{}
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
			object[i].value = v
			continue
		}
		places[key] = len(object)
		object = append(object, jsonField{key, v})
	}
	_, err = d.Token()
	return object, err
}

// A jsonStyle is what json.dumps is told. The zero value writes one line.
type jsonStyle struct {
	lines  bool   // one line for each element
	indent string // in front of it, for each level
	ascii  bool   // other characters as \u0000

	item, colon *string // what separates elements, and keys from values; nil: ", " (or "," with lines) and ": "
}

// append writes a value as json.dumps does.
func (s *jsonStyle) append(dst []byte, v any, level int) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case json.Number:
		return append(dst, pythonNumber(v.String())...)
	case string:
		return s.appendString(dst, v)
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			dst = s.append(s.next(dst, i, level+1), e, level+1)
		}
		return append(s.end(dst, len(v), level), ']')
	case jsonObject:
		dst = append(dst, '{')
		for i, f := range v {
			dst = s.appendString(s.next(dst, i, level+1), f.key)
			if s.colon != nil {
				dst = append(dst, *s.colon...)
			} else {
				dst = append(dst, ": "...)
			}
			dst = s.append(dst, f.value, level+1)
		}
		return append(s.end(dst, len(v), level), '}')
	}
	panic(fmt.Sprintf("llama: %T is no JSON value", v)) // parseJSON makes no other
}

// next begins element i, end ends after n elements.
func (s *jsonStyle) next(dst []byte, i, level int) []byte {
	switch {
	case i == 0:
	case s.item != nil:
		dst = append(dst, *s.item...)
	case s.lines:
		dst = append(dst, ',')
	default:
		dst = append(dst, ", "...)
	}
	if s.lines {
		dst = s.line(dst, level)
	}
	return dst
}

func (s *jsonStyle) end(dst []byte, n, level int) []byte {
	if s.lines && n > 0 {
		return s.line(dst, level)
	}
	return dst
}

func (s *jsonStyle) line(dst []byte, level int) []byte {
	dst = append(dst, '\n')
	for range level {
		dst = append(dst, s.indent...)
	}
	return dst
}

func (s *jsonStyle) appendString(dst []byte, text string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(text); {
		c := text[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(text[i:])
			switch {
			case !s.ascii || isNoncharacter(r): // a guard stays one
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

// pythonNumber is a JSON number after a way through Python: integers stay as they are, others are written as repr does.
func pythonNumber(n string) string {
	if !strings.ContainsAny(n, ".eE") {
		if n == "-0" {
			return "0"
		}
		return n
	}
	f, _ := strconv.ParseFloat(n, 64) // out of range: an infinity, as in Python
	return pythonFloat(f)
}

// pythonFloat is Python's repr: the shortest digits that give the number back, with an exponent below 1e-4 and from 1e16 on.
func pythonFloat(f float64) string {
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
