// Package page is a page to chat with a model in, as a handler: it needs OpenAI's API at a path of the same server, and nothing else.
//
// The files are embedded, and used as they are: no build step, no resource of another host, so that it works without a network.
// Conversations and settings stay in the browser's localStorage. What a model writes becomes text nodes and never HTML
// (files/markdown.js), and should that ever fail the Content-Security-Policy lets no script run that is not one of these files, no
// string become a script or HTML (Trusted Types), no image or frame load and no request leave for another host.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed files
var files embed.FS

// policy is the Content-Security-Policy of all files.
var policy = strings.Join([]string{
	"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'",
	"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
}, "; ")

// A file is served from memory.
type file struct {
	data      []byte
	kind, tag string // Content-Type and ETag
}

var kinds = map[string]string{".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

// Handler serves the page at / and its files beside it; under another path, use http.StripPrefix. api is the path, absolute or relative to
// the page, under which v1/chat/completions and v1/models are; "" is the page's own folder.
func Handler(api string) http.Handler {
	if api != "" && !strings.HasSuffix(api, "/") {
		api += "/"
	}
	served := map[string]file{}
	names, err := fs.Glob(files, "files/*")
	if err != nil {
		panic(err) // the pattern is good
	}
	for _, name := range names {
		data, err := files.ReadFile(name)
		if err != nil {
			panic(err) // it is embedded
		}
		at := "/" + path.Base(name)
		if at == "/index.html" {
			at = "/"
			data = bytes.ReplaceAll(data, []byte("{{api}}"), []byte(html.EscapeString(api)))
		}
		served[at] = file{data, kinds[path.Ext(name)], fmt.Sprintf(`"%x"`, sha256.Sum256(data))[:18] + `"`}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := served[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", f.kind)
		h.Set("ETag", f.tag)
		h.Set("Cache-Control", "no-cache") // asked for each time, by the ETag
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.data))
	})
}
