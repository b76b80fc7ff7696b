package kernels

import (
	"errors"
	"fmt"
	"log/slog"
	"sort"
	"sync"

	"github.com/llama31/llama31/gguf/block"
	"gorgonia.org/tensor"
)

// Positions in a KV page, and in a segment of attention (see the package comment).
const (
	PageSize    = 32
	SegmentSize = 1024
)

var (
	// ErrUnavailable says that a device cannot be used on this machine; the wrapped text says why.
	ErrUnavailable = errors.New("device unavailable")
	// ErrUnsupported says that a device cannot do what the model needs, such as a weight's block type.
	ErrUnsupported = errors.New("not supported by this device")
	// ErrNoKV says that a step attends before NewKV was called.
	ErrNoKV = errors.New("the device has no KV cache")
	// ErrOutOfMemory is matched by a MemoryError.
	ErrOutOfMemory = errors.New("out of memory")
)

// MemoryError says how many bytes a device lacked.
type MemoryError struct {
	Device     string
	Need, Free int64
}

func (e *MemoryError) Error() string {
	return fmt.Sprintf("%s: %.2f GiB needed, %.2f GiB free", e.Device, float64(e.Need)/(1<<30), float64(e.Free)/(1<<30))
}

func (e *MemoryError) Is(target error) bool { return target == ErrOutOfMemory }

// Shape is what a device must know of a model: all sizes count elements.
type Shape struct {
	Layers, Hidden, FFN, Vocab int       // Layers of the whole model
	Heads, KVHeads, HeadDim    int       // Heads is a multiple of KVHeads
	Eps                        float32   // of RMSNorm
	RopeFreq                   []float64 // [rotated dims / 2] angle per position of each pair (2i, 2i+1), scaling included
	MaxRows                    int       // most rows in a step
	MaxOut                     int       // most Out rows in a step
	Slots                      int       // sequences that may be known at once
	Context                    int       // most positions of a sequence; 0: unknown, and memory for steps is taken when a step needs it
	Exact                      bool      // float32 activations and KV: slow, for checking
}

// Role says what a weight is for, so that a device can place, slice or repack it.
type Role uint8

const (
	TokenEmbd  Role = iota // [Vocab, Hidden], rows are looked up; also the output head of a tied model
	Norm                   // [Hidden], float32
	AttnQ                  // [Heads*HeadDim, Hidden]
	AttnK                  // [KVHeads*HeadDim, Hidden]
	AttnV                  // [KVHeads*HeadDim, Hidden]
	AttnOutput             // [Hidden, Heads*HeadDim]
	FFNGate                // [FFN, Hidden]
	FFNUp                  // [FFN, Hidden]
	FFNDown                // [Hidden, FFN]
	Output                 // [Vocab, Hidden]
)

// Weight is a matrix [rows, cols] (or a vector, rows = 1) that a device has loaded. It stays valid until the device is closed.
type Weight interface {
	Type() block.Type
	Dims() (rows, cols int)
}

// KVType is the element type of the KV cache.
type KVType uint8

const (
	KVF16 KVType = iota // a device may take bfloat16 instead
	KVQ8                // int8 with one float16 scale per 32 values
	KVF32               // of Shape.Exact
)

// A Device runs the operations of one model. Its methods are for one goroutine at a time.
type Device interface {
	// Info describes the device; it does not change.
	Info() Info
	// Load prepares one weight: aliases w's memory where it can (CPU), copies it elsewhere (CUDA). w is [rows, cols/block] of
	// a block type's struct, or a float vector. The memory behind w must outlive the device.
	Load(role Role, w *tensor.Dense) (Weight, error)
	// NewKV makes the KV cache in place of an earlier one, for so many layers: those of the model that this device runs.
	NewKV(layers, pages int, t KVType) (KV, error)
	// Step runs forward once over a batch. forward calls the operations in the order of the model; a device may record them once
	// and replay the record for a later batch of like size. When Step returns, the batch's results are filled in. Errors of every
	// operation come out here; the KV of the batch's rows is then undefined.
	Step(b *Batch, forward func(Ops)) error
	// Close frees everything.
	Close() error
}

// Overlapped is a device that can begin a step while it is busy with the one before, so that it need not wait for the host: rows
// whose id is LastSampled take what the step before draws. A batch must stay as it is until its End. Two steps may have begun.
type Overlapped interface {
	Device
	// Begin is the first part of Step.
	Begin(b *Batch, forward func(Ops)) error
	// End waits for the first of the steps that have begun, and fills in its batch's results.
	End() error
}

// Info describes a device.
type Info struct {
	Name     string       // "cpu", "cuda:0"
	Detail   string       // instruction set, or card and driver
	Threads  int          // workers of a CPU device
	Memory   int64        // bytes that the device holds in all, 0 if unknown
	FreeFunc func() int64 `json:"-"` // bytes of its own memory that are free now; nil: it uses the host's

	// WorkBytes are what the device has taken of its own memory for steps. The rest is for weights and the KV cache.
	WorkBytes int64

	// WeightBytes predicts what a weight will take of the device's memory; nil: as much as in the file.
	WeightBytes func(t block.Type, rows, cols int) int64 `json:"-"`
}

// KV is a paged cache of keys and values, all layers of PageSize positions to a page.
type KV interface {
	Pages() int
	PageBytes() int
	// Copy copies page src to page dst (copy on write).
	Copy(dst, src int32) error
	// Read and Write move a page to and from PageBytes() of host memory, in the device's own layout.
	Read(page int32, dst []byte) error
	Write(page int32, src []byte) error
}

// Ops are the fused operations of a step, on the batch's rows x [rows, Hidden]. They are called inside Device.Step only.
type Ops interface {
	// Embed looks up each row's token: x = w[id].
	Embed(w Weight)
	// NormQKV computes h = RMSNorm(x)·norm, then q, k, v = wq·h, wk·h, wv·h.
	NormQKV(norm, wq, wk, wv Weight)
	// RopeStore rotates q and k by each row's position (pairs 2i, 2i+1) and writes k and v to the rows' pages of a layer.
	RopeStore(layer int)
	// Attend computes causal grouped-query attention of q over the layer's pages, scaled by 1/√HeadDim, into a [rows, Heads*HeadDim].
	Attend(layer int)
	// ProjectAdd computes x += w·a, where a is what Attend or NormGateUp left.
	ProjectAdd(w Weight)
	// NormGateUp computes h = RMSNorm(x)·norm and a = silu(gate·h) * (up·h), [rows, FFN].
	NormGateUp(norm, gate, up Weight)
	// Norm computes h = RMSNorm(x)·norm of the Out rows, and stores it where an Out row asks for it.
	Norm(norm Weight)
	// Logits computes w·h of the Out rows, in chunks, and what each asks of them: scores, samples, copies.
	Logits(w Weight)
}

// Opener makes a device for a model's shape. name is what follows the colon in "cuda:0,1", "" for the default.
type Opener func(name string, s Shape, o Options) (Device, error)

// Options of a device.
type Options struct {
	Threads int          // CPU workers; 0: physical cores that the process may use
	Leaf    string       // CPU instruction set, "" for the best; see Features
	Logger  *slog.Logger // nil: silent
}

var registry struct {
	sync.Mutex
	openers map[string]Opener
}

// Register makes a device available under a kind, such as "cuda". Packages call it from init.
func Register(kind string, open Opener) {
	registry.Lock()
	defer registry.Unlock()
	if registry.openers == nil {
		registry.openers = map[string]Opener{}
	}
	registry.openers[kind] = open
}

// Kinds lists the registered kinds of device, sorted.
func Kinds() []string {
	registry.Lock()
	defer registry.Unlock()
	var ks []string
	for k := range registry.openers {
		ks = append(ks, k)
	}
	sort.Strings(ks)
	return ks
}

// Open opens a device: "cpu", "reference", or a registered kind with an optional ":name".
func Open(device string, s Shape, o Options) (Device, error) {
	kind, name := device, ""
	for i := range device {
		if device[i] == ':' {
			kind, name = device[:i], device[i+1:]
			break
		}
	}
	registry.Lock()
	open := registry.openers[kind]
	registry.Unlock()
	if open == nil {
		return nil, fmt.Errorf("%w: %q is not among %v (kernels/cuda must be imported to be there)", ErrUnavailable, device, Kinds())
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return open(name, s, o)
}

func (s *Shape) check() error {
	switch {
	case s.Layers < 1 || s.Hidden < 1 || s.FFN < 1 || s.Vocab < 1 || s.Heads < 1 || s.KVHeads < 1 || s.HeadDim < 1,
		s.MaxRows < 1 || s.MaxOut < 1 || s.Slots < 1 || s.Context < 0:
		return fmt.Errorf("%w: shape %+v has a size below 1", ErrUnsupported, *s)
	case s.Heads%s.KVHeads != 0:
		return fmt.Errorf("%w: %d heads are not a multiple of %d KV heads", ErrUnsupported, s.Heads, s.KVHeads)
	case s.HeadDim%2 != 0 || len(s.RopeFreq)*2 > s.HeadDim:
		return fmt.Errorf("%w: %d rotary pairs in a head of %d", ErrUnsupported, len(s.RopeFreq), s.HeadDim)
	}
	return nil
}
