package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// fetched is where testdata/fetch puts Llama 3.1's tokenizer.
const fetched = "testdata/fetched/llama-3.1"

const (
	normal  int32 = 1 // token types, as llama.cpp numbers them
	control int32 = 3
)

type vocab struct {
	tokens   []string
	types    []int32
	merges   []string
	bos, eot uint32
	template string
}

// vocabulary is Llama 3.1's own where it was fetched, else a made-up one.
func vocabulary(n int) (*vocab, error) {
	if n == llamaVocabulary {
		v, err := fetchedVocabulary(fetched)
		if !errors.Is(err, os.ErrNotExist) {
			return v, err
		}
	}
	return madeUp(n), nil
}

// fetchedVocabulary reads Hugging Face's tokenizer.json and tokenizer_config.json.
func fetchedVocabulary(dir string) (*vocab, error) {
	var file struct {
		Model struct {
			Vocab  map[string]int
			Merges []json.RawMessage
		}
		AddedTokens []struct {
			ID      int
			Content string
		} `json:"added_tokens"`
	}
	if err := readJSON(filepath.Join(dir, "tokenizer.json"), &file); err != nil {
		return nil, err
	}
	v := &vocab{tokens: make([]string, llamaVocabulary), types: make([]int32, llamaVocabulary)}
	set := func(id int, token string, t int32) error {
		if id < 0 || id >= llamaVocabulary || token == "" {
			return fmt.Errorf("%s: token %q has the id %d of %d", dir, token, id, llamaVocabulary)
		}
		v.tokens[id], v.types[id] = token, t
		return nil
	}
	for token, id := range file.Model.Vocab {
		if err := set(id, token, normal); err != nil {
			return nil, err
		}
	}
	for _, t := range file.AddedTokens {
		if err := set(t.ID, t.Content, control); err != nil {
			return nil, err
		}
		switch t.Content {
		case "<|begin_of_text|>":
			v.bos = uint32(t.ID)
		case "<|eot_id|>":
			v.eot = uint32(t.ID)
		}
	}
	for id, token := range v.tokens {
		if token == "" {
			return nil, fmt.Errorf("%s: no token has the id %d", dir, id)
		}
	}
	for _, raw := range file.Model.Merges { // "a b", or ["a", "b"] in newer files
		var pair [2]string
		var one string
		if json.Unmarshal(raw, &one) != nil {
			if err := json.Unmarshal(raw, &pair); err != nil {
				return nil, fmt.Errorf("%s: merge %s: %w", dir, raw, err)
			}
			one = pair[0] + " " + pair[1]
		}
		v.merges = append(v.merges, one)
	}
	var config struct {
		ChatTemplate string `json:"chat_template"`
	}
	if err := readJSON(filepath.Join(dir, "tokenizer_config.json"), &config); err != nil {
		return nil, err
	}
	v.template = config.ChatTemplate
	if v.template == "" {
		v.template = template
	}
	return v, nil
}

func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// specials are Llama 3.1's control tokens in the order of their ids; reserved ones
// follow.
var specials = []string{
	"<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>",
	"<|finetune_right_pad_id|>", "<|reserved_special_token_2|>", "<|start_header_id|>", "<|end_header_id|>",
	"<|eom_id|>", "<|eot_id|>", "<|python_tag|>",
}

const (
	fewSpecials   = 16
	minVocabulary = 256 + fewSpecials
)

// madeUp is a byte-level vocabulary of n tokens: the 256 bytes, what merges of
// letters give, 256 control tokens as Llama 3.1 has (16 if n is small).
func madeUp(n int) *vocab {
	v := &vocab{template: template}
	for b := range 256 {
		v.tokens = append(v.tokens, string(byteRune(b)))
	}
	control_ := 256
	if n < 4096 {
		control_ = fewSpecials
	}
	const letters = "etaoinshrdlucmfwypvbgkqjxzETAOINSHRDLUCMFWYPVBGKQJXZ"
	// Letters after a space, then letters after whatever there is already, one
	// length after the other.
	firsts := append([]string{string(byteRune(' '))}, split(letters)...)
	for len(v.tokens) < n-control_ {
		var made []string
		for _, first := range firsts {
			for _, l := range split(letters) {
				if len(v.tokens) == n-control_ {
					break
				}
				v.merges = append(v.merges, first+" "+l)
				v.tokens = append(v.tokens, first+l)
				made = append(made, first+l)
			}
		}
		firsts = made
	}
	for range v.tokens {
		v.types = append(v.types, normal)
	}
	for i := range control_ {
		token := fmt.Sprintf("<|reserved_special_token_%d|>", i-len(specials)+3)
		if i < len(specials) {
			token = specials[i]
		}
		switch token {
		case "<|begin_of_text|>":
			v.bos = uint32(len(v.tokens))
		case "<|eot_id|>":
			v.eot = uint32(len(v.tokens))
		}
		v.tokens = append(v.tokens, token)
		v.types = append(v.types, control)
	}
	return v
}

func split(s string) []string {
	var out []string
	for _, r := range s {
		out = append(out, string(r))
	}
	return out
}

// byteRune is the character that stands for a byte in GPT-2's vocabularies:
// itself if it prints, else one from U+0100 on.
func byteRune(b int) rune {
	shift := 0
	for c := range b + 1 {
		prints := c >= '!' && c <= '~' || c >= 0xa1 && c <= 0xac || c >= 0xae && c <= 0xff
		if c == b && prints {
			return rune(b)
		}
		if !prints {
			shift++
		}
	}
	return rune(0xff + shift)
}

// template is Llama 3.1's chat format without tools, for files without the
// fetched tokenizer.
const template = `{{- bos_token }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
`
