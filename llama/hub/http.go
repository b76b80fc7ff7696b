package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// get makes a request, and follows redirects as the package's text promises.
func (c *Client) get(ctx context.Context, address string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("User-Agent", "llama31")
	h := http.Client{}
	if c.HTTP != nil {
		h = *c.HTTP
	}
	h.Transport = &carrier{next: transport(h.Transport), origin: origin(c.endpoint()), token: cmp.Or(c.Token, os.Getenv("HF_TOKEN"))}
	h.CheckRedirect = func(next *http.Request, via []*http.Request) error {
		switch {
		case len(via) >= 10:
			return fmt.Errorf("%w: more than ten redirects", ErrServer)
		case next.URL.Scheme != "https" && (next.URL.Scheme != "http" || via[len(via)-1].URL.Scheme == "https"):
			return fmt.Errorf("%w: a redirect from %s to %s", ErrServer, via[len(via)-1].URL.Scheme, next.URL.Scheme)
		}
		return nil
	}
	resp, err := h.Do(req)
	if err != nil {
		var e *url.Error
		if errors.As(err, &e) {
			e.URL = place(e.URL)
		}
		if errors.Is(err, ErrServer) {
			return nil, err
		}
		return nil, temporary(err)
	}
	return resp, nil
}

// transport is the caller's, or one with the environment's proxy that does not wait for ever.
func transport(t http.RoundTripper) http.RoundTripper {
	if t != nil {
		return t
	}
	return defaultTransport
}

var defaultTransport = func() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = 60 * time.Second
	return t
}()

// A carrier gives the token to requests to one origin. net/http keeps a header over redirects to subdomains, such as those that
// hold the files; this does not.
type carrier struct {
	next          http.RoundTripper
	origin, token string
}

func (c *carrier) RoundTrip(req *http.Request) (*http.Response, error) {
	if c.token != "" && origin(req.URL.String()) == c.origin {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return c.next.RoundTrip(req)
}

// origin is scheme, host and port of an address.
func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Scheme + "://" + u.Host)
}

// place is an address without its query, which may sign a request.
func place(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "an address"
	}
	u.RawQuery = ""
	return u.Redacted()
}

// linkedSum is the SHA-256 that the hub states beside a redirect to where the file lies; what the first server says counts.
func linkedSum(resp *http.Response) (sum string) {
	for r := resp; r != nil; r = r.Request.Response {
		if s := strings.ToLower(strings.Trim(r.Header.Get("X-Linked-Etag"), `"`)); hexSum.MatchString(s) {
			sum = s
		}
	}
	return sum
}

// refusal makes an error of a status that is none of success.
func (c *Client) refusal(resp *http.Response, r reference) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
	says := cmp.Or(resp.Header.Get("X-Error-Message"), strings.TrimSpace(string(text)))
	if strings.HasPrefix(says, "<") { // a page
		says = ""
	}
	err := fmt.Errorf("%s: %s", place(resp.Request.URL.String()), resp.Status)
	if says != "" {
		err = fmt.Errorf("%w: %.200q", err, says)
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		advice := "set HF_TOKEN to a token that may read it"
		if r.repo != "" {
			advice = fmt.Sprintf("if it is there, accept its licence at %s/%s and set HF_TOKEN", c.endpoint(), r.repo)
		}
		return fmt.Errorf("%w: %s: %w", ErrForbidden, advice, err)
	case http.StatusNotFound, http.StatusGone:
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case http.StatusTooManyRequests, http.StatusRequestTimeout:
		return &retry{err, wait(resp)}
	}
	if resp.StatusCode >= 500 {
		return &retry{err, wait(resp)}
	}
	return fmt.Errorf("%w: %w", ErrServer, err)
}

// wait is how long the server asks to wait, at most a minute.
func wait(resp *http.Response) time.Duration {
	s, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	return min(time.Duration(max(s, 0))*time.Second, time.Minute)
}

// A retry is an error after which another request may succeed.
type retry struct {
	error
	after time.Duration
}

func (r *retry) Unwrap() error { return r.error }

func temporary(err error) error { return &retry{error: err} }

func isTemporary(err error) bool {
	var r *retry
	return errors.As(err, &r)
}

// again calls f until it succeeds, fails for good, or has failed six times: 15 seconds in all.
func (c *Client) again(ctx context.Context, f func(context.Context) error) error {
	pause := cmp.Or(c.pause, 500*time.Millisecond)
	for tries := 1; ; tries++ {
		err := f(ctx)
		var r *retry
		switch {
		case err == nil || ctx.Err() != nil && err != nil:
			return cmp.Or(ctx.Err(), err)
		case !errors.As(err, &r):
			return err
		case tries == 6:
			return fmt.Errorf("given up after %d tries: %w", tries, r.error)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(pause, r.after)):
		}
		pause *= 2
	}
}
