package tokenizer

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// ReadTiktoken reads a vocabulary in the format of Meta's tokenizer.model, a line
// for each token with its bytes in base64 and its rank, 0 first. The control
// tokens, which the format does not have, follow; nil means those of Llama 3.1,
// Llama31Control. Pre is that of Llama 3, and BOS, EOS, EOT and EOM are set where
// there are tokens of these names.
func ReadTiktoken(r io.Reader, control []string) (Vocab, error) {
	if control == nil {
		control = Llama31Control()
	}
	v := Vocab{Pre: "llama-bpe", AddBOS: true}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		text, rank, ok := bytes.Cut(bytes.TrimSpace(lines.Bytes()), []byte(" "))
		if !ok && len(text) == 0 {
			continue
		}
		i := len(v.Tokens)
		token := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
		n, err := base64.StdEncoding.Decode(token, text)
		if err != nil || n == 0 {
			return Vocab{}, &VocabError{"Tokens", i, fmt.Sprintf("%.50q is no base64", text)}
		}
		if got, err := strconv.Atoi(string(rank)); err != nil || got != i {
			return Vocab{}, &VocabError{"Tokens", i, fmt.Sprintf("rank %.20q, expected %d", rank, i)}
		}
		v.Tokens = append(v.Tokens, letters(string(token[:n])))
		v.Types = append(v.Types, int32(Normal))
	}
	if err := lines.Err(); err != nil {
		return Vocab{}, fmt.Errorf("tokenizer: reading line %d: %w", len(v.Tokens)+1, err)
	}
	for _, name := range control {
		v.addControl(int32(len(v.Tokens)), name)
		v.Tokens = append(v.Tokens, name)
		v.Types = append(v.Types, int32(Control))
	}
	return v, v.check()
}

// addControl notes the part that a control token of Llama 3 plays.
func (v *Vocab) addControl(id int32, name string) {
	switch name {
	case "<|begin_of_text|>":
		v.BOS = &id
	case "<|end_of_text|>":
		v.EOS = &id
	case "<|eot_id|>":
		v.EOT = &id
	case "<|eom_id|>":
		v.EOM = &id
	case "<|finetune_right_pad_id|>":
		v.PAD = &id
	}
}

// Llama31Control returns the 256 control tokens of Llama 3.1, ids 128000 to
// 128255, as Meta's model card and Hugging Face's tokenizer.json list them.
func Llama31Control() []string {
	names := map[int]string{
		0:  "<|begin_of_text|>",
		1:  "<|end_of_text|>",
		4:  "<|finetune_right_pad_id|>",
		6:  "<|start_header_id|>",
		7:  "<|end_header_id|>",
		8:  "<|eom_id|>",
		9:  "<|eot_id|>",
		10: "<|python_tag|>",
	}
	control := make([]string, 256)
	reserved := 0
	for i := range control {
		name, ok := names[i]
		if !ok {
			name = fmt.Sprintf("<|reserved_special_token_%d|>", reserved)
			reserved++
		}
		control[i] = name
	}
	return control
}

// llama3Pattern is the regular expression of Llama 3's tokenizer.json.
const llama3Pattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

// gpt2Pattern is that of GPT-2, which tokenizer.json files do not spell out.
const gpt2Pattern = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

// ReadHuggingFace reads a byte-level BPE vocabulary in the format of Hugging
// Face's tokenizer.json. Where its pre-tokenizer is none that this package has by
// name, Pattern is set. What this package cannot do, such as normalizing text, is
// an error. The ids of BOS and so on are set for Llama 3's names only: the format
// does not have them, tokenizer_config.json does.
func ReadHuggingFace(r io.Reader) (Vocab, error) {
	var file struct {
		AddedTokens []struct {
			ID                         int
			Content                    string
			SingleWord, LStrip, RStrip bool
			Special                    bool
		} `json:"added_tokens"`
		Normalizer   json.RawMessage
		PreTokenizer *hfPretokenizer `json:"pre_tokenizer"`
		Model        struct {
			Type         string
			Vocab        map[string]int
			Merges       hfMerges
			IgnoreMerges bool `json:"ignore_merges"`
			ByteFallback bool `json:"byte_fallback"`
		}
	}
	if err := json.NewDecoder(r).Decode(&file); err != nil {
		return Vocab{}, fmt.Errorf("tokenizer: reading tokenizer.json: %w", err)
	}
	m := &file.Model
	switch {
	case m.Type != "BPE":
		return Vocab{}, fmt.Errorf("tokenizer: tokenizer.json: model %q, expected BPE", m.Type)
	case m.ByteFallback:
		return Vocab{}, errors.New("tokenizer: tokenizer.json: byte_fallback, expected byte-level BPE")
	case len(file.Normalizer) > 0 && string(file.Normalizer) != "null":
		return Vocab{}, fmt.Errorf("tokenizer: tokenizer.json: normalizer %.60s, expected none", file.Normalizer)
	}

	size := 0
	for _, id := range m.Vocab {
		size = max(size, id+1)
	}
	for _, a := range file.AddedTokens {
		size = max(size, a.ID+1)
	}
	if size > maxTokens {
		return Vocab{}, &VocabError{"Tokens", -1, fmt.Sprintf("id %d, expected less than %d", size-1, maxTokens)}
	}
	v := Vocab{Tokens: make([]string, size), Types: make([]int32, size), Merges: m.Merges, IgnoreMerges: m.IgnoreMerges}
	for i := range v.Types {
		v.Types[i] = int32(Unused)
	}
	set := func(id int, token string, kind Kind) error {
		if id < 0 {
			return &VocabError{"Tokens", id, "negative id"}
		}
		v.Tokens[id], v.Types[id] = token, int32(kind)
		return nil
	}
	for token, id := range m.Vocab {
		if err := set(id, token, Normal); err != nil {
			return Vocab{}, err
		}
	}
	for _, a := range file.AddedTokens {
		kind := UserDefined
		if a.Special {
			kind = Control
			v.addControl(int32(a.ID), a.Content)
		}
		if err := set(a.ID, a.Content, kind); err != nil {
			return Vocab{}, err
		}
	}
	var err error
	v.Pre, v.Pattern, err = file.PreTokenizer.name(m.IgnoreMerges)
	if err != nil {
		return Vocab{}, err
	}
	return v, v.check()
}

type hfPretokenizer struct {
	Type             string
	Pretokenizers    []hfPretokenizer
	Pattern          struct{ Regex string }
	Behavior         string
	Invert           bool
	AddPrefixSpace   bool  `json:"add_prefix_space"`
	UseRegex         *bool `json:"use_regex"`
	IndividualDigits bool  `json:"individual_digits"`
}

// name returns the name of the pre-tokenizer or else its pattern.
func (p *hfPretokenizer) name(ignoreMerges bool) (pre, pattern string, err error) {
	if p == nil {
		return "", "", errors.New("tokenizer: tokenizer.json: no pre_tokenizer, expected ByteLevel")
	}
	steps := p.Pretokenizers
	if p.Type != "Sequence" {
		steps = []hfPretokenizer{*p}
	}
	// kinds is one letter for each step: S, D, B or b (without its own regex).
	var kinds string
	for _, s := range steps {
		switch {
		case s.Type == "Split" && s.Behavior == "Isolated" && !s.Invert && s.Pattern.Regex != "":
			kinds += "S"
			pattern = s.Pattern.Regex
		case s.Type == "Digits" && s.IndividualDigits:
			kinds += "D"
		case s.Type == "ByteLevel" && !s.AddPrefixSpace && s.UseRegex != nil && !*s.UseRegex:
			kinds += "b"
		case s.Type == "ByteLevel" && !s.AddPrefixSpace:
			kinds += "B"
		default:
			return "", "", fmt.Errorf("tokenizer: tokenizer.json: pre_tokenizer %q as given is not supported", s.Type)
		}
	}
	switch {
	case kinds == "DB" && !ignoreMerges:
		return "smollm", "", nil
	case kinds == "B" && !ignoreMerges:
		return "gpt-2", "", nil
	case kinds == "B":
		return "", gpt2Pattern, nil
	case kinds == "Sb" && pattern == llama3Pattern && ignoreMerges:
		return "llama-bpe", "", nil
	case kinds == "Sb":
		return "", pattern, nil
	}
	return "", "", errors.New("tokenizer: tokenizer.json: this sequence of pre_tokenizers is not supported")
}

// hfMerges are strings "a b" in older files and pairs ["a", "b"] in newer ones.
type hfMerges []string

func (m *hfMerges) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, (*[]string)(m)) == nil {
		return nil
	}
	var pairs [][2]string
	if err := json.Unmarshal(b, &pairs); err != nil {
		return err
	}
	*m = make(hfMerges, len(pairs))
	for i, p := range pairs {
		(*m)[i] = p[0] + " " + p[1]
	}
	return nil
}
