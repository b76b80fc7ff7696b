package grammar

import (
	"regexp/syntax"
	"unicode"
)

// Regexp is the grammar of a regular expression in RE2's syntax, which a text is to match as a whole.
func Regexp(pattern string) (*Grammar, error) {
	re, err := parseRegexp(pattern, "")
	if err != nil {
		return nil, err
	}
	g := &Grammar{}
	g.add("root", never)
	d, err := regexpDFA(re, "")
	if err == nil {
		g.rules[0].body = &expr{op: opDFA, dfa: d}
	} else if g.rules[0].body, err = regexpExpr(re, ""); err != nil { // as it stands, which may have fewer states
		return nil, err
	}
	return g, nil
}

// regexpExpr writes a regular expression as an expression of a grammar. Assertions are not supported.
func regexpExpr(re *syntax.Regexp, where string) (*expr, error) {
	var subs []*expr
	for _, s := range re.Sub {
		e, err := regexpExpr(s, where)
		if err != nil {
			return nil, err
		}
		subs = append(subs, e)
	}
	switch re.Op {
	case syntax.OpNoMatch:
		return never, nil
	case syntax.OpEmptyMatch:
		return empty, nil
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase == 0 {
			return text(string(re.Rune)), nil
		}
		for _, r := range re.Rune {
			subs = append(subs, runes(folds(r)...))
		}
		return seq(subs...), nil
	case syntax.OpCharClass:
		return runes(re.Rune...), nil
	case syntax.OpAnyCharNotNL:
		return runes(0, '\n'-1, '\n'+1, 0x10ffff), nil
	case syntax.OpAnyChar:
		return runes(0, 0x10ffff), nil
	case syntax.OpCapture:
		return subs[0], nil
	case syntax.OpStar:
		return star(subs[0]), nil
	case syntax.OpPlus:
		return repeat(subs[0], 1, unlimited), nil
	case syntax.OpQuest:
		return optional(subs[0]), nil
	case syntax.OpRepeat:
		return repeat(subs[0], re.Min, re.Max), nil
	case syntax.OpConcat:
		return seq(subs...), nil
	case syntax.OpAlternate:
		return alt(subs...), nil
	}
	return nil, &Error{ErrUnsupported, where, "an expression with the assertion " + re.String() + " that is this large"}
}

// folds are the ranges of a character in upper and lower case.
func folds(r rune) []rune {
	all := []rune{r, r}
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		all = append(all, f, f)
	}
	return all
}
