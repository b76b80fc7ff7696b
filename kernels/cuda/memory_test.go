package cuda_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/kernels"
	"github.com/llama31/llama31/kernels/cuda/sim"
	"github.com/llama31/llama31/kernels/kerneltest"
)

var memoryShape = kernels.Shape{Layers: 1, Hidden: 64, FFN: 64, Vocab: 331, Heads: 2, KVHeads: 1, HeadDim: 32, Eps: 1e-5,
	RopeFreq: kerneltest.RopeFreq(32, 10000), MaxRows: 4, MaxOut: 4, Slots: 4}

// held is what is in use on a simulated machine.
type held struct{ bytes, pinned, events int64 }

func kept(m *sim.Machine) held {
	c := m.Counters()
	return held{c.Bytes, c.HostAllocs - c.HostFrees, c.Events - c.EventsFreed}
}

func (h held) exceeds(o held) bool {
	return h.bytes > o.bytes || h.pinned > o.pinned || h.events > o.events
}

// What fails for lack of memory keeps none of it, however often it is tried.

func TestLoadFails(t *testing.T) {
	w, err := kerneltest.NewWeight(block.TypeQ8_0, memoryShape.Vocab, memoryShape.Hidden, 1, rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	open := func(options string) (*sim.Machine, kernels.Device) {
		m := sim.Start(t, options)
		d, err := kernels.Open("cuda", memoryShape, kernels.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return m, d
	}
	m, d := open("")
	c := m.Counters()
	d.Close()
	// The buffer through which a first weight goes, and its event.
	for _, options := range []string{fmt.Sprint("fail_host=", c.HostAllocs+1), fmt.Sprint("fail_event=", c.Events+1)} {
		m, d = open(options)
		var before held
		for i := range 4 {
			if _, err := d.Load(kernels.TokenEmbd, w); err == nil {
				t.Fatalf("%s: no error", options)
			}
			if now := kept(m); i == 0 {
				before = now
			} else if now.exceeds(before) {
				t.Errorf("%s: after %d failures %v, after the first %v", options, i+1, now, before)
			}
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestKVFails(t *testing.T) {
	m := sim.Start(t, "memory=4194304")
	d, err := open(memoryShape)
	if err != nil {
		t.Fatal(err)
	}
	before := kept(m)
	for range 3 {
		if _, err := d.NewKV(1, 1<<20, kernels.KVF16); !errors.Is(err, kernels.ErrOutOfMemory) {
			t.Errorf("a cache of 4 GiB: %v", err)
		}
	}
	if now := kept(m); now.exceeds(before) {
		t.Errorf("after failures %v, before %v", now, before)
	}
	old, err := d.NewKV(1, 4, kernels.KVF16)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.NewKV(1, 4, kernels.KVF16); err != nil {
		t.Fatal(err)
	}
	page := make([]byte, old.PageBytes())
	if old.Copy(0, 1) == nil || old.Read(0, page) == nil || old.Write(0, page) == nil {
		t.Error("a cache that was replaced: no error")
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if old.Read(0, page) == nil {
		t.Error("a closed device: no error")
	}
}

// The buffers of a first step do not come, however often it is tried.
func TestStepFails(t *testing.T) {
	model, err := kerneltest.NewModel(memoryShape, block.TypeQ8_0, 3)
	if err != nil {
		t.Fatal(err)
	}
	ready := func(options string) (*sim.Machine, kernels.Device, func(kernels.Ops)) {
		m := sim.Start(t, options)
		d, err := open(memoryShape)
		if err != nil {
			t.Fatal(err)
		}
		forward, err := model.Load(d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.NewKV(1, 1, kernels.KVF16); err != nil {
			t.Fatal(err)
		}
		return m, d, forward
	}
	m, d, _ := ready("")
	c := m.Counters()
	d.Close()
	for _, options := range []string{fmt.Sprint("fail_alloc=", c.Allocs+1), fmt.Sprint("fail_host=", c.HostAllocs+1), fmt.Sprint("fail_host=", c.HostAllocs+2)} {
		m, d, forward := ready(options)
		var before held
		for i := range 4 {
			b := kernels.Batch{Chunks: []kernels.Chunk{{IDs: []int32{1}, Pages: []int32{0}}}}
			if err := d.Step(&b, forward); !errors.Is(err, kernels.ErrOutOfMemory) {
				t.Errorf("%s: %v", options, err)
			}
			if now := kept(m); i == 0 {
				before = now
			} else if now.exceeds(before) {
				t.Errorf("%s: after %d failures %v, after the first %v", options, i+1, now, before)
			}
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}
