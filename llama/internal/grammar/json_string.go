package grammar

import (
	"fmt"
	"slices"
)

// strings gathers what schemas say of a string: its length, and the automata that it has to match.
func gatherStrings(items []item) (least, most int, dfas []*dfa) {
	most = unlimited
	for _, i := range items {
		least = max(least, i.s.minLength)
		most = fewer(most, i.s.maxLength)
		for _, d := range i.s.strings {
			if !slices.Contains(dfas, d) {
				dfas = append(dfas, d)
			}
		}
	}
	return least, most, dfas
}

// fewer is the smaller of two limits.
func fewer(a, b int) int {
	if a == unlimited || b != unlimited && b < a {
		return b
	}
	return a
}

func (w *schemaWriter) string(items []item, not []any) (*expr, error) {
	least, most, dfas := gatherStrings(items)
	var texts []string
	for _, v := range not {
		if s, ok := v.(string); ok {
			texts = append(texts, s)
		}
	}
	if len(texts) > 0 {
		dfas = append(dfas, oneOfDFA(texts).complement())
	}
	if len(dfas) == 0 {
		return w.free(least, most), nil
	}
	k := fmt.Sprintf("string %d %d %p %q", least, most, dfas, texts)
	if e := w.shared[k]; e != nil {
		return e, nil
	}
	d := intersectAll(dfas, least, most)
	if d == nil {
		return nil, tooLarge(where(items))
	}
	e := ref(w.g.add("string", quoted(d)))
	w.shared[k] = e
	return e, nil
}

// quoted is a JSON string of what an automaton matches.
func quoted(d *dfa) *expr {
	return seq(text(`"`), &expr{op: opDFA, dfa: d, json: true}, text(`"`))
}

// intersectAll matches what all do, in texts of so many characters; nil if that is too large.
func intersectAll(dfas []*dfa, least, most int) *dfa {
	d := dfas[0]
	for _, o := range dfas[1:] {
		if d = d.intersect(o); d == nil {
			return nil
		}
	}
	if least > 0 || most != unlimited {
		if max(least, most) > maxDFA/4 {
			return nil
		}
		d = d.intersect(lengthDFA(least, most))
	}
	return d
}

// free is a JSON string of so many characters.
func (w *schemaWriter) free(least, most int) *expr {
	k := fmt.Sprint("free ", least, most)
	if e := w.shared[k]; e != nil {
		return e
	}
	e := ref(w.g.add("string", seq(text(`"`), repeat(jsonChar, least, most), text(`"`))))
	w.shared[k] = e
	return e
}

// jsonChar is a character of a JSON string, as itself or as an escape. Surrogates come in pairs.
var jsonChar = func() *expr {
	hex := runes('0', '9', 'A', 'F', 'a', 'f')
	any := repeat(hex, 2, 2)
	return alt(
		runes(' ', '"'-1, '"'+1, '\\'-1, '\\'+1, 0x10ffff),
		seq(text(`\`), alt(
			runes('"', '"', '/', '/', '\\', '\\', 'b', 'b', 'f', 'f', 'n', 'n', 'r', 'r', 't', 't'),
			seq(text("u"), alt(
				seq(runes('0', '9', 'A', 'C', 'E', 'F', 'a', 'c', 'e', 'f'), hex, any),
				seq(runes('D', 'D', 'd', 'd'), runes('0', '7'), any),
				seq(runes('D', 'D', 'd', 'd'), runes('8', '9', 'A', 'B', 'a', 'b'), any, text(`\u`), runes('D', 'D', 'd', 'd'), runes('C', 'F', 'c', 'f'), any),
			)),
		)),
	)
}()

// space is white space between the parts of an array or object: a blank, or a new line with its indentation, or none. A model that
// likes it cannot go on with it for ever.
func (w *schemaWriter) space() *expr {
	e := w.shared["space"]
	if e == nil {
		e = ref(w.g.add("space", optional(alt(text(" "), seq(text("\n"), repeat(runes('\t', '\t', ' ', ' '), 0, 20))))))
		w.shared["space"] = e
	}
	return e
}

// comma and colon are what separates.
func (w *schemaWriter) comma() *expr { return seq(text(","), w.space()) }
func colon() *expr                   { return seq(text(":"), optional(text(" "))) }
