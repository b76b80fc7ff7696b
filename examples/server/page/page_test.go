package page

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// TestHandler serves every file that the page names, with the policy, and nothing from elsewhere.
func TestHandler(t *testing.T) {
	s := httptest.NewServer(Handler(`/x"y`))
	defer s.Close()
	get := func(path, tag string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequest("GET", s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("If-None-Match", tag)
		r, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r, string(body)
	}
	_, index := get("/", "")
	if !strings.Contains(index, `content="/x&#34;y/"`) {
		t.Error("the API's path is not in the page")
	}
	paths := []string{"/"}
	for _, m := range regexp.MustCompile(`(?:src|href)="([^#"]+)"`).FindAllStringSubmatch(index, -1) {
		paths = append(paths, "/"+m[1])
	}
	for _, m := range regexp.MustCompile(`from '\./([^']+)'`).FindAllStringSubmatch(func() string { _, js := get("/page.js", ""); return js }(), -1) {
		paths = append(paths, "/"+m[1])
	}
	if len(paths) != 7 {
		t.Errorf("the page is made of %q", paths)
	}
	for _, p := range paths {
		r, body := get(p, "")
		if r.StatusCode != 200 || !strings.Contains(r.Header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self';") || r.Header.Get("X-Content-Type-Options") != "nosniff" || r.Header.Get("Content-Type") == "" {
			t.Errorf("%s: %s %v", p, r.Status, r.Header)
		}
		if at := regexp.MustCompile(`https?://[^'"\s\\\[]+|innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|style="|onclick="|<script>`).FindAllString(strings.ReplaceAll(body, "http://www.w3.org/2000/svg", ""), -1); at != nil {
			t.Errorf("%s has %q", p, at)
		}
		if r, body := get(p, r.Header.Get("ETag")); r.StatusCode != http.StatusNotModified || body != "" {
			t.Errorf("%s again: %s", p, r.Status)
		}
	}
	if r, _ := get("/page.go", ""); r.StatusCode != 404 {
		t.Errorf("/page.go: %s", r.Status)
	}
}
