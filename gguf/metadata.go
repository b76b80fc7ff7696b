package gguf

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Metadata is the ordered key-value part of a file. Values are uint8, int8,
// uint16, int16, uint32, int32, uint64, int64, float32, float64, bool, string, or
// a slice of one of these. It is read-only and safe for concurrent use; slices
// returned from it are shared and must not be changed.
//
// The typed getters return a [*KeyError]: [ErrNoKey] where the key is missing,
// [ErrValueType] where its value is of another kind.
type Metadata struct {
	keys   []string
	values map[string]any
}

// Keys are in the file's order.
func (m *Metadata) Keys() []string { return slices.Clone(m.keys) }

// Has says whether there is a value for key.
func (m *Metadata) Has(key string) bool { _, ok := m.values[key]; return ok }

// Value is the value as it was stored, nil if there is none.
func (m *Metadata) Value(key string) any { return m.values[key] }

func (m *Metadata) get(key, expected string) (any, error) {
	v, ok := m.values[key]
	if !ok {
		return nil, &KeyError{Key: key, Expected: expected, Err: ErrNoKey}
	}
	return v, nil
}

func mistyped(key, expected string, v any) error {
	found := fmt.Sprintf("%T", v)
	switch v.(type) {
	case int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64, bool:
		found += fmt.Sprintf(" %v", v)
	}
	return &KeyError{Key: key, Expected: expected, Found: found, Err: ErrValueType}
}

// Uint is an integer of any width that is not negative.
func (m *Metadata) Uint(key string) (uint64, error) {
	const expected = "an unsigned integer"
	v, err := m.get(key, expected)
	if err != nil {
		return 0, err
	}
	var i int64
	switch v := v.(type) {
	case uint8:
		return uint64(v), nil
	case uint16:
		return uint64(v), nil
	case uint32:
		return uint64(v), nil
	case uint64:
		return v, nil
	case int8:
		i = int64(v)
	case int16:
		i = int64(v)
	case int32:
		i = int64(v)
	case int64:
		i = v
	default:
		i = -1
	}
	if i < 0 {
		return 0, mistyped(key, expected, v)
	}
	return uint64(i), nil
}

// Int is an integer of any width that fits in 64 bits with a sign.
func (m *Metadata) Int(key string) (int64, error) {
	const expected = "an integer"
	v, err := m.get(key, expected)
	if err != nil {
		return 0, err
	}
	switch v := v.(type) {
	case int8:
		return int64(v), nil
	case int16:
		return int64(v), nil
	case int32:
		return int64(v), nil
	case int64:
		return v, nil
	}
	u, err := m.Uint(key)
	if err != nil || u > math.MaxInt64 {
		return 0, mistyped(key, expected, v)
	}
	return int64(u), nil
}

// Float is a number of either floating-point width.
func (m *Metadata) Float(key string) (float64, error) {
	const expected = "a floating-point number"
	v, err := m.get(key, expected)
	if err != nil {
		return 0, err
	}
	switch v := v.(type) {
	case float32:
		return float64(v), nil
	case float64:
		return v, nil
	}
	return 0, mistyped(key, expected, v)
}

func typed[T any](m *Metadata, key, expected string) (T, error) {
	var zero T
	v, err := m.get(key, expected)
	if err != nil {
		return zero, err
	}
	if t, ok := v.(T); ok {
		return t, nil
	}
	return zero, mistyped(key, expected, v)
}

// Bool is a truth value.
func (m *Metadata) Bool(key string) (bool, error) { return typed[bool](m, key, "a bool") }

// String is a text. It need not be valid UTF-8.
func (m *Metadata) String(key string) (string, error) { return typed[string](m, key, "a string") }

// Strings is an array of texts, such as a vocabulary.
func (m *Metadata) Strings(key string) ([]string, error) {
	return typed[[]string](m, key, "an array of strings")
}

// Bools is an array of truth values.
func (m *Metadata) Bools(key string) ([]bool, error) {
	return typed[[]bool](m, key, "an array of bools")
}

// Ints is an array of integers of any width, widened; uint64 values must fit.
func (m *Metadata) Ints(key string) ([]int64, error) {
	const expected = "an array of integers"
	v, err := m.get(key, expected)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case []uint8:
		return widen[int64](v), nil
	case []int8:
		return widen[int64](v), nil
	case []uint16:
		return widen[int64](v), nil
	case []int16:
		return widen[int64](v), nil
	case []uint32:
		return widen[int64](v), nil
	case []int32:
		return widen[int64](v), nil
	case []int64:
		return slices.Clone(v), nil
	case []uint64:
		for i, u := range v {
			if u > math.MaxInt64 {
				return nil, &KeyError{Key: key, Expected: expected + " of 63 bits", Found: fmt.Sprintf("%d at index %d", u, i), Err: ErrValueType}
			}
		}
		return widen[int64](v), nil
	}
	return nil, mistyped(key, expected, v)
}

// Floats is an array of floating-point numbers, widened.
func (m *Metadata) Floats(key string) ([]float64, error) {
	v, err := m.get(key, "an array of floating-point numbers")
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case []float32:
		return widen[float64](v), nil
	case []float64:
		return slices.Clone(v), nil
	}
	return nil, mistyped(key, "an array of floating-point numbers", v)
}

func widen[To, From int64 | float64 | uint8 | int8 | uint16 | int16 | uint32 | int32 | uint64 | float32](v []From) []To {
	out := make([]To, len(v))
	for i, x := range v {
		out[i] = To(x)
	}
	return out
}

// readMetadata reads n entries.
func (d *decoder) readMetadata(n int64) (Metadata, error) {
	m := Metadata{keys: make([]string, 0, n), values: make(map[string]any, n)}
	for i := range n {
		field := "key " + strconv.FormatInt(i, 10)
		at := d.pos
		key, err := d.string(field, maxKeyLen)
		if err != nil {
			return m, err
		}
		if key == "" {
			return m, d.fail(at, nil, field, "a name", "an empty string")
		}
		if m.Has(key) {
			return m, d.fail(at, ErrDuplicate, field, "a new key", printable(key)+" again")
		}
		v, err := d.value("value of " + printable(key))
		if err != nil {
			return m, err
		}
		m.keys = append(m.keys, key)
		m.values[key] = v
	}
	return m, nil
}
