package hub

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// Aliases are short names for models that the hub gives to everyone, smallest first.
var Aliases = []struct{ Name, Means string }{
	{"smollm2-135m", "hf:bartowski/SmolLM2-135M-Instruct-GGUF:Q8_0"},
	{"smollm2-360m", "hf:bartowski/SmolLM2-360M-Instruct-GGUF:Q8_0"},
	{"llama3.2-1b", "hf:bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M"},
	{"smollm2", "hf:bartowski/SmolLM2-1.7B-Instruct-GGUF:Q4_K_M"},
	{"llama3.2", "hf:bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M"},
	{"llama3.1", "hf:bartowski/Meta-Llama-3.1-8B-Instruct-GGUF:Q4_K_M"},
}

// A reference is what a name means: a file here, a file at an address, or one in a repository.
type reference struct {
	local string

	url string // without a fragment
	sum string // SHA-256 in hexadecimal, of the fragment

	repo, revision string // OWNER/REPO
	quant, file    string // at most one of them
}

var (
	inRepo    = regexp.MustCompile(`^([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*?)(?:@([A-Za-z0-9][\w.-]*))?(?::([\w.-]+)|/(.+))?$`)
	inAddress = regexp.MustCompile(`^/([^/]+/[^/]+)/(?:resolve|blob)/([^/]+)/(.+\.gguf)$`)
	hexSum    = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// parse reads a name. endpoint is the hub's address, whose own URLs are taken as the names of what they point to.
func parse(name, endpoint string) (reference, error) {
	fail := func(format string, args ...any) (reference, error) {
		return reference{}, fmt.Errorf("hub: %q: %w: %s", name, ErrName, fmt.Sprintf(format, args...))
	}
	rest, remote := strings.CutPrefix(name, "hf:")
	if meaning := alias(rest); meaning != "" {
		if _, err := os.Stat(name); err != nil { // a file of that name goes first
			return parse(meaning, endpoint)
		}
	}
	switch {
	case remote:
		m := inRepo.FindStringSubmatch(rest)
		if m == nil {
			return fail("expected hf:OWNER/REPO:QUANT, hf:OWNER/REPO/FILE.gguf or one of %s", strings.Join(aliases(), ", "))
		}
		r := reference{repo: m[1], revision: cmp.Or(m[2], "main"), quant: m[3], file: m[4]}
		if strings.HasSuffix(strings.ToLower(r.quant), ".gguf") {
			r.quant, r.file = "", r.quant
		}
		if err := r.check(); err != nil {
			return fail("%v", err)
		}
		return r, nil
	case strings.HasPrefix(name, "https://"), strings.HasPrefix(name, "http://"):
		u, err := url.Parse(name)
		if err != nil || u.Hostname() == "" || u.User != nil {
			return fail("expected https://HOST/PATH")
		}
		sum, stated := strings.CutPrefix(u.Fragment, "sha256=")
		if sum = strings.ToLower(sum); stated && !hexSum.MatchString(sum) {
			return fail("#sha256= is followed by 64 hexadecimal digits")
		}
		u.Fragment, u.RawFragment = "", ""
		if m := inAddress.FindStringSubmatch(u.Path); m != nil && u.Scheme+"://"+u.Host == endpoint {
			r := reference{repo: m[1], revision: m[2], file: m[3], sum: sum}
			if err := r.check(); err != nil {
				return fail("%v", err)
			}
			return r, nil
		}
		if u.Scheme == "http" && !loopback(u.Hostname()) {
			return fail("http is for this machine alone; expected https")
		}
		return reference{url: u.String(), sum: sum}, nil
	}
	return reference{local: name}, nil
}

// check refuses what would lead out of a folder that is named after it.
func (r *reference) check() error {
	for _, s := range []string{r.repo, r.revision, r.file, r.quant} {
		if s != "" {
			if err := safe(s); err != nil {
				return err
			}
		}
	}
	if r.file != "" && !strings.HasSuffix(strings.ToLower(r.file), ".gguf") {
		return fmt.Errorf("%q is no .gguf file", r.file)
	}
	return nil
}

// safe refuses paths that lead out of a folder, on this system or another, and those that name what this package keeps beside models.
func safe(p string) error {
	bad := !filepath.IsLocal(filepath.FromSlash(p)) || path.Clean(p) != p || strings.ContainsFunc(p, func(r rune) bool {
		return r < ' ' || r == 0x7f || strings.ContainsRune(`\:*?"<>|`, r)
	})
	for part := range strings.SplitSeq(p, "/") {
		bad = bad || len(part) > 200 || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".") || strings.HasSuffix(part, " ")
	}
	if bad || len(p) > 1000 {
		return fmt.Errorf("%.80q cannot be the name of a file", p)
	}
	return nil
}

func alias(name string) string {
	for _, a := range Aliases {
		if a.Name == name {
			return a.Means
		}
	}
	return ""
}

func aliases() (names []string) {
	for _, a := range Aliases {
		names = append(names, a.Name)
	}
	return names
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
