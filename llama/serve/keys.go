package serve

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Keys are who may ask a server. They are told by SHA-256, so that whoever reads the list cannot ask. It is safe for concurrent use.
type Keys struct{ all atomic.Pointer[[]*key] }

// key is one of them.
type key struct {
	name     string
	sum      [sha256.Size]byte
	limits   string        // as they were written
	requests *rate.Limiter // nil: no limit
	tokens   *rate.Limiter
	weight   float64
}

// ErrKeys is what errors about a list of keys match by errors.Is.
var ErrKeys = errors.New("serve: bad list of API keys")

// ReadKeys reads a list of keys: a line for each, with a name for logs and for sharing the model, the key's SHA-256 in hexadecimal,
// and limits, if there are any:
//
//	# name  sha256       requests and tokens per minute, and the share of the model (see llama.Options.Weights)
//	alice   9f86d081…    rpm=60 tpm=100000 weight=2
//	bob     60303ae2…
//
// Tokens are those of prompts and of answers. A minute's worth can be had at once. NewKey makes a key, with its line.
func ReadKeys(r io.Reader) (*Keys, error) {
	k := &Keys{}
	if err := k.Read(r); err != nil {
		return nil, err
	}
	return k, nil
}

// Read replaces the keys by those of another list, at once for all requests that come. What a key has used of its limits stays, if it
// has the same ones. On an error nothing changes.
func (k *Keys) Read(r io.Reader) error {
	var all []*key
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if strings.TrimSpace(text) == "" {
			continue
		}
		one, err := readKey(strings.Fields(text))
		if err != nil {
			return fmt.Errorf("%w: line %d: %w", ErrKeys, n, err)
		}
		for _, other := range all {
			if other.name == one.name || other.sum == one.sum {
				return fmt.Errorf("%w: line %d: the name or key of %s again", ErrKeys, n, other.name)
			}
		}
		all = append(all, one)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrKeys, err)
	}
	if len(all) == 0 {
		return fmt.Errorf("%w: no key in it", ErrKeys)
	}
	if old := k.all.Load(); old != nil {
		for _, one := range all {
			for _, o := range *old {
				if o.name == one.name && o.limits == one.limits {
					one.requests, one.tokens = o.requests, o.tokens
				}
			}
		}
	}
	k.all.Store(&all)
	return nil
}

func readKey(fields []string) (*key, error) {
	if len(fields) < 2 {
		return nil, fmt.Errorf("%d words, expected a name and a SHA-256", len(fields))
	}
	k := &key{name: fields[0], weight: 1, limits: strings.Join(fields[2:], " ")}
	sum, err := hex.DecodeString(fields[1])
	if err != nil || len(sum) != sha256.Size {
		return nil, fmt.Errorf("the second word of %s is no SHA-256 in hexadecimal; keys themselves do not belong here", k.name)
	}
	copy(k.sum[:], sum)
	for _, f := range fields[2:] {
		name, text, _ := strings.Cut(f, "=")
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || !(x > 0) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("%q of %s, expected %s=NUMBER above 0", f, k.name, name)
		}
		perMinute := func() *rate.Limiter { return rate.NewLimiter(rate.Limit(x/60), int(max(1, min(x, math.MaxInt32)))) }
		switch name {
		case "rpm":
			k.requests = perMinute()
		case "tpm":
			k.tokens = perMinute()
		case "weight":
			k.weight = x
		default:
			return nil, fmt.Errorf("%q of %s, expected rpm=, tpm= or weight=", f, k.name)
		}
	}
	return k, nil
}

// NewKey makes a key that cannot be guessed, and the line for it in a list of keys.
func NewKey(name string) (secret, line string) {
	var b [24]byte
	rand.Read(b[:]) // never fails
	secret = "sk-" + base64.RawURLEncoding.EncodeToString(b[:])
	return secret, fmt.Sprintf("%s %x", name, sha256.Sum256([]byte(secret)))
}

// Weights are the keys' shares of a model, for llama.Options.
func (k *Keys) Weights() map[string]float64 {
	weights := map[string]float64{}
	for _, one := range *k.all.Load() {
		weights[one.name] = one.weight
	}
	return weights
}

// find takes the same time for all keys that there are, and for those that there are not.
func (k *Keys) find(secret string) *key {
	sum := sha256.Sum256([]byte(secret))
	var found *key
	for _, one := range *k.all.Load() {
		if subtle.ConstantTimeCompare(sum[:], one.sum[:]) == 1 {
			found = one
		}
	}
	return found
}

// admit checks a request's key, and whether its limits leave room.
func (c *call) admit(a access) error {
	if c.s.Keys == nil || !a.key {
		return nil
	}
	secret := c.r.Header.Get("X-Api-Key") // Anthropic's
	if kind, rest, ok := strings.Cut(c.r.Header.Get("Authorization"), " "); ok && strings.EqualFold(kind, "bearer") {
		secret = strings.TrimSpace(rest)
	}
	if secret == "" {
		return &failure{status: http.StatusUnauthorized, kind: "invalid_request_error", code: "missing_api_key", message: "no API key, expected a header Authorization: Bearer KEY"}
	}
	if c.key = c.s.Keys.find(secret); c.key == nil {
		return &failure{status: http.StatusUnauthorized, kind: "invalid_request_error", code: "invalid_api_key", message: "the API key is not among those of the server"}
	}
	if !a.limits {
		return nil
	}
	return c.key.admit(time.Now(), c.w.Header())
}

// admit counts a request. Tokens are counted as they come, since nobody knows before how many there will be: a key may come to owe
// some, and its requests are refused until it owes none.
func (k *key) admit(now time.Time, h http.Header) error {
	refuse := func(what string, wait float64) error {
		return &failure{status: http.StatusTooManyRequests, kind: "rate_limit_error", code: "rate_limit_exceeded", after: time.Duration(wait * float64(time.Second)),
			message: fmt.Sprintf("the limit of this key on %s per minute is reached; try again in %.1f seconds", what, wait)}
	}
	if k.tokens != nil {
		left := k.tokens.TokensAt(now)
		h.Set("X-Ratelimit-Limit-Tokens", strconv.Itoa(k.tokens.Burst()))
		h.Set("X-Ratelimit-Remaining-Tokens", strconv.Itoa(int(max(0, left))))
		if left < 1 {
			return refuse("tokens", (1-left)/float64(k.tokens.Limit()))
		}
	}
	if k.requests != nil {
		ok := k.requests.AllowN(now, 1)
		left := k.requests.TokensAt(now)
		h.Set("X-Ratelimit-Limit-Requests", strconv.Itoa(k.requests.Burst()))
		h.Set("X-Ratelimit-Remaining-Requests", strconv.Itoa(int(max(0, left))))
		if !ok {
			return refuse("requests", (1-left)/float64(k.requests.Limit()))
		}
	}
	return nil
}

// spend takes tokens off what a key may use.
func (k *key) spend(now time.Time, tokens int) {
	if k == nil || k.tokens == nil {
		return
	}
	for tokens > 0 {
		n := min(tokens, k.tokens.Burst())
		k.tokens.ReserveN(now, n)
		tokens -= n
	}
}
