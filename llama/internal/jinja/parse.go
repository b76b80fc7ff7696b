package jinja

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	gonja "github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/parser"
	"github.com/nikolalohinski/gonja/v2/tokens"
)

// parse reads the source. gonja's parser gets tokens of which we have
//
//   - counted how deep they nest, for it parses recursively,
//   - made conditional expressions calls, a if b else c being ?if(b, a, c), as it has them at the end of a tag only,
//   - put brackets around what follows "in", of which it takes one name or literal only,
//   - taken the string literals, whose escapes it undoes by way of Go's, in which \' is an error.
func (t *Template) parse() error {
	cfg := gonja.New()
	cfg.TrimBlocks, cfg.LeftStripBlocks = true, true
	var toks, out []*tokens.Token
	stream := tokens.LexAll(t.source, cfg)
	for !stream.End() {
		toks = append(toks, stream.Next())
	}
	if last := stream.Current(); last.Type == tokens.Error {
		return &positionError{min(last.Pos, len(t.source)), errors.New(last.Val)}
	}
	for i := 0; i < len(toks); i++ {
		out = append(out, toks[i])
		if toks[i].Type != tokens.VariableBegin && toks[i].Type != tokens.BlockBegin {
			continue
		}
		end := i + 1
		for end < len(toks) && toks[end].Type != tokens.VariableEnd && toks[end].Type != tokens.BlockEnd {
			end++
		}
		tag := toks[i+1 : end]
		if len(tag) > maxTagTokens {
			return at(toks[i], fmt.Errorf("%d tokens in a tag, expected at most %d", len(tag), maxTagTokens))
		}
		keyword := ""
		if toks[i].Type == tokens.BlockBegin && len(tag) > 0 {
			out, keyword, tag = append(out, tag[0]), tag[0].Val, tag[1:]
		}
		tag, err := t.rewrite(tag, keyword == "for", 0)
		if err != nil {
			return at(toks[i], err)
		}
		out = append(out, tag...)
		i = end - 1
	}
	if err := checkBlocks(out); err != nil {
		return err
	}
	root, err := parser.NewParser("chat_template", tokens.NewStream(out), cfg, nil, tags{}).Parse()
	var syntax *parser.SyntaxError
	if errors.As(err, &syntax) {
		return &positionError{t.offset(syntax.Line, syntax.Column), errors.New(syntax.Message)}
	}
	if err != nil {
		return err
	}
	t.root = root.Nodes
	return nil
}

// checkBlocks checks that blocks are not too deep in each other, and are closed, which gonja notices at the end of the source.
func checkBlocks(toks []*tokens.Token) error {
	var open []*tokens.Token
	for i, tok := range toks {
		if tok.Type != tokens.BlockBegin || i+1 == len(toks) {
			continue
		}
		switch name := toks[i+1]; name.Val {
		case "if", "for", "macro", "generation", "set":
			block := true
			for _, in := range toks[i+1:] {
				block = block && in.Type != tokens.Assign
				if in.Type == tokens.BlockEnd {
					break
				}
			}
			if block || name.Val != "set" {
				open = append(open, name)
			}
		case "endif", "endfor", "endmacro", "endgeneration", "endset":
			if len(open) == 0 || "end"+open[len(open)-1].Val != name.Val {
				return at(name, fmt.Errorf("%s where nothing of the kind is open", name.Val))
			}
			open = open[:len(open)-1]
		}
		if len(open) > maxBlockDepth {
			return at(tok, fmt.Errorf("more than %d blocks in each other", maxBlockDepth))
		}
	}
	if n := len(open); n > 0 {
		return at(open[n-1], fmt.Errorf("%s without end%s", open[n-1].Val, open[n-1].Val))
	}
	return nil
}

// offset is the byte of a place as gonja counts.
func (t *Template) offset(line, column int) int {
	start := 0
	for range line - 1 {
		i := strings.IndexByte(t.source[start:], '\n')
		if i < 0 {
			break
		}
		start += i + 1
	}
	return min(start+max(0, column-1), len(t.source))
}

func at(tok *tokens.Token, err error) error {
	if _, ok := err.(*positionError); ok || err == nil || tok == nil {
		return err
	}
	return &positionError{tok.Pos, err}
}

var opening = map[tokens.Type]tokens.Type{
	tokens.LeftParenthesis: tokens.RightParenthesis, tokens.LeftBracket: tokens.RightBracket, tokens.LeftBrace: tokens.RightBrace,
}

// rewrite changes the tokens of an expression, or of several with commas and such between. In the tag "for" the outermost "if" is no
// conditional expression and the outermost "in" no operator.
func (t *Template) rewrite(toks []*tokens.Token, loop bool, depth int) ([]*tokens.Token, error) {
	if depth > maxTagDepth {
		return nil, fmt.Errorf("more than %d brackets in each other", maxTagDepth)
	}
	var out, segment []*tokens.Token
	for i := 0; i < len(toks); i++ {
		tok := toks[i]
		switch tok.Type {
		case tokens.String:
			t.strings = append(t.strings, unescape(tok.Val))
			tok = &tokens.Token{Type: tokens.String, Val: strconv.Itoa(len(t.strings) - 1), Pos: tok.Pos, Line: tok.Line, Col: tok.Col}
		case tokens.Comma, tokens.Colon, tokens.Assign:
			out = append(append(out, expression(segment, loop)...), tok)
			segment = nil
			continue
		case tokens.LeftParenthesis, tokens.LeftBracket, tokens.LeftBrace:
			end, open := i, 0
			for ; end < len(toks); end++ {
				if _, ok := opening[toks[end].Type]; ok {
					open++
				} else if toks[end].Type == tokens.RightParenthesis || toks[end].Type == tokens.RightBracket || toks[end].Type == tokens.RightBrace {
					if open--; open == 0 {
						break
					}
				}
			}
			if end == len(toks) {
				return nil, at(tok, errors.New("a bracket is not closed"))
			}
			inner, err := t.rewrite(toks[i+1:end], false, depth+1)
			if err != nil {
				return nil, err
			}
			// A bracket with what is in it stays one segment, so that commas in it separate nothing here.
			segment = append(append(append(segment, tok), inner...), toks[end])
			i = end
			continue
		}
		segment = append(segment, tok)
	}
	return append(out, expression(segment, loop)...), nil
}

// outside calls f with every token that is in no bracket.
func outside(toks []*tokens.Token, f func(i int, tok *tokens.Token)) {
	open := 0
	for i, tok := range toks {
		switch tok.Type {
		case tokens.RightParenthesis, tokens.RightBracket, tokens.RightBrace:
			open--
		}
		if open == 0 {
			f(i, tok)
		}
		if _, ok := opening[tok.Type]; ok {
			open++
		}
	}
}

// expression rewrites one expression whose brackets are done.
func expression(toks []*tokens.Token, loop bool) []*tokens.Token {
	if loop {
		in, where := -1, len(toks)
		outside(toks, func(i int, tok *tokens.Token) {
			if tok.Type == tokens.In && in < 0 {
				in = i
			}
			if tok.Type == tokens.Name && tok.Val == "if" && in >= 0 && where == len(toks) {
				where = i
			}
		})
		if in < 0 {
			return toks // a name, with others behind a comma
		}
		out := append(slices.Clone(toks[:in+1]), expression(toks[in+1:where], false)...)
		if where < len(toks) {
			out = append(append(out, toks[where]), expression(toks[where+1:], false)...)
		}
		return out
	}
	mark := func(tok *tokens.Token, kind tokens.Type, val string) *tokens.Token {
		return &tokens.Token{Type: kind, Val: val, Pos: tok.Pos, Line: tok.Line, Col: tok.Col}
	}
	condition, otherwise := -1, -1
	outside(toks, func(i int, tok *tokens.Token) {
		if tok.Type == tokens.Name && tok.Val == "if" && condition < 0 {
			condition = i
		}
		if tok.Type == tokens.Name && tok.Val == "else" && condition >= 0 && otherwise < 0 {
			otherwise = i
		}
	})
	if condition > 0 {
		tok, end := toks[condition], len(toks)
		if otherwise >= 0 {
			end = otherwise
		}
		out := []*tokens.Token{mark(tok, tokens.Name, "?if"), mark(tok, tokens.LeftParenthesis, "(")}
		out = append(append(out, expression(toks[condition+1:end], false)...), mark(tok, tokens.Comma, ","))
		out = append(out, expression(toks[:condition], false)...)
		if otherwise >= 0 {
			out = append(append(out, mark(tok, tokens.Comma, ",")), expression(toks[otherwise+1:], false)...)
		}
		return append(out, mark(tok, tokens.RightParenthesis, ")"))
	}

	var out []*tokens.Token
	var open *tokens.Token
	ends := []tokens.Type{tokens.And, tokens.Or, tokens.Is, tokens.In, tokens.Equals, tokens.Ne, tokens.LowerThan, tokens.LowerThanOrEqual, tokens.GreaterThan, tokens.GreaterThanOrEqual}
	outer := make([]bool, len(toks))
	outside(toks, func(i int, _ *tokens.Token) { outer[i] = true })
	for i, tok := range toks {
		if open != nil && outer[i] && (slices.Contains(ends, tok.Type) || tok.Type == tokens.Not) {
			out, open = append(out, mark(open, tokens.RightParenthesis, ")")), nil
		}
		out = append(out, tok)
		if outer[i] && tok.Type == tokens.In {
			open = tok
			out = append(out, mark(open, tokens.LeftParenthesis, "("))
		}
	}
	if open != nil {
		out = append(out, mark(open, tokens.RightParenthesis, ")"))
	}
	return out
}

// unescape undoes the escapes of a Python string literal.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if n := strings.IndexByte(`abfnrtv\'"`, s[i]); n >= 0 {
			b.WriteByte("\a\b\f\n\r\t\v\\'\""[n])
			continue
		}
		digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[i]]
		if digits > 0 && i+digits < len(s) {
			if r, err := strconv.ParseUint(s[i+1:i+1+digits], 16, 32); err == nil && utf8.ValidRune(rune(r)) {
				b.WriteRune(rune(r))
				i += digits
				continue
			}
		}
		b.WriteByte('\\')
		b.WriteByte(s[i])
	}
	return b.String()
}

// tags are what stands between {% and %}. There is no include, import, extends or block.
type tags struct{}

func (tags) Get(name string) (parser.ControlStructureParser, bool) {
	var parse func(p, args *parser.Parser, at *tokens.Token) (nodes.ControlStructure, error)
	switch name {
	case "if":
		parse = parseIf
	case "for":
		parse = parseFor
	case "set":
		parse = parseSet
	case "macro":
		parse = parseMacro
	case "generation": // of transformers: marks what the assistant said
		parse = parseGeneration
	case "break", "continue":
		parse = func(_, _ *parser.Parser, at *tokens.Token) (nodes.ControlStructure, error) {
			return &jumpTag{tag{at}, name == "break"}, nil
		}
	default:
		return nil, false
	}
	return func(p, args *parser.Parser) (nodes.ControlStructure, error) {
		from := args.Current()
		if from.Type == tokens.EOF { // a tag without anything else
			from = p.Current()
		}
		cs, err := parse(p, args, from)
		if err == nil && !args.End() {
			err = args.Error("unexpected in the tag "+name, args.Current())
		}
		return cs, err
	}, true
}

type tag struct{ token *tokens.Token }

func (t *tag) Position() *tokens.Token { return t.token }
func (t *tag) String() string          { return "tag" }

type (
	ifTag struct {
		tag
		conditions []nodes.Expression
		bodies     []*nodes.Wrapper // one more if there is an else
	}
	forTag struct {
		tag
		names        []string
		items, where nodes.Expression
		body, empty  *nodes.Wrapper
	}
	setTag struct {
		tag
		targets []nodes.Expression
		value   nodes.Expression
		body    *nodes.Wrapper
	}
	macroTag struct {
		tag
		name     string
		names    []string
		defaults []nodes.Expression
		body     *nodes.Wrapper
	}
	generationTag struct {
		tag
		body *nodes.Wrapper
	}
	jumpTag struct {
		tag
		leave bool
	}
)

func parseIf(p, args *parser.Parser, at *tokens.Token) (nodes.ControlStructure, error) {
	t := &ifTag{tag: tag{at}}
	for {
		condition, err := args.ParseExpression()
		if err != nil {
			return nil, err
		}
		if !args.End() {
			return nil, args.Error("unexpected in a condition", args.Current())
		}
		t.conditions = append(t.conditions, condition)
		body, next, err := p.WrapUntil("elif", "else", "endif")
		if err != nil {
			return nil, err
		}
		t.bodies = append(t.bodies, body)
		switch body.EndTag {
		case "endif":
			return t, nil
		case "else":
			if body, _, err = p.WrapUntil("endif"); err != nil {
				return nil, err
			}
			t.bodies = append(t.bodies, body)
			return t, nil
		}
		args = next
	}
}

func parseFor(p, args *parser.Parser, at *tokens.Token) (nodes.ControlStructure, error) {
	t := &forTag{tag: tag{at}}
	bracket := args.Match(tokens.LeftParenthesis)
	for {
		name := args.Match(tokens.Name)
		if name == nil {
			return nil, args.Error("expected the name of a variable", args.Current())
		}
		t.names = append(t.names, name.Val)
		if args.Match(tokens.Comma) == nil {
			break
		}
	}
	if bracket != nil && args.Match(tokens.RightParenthesis) == nil {
		return nil, args.Error("expected )", args.Current())
	}
	if args.Match(tokens.In) == nil {
		return nil, args.Error("expected in", args.Current())
	}
	var err error
	if t.items, err = args.ParseExpression(); err != nil {
		return nil, err
	}
	if args.MatchName("if") != nil {
		if t.where, err = args.ParseExpression(); err != nil {
			return nil, err
		}
	}
	if !args.End() {
		return nil, args.Error("unexpected in a loop", args.Current())
	}
	if t.body, _, err = p.WrapUntil("else", "endfor"); err != nil {
		return nil, err
	}
	if t.body.EndTag == "else" {
		t.empty, _, err = p.WrapUntil("endfor")
	}
	return t, err
}

func parseSet(p, args *parser.Parser, at *tokens.Token) (nodes.ControlStructure, error) {
	t := &setTag{tag: tag{at}}
	for {
		target, err := args.ParseVariableOrLiteral()
		if err != nil {
			return nil, err
		}
		switch target.(type) {
		case *nodes.Name, *nodes.GetAttribute:
		default:
			return nil, args.Error("expected a variable to set", at)
		}
		t.targets = append(t.targets, target)
		if args.Match(tokens.Comma) == nil {
			break
		}
	}
	var err error
	if args.Match(tokens.Assign) == nil {
		if !args.End() {
			return nil, args.Error("expected =", args.Current())
		}
		t.body, _, err = p.WrapUntil("endset")
		return t, err
	}
	t.value, err = args.ParseExpression()
	if err == nil && args.Match(tokens.Comma) != nil {
		array := []nodes.Expression{t.value}
		for err == nil && !args.End() {
			var more nodes.Expression
			more, err = args.ParseExpression()
			array = append(array, more)
			if args.Match(tokens.Comma) == nil {
				break
			}
		}
		t.value = &nodes.Tuple{Location: at, Val: array}
	}
	return t, err
}

func parseMacro(p, args *parser.Parser, at *tokens.Token) (nodes.ControlStructure, error) {
	t := &macroTag{tag: tag{at}}
	name := args.Match(tokens.Name)
	if name == nil || args.Match(tokens.LeftParenthesis) == nil {
		return nil, args.Error("expected the name of a macro and (", args.Current())
	}
	t.name = name.Val
	for args.Match(tokens.RightParenthesis) == nil {
		param := args.Match(tokens.Name)
		if param == nil {
			return nil, args.Error("expected the name of a parameter", args.Current())
		}
		var value nodes.Expression
		if args.Match(tokens.Assign) != nil {
			var err error
			if value, err = args.ParseExpression(); err != nil {
				return nil, err
			}
		}
		t.names, t.defaults = append(t.names, param.Val), append(t.defaults, value)
		if args.Match(tokens.Comma) == nil && args.Current(tokens.RightParenthesis) == nil {
			return nil, args.Error("expected , or )", args.Current())
		}
	}
	var err error
	t.body, _, err = p.WrapUntil("endmacro")
	return t, err
}

func parseGeneration(p, _ *parser.Parser, at *tokens.Token) (nodes.ControlStructure, error) {
	body, _, err := p.WrapUntil("endgeneration")
	return &generationTag{tag{at}, body}, err
}
