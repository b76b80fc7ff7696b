package kernels

import (
	"fmt"
	"math"
	"unsafe"
)

// cpuKV holds, per layer, page and KV head, the keys [HeadDim][PageSize], then the values [PageSize][HeadDim], in float16, float32 for
// Shape.Exact, or int8. Where the CPU multiplies bfloat16 and heads are large, that takes float16's place, in pairs: the keys [HeadDim/2][PageSize][2], the values
// [PageSize/2][HeadDim][2]. Behind int8s are their scales, float16 [HeadDim/32][PageSize]: each is of 32 dimensions of one position, so
// that what a token leaves in the cache depends on no later one.
type cpuKV struct {
	typ                           KVType
	pages, layers, heads, headDim int
	part                          int // bytes of a head's keys, and of its values
	mem                           []byte
}

// kvPairs is what KVF16 is where the CPU multiplies bfloat16: twice as fast as float16, which has to become float32, and the queries with it. The rounding, 2^-9, is
// little beside that of the int8 activations of which queries and keys are made: on English text SmolLM2's divergence from float32 is 0.00156 with it, 0.00152 without.
const kvPairs KVType = 255

// pairsHead is the least size of a head for which kvPairs is taken. Models of smaller heads are small themselves: attention takes less of their time, and their answers hang
// on less. SmolLM2 135M's first word about the capital of France, 0.152 to 0.140 in float32, was another one when queries, keys or values alone were rounded so.
const pairsHead = 128

func (d *cpuDevice) NewKV(layers, pages int, t KVType) (KV, error) {
	s := &d.shape
	kv := &cpuKV{typ: t, pages: pages, layers: layers, heads: s.KVHeads, headDim: s.HeadDim}
	switch {
	case s.Exact:
		kv.typ, kv.part = KVF32, 4*PageSize*s.HeadDim
	case t == KVF16:
		kv.part = 2 * PageSize * s.HeadDim
		if d.leaf.bf16 != nil && s.HeadDim >= pairsHead {
			kv.typ = kvPairs
		}
	case t == KVQ8 && s.HeadDim%32 == 0:
		kv.part = PageSize*s.HeadDim + 2*PageSize*s.HeadDim/32
	case t == KVQ8:
		return nil, fmt.Errorf("%w: a KV cache of 8 bits with heads of %d, expected a multiple of 32", ErrUnsupported, s.HeadDim)
	default:
		return nil, fmt.Errorf("%w: KV type %d on the CPU", ErrUnsupported, t)
	}
	if layers < 1 || pages < 1 {
		return nil, fmt.Errorf("%w: a KV cache of %d layers and %d pages", ErrUnsupported, layers, pages)
	}
	size := int64(pages) * int64(kv.PageBytes())
	if size > math.MaxInt { // where an int has 32 bits
		return nil, &MemoryError{Device: "cpu", Need: size, Free: FreeMemory()}
	}
	mem, err := allocate(int(size))
	if err != nil {
		return nil, err
	}
	if d.kv != nil {
		if err := release(d.kv.mem); err != nil {
			return nil, err
		}
	}
	kv.mem = mem
	d.kv = kv
	return kv, nil
}

func (kv *cpuKV) Pages() int     { return kv.pages }
func (kv *cpuKV) head() int      { return 2 * kv.part }
func (kv *cpuKV) PageBytes() int { return kv.layers * kv.heads * kv.head() }

// layer is a page's bytes in one layer. Layers lie apart, so that a step's pages of a layer are close together.
func (kv *cpuKV) layer(layer int, page int32) []byte {
	n := kv.heads * kv.head()
	at := (layer*kv.pages + int(page)) * n
	return kv.mem[at : at+n : at+n]
}

// at is where one head's keys and values begin: inside kv.mem, aligned to 64 bytes, for parts take whole multiples of these.
func (kv *cpuKV) at(layer int, page int32, head int) (k, v unsafe.Pointer) {
	p := unsafe.Pointer(&kv.layer(layer, page)[head*kv.head()])
	return p, unsafe.Add(p, kv.part)
}

// f16 gives one head's keys and values.
func (kv *cpuKV) f16(layer int, page int32, head int) (k, v *uint16) {
	pk, pv := kv.at(layer, page, head)
	return (*uint16)(pk), (*uint16)(pv)
}

// pairs is f16 for pairs of bfloat16.
func (kv *cpuKV) pairs(layer int, page int32, head int) (k, v *uint32) {
	pk, pv := kv.at(layer, page, head)
	return (*uint32)(pk), (*uint32)(pv)
}

// f32 is f16 for Shape.Exact.
func (kv *cpuKV) f32(layer int, page int32, head int) (k, v []float32) {
	pk, pv := kv.at(layer, page, head)
	n := PageSize * kv.headDim
	return slice((*float32)(pk), n), slice((*float32)(pv), n)
}

// q8 is f16 for int8, with the scales.
func (kv *cpuKV) q8(layer int, page int32, head int) (k, v *int8, ks, vs *uint16) {
	pk, pv := kv.at(layer, page, head)
	n := PageSize * kv.headDim
	return (*int8)(pk), (*int8)(pv), (*uint16)(unsafe.Add(pk, n)), (*uint16)(unsafe.Add(pv, n))
}

func (kv *cpuKV) check(page int32, n int) error {
	if page < 0 || int(page) >= kv.pages {
		return fmt.Errorf("KV page %d of %d", page, kv.pages)
	}
	if n != kv.PageBytes() {
		return fmt.Errorf("%d bytes for a KV page of %d", n, kv.PageBytes())
	}
	return nil
}

func (kv *cpuKV) Copy(dst, src int32) error {
	if err := kv.check(src, kv.PageBytes()); err != nil {
		return err
	}
	if err := kv.check(dst, kv.PageBytes()); err != nil {
		return err
	}
	for l := range kv.layers {
		copy(kv.layer(l, dst), kv.layer(l, src))
	}
	return nil
}

func (kv *cpuKV) Read(page int32, b []byte) error {
	if err := kv.check(page, len(b)); err != nil {
		return err
	}
	for l := range kv.layers {
		b = b[copy(b, kv.layer(l, page)):]
	}
	return nil
}

func (kv *cpuKV) Write(page int32, b []byte) error {
	if err := kv.check(page, len(b)); err != nil {
		return err
	}
	for l := range kv.layers {
		b = b[copy(kv.layer(l, page), b):]
	}
	return nil
}
