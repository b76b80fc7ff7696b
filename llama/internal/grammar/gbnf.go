package grammar

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// GBNF is a grammar in llama.cpp's format (https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md):
//
//	root   ::= answer ("," " "? answer){0,9}   # the rule to match
//	answer ::= "yes" | "no" | [a-zA-Z_\u00E4]+ | [^\n]
//
// Names are of letters, digits and dashes. A rule ends with its line, but for lines that end in | or are inside brackets. A character
// in text or [] may be written \n, \r, \t, \\, \", \[, \], \xHH, \uHHHH or \UHHHHHHHH; a dot is any character. Of two rules of one
// name the second counts. Rules that begin with themselves are refused, as there, and so are references to tokens (<think>).
func GBNF(source string) (*Grammar, error) {
	p := gbnf{source: source, g: &Grammar{}, ids: map[string]int{}}
	p.id("root") // comes first
	p.space(true)
	for p.rest() != "" {
		if err := p.rule(); err != nil {
			return nil, err
		}
	}
	for i, defined := range p.defined {
		if !defined {
			return nil, &Error{ErrSyntax, "rule " + p.g.rules[i].name, "it is referred to and not defined"}
		}
	}
	return p.g, nil
}

// maxNesting is how deep brackets may nest.
const maxNesting = 200

type gbnf struct {
	source  string
	at      int
	g       *Grammar
	ids     map[string]int
	defined []bool
	depth   int
}

func (p *gbnf) rest() string { return p.source[p.at:] }

func (p *gbnf) fail(format string, args ...any) error {
	line := 1 + strings.Count(p.source[:p.at], "\n")
	return &Error{ErrSyntax, fmt.Sprint("line ", line), fmt.Sprintf(format, args...)}
}

// peek is the next byte, 0 at the end.
func (p *gbnf) peek() byte {
	if p.at < len(p.source) {
		return p.source[p.at]
	}
	return 0
}

// space passes over white space and comments, over ends of lines too if newlines.
func (p *gbnf) space(newlines bool) {
	for p.at < len(p.source) {
		switch c := p.source[p.at]; {
		case c == ' ' || c == '\t' || newlines && (c == '\n' || c == '\r'):
			p.at++
		case c == '#':
			for p.at < len(p.source) && p.source[p.at] != '\n' && p.source[p.at] != '\r' {
				p.at++
			}
		default:
			return
		}
	}
}

func (p *gbnf) name() string {
	start := p.at
	for c := p.peek(); c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'; c = p.peek() {
		p.at++
	}
	return p.source[start:p.at]
}

// id is a rule's number; a rule that is only referred to matches nothing until it is defined.
func (p *gbnf) id(name string) int {
	id, ok := p.ids[name]
	if !ok {
		id = p.g.add(name, never)
		p.ids[name] = id
		p.defined = append(p.defined, false)
	}
	return id
}

func (p *gbnf) rule() error {
	name := p.name()
	if name == "" {
		return p.fail("expected a rule's name, found %.10q", p.rest())
	}
	p.space(false)
	if !strings.HasPrefix(p.rest(), "::=") {
		return p.fail("expected ::= after %q, found %.10q", name, p.rest())
	}
	p.at += len("::=")
	p.space(true)
	body, err := p.alternatives(false)
	if err != nil {
		return err
	}
	if c := p.peek(); c != 0 && c != '\n' && c != '\r' {
		return p.fail("expected the end of rule %q, found %.10q", name, p.rest())
	}
	id := p.id(name)
	p.g.rules[id].body, p.defined[id] = body, true
	p.space(true)
	return nil
}

func (p *gbnf) alternatives(nested bool) (*expr, error) {
	var all []*expr
	for {
		s, err := p.sequence(nested)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
		if p.peek() != '|' {
			return alt(all...), nil
		}
		p.at++
		p.space(true)
	}
}

func (p *gbnf) sequence(nested bool) (*expr, error) {
	var all []*expr
	for {
		var e *expr
		var err error
		switch c := p.peek(); {
		case c == '"':
			e, err = p.text()
		case c == '[':
			e, err = p.class()
		case c == '.':
			p.at++
			e = runes(0, utf8.MaxRune)
		case c == '(':
			if p.depth++; p.depth > maxNesting {
				return nil, p.fail("brackets nested more than %d deep", maxNesting)
			}
			p.at++
			p.space(true)
			if e, err = p.alternatives(true); err == nil && p.peek() != ')' {
				err = p.fail("expected ), found %.10q", p.rest())
			}
			p.at++
			p.depth--
		case c == '<' || c == '!':
			return nil, &Error{ErrUnsupported, fmt.Sprint("line ", 1+strings.Count(p.source[:p.at], "\n")), "a reference to a token; text is matched, not tokens"}
		default:
			name := p.name()
			if name == "" {
				return seq(all...), nil
			}
			e = ref(p.id(name))
		}
		if err != nil {
			return nil, err
		}
		p.space(nested)
		for {
			min, max, ok, err := p.repetition()
			if err != nil {
				return nil, err
			}
			if !ok {
				break
			}
			e = repeat(e, min, max)
			p.space(nested)
		}
		all = append(all, e)
	}
}

// repetition reads *, +, ? or {}.
func (p *gbnf) repetition() (min, max int, ok bool, err error) {
	switch p.peek() {
	case '*':
		min, max = 0, unlimited
	case '+':
		min, max = 1, unlimited
	case '?':
		min, max = 0, 1
	case '{':
		end := strings.IndexByte(p.rest(), '}')
		if end < 0 {
			return 0, 0, false, p.fail("a { without }")
		}
		least, most, comma := strings.Cut(p.rest()[1:end], ",")
		least, most = strings.TrimSpace(least), strings.TrimSpace(most)
		number := func(s string) int {
			n, e := strconv.ParseUint(s, 10, 31)
			if e != nil || n > maxCount {
				err = p.fail("a repetition of %.20q, expected {m}, {m,} or {m,n}", p.rest()[:end+1])
			}
			return int(n)
		}
		if min = number(least); !comma {
			max = min
		} else if most == "" {
			max = unlimited
		} else if max = number(most); max < min && err == nil {
			err = p.fail("a repetition of %d to %d", min, max)
		}
		p.at += end
	default:
		return 0, 0, false, nil
	}
	p.at++
	return min, max, err == nil, err
}

func (p *gbnf) text() (*expr, error) {
	p.at++
	var b []byte
	for p.peek() != '"' {
		r, err := p.char()
		if err != nil {
			return nil, err
		}
		b = utf8.AppendRune(b, r)
	}
	p.at++
	return text(string(b)), nil
}

func (p *gbnf) class() (*expr, error) {
	p.at++
	not := p.peek() == '^'
	if not {
		p.at++
	}
	var list []dfaEdge
	for p.peek() != ']' {
		lo, err := p.char()
		if err != nil {
			return nil, err
		}
		hi := lo
		if rest := p.rest(); len(rest) > 1 && rest[0] == '-' && rest[1] != ']' {
			p.at++
			if hi, err = p.char(); err != nil {
				return nil, err
			}
			if hi < lo {
				return nil, p.fail("a range from %q to %q", lo, hi)
			}
		}
		list = append(list, dfaEdge{lo, hi, 0})
	}
	p.at++
	slices.SortFunc(list, func(a, b dfaEdge) int { return int(a.lo - b.lo) })
	var in, out []rune
	next := rune(0)
	for _, e := range list {
		if e.lo > next {
			out = append(out, next, e.lo-1)
		}
		if e.hi >= next {
			in = append(in, max(e.lo, next), e.hi)
			next = e.hi + 1
		}
	}
	if next <= utf8.MaxRune {
		out = append(out, next, utf8.MaxRune)
	}
	if not {
		in = out
	}
	return runes(in...), nil
}

// char reads a character of a text or a class.
func (p *gbnf) char() (rune, error) {
	rest := p.rest()
	if rest == "" {
		return 0, p.fail("a text or class without an end")
	}
	if rest[0] != '\\' {
		r, n := utf8.DecodeRuneInString(rest)
		if r == utf8.RuneError && n == 1 {
			return 0, p.fail("the byte %#x is no UTF-8", rest[0])
		}
		p.at += n
		return r, nil
	}
	if len(rest) < 2 {
		return 0, p.fail("a \\ at the end")
	}
	digits := 0
	switch rest[1] {
	case 'n', 'r', 't':
		p.at += 2
		return map[byte]rune{'n': '\n', 'r': '\r', 't': '\t'}[rest[1]], nil
	case '\\', '"', '[', ']', '-', '^':
		p.at += 2
		return rune(rest[1]), nil
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	}
	if digits == 0 || len(rest) < 2+digits {
		return 0, p.fail("the escape %.3q, expected \\n, \\r, \\t, \\\\, \\\", \\[, \\], \\xHH, \\uHHHH or \\UHHHHHHHH", rest)
	}
	n, err := strconv.ParseUint(rest[2:2+digits], 16, 32)
	if err != nil || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
		return 0, p.fail("the escape %q is no character", rest[:2+digits])
	}
	p.at += 2 + digits
	return rune(n), nil
}
