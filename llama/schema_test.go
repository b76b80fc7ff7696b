package llama

import (
	"errors"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/llama31/llama31/internal/testenv"
	"github.com/llama31/llama31/llama/internal/grammar/schematest"
)

// TestRandomSchemas asks a model with random weights for JSON of random schemas, many at once: whatever ends is valid. 500 schemas, in
// the long form 10,000.
func TestRandomSchemas(t *testing.T) {
	m := openTiny(t, nil)
	schemas := 500
	switch {
	case testenv.Long():
		schemas = 10_000
	case testing.Short():
		schemas = 100
	}
	var mu sync.Mutex
	ended, refused := 0, 0
	seeds := make(chan uint64)
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			for seed := range seeds {
				schema := schematest.Random(rand.New(rand.NewPCG(seed, 7)))
				r, err := m.Generate(t.Context(), Request{Prompt: "JSON:", Format: JSONSchema(schema), MaxTokens: 200, Sampling: &Sampling{Seed: &seed, Temperature: pointer(1.5)}})
				mu.Lock()
				switch {
				case errors.Is(err, ErrUnsupported) || errors.Is(err, ErrRequest):
					refused++
				case err != nil:
					t.Errorf("seed %d: %v", seed, err)
				case r.Choices[0].Finish == FinishStop:
					ended++
					if err := schematest.Validate(schema, r.Text()); err != nil {
						t.Errorf("seed %d: %s\n%s\n%v", seed, r.Text(), schema, err)
					}
				}
				mu.Unlock()
			}
		})
	}
	for seed := range uint64(schemas) {
		seeds <- seed
	}
	close(seeds)
	all.Wait()
	t.Logf("%d of %d ended, %d were refused", ended, schemas, refused)
	if ended < schemas/3 || refused > schemas/3 {
		t.Errorf("%d of %d ended, %d were refused", ended, schemas, refused)
	}
}

// TestDependencies: package llama brings no server, metrics, terminal or plotting, and none of what only its tests use.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{ // the two libraries of the tokenizer and the templates, gorgonia.org/tensor, and what they bring
		"github.com/llama31/llama31/", "github.com/pkoukk/tiktoken-go", "github.com/dlclark/regexp2", "github.com/google/uuid",
		"github.com/nikolalohinski/gonja/", "github.com/sirupsen/logrus", "golang.org/x/sys/", "golang.org/x/text/",
		"gorgonia.org/", "gonum.org/v1/gonum/", "go4.org/unsafe/", "golang.org/x/xerrors", "github.com/apache/arrow/", "github.com/chewxy/", "github.com/gogo/protobuf/",
		"github.com/golang/protobuf/", "github.com/google/flatbuffers/", "github.com/pkg/errors", "github.com/xtgo/set", "google.golang.org/protobuf/",
	}
	for p := range strings.Lines(string(out)) {
		p = strings.TrimSpace(p)
		if first, _, _ := strings.Cut(p, "/"); !strings.Contains(first, ".") || first == "vendor" {
			continue // of Go
		}
		ok := false
		for _, a := range allowed {
			ok = ok || strings.HasPrefix(p, a) || p == a
		}
		if !ok || strings.HasPrefix(p, "github.com/llama31/llama31/llama/serve") || strings.HasSuffix(p, "schematest") {
			t.Errorf("package llama imports %s", p)
		}
	}
}
