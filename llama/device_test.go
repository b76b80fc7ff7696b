package llama

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/llama31/llama31/kernels"
)

// tight is a kind of device with memory of its own, as a GPU has, on which a test sets what is free; 0: there is no such device. It
// computes on the CPU.
var tight struct{ free, weights atomic.Int64 }

type tightDevice struct{ kernels.Device }

func (d tightDevice) Info() kernels.Info {
	i := d.Device.Info()
	i.Name = "tight:0"
	first := true
	i.FreeFunc = func() int64 { // less once the weights are there
		if first {
			first = false
			return tight.free.Load()
		}
		return tight.free.Load() - tight.weights.Load()
	}
	return i
}

func init() {
	kernels.Register("tight", func(name string, s kernels.Shape, o kernels.Options) (kernels.Device, error) {
		if tight.free.Load() == 0 {
			return nil, fmt.Errorf("%w: no device", kernels.ErrUnavailable)
		}
		d, err := kernels.Open("cpu", s, o)
		return tightDevice{d}, err
	})
}

func TestDeviceChosen(t *testing.T) {
	defer tight.free.Store(0)
	file := tinyFile(t, 4096)
	m := openBytes(t, file, &Options{Device: "cpu"})
	weights, page := m.weightBytes(kernels.Info{}), m.pageBytes()
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	tight.weights.Store(weights)
	for _, c := range []struct {
		name           string
		free           int64
		o              Options
		device         string // "": an error
		context, pages int
		say            string // in the log or the error
	}{
		{"no GPU", 0, Options{}, "cpu", 4096, 0, "device not used"},
		{"no GPU, asked for", 0, Options{Device: "tight"}, "", 0, 0, "device unavailable: no device"},
		{"fits", weights + 10000*page, Options{}, "tight:0", 4096, 32 * 128, "device chosen"},
		{"pages are limited", weights + 320*page, Options{}, "tight:0", 4096, 300, "device chosen"},
		{"the context is limited", weights + 64*page, Options{}, "tight:0", 60 * 32, 60, "context limited by memory"},
		{"the weights do not fit", weights, Options{}, "cpu", 4096, 0, "device not used"},
		{"the weights do not fit, asked for", weights, Options{Device: "tight:0"}, "", 0, 0, "GiB needed"},
		{"the context does not fit", weights + 64*page, Options{Context: 4000}, "cpu", 4000, 0, "1920 tokens would fit"},
		{"the context does not fit, asked for", weights + 64*page, Options{Device: "tight", Context: 4000}, "", 0, 0, "1920 tokens would fit"},
		{"exact", weights + 10000*page, Options{Exact: true}, "cpu", 4096, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			tight.free.Store(c.free)
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
				if !errors.Is(err, ErrOutOfMemory) && !errors.Is(err, kernels.ErrUnavailable) {
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
		})
	}
}
