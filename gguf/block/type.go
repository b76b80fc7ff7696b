package block

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"

	"gorgonia.org/tensor"
)

// Type is GGML's number for the format of a tensor's elements.
type Type uint32

// The types that GGML has given numbers. 4, 5, 31 to 33 and 36 to 38 were
// withdrawn.
const (
	TypeF32     Type = 0
	TypeF16     Type = 1
	TypeQ4_0    Type = 2
	TypeQ4_1    Type = 3
	TypeQ5_0    Type = 6
	TypeQ5_1    Type = 7
	TypeQ8_0    Type = 8
	TypeQ8_1    Type = 9 // activations inside GGML, never in files
	TypeQ2_K    Type = 10
	TypeQ3_K    Type = 11
	TypeQ4_K    Type = 12
	TypeQ5_K    Type = 13
	TypeQ6_K    Type = 14
	TypeQ8_K    Type = 15 // activations inside GGML, never in files
	TypeIQ2_XXS Type = 16
	TypeIQ2_XS  Type = 17
	TypeIQ3_XXS Type = 18
	TypeIQ1_S   Type = 19
	TypeIQ4_NL  Type = 20
	TypeIQ3_S   Type = 21
	TypeIQ2_S   Type = 22
	TypeIQ4_XS  Type = 23
	TypeI8      Type = 24
	TypeI16     Type = 25
	TypeI32     Type = 26
	TypeI64     Type = 27
	TypeF64     Type = 28
	TypeIQ1_M   Type = 29
	TypeBF16    Type = 30
	TypeTQ1_0   Type = 34
	TypeTQ2_0   Type = 35
	TypeMXFP4   Type = 39 // known by name only
	TypeNVFP4   Type = 40 // known by name only
	numTypes         = 41
)

// ErrUnsupported is wrapped by the errors for types that this package cannot
// decode, encode or size.
var ErrUnsupported = errors.New("unsupported block type")

// format is what is known of a type. Without elem it is known by name only.
type format struct {
	name       string
	len, size  int // values and bytes per block
	dtype      tensor.Dtype
	dequantize func(dst []float32, src []byte)
	quantize   func(dst []byte, src, weight []float32)
}

var formats [numTypes]format

// init registers the block structs with tensor, once and from one goroutine:
// tensor.Register appends to a global slice without a lock.
func init() {
	basic := func(t Type, name string, dt tensor.Dtype) {
		formats[t] = format{name: name, len: 1, size: int(dt.Size()), dtype: dt}
	}
	block := func(t Type, name string, n int, elem any) {
		dt := tensor.Dtype{Type: reflect.TypeOf(elem)}
		tensor.Register(dt)
		formats[t] = format{name: name, len: n, size: int(dt.Size()), dtype: dt}
	}
	basic(TypeF32, "F32", tensor.Float32)
	basic(TypeF64, "F64", tensor.Float64)
	basic(TypeI8, "I8", tensor.Int8)
	basic(TypeI16, "I16", tensor.Int16)
	basic(TypeI32, "I32", tensor.Int32)
	basic(TypeI64, "I64", tensor.Int64)
	block(TypeF16, "F16", 1, F16(0))
	block(TypeBF16, "BF16", 1, BF16(0))
	block(TypeQ4_0, "Q4_0", 32, Q4_0{})
	block(TypeQ4_1, "Q4_1", 32, Q4_1{})
	block(TypeQ5_0, "Q5_0", 32, Q5_0{})
	block(TypeQ5_1, "Q5_1", 32, Q5_1{})
	block(TypeQ8_0, "Q8_0", 32, Q8_0{})
	block(TypeQ2_K, "Q2_K", 256, Q2_K{})
	block(TypeQ3_K, "Q3_K", 256, Q3_K{})
	block(TypeQ4_K, "Q4_K", 256, Q4_K{})
	block(TypeQ5_K, "Q5_K", 256, Q5_K{})
	block(TypeQ6_K, "Q6_K", 256, Q6_K{})
	block(TypeIQ2_XXS, "IQ2_XXS", 256, IQ2_XXS{})
	block(TypeIQ2_XS, "IQ2_XS", 256, IQ2_XS{})
	block(TypeIQ2_S, "IQ2_S", 256, IQ2_S{})
	block(TypeIQ3_XXS, "IQ3_XXS", 256, IQ3_XXS{})
	block(TypeIQ3_S, "IQ3_S", 256, IQ3_S{})
	block(TypeIQ1_S, "IQ1_S", 256, IQ1_S{})
	block(TypeIQ1_M, "IQ1_M", 256, IQ1_M{})
	block(TypeIQ4_NL, "IQ4_NL", 32, IQ4_NL{})
	block(TypeIQ4_XS, "IQ4_XS", 256, IQ4_XS{})
	block(TypeTQ1_0, "TQ1_0", 256, TQ1_0{})
	block(TypeTQ2_0, "TQ2_0", 256, TQ2_0{})
	for t, name := range map[Type]string{TypeQ8_1: "Q8_1", TypeQ8_K: "Q8_K", TypeMXFP4: "MXFP4", TypeNVFP4: "NVFP4"} {
		formats[t].name = name
	}
	registerCodecs()
}

func (t Type) format() format {
	if t < numTypes {
		return formats[t]
	}
	return format{}
}

// String is GGML's name, such as "Q4_K".
func (t Type) String() string {
	if name := t.format().name; name != "" {
		return name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// Len is the number of values in a block, 0 for a type that is not supported.
func (t Type) Len() int { return t.format().len }

// Size is the number of bytes of a block, 0 for a type that is not supported.
func (t Type) Size() int { return t.format().size }

// Quantized says whether a block holds more than one value.
func (t Type) Quantized() bool { return t.Len() > 1 }

// Bytes is the size of n values, which must be whole blocks.
func (t Type) Bytes(n int64) (int64, error) {
	f := t.format()
	switch {
	case f.len == 0:
		return 0, fmt.Errorf("block: %w: %v", ErrUnsupported, t)
	case n < 0 || n%int64(f.len) != 0:
		return 0, fmt.Errorf("block: %d values are not whole blocks of %v (%d values each)", n, t, f.len)
	case n/int64(f.len) > math.MaxInt64/int64(f.size):
		return 0, fmt.Errorf("block: the size of %d values of %v overflows 63 bits", n, t)
	}
	return n / int64(f.len) * int64(f.size), nil
}

// Dtype is the tensor element type: one block. It is the zero Dtype for a type
// that is not supported.
func (t Type) Dtype() tensor.Dtype { return t.format().dtype }

// TypeOf is the inverse of [Type.Dtype].
func TypeOf(dt tensor.Dtype) (Type, bool) {
	for t, f := range formats {
		if f.len > 0 && f.dtype == dt {
			return Type(t), true
		}
	}
	return 0, false
}

// ParseType is the inverse of [Type.String]; case does not matter.
func ParseType(s string) (Type, error) {
	for t, f := range formats {
		if f.len > 0 && strings.EqualFold(f.name, s) {
			return Type(t), nil
		}
	}
	return 0, fmt.Errorf("block: %w: %q", ErrUnsupported, s)
}
