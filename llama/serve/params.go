package serve

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/llama31/llama31/llama"
)

// Bounds on what a request may ask for, beyond any use.
const (
	maxTokens  = 1 << 24
	maxChoices = 128
	maxTop     = 20 // alternatives per token, as OpenAI has it
	maxStops   = 64
	maxPrompts = 2048
)

// sampling reads how tokens are to be drawn: OpenAI's fields, and those that vLLM and llama.cpp have beside. What is not said is as the
// model's file recommends.
func (m *model) readSampling(o object) *llama.Sampling {
	s := m.sampling
	if t := o.get("temperature").number(0, 2); t != nil {
		s.Temperature = t
	}
	set := func(name string, to *float64, least, most float64) {
		if x := o.get(name).number(least, most); x != nil {
			*to = *x
		}
	}
	set("top_p", &s.TopP, 0, 1)
	set("min_p", &s.MinP, 0, 1)
	set("typical_p", &s.Typical, 0, 1)
	set("frequency_penalty", &s.Frequency, -2, 2)
	set("presence_penalty", &s.Presence, -2, 2)
	set("repetition_penalty", &s.Repeat, 0, 10)
	set("repeat_penalty", &s.Repeat, 0, 10)
	if k := o.get("top_k").integer(-1, maxTokens); k != nil {
		s.TopK = int(max(0, *k)) // −1 is vLLM's word for all
	}
	if seed := o.get("seed").integer(math.MinInt64, math.MaxInt64); seed != nil {
		u := uint64(*seed)
		s.Seed = &u
	}
	s.IgnoreEOS = o.get("ignore_eos").bool()
	s.Bias = m.readBias(o.get("logit_bias"))
	return &s
}

// readBias reads biases by token id, from −100, which forbids a token, to 100.
func (m *model) readBias(v value) map[int32]float64 {
	o := v.object()
	if len(o.fields) == 0 {
		return nil
	}
	bias := map[int32]float64{}
	for name := range o.fields {
		one := o.get(name)
		id, err := strconv.ParseInt(name, 10, 32)
		if err != nil || id < 0 || m.local != nil && int(id) >= m.local.Info().Vocabulary {
			v.fail("invalid_value", "%s has a token %.20q, which is not the id of one", v.path, name)
			return nil
		}
		if x := one.need().number(-100, 100); x != nil {
			bias[int32(id)] = *x
			if *x == -100 {
				bias[int32(id)] = math.Inf(-1)
			}
		}
	}
	return bias
}

// readStop reads a text or several.
func readStop(v value) []string {
	if v.ok() && v.kind() == "a string" {
		if s := v.string(); s != "" {
			return []string{s}
		}
		return nil
	}
	if !v.ok() {
		return nil
	}
	if v.kind() != "an array" {
		v.wrongType("a string or an array of strings")
		return nil
	}
	stops := v.strings()
	if len(stops) > maxStops {
		v.fail("array_above_max_length", "%s has %d texts, expected %d at most", v.path, len(stops), maxStops)
	}
	for _, s := range stops {
		if s == "" {
			v.fail("invalid_value", "%s has an empty text", v.path)
		}
	}
	return stops
}

// readMaxTokens is the first of some fields that is there, otherwise if none is.
func readMaxTokens(o object, least int64, otherwise int, names ...string) int {
	for _, name := range names {
		if n := o.get(name).integer(least, maxTokens); n != nil {
			return int(*n)
		}
	}
	return otherwise
}

// readInt is a small number, otherwise if it is absent.
func readInt(v value, least, most int64, otherwise int) int {
	if n := v.integer(least, most); n != nil {
		return int(*n)
	}
	return otherwise
}

// readStream reads whether an answer is to come token by token, and whether its usage comes last.
func readStream(o object) (stream, usage bool) {
	options := o.get("stream_options")
	stream, usage = o.get("stream").bool(), options.object().get("include_usage").bool()
	if options.ok() && !stream {
		options.fail("invalid_value", "stream_options is for streams, and stream is not true")
	}
	return stream, usage
}

// readMessages reads a conversation.
func readMessages(v value) []llama.Message {
	list := v.need().list()
	if v.ok() && len(list) == 0 {
		v.fail("empty_array", "%s is empty, expected a message at least", v.path)
	}
	messages := make([]llama.Message, 0, len(list))
	for _, e := range list {
		if !e.ok() {
			e.wrongType("an object")
			break
		}
		messages = append(messages, readMessage(e.object()))
	}
	return messages
}

func readMessage(o object) llama.Message {
	m := llama.Message{}
	switch role := o.get("role").need().choose("user", "system", "developer", "assistant", "tool", "function", "ipython"); role {
	case "system", "developer":
		m.Role = llama.RoleSystem
	case "tool", "function", "ipython":
		m.Role, m.ToolCallID = llama.RoleTool, o.get("tool_call_id").string()
	default:
		m.Role = llama.Role(role)
	}
	m.Content = readContent(o.get("content"))
	for _, call := range o.get("tool_calls").list() {
		co := call.object()
		f := co.get("function")
		co.get("type").choose("function")
		m.ToolCalls = append(m.ToolCalls, llama.ToolCall{ID: co.get("id").string(), Name: f.need().object().get("name").need().string(), Arguments: readArguments(f.object().get("arguments"))})
	}
	if m.Role != llama.RoleAssistant && !o.get("content").ok() {
		o.get("content").need()
	}
	return m
}

// readContent is a string, or parts of text.
func readContent(v value) string {
	if !v.ok() || v.kind() == "a string" {
		return v.string()
	}
	if v.kind() != "an array" {
		v.wrongType("a string or an array of parts")
		return ""
	}
	var b strings.Builder
	for _, part := range v.list() {
		o := part.object()
		kind := o.get("type").need()
		switch kind.string() {
		case "text", "input_text", "output_text":
			b.WriteString(o.get("text").need().string())
		case "refusal":
			b.WriteString(o.get("refusal").string())
		default:
			kind.fail("unsupported_value", "%s is %.40q, expected text: the models here read nothing else", kind.path, kind.string())
		}
	}
	return b.String()
}

// readArguments are a call's: JSON in a string, or as it is.
func readArguments(v value) json.RawMessage {
	if !v.ok() {
		return nil
	}
	raw := v.raw
	if v.kind() == "a string" {
		raw = json.RawMessage(strings.TrimSpace(v.string()))
		if len(raw) == 0 {
			return nil
		}
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil {
		v.fail("invalid_value", "%s is no JSON object", v.path)
	}
	return raw
}
