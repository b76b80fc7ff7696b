package llama

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/llama31/llama31/kernels"
)

// tight is a kind of device with memory of its own, as a GPU has, on which a test sets what is free on each. It computes on the CPU.
var tight struct {
	sync.Mutex
	free []int64
}

type tightDevice struct {
	kernels.Device
	name string
	free int64
}

func (d tightDevice) Info() kernels.Info {
	i := d.Device.Info()
	i.Name, i.FreeFunc = d.name, func() int64 { return d.free }
	return i
}

func init() {
	kernels.Register("tight", func(name string, s kernels.Shape, o kernels.Options) (kernels.Device, error) {
		tight.Lock()
		defer tight.Unlock()
		i, _ := strconv.Atoi(name)
		if i >= len(tight.free) {
			return nil, fmt.Errorf("%w: no device", kernels.ErrUnavailable)
		}
		d, err := kernels.Open("cpu", s, o)
		return tightDevice{d, fmt.Sprint("tight:", i), tight.free[i]}, err
	})
}

func setTight(free ...int64) {
	tight.Lock()
	defer tight.Unlock()
	tight.free = free
}

// freeFor is the free memory of which so much is planned with.
func freeFor(bytes int64) int64 {
	free := bytes * 32 / 31
	for usable(free) < bytes {
		free++
	}
	return free
}

func TestDeviceChosen(t *testing.T) {
	defer setTight()
	file := tinyFile(t, 4096)
	m := openBytes(t, file, &Options{Device: "cpu"})
	d := m.demand(kernels.Info{}, false)
	layers, all := len(d.layers), d.stage(0, len(d.layers), 0)
	if layers != 2 {
		t.Fatalf("%d layers", layers)
	}
	page := 2 * d.page
	last := func(pages int) int64 { return d.stage(1, 1, pages) } // the second layer and the output head
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	one, two, none := 1, 2, 0
	for _, c := range []struct {
		name           string
		free           []int64
		o              Options
		device         string // "": an error
		context, pages int
		say            string // in the log or the error
	}{
		{"no GPU", nil, Options{}, "cpu", 4096, 0, "device not used"},
		{"no GPU, asked for", nil, Options{Device: "tight"}, "", 0, 0, "device unavailable: no device"},
		{"fits", []int64{all + 10000*page}, Options{}, "tight:0", 4096, 32 * 128, "device chosen"},
		{"pages are limited", []int64{freeFor(all + 300*page)}, Options{}, "tight:0", 4096, 300, "device chosen"},
		{"the context is limited, asked for", []int64{freeFor(all + 60*page)}, Options{Device: "tight"}, "tight:0", 60 * 32, 60, "context limited by memory"},
		{"the weights do not fit", []int64{1}, Options{}, "cpu", 4096, 0, "device not used"},
		{"the weights do not fit, asked for", []int64{all}, Options{Device: "tight:0"}, "", 0, 0, "GiB needed"},
		{"the context does not fit, asked for", []int64{freeFor(all + 60*page)}, Options{Device: "tight", Context: 4000}, "", 0, 0, "1920 tokens would fit"},
		{"exact", []int64{all + 10000*page}, Options{Exact: true}, "cpu", 4096, 0, ""},
		{"half fits", []int64{freeFor(last(128))}, Options{}, "cpu (1 layers), tight:0 (1 layers)", 4096, 128, "device chosen"},
		{"half fits with a context", []int64{freeFor(last(64))}, Options{Context: 2048}, "cpu (1 layers), tight:0 (1 layers)", 2048, 64, "device chosen"},
		{"half fits, all asked for", []int64{freeFor(last(4))}, Options{Device: "tight", Context: 128}, "", 0, 0, "2 layers: tight:0: 0.00 GiB needed, 0.00 GiB free; 1 would fit"},
		{"half asked for", []int64{all + 10000*page}, Options{Device: "tight", GPULayers: &one}, "cpu (1 layers), tight:0 (1 layers)", 4096, 32 * 128, ""},
		{"all asked for", []int64{all + 10000*page}, Options{GPULayers: &two}, "tight:0", 4096, 32 * 128, ""},
		{"none asked for", []int64{all + 10000*page}, Options{GPULayers: &none}, "cpu", 4096, 0, ""},
		{"two devices", []int64{all + 10000*page, all + 10000*page}, Options{Device: "tight:0,1"}, "tight:0 (1 layers), tight:1 (1 layers)", 4096, 32 * 128, ""},
		{"the second of two", []int64{1, all + 10000*page}, Options{Device: "tight:1"}, "tight:1", 4096, 32 * 128, ""},
		{"two devices, one is enough", []int64{all + 10000*page, all + 10000*page}, Options{}, "tight:0", 4096, 32 * 128, ""},
		{"two devices are needed", []int64{freeFor(last(200)), freeFor(last(200))}, Options{}, "tight:0 (1 layers), tight:1 (1 layers)", 4096, 200, ""},
		{"the first is too small", []int64{100, all + 10000*page}, Options{}, "tight:1", 4096, 32 * 128, ""},
		{"two devices that are too small", []int64{100, 100}, Options{}, "cpu", 4096, 0, "tight:0, tight:1: "},
		{"a list of CPUs", nil, Options{Device: "cpu:0,1"}, "", 0, 0, "unavailable"},
		{"a negative number", nil, Options{GPULayers: &[]int{-1}[0]}, "", 0, 0, "GPULayers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			setTight(c.free...)
			var log bytes.Buffer
			c.o.Logger = slog.New(slog.NewTextHandler(&log, nil))
			m, err := OpenReader(t.Context(), bytes.NewReader(file), int64(len(file)), &c.o)
			if err == nil {
				defer m.Close()
			} else {
				log.WriteString(err.Error())
			}
			if !strings.Contains(log.String(), c.say) {
				t.Errorf("said %q, want %q in it", log.String(), c.say)
			}
			if c.device == "" {
				if !errors.Is(err, ErrOutOfMemory) && !errors.Is(err, kernels.ErrUnavailable) && !errors.Is(err, ErrRequest) {
					t.Errorf("opened, or with %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			i := m.Info()
			if i.Device != c.device || i.Context != c.context || c.pages > 0 && i.KVPages != c.pages {
				t.Errorf("%s with a context of %d and %d pages, want %s, %d, %d", i.Device, i.Context, i.KVPages, c.device, c.context, c.pages)
			}
			if n := strings.Count(log.String(), "device chosen"); n != 1 {
				t.Errorf("the device is told %d times: %s", n, log.String())
			}
			layers := 0
			for _, s := range i.Stages {
				layers += s.Layers
			}
			if layers != i.Layers {
				t.Errorf("stages of %d layers in all: %+v", layers, i.Stages)
			}
		})
	}
}

// TestDriverNotImported has the line for a driver that is there and not used, and none where there is no driver or the CPU was asked for.
func TestDriverNotImported(t *testing.T) {
	driver := filepath.Join(t.TempDir(), "libcuda.so.1")
	if err := os.WriteFile(driver, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "libcuda.so.1")
	for _, c := range []struct {
		kinds, drivers []string
		o              Options
		gpus           int
		says           bool
	}{
		{[]string{"cpu", "reference"}, []string{missing, driver}, Options{}, 0, true},
		{[]string{"cpu", "reference"}, []string{missing}, Options{}, 0, false},
		{[]string{"cpu", "cuda", "reference"}, []string{driver}, Options{}, 1, false},
		{[]string{"cpu", "reference"}, []string{driver}, Options{Exact: true}, 0, false},
	} {
		var log bytes.Buffer
		c.o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		m := &Model{options: c.o.withDefaults()}
		gpus := m.gpus(c.kinds, c.drivers)
		if says := strings.Contains(log.String(), "an NVIDIA driver is here, but kernels/cuda is not imported"); len(gpus) != c.gpus || says != c.says {
			t.Errorf("%+v: GPUs %v, said %q", c, gpus, log.String())
		}
	}
	if len(driverPaths()) == 0 {
		t.Error("no path of a driver")
	}
}

// TestSplit runs a model whose layers lie on two devices, which both are the CPU here: every bit is as on one. The file's output
// head is its embeddings in one of the cases.
func TestSplit(t *testing.T) {
	defer setTight()
	setTight(1<<30, 1<<30)
	one := 1
	for _, file := range [][]byte{tinyFile(t, 4096), tinyShape{layers: 2, heads: 4, kvHeads: 2, ffn: 160, tied: true}.file(t, 4096)} {
		var want []float32
		var text string
		for _, o := range []Options{{Device: "cpu"}, {Device: "tight:0,1"}, {GPULayers: &one}, {GPULayers: &one, KV: Q8}} {
			o.Context, o.MaxRunning = 512, 4
			m := openBytes(t, file, &o)
			ids := m.encodeText(strings.Repeat("The quick brown fox. ", 9))
			rows, err := m.Logits(t.Context(), ids)
			if err != nil {
				t.Fatal(err)
			}
			r, err := m.Generate(t.Context(), Request{Tokens: ids, MaxTokens: 24, Sampling: &Sampling{Temperature: new(float64), IgnoreEOS: true}})
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case want == nil:
				want, text = slices.Clone(rows.Float32s()), r.Text()
			case o.KV == Q8: // only that it runs
			case !slices.Equal(want, rows.Float32s()) || text != r.Text():
				t.Errorf("%s gives other logits or another text: %q, expected %q", m.Info().Device, r.Text(), text)
			}
		}
	}
}

// TestPlanCards plans Llama 3.1's sizes for cards of 80 and 141 GB, of which the driver and the buffers of steps have 2 GiB.
func TestPlanCards(t *testing.T) {
	const h100, h200 = 81559 << 20, 143771 << 20 // as nvidia-smi has them
	sizes := map[string]*config{
		"8B":   {layers: 32, hidden: 4096, ffn: 14336, heads: 32, kvHeads: 8, headDim: 128, vocab: 128256, context: 131072},
		"70B":  {layers: 80, hidden: 8192, ffn: 28672, heads: 64, kvHeads: 8, headDim: 128, vocab: 128256, context: 131072},
		"405B": {layers: 126, hidden: 16384, ffn: 53248, heads: 128, kvHeads: 8, headDim: 128, vocab: 128256, context: 131072},
	}
	bits := map[string]float64{"BF16": 16, "Q8_0": 8.5, "Q4_K_M": 4.95 * 1.03} // records of a GPU take up to 3% more
	for _, c := range []struct {
		model, typ string
		cards      []int64
		o          Options
		gpu        []int // layers of each card; nil: refused
		context    int
		refused    string
	}{
		{"8B", "BF16", []int64{h100}, Options{}, []int{32}, 131072, ""},
		{"8B", "BF16", []int64{h200}, Options{}, []int{32}, 131072, ""},
		{"8B", "Q4_K_M", []int64{h100}, Options{MaxRunning: 4}, []int{32}, 131072, ""},
		{"70B", "Q4_K_M", []int64{h100}, Options{}, []int{80}, 109248, ""},
		{"70B", "Q4_K_M", []int64{h100}, Options{KV: Q8}, []int{80}, 131072, ""},
		{"70B", "Q4_K_M", []int64{h100}, Options{Device: "cuda", Context: 131072}, nil, 0, "109248 tokens would fit"},
		{"70B", "Q8_0", []int64{h100}, Options{}, []int{80}, 17696, ""},
		{"70B", "Q8_0", []int64{h100}, Options{Device: "cuda", Context: 32768}, nil, 0, "17696 tokens would fit"},
		{"70B", "Q8_0", []int64{h200}, Options{}, []int{80}, 131072, ""},
		{"70B", "BF16", []int64{h200}, Options{}, []int{80}, 8704, ""},
		{"70B", "BF16", []int64{h100, h100}, Options{}, []int{40, 40}, 62336, ""},
		{"70B", "BF16", []int64{h100}, Options{}, []int{45}, 0, ""},
		{"70B", "BF16", []int64{h100}, Options{Device: "cuda"}, nil, 0, "would fit, with a context of 4096 tokens"},
		{"405B", "Q4_K_M", []int64{h200}, Options{}, []int{69}, 0, ""},
		{"405B", "Q4_K_M", []int64{h200, h200}, Options{}, []int{63, 63}, 56704, ""},
		{"405B", "Q4_K_M", []int64{h100, h100, h100, h100}, Options{}, []int{31, 32, 32, 31}, 120224, ""},
		{"405B", "BF16", slices.Repeat([]int64{h200}, 8), Options{}, []int{15, 16, 16, 16, 16, 16, 16, 15}, 131072, ""},
	} {
		t.Run(fmt.Sprint(c.model, " ", c.typ, " on ", len(c.cards), " of ", c.cards[0]>>30, " GiB ", c.o.Context), func(t *testing.T) {
			m := &Model{config: sizes[c.model], options: c.o.withDefaults()}
			per := func(values int) int64 { return int64(float64(values) * bits[c.typ] / 8) }
			d := &demand{page: m.pageBytes() / int64(m.config.layers), embd: per(m.config.vocab * m.config.hidden), output: per(m.config.vocab * m.config.hidden)}
			for range m.config.layers {
				d.layers = append(d.layers, per(2*m.config.hidden*(m.config.heads+m.config.kvHeads)*m.config.headDim+3*m.config.hidden*m.config.ffn))
			}
			p := &placement{}
			for i, card := range c.cards {
				p.infos = append(p.infos, kernels.Info{Name: fmt.Sprint("cuda:", i), FreeFunc: func() int64 { return card - 2<<30 }})
			}
			first, err := m.plan(d, p, c.o.Device != "")
			if c.gpu == nil {
				if !errors.Is(err, ErrOutOfMemory) || !strings.Contains(err.Error(), c.refused) {
					t.Errorf("planned %v, or refused with %v, expected %q", p.counts, err, c.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%v layers on GPUs, %d on the CPU, a context of %d in %d pages", p.counts, first, m.context, p.pages)
			if !slices.Equal(p.counts, c.gpu) || c.context > 0 && m.context != c.context {
				t.Errorf("layers %v and a context of %d, expected %v and %d", p.counts, m.context, c.gpu, c.context)
			}
			for i, start := 0, first; i < len(p.counts); i++ {
				if n := d.stage(start, p.counts[i], p.pages); n > usable(c.cards[i]-2<<30) {
					t.Errorf("card %d is to hold %d bytes", i, n)
				}
				start += p.counts[i]
			}
			if p.pages < kvPages(m.context) || p.pages > kvPages(m.context)*m.options.MaxRunning {
				t.Errorf("%d pages for contexts of %d", p.pages, m.context)
			}
		})
	}
}
