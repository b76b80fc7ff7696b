package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A File of a repository.
type File struct {
	Path   string `json:"path"`   // within the repository
	Size   int64  `json:"size"`   // bytes, 0 if the hub does not say
	SHA256 string `json:"sha256"` // in hexadecimal, "" if the hub does not say
}

// A Quantization is one of the models in a repository: the same weights in some type.
type Quantization struct {
	Name  string // such as "Q4_K_M"; the file's name where that has no type in it
	Files []File // more than one for a split model, in order
}

// Size is that of all files, in bytes.
func (q Quantization) Size() (n int64) {
	for _, f := range q.Files {
		n += f.Size
	}
	return n
}

var (
	shardName = regexp.MustCompile(`^(.*)-(\d{5})-of-(\d{5})\.gguf$`)
	typeName  = regexp.MustCompile(`(?i)[-_.]((?:UD-)?(?:[IT]?Q\d\w*|BF16|FP?16|FP?32|MXFP4\w*))$`)
	nextPage  = regexp.MustCompile(`<([^>]*)>\s*;\s*rel="?next"?`)
)

// Quantizations lists the models of a repository, smallest first. Of the name only the repository and the revision count.
func (c *Client) Quantizations(ctx context.Context, name string) ([]Quantization, error) {
	r, err := parse(name, c.endpoint())
	if err != nil {
		return nil, err
	}
	if r.repo == "" {
		return nil, fmt.Errorf("hub: %q: %w: expected hf:OWNER/REPO", name, ErrName)
	}
	files, err := c.tree(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("hub: %s: %w", r.repo, err)
	}
	return quantizations(files), nil
}

// tree asks the hub for the files of a repository: GET /api/models/OWNER/REPO/tree/REVISION, page by page.
func (c *Client) tree(ctx context.Context, r reference) ([]File, error) {
	const mostPages, mostBytes = 100, 32 << 20
	address := c.endpoint() + "/api/models/" + r.repo + "/tree/" + url.PathEscape(r.revision) + "?recursive=true"
	var files []File
	for range mostPages {
		var page []struct {
			Type, Path string
			Size       int64
			LFS        *struct {
				OID  string
				Size int64
			}
		}
		next := ""
		err := c.again(ctx, func(ctx context.Context) error {
			resp, err := c.get(ctx, address, nil)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				return c.refusal(resp, r)
			}
			body, err := io.ReadAll(io.LimitReader(resp.Body, mostBytes))
			if err != nil {
				return temporary(err)
			}
			if err := json.Unmarshal(body, &page); err != nil {
				return fmt.Errorf("%w: the list of files: %w", ErrServer, err)
			}
			if m := nextPage.FindStringSubmatch(resp.Header.Get("Link")); m != nil {
				u, err := resp.Request.URL.Parse(m[1])
				if err != nil || u.Scheme+"://"+u.Host != origin(c.endpoint()) {
					return fmt.Errorf("%w: the list of files goes on at %q", ErrServer, m[1])
				}
				next = u.String()
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			f := File{Path: e.Path, Size: e.Size}
			if e.LFS != nil {
				f.SHA256, f.Size = strings.ToLower(e.LFS.OID), e.LFS.Size
			}
			name := strings.ToLower(path.Base(f.Path))
			if e.Type != "file" || !strings.HasSuffix(name, ".gguf") || strings.Contains(name, "mmproj") || strings.Contains(name, "imatrix") {
				continue
			}
			if safe(f.Path) != nil || slices.ContainsFunc(files, func(o File) bool { return o.Path == f.Path }) {
				continue
			}
			if f.SHA256 != "" && !hexSum.MatchString(f.SHA256) || f.Size < 0 {
				return nil, fmt.Errorf("%w: %s has %d bytes and the sum %.80q", ErrServer, f.Path, f.Size, f.SHA256)
			}
			files = append(files, f)
		}
		if next == "" {
			return files, nil
		}
		address = next
	}
	return nil, fmt.Errorf("%w: a list of files of more than %d pages", ErrServer, mostPages)
}

// quantizations joins the files of split models, and leaves out those that are not all there.
func quantizations(files []File) (all []Quantization) {
	for _, f := range files {
		m := shardName.FindStringSubmatch(f.Path)
		if m == nil {
			all = append(all, Quantization{label(strings.TrimSuffix(f.Path, path.Ext(f.Path))), []File{f}})
			continue
		}
		if count, err := strconv.Atoi(m[3]); err == nil && m[2] == "00001" {
			if parts := shards(files, m[1], count); parts != nil {
				all = append(all, Quantization{label(m[1]), parts})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Quantization) int { return cmp.Compare(a.Size(), b.Size()) })
	return all
}

// shards are the files of a split model, nil if one is missing.
func shards(files []File, stem string, count int) (parts []File) {
	byPath := map[string]File{}
	for _, f := range files {
		byPath[f.Path] = f
	}
	for i := range count {
		f, ok := byPath[shard(stem, i, count)]
		if !ok {
			return nil
		}
		parts = append(parts, f)
	}
	return parts
}

func shard(stem string, i, count int) string {
	return fmt.Sprintf("%s-%05d-of-%05d.gguf", stem, i+1, count)
}

// label is the type that the name of a file ends with.
func label(stem string) string {
	if m := typeName.FindStringSubmatch(stem); m != nil {
		return strings.ToUpper(m[1])
	}
	return path.Base(stem)
}

// preferred are the types that are chosen where the name has none: small, and near the full model (Q4_K_M: 1 to 3% in perplexity).
var preferred = []string{"Q4_K_M", "Q4_K_S", "Q4_1", "Q4_0", "Q5_K_M", "Q8_0"}

// choose finds the model that a reference means.
func (r *reference) choose(all []Quantization) (Quantization, error) {
	var found []Quantization
	wanted := []string{r.quant}
	if r.quant == "" && r.file == "" {
		if len(all) == 1 {
			return all[0], nil
		}
		wanted = preferred
	}
	for _, want := range wanted {
		for _, q := range all {
			if r.file == "" && strings.EqualFold(q.Name, want) || r.file != "" && slices.ContainsFunc(q.Files, func(f File) bool { return f.Path == r.file }) {
				found = append(found, q)
			}
		}
		if len(found) > 0 {
			break
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		var names []string
		for _, q := range all {
			names = append(names, fmt.Sprintf("%s (%s)", q.Name, size(q.Size())))
		}
		if names == nil {
			return Quantization{}, fmt.Errorf("%w: the repository has no GGUF files", ErrNotFound)
		}
		what := cmp.Or(r.quant, r.file, "one of "+strings.Join(preferred, ", "))
		return Quantization{}, fmt.Errorf("%s: %w: the repository has %s", what, ErrNotFound, strings.Join(names, ", "))
	}
	var names []string
	for _, q := range found {
		names = append(names, "hf:"+r.repo+"/"+q.Files[0].Path)
	}
	return Quantization{}, fmt.Errorf("%w: several models are %s: %s", ErrName, found[0].Name, strings.Join(names, ", "))
}
