package llama

import (
	"fmt"
	"log/slog"
	"math"

	"github.com/llama31/llama31/kernels"
)

// Options of a model. The zero value is a good default.
type Options struct {
	Device         string // "auto" (default: a registered GPU if it can be used, else the CPU), "cpu", "cuda", "cuda:0,1", "reference"
	GPULayers      *int   // layers that run on GPUs, the rest on the CPU; nil: with "auto" as many as fit, else all
	Threads        int    // CPU workers; 0: physical cores that the process may use
	InstructionSet string // of the CPU, one of kernels.Features(); "": the best
	Context        int    // most tokens of a sequence; 0: the model's, as memory allows
	KV             KVType // elements of the KV cache: F16, or Q8, which halves its memory
	KVBytes        int64  // memory for the KV cache; 0: one full context, or a quarter of the free memory if that is more
	MaxRunning     int    // sequences that run at once; 0: 32
	MaxQueued      int    // with RejectWhenFull: sequences that wait beside those that run; 0: 1024
	RejectWhenFull bool   // ErrBusy for requests beyond; without it they wait for their turn, or for the end of their context
	Draft          string // a smaller model of the same vocabulary, whose guesses are run where they make answers come sooner
	NoSpeculation  bool   // run no guesses at what comes next; they never change a text
	Exact          bool   // float32 activations and KV, whatever KV says: slow, for checking
	ReadAt         bool   // read the file into memory instead of mapping it: for files that may be truncated or replaced meanwhile

	// Weights are the shares of the keys of Request.Key; 1 where a key is not among them. Of those who ask at once, one of weight
	// 2 gets twice as much as one of weight 1.
	Weights map[string]float64

	// IsolateKeys keeps what is in the KV cache to the key of the request that computed it: no other key's requests find it, and neither
	// their speed nor Usage.Cached can tell one tenant what another asked. Without it requests of all keys that start alike, with the
	// same system prompt for instance, share its pages.
	IsolateKeys bool

	// KeepGOMAXPROCS leaves GOMAXPROCS alone. By default Open raises it to Threads+2 if it is lower, until Close: workers
	// keep their threads busy, and the rest of the program needs some too (a TCP echo beside two busy workers took 65 ms at
	// the 99th percentile with GOMAXPROCS=2, 5 ms with 4).
	KeepGOMAXPROCS bool

	Progress func(done, total int64) // of loading, in bytes of the file; not called for a mapped file larger than the free memory
	Logger   *slog.Logger            // nil: silent
}

// KVType is how keys and values are kept.
type KVType uint8

const (
	F16 KVType = iota // 16 bits: float16, or bfloat16 for heads of 128 and more on a CPU that multiplies it (AVX-512 BF16)
	Q8                // int8 with one float16 scale per 32 values, each of one position only; head sizes are then multiples of 32
)

// kvType is the device's word for KV and Exact.
func (o *Options) kvType() kernels.KVType {
	switch {
	case o.Exact:
		return kernels.KVF32
	case o.KV == Q8:
		return kernels.KVQ8
	}
	return kernels.KVF16
}

func (o *Options) withDefaults() Options {
	c := Options{}
	if o != nil {
		c = *o
	}
	if c.Device == "" {
		c.Device = "auto"
	}
	if c.MaxRunning == 0 {
		c.MaxRunning = 32
	}
	if c.MaxQueued == 0 {
		c.MaxQueued = 1024
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Bounds on options, beyond any machine or use: what is larger is a mistake, and would be memory.
const (
	maxThreads = 4096
	maxRunning = 1 << 14
)

// check refuses values that have no meaning.
func (o *Options) check() error {
	bad := func(field string, value any, expected string) error {
		return fmt.Errorf("%w: Options.%s is %v, expected %s", ErrRequest, field, value, expected)
	}
	switch {
	case o.GPULayers != nil && *o.GPULayers < 0:
		return bad("GPULayers", *o.GPULayers, "0 or more")
	case o.Threads < 0 || o.Threads > maxThreads:
		return bad("Threads", o.Threads, fmt.Sprint("0 to ", maxThreads))
	case o.Context < 0:
		return bad("Context", o.Context, "0 or more")
	case o.KV > Q8:
		return bad("KV", o.KV, "F16 or Q8")
	case o.KVBytes < 0:
		return bad("KVBytes", o.KVBytes, "0 or more")
	case o.MaxRunning < 0 || o.MaxRunning > maxRunning:
		return bad("MaxRunning", o.MaxRunning, fmt.Sprint("0 to ", maxRunning))
	case o.MaxQueued < 0:
		return bad("MaxQueued", o.MaxQueued, "0 or more")
	}
	for key, w := range o.Weights {
		if !(w > 0 && w < math.Inf(1)) {
			return bad("Weights", w, fmt.Sprintf("a number above 0 for key %q", key))
		}
	}
	return nil
}
