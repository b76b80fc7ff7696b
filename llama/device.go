package llama

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/llama31/llama31/kernels"
)

// place opens a device and loads the model there: the one that the options name, or with "auto" a registered GPU if it can be used
// and the model fits, else the CPU. It gives the pages of the KV cache.
func (m *Model) place(ctx context.Context, tied bool) (*weights, int, error) {
	if m.options.Device != "auto" {
		return m.placeOn(ctx, m.options.Device, tied)
	}
	for _, kind := range m.gpus() {
		w, pages, err := m.placeOn(ctx, kind, tied)
		if err == nil {
			return w, pages, nil
		}
		if !errors.Is(err, kernels.ErrUnavailable) && !errors.Is(err, kernels.ErrUnsupported) && !errors.Is(err, kernels.ErrOutOfMemory) {
			return nil, 0, err
		}
		m.options.Logger.Info("device not used", "device", kind, "reason", err)
	}
	return m.placeOn(ctx, "cpu", tied)
}

// gpus are the kinds of device that "auto" tries before the CPU.
func (m *Model) gpus() (kinds []string) {
	if m.options.Exact {
		return nil
	}
	for _, kind := range kernels.Kinds() {
		if kind != "cpu" && kind != "reference" {
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) == 0 && driverPresent() {
		m.options.Logger.Info("an NVIDIA driver is here, but kernels/cuda is not imported: the CPU is used")
	}
	return kinds
}

// placeOn loads the model on a device; where that fails, the device is closed again.
func (m *Model) placeOn(ctx context.Context, name string, tied bool) (w *weights, pages int, err error) {
	d, err := kernels.Open(name, m.shape(), kernels.Options{Threads: m.options.Threads, Leaf: m.options.InstructionSet, Logger: m.options.Logger})
	if err != nil {
		return nil, 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	info := d.Info()
	if free := info.FreeFunc; free != nil {
		// Before minutes of loading: the weights and one page must fit.
		if need, have := m.weightBytes(info)+m.pageBytes(), free(); need > have {
			return nil, 0, &MemoryError{Device: info.Name, Need: need, Free: have}
		}
	}
	if w, err = m.config.loadWeights(ctx, m.file, d, tied, m.options.Progress); err != nil {
		return nil, 0, err
	}
	if pages, err = m.planContext(info); err != nil {
		return nil, 0, err
	}
	if m.kv, err = d.NewKV(pages, m.options.kvType()); err != nil {
		return nil, 0, err
	}
	m.device, m.info = d, info
	m.options.Logger.Info("device chosen", "device", info.Name, "detail", info.Detail, "context", m.context, "pages", pages)
	return w, pages, nil
}

// weightBytes is what the weights take on a device: as much as in the file, unless the device lays them out in its own way.
func (m *Model) weightBytes(info kernels.Info) (n int64) {
	for _, t := range m.file.Tensors() {
		if info.WeightBytes == nil {
			n += t.Size
			continue
		}
		rows, cols := 1, t.Shape[len(t.Shape)-1]
		if len(t.Shape) == 2 {
			rows = t.Shape[0]
		}
		n += info.WeightBytes(t.Type, rows, cols)
	}
	return n
}

// pageBytes is the size of a KV page.
func (m *Model) pageBytes() int64 { return m.config.kvBytes(m.options.kvType()) * pageSize }

// planContext sets the context's length and gives the pages of the KV cache. A GPU that holds the weights by now gives what is left
// but a sixteenth, which steps work in; of the host's memory a quarter is taken, or half if one context needs it.
func (m *Model) planContext(info kernels.Info) (pages int, err error) {
	page := m.pageBytes()
	var free, room, limit int64
	if info.FreeFunc != nil {
		free = info.FreeFunc()
		limit = free - free/16
		room = limit
	} else {
		free = kernels.FreeMemory()
		room, limit = free/4, free/2
	}
	if m.options.KVBytes > 0 {
		room = m.options.KVBytes
		limit = max(limit, room)
	}
	m.context = m.options.Context
	if m.context == 0 {
		m.context = m.config.context
		if most := max(room, limit) / page * pageSize; free > 0 && int64(m.context) > most {
			m.context = int(max(most, pageSize))
			m.options.Logger.Info("context limited by memory", "tokens", m.context, "model", m.config.context)
		}
	}
	full := (m.context + pageSize - 1) / pageSize // pages of one context
	if need := int64(full) * page; info.FreeFunc != nil && need > limit {
		return 0, fmt.Errorf("a context of %d tokens: %w; %d tokens would fit",
			m.context, &MemoryError{Device: info.Name, Need: need, Free: limit}, limit/page*pageSize)
	}
	return min(full*m.options.MaxRunning, max(full, int(room/page))), nil
}

// driverPresent reports whether a CUDA driver's library is in one of the places where systems keep it.
func driverPresent() bool {
	places := []string{"/usr/lib64", "/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib/wsl/lib", "/run/opengl-driver/lib"}
	name := "libcuda.so.1"
	if runtime.GOOS == "windows" {
		places, name = []string{filepath.Join(os.Getenv("SystemRoot"), "System32")}, "nvcuda.dll"
	}
	for _, place := range places {
		if _, err := os.Stat(filepath.Join(place, name)); err == nil {
			return true
		}
	}
	return false
}
