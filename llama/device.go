package llama

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/llama31/llama31/kernels"
)

// place opens devices and loads the model there: on the one that the options name, or with "auto" on the GPUs that can be used, as
// many of its layers as fit, and the rest on the CPU. It gives the pages of the KV cache.
func (m *Model) place(ctx context.Context, tied bool) (*weights, int, error) {
	o := &m.options
	if o.GPULayers != nil && *o.GPULayers == 0 {
		return m.placeOn(ctx, "cpu", false, tied)
	}
	if o.Device != "auto" {
		return m.placeOn(ctx, o.Device, true, tied)
	}
	for _, kind := range m.gpus(kernels.Kinds(), driverPaths()) {
		w, pages, err := m.placeOn(ctx, kind, false, tied)
		if err == nil {
			return w, pages, nil
		}
		if !errors.Is(err, kernels.ErrUnavailable) && !errors.Is(err, kernels.ErrUnsupported) && !errors.Is(err, kernels.ErrOutOfMemory) {
			return nil, 0, err
		}
		o.Logger.Info("device not used", "device", kind, "reason", err)
	}
	return m.placeOn(ctx, "cpu", false, tied)
}

// gpus are the registered kinds of device that "auto" tries before the CPU. Without one it says so where a driver is at one of the paths.
func (m *Model) gpus(registered, drivers []string) (kinds []string) {
	if m.options.Exact {
		return nil
	}
	for _, kind := range registered {
		if kind != "cpu" && kind != "reference" {
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) == 0 && slices.ContainsFunc(drivers, exists) {
		m.options.Logger.Info("an NVIDIA driver is here, but kernels/cuda is not imported: the CPU is used")
	}
	return kinds
}

// placement is which devices run a model, in the order of their layers.
type placement struct {
	devices []kernels.Device
	infos   []kernels.Info
	counts  []int // layers of each
	pages   int   // of the KV cache
}

func (p *placement) add(d kernels.Device) {
	p.devices, p.infos = append(p.devices, d), append(p.infos, d.Info())
}

func (p *placement) close() error {
	var errs []error
	for _, d := range p.devices {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}

// placeOn loads the model on the devices of that name: "cpu", "cuda" for as few GPUs as hold it, "cuda:0,1" for both. All says that
// layers go nowhere else, unless Options.GPULayers says so. If it fails, the devices are closed again.
func (m *Model) placeOn(ctx context.Context, name string, all, tied bool) (w *weights, pages int, err error) {
	p := &placement{}
	m.stages, m.threads = nil, 0
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	var d *demand
	if d, err = m.choose(p, name, all, tied); err != nil {
		return nil, 0, err
	}
	var stages []kernels.Stage
	first := 0
	for i, n := range p.counts {
		info := &p.infos[i]
		s := Stage{Device: info.Name, Detail: info.Detail, Layers: n, Bytes: int64(n) * int64(p.pages) * m.pageBytes() / int64(m.config.layers)}
		if info.FreeFunc != nil {
			s.Bytes = info.WorkBytes + d.stage(first, n, p.pages)
		}
		m.stages, stages = append(m.stages, s), append(stages, kernels.Stage{Device: p.devices[i], Layers: n})
		m.threads = max(m.threads, info.Threads)
		first += n
	}
	pipeline, err := kernels.NewPipeline(m.shape(), stages...)
	if err != nil {
		return nil, 0, err
	}
	stay, progress := d == nil && m.file.Mapped(), m.options.Progress
	if stay {
		progress = nil // takes no time: the weights are used where they are
	}
	if w, err = m.config.loadWeights(ctx, m.file, pipeline, tied, progress); err != nil {
		return nil, 0, err
	}
	if m.kv, err = pipeline.NewKV(p.pages, m.options.kvType()); err != nil {
		return nil, 0, err
	}
	if stay {
		if err = m.prefetch(ctx); err != nil {
			return nil, 0, err
		}
	}
	m.device = pipeline
	m.options.Logger.Info("device chosen", "device", m.deviceName(), "detail", m.deviceDetail(), "context", m.context, "pages", p.pages)
	return w, p.pages, nil
}

// prefetch reads a mapped file, lest the first answer waits for the disk without a word. What memory cannot hold is read as it is used.
func (m *Model) prefetch(ctx context.Context) error {
	if free := kernels.FreeMemory(); free > 0 && m.file.Size > free {
		m.options.Logger.Info("the model file is larger than the free memory", "file", m.file.Size, "free", free)
		return nil
	}
	return m.file.Prefetch(ctx, m.options.Progress)
}

// deviceName names the devices, and the layers of each if they are several.
func (m *Model) deviceName() string {
	var names []string
	for _, s := range m.stages {
		if len(m.stages) > 1 {
			names = append(names, fmt.Sprintf("%s (%d layers)", s.Device, s.Layers))
		} else {
			names = append(names, s.Device)
		}
	}
	return strings.Join(names, ", ")
}

func (m *Model) deviceDetail() string {
	var details []string
	for _, s := range m.stages {
		details = append(details, s.Detail)
	}
	return strings.Join(details, "; ")
}

// choose opens the devices of that name and plans what goes where. It gives what the model takes of GPUs.
func (m *Model) choose(p *placement, name string, all, tied bool) (*demand, error) {
	open := func(name string) error {
		d, err := kernels.Open(name, m.shape(), kernels.Options{Threads: m.options.Threads, Leaf: m.options.InstructionSet, Logger: m.options.Logger})
		if err == nil {
			p.add(d)
		}
		return err
	}
	kind, list, _ := strings.Cut(name, ":")
	parts := strings.Split(list, ",")
	for _, part := range parts {
		one := kind
		if part != "" {
			one += ":" + part
		}
		if err := open(one); err != nil {
			return nil, err
		}
	}
	if p.infos[0].FreeFunc == nil {
		if len(parts) > 1 {
			return nil, fmt.Errorf("%w: %q: only GPUs share a model", ErrUnsupported, name)
		}
		p.counts, p.pages = []int{m.config.layers}, m.planHost()
		return nil, nil
	}
	d := m.demand(p.infos[0], tied)
	first, err := m.plan(d, p, all)
	for next := 1; list == "" && (err != nil || first > 0 && m.options.GPULayers == nil); next++ {
		if open(fmt.Sprint(kind, ":", next)) != nil {
			break // there are no more
		}
		first, err = m.plan(d, p, all)
	}
	if err != nil {
		return nil, err
	}
	for i := len(p.counts) - 1; i >= 0; i-- {
		if p.counts[i] > 0 {
			continue
		}
		if err := p.devices[i].Close(); err != nil {
			return nil, err
		}
		p.devices, p.infos, p.counts = slices.Delete(p.devices, i, i+1), slices.Delete(p.infos, i, i+1), slices.Delete(p.counts, i, i+1)
	}
	if first == 0 {
		return d, nil
	}
	if err := open("cpu"); err != nil {
		return nil, err
	}
	// The CPU has the first layers, so that the embeddings, of which a step reads only its rows, take no memory of a GPU.
	last := len(p.devices) - 1
	p.devices = append([]kernels.Device{p.devices[last]}, p.devices[:last]...)
	p.infos = append([]kernels.Info{p.infos[last]}, p.infos[:last]...)
	p.counts = append([]int{first}, p.counts...)
	return d, nil
}

// pageBytes is the size of a KV page.
func (m *Model) pageBytes() int64 { return m.config.kvBytes(m.options.kvType()) * pageSize }

// driverPaths are where systems keep a CUDA driver's library.
func driverPaths() (paths []string) {
	if runtime.GOOS == "windows" {
		return []string{filepath.Join(os.Getenv("SystemRoot"), "System32", "nvcuda.dll")}
	}
	for _, place := range []string{"/usr/lib64", "/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib/wsl/lib", "/run/opengl-driver/lib"} {
		paths = append(paths, filepath.Join(place, "libcuda.so.1"))
	}
	return paths
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
