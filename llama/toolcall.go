package llama

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/llama31/llama31/llama/internal/python"
)

// callStyle is how a model writes calls, as its chat template has them.
type callStyle struct {
	open, close string // around each, or around an array of them; "" where the answer begins with the call
	arguments   string // the key of the arguments, of which the other is understood too
	after       string // what comes between two calls
	array       bool   // calls are written as an array
}

// The styles. Llama 3.1 writes
//
//	{"name": "get_weather", "parameters": {"location": "Paris"}}
//	<|python_tag|>brave_search.call(query="...")
//	<|python_tag|>import math ...
//
// the last if code_interpreter is among the tools; its argument is "code". Hermes, Qwen and others write the first inside of
// <tool_call>, and Mistral an array after [TOOL_CALLS].
var (
	llamaCalls   = callStyle{arguments: "parameters", after: "; "}
	hermesCalls  = callStyle{open: "<tool_call>", close: "</tool_call>", arguments: "arguments", after: "\n"}
	mistralCalls = callStyle{open: "[TOOL_CALLS]", arguments: "arguments", array: true}
)

const pythonTag = "<|python_tag|>"

// ToolCallDelta is a piece of a call as it is generated.
type ToolCallDelta struct {
	Index     int    // of the call in the answer, from 0 on
	ID, Name  string // in the first piece of a call only
	Arguments string // the next piece of the arguments' JSON
}

// callReader finds the calls in an answer while it is generated, and tells content from them. Text that may yet be a call is held
// back; once it names a tool of the request and its arguments begin, it is one, and they come piece by piece. In Llama 3.1's style an
// answer begins with its calls, or has none but after <|python_tag|>: prose about a call, or JSON that is not one, is content. Several
// calls have a semicolon or white space between them, or make an array. "arguments" is taken for "parameters" and the other way round,
// arguments may be JSON in a string, and keys such as "type" are passed over.
type callReader struct {
	style callStyle
	tools []Tool
	id    func(i int) string

	mode   callMode
	held   []byte
	tagged bool // <|python_tag|> came before held
	opened bool // style.open came before held
	array  bool // inside [
	args   jsonEnd
	begun  []byte // arguments, of the call that is under way
	call   ToolCall
	deltas []ToolCallDelta // since the last take
	calls  []ToolCall      // complete
}

type callMode uint8

const (
	callStart   callMode = iota // what comes may be a call
	callArgs                    // in a call's arguments
	callRest                    // behind them, up to the call's own }
	callClose                   // behind the call, before style.close
	callCode                    // in Python
	callContent                 // no more calls, but after a mark
)

// mostHeld is how much text may be held back before it is content.
const mostHeld = 1 << 16

func newCallReader(style callStyle, tools []Tool, id func(i int) string) *callReader {
	r := &callReader{style: style, tools: tools, id: id}
	if style.open != "" {
		r.mode = callContent
	}
	return r
}

// text takes the next text of the answer and appends to dst what of it is content.
func (r *callReader) text(dst []byte, text []byte) []byte {
	r.held = append(r.held, text...)
	return r.read(dst, false)
}

// mark takes a control token.
func (r *callReader) mark(dst []byte, name string) []byte {
	switch {
	case name == pythonTag && r.style.open == "":
		if r.mode == callArgs || r.mode == callRest {
			return dst
		}
		if dst = r.read(dst, false); r.mode == callContent || r.mode == callCode || len(python.Strip(string(r.held))) > 0 && !strings.HasPrefix(python.Strip(string(r.held)), ";") {
			dst = r.end(dst, true)
		}
		r.held, r.mode, r.tagged = r.held[:0], callStart, true
	case r.style.open != "" && (name == r.style.open || name == r.style.close):
		return r.text(dst, []byte(name))
	}
	return dst
}

// end takes the end of the answer. A call that is not complete is left out.
func (r *callReader) end(dst []byte, more bool) []byte {
	dst = r.read(dst, true)
	if r.mode == callCode {
		r.code(true)
	}
	if !more {
		r.mode = callContent
	}
	return dst
}

// take gives what there is to tell of calls.
func (r *callReader) take() []ToolCallDelta {
	d := r.deltas
	r.deltas = nil
	return d
}

// read goes on with held, as far as it can be decided on; at the end of the answer all of it.
func (r *callReader) read(dst []byte, end bool) []byte {
	for {
		var again bool
		switch r.mode {
		case callContent:
			dst, again = r.content(dst, end)
		case callStart:
			dst, again = r.start(dst, end)
		case callArgs:
			n, done := r.args.next(r.held)
			r.argue(string(r.held[:n]))
			r.held = r.held[:copy(r.held, r.held[n:])]
			if again = done; done {
				r.finish()
				r.mode = callRest
			}
		case callRest:
			again = r.rest()
		case callClose:
			dst, again = r.closed(dst, end)
		case callCode:
			r.code(false)
		}
		if !again {
			mark := r.mode == callStart && r.opened && !r.array // with nothing behind it
			if end && (len(r.held) > 0 || mark) && r.mode != callCode && r.mode != callArgs && r.mode != callRest {
				dst = r.give(dst)
			}
			return dst
		}
	}
}

// give makes content of what is held; white space at calls is none.
func (r *callReader) give(dst []byte) []byte {
	if r.opened {
		dst = append(dst, r.style.open...)
	}
	if len(r.calls) == 0 || r.opened || len(bytes.TrimSpace(r.held)) > 0 {
		dst = append(dst, r.held...)
	}
	r.held, r.opened, r.tagged, r.mode = r.held[:0], false, false, callContent
	return dst
}

// content looks for a mark.
func (r *callReader) content(dst []byte, end bool) ([]byte, bool) {
	if r.style.open == "" {
		dst = append(dst, r.held...)
		r.held = r.held[:0]
		return dst, false
	}
	if i := bytes.Index(r.held, []byte(r.style.open)); i >= 0 {
		dst = append(dst, bytes.TrimRight(r.held[:i], " \t\r\n")...)
		r.held = r.held[:copy(r.held, r.held[i+len(r.style.open):])]
		r.mode, r.opened, r.array = callStart, true, false
		return dst, true
	}
	if end {
		return dst, false
	}
	keep := 0
	for n := min(len(r.style.open)-1, len(r.held)); n > 0; n-- {
		if bytes.HasSuffix(r.held, []byte(r.style.open[:n])) {
			keep = n
			break
		}
	}
	// White space before a mark is no content.
	n := len(bytes.TrimRight(r.held[:len(r.held)-keep], " \t\r\n"))
	dst = append(dst, r.held[:n]...)
	r.held = r.held[:copy(r.held, r.held[n:])]
	return dst, false
}

// start looks whether a call begins.
func (r *callReader) start(dst []byte, end bool) ([]byte, bool) {
	text := r.held
	for len(text) > 0 && (strings.IndexByte(" \t\r\n", text[0]) >= 0 || len(r.calls) > 0 && (text[0] == ';' || r.array && text[0] == ',')) {
		text = text[1:]
	}
	switch {
	case len(text) == 0:
		return dst, false
	case text[0] == '[' && !r.array && (len(r.calls) == 0 || r.opened):
		if head, err := r.head(text[1:]); err == errNoCall && len(bytes.TrimSpace(text[1:])) > 0 {
			return r.noCall(dst), true
		} else if head == nil {
			return dst, false
		}
		r.held = r.held[:copy(r.held, text[1:])]
		r.array = true
		return dst, true
	case text[0] == ']' && r.array:
		r.held = r.held[:copy(r.held, text[1:])]
		r.array = false
		if r.style.open != "" {
			r.mode = callClose
		}
		return dst, true
	}
	head, err := r.head(text)
	switch {
	case head != nil:
		r.begin(head.name)
		r.held = r.held[:copy(r.held, text[head.from:])]
		if head.arguments != "" {
			r.argue(head.arguments)
			r.finish()
			r.mode = callClose
		} else {
			r.args = jsonEnd{}
			r.mode = callArgs
		}
		return dst, true
	case err == errNoCall:
		// name.call(...), which is read when all of it is there.
		if !r.array && r.style.open == "" && r.maybeBuiltin(text) {
			if !end {
				return dst, false
			}
			p := callParser{tools: r.tools}
			if p.all(string(text)) {
				for _, c := range p.calls {
					r.begin(c.Name)
					r.argue(string(c.Arguments))
					r.finish()
				}
				r.held = r.held[:0]
				return dst, false
			}
		}
		return r.noCall(dst), true
	case end || len(text) > mostHeld:
		return r.noCall(dst), true
	}
	return dst, false
}

// noCall makes content of what is held, or Python after <|python_tag|>.
func (r *callReader) noCall(dst []byte) []byte {
	if builtin, _ := splitTools(r.tools); r.tagged && slices.Contains(builtin, "code_interpreter") {
		r.held = r.held[:copy(r.held, bytes.TrimLeft(r.held, " \t\r\n"))]
		r.begin("code_interpreter")
		r.argue(`{"code": "`)
		r.mode, r.tagged = callCode, false
		return dst
	}
	r.array = false
	if r.opened { // what comes behind the mark may have another
		r.opened, r.mode = false, callContent
		return append(dst, r.style.open...)
	}
	r.tagged, r.mode = false, callContent
	return dst
}

// rest passes over what a call's object has behind the arguments.
func (r *callReader) rest() bool {
	i := 0
	var inside jsonEnd
	inside.depth = 1
	n, done := inside.next(r.held[i:])
	if !done {
		return false
	}
	r.held = r.held[:copy(r.held, r.held[n:])]
	r.mode = callClose
	return true
}

// closed looks for style.close, and then for the next call.
func (r *callReader) closed(dst []byte, end bool) ([]byte, bool) {
	if r.array || r.style.open == "" {
		r.mode = callStart
		return dst, true
	}
	if text := bytes.TrimLeft(r.held, " \t\r\n"); r.style.close != "" && !end {
		if len(text) < len(r.style.close) && strings.HasPrefix(r.style.close, string(text)) {
			return dst, false
		}
		if bytes.HasPrefix(text, []byte(r.style.close)) {
			r.held = r.held[:copy(r.held, text[len(r.style.close):])]
		}
	} else if r.style.close != "" && bytes.HasPrefix(text, []byte(r.style.close)) {
		r.held = r.held[:copy(r.held, text[len(r.style.close):])]
	}
	r.mode, r.opened = callContent, false
	return dst, len(r.held) > 0
}

// code takes Python, but for white space that may be the last.
func (r *callReader) code(end bool) {
	n := len(bytes.TrimRight(r.held, " \t\r\n"))
	quoted := (&python.Style{}).AppendString(nil, string(r.held[:n]))
	r.argue(string(quoted[1 : len(quoted)-1]))
	r.held = r.held[:copy(r.held, r.held[n:])]
	if end {
		r.argue(`"}`)
		r.finish()
		r.held, r.mode = r.held[:0], callContent
	}
}

func (r *callReader) begin(name string) {
	i := len(r.calls)
	r.call, r.begun = ToolCall{ID: r.id(i), Name: name}, nil
	r.deltas = append(r.deltas, ToolCallDelta{Index: i, ID: r.call.ID, Name: name})
}

func (r *callReader) argue(text string) {
	if text == "" {
		return
	}
	r.begun = append(r.begun, text...)
	i := len(r.calls)
	if n := len(r.deltas); n > 0 && r.deltas[n-1].Index == i {
		r.deltas[n-1].Arguments += text
		return
	}
	r.deltas = append(r.deltas, ToolCallDelta{Index: i, Arguments: text})
}

// finish completes a call.
func (r *callReader) finish() {
	r.call.Arguments = bytes.Clone(bytes.TrimSpace(r.begun))
	r.calls = append(r.calls, r.call)
	r.opened, r.tagged = false, false
}

// inArguments says whose arguments are under way, and what there is of them.
func (r *callReader) inArguments() (name string, so []byte, ok bool) {
	return r.call.Name, r.begun, r.mode == callArgs
}

// holds says that text is held back.
func (r *callReader) holds() bool { return len(r.held) > 0 }

// callHead is the beginning of a call's object: up to its arguments, or all of it where they come before the name or in a string.
type callHead struct {
	name      string
	arguments string // "" if they are yet to come
	from      int    // where they begin, or what is behind the object
}

var errNoCall = errors.New("no call")

// head reads the head of a call. Without an error and a head, more text decides.
func (r *callReader) head(text []byte) (*callHead, error) {
	at := 0
	space := func() {
		for at < len(text) && strings.IndexByte(" \t\r\n", text[at]) >= 0 {
			at++
		}
	}
	// value reads a whole one; nil if it is not all there.
	value := func() (json.RawMessage, error) {
		d := json.NewDecoder(bytes.NewReader(text[at:]))
		var v json.RawMessage
		err := d.Decode(&v)
		switch {
		case err == io.ErrUnexpectedEOF || err == io.EOF:
			return nil, nil
		case err != nil:
			return nil, errNoCall
		}
		at += int(d.InputOffset())
		if at == len(text) && v[0] != '"' && v[0] != '{' {
			return nil, nil // a number may go on
		}
		return v, nil
	}
	next := func(b byte) (bool, error) {
		if space(); at == len(text) {
			return false, nil
		}
		if text[at] != b {
			return false, errNoCall
		}
		at++
		return true, nil
	}
	if ok, err := next('{'); !ok {
		return nil, err
	}
	var h callHead
	for {
		if space(); at < len(text) && text[at] != '"' {
			return nil, errNoCall
		}
		k, err := value()
		if k == nil {
			return nil, err
		}
		var key string
		if json.Unmarshal(k, &key) != nil {
			return nil, errNoCall
		}
		if ok, err := next(':'); !ok {
			return nil, err
		}
		if space(); at == len(text) {
			return nil, nil
		}
		switch key {
		case "name":
			v, err := value()
			if v == nil {
				return nil, err
			}
			if json.Unmarshal(v, &h.name) != nil || !slices.ContainsFunc(r.tools, func(t Tool) bool { return t.Name == h.name }) {
				return nil, errNoCall
			}
		case "parameters", "arguments":
			if text[at] == '{' && h.name != "" && h.arguments == "" {
				h.from = at
				return &h, nil
			}
			v, err := value()
			if v == nil {
				return nil, err
			}
			var inner string
			if json.Unmarshal(v, &inner) == nil && v[0] == '"' {
				v = json.RawMessage(inner)
			}
			if string(v) == "null" {
				v = json.RawMessage("{}")
			}
			if o, err := python.ParseJSON(v); err != nil {
				return nil, errNoCall
			} else if _, ok := o.(python.Object); !ok {
				return nil, errNoCall
			}
			h.arguments = string(bytes.TrimSpace(v))
		case "type", "id":
			if v, err := value(); v == nil {
				return nil, err
			}
		default:
			return nil, errNoCall
		}
		if space(); at == len(text) {
			return nil, nil
		}
		switch text[at] {
		case ',':
			at++
		case '}':
			if h.name == "" || h.arguments == "" {
				return nil, errNoCall
			}
			h.from = at + 1
			return &h, nil
		default:
			return nil, errNoCall
		}
	}
}

// maybeBuiltin says that a text begins, or may turn out to begin, with a call of a built-in tool.
func (r *callReader) maybeBuiltin(text []byte) bool {
	return slices.ContainsFunc(r.tools, func(t Tool) bool {
		begin := t.Name + ".call("
		n := min(len(begin), len(text))
		return slices.Contains(builtinTools, t.Name) && string(text[:n]) == begin[:n]
	})
}

// jsonEnd finds the end of a JSON object.
type jsonEnd struct {
	depth           int
	quoted, escaped bool
}

// next reads text and gives how much of it belongs to the object, and whether that ends it.
func (e *jsonEnd) next(text []byte) (n int, done bool) {
	for i, c := range text {
		switch {
		case e.escaped:
			e.escaped = false
		case e.quoted:
			e.escaped = c == '\\'
			e.quoted = c != '"'
		case c == '"':
			e.quoted = true
		case c == '{' || c == '[':
			e.depth++
		case c == '}' || c == ']':
			if e.depth--; e.depth == 0 {
				return i + 1, true
			}
		}
	}
	return len(text), false
}

// callParser reads calls of built-in tools.
type callParser struct {
	tools []Tool
	calls []ToolCall
}

// all reads calls up to the end of the text.
func (p *callParser) all(text string) bool {
	for {
		text = strings.TrimLeftFunc(text, func(r rune) bool { return python.IsSpace(r) || r == ';' && len(p.calls) > 0 })
		if text == "" {
			return len(p.calls) > 0
		}
		n := p.builtin(text)
		if n == 0 {
			return false
		}
		text = text[n:]
	}
}

// builtin reads name.call(key="value", ...). A value ends at a quote that the next key, or the bracket and then a semicolon or the
// end follow: the model does not escape quotes.
func (p *callParser) builtin(text string) int {
	name, rest, ok := strings.Cut(text, ".call(")
	if !ok || !slices.Contains(builtinTools, name) || !slices.ContainsFunc(p.tools, func(t Tool) bool { return t.Name == name }) {
		return 0
	}
	var args python.Object
	for {
		rest = strings.TrimLeftFunc(rest, python.IsSpace)
		key, value, ok := strings.Cut(rest, `="`)
		if !ok || key == "" || !isIdentifier(key) {
			return 0
		}
		end, after := -1, 0
		for i := range len(value) {
			if value[i] != '"' || i > 0 && value[i-1] == '\\' {
				continue
			}
			if after = endOfValue(value[i+1:]); after > 0 {
				end = i
				break
			}
		}
		if end < 0 {
			return 0
		}
		args = append(args, python.Field{Key: key, Value: strings.ReplaceAll(value[:end], `\"`, `"`)})
		last := value[end+after] == ')'
		rest = value[end+1+after:]
		if last {
			break
		}
	}
	p.calls = append(p.calls, ToolCall{Name: name, Arguments: (&python.Style{}).Append(nil, args)})
	return len(text) - len(rest)
}

// endOfValue is the length of what ends a value behind its quote: a bracket and nothing or a semicolon after it, or a comma and a key
// after it, which are not counted. It is 0 if the value goes on.
func endOfValue(text string) int {
	trimmed := strings.TrimLeftFunc(text, python.IsSpace)
	n := len(text) - len(trimmed) + 1
	switch {
	case strings.HasPrefix(trimmed, ")"):
		if rest := python.Strip(trimmed[1:]); rest == "" || rest[0] == ';' {
			return n
		}
	case strings.HasPrefix(trimmed, ","):
		if key, _, ok := strings.Cut(python.Strip(trimmed[1:min(len(trimmed), 200)]), `="`); ok && isIdentifier(key) {
			return n
		}
	}
	return 0
}

func isIdentifier(s string) bool {
	return s != "" && len(s) < 100 && strings.IndexFunc(s, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
}

// callID is the id of a call: another for each call of a conversation, the same for the same seed.
func callID(seed uint64, choice, prompt, i int) string {
	c := philox([4]uint32{uint32(i), uint32(prompt), uint32(choice), 1}, seed)
	return fmt.Sprintf("call_%08x%08x", c[0], c[1])
}
