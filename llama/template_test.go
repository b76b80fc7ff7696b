package llama

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/llama31/llama31/internal/testenv"
	"github.com/llama31/llama31/tokenizer"
)

// A goldenCase is one of testdata/golden_chat.json, made by testdata/golden_chat.py.
type goldenCase struct {
	Name, Template, Text string
	BOS, EOS             string
	Messages             []Message
	Tools                []Tool
	BuiltinTools         []string `json:"builtin_tools"`
	ToolsInUserMessage   *bool    `json:"tools_in_user_message"`
	DateString           string   `json:"date_string"`
	Open                 bool
	IDs                  []int32 // by Llama 3.1's tokenizer
}

func (g *goldenCase) conversation() *conversation {
	c := &conversation{messages: g.Messages, tools: g.Tools, date: g.DateString, open: g.Open, bos: g.BOS, eos: g.EOS}
	c.toolsInSystem = g.ToolsInUserMessage != nil && !*g.ToolsInUserMessage
	for _, name := range g.BuiltinTools {
		c.tools = append(c.tools, Tool{Name: name})
	}
	return c
}

func goldenCases(t testing.TB) (cases []goldenCase) {
	t.Helper()
	data, err := os.ReadFile("testdata/golden_chat.json")
	if err == nil {
		err = json.Unmarshal(data, &cases)
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 40 {
		t.Fatalf("%d golden prompts, expected at least 40", len(cases))
	}
	return cases
}

func templateSource(t testing.TB, name string) string {
	t.Helper()
	source, err := os.ReadFile("testdata/templates/" + name + ".jinja")
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// TestGoldenPrompts renders each case twice: as newTemplate does, natively for all but Llama 3, and as Jinja.
func TestGoldenPrompts(t *testing.T) {
	tok := byteTokenizer(t, append(llama3Control, "<|im_start|>", "<|im_end|>")...)
	for _, g := range goldenCases(t) {
		source := templateSource(t, g.Template)
		chosen, err := newTemplate(source, tok)
		if err != nil {
			t.Fatal(err)
		}
		if _, own := chosen.(jinjaTemplate); own != (g.Template == "llama-3") {
			t.Errorf("%s is rendered by %T", g.Template, chosen)
		}
		own, err := newJinja(source)
		if err != nil {
			t.Fatal(err)
		}
		for how, tmpl := range map[string]template{"chosen": chosen, "jinja": own} {
			text, err := tmpl.render(g.conversation())
			if err != nil || text != g.Text {
				t.Errorf("%s, %s: %v\n got %q\nwant %q", g.Name, how, err, text, g.Text)
			}
			// The guards of what only looks like a control token are gone again.
			if text, err := promptText(tok, tmpl, g.conversation()); err != nil || text != g.Text {
				t.Errorf("%s, %s, guarded: %v\n got %q\nwant %q", g.Name, how, err, text, g.Text)
			}
		}
	}
}

// TestGoldenIDs encodes the prompts of Llama 3.1 with its real vocabulary, natively and as Jinja.
func TestGoldenIDs(t *testing.T) {
	f, err := os.Open(testenv.Fetched(t, "tokenizer"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	v, err := tokenizer.ReadHuggingFace(f)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.New(v)
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, g := range goldenCases(t) {
		if len(g.IDs) == 0 {
			continue
		}
		compared++
		own, err := newJinja(templateSource(t, g.Template))
		if err != nil {
			t.Fatal(err)
		}
		for _, tmpl := range []template{llama31, own} {
			if ids, err := encodePrompt(tok, tmpl, g.conversation()); err != nil || !slices.Equal(ids, g.IDs) {
				t.Errorf("%s, %T: %v\n got %q\nwant %q", g.Name, tmpl, err, tok.DecodeSpecial(ids), tok.DecodeSpecial(g.IDs))
			}
		}
	}
	if compared < 40 {
		t.Errorf("%d prompts compared, expected at least 40", compared)
	}
}

// TestTemplateErrors: what is wrong with a template, or with a conversation for it, is an ErrTemplate that quotes the line.
func TestTemplateErrors(t *testing.T) {
	tool := []Tool{{Name: "f", Description: "d"}}
	for _, c := range []struct {
		source string
		tools  []Tool
		quoted string
	}{
		{"ok\n{% if x %}", nil, `line 2, "{% if x %}"`},
		{"a\n\n{{ messages[0].content.nothing.more }}", nil, `line 3, "{{ messages[0].content.nothing.more }}"`},
		{"{% for m in messages %}\n  {{ raise_exception('no ' + m.role) }}\n{% endfor %}", nil, "no user"},
		{"{{ messages }}", tool, "no tools"},
		{"{{ messages }}{{ tools }}", []Tool{{Name: "brave_search"}}, "no built-in tools"},
	} {
		tmpl, err := newTemplate(c.source, nil)
		if err == nil {
			_, err = tmpl.render(&conversation{messages: []Message{User("hi")}, tools: c.tools})
		}
		if !errors.Is(err, ErrTemplate) || !strings.Contains(err.Error(), c.quoted) {
			t.Errorf("%.80q: %v, expected an ErrTemplate with %q", c.source, err, c.quoted)
		}
	}
}

// TestBareTools: a tool needs neither a description nor parameters, though a template may not think so. What it can do without is left out.
func TestBareTools(t *testing.T) {
	for source, want := range map[string]string{
		"{{ tools|tojson }}": `[{"type": "function", "function": {"name": "f"}}]`,
		"{% for t in tools %}{{ t.function.name + ': ' + t.function.description }}{{ t.function.parameters.properties|tojson }}{% endfor %}": "f: {}",
	} {
		tmpl, err := newJinja(source)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tmpl.render(&conversation{messages: []Message{User("hi")}, tools: []Tool{{Name: "f"}}})
		if err != nil || got != want {
			t.Errorf("%s: %q, %v, expected %q", source, got, err, want)
		}
	}
}
