package llama

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
)

// A saved KV cache is
//
//	"LLAMA31KV\n", the header's length as uint32, the header as JSON (savedHeader), SHA-256 of all that
//	for each page: 32 token ids as int32, the device's bytes of the page, SHA-256 of the sum before and of these
//
// with little-endian numbers. A page is checked before it is used.

const (
	savedMagic     = "LLAMA31KV\n"
	savedMaxHeader = 1 << 16
)

// savedHeader says whose bits the pages are: what a token's keys and values are a function of, beside the tokens before it.
type savedHeader struct {
	Model     string `json:"model"`  // the file's SHA-256
	Device    string `json:"device"` // kind and instruction set, or card
	KV        string `json:"kv"`
	Build     string `json:"build"` // of this package, and Go's version
	PageSize  int    `json:"page_size"`
	PageBytes int    `json:"page_bytes"`
	Pages     int    `json:"pages"`
}

func (m *Model) savedHeader(ctx context.Context, pages int) (*savedHeader, error) {
	sum, err := m.fileSum(ctx)
	if err != nil {
		return nil, err
	}
	kv := [...]string{"f16", "q8", "f32"}[m.options.kvType()]
	return &savedHeader{Model: sum, Device: m.deviceName() + " " + m.deviceDetail(), KV: kv, Build: build(), PageSize: pageSize, PageBytes: m.kv.PageBytes(), Pages: pages}, nil
}

// fileSum is SHA256, read once.
func (m *Model) fileSum(ctx context.Context) (string, error) {
	m.sum.Lock()
	defer m.sum.Unlock()
	if m.sha256 == "" {
		sum, err := m.SHA256(ctx)
		if err != nil {
			return "", err
		}
		m.sha256 = sum
	}
	return m.sha256, nil
}

// build names the code that computes: this module's version, the revision that it was built from where that is known, and Go's.
func build() string {
	b := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		const path = "github.com/llama31/llama31"
		b = info.Main.Version
		for _, d := range info.Deps {
			if d.Path == path {
				b = d.Version
			}
		}
		if info.Main.Path == path {
			for _, s := range info.Settings {
				if s.Key == "vcs.revision" || s.Key == "vcs.modified" || s.Key == "-tags" {
					b += " " + s.Key + "=" + s.Value
				}
			}
		}
	}
	return b + " " + runtime.Version() + " " + runtime.GOARCH
}

// SaveKV writes what the KV cache has of a text, keys and values of whole pages of 32 tokens from its beginning on, and gives the
// number of tokens. RestoreKV of a model from the same file, on the same kind of device and instruction set, in the same build, with
// the same Options.KV and Exact takes it; a text that begins alike then goes on from there with the bits that it would have had. ids
// are Prompt's, for instance. Requests run on meanwhile. With Options.IsolateKeys it is what requests without a key left; Chat.SaveKV
// takes its own key's.
//
// The first call reads the whole model file, for its SHA-256 goes with what is saved.
func (m *Model) SaveKV(ctx context.Context, w io.Writer, ids []int32) (tokens int, err error) {
	return m.saveKV(ctx, w, "", ids)
}

func (m *Model) saveKV(ctx context.Context, w io.Writer, owner string, ids []int32) (tokens int, err error) {
	var nodes []*node
	if err := m.engine.do(func() { nodes = m.engine.pages.find(nil, owner, append(slices.Clone(ids), 0)) }); err != nil {
		return 0, err
	}
	defer m.releaseNodes(&nodes)
	h, err := m.savedHeader(ctx, len(nodes))
	if err != nil {
		return 0, err
	}
	text, err := json.Marshal(h)
	if err != nil {
		return 0, err
	}
	head := binary.LittleEndian.AppendUint32([]byte(savedMagic), uint32(len(text)))
	head = append(head, text...)
	sum := sha256.Sum256(head)
	if _, err := w.Write(append(head, sum[:]...)); err != nil {
		return 0, err
	}
	buf := make([]byte, 4*pageSize+h.PageBytes)
	for _, n := range nodes {
		if err := ctx.Err(); err != nil {
			return tokens, context.Cause(ctx)
		}
		for i, id := range n.tokens {
			binary.LittleEndian.PutUint32(buf[4*i:], uint32(id))
		}
		var failed error
		if err := errors.Join(m.engine.do(func() { failed = m.kv.Read(n.page, buf[4*pageSize:]) }), failed); err != nil {
			return tokens, err
		}
		sum = pageSum(sum, buf)
		if _, err := w.Write(buf); err != nil {
			return tokens, err
		}
		if _, err := w.Write(sum[:]); err != nil {
			return tokens, err
		}
		tokens += pageSize
	}
	return tokens, nil
}

func pageSum(before [sha256.Size]byte, page []byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	h.Write(before[:])
	h.Write(page)
	h.Sum(sum[:0])
	return sum
}

func (m *Model) releaseNodes(nodes *[]*node) {
	m.engine.do(func() { // a closed model has nothing to release
		for _, n := range slices.Backward(*nodes) {
			m.engine.pages.release(n)
		}
	})
}

// RestoreKV puts what SaveKV wrote into the KV cache, where requests that begin alike find it, and gives the number of tokens. It
// stays there as long as what requests leave behind, the least recently used going first. With Options.IsolateKeys requests without a
// key find it; what Chat.RestoreKV restores is found by those of its own.
//
// Errors: a MismatchError (ErrMismatch) for what another model, device or build saved, ErrDamaged, ErrOutOfMemory where running
// requests leave no room. Each page is checked before it is used; those before a damaged one stay, and are right. No more is read
// than the header and the pages that it tells of, which are no more than the cache has.
func (m *Model) RestoreKV(ctx context.Context, r io.Reader) (tokens int, err error) {
	return m.restoreKV(ctx, r, "")
}

func (m *Model) restoreKV(ctx context.Context, r io.Reader, owner string) (tokens int, err error) {
	h, sum, err := readSavedHeader(r)
	if err != nil {
		return 0, err
	}
	if err := m.checkSaved(ctx, h); err != nil {
		return 0, err
	}
	var nodes []*node
	defer m.releaseNodes(&nodes)
	buf := make([]byte, 4*pageSize+h.PageBytes+sha256.Size)
	for i := range h.Pages {
		if err := ctx.Err(); err != nil {
			return tokens, context.Cause(ctx)
		}
		if _, err := io.ReadFull(r, buf); err != nil {
			return tokens, savedEnd(err, fmt.Sprintf("page %d of %d", i, h.Pages))
		}
		page := buf[:4*pageSize+h.PageBytes]
		if sum = pageSum(sum, page); !bytes.Equal(sum[:], buf[len(page):]) {
			return tokens, fmt.Errorf("%w: page %d has another SHA-256 than is written behind it", ErrDamaged, i)
		}
		var ids [pageSize]int32
		for j := range ids {
			ids[j] = int32(binary.LittleEndian.Uint32(page[4*j:]))
			if ids[j] < 0 || int(ids[j]) >= m.config.vocab {
				return tokens, fmt.Errorf("%w: token %d of a vocabulary of %d", ErrDamaged, ids[j], m.config.vocab)
			}
		}
		var failed error
		if err := m.engine.do(func() { nodes, failed = m.addPage(owner, nodes, &ids, page[4*pageSize:]) }); err != nil {
			return tokens, err
		}
		if failed != nil {
			return tokens, failed
		}
		tokens += pageSize
	}
	return tokens, nil
}

// addPage puts a page below nodes, on the engine's goroutine.
func (m *Model) addPage(owner string, nodes []*node, ids *[pageSize]int32, data []byte) ([]*node, error) {
	var parent *node
	if len(nodes) > 0 {
		parent = nodes[len(nodes)-1]
	}
	p := m.engine.pages
	if n := p.child(owner, parent, ids); n != nil {
		p.retain(n)
		return append(nodes, n), nil
	}
	page, ok := p.take()
	if !ok {
		return nodes, &MemoryError{Device: m.deviceName(), Need: int64(len(data)), Free: 0}
	}
	if err := m.kv.Write(page, data); err != nil {
		p.give(page)
		return nodes, err
	}
	return append(nodes, p.put(owner, parent, ids, page)), nil
}

// readSavedHeader reads up to the first page.
func readSavedHeader(r io.Reader) (*savedHeader, [sha256.Size]byte, error) {
	var sum [sha256.Size]byte
	head := make([]byte, len(savedMagic)+4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, sum, savedEnd(err, "the beginning")
	}
	if !bytes.HasPrefix(head, []byte(savedMagic)) {
		return nil, sum, fmt.Errorf("%w: it begins with %q, expected %q", ErrDamaged, head[:len(savedMagic)], savedMagic)
	}
	n := int(binary.LittleEndian.Uint32(head[len(savedMagic):]))
	if n > savedMaxHeader {
		return nil, sum, fmt.Errorf("%w: a header of %d bytes, expected at most %d", ErrDamaged, n, savedMaxHeader)
	}
	rest := make([]byte, n+sha256.Size)
	if _, err := io.ReadFull(r, rest); err != nil {
		return nil, sum, savedEnd(err, "the header")
	}
	sum = sha256.Sum256(append(head, rest[:n]...))
	if !bytes.Equal(sum[:], rest[n:]) {
		return nil, sum, fmt.Errorf("%w: the header has another SHA-256 than is written behind it", ErrDamaged)
	}
	h := &savedHeader{}
	if err := json.Unmarshal(rest[:n], h); err != nil {
		return nil, sum, fmt.Errorf("%w: the header: %w", ErrDamaged, err)
	}
	return h, sum, nil
}

// savedEnd is the error for what cannot be read: damage, if it is the end.
func savedEnd(err error, where string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends in %s", ErrDamaged, where)
	}
	return err
}

// checkSaved compares a header with this model's, the cheap parts first.
func (m *Model) checkSaved(ctx context.Context, h *savedHeader) error {
	here := savedHeader{Model: h.Model, PageSize: pageSize, PageBytes: m.kv.PageBytes()}
	compare := func(what string, saved, here any) error {
		if saved != here {
			return &MismatchError{What: what, Saved: fmt.Sprint(saved), Here: fmt.Sprint(here)}
		}
		return nil
	}
	if h.Pages < 0 || h.Pages > m.kv.Pages() {
		return fmt.Errorf("%w: %d pages, the cache has %d", ErrMismatch, h.Pages, m.kv.Pages())
	}
	if err := compare("page", [2]int{h.PageSize, h.PageBytes}, [2]int{here.PageSize, here.PageBytes}); err != nil {
		return err
	}
	full, err := m.savedHeader(ctx, h.Pages)
	if err != nil {
		return err
	}
	for _, c := range [][3]string{{"KV type", h.KV, full.KV}, {"device", h.Device, full.Device}, {"build", h.Build, full.Build}, {"model file", h.Model, full.Model}} {
		if err := compare(c[0], c[1], c[2]); err != nil {
			return err
		}
	}
	return nil
}
