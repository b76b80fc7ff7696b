package cuda

import (
	"errors"
	"fmt"

	"github.com/llama31/llama31/kernels"
)

// cache is the KV cache: per layer, page and KV head keys and values as attend.cuh has them. Layers lie apart, so that the pages of a
// step are close together.
type cache struct {
	d           *device
	pages       int
	q8          bool
	layers      int
	layerBytes  int // of a page
	mem         *memory
	transferred *pinned // a page on its way
}

// pageLayerBytes is one layer's part of a page.
func pageLayerBytes(s *kernels.Shape, q8 bool) int {
	head := 2 * kernels.PageSize * s.HeadDim
	if q8 {
		head = kernels.PageSize*s.HeadDim + kernels.PageSize*s.HeadDim/32*2
	}
	return 2 * s.KVHeads * head
}

func (d *device) NewKV(layers, pages int, t kernels.KVType) (kernels.KV, error) {
	if t != kernels.KVF16 && t != kernels.KVQ8 {
		return nil, fmt.Errorf("%s: %w: KV type %d", d.gpu.name, kernels.ErrUnsupported, t)
	}
	if layers < 1 || pages < 1 {
		return nil, fmt.Errorf("%s: %w: a KV cache of %d layers and %d pages", d.gpu.name, kernels.ErrUnsupported, layers, pages)
	}
	kv := &cache{d: d, pages: pages, q8: t == kernels.KVQ8, layers: layers, layerBytes: pageLayerBytes(&d.shape, t == kernels.KVQ8)}
	err := d.gpu.do(func() (err error) {
		if err = d.forget(); err != nil {
			return err
		}
		if kv.transferred, err = d.gpu.allocHost(kv.PageBytes()); err != nil {
			return err
		}
		if kv.mem, err = d.gpu.alloc(pages * kv.PageBytes()); err != nil {
			return errors.Join(err, kv.transferred.free())
		}
		d.kv = kv
		return nil
	})
	if err != nil {
		return nil, err
	}
	return kv, nil
}

// forget frees the cache that a new one replaces.
func (d *device) forget() error {
	if d.kv == nil {
		return nil
	}
	if err := d.discard(); err != nil {
		return err
	}
	old := d.kv
	d.kv = nil
	if err := old.mem.free(); err != nil {
		return err
	}
	return old.transferred.free()
}

func (kv *cache) Pages() int     { return kv.pages }
func (kv *cache) PageBytes() int { return kv.layers * kv.layerBytes }

// layer is where a page's part lies.
func (kv *cache) layer(layer int, page int32) pointer {
	return kv.mem.pointer + pointer((layer*kv.pages+int(page))*kv.layerBytes)
}

func (kv *cache) check(page int32, n int) error {
	if page < 0 || int(page) >= kv.pages {
		return fmt.Errorf("%s: KV page %d of %d", kv.d.gpu.name, page, kv.pages)
	}
	if n != kv.PageBytes() {
		return fmt.Errorf("%s: %d bytes for a KV page of %d", kv.d.gpu.name, n, kv.PageBytes())
	}
	return nil
}

// do runs f in the device's goroutine, unless another cache has taken this one's place and memory.
func (kv *cache) do(f func() error) error {
	return kv.d.gpu.do(func() error {
		if kv.d.kv != kv {
			return fmt.Errorf("%s: a KV cache that another one has replaced", kv.d.gpu.name)
		}
		return f()
	})
}

// each calls f for every layer and waits for the device.
func (kv *cache) each(f func(layer int) error) error {
	for l := range kv.layers {
		if err := f(l); err != nil {
			return err
		}
	}
	return kv.d.stream.synchronize()
}

func (kv *cache) Copy(dst, src int32) error {
	for _, page := range []int32{dst, src} {
		if err := kv.check(page, kv.PageBytes()); err != nil {
			return err
		}
	}
	return kv.do(func() error {
		return kv.each(func(l int) error { return kv.d.stream.copy(kv.layer(l, dst), kv.layer(l, src), kv.layerBytes) })
	})
}

func (kv *cache) Read(page int32, b []byte) error {
	if err := kv.check(page, len(b)); err != nil {
		return err
	}
	return kv.do(func() error {
		defer func() { copy(b, kv.transferred.bytes) }()
		return kv.each(func(l int) error {
			return kv.d.stream.toHost(kv.transferred.bytes[l*kv.layerBytes:(l+1)*kv.layerBytes], kv.layer(l, page))
		})
	})
}

func (kv *cache) Write(page int32, b []byte) error {
	if err := kv.check(page, len(b)); err != nil {
		return err
	}
	return kv.do(func() error {
		copy(kv.transferred.bytes, b)
		return kv.each(func(l int) error {
			return kv.d.stream.toDevice(kv.layer(l, page), kv.transferred.bytes[l*kv.layerBytes:(l+1)*kv.layerBytes])
		})
	})
}
