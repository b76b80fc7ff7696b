package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llama31/llama31/gguf/block"
	"github.com/llama31/llama31/gguf/gguftest"
	"github.com/llama31/llama31/internal/testenv"
	"github.com/llama31/llama31/llama"
	"github.com/llama31/llama31/tokenizer"
)

// llama31 is a model with Llama 3.1's vocabulary and chat template, and next to no
// weights.
func llama31(t *testing.T) string {
	t.Helper()
	f, err := os.Open(testenv.Fetched(t, "tokenizer"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	v, err := tokenizer.ReadHuggingFace(f)
	if err != nil {
		t.Fatal(err)
	}
	template, err := os.ReadFile(filepath.Join(testenv.Root(t), "llama", "testdata", "templates", "llama-3.1.jinja"))
	if err != nil {
		t.Fatal(err)
	}
	const hidden = 32
	b := gguftest.New(t)
	for _, e := range []struct {
		key   string
		value any
	}{
		{"general.architecture", "llama"},
		{"llama.block_count", uint32(1)},
		{"llama.context_length", uint32(131072)},
		{"llama.embedding_length", uint32(hidden)},
		{"llama.feed_forward_length", uint32(hidden)},
		{"llama.attention.head_count", uint32(1)},
		{"llama.attention.head_count_kv", uint32(1)},
		{"llama.attention.layer_norm_rms_epsilon", float32(1e-5)},
		{"llama.rope.freq_base", float32(500000)},
		{"tokenizer.ggml.model", "gpt2"},
		{"tokenizer.ggml.pre", "llama-bpe"},
		{"tokenizer.ggml.tokens", v.Tokens},
		{"tokenizer.ggml.token_type", v.Types},
		{"tokenizer.ggml.merges", []string(v.Merges)},
		{"tokenizer.ggml.bos_token_id", uint32(*v.BOS)},
		{"tokenizer.ggml.eos_token_id", uint32(*v.EOT)},
		{"tokenizer.chat_template", string(template)},
	} {
		b.Set(e.key, e.value)
	}
	zeros := func(name string, shape ...int) {
		n := 1
		for _, s := range shape {
			n *= s
		}
		typ := block.TypeF32
		if len(shape) > 1 {
			typ = block.TypeQ4_0
		}
		b.Tensor(name, typ, make([]float32, n), shape...)
	}
	zeros("token_embd.weight", len(v.Tokens), hidden)
	zeros("output_norm.weight", hidden)
	for _, part := range []string{"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"} {
		zeros("blk.0."+part+".weight", hidden, hidden)
	}
	zeros("blk.0.attn_norm.weight", hidden)
	zeros("blk.0.ffn_norm.weight", hidden)
	return b.File("llama-3.1.gguf")
}

// tokenize runs the command.
func tokenize(t *testing.T, in string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), args, strings.NewReader(in), &out)
	return out.String(), err
}

func mustTokenize(t *testing.T, in string, args ...string) string {
	t.Helper()
	out, err := tokenize(t, in, args...)
	if err != nil {
		t.Fatalf("%q %v: %v", in, args, err)
	}
	return out
}

func TestText(t *testing.T) {
	m := llama31(t)
	for _, c := range []struct {
		text string
		args []string
		want string
	}{
		{"Hello, world!", nil, "9906 11 1917 0\n"},
		{"<|eot_id|>", nil, "27 91 68 354 851 91 29\n"},
		{"<|eot_id|>", []string{"-special"}, "128009\n"},
		{"", nil, "\n"},
		{"9906 11\n1917\t0", []string{"-d"}, "Hello, world!"},
		{"128009 0", []string{"-d"}, "!"},
		{"128009 0", []string{"-d", "-special"}, "<|eot_id|>!"},
		{"", []string{"-d"}, ""},
	} {
		if got := mustTokenize(t, c.text, append([]string{"-model", m}, c.args...)...); got != c.want {
			t.Errorf("%q %v: %q, expected %q", c.text, c.args, got, c.want)
		}
	}
	const bytes = "é\xff\x00 👩‍👩‍👧 \r\n\t"
	if got := mustTokenize(t, mustTokenize(t, bytes, "-model", m), "-model", m, "-d"); got != bytes {
		t.Errorf("%q came back as %q", bytes, got)
	}
}

// goldenCase is one of llama/testdata/golden_chat.json: what Hugging Face's
// transformers renders.
type goldenCase struct {
	Name, Template, Text string
	Messages, Tools      json.RawMessage
	BuiltinTools         []string `json:"builtin_tools"`
	Date                 string   `json:"date_string"`
	ToolsInUser          *bool    `json:"tools_in_user_message"`
	Open                 bool
	IDs                  []int32
}

// TestChat gives the command the conversations of the golden prompts, as they are.
func TestChat(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(testenv.Root(t), "llama", "testdata", "golden_chat.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []goldenCase
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for template, model := range map[string]func(*testing.T) string{
		"llama-3.1": llama31,
		"smollm2":   func(t *testing.T) string { return testenv.Fetched(t, "smollm2") },
	} {
		t.Run(template, func(t *testing.T) {
			m, err := llama.Open(t.Context(), model(t), &llama.Options{Device: "cpu", MaxRunning: 1, KVBytes: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			prompt := func(in []byte, text bool) string {
				var out bytes.Buffer
				w := bufio.NewWriter(&out)
				if err := errors.Join(writePrompt(w, bytes.NewReader(in), m, text), w.Flush()); err != nil {
					t.Errorf("%s: %v", in, err)
				}
				return out.String()
			}
			n := 0
			for _, c := range cases {
				if c.Template != template || c.Date != "" || c.ToolsInUser != nil || !c.Open {
					continue
				}
				n++
				var tools []json.RawMessage
				if len(c.Tools) > 0 {
					if err := json.Unmarshal(c.Tools, &tools); err != nil {
						t.Fatal(err)
					}
				}
				for _, name := range c.BuiltinTools {
					tools = append(tools, json.RawMessage(fmt.Sprintf(`{"type": "function", "function": {"name": %q}}`, name)))
				}
				in, err := json.Marshal(map[string]any{"model": "x", "messages": c.Messages, "tools": tools, "temperature": 1})
				if err != nil {
					t.Fatal(err)
				}
				if got := prompt(in, true); got != c.Text {
					t.Errorf("%s:\n got %q\nwant %q", c.Name, got, c.Text)
				}
				ids := prompt(in, false)
				if want := strings.Trim(fmt.Sprint(c.IDs), "[]") + "\n"; len(c.IDs) > 0 && ids != want {
					t.Errorf("%s:\n got %s\nwant %s", c.Name, ids, want)
				}
			}
			if n < 12 {
				t.Errorf("%d prompts compared", n)
			}
		})
	}
}

// TestChatShapes has the shapes in which clients send the same conversation.
func TestChatShapes(t *testing.T) {
	m := testenv.Fetched(t, "smollm2")
	const want = "<|im_start|>system\nBe <|im_end|> kind.<|im_end|>\n<|im_start|>user\nHi é\n<|im_end|>\n<|im_start|>assistant\n"
	ids := ""
	for _, in := range []string{
		`{"messages":[{"role":"system","content":"Be <|im_end|> kind."},{"role":"user","content":"Hi é\n"}]}`,
		`{"messages":[{"role":"system","content":[{"type":"text","text":"Be <|im_"},{"type":"text","text":"end|> kind."}]},{"role":"user","content":[{"type":"text","text":"Hi \u00e9\n"}]}]}`,
		"\ufeff" + `{"model":"m","stream":true,"messages":[{"content":"Be <|im_end|> kind.","role":"system","name":"x"},{"role":"user","content":"Hi é\n"}],"tools":[],"tool_choice":"auto","max_tokens":5}` + "\n",
		`{"messages":[{"role":"system","content":"Be <|im_end|> kind.","tool_calls":null},{"role":"user","content":"Hi é\n","tool_calls":[]}],"tools":null}`,
		`{"messages":[{"role":"system","content":"Be \u003c|im_end|\u003e kind."},{"role":"user","content":"Hi é\n"}]} `,
	} {
		if got := mustTokenize(t, in, "-model", m, "-chat", "-text"); got != want {
			t.Errorf("%s:\n got %q\nwant %q", in, got, want)
		}
		got := mustTokenize(t, in, "-model", m, "-chat")
		if ids == "" {
			ids = got
			// <|im_end|> (2) ends the turns, and is not in what the system says.
			if n := slices.Repeat([]string{"2"}, 2); strings.Count(" "+got, " 2 ") != len(n) {
				t.Errorf("ids %s", got)
			}
		}
		if got != ids {
			t.Errorf("%s: ids %s, expected %s", in, got, ids)
		}
	}
}

// TestChatCalls has calls and their results in the shapes of OpenAI's API and of
// Hugging Face's transformers.
func TestChatCalls(t *testing.T) {
	m := llama31(t)
	const want = `<|start_header_id|>assistant<|end_header_id|>

{"name": "get_weather", "parameters": {"location": "Zürich", "n": 1.0}}<|eot_id|><|start_header_id|>ipython<|end_header_id|>

"12 °C"<|eot_id|><|start_header_id|>assistant<|end_header_id|>

`
	const tool = `{"type":"function","function":{"name":"get_weather","description":"d","parameters":{"type":"object","properties":{}}}}`
	for _, call := range []string{
		`{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{\"location\": \"Zürich\", \"n\": 1.0}"}}]},{"role":"tool","tool_call_id":"call_1","content":"12 °C"}`,
		`{"role":"assistant","tool_calls":[{"function":{"name":"get_weather","arguments":{"location":"Z\u00fcrich","n":1.0}}}]},{"role":"ipython","content":"12 °C"}`,
		`{"role":"assistant","content":"","tool_calls":[{"type":"function","name":"get_weather","arguments":{"location":"Zürich","n":1.0}}]},{"role":"tool","content":[{"type":"text","text":"12 °C"}]}`,
	} {
		in := `{"messages":[{"role":"user","content":"Weather?"},` + call + `],"tools":[` + tool + `]}`
		if got := mustTokenize(t, in, "-model", m, "-chat", "-text"); !strings.HasSuffix(got, want) || strings.Count(got, "get_weather") != 2 {
			t.Errorf("%s:\n got %q\nwant at the end %q", in, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	smollm := testenv.Fetched(t, "smollm2")
	for _, c := range []struct {
		args []string
		in   string
		says string
	}{
		{nil, "", "-model"},
		{[]string{"-nosuch"}, "", "-nosuch"},
		{[]string{"-model", "none.gguf"}, "", "none.gguf"},
		{[]string{"-model", smollm, "text"}, "", `"text"`},
		{[]string{"-model", smollm, "-text"}, "", "-chat"},
		{[]string{"-model", smollm, "-chat", "-d"}, "", "-chat"},
		{[]string{"-model", smollm, "-d"}, "1 two 3", `"two"`},
		{[]string{"-model", smollm, "-d"}, "-1", `"-1"`},
		{[]string{"-model", smollm, "-d"}, "49152", "0 to 49151"},
		{[]string{"-model", smollm, "-d"}, "99999999999999999999", "99999999999999999999"},
	} {
		out, err := tokenize(t, c.in, c.args...)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") || c.in == "" && out != "" {
			t.Errorf("%v: %v (and %q), expected an error of one line with %q", c.args, err, out, c.says)
		}
	}
	for in, says := range map[string]string{
		"":                    "conversation",
		"{":                   "conversation",
		"[]":                  "conversation",
		"null":                `"messages"`,
		"{}":                  `"messages"`,
		`{"messages":[]}`:     `"messages"`,
		`{"messages":{}}`:     "conversation",
		`{"messages":["hi"]}`: "conversation",
		`{"messages":[{"role":"user","content":"x"}]} {}`:                                                                 "conversation",
		`{"messages":[{"role":"user","content":5}]}`:                                                                      "conversation",
		`{"messages":[{"role":5,"content":"x"}]}`:                                                                         "conversation",
		`{"messages":[{"content":"x"}]}`:                                                                                  "role",
		`{"messages":[{"role":"robot","content":"x"}]}`:                                                                   `"robot"`,
		`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]}`:                         "image_url",
		`{"messages":[{"role":"user","content":[5]}]}`:                                                                    "conversation",
		`{"messages":[{"role":"assistant","tool_calls":[{"type":"function","function":{"name":"f","arguments":"no"}}]}]}`: "arguments",
		`{"messages":[{"role":"assistant","tool_calls":[{"type":"function","function":{"name":"f","arguments":[]}}]}]}`:   "arguments",
		`{"messages":[{"role":"assistant","tool_calls":[{"type":"function","function":{"name":"f","arguments":{}}}]}]}`:   "no tool calls",
		`{"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}]}`:              "no tools",
		`{"messages":[{"role":"user","content":"x"}],"tools":[{"type":"retrieval"}]}`:                                     "retrieval",
		`{"messages":[{"role":"user","content":"x"}],"tools":{}}`:                                                         "conversation",
		`{"messages":[{"role":"user","content":"x"}],"tools":["f"]}`:                                                      "conversation",
		`{"messages":[{"role":"user","content":"` + strings.Repeat("word ", 10000) + `"}]}`:                               "10",
		`{"messages":[{"role":"user","content":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}]}`:        "conversation",
	} {
		out, err := tokenize(t, in, "-model", smollm, "-chat")
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") || out != "" {
			t.Errorf("%.200s: %v (and %q), expected an error of one line with %q", in, err, out, says)
		}
	}
	var help bytes.Buffer
	if err := run(context.Background(), []string{"-h"}, nil, &help); !errors.Is(err, flag.ErrHelp) || !strings.Contains(help.String(), "-chat") {
		t.Errorf("-h: %v, %q", err, help.String())
	}
}
