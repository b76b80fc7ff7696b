package serve

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"time"

	"github.com/llama31/llama31/llama"
	"github.com/llama31/llama31/tokenizer"
	"gorgonia.org/tensor"
)

// local is what a *llama.Model can do beyond answering. The endpoints that need it refuse other generators.
type local interface {
	llama.Generator
	Info() llama.Info
	Stats() llama.Stats
	Tokenizer() *tokenizer.Tokenizer
	Prompt(r llama.Request) ([]int32, error)
	ScorePrompt(ctx context.Context, r llama.Request) ([]llama.Token, error)
	EmbedTokens(ctx context.Context, texts [][]int32, o *llama.EmbedOptions) (*tensor.Dense, error)
}

var _ local = (*llama.Model)(nil)

// model is one of those that are served.
type model struct {
	llama.Generator
	name        string
	local       local // the same, if it is one
	sampling    llama.Sampling
	context     int // 0: not known
	created     int64
	fingerprint string // of model and machine: with a seed, the same one gives the same text
}

// models finds them by name.
type models struct {
	list   []*model // the first is the default
	byName map[string]*model
	anyone bool // every name is the first one's
}

func newModels(g llama.Generator, o *Options) *models {
	all := &models{byName: map[string]*model{}, anyone: len(o.Models) == 0}
	first := newModel(o.Name, g)
	all.list = append(all.list, first)
	for name, g := range o.Models {
		if name != first.name {
			all.list = append(all.list, newModel(name, g))
		}
	}
	slices.SortFunc(all.list[1:], func(a, b *model) int { return cmp.Compare(a.name, b.name) })
	for _, m := range all.list {
		all.byName[m.name] = m
	}
	for alias, name := range o.Aliases {
		if name == "" {
			name = first.name
		}
		if m, ok := all.byName[name]; ok && all.byName[alias] == nil {
			all.byName[alias] = m
		}
	}
	return all
}

func newModel(name string, g llama.Generator) *model {
	t := 0.6
	m := &model{Generator: g, name: name, created: time.Now().Unix(), sampling: llama.Sampling{Temperature: &t, TopP: 0.9}}
	h := fnv.New32a()
	if l, ok := g.(local); ok {
		info := l.Info()
		m.local, m.sampling, m.context = l, info.Sampling, info.Context
		if m.name == "" {
			m.name = info.Name
		}
		fmt.Fprint(h, info.Name, info.Bytes, info.Parameters, info.Device, info.Detail)
	}
	if m.name == "" {
		m.name = "default"
	}
	fmt.Fprint(h, m.name)
	m.fingerprint = fmt.Sprintf("fp_%08x", h.Sum32())
	return m
}

// find gives the model that a request names; of one that names none, the default.
func (a *models) find(name string) (*model, error) {
	if m, ok := a.byName[name]; ok {
		return m, nil
	}
	if name == "" || a.anyone {
		return a.list[0], nil
	}
	return nil, &failure{status: http.StatusNotFound, kind: "invalid_request_error", code: "model_not_found", param: "model", message: fmt.Sprintf("there is no model %.100q here", name)}
}

// findLocal is find for endpoints that need more than answers.
func (a *models) findLocal(name string) (*model, error) {
	m, err := a.find(name)
	if err == nil && m.local == nil {
		return nil, unsupported("model", "model %q is not run here; that it serves answers only", m.name)
	}
	return m, err
}

// modelObject is a model as OpenAI and Anthropic list it, with vLLM's max_model_len.
type modelObject struct {
	ID          string `json:"id"`
	Object      string `json:"object"`
	Type        string `json:"type"`
	Created     int64  `json:"created"`
	CreatedAt   string `json:"created_at"`
	DisplayName string `json:"display_name"`
	OwnedBy     string `json:"owned_by"`
	Root        string `json:"root"`
	Context     int    `json:"max_model_len,omitempty"`
}

func (m *model) object(name string) modelObject {
	return modelObject{ID: name, Object: "model", Type: "model", Created: m.created, CreatedAt: time.Unix(m.created, 0).UTC().Format(time.RFC3339),
		DisplayName: name, OwnedBy: "llama31", Root: m.name, Context: m.context}
}

func (c *call) listModels() error {
	all := c.s.models
	var list []modelObject
	for _, m := range all.list {
		list = append(list, m.object(m.name))
	}
	var aliases []modelObject
	for name, m := range all.byName {
		if name != m.name {
			aliases = append(aliases, m.object(name))
		}
	}
	slices.SortFunc(aliases, func(a, b modelObject) int { return cmp.Compare(a.ID, b.ID) })
	list = append(list, aliases...)
	return c.reply(map[string]any{"object": "list", "data": list, "has_more": false, "first_id": list[0].ID, "last_id": list[len(list)-1].ID})
}

func (c *call) getModel() error {
	name := c.r.PathValue("model")
	m, ok := c.s.models.byName[name]
	if !ok {
		return &failure{status: http.StatusNotFound, kind: "invalid_request_error", code: "model_not_found", param: "model", message: fmt.Sprintf("there is no model %.100q here", name)}
	}
	return c.reply(m.object(name))
}
