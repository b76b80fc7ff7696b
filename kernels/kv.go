package kernels

import (
	"fmt"
	"unsafe"
)

// cpuKV holds, per layer, page and KV head, the keys [HeadDim][PageSize], then the values [PageSize][HeadDim], in float16, or
// float32 for Shape.Exact.
type cpuKV struct {
	pages, layers, heads, headDim int
	size                          int // bytes of an element
	mem                           []byte
}

func (d *cpuDevice) NewKV(pages int, t KVType) (KV, error) {
	s := &d.shape
	kv := &cpuKV{pages: pages, layers: s.Layers, heads: s.KVHeads, headDim: s.HeadDim, size: 2}
	switch {
	case s.Exact:
		kv.size = 4
	case t != KVF16:
		return nil, fmt.Errorf("%w: KV type %d on the CPU", ErrUnsupported, t)
	}
	if pages < 1 {
		return nil, fmt.Errorf("%w: a KV cache of %d pages", ErrUnsupported, pages)
	}
	mem, err := allocate(pages * kv.PageBytes())
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
func (kv *cpuKV) head() int      { return 2 * PageSize * kv.headDim * kv.size }
func (kv *cpuKV) PageBytes() int { return kv.layers * kv.heads * kv.head() }

// layer is a page's bytes in one layer. Layers lie apart, so that a step's pages of a layer are close together.
func (kv *cpuKV) layer(layer int, page int32) []byte {
	n := kv.heads * kv.head()
	at := (layer*kv.pages + int(page)) * n
	return kv.mem[at : at+n : at+n]
}

// f16 gives one head's keys and values.
func (kv *cpuKV) f16(layer int, page int32, head int) (k, v *uint16) {
	p := unsafe.Pointer(&kv.layer(layer, page)[head*kv.head()]) // inside kv.mem, aligned: heads take whole multiples of 64 bytes
	return (*uint16)(p), (*uint16)(unsafe.Add(p, kv.head()/2))
}

// f32 is f16 for Shape.Exact.
func (kv *cpuKV) f32(layer int, page int32, head int) (k, v []float32) {
	p := (*float32)(unsafe.Pointer(&kv.layer(layer, page)[head*kv.head()])) // as in f16
	n := PageSize * kv.headDim
	return slice(p, n), slice(at(p, n), n)
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
