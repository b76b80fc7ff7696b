package serve

import (
	"errors"
	"regexp"
	"strings"

	"github.com/llama31/llama31/llama"
)

// formatting reads what an answer has to look like, which requests say in one of several ways.
type formatting struct {
	format llama.Format
	from   value // what said it
}

func (f *formatting) set(from value, format llama.Format) {
	if f.from.ok() {
		from.fail("invalid_value", "%s and %s both say what the answer looks like", f.from.path, from.path)
	}
	f.format, f.from = format, from
}

// schema takes a JSON schema. One that is not strict and has keywords that cannot be held to asks for any JSON.
func (f *formatting) schema(from value, strict bool) {
	if !from.is("an object") {
		return
	}
	format := llama.JSONSchema(from.raw)
	if !strict && errors.Is(format.Check(), llama.ErrUnsupported) {
		format = llama.AnyJSON()
	}
	f.set(from, format)
}

// named takes OpenAI's response_format, whose schema is inside of json_schema, or text.format of responses, whose is not, or Anthropic's.
func (f *formatting) named(v value) {
	if !v.ok() {
		return
	}
	o := v.object()
	kind := o.get("type").need().choose("text", "json_object", "json_schema", "grammar", "regex")
	switch kind {
	case "json_object":
		f.set(v, llama.AnyJSON())
	case "json_schema":
		if o.get("json_schema").ok() {
			o = o.get("json_schema").object()
			o.get("name").string()
		}
		f.schema(o.get("schema").need(), o.get("strict").bool())
	case "grammar", "regex":
		f.text(o.get(kind).need(), map[string]func(string) llama.Format{"grammar": llama.Grammar, "regex": llama.Regexp}[kind])
	}
}

func (f *formatting) text(v value, format func(string) llama.Format) {
	if v.is("a string") {
		f.set(v, format(v.string()))
	}
}

func (f *formatting) choice(v value) {
	if !v.ok() {
		return
	}
	choices := v.strings()
	if len(choices) == 0 {
		v.fail("empty_array", "%s is empty, expected a text at least", v.path)
	}
	for i, c := range choices {
		choices[i] = regexp.QuoteMeta(c)
	}
	f.set(v, llama.Regexp(strings.Join(choices, "|")))
}

// extensions takes vLLM's structured_outputs and guided_…, and llama.cpp's grammar and json_schema.
func (f *formatting) extensions(o object) {
	s := o.get("structured_outputs").object()
	for _, v := range []value{o.get("guided_json"), s.get("json"), o.get("json_schema")} {
		if v.ok() && v.kind() == "a string" { // vLLM takes the schema's text, too
			v.raw = []byte(v.string())
			if _, d := decode(v.raw); d.wrong != nil {
				v.fail("invalid_value", "%s is no JSON schema", v.path)
			}
		}
		f.schema(v, true)
	}
	if v := s.get("json_object"); v.bool() {
		f.set(v, llama.AnyJSON())
	}
	f.text(o.get("guided_regex"), llama.Regexp)
	f.text(s.get("regex"), llama.Regexp)
	f.text(o.get("guided_grammar"), llama.Grammar)
	f.text(s.get("grammar"), llama.Grammar)
	f.text(o.get("grammar"), llama.Grammar)
	f.choice(o.get("guided_choice"))
	f.choice(s.get("choice"))
}

// read checks the format, so that what is wrong with it is told with its field's name.
func (f *formatting) read() llama.Format {
	if f.from.ok() && f.from.d.wrong == nil {
		if err := f.format.Check(); err != nil {
			f.from.fail("invalid_format", "%s: %s", f.from.path, strings.TrimPrefix(err.Error(), "llama: "))
		}
	}
	return f.format
}

// readFormat reads the format of chats and completions.
func readFormat(o object) llama.Format {
	f := &formatting{}
	f.named(o.get("response_format"))
	f.extensions(o)
	return f.read()
}

// readNamedFormat reads the first format of some that is there.
func readNamedFormat(among ...value) llama.Format {
	f := &formatting{}
	for _, v := range among {
		f.named(v)
	}
	return f.read()
}
