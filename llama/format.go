package llama

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/llama31/llama31/llama/internal/grammar"
	"github.com/llama31/llama31/tokenizer"
)

// Format is what an answer has to look like. The zero value is any text; others come from [JSONSchema], [SchemaOf], [AnyJSON],
// [Regexp] and [Grammar].
//
// The model then draws only tokens with which the answer can still match, and ends it only where it does. An answer that
// Request.MaxTokens or a stop text cuts short is the beginning of one that would match. The model is not told of the format: it
// answers better if the messages say what is wanted. An answer to which nothing can be added ends without a stop token.
//
// What is wrong with a format is an error of Generate, at once: ErrUnsupported for what this package cannot hold an answer to,
// ErrRequest for what is not understood or what no text could match. Check tells it without a model.
type Format struct {
	kind   formatKind
	source string
	err    error
	build  func() (*grammar.Grammar, error) // of formatCalls
}

type formatKind uint8

const (
	anyText formatKind = iota
	formatSchema
	formatRegexp
	formatGrammar
	formatCalls // of tools; source tells them apart
)

// JSONSchema asks for JSON that matches a schema (2020-12, as in OpenAI's structured outputs): type, enum, const, $ref within the
// schema (recursion too), allOf, anyOf, oneOf whose schemas cannot both match, not with types and single values; properties,
// required, additionalProperties, patternProperties, propertyNames, minProperties, maxProperties; items, prefixItems, minItems,
// maxItems; minLength, maxLength, pattern (RE2's syntax), format; minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf.
// Other keywords that say what is valid are ErrUnsupported; those that only describe are passed over.
//
// Properties come in the order of the schema. A schema that names properties, or elements, and does not say whether there may be
// others gets none.
func JSONSchema(schema []byte) Format { return Format{kind: formatSchema, source: string(schema)} }

// AnyJSON asks for a JSON object, whatever is in it: OpenAI's json_object.
func AnyJSON() Format { return JSONSchema([]byte(`{"type": "object"}`)) }

// Regexp asks for a text that a regular expression matches from its beginning to its end; the syntax is that of package regexp.
func Regexp(pattern string) Format { return Format{kind: formatRegexp, source: pattern} }

// Grammar asks for a text that matches a grammar in GBNF, llama.cpp's format; its rule root is what the text is.
func Grammar(gbnf string) Format { return Format{kind: formatGrammar, source: gbnf} }

// Schema is the schema of JSONSchema, SchemaOf and AnyJSON, nil of others.
func (f Format) Schema() json.RawMessage {
	if f.kind != formatSchema {
		return nil
	}
	return json.RawMessage(f.source)
}

// Check says what is wrong with a format, as Generate does.
func (f Format) Check() error {
	g, err := f.grammar()
	if err != nil || g == nil {
		return err
	}
	_, err = grammar.NewMachine(g, grammar.NewVocab(0, nil, nil))
	return formatError(err)
}

// set says that it is not any text.
func (f *Format) set() bool { return f.kind != anyText || f.err != nil }

// grammar is nil for any text.
func (f Format) grammar() (g *grammar.Grammar, err error) {
	if f.err != nil {
		return nil, f.err
	}
	switch f.kind {
	case formatSchema:
		g, err = grammar.JSONSchema([]byte(f.source))
	case formatRegexp:
		g, err = grammar.Regexp(f.source)
	case formatGrammar:
		g, err = grammar.GBNF(f.source)
	case formatCalls:
		g, err = f.build()
	}
	return g, formatError(err)
}

// formatError makes an error of package grammar one of this package.
func formatError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, grammar.ErrUnsupported):
		return fmt.Errorf("%w: format: %w", ErrUnsupported, err)
	}
	return fmt.Errorf("%w: format: %w", ErrRequest, err)
}

// formats are a model's grammars, the latest ones, so that a format that comes again has its masks.
type formats struct {
	tokenizer *tokenizer.Tokenizer
	stops     map[int32]bool

	mu     sync.Mutex
	vocab  *grammar.Vocab // nil until it is needed
	latest []cachedFormat
}

type cachedFormat struct {
	key     string
	machine *grammar.Machine
}

// mostFormats are kept. A machine takes 16 MB at most when it is not in use, most a hundredth of that.
const mostFormats = 32

// machine compiles a format; the engine's goroutine then has it. It is nil for any text.
func (c *formats) machine(f Format) (*grammar.Machine, error) {
	if !f.set() {
		return nil, nil
	}
	key := string(rune(f.kind)) + f.source
	if m := c.known(key); m != nil && f.err == nil {
		return m, nil
	}
	g, err := f.grammar()
	if err != nil {
		return nil, err
	}
	m, err := grammar.NewMachine(g, c.vocabulary())
	if err != nil {
		return nil, formatError(err)
	}
	return c.keep(key, m), nil
}

// known finds a machine, and makes it the latest.
func (c *formats) known(key string) *grammar.Machine {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, f := range c.latest {
		if f.key == key {
			copy(c.latest[1:], c.latest[:i])
			c.latest[0] = f
			return f.machine
		}
	}
	return nil
}

func (c *formats) keep(key string, m *grammar.Machine) *grammar.Machine {
	if other := c.known(key); other != nil {
		return other
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.latest) < mostFormats {
		c.latest = append(c.latest, cachedFormat{})
	}
	copy(c.latest[1:], c.latest)
	c.latest[0] = cachedFormat{key, m}
	return m
}

func (c *formats) vocabulary() *grammar.Vocab {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.vocab == nil {
		var stops []int32
		for id := range c.stops {
			stops = append(stops, id)
		}
		c.vocab = grammar.NewVocab(c.tokenizer.Size(), func(id int32) string { return grammarText(c.tokenizer, id) }, stops)
	}
	return c.vocab
}

// grammarText is a token as a grammar sees it: its bytes, or a control token's name that no text is.
func grammarText(t *tokenizer.Tokenizer, id int32) string {
	switch t.Kind(id) {
	case tokenizer.Normal, tokenizer.Byte, tokenizer.UserDefined:
		if s := t.Token(id); strings.IndexByte(s, 0xff) < 0 {
			return s
		}
	case tokenizer.Control:
		return grammar.Control(t.Token(id))
	}
	return ""
}

// constraint is where a sequence is in its format's grammar. It belongs to the engine's goroutine.
type constraint struct {
	machine *grammar.Machine // nil: any text
	state   grammar.State
	taken   int             // tokens of the sequence that state has
	from    int             // of these, such as are not matched
	head    string          // text that is matched before the others
	call    bool            // it is of a call that has begun, and then any text again
	guesses []grammar.State // after each token of the draft
}

// follow brings the state up to the sequence's tokens.
func (c *constraint) follow(s *sequence) {
	if c.taken == 0 || !c.machine.Fresh(c.state) {
		c.state, c.taken = c.machine.AdvanceText(c.machine.Start(), c.head), c.from
	}
	for ; c.taken < len(s.tokens); c.taken++ {
		c.state = c.machine.Advance(c.state, s.tokens[c.taken])
	}
}

// cut takes off the draft what does not match, from the first such token on.
func (c *constraint) cut(s *sequence) {
	if c.machine == nil {
		return
	}
	c.follow(s)
	c.guesses = append(c.guesses[:0], c.state)
	for i, id := range s.draft {
		next := c.machine.Advance(c.guesses[i], id)
		if next == grammar.Dead {
			s.draft = s.draft[:i]
			return
		}
		c.guesses = append(c.guesses, next)
	}
}

// mask gives the tokens that may follow the first i tokens of the draft; cut has seen it.
func (c *constraint) mask(i int) []uint32 {
	if c.machine == nil {
		return nil
	}
	return c.machine.Mask(c.guesses[i])
}

// beginCall holds a sequence whose answer has begun a call, by the model's own choice, to what the tool takes; and lets go of it when
// the call is complete. It reports whether it did either: guesses at further tokens were drawn without knowing of it.
func (s *sequence) beginCall() bool {
	if s.arguments == nil {
		return false
	}
	if s.format.machine != nil {
		done := s.format.complete(s)
		if done {
			s.format = constraint{guesses: s.format.guesses}
		}
		return done
	}
	name, text, ok := s.calls.inArguments()
	if !ok || len(text) == 0 || s.calls.holds() || s.text.holds() {
		return false
	}
	machine := s.arguments[name]
	if machine.AdvanceText(machine.Start(), string(text)) == grammar.Dead {
		s.arguments = nil // it is wrong already
		return false
	}
	s.format = constraint{machine: machine, from: len(s.tokens), head: string(text), call: true, guesses: s.format.guesses}
	return true
}

// lost says that the grammar is too ambiguous to go on with.
func (c *constraint) lost(s *sequence) bool {
	if c.machine == nil || !c.machine.Lost() {
		return false
	}
	c.follow(s)
	return c.state == grammar.Dead
}

// complete says that nothing can follow the sequence's tokens.
func (c *constraint) complete(s *sequence) bool {
	if c.machine == nil {
		return false
	}
	c.follow(s)
	return c.machine.Complete(c.state)
}
