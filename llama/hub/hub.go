package hub

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/llama31/llama31/kernels"
)

// A Client finds and fetches models. The zero value does what the environment says; it is safe for concurrent use.
type Client struct {
	Cache    string         // folder for models; "": LLAMA31_CACHE, else llama31 in os.UserCacheDir
	Endpoint string         // the hub; "": HF_ENDPOINT, else https://huggingface.co
	Token    string         // "": HF_TOKEN
	Memory   int64          // bytes that a model may take; 0: what is free, unless LLAMA31_MEMORY is off; negative: no limit
	HTTP     *http.Client   // nil: one that takes its proxy from the environment
	Progress func(Progress) // called often during a download, by the goroutine that called Path

	pause, stall time.Duration               // for tests: before the first retry, and until a silent connection is given up
	room         func(string) (int64, error) // for tests: bytes that are free at a folder, 0 if unknown
}

// Progress says how far a download is.
type Progress struct {
	File        string // what is being fetched
	Done, Total int64  // bytes of all files; Total is 0 where no server told
	Waiting     bool   // another process downloads, and this one waits for it
}

// Path gives the file that a name means, for llama.Open, with the zero Client: it may take as long as a download does.
func Path(ctx context.Context, name string) (string, error) { return new(Client).Path(ctx, name) }

// Path gives the file that a name means; see the package's text. Of a split model it is the first one. Where a download breaks off,
// by ctx for instance, the next call goes on.
func (c *Client) Path(ctx context.Context, name string) (string, error) {
	r, err := parse(name, c.endpoint())
	if err != nil {
		return "", err
	}
	if r.local != "" {
		return r.local, nil
	}
	f, err := c.folder(r)
	if err != nil {
		return "", err
	}
	defer f.root.Close()
	p, err := f.model(ctx)
	if err != nil {
		if known(err) {
			return "", err
		}
		return "", fmt.Errorf("hub: %s: %w", name, err)
	}
	return filepath.Join(f.path, filepath.FromSlash(p)), nil
}

// known are errors that say themselves what they are about.
func known(err error) bool {
	var m *MemoryError
	var s *SpaceError
	return errors.As(err, &m) || errors.As(err, &s)
}

func (c *Client) endpoint() string {
	return strings.TrimRight(cmp.Or(c.Endpoint, os.Getenv("HF_ENDPOINT"), "https://huggingface.co"), "/")
}

// A folder holds one repository at a revision, or the file of one address.
type folder struct {
	*Client
	reference
	path string
	root *os.Root // through which all files in it are reached
}

func (c *Client) folder(r reference) (*folder, error) {
	cache := cmp.Or(c.Cache, os.Getenv("LLAMA31_CACHE"))
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("hub: no folder for downloads, LLAMA31_CACHE may name one: %w", err)
		}
		cache = filepath.Join(user, "llama31")
	}
	cache, err := filepath.Abs(cache)
	if err != nil {
		return nil, err
	}
	where := ""
	if r.repo != "" {
		where = path.Join(host(c.endpoint()), r.repo, r.revision)
	} else {
		where = path.Join("url", host(r.url), fmt.Sprintf("%x", sha256.Sum256([]byte(r.url)))[:16])
	}
	if err := os.MkdirAll(cache, 0o777); err != nil {
		return nil, err
	}
	top, err := os.OpenRoot(cache)
	if err != nil {
		return nil, err
	}
	defer top.Close()
	where = filepath.FromSlash(where)
	if err := top.MkdirAll(where, 0o777); err != nil {
		return nil, err
	}
	root, err := top.OpenRoot(where)
	if err != nil {
		return nil, err
	}
	return &folder{c, r, filepath.Join(cache, where), root}, nil
}

// host is that of an address, as the name of a folder.
func host(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "unknown"
	}
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '.' || r == '-' {
			return r
		}
		return '_'
	}, strings.Trim(u.Host, "."))
}

// model gives the first file of the model, relative to the folder, and downloads what is missing.
func (f *folder) model(ctx context.Context) (string, error) {
	if p, err := f.here(); p != "" || err != nil {
		return p, err
	}
	unlock, err := f.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	if p, err := f.here(); p != "" || err != nil { // another process has brought it
		return p, err
	}
	q, others, err := f.ask(ctx)
	if err != nil {
		return "", err
	}
	if err := f.fits(q, others); err != nil {
		return "", err
	}
	if err := f.bring(ctx, q); err != nil {
		return "", err
	}
	return q.Files[0].Path, nil
}

// listing is the file in which the hub's list is kept.
const listing = ".listing.json"

// here gives the model's first file if all are there, "" if not.
func (f *folder) here() (string, error) {
	q, others := Quantization{}, []Quantization(nil)
	if f.repo == "" {
		q = f.atAddress()
		for i := range q.Files {
			s, err := f.root.Stat(q.Files[i].Path)
			if err != nil {
				return "", nil
			}
			q.Files[i].Size = s.Size()
		}
	} else {
		data, err := f.root.ReadFile(listing)
		if err != nil {
			return "", nil
		}
		var files []File
		if json.Unmarshal(data, &files) != nil {
			return "", nil
		}
		others = quantizations(files)
		if q, err = f.choose(others); err != nil {
			return "", nil // the hub may have it by now
		}
	}
	for _, file := range q.Files {
		if !f.whole(file) {
			return "", nil
		}
	}
	if err := f.fits(q, others); err != nil {
		return "", err
	}
	return q.Files[0].Path, nil
}

// atAddress is the model behind a URL: one file, or all of those that its name counts.
func (f *folder) atAddress() Quantization {
	u, _ := url.Parse(f.url) // parse has done so before
	name := path.Base(u.Path)
	if safe(name) != nil || !strings.HasSuffix(strings.ToLower(name), ".gguf") {
		name = "model.gguf"
	}
	q := Quantization{name, []File{{Path: name, SHA256: f.sum}}}
	if m := shardName.FindStringSubmatch(name); m != nil && f.sum == "" {
		var count int
		fmt.Sscan(strings.TrimLeft(m[3], "0"), &count)
		if count > 0 && count <= 1000 {
			q.Files = nil
			for i := range count {
				q.Files = append(q.Files, File{Path: shard(m[1], i, count)})
			}
		}
	}
	return q
}

// address is where a file comes from.
func (f *folder) address(file File) string {
	if f.repo != "" {
		return f.endpoint() + "/" + f.repo + "/resolve/" + url.PathEscape(f.revision) + "/" + (&url.URL{Path: file.Path}).EscapedPath()
	}
	u, _ := url.Parse(f.url)
	if path.Base(u.Path) != file.Path && shardName.MatchString(file.Path) {
		u = u.JoinPath("..", file.Path)
	}
	return u.String()
}

// ask asks the hub for the repository's files, keeps the list, and gives the model that is meant beside all that there are.
func (f *folder) ask(ctx context.Context) (Quantization, []Quantization, error) {
	if f.repo == "" {
		return f.atAddress(), nil, nil
	}
	files, err := f.tree(ctx, f.reference)
	if err != nil {
		return Quantization{}, nil, err
	}
	all := quantizations(files)
	q, err := f.choose(all)
	if err != nil {
		return Quantization{}, nil, err
	}
	if f.sum != "" {
		if len(q.Files) > 1 || q.Files[0].SHA256 != "" && q.Files[0].SHA256 != f.sum {
			return Quantization{}, nil, fmt.Errorf("%s: %w: the hub states %s", q.Files[0].Path, ErrChecksum, cmp.Or(q.Files[0].SHA256, "none"))
		}
		q.Files[0].SHA256 = f.sum
	}
	data, err := json.MarshalIndent(files, "", " ")
	if err == nil {
		err = f.replace(listing, data)
	}
	return q, all, err
}

// fits checks the memory for a model, and finds one among the others that it would be enough for.
func (f *folder) fits(q Quantization, others []Quantization) error {
	free := f.Memory
	if free == 0 && !strings.EqualFold(os.Getenv("LLAMA31_MEMORY"), "off") {
		free = kernels.FreeMemory()
	}
	if free <= 0 || q.Size() <= free {
		return nil
	}
	e := &MemoryError{Model: q.Files[0].Path, Need: q.Size(), Free: free}
	for _, o := range others { // the largest that fits
		if o.Size() > 0 && o.Size() <= free && (f.quant != "" || f.file != "" || slices.Contains(preferred, o.Name)) {
			e.Fits = "hf:" + f.repo + ":" + o.Name
		}
	}
	if e.Fits == "" && !strings.Contains(Aliases[0].Means, f.repo+":") {
		e.Fits = Aliases[0].Name
	}
	return e
}

// lock waits until no other process downloads into the folder.
func (f *folder) lock(ctx context.Context) (unlock func(), err error) {
	l := flock.New(filepath.Join(f.path, ".lock"))
	for {
		ok, err := l.TryLock()
		if err != nil {
			return nil, err
		}
		if ok {
			return func() { l.Unlock() }, nil
		}
		f.report(Progress{File: cmp.Or(f.repo, f.url), Waiting: true})
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (c *Client) report(p Progress) {
	if c.Progress != nil {
		c.Progress(p)
	}
}

// bring downloads the files of a model that are missing.
func (f *folder) bring(ctx context.Context, q Quantization) error {
	p := Progress{Total: q.Size()}
	need := int64(0)
	var missing []*download
	for _, file := range q.Files {
		if f.whole(file) {
			p.Done += file.Size
			continue
		}
		d := &download{folder: f, File: file, stated: file}
		d.resume()
		missing = append(missing, d)
		need += max(0, file.Size-d.done)
	}
	room := f.room
	if room == nil {
		room = freeSpace
	}
	if free, err := room(f.path); err == nil && free > 0 && need > free {
		return &SpaceError{Folder: f.path, Need: need, Free: free}
	}
	for _, d := range missing {
		before := p.Done
		d.progress = func() {
			p.File, p.Done = d.Path, before+d.done
			if f.repo == "" && len(q.Files) == 1 {
				p.Total = d.Size
			}
			f.report(p)
		}
		if err := d.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", d.Path, err)
		}
		p.Done = before + d.Size
	}
	return nil
}

// sums is what is put behind a file's name for the file that has its SHA-256, as sha256sum writes it.
const sums = ".sha256"

// whole says whether a file is there as it was verified.
func (f *folder) whole(file File) bool {
	s, err := f.root.Stat(file.Path)
	if err != nil || !s.Mode().IsRegular() || file.Size > 0 && s.Size() != file.Size {
		return false
	}
	line, err := f.root.ReadFile(file.Path + sums)
	if err != nil {
		return false
	}
	sum, _, _ := strings.Cut(string(line), " ")
	return file.SHA256 == "" || sum == file.SHA256
}

// replace writes a small file in one step.
func (f *folder) replace(name string, data []byte) error {
	if err := f.root.WriteFile(name+".tmp", data, 0o666); err != nil {
		return err
	}
	return f.root.Rename(name+".tmp", name)
}
