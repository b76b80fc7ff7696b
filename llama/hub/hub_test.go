package hub

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/llama31/llama31/internal/testenv"
)

// TestPath fetches a model once, and finds it without a network afterwards.
func TestPath(t *testing.T) {
	s := newSite(t)
	s.files["Some-Model-Q4_K_M.gguf"] = model(300_000)
	s.files["Some-Model-Q8_0.gguf"] = model(500_000)
	s.files["mmproj-Some-Model-Q8_0.gguf"] = model(10)
	s.pages = true
	c := s.client(t)
	var last Progress
	c.Progress = func(p Progress) {
		if p.Done < last.Done || p.Total != 300_000 {
			t.Errorf("progress %+v after %+v", p, last)
		}
		last = p
	}
	for _, name := range []string{"hf:" + repo, "hf:" + repo + ":q4_k_m", "hf:" + repo + "@main:Q4_K_M", "hf:" + repo + "/Some-Model-Q4_K_M.gguf",
		"hf:" + repo + ":Some-Model-Q4_K_M.gguf", s.hub.URL + "/" + repo + "/resolve/main/Some-Model-Q4_K_M.gguf?download=true", s.hub.URL + "/" + repo + "/blob/main/Some-Model-Q4_K_M.gguf"} {
		path, err := c.Path(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		has(t, path, s.files["Some-Model-Q4_K_M.gguf"])
		if rel, err := filepath.Rel(c.Cache, path); err != nil || !filepath.IsLocal(rel) {
			t.Errorf("%s is not in the cache", path)
		}
	}
	if last.Done != 300_000 {
		t.Errorf("the last progress is %+v", last)
	}
	resolved := slices.DeleteFunc(s.seen(), func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") })
	if len(resolved) != 2 {
		t.Errorf("%d requests for the file and its redirect, expected 2", len(resolved))
	}
	s.hub.Close()
	if _, err := c.Path(t.Context(), "hf:"+repo+":Q4_K_M"); err != nil {
		t.Errorf("without a network: %v", err)
	}
	if _, err := c.Path(t.Context(), "hf:"+repo+":Q8_0"); err == nil {
		t.Error("what is not here was found without a network")
	}
	if path, err := c.Path(t.Context(), "some/file.gguf"); path != "some/file.gguf" || err != nil {
		t.Errorf("a local name gives %q, %v", path, err)
	}
}

// TestBreaks is a connection that ends after every 50,000 bytes.
func TestBreaks(t *testing.T) {
	s := newSite(t)
	s.files["m-Q8_0.gguf"] = model(330_000)
	s.atStore = breaking(50_000)
	for _, name := range []string{"hf:" + repo, s.store.URL + "/blob/m-Q8_0.gguf"} {
		path, err := s.client(t).Path(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		has(t, path, s.files["m-Q8_0.gguf"])
		ranges := 0
		for _, r := range s.seen() {
			if strings.HasPrefix(r.URL.Path, "/blob/") && r.Header.Get("Range") != "" {
				ranges++
				if unsummed := !strings.HasPrefix(name, "hf:"); unsummed != (r.Header.Get("If-Range") != "") {
					t.Errorf("%s: If-Range is %q", name, r.Header.Get("If-Range"))
				}
			}
		}
		if ranges != 6 {
			t.Errorf("%s: continued %d times, expected 6", name, ranges)
		}
	}
}

// TestResume stops a download by its context, and goes on in another call.
func TestResume(t *testing.T) {
	for _, c := range []struct {
		name    string
		url     bool                              // not of the hub: no sum
		between func(s *site, part string)        // what happens meanwhile
		from    string                            // the range that the second call asks for
		check   func(t *testing.T, r http.Header) // of the second call's first request to the store
	}{
		{name: "hub", from: "bytes=50000-"},
		{name: "address", url: true, from: "bytes=50000-"},
		{name: "address, another file there by now", url: true, from: "bytes=50000-", between: func(s *site, _ string) { s.files["m-Q8_0.gguf"] = model(123_457) }},
		{name: "hub, another file there by now", between: func(s *site, _ string) { s.files["m-Q8_0.gguf"] = model(123_457) }},
		{name: "hub, damaged part", from: "bytes=50000-", between: func(_ *site, part string) { scribble(part) }},
		{name: "hub, no state", between: func(_ *site, part string) { os.Remove(strings.TrimSuffix(part, parts) + states) }},
		{name: "hub, bad state", between: func(_ *site, part string) { os.WriteFile(strings.TrimSuffix(part, parts)+states, []byte("{"), 0o666) }},
		{name: "hub, part too long", between: func(_ *site, part string) { os.Truncate(part, 999_999) }},
		{name: "hub, whole part", between: func(s *site, part string) { os.WriteFile(part, s.files["m-Q8_0.gguf"], 0o666) }, from: "none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.files["m-Q8_0.gguf"] = model(123_456)
			s.atStore = breaking(50_000)
			client := s.client(t)
			name := "hf:" + repo
			if c.url {
				name = s.store.URL + "/blob/m-Q8_0.gguf"
			}
			ctx, cancel := context.WithCancel(t.Context())
			client.Progress = func(p Progress) {
				if p.Done >= 50_000 {
					cancel()
				}
			}
			if _, err := client.Path(ctx, name); !errors.Is(err, context.Canceled) {
				t.Fatalf("%v, expected context.Canceled", err)
			}
			var part string
			filepath.Walk(client.Cache, func(p string, _ os.FileInfo, _ error) error {
				if strings.HasSuffix(p, parts) {
					part = p
				}
				return nil
			})
			if i, err := os.Stat(part); err != nil || i.Size() != 50_000 {
				t.Fatalf("the part: %v %v", i, err)
			}
			if c.between != nil {
				c.between(s, part)
			}
			s.atStore = nil
			s.seen()
			client.Progress = nil
			path, err := client.Path(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			has(t, path, s.files["m-Q8_0.gguf"])
			first := "none"
			for _, r := range s.seen() {
				if strings.HasPrefix(r.URL.Path, "/blob/") {
					first = r.Header.Get("Range")
					break
				}
			}
			if first != c.from {
				t.Errorf("the second call asks for %q first, expected %q", first, c.from)
			}
		})
	}
}

func scribble(path string) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		f.WriteAt([]byte("scribble"), 30_000)
		f.Close()
	}
}

// TestHostile is a server that lies. Nothing of it may get a model's name.
func TestHostile(t *testing.T) {
	whole := func(status int, h map[string]string, body []byte) func(http.ResponseWriter, *http.Request, []byte) bool {
		return func(w http.ResponseWriter, _ *http.Request, data []byte) bool {
			for k, v := range h {
				w.Header().Set(k, v)
			}
			w.WriteHeader(status)
			w.Write(body)
			return true
		}
	}
	good := model(100_000)
	for _, c := range []struct {
		name  string
		set   func(s *site)
		url   bool
		says  string
		error error
	}{
		{name: "wrong data", set: func(s *site) { s.atStore = whole(200, nil, append([]byte("GGUF"), make([]byte, 99_996)...)) }, error: ErrChecksum, says: fmt.Sprintf("%x", sha256.Sum256(good))},
		{name: "longer", set: func(s *site) {
			s.atStore = whole(200, map[string]string{"Content-Length": "100001"}, append(good[:100_000:100_000], 0))
		}, error: ErrServer, says: "100001"},
		{name: "longer, in chunks", set: func(s *site) {
			s.atStore = func(w http.ResponseWriter, _ *http.Request, data []byte) bool {
				w.WriteHeader(200)
				for range 3 {
					w.Write(data)
					w.(http.Flusher).Flush()
				}
				return true
			}
		}, error: ErrServer, says: "100000"},
		{name: "endless", set: func(s *site) {
			s.atStore = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
				for r.Context().Err() == nil {
					w.Write(data)
				}
				return true
			}
		}, error: ErrServer},
		{name: "shorter", set: func(s *site) { s.atStore = whole(200, map[string]string{"Content-Length": "99999"}, good[:99_999]) }, error: ErrServer, says: "99999"},
		{name: "shorter, in chunks", set: func(s *site) {
			s.atStore = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
				w.WriteHeader(200)
				w.(http.Flusher).Flush()
				w.Write(data[:5000])
				return true
			}
		}, says: "given up"},
		{name: "a page", set: func(s *site) {
			s.atStore = whole(200, map[string]string{"Content-Type": "text/html"}, []byte("<html>log in</html>"))
		}, url: true, error: ErrServer, says: "text/html"},
		{name: "three bytes", set: func(s *site) { s.atStore = whole(200, nil, []byte("GGU")) }, url: true, error: ErrServer, says: "GGUF"},
		{name: "nothing", set: func(s *site) { s.atStore = whole(200, nil, nil) }, url: true, error: ErrServer, says: "GGUF"},
		{name: "another range", set: func(s *site) {
			s.atStore = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
				if r.Header.Get("Range") == "" {
					return breaking(50_000)(w, r, data)
				}
				return whole(206, map[string]string{"Content-Range": "bytes 10-99999/100000"}, data[10:])(w, r, data)
			}
		}, says: "given up"},
		{name: "a range that was not asked for", set: func(s *site) {
			s.atStore = whole(206, map[string]string{"Content-Range": "bytes 0-99999/100000"}, good)
		}, error: ErrServer},
		{name: "sums that contradict each other", set: func(s *site) {
			s.atHub = func(w http.ResponseWriter, r *http.Request) bool {
				w.Header().Set("X-Linked-Etag", strings.Repeat("a", 64))
				if strings.Contains(r.URL.Path, "/resolve/") {
					http.Redirect(w, r, s.store.URL+"/blob/m-Q8_0.gguf", 302)
					return true
				}
				return false
			}
		}, error: ErrChecksum, says: strings.Repeat("a", 64)},
		{name: "no sum at all", set: func(s *site) {
			s.noOID = true
			s.atHub = func(w http.ResponseWriter, r *http.Request) bool {
				if strings.Contains(r.URL.Path, "/resolve/") {
					http.Redirect(w, r, s.store.URL+"/blob/m-Q8_0.gguf", 302)
					return true
				}
				return false
			}
		}, error: ErrServer, says: "no SHA-256"},
		{name: "a sum that is none", set: func(s *site) { s.sum = func(string) string { return "../../x" } }, error: ErrServer, says: "../../x"},
		{name: "redirects for ever", set: func(s *site) {
			s.atHub = func(w http.ResponseWriter, r *http.Request) bool {
				http.Redirect(w, r, r.URL.Path, 302)
				return true
			}
		}, error: ErrServer, says: "redirects"},
		{name: "a redirect to a file", set: func(s *site) {
			s.atHub = func(w http.ResponseWriter, r *http.Request) bool {
				w.Header().Set("Location", "file:///etc/passwd")
				w.WriteHeader(302)
				return true
			}
		}, error: ErrServer, says: "file"},
		{name: "no JSON", set: func(s *site) {
			s.atHub = func(w http.ResponseWriter, r *http.Request) bool { fmt.Fprint(w, "<html>"); return true }
		}, error: ErrServer, says: "list of files"},
		{name: "a list that goes on elsewhere", set: func(s *site) {
			s.atHub = func(w http.ResponseWriter, r *http.Request) bool {
				w.Header().Set("Link", `<https://example.com/api/models?cursor=1>; rel="next"`)
				return false
			}
		}, error: ErrServer, says: "example.com"},
		{name: "a list without an end", set: func(s *site) {
			s.atHub = func(w http.ResponseWriter, r *http.Request) bool {
				w.Header().Set("Link", `<`+s.hub.URL+r.URL.Path+`?cursor=1>; rel="next"`)
				return false
			}
		}, error: ErrServer, says: "pages"},
		{name: "gated", set: func(s *site) {
			s.atHub = func(w http.ResponseWriter, r *http.Request) bool {
				w.Header().Set("X-Error-Message", "Access to model is restricted")
				w.WriteHeader(http.StatusForbidden)
				return true
			}
		}, error: ErrForbidden, says: "HF_TOKEN"},
		{name: "no such repository", set: func(s *site) {
			s.atHub = func(w http.ResponseWriter, r *http.Request) bool { http.NotFound(w, r); return true }
		}, error: ErrNotFound},
		{name: "down", set: func(s *site) {
			s.atHub = func(w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(503); return true }
		}, says: "given up"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.files["m-Q8_0.gguf"] = good
			c.set(s)
			client := s.client(t)
			name := "hf:" + repo
			if c.url {
				name = s.store.URL + "/blob/m-Q8_0.gguf"
			}
			path, err := client.Path(t.Context(), name)
			if err == nil || c.error != nil && !errors.Is(err, c.error) || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Fatalf("%q, error %v; expected %v with %q", path, err, c.error, c.says)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error has the signature of an address in it: %v", err)
			}
			for _, f := range files(t, client.Cache) {
				if !strings.Contains(f, parts) {
					t.Errorf("%s is there", f)
				}
			}
		})
	}
}

// TestRecovers is a server that comes back.
func TestRecovers(t *testing.T) {
	s := newSite(t)
	s.files["m-Q8_0.gguf"] = model(100_000)
	var asked atomic.Int32
	s.atHub = func(w http.ResponseWriter, r *http.Request) bool {
		if asked.Add(1)%3 != 0 {
			w.WriteHeader(502)
			return true
		}
		return false
	}
	var sent atomic.Int32
	s.atStore = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
		if sent.Add(1) == 1 { // then silence
			w.Write(data[:10_000])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return true
		}
		return false
	}
	c := s.client(t)
	c.stall = 500 * time.Millisecond
	path, err := c.Path(t.Context(), "hf:"+repo)
	if err != nil {
		t.Fatal(err)
	}
	has(t, path, s.files["m-Q8_0.gguf"])
}

// TestNames offers names that lead out of the folder.
func TestNames(t *testing.T) {
	s := newSite(t)
	bad := []string{"../x-Q8_0.gguf", "a/../../x-Q8_0.gguf", "/x-Q8_0.gguf", `..\x-Q8_0.gguf`, `C:\x-Q8_0.gguf`, "C:x-Q8_0.gguf", ".lock-Q8_0.gguf", "a//x-Q8_0.gguf", "a/./x-Q8_0.gguf", "x\x00-Q8_0.gguf",
		"x\n-Q8_0.gguf", strings.Repeat("x", 300) + "-Q8_0.gguf", "a:b-Q8_0.gguf", "a./x-Q8_0.gguf"}
	for _, p := range bad {
		s.entries = append(s.entries, map[string]any{"type": "file", "path": p, "size": 4, "lfs": map[string]any{"oid": strings.Repeat("0", 64), "size": 4}})
		s.files[p] = model(10)
	}
	s.sum = func(string) string { return strings.Repeat("0", 64) }
	c := s.client(t)
	if _, err := c.Path(t.Context(), "hf:"+repo+":Q8_0"); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v, expected %v", err, ErrNotFound)
	}
	for _, p := range bad {
		for _, name := range []string{"hf:" + repo + "/" + p, "hf:" + repo + ":" + p} {
			if path, err := c.Path(t.Context(), name); err == nil {
				t.Errorf("%q is %s", name, path)
			}
		}
	}
	for _, name := range []string{"hf:", "hf:x", "hf:../..", "hf:a/..", "hf:../a", "hf:a/b@..:Q8_0", "hf:a/b@x/y:Q8_0", "hf:a/b:", "hf:a/b/", "hf:a/b/c.bin", "hf:a/b c", "hf:a/b/../../c.gguf", "hf:a/b:Q8_0/x.gguf",
		"http://example.com/x.gguf", "https://", "https:///x.gguf", "https://me:secret@example.com/x.gguf", "https://example.com/x.gguf#sha256=12", s.hub.URL + "/a/../resolve/main/x.gguf"} {
		if path, err := c.Path(t.Context(), name); !errors.Is(err, ErrName) {
			t.Errorf("%q is %q, error %v; expected %v", name, path, err, ErrName)
		}
	}
	if got := files(t, c.Cache); len(got) != 0 {
		t.Errorf("there are %q", got)
	}
}

// TestLink is a cache in which someone has put a symbolic link to elsewhere.
func TestLink(t *testing.T) {
	s := newSite(t)
	s.files["sub/m-Q8_0.gguf"] = model(1000)
	c := s.client(t)
	outside := t.TempDir()
	dir := filepath.Join(c.Cache, host(s.hub.URL), filepath.FromSlash(repo), "main")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	err := os.Symlink(outside, filepath.Join(dir, "sub"))
	testenv.Have(t, "symlinks", err == nil, fmt.Sprint(err)) // Windows asks for a privilege
	if path, err := c.Path(t.Context(), "hf:"+repo); err == nil {
		t.Errorf("it is at %s", path)
	}
	if got := files(t, outside); len(got) != 0 {
		t.Errorf("outside the folder are %q", got)
	}
}

// TestShards has a model in three files, of which one is there already.
func TestShards(t *testing.T) {
	s := newSite(t)
	for i := range 3 {
		s.files[shard("Q4_K_M/big-Q4_K_M", i, 3)] = model(10_000 + i)
	}
	s.files[shard("half-Q8_0", 1, 2)] = model(5) // the first is missing
	for name, first := range map[string]string{
		"hf:" + repo: "", "hf:" + repo + "/Q4_K_M/big-Q4_K_M-00002-of-00003.gguf": "", s.store.URL + "/blob/Q4_K_M/big-Q4_K_M-00002-of-00003.gguf?key=1": "?key=1",
	} {
		s.seen()
		c := s.client(t)
		path, err := c.Path(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			has(t, strings.Replace(path, "00001", fmt.Sprintf("%05d", i+1), 1), s.files[shard("Q4_K_M/big-Q4_K_M", i, 3)])
		}
		for _, r := range s.seen() {
			if first != "" && "?"+r.URL.RawQuery != first {
				t.Errorf("asked for %s", r.URL)
			}
		}
		second := strings.Replace(path, "00001", "00002", 1)
		if err := os.Remove(second); err != nil {
			t.Fatal(err)
		}
		s.seen()
		if _, err := c.Path(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		has(t, second, s.files[shard("Q4_K_M/big-Q4_K_M", 1, 3)])
		for _, r := range s.seen() {
			if strings.Contains(r.URL.Path, "-00001-") || strings.Contains(r.URL.Path, "-00003-") {
				t.Errorf("asked for %s again", r.URL)
			}
		}
	}
}

// TestToken sends it to the hub, and not to where the hub redirects to.
func TestToken(t *testing.T) {
	s := newSite(t)
	s.files["m-Q8_0.gguf"] = model(1000)
	s.noOID = true // the sum is the header's alone
	t.Setenv("HF_TOKEN", "hf_secret")
	t.Setenv("HF_ENDPOINT", s.hub.URL+"/")
	t.Setenv("LLAMA31_CACHE", t.TempDir())
	t.Setenv("LLAMA31_MEMORY", "off")
	path, err := Path(t.Context(), "hf:"+repo+":Q8_0")
	if err != nil {
		t.Fatal(err)
	}
	has(t, path, s.files["m-Q8_0.gguf"])
	if !strings.HasPrefix(path, os.Getenv("LLAMA31_CACHE")) {
		t.Errorf("it is at %s", path)
	}
	for _, r := range s.seen() {
		want := ""
		if "http://"+r.Host == s.hub.URL {
			want = "Bearer hf_secret"
		}
		if got := r.Header.Get("Authorization"); got != want {
			t.Errorf("%s%s was sent %q", r.Host, r.URL.Path, got)
		}
	}
	if _, err := Path(t.Context(), s.store.URL+"/blob/m-Q8_0.gguf"); err != nil {
		t.Fatal(err)
	}
	for _, r := range s.seen() {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("%s was sent the token", r.Host)
		}
	}
}

// TestDowngrade is a redirect from https to http.
func TestDowngrade(t *testing.T) {
	plain := newSite(t)
	plain.files["m.gguf"] = model(1000)
	tls := httptest.NewTLSServer(http.RedirectHandler(plain.store.URL+"/blob/m.gguf", http.StatusFound))
	defer tls.Close()
	c := plain.client(t)
	c.HTTP = tls.Client()
	if path, err := c.Path(t.Context(), tls.URL+"/m.gguf"); !errors.Is(err, ErrServer) {
		t.Errorf("%s, %v; expected %v", path, err, ErrServer)
	}
}

// TestSum is a URL that states one.
func TestSum(t *testing.T) {
	s := newSite(t)
	s.files["m.gguf"] = model(1000)
	c := s.client(t)
	right := fmt.Sprintf("%X", sha256.Sum256(s.files["m.gguf"]))
	if _, err := c.Path(t.Context(), s.store.URL+"/blob/m.gguf#sha256="+strings.Repeat("0", 64)); !errors.Is(err, ErrChecksum) {
		t.Errorf("%v, expected %v", err, ErrChecksum)
	}
	path, err := c.Path(t.Context(), s.store.URL+"/blob/m.gguf#sha256="+right)
	if err != nil {
		t.Fatal(err)
	}
	has(t, path, s.files["m.gguf"])
	if _, err := c.Path(t.Context(), s.store.URL+"/blob/m.gguf#sha256="+strings.Repeat("0", 64)); !errors.Is(err, ErrChecksum) {
		t.Errorf("what is here has another sum: %v, expected %v", err, ErrChecksum)
	}
}

// TestLimits are those of memory and of the disk.
func TestLimits(t *testing.T) {
	s := newSite(t)
	s.files["m-Q8_0.gguf"] = model(8000)
	s.files["m-Q4_K_M.gguf"] = model(5000)
	s.files["m-Q2_K.gguf"] = model(3000)
	c := s.client(t)
	c.Memory = 6000
	_, err := c.Path(t.Context(), "hf:"+repo+":Q8_0")
	var m *MemoryError
	if !errors.Is(err, ErrMemory) || !errors.As(err, &m) || m.Need != 8000 || m.Free != 6000 || m.Fits != "hf:"+repo+":Q4_K_M" {
		t.Errorf("%v (%+v)", err, m)
	}
	c.Memory = 4000
	if _, err := c.Path(t.Context(), "hf:"+repo); !errors.As(err, &m) || m.Need != 5000 || m.Fits != "smollm2-135m" {
		t.Errorf("%v (%+v)", err, m)
	}
	if got := files(t, c.Cache); len(got) != 0 {
		t.Errorf("%q was downloaded", got)
	}
	c.Memory = 6000
	if _, err := c.Path(t.Context(), "hf:"+repo); err != nil {
		t.Fatal(err)
	}
	c.Memory = 4000
	if _, err := c.Path(t.Context(), "hf:"+repo); !errors.Is(err, ErrMemory) {
		t.Errorf("a model that is here: %v, expected %v", err, ErrMemory)
	}
	c.Memory = -1
	c.room = func(string) (int64, error) { return 7000, nil }
	var d *SpaceError
	if _, err := c.Path(t.Context(), "hf:"+repo+":Q8_0"); !errors.Is(err, ErrSpace) || !errors.As(err, &d) || d.Need != 8000 || d.Free != 7000 {
		t.Errorf("%v (%+v)", err, d)
	}
	if free, err := freeSpace(c.Cache); err != nil || free < 0 {
		t.Errorf("free: %d, %v", free, err)
	}
}

// TestChoice names quantisations.
func TestChoice(t *testing.T) {
	var all []File
	for i, p := range []string{"a-Q4_K_M.gguf", "a-UD-Q4_K_XL.gguf", "a-Q4_0_4_4.gguf", "a-Q4_0.gguf", "a.Q5_K_M.gguf", "a_q6_k.gguf", "b-IQ4_XS.gguf", "a-BF16/a-BF16-00001-of-00002.gguf", "a-BF16/a-BF16-00002-of-00002.gguf", "c-Q8_0.gguf", "d-Q8_0.gguf", "notes.gguf"} {
		all = append(all, File{Path: p, Size: int64(i + 1)})
	}
	q := quantizations(all)
	for quant, want := range map[string]string{"": "a-Q4_K_M.gguf", "q4_k_m": "a-Q4_K_M.gguf", "Q4_0": "a-Q4_0.gguf", "Q4_0_4_4": "a-Q4_0_4_4.gguf", "UD-Q4_K_XL": "a-UD-Q4_K_XL.gguf", "Q5_K_M": "a.Q5_K_M.gguf",
		"Q6_K": "a_q6_k.gguf", "iq4_xs": "b-IQ4_XS.gguf", "BF16": "a-BF16/a-BF16-00001-of-00002.gguf", "notes": "notes.gguf", "Q8_0": "several", "Q4_K": "not found", "Q9": "Q4_K_M (1 bytes)"} {
		r := reference{repo: "x/y", quant: quant}
		m, err := r.choose(q)
		if err != nil && !strings.Contains(err.Error(), want) || err == nil && m.Files[0].Path != want {
			t.Errorf("%q is %v, %v; expected %s", quant, m, err, want)
		}
	}
}

// TestQuantizations lists a repository, smallest first.
func TestQuantizations(t *testing.T) {
	s := newSite(t)
	s.files["m-Q8_0.gguf"] = model(8000)
	s.files["m-Q4_K_M.gguf"] = model(5000)
	got, err := s.client(t).Quantizations(t.Context(), "hf:"+repo)
	if err != nil || len(got) != 2 || got[0].Name != "Q4_K_M" || got[0].Size() != 5000 || got[1].Files[0].SHA256 != s.sum("m-Q8_0.gguf") {
		t.Errorf("%+v, %v", got, err)
	}
	for _, a := range Aliases {
		if r, err := parse(a.Name, "https://huggingface.co"); err != nil || r.repo == "" || r.quant == "" {
			t.Errorf("%s: %+v, %v", a.Name, r, err)
		}
		if r, err := parse("hf:"+a.Name, "https://huggingface.co"); err != nil || r.repo == "" {
			t.Errorf("hf:%s: %+v, %v", a.Name, r, err)
		}
	}
}

// TestMain fetches in place of testing where TestProcesses asks for that.
func TestMain(m *testing.M) {
	if name := os.Getenv("HUB_TEST_FETCH"); name != "" {
		path, err := Path(context.Background(), name)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Print(path)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// fetch runs this program as another process that fetches a model.
func fetch(ctx context.Context, name string, env ...string) (string, error) {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(append(os.Environ(), "HUB_TEST_FETCH="+name, "LLAMA31_MEMORY=off"), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestProcesses lets four processes and four goroutines ask at the same time: the file is sent once. One is killed on the way.
func TestProcesses(t *testing.T) {
	s := newSite(t)
	const name = "m-Q8_0.gguf"
	s.files[name] = model(400_000)
	var sent atomic.Int64
	slow, gone := make(chan struct{}), make(chan struct{})
	s.atStore = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
		from := 0
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
		w.Header().Set("Content-Length", fmt.Sprint(len(data)-from))
		if from > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(data)-1, len(data)))
			w.WriteHeader(http.StatusPartialContent)
		}
		for from < len(data) {
			n, err := w.Write(data[from:min(len(data), from+100_000)])
			if err != nil {
				return true
			}
			w.(http.Flusher).Flush()
			sent.Add(int64(n))
			if from += n; from == 200_000 {
				select {
				case <-slow:
				case <-r.Context().Done():
					close(gone)
					return true
				}
			}
		}
		return true
	}
	s.seen() // its mutex shows the servers what is set above
	c := s.client(t)
	env := []string{"LLAMA31_CACHE=" + c.Cache, "HF_ENDPOINT=" + s.hub.URL}
	killed, kill := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { _, err := fetch(killed, "hf:"+repo, env...); first <- err }()
	for end := time.Now().Add(30 * time.Second); sent.Load() < 200_000; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing is sent")
		}
	}
	part := filepath.Join(c.Cache, host(s.hub.URL), filepath.FromSlash(repo), "main", name+parts)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if i, err := os.Stat(part); err == nil && i.Size() == 200_000 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the part does not grow")
		}
	}
	var waited atomic.Bool
	c.Progress = func(p Progress) {
		if p.Waiting {
			waited.Store(true)
		}
	}
	short, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	if _, err := c.Path(short, "hf:"+repo); !errors.Is(err, context.DeadlineExceeded) || !waited.Load() {
		t.Errorf("beside the first: %v", err)
	}
	kill()
	if err := <-first; err == nil {
		t.Fatal("the first was not killed")
	}
	<-gone // or the server would go on and count what it sends to nobody
	close(slow)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			var path string
			var err error
			if i < 4 {
				path, err = fetch(t.Context(), "hf:"+repo, env...)
			} else {
				path, err = c.Path(t.Context(), "hf:"+repo)
			}
			if err != nil {
				t.Errorf("%s %v", path, err)
			} else {
				has(t, path, s.files[name])
			}
		})
	}
	wg.Wait()
	if n := sent.Load(); n != 400_000 {
		t.Errorf("%d bytes were sent, expected each once", n)
	}
}

// TestProxy asks the environment's proxy for a hub that no name server knows.
func TestProxy(t *testing.T) {
	s := newSite(t)
	s.files["m-Q8_0.gguf"] = model(1000)
	var asked atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host == "hub.invalid" {
			asked.Add(1)
			s.serveHub(w, r)
			return
		}
		s.serveStore(w, r)
	}))
	defer proxy.Close()
	s.seen()
	path, err := fetch(t.Context(), "hf:"+repo, "LLAMA31_CACHE="+t.TempDir(), "HF_ENDPOINT=http://hub.invalid", "HTTP_PROXY="+proxy.URL, "http_proxy="+proxy.URL, "NO_PROXY=", "no_proxy=")
	if err != nil || asked.Load() != 2 {
		t.Fatalf("%s %v; the proxy was asked %d times", path, err, asked.Load())
	}
	has(t, path, s.files["m-Q8_0.gguf"])
}

// FuzzParse: no name leads out of the cache.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"hf:a/b:Q4_K_M", "hf:a/b@main/c.gguf", "https://huggingface.co/a/b/resolve/main/c.gguf", "https://x/../y.gguf#sha256=", "smollm2", "hf:../../x", "hf:a/b:.."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		r, err := parse(name, "https://huggingface.co")
		if err != nil {
			if !errors.Is(err, ErrName) {
				t.Error(err)
			}
			return
		}
		for _, p := range []string{r.repo, r.revision, r.file, r.quant} {
			if p != "" && (!filepath.IsLocal(p) || strings.Contains(p, "..") && slices.Contains(strings.Split(p, "/"), "..")) {
				t.Errorf("%q has %q", name, p)
			}
		}
		if n := strings.Count(r.repo, "/"); r.repo != "" && n != 1 {
			t.Errorf("%q is the repository %q", name, r.repo)
		}
		if r.url != "" {
			for _, file := range (&folder{&Client{}, r, "", nil}).atAddress().Files {
				if safe(file.Path) != nil || strings.Contains(file.Path, "/") {
					t.Errorf("%q is the file %q", name, file.Path)
				}
			}
		}
	})
}
