package llama

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/llama31/llama31/gguf"
	"github.com/llama31/llama31/kernels"
	"github.com/llama31/llama31/tokenizer"
)

// Model is a loaded model. It is safe for concurrent use: requests that run at once are batched.
type Model struct {
	file      *gguf.File
	config    *config
	options   Options
	tokenizer *tokenizer.Tokenizer
	template  func() (template, error)
	sampling  Sampling // what the file recommends
	stops     map[int32]bool
	formats   formats
	device    *kernels.Pipeline
	kv        kernels.KV // the engine's goroutine reads and writes it
	stages    []Stage
	threads   int // of a CPU among the devices
	engine    *engine
	context   int

	sum    sync.Mutex
	sha256 string // of the file, once it is known

	closing sync.Once
	err     error // of Close
}

// Open loads the model at path; of a split model, any of its files. On a CPU the file is mapped and used as it is, so that opening
// takes milliseconds and processes share its memory.
//
// Errors: those of os.Open; gguf's for a file that is damaged or no GGUF; ErrModel where the file contradicts itself, ErrUnsupported
// for other architectures and formats (named), ErrOutOfMemory.
func Open(ctx context.Context, path string, o *Options) (*Model, error) {
	f, err := gguf.Open(path, &gguf.Options{ReadAt: o != nil && o.ReadAt})
	if err != nil {
		return nil, err
	}
	return open(ctx, f, o)
}

// OpenReader loads a model of size bytes from r, an embedded file for instance. Its weights are copied into memory.
func OpenReader(ctx context.Context, r io.ReaderAt, size int64, o *Options) (*Model, error) {
	f, err := gguf.NewReader(r, size)
	if err != nil {
		return nil, err
	}
	return open(ctx, f, o)
}

func open(ctx context.Context, f *gguf.File, o *Options) (m *Model, err error) {
	m = &Model{file: f, options: o.withDefaults()}
	defer func() {
		if err != nil {
			m.release()
			m = nil
		}
	}()
	if err = m.options.check(); err != nil {
		return m, err
	}
	for key, w := range m.options.Weights {
		if !(w > 0) || math.IsInf(w, 1) {
			return m, fmt.Errorf("%w: Weights[%q] is %g, expected above 0", ErrRequest, key, w)
		}
	}
	if m.config, err = readConfig(f); err != nil {
		return m, err
	}
	tied, err := m.config.checkTensors(f)
	if err != nil {
		return m, err
	}
	if m.tokenizer, err = readTokenizer(f, m.config.vocab); err != nil {
		return m, err
	}
	m.template = sync.OnceValues(m.readTemplate)
	m.stops = stopTokens(m.tokenizer)
	m.formats.tokenizer, m.formats.stops = m.tokenizer, m.stops
	m.sampling = recommended(f)
	if m.options.Context > m.config.context {
		return m, fmt.Errorf("%w: a context of %d tokens, the model was trained for %d", ErrRequest, m.options.Context, m.config.context)
	}
	weights, pages, err := m.place(ctx, tied)
	if err != nil {
		return m, err
	}
	if !m.options.KeepGOMAXPROCS {
		raiseProcs(m, m.threads+2)
	}
	m.engine = newEngine(m.device, m.shape(), weights.forward, pages, &m.options)
	if m.options.Draft != "" && !m.options.NoSpeculation {
		if m.engine.drafter, err = openDraft(ctx, m); err != nil {
			return m, err
		}
	}
	go m.engine.run()
	return m, nil
}

// maxRows is the most rows of a step: a panel of weights is decoded once for all of them, and 512 rows make that about 1%.
const maxRows = 512

func (m *Model) shape() kernels.Shape {
	c := m.config
	return kernels.Shape{
		Layers: c.layers, Hidden: c.hidden, FFN: c.ffn, Vocab: c.vocab,
		Heads: c.heads, KVHeads: c.kvHeads, HeadDim: c.headDim,
		Eps: c.eps, RopeFreq: c.ropeFreq, Context: cmp.Or(m.options.Context, c.context),
		MaxRows: max(maxRows, m.options.MaxRunning), MaxOut: max(maxRows, m.options.MaxRunning), Slots: m.options.MaxRunning,
		Exact: m.options.Exact,
	}
}

// release gives back what open took, in the order that nothing is used after its end.
func (m *Model) release() error {
	var errs []error
	restoreProcs(m)
	if m.engine != nil && m.engine.drafter != nil {
		errs = append(errs, m.engine.drafter.model.Close())
	}
	if m.device != nil {
		errs = append(errs, m.device.Close())
	}
	return errors.Join(append(errs, m.file.Close())...)
}

// Close waits for the step in flight, ends running requests with ErrClosed and frees everything. It may be called twice.
func (m *Model) Close() error {
	m.closing.Do(func() {
		m.engine.stop()
		m.err = m.release()
	})
	return m.err
}

// Info describes a model and where it runs.
type Info struct {
	Name         string // general.name
	Parameters   int64
	Bytes        int64          // of the file, all shards
	Types        map[string]int // tensors by block type
	Layers       int
	Hidden       int
	Vocabulary   int
	Context      int    // of this Model
	TrainContext int    // of the model itself
	KVPages      int    // of 32 positions
	Device       string // of several, each with its layers
	Detail       string // instruction set, or card and driver
	Threads      int
	Sampling     Sampling // that the file recommends, for requests that say nothing
	Stages       []Stage  // the devices, in the order of the layers
}

// Stage is a device and what of a model is there.
type Stage struct {
	Device string
	Detail string
	Layers int
	Bytes  int64 // of a GPU's memory: weights, KV cache and what steps work in. Of the host's for a CPU: KV cache; weights stay in the file.
}

// Info describes the model. It is constant, after Close too.
func (m *Model) Info() Info {
	i := Info{Name: m.config.name, Bytes: m.file.Size, Types: map[string]int{}, Layers: m.config.layers, Hidden: m.config.hidden,
		Vocabulary: m.config.vocab, Context: m.context, TrainContext: m.config.context, KVPages: m.engine.stats.Pages,
		Device: m.deviceName(), Detail: m.deviceDetail(), Threads: m.threads, Stages: slices.Clone(m.stages), Sampling: m.sampling}
	for _, t := range m.file.Tensors() {
		i.Parameters += t.Values()
		i.Types[t.Type.String()]++
	}
	return i
}

// SHA256 reads the model's files and gives their SHA-256 in hexadecimal.
func (m *Model) SHA256(ctx context.Context) (string, error) {
	sum, err := m.file.SHA256(ctx)
	return fmt.Sprintf("%x", sum), err
}

// Stats tells what the engine does and has done.
func (m *Model) Stats() Stats {
	m.engine.mu.Lock()
	defer m.engine.mu.Unlock()
	return m.engine.stats
}

// Tokenizer is the model's own.
func (m *Model) Tokenizer() *tokenizer.Tokenizer { return m.tokenizer }

// recommended is the sampling that the file asks for, or Llama 3.1's own (generation_config.json: temperature 0.6, top-p 0.9).
func recommended(f *gguf.File) Sampling {
	r := metadata{f: f}
	t := r.float("general.sampling.temp", 0.6)
	s := Sampling{Temperature: &t, TopP: r.float("general.sampling.top_p", 0.9), MinP: r.float("general.sampling.min_p", 0)}
	if k, err := f.Int("general.sampling.top_k"); err == nil && k > 0 {
		s.TopK = int(min(k, maxVocab))
	}
	if r.err != nil || s.check() != nil {
		t = 0.6
		return Sampling{Temperature: &t, TopP: 0.9}
	}
	return s
}

// readTemplate finds the chat template, when a conversation first needs it.
func (m *Model) readTemplate() (template, error) {
	source := ""
	if m.file.Has("tokenizer.chat_template") {
		var err error
		if source, err = m.file.String("tokenizer.chat_template"); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrModel, err)
		}
	}
	return newTemplate(strings.TrimSpace(source), m.tokenizer)
}
