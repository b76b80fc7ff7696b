package llama

import (
	"fmt"
	"math"
	"sort"
	"strings"

	"github.com/llama31/llama31/kernels"
)

// demand is what a model takes of a GPU's memory, in bytes.
type demand struct {
	layers []int64 // weights of each
	embd   int64   // token_embd
	output int64   // output_norm, and output where that is not token_embd again
	tied   bool
	page   int64 // a layer's part of a KV page
}

// demand adds up what the tensors take on a device, which may lay them out in its own way.
func (m *Model) demand(info kernels.Info, tied bool) *demand {
	d := &demand{layers: make([]int64, m.config.layers), tied: tied, page: m.pageBytes() / int64(m.config.layers)}
	for _, w := range m.config.wants(&weights{layers: make([]layer, m.config.layers)}, tied) {
		t, err := m.file.Info(w.name + ".weight")
		if err != nil {
			continue // checkTensors has found all
		}
		bytes := t.Size
		if info.WeightBytes != nil {
			bytes = info.WeightBytes(t.Type, max(w.rows, 1), w.cols)
		}
		switch {
		case w.layer < 0:
			d.embd += bytes
		case w.layer == m.config.layers:
			d.output += bytes
		default:
			d.layers[w.layer] += bytes
		}
	}
	return d
}

// spread says how the layers from first on, and the output head, lie on devices with so much room, in order: so that the KV cache can
// have the most pages. pages is 0 where they do not fit.
func (d *demand) spread(rooms []int64, first int) (counts []int, pages int) {
	most := int64(0)
	for _, r := range rooms {
		most = max(most, r/d.page)
	}
	pages = sort.Search(int(most), func(pages int) bool { return d.fill(rooms, first, pages+1) == nil })
	if pages == 0 {
		return nil, 0
	}
	return d.fill(rooms, first, pages), pages
}

// fill puts as many layers on each device as fit with so many pages of KV cache; nil if some are left.
func (d *demand) fill(rooms []int64, first, pages int) []int {
	counts := make([]int, len(rooms))
	at := first
	for i, room := range rooms {
		start := at
		for at < len(d.layers) && room >= d.of(at, start, pages) {
			room -= d.of(at, start, pages)
			at++
		}
		counts[i] = at - start
	}
	if at < len(d.layers) {
		return nil
	}
	return counts
}

// of is what a layer takes on a device whose layers begin with start; the embeddings go with the first, the output head with the last.
func (d *demand) of(layer, start, pages int) int64 {
	n := d.layers[layer] + int64(pages)*d.page
	if layer == 0 {
		n += d.embd
	}
	if layer == len(d.layers)-1 {
		n += d.output
		if d.tied && start > 0 {
			n += d.embd
		}
	}
	return n
}

// stage is what so many layers from start on take of one device.
func (d *demand) stage(start, layers, pages int) (n int64) {
	for l := range layers {
		n += d.of(start+l, start, pages)
	}
	return n
}

// onGPU is the most layers, from the last one down, that fit on devices with a KV cache of so many pages.
func (d *demand) onGPU(rooms []int64, pages int) int {
	return sort.Search(len(d.layers), func(n int) bool {
		_, most := d.spread(rooms, len(d.layers)-n-1)
		return most < pages
	})
}

// usable is how much of a device's free memory is planned with: the driver takes some for code and for recorded steps.
func usable(free int64) int64 { return free - free/32 }

// leastContext is the context for which layers go to a GPU, where none is asked for: rather fewer layers than less.
const leastContext = 4096

// kvPages is how many pages hold a context.
func kvPages(context int) int { return (context + pageSize - 1) / pageSize }

// plan decides which layers go to which of a placement's GPUs, and sets the context and the pages of the KV cache. The CPU runs the
// layers before first. All says that no layer is for the CPU, unless Options.GPULayers says so.
func (m *Model) plan(d *demand, p *placement, all bool) (first int, err error) {
	var rooms []int64
	var names []string
	short := MemoryError{}
	for _, i := range p.infos {
		free := i.FreeFunc()
		rooms, names = append(rooms, usable(free)), append(names, i.Name)
		short.Free += free
	}
	short.Device = strings.Join(names, ", ")
	least := m.options.Context
	if least == 0 {
		least = min(leastContext, m.config.context)
	}
	layers := len(d.layers)
	fit := d.onGPU(rooms, kvPages(least))
	gpu := layers
	switch {
	case m.options.GPULayers != nil:
		gpu = min(*m.options.GPULayers, layers)
	case !all:
		gpu = fit
	}
	first = layers - gpu
	var limit int
	p.counts, limit = d.spread(rooms, first)
	if gpu == 0 || limit == 0 {
		short.Need = d.stage(min(first, layers-1), max(gpu, 1), 1)
		if fit == 0 {
			return 0, &short
		}
		return 0, fmt.Errorf("%d layers: %w; %d would fit, with a context of %d tokens (Options.GPULayers)", gpu, &short, fit, least)
	}
	if first > 0 {
		limit = min(limit, max(1, int(kernels.FreeMemory()/2/(int64(first)*d.page))))
	}
	m.context = m.options.Context
	if m.context == 0 {
		m.context = m.config.context
		if most := limit * pageSize; m.context > most {
			m.context = most
			m.options.Logger.Info("context limited by memory", "tokens", m.context, "model", m.config.context)
		}
	}
	full := kvPages(m.context)
	if full > limit {
		short.Need = d.stage(first, gpu, full)
		return 0, fmt.Errorf("a context of %d tokens: %w; %d tokens would fit", m.context, &short, limit*pageSize)
	}
	room := limit
	if m.options.KVBytes > 0 {
		room = int(min(m.options.KVBytes/m.pageBytes(), int64(limit)))
	}
	p.pages = min(full*m.options.MaxRunning, max(full, room))
	return first, nil
}

// planHost is plan for a device that uses the host's memory: of that a quarter is taken, or half if one context needs it.
func (m *Model) planHost() (pages int) {
	const largest = math.MaxInt // of what an int counts, which has 32 bits on some systems
	page, free := m.pageBytes(), min(kernels.FreeMemory(), largest)
	room, limit := free/4, free/2
	if m.options.KVBytes > 0 {
		room = min(m.options.KVBytes, largest)
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
	full := kvPages(m.context)
	return min(full*m.options.MaxRunning, max(full, int(room/page)))
}
