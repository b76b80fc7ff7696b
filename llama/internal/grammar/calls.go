package grammar

// Call is how a call of a function is written: Before, then its arguments, then After. Before may begin with Control's.
type Call struct {
	Before, After string
	Schema        []byte    // of the arguments, an object; nil: any object
	Arguments     Arguments // in place of JSON
}

// Arguments says what a call's arguments are.
type Arguments uint8

const (
	Object  Arguments = iota // JSON
	Query                    // text without a quote or a new line
	Program                  // any text
)

// Calls is the grammar of one call or several with a text between them, in brackets if they are an array. With other, a text of other
// will do in their place.
func Calls(calls []Call, open, between, close string, single bool, other *Grammar) (*Grammar, error) {
	g := &Grammar{}
	g.add("root", never)
	var all []*expr
	for _, c := range calls {
		args := never
		switch c.Arguments {
		case Query:
			args = repeat(runes(' ', '!', '#', '\\'-1, '\\'+1, 0x10ffff), 1, unlimited)
		case Program:
			args = repeat(runes(0, 0x10ffff), 1, unlimited)
		default:
			source := c.Schema
			if source == nil {
				source = []byte("true")
			}
			r, s, err := readSchema(source)
			if err != nil {
				return nil, err
			}
			w := schemaWriter{g: g, reader: r, rules: map[string]int{}, shared: map[string]*expr{}}
			object := &schema{where: "#", id: -1, types: typeObject, maxProps: unlimited, maxItems: unlimited, maxLength: unlimited}
			if args, err = w.value([]item{{s: s}, {s: object}}); err != nil {
				return nil, err
			}
		}
		all = append(all, seq(text(c.Before), args, text(c.After)))
	}
	one := ref(g.add("call", alt(all...)))
	e := one
	if !single {
		e = seq(one, star(seq(text(between), one)))
	}
	e = seq(text(open), e, text(close))
	if other != nil {
		first := len(g.rules)
		for _, r := range other.rules {
			g.add(r.name, r.body.moved(first))
		}
		e = alt(e, ref(first))
	}
	g.rules[0].body = e
	return g, nil
}

// moved refers to rules that stand n places further on.
func (e *expr) moved(n int) *expr {
	m := *e
	if e.op == opRef {
		m.rule += n
	}
	if e.subs != nil {
		m.subs = make([]*expr, len(e.subs))
		for i, s := range e.subs {
			m.subs[i] = s.moved(n)
		}
	}
	if e == empty {
		return empty
	}
	return &m
}
