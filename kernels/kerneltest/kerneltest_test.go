package kerneltest

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/kernels"
)

// faults are devices that the suite must not pass: the reference with one mistake each.
var faults = map[string]fault{
	"position":          {find: "Run/Lengths", batch: func(b *kernels.Batch) { b.Chunks[0].Pos++ }},
	"pages in order":    {find: "Run/KV0/ReadWrite", batch: func(b *kernels.Batch) { slices.Sort(b.Chunks[0].Pages) }},
	"last sampled":      {find: "Run/KV0/Mix", batch: lastSampledIsZero},
	"mask":              {find: "Run/Sampling", batch: func(b *kernels.Batch) { eachSampling(b, func(s *kernels.Sampling) { s.Mask = nil }) }},
	"bias":              {find: "Run/Sampling", batch: func(b *kernels.Batch) { eachSampling(b, func(s *kernels.Sampling) { s.Bias = nil }) }},
	"penalties":         {find: "Run/Sampling", batch: func(b *kernels.Batch) { eachSampling(b, func(s *kernels.Sampling) { s.Seen = nil }) }},
	"typical":           {find: "Run/Sampling", batch: func(b *kernels.Batch) { eachSampling(b, func(s *kernels.Sampling) { s.Typical = 0 }) }},
	"copy":              {find: "Run/KV0/Copy", copy: func(kernels.KV) error { return nil }},
	"read":              {find: "Run/KV0/ReadWrite", read: func(dst []byte) { clear(dst[:len(dst)/2]) }},
	"nan":               {find: "Run/Types", result: func(b *kernels.Batch, o *kernels.Out) { o.Logits[3] *= float32(nan()) }},
	"a logit":           {find: "Run/Types", result: func(b *kernels.Batch, o *kernels.Out) { o.Logits[len(o.Logits)-1] += 1 }},
	"target":            {find: "Run/Types", result: func(b *kernels.Batch, o *kernels.Out) { o.TargetLogprob += 0.001 }},
	"top":               {find: "Run/Types", result: func(b *kernels.Batch, o *kernels.Out) { slices.Reverse(o.TopIDs) }},
	"depends on chunks": {find: "Deterministic/Q8_0", result: func(b *kernels.Batch, o *kernels.Out) { o.Logits[0] += float32(len(b.Chunks[0].IDs)) * 1e-5 }},
	"no FFN":            {find: "Run/Types", ops: func(o kernels.Ops) kernels.Ops { return noFFN{o} }},
	"one layer":         {find: "Run/KV0/Truncated", ops: func(o kernels.Ops) kernels.Ops { return oneLayer{o} }},
}

type fault struct {
	find   string                             // the part of the suite that is to find it
	batch  func(*kernels.Batch)               // before a step
	result func(*kernels.Batch, *kernels.Out) // after it
	ops    func(kernels.Ops) kernels.Ops
	copy   func(kernels.KV) error
	read   func(dst []byte)
}

func nan() float64 { zero := 0.0; return zero / zero }

func lastSampledIsZero(b *kernels.Batch) {
	for _, c := range b.Chunks {
		for i, id := range c.IDs {
			c.IDs[i] = max(id, 0)
		}
	}
}

func eachSampling(b *kernels.Batch, f func(*kernels.Sampling)) {
	for i := range b.Out {
		if b.Out[i].Sample != nil {
			s := *b.Out[i].Sample
			f(&s)
			b.Out[i].Sample = &s
		}
	}
}

type noFFN struct{ kernels.Ops }

func (noFFN) NormGateUp(norm, gate, up kernels.Weight) {}

type oneLayer struct{ kernels.Ops }

func (o oneLayer) RopeStore(int)    { o.Ops.RopeStore(0) }
func (o oneLayer) Attend(layer int) { o.Ops.Attend(0) }

type faulty struct {
	kernels.Device
	fault
}

func (d faulty) Step(b *kernels.Batch, forward func(kernels.Ops)) error {
	own := kernels.Batch{Out: b.Out}
	samplings := make([]*kernels.Sampling, len(b.Out))
	for i := range b.Out {
		samplings[i] = b.Out[i].Sample
	}
	for _, c := range b.Chunks {
		c.IDs, c.Pages = slices.Clone(c.IDs), slices.Clone(c.Pages)
		own.Chunks = append(own.Chunks, c)
	}
	if d.batch != nil && len(own.Chunks) > 0 {
		d.batch(&own)
	}
	err := d.Device.Step(&own, func(o kernels.Ops) {
		if d.ops != nil {
			o = d.ops(o)
		}
		forward(o)
	})
	for i := range b.Out {
		b.Out[i].Sample = samplings[i]
		if d.result != nil && b.Out[i].Logits != nil {
			d.result(b, &b.Out[i])
		}
	}
	return err
}

func (d faulty) NewKV(layers, pages int, t kernels.KVType) (kernels.KV, error) {
	kv, err := d.Device.NewKV(layers, pages, t)
	return faultyKV{kv, d.fault}, err
}

type faultyKV struct {
	kernels.KV
	fault
}

func (kv faultyKV) Copy(dst, src int32) error {
	if kv.copy != nil {
		return kv.copy(kv.KV)
	}
	return kv.KV.Copy(dst, src)
}

func (kv faultyKV) Read(page int32, dst []byte) error {
	err := kv.KV.Read(page, dst)
	if kv.read != nil {
		kv.read(dst)
	}
	return err
}

// TestSuiteFindsFaults runs the suite on each faulty device, in a process of its own because it is to fail there.
func TestSuiteFindsFaults(t *testing.T) {
	const variable = "LLAMA31_KERNELTEST_FAULT"
	if name, set := os.LookupEnv(variable); set { // "": no fault
		open := func(s kernels.Shape) (kernels.Device, error) {
			d, err := kernels.Open("reference", s, kernels.Options{})
			return faulty{d, faults[name]}, err
		}
		// The tolerance of a device with int8 activations: the faults must show there too.
		o := Options{Types: []block.Type{block.TypeQ8_0}, KV: []kernels.KVType{kernels.KVF16}, NMSE: 1e-3, Max: 0.3}
		t.Run("Run", func(t *testing.T) { Run(t, open, o) })
		t.Run("Deterministic", func(t *testing.T) { Deterministic(t, open, o) })
		return
	}
	for name, f := range faults {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			run := func(name string) (passed bool, out string) {
				c := exec.Command(os.Args[0], "-test.v", "-test.failfast", "-test.run=^TestSuiteFindsFaults$/"+f.find)
				c.Env = append(os.Environ(), variable+"="+name)
				b, err := c.CombinedOutput()
				if !strings.Contains(string(b), "TestSuiteFindsFaults/"+f.find) {
					t.Fatalf("%s did not run (%v):\n%s", f.find, err, b)
				}
				return err == nil, string(b)
			}
			if passed, out := run(""); !passed {
				t.Errorf("the suite fails on the reference:\n%s", out)
			}
			if passed, out := run(name); passed || !strings.Contains(out, "--- FAIL: TestSuiteFindsFaults") {
				t.Errorf("the suite does not find the fault:\n%s", out)
			}
		})
	}
}
