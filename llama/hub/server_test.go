package hub

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const repo = "someone/Some-Model-GGUF"

// A site plays the hub as its documentation describes it: the list of files under /api/models, and under /resolve a redirect to
// another host, which has the files. A test may put something in front of either.
type site struct {
	hub, store *httptest.Server
	mu         sync.Mutex
	files      map[string][]byte
	requests   []*http.Request // to both
	atHub      func(w http.ResponseWriter, r *http.Request) bool
	atStore    func(w http.ResponseWriter, r *http.Request, data []byte) bool // true: it has answered
	entries    []map[string]any                                               // of the list, beside those of files
	sum        func(path string) string                                       // what is stated
	noOID      bool                                                           // the list states no sums
	pages      bool                                                           // the list comes one file at a time
}

func newSite(t *testing.T) *site {
	s := &site{files: map[string][]byte{}}
	s.sum = func(p string) string { return fmt.Sprintf("%x", sha256.Sum256(s.files[p])) }
	s.store = httptest.NewServer(http.HandlerFunc(s.serveStore))
	s.hub = httptest.NewServer(http.HandlerFunc(s.serveHub))
	t.Cleanup(s.store.Close)
	t.Cleanup(s.hub.Close)
	return s
}

// model is a GGUF file as far as this package looks.
func model(n int) []byte {
	data := make([]byte, n)
	x := uint32(n)
	for i := range data {
		x = x*1664525 + 1013904223
		data[i] = byte(x >> 24)
	}
	copy(data, "GGUF")
	return data
}

func (s *site) client(t *testing.T) *Client {
	return &Client{Cache: t.TempDir(), Endpoint: s.hub.URL, Memory: -1, pause: time.Millisecond}
}

func (s *site) note(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
}

// seen are the requests since the last call.
func (s *site) seen() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.requests
	s.requests = nil
	return r
}

func (s *site) serveHub(w http.ResponseWriter, r *http.Request) {
	s.note(r)
	if s.atHub != nil && s.atHub(w, r) {
		return
	}
	switch {
	case r.URL.Path == "/api/models/"+repo+"/tree/main":
		entries := append([]map[string]any{{"type": "file", "path": "README.md", "size": 9, "oid": "1"}}, s.entries...)
		for _, p := range slices.Sorted(maps.Keys(s.files)) {
			data := s.files[p]
			e := map[string]any{"type": "file", "path": p, "size": len(data), "oid": "0123"}
			if !s.noOID {
				e["lfs"] = map[string]any{"oid": s.sum(p), "size": len(data), "pointerSize": 134}
			}
			entries = append(entries, e)
		}
		if s.pages {
			at := 0
			fmt.Sscan(r.URL.Query().Get("cursor"), &at)
			if at+1 < len(entries) {
				w.Header().Set("Link", fmt.Sprintf(`<%s%s?recursive=true&cursor=%d>; rel="next"`, s.hub.URL, r.URL.Path, at+1))
			}
			entries = entries[at : at+1]
		}
		json.NewEncoder(w).Encode(entries)
	case strings.HasPrefix(r.URL.Path, "/"+repo+"/resolve/main/"):
		p := strings.TrimPrefix(r.URL.Path, "/"+repo+"/resolve/main/")
		if _, ok := s.files[p]; !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("X-Linked-Etag", `"`+s.sum(p)+`"`)
		w.Header().Set("X-Linked-Size", fmt.Sprint(len(s.files[p])))
		http.Redirect(w, r, s.store.URL+"/blob/"+p+"?signature=secret", http.StatusFound)
	default:
		w.Header().Set("X-Error-Message", "Repository not found")
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *site) serveStore(w http.ResponseWriter, r *http.Request) {
	s.note(r)
	data, ok := s.files[strings.TrimPrefix(r.URL.Path, "/blob/")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if s.atStore != nil && s.atStore(w, r, data) {
		return
	}
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(data)))
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(data)))
}

// breaking drops the connection after every n bytes.
func breaking(n int) func(http.ResponseWriter, *http.Request, []byte) bool {
	return func(w http.ResponseWriter, r *http.Request, data []byte) bool {
		from := 0
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
		w.Header().Set("Content-Length", fmt.Sprint(len(data)-from))
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(data)))
		if from > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(data)-1, len(data)))
			w.WriteHeader(http.StatusPartialContent)
		}
		end := min(len(data), from+n)
		w.Write(data[from:end])
		if end < len(data) {
			panic(http.ErrAbortHandler)
		}
		return true
	}
}

// has checks that a file is there with its data, and that nothing of a download is left beside it.
func has(t *testing.T, path string, data []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != string(data) {
		t.Fatalf("%s: %d bytes, %v; expected %d", path, len(got), err, len(data))
	}
	sum, err := os.ReadFile(path + sums)
	if want := fmt.Sprintf("%x  %s\n", sha256.Sum256(data), filepath.Base(path)); err != nil || string(sum) != want {
		t.Errorf("the sum's file is %q, %v", sum, err)
	}
	for _, end := range []string{parts, states, sums + ".tmp", states + ".tmp"} {
		if _, err := os.Stat(path + end); err == nil {
			t.Errorf("%s is left", path+end)
		}
	}
}

// files are all of a folder, but for locks and lists.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.Walk(dir, func(p string, i os.FileInfo, err error) error {
		if err == nil && !i.IsDir() && i.Name() != ".lock" && i.Name() != listing {
			names = append(names, i.Name())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
