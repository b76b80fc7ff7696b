package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/llama31/llama31/internal/testenv"
	"github.com/llama31/llama31/kernels/cuda/sim"
	"github.com/llama31/llama31/llama"
)

// output is a program's, read while it runs.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start runs the server and gives its address; stop is SIGTERM.
func start(t *testing.T, args ...string) (url string, stop context.CancelFunc, ended chan error) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var stdout, stderr output
	ended = make(chan error, 1)
	model := testenv.Fetched(t, "smollm2")
	go func() {
		ended <- run(ctx, func() {}, append([]string{"-model", "smol=" + model, "-addr", "127.0.0.1:0", "-ctx", "2048"}, args...), &stdout, &stderr)
	}()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if _, after, ok := strings.Cut(stdout.String(), "smol on "); ok && strings.HasSuffix(after, "\n") {
			return strings.TrimSpace(after), stop, ended
		}
		select {
		case err := <-ended:
			t.Fatalf("the server ended: %v", err)
		default:
		}
	}
	t.Fatalf("no address in %q", stdout.String())
	return "", nil, nil
}

func ask(t *testing.T, c *http.Client, url, key, body string) (int, string) {
	t.Helper()
	q, err := http.NewRequest(http.MethodPost, url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		q.Header.Set("Authorization", "Bearer "+key)
	}
	r, err := c.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	all, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	return r.StatusCode, string(all)
}

// TestDrain ends the server while a stream runs: it comes to its end, and the server to its own.
func TestDrain(t *testing.T) {
	url, stop, ended := start(t)
	q, err := http.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(`{"messages":[{"role":"user","content":"hi"}],"max_tokens":60,"ignore_eos":true,"stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	defer q.Body.Close()
	stop()
	all, err := io.ReadAll(q.Body)
	if err != nil || !strings.Contains(string(all), `"finish_reason":"length"`) || !strings.HasSuffix(string(all), "data: [DONE]\n\n") {
		t.Errorf("a stream while the server stops: %v, %s", err, all)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("the server goes on")
	}
	if _, err := http.Get(url + "/health"); err == nil {
		t.Error("a server that has ended answers")
	}
}

// TestTLS serves HTTPS to those who have a key of -new-key.
func TestTLS(t *testing.T) {
	var line, secret output
	if err := run(t.Context(), nil, []string{"-new-key", "alice"}, &line, &secret); err != nil {
		t.Fatal(err)
	}
	_, key, _ := strings.Cut(strings.TrimSpace(secret.String()), "again: ")
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys")
	if err := os.WriteFile(keys, []byte(line.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cert, pool := certificate(t, dir)
	url, stop, ended := start(t, "-keys", keys, "-tls-cert", cert, "-tls-key", filepath.Join(dir, "key.pem"))
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	const body = `{"messages":[{"role":"user","content":"hi"}],"max_tokens":2}`
	if status, text := ask(t, c, url, key, body); status != 200 || !strings.Contains(text, `"model":"smol"`) {
		t.Errorf("with a key: %d %s", status, text)
	}
	for _, bad := range []string{"", "sk-wrong", key + "x", line.String()} {
		if status, text := ask(t, c, url, strings.TrimSpace(bad), body); status != 401 {
			t.Errorf("with key %q: %d %s", bad, status, text)
		}
	}
	c.CloseIdleConnections()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func certificate(t *testing.T, dir string) (path string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("key.pem", "PRIVATE KEY", private)
	pool = x509.NewCertPool()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(c)
	return write("cert.pem", "CERTIFICATE", der), pool
}

// TestGPULayers has the built-in model on a simulated GPU, as -device and -gpulayers say.
func TestGPULayers(t *testing.T) {
	for flags, want := range map[string]string{
		"-device cuda":              "cuda:0",
		"-device cuda -gpulayers 1": `cpu \(\d+ layers\), cuda:0 \(1 layers\)`,
		"-gpulayers 1":              `cpu \(\d+ layers\), cuda:0 \(1 layers\)`,
		"":                          "cpu",
		"-device cuda -gpulayers 0": "cpu",
	} {
		sim.Start(t, "")
		o, err := parse(strings.Fields(flags+" -ctx 256 -np 2"), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		models, err := open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		r, err := models[0].Generate(t.Context(), llama.Request{Prompt: "Once upon a time", MaxTokens: 3})
		if err != nil || r.Usage.Generated != 3 {
			t.Errorf("%s: %+v, %v", flags, r, err)
		}
		if got := models[0].Info().Device; !regexp.MustCompile("^" + want + "$").MatchString(got) {
			t.Errorf("%s: on %s, expected %s", flags, got, want)
		}
		if err := models[0].Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestFlags gives flags that must not start a server.
func TestFlags(t *testing.T) {
	for _, c := range []struct{ says, args string }{
		{"beside the flags", "model.gguf"},
		{"open to others", "-model F -addr 0.0.0.0:0"},
		{"open to others", "-model F -addr :8080"},
		{"open to others", "-model F -addr [::]:8080"},
		{"open to others", "-model F -addr 192.168.1.2:8080"},
		{"come together", "-model F -tls-cert F"},
		{"-kv", "-model F -kv q9"},
		{"negative", "-model F -drain -1s"},
		{"no such file", "-model F -keys nosuch -addr 127.0.0.1:0"},
		{"one word", "-new-key= -new-key #"},
	} {
		err := run(t.Context(), nil, strings.Fields(c.args), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("server %s: %v, expected %q", c.args, err, c.says)
		}
	}
	for _, args := range []string{"", "-model F", "-model F -addr [::1]:0", "-model F -addr localhost:0", "-model F -addr :0 -public", "-model F -addr :0 -keys K"} {
		if _, err := parse(strings.Fields(args), io.Discard); err != nil {
			t.Errorf("server %s: %v", args, err)
		}
	}
}
