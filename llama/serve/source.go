package serve

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// newCrossSite refuses what browsers send on behalf of other pages than the server's own and those of Options.Origins.
func newCrossSite(origins []string) *http.CrossOriginProtection {
	p := http.NewCrossOriginProtection()
	for _, o := range origins {
		p.AddTrustedOrigin(o) // one that is none is never equal to a page's
	}
	return p
}

// checkSource refuses requests by a host name that is not the server's, and those of other sites' pages.
func (c *call) checkSource() error {
	if !c.s.goesBy(c.r.Host) {
		return &failure{status: http.StatusForbidden, kind: "invalid_request_error", code: "unknown_host",
			message: "the server does not go by this host name; its operator can allow it"}
	}
	if slices.Contains(c.s.Origins, "*") {
		return nil
	}
	if err := c.s.crossSite.Check(c.r); err != nil {
		return &failure{status: http.StatusForbidden, kind: "invalid_request_error", code: "cross_origin", cause: err,
			message: "a web page of another origin may not ask; the server's operator can allow it"}
	}
	return nil
}

// goesBy reports whether a Host header names the server. An IP address, localhost and names below it do always.
func (s *server) goesBy(host string) bool {
	if s.Keys != nil && len(s.Hosts) == 0 || slices.Contains(s.Hosts, "*") {
		return true
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil || name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	return slices.ContainsFunc(s.Hosts, func(h string) bool { return strings.EqualFold(h, name) || strings.EqualFold(h, host) })
}

// cors lets the pages of Options.Origins read answers. It reports whether it answered the request, which asked for that only.
func (c *call) cors() bool {
	origin := c.r.Header.Get("Origin")
	if origin == "" || len(c.s.Origins) == 0 {
		return false
	}
	h := c.w.Header()
	h.Add("Vary", "Origin")
	if !slices.Contains(c.s.Origins, "*") && !slices.Contains(c.s.Origins, origin) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "X-Request-Id, Retry-After")
	if c.r.Method != http.MethodOptions || c.r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	c.route = "preflight"
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", c.r.Header.Get("Access-Control-Request-Headers"))
	h.Set("Access-Control-Max-Age", "600")
	c.w.WriteHeader(http.StatusNoContent)
	return true
}

// unrouted answers what no endpoint takes: by Options.Fallback, or as the router would, but in JSON.
func (c *call) unrouted(router http.Handler) {
	said := &header{header: http.Header{}, status: http.StatusNotFound}
	router.ServeHTTP(said, c.r)
	f := &failure{status: said.status, kind: "invalid_request_error", code: "unknown_url", message: "no endpoint " + c.r.Method + " " + c.r.URL.Path}
	switch allowed := said.header.Get("Allow"); {
	case said.status == http.StatusMethodNotAllowed:
		c.w.Header().Set("Allow", allowed)
		f.code, f.message = "method_not_allowed", c.r.URL.Path+" is not for "+c.r.Method+", but for "+allowed
	case c.s.Fallback != nil && (c.r.Method == http.MethodGet || c.r.Method == http.MethodHead):
		c.route = "fallback"
		c.s.Fallback.ServeHTTP(c.w, c.r)
		return
	}
	c.fail(f)
}

// header is a writer that keeps the header only.
type header struct {
	header http.Header
	status int
}

func (h *header) Header() http.Header         { return h.header }
func (h *header) WriteHeader(status int)      { h.status = status }
func (h *header) Write(p []byte) (int, error) { return len(p), nil }
