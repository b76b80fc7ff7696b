package main

import (
	"bytes"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/llama31/llama31/internal/testenv"
	"github.com/llama31/llama31/llama"
	"github.com/llama31/llama31/llama/llamatest"
	"github.com/llama31/llama31/llama/serve"
)

// TestServers compares two that agree on one answer of two.
func TestServers(t *testing.T) {
	var urls []string
	for _, second := range []string{"Blue light.", "Blue whales."} {
		s := httptest.NewServer(serve.Handler(llamatest.Says("Paris.", second), serve.Options{}))
		defer s.Close()
		urls = append(urls, s.URL+"/v1")
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-a", urls[0], "-b", "some=" + urls[1], "-system", "Be brief."}, strings.NewReader("Capital of France?\n\nWhy is the sky blue?\n"), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# Capital of France?", "a (1 tokens", "the same", "b (2 tokens", "alike for 5 characters", "1 of 2 answers are the same", "a: 3 tokens"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %s", want, out.String())
		}
	}
}

// TestSame compares a model with itself behind a server.
func TestSame(t *testing.T) {
	path := testenv.Fetched(t, "smollm2")
	m, err := llama.Open(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s := httptest.NewServer(serve.Handler(m, serve.Options{}))
	defer s.Close()
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-a", path, "-b", s.URL + "/v1", "-n", "20"}, strings.NewReader("What is the capital of France?\nWho wrote Faust?\n"), &out); err != nil || !strings.Contains(out.String(), "2 of 2 answers are the same") {
		t.Errorf("%v: %s", err, out.String())
	}
}
