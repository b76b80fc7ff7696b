package page_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/llama31/llama31/examples/server/page"
	"github.com/llama31/llama31/llama/llamatest"
	"github.com/llama31/llama31/llama/serve"
)

// The page under /chat/ of a server that has the API at /.
func ExampleHandler() {
	mux := http.NewServeMux()
	mux.Handle("/v1/", serve.Handler(llamatest.Says("Hello!"), serve.Options{}))
	mux.Handle("/chat/", http.StripPrefix("/chat", page.Handler("/")))
	s := httptest.NewServer(mux)
	defer s.Close()
	r, err := http.Get(s.URL + "/chat/")
	if err != nil {
		log.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Status, strings.Contains(string(body), "<title>llama31</title>"))
	// Output:
	// 200 OK true
}
