package grammar

import (
	"encoding/json"
	"math/big"
	"slices"

	"github.com/llama31/llama31/llama/internal/python"
)

// evaluates says that what unevaluatedProperties or unevaluatedItems of s leave out is told by a schema that s has in itself.
func (s *schema) evaluates(tellers []*schema) bool {
	seen := map[*schema]bool{}
	var within func(s *schema) bool
	within = func(s *schema) bool {
		if seen[s] {
			return false
		}
		seen[s] = true
		return slices.Contains(tellers, s) || slices.ContainsFunc(s.all, within) || slices.ContainsFunc(s.any, within) || slices.ContainsFunc(s.one, within)
	}
	return within(s)
}

// kind is the type of a value; an integer is one however it is written.
func kind(v any) types {
	switch v := v.(type) {
	case nil:
		return typeNull
	case bool:
		return typeBoolean
	case string:
		return typeString
	case []any:
		return typeArray
	case python.Object:
		return typeObject
	case json.Number:
		if x, err := readRat(v.String()); err == nil && x.IsInt() {
			return typeInteger
		}
	}
	return typeFraction
}

// valid says whether a value matches a schema, as the specification has it.
func (w *schemaWriter) valid(v any, i item) (bool, error) {
	if err := w.busy([]item{i}); err != nil {
		return false, err
	}
	s := i.s
	if s.always != nil {
		return *s.always, nil
	}
	count := func(list []*schema) (n int, err error) {
		for _, b := range list {
			ok, err := w.valid(v, item{s: b})
			if err != nil {
				return 0, err
			}
			if ok {
				n++
			}
		}
		return n, nil
	}
	if n, err := count(s.all); err != nil || n < len(s.all) {
		return false, err
	}
	if s.any != nil {
		if n, err := count(s.any); err != nil || n == 0 {
			return false, err
		}
	}
	if s.one != nil {
		if n, err := count(s.one); err != nil || n != 1 {
			return false, err
		}
	}
	if s.not != nil {
		if ok, err := w.valid(v, item{s: s.not}); err != nil || ok {
			return false, err
		}
	}
	k := kind(v)
	if s.types != 0 && s.types&k == 0 || s.hasEnum && !slices.ContainsFunc(s.enum, func(e any) bool { return equal(e, v) }) {
		return false, nil
	}
	switch v := v.(type) {
	case json.Number:
		x, err := readRat(v.String())
		if err != nil {
			return false, &Error{ErrUnsupported, s.where, err.Error()}
		}
		return s.validNumber(x), nil
	case string:
		n := len([]rune(v))
		ok := n >= s.minLength && (s.maxLength == unlimited || n <= s.maxLength)
		for _, d := range s.strings {
			ok = ok && d.matches(v)
		}
		return ok, nil
	case []any:
		if len(v) < s.minItems || s.maxItems != unlimited && len(v) > s.maxItems {
			return false, nil
		}
		for n, e := range v {
			var of *schema
			switch {
			case n < len(s.prefix):
				of = s.prefix[n]
			case s.items != nil:
				of = s.items
			case s.closedElements:
				return false, &Error{ErrUnsupported, s.where, "unevaluatedItems with enum, const or oneOf"}
			default:
				continue
			}
			if ok, err := w.valid(e, item{s: of}); err != nil || !ok {
				return false, err
			}
		}
	case python.Object:
		return w.validObject(v, s)
	}
	return true, nil
}

func (s *schema) validNumber(x *big.Rat) bool {
	if b := s.minimum; b != nil {
		if c := x.Cmp(b.value); c < 0 || c == 0 && b.exclusive {
			return false
		}
	}
	if b := s.maximum; b != nil {
		if c := x.Cmp(b.value); c > 0 || c == 0 && b.exclusive {
			return false
		}
	}
	return s.multipleOf == nil || new(big.Rat).Quo(x, s.multipleOf).IsInt()
}

func (w *schemaWriter) validObject(v python.Object, s *schema) (bool, error) {
	if len(v) < s.minProps || s.maxProps != unlimited && len(v) > s.maxProps {
		return false, nil
	}
	for _, name := range s.required {
		if !has(v, name) {
			return false, nil
		}
	}
	for _, f := range v {
		var of []*schema
		for _, p := range s.properties {
			if p.name == f.Key {
				of = append(of, p.value)
			}
		}
		for _, p := range s.patterns {
			if p.keys.matches(f.Key) {
				of = append(of, p.value)
			}
		}
		if of == nil && s.additional != nil {
			of = append(of, s.additional)
		}
		if of == nil && s.closed {
			return false, &Error{ErrUnsupported, s.where, "unevaluatedProperties with enum, const or oneOf"}
		}
		for _, o := range of {
			if ok, err := w.valid(f.Value, item{s: o}); err != nil || !ok {
				return false, err
			}
		}
		if s.names != nil {
			if ok, err := w.valid(f.Key, item{s: s.names}); err != nil || !ok {
				return false, err
			}
		}
	}
	return true, nil
}
