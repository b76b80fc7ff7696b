package grammar

import (
	"errors"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
)

// byteVocab has the 256 bytes, a stop token, and some longer tokens.
func byteVocab(more ...string) *Vocab {
	return NewVocab(257+len(more), func(id int32) string {
		switch {
		case id < 256:
			return string([]byte{byte(id)})
		case id == 256:
			return "<stop>"
		}
		return more[id-257]
	}, []int32{256})
}

func machine(t testing.TB, g *Grammar, err error) *Machine {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewMachine(g, byteVocab())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// takes says whether a text matches, and whether the beginning of it does.
func takes(m *Machine, text string) (match, prefix bool) {
	s := m.AdvanceText(m.Start(), text)
	return m.Ends(s), s != Dead
}

func TestGBNF(t *testing.T) {
	for _, c := range []struct {
		grammar string
		yes, no string // texts with | between; ~ is the empty one
	}{
		{`root ::= "yes" | "no"`, "yes|no", "~|ye|yesno|maybe"},
		{"root ::= a{2,3} # comment\na ::= [ab]\n", "aa|aba|bbb", "a|aaaa|ac"},
		{`root ::= "a"{3}`, "aaa", "aa|aaaa"},
		{`root ::= "a"{2,}`, "aa|aaaaaaaaa", "a|~"},
		{`root ::= "ab"*`, "~|ab|abab", "a|aba"},
		{"root ::= ( \"a\" |\n \"b\" )+ \"c\"?", "a|abc|bbac", "c|acc"},
		{`root ::= [^\n"]+`, "hello|ä😀", "~"},
		{`root ::= [\u00e4\x41-\x43\U0001F600]+ "\u00e9" "\n"?`, "äé|ABC😀é", "Dé|é"},
		{`root ::= "(" root ")" | ""`, "~|()|((()))", "(|)(|(()"},
		{`root ::= expr
expr ::= term (("+"|"-") term)*
term ::= num | "(" expr ")"
num ::= [0-9]+`, "1|1+2|(1-(22))+3", "1+|()|(1"},
		{`root ::= ("a"?){0,1000000}`, "~|a|aaaa", "b"},
		{`root ::= ("a"?){3,5}`, "~|a|aaaaa", "aaaaaa"},
		{`root ::= (x y){2,100} z
x ::= "x"?
y ::= "y"*
z ::= "z"`, "z|xz|xyyxz", "x|xzz"},
		{`root ::= ("a"{1,100} ","){2,300}`, "a,a,|aaa,a,a,", "a,|a,,"},
		{`root ::= .`, "a|ä|😀", "ab|~"},
		{`root ::= [a-]+ [\]\[]`, "a-]|--[", "b]"},
		{"root ::= a b\r\na ::= \"a\"\r\nb ::= \"b\"", "ab", "a"},
		{`root ::= "a"{0} "b"`, "b", "ab"},
		{"root ::= root | a | \"x\"\na ::= b \"!\" | c\nb ::= \"y\"\nc ::= root | \"z\" | c", "x|y!|z", "~|y|xx"},
	} {
		g, err := GBNF(c.grammar)
		m := machine(t, g, err)
		for _, text := range strings.Split(c.yes, "|") {
			text = strings.TrimPrefix(text, "~")
			if ok, _ := takes(m, text); !ok {
				t.Errorf("%s: %q is refused", c.grammar, text)
			}
		}
		for _, text := range strings.Split(c.no, "|") {
			text = strings.TrimPrefix(text, "~")
			if ok, _ := takes(m, text); ok {
				t.Errorf("%s: %q is taken", c.grammar, text)
			}
		}
	}
}

func TestGBNFErrors(t *testing.T) {
	for source, want := range map[string]error{
		"":                                      ErrSyntax,
		`root ::= a`:                            ErrSyntax,
		`a ::= "a"`:                             ErrSyntax,
		`root := "a"`:                           ErrSyntax,
		`root ::= "a`:                           ErrSyntax,
		`root ::= [a`:                           ErrSyntax,
		`root ::= [b-a]`:                        ErrSyntax,
		`root ::= ("a"`:                         ErrSyntax,
		`root ::= "a")`:                         ErrSyntax,
		`root ::= "a"{2,1}`:                     ErrSyntax,
		`root ::= "a"{99999999999}`:             ErrSyntax,
		`root ::= "\q"`:                         ErrSyntax,
		`root ::= "\ud800"`:                     ErrSyntax,
		"root ::= \"a\"\n\nroot":                ErrSyntax,
		`root ::= root "a" | "b"`:               ErrUnsupported,
		`root ::= "a"? root "b" | "c"`:          ErrUnsupported,
		`root ::= <think>`:                      ErrUnsupported,
		"root ::= a\na ::= b\nb ::= a":          ErrImpossible, // nothing ends
		`root ::= "a" root`:                     ErrImpossible,
		"root ::= []":                           ErrImpossible,
		"root ::= " + strings.Repeat("(", 1000): ErrSyntax,
	} {
		g, err := GBNF(source)
		if err == nil {
			_, err = NewMachine(g, byteVocab())
		}
		if !errors.Is(err, want) {
			t.Errorf("%.60q: %v, expected %v", source, err, want)
		}
	}
}

// TestRegexp compares with package regexp, on texts that are nearly matches.
func TestRegexp(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, pattern := range []string{
		`a|b*`, `(ab|a)(c|bcd)(d*)`, `[a-z]{2,5}\d+`, `(?i)hello wörld`, `\bword\b \w+`, `^a$|^b+$`, `x*?y+?`, `.`, `(?s).+`, `[^a-c]{3}`,
		`a\B.\b`, `(?m)^a$\n^b`, `\p{L}+`, `(a?){10}a{3}`, `[a-z]{1,200}`, `\x{1F600}-?`, `(a|b)*a(a|b){20}`, ``,
	} {
		want := regexp.MustCompile(`\A(?:` + pattern + `)\z`)
		g, err := Regexp(pattern)
		m := machine(t, g, err)
		yes := 0
		for range 3000 {
			text := sample(r, m, 40)
			if r.IntN(2) == 0 && len(text) > 0 { // and spoil it
				runes := []rune(text)
				i := r.IntN(len(runes))
				runes[i] = []rune("ab c\nä_1")[r.IntN(8)]
				text = string(runes)
			}
			match, _ := takes(m, text)
			if match != want.MatchString(text) {
				t.Fatalf("%s: %q: %v, expected %v", pattern, text, match, !match)
			}
			if match {
				yes++
			}
		}
		if yes < 300 {
			t.Errorf("%s: %d of 3000 texts match", pattern, yes)
		}
	}
	for pattern, want := range map[string]error{
		`(`: ErrSyntax, `a**`: ErrSyntax, `(?=a)`: ErrUnsupported, `a{1000000000}`: ErrSyntax, `\1`: ErrSyntax, `[^\x00-\x{10FFFF}]`: ErrImpossible, `a\bb`: ErrImpossible,
	} {
		g, err := Regexp(pattern)
		if err == nil {
			_, err = NewMachine(g, byteVocab())
		}
		if err == nil || !errors.Is(err, want) && want != ErrSyntax {
			t.Errorf("%s: %v, expected %v", pattern, err, want)
		}
	}
}

// sample draws a text by the machine's masks, ending it soon after most characters.
func sample(r *rand.Rand, m *Machine, most int) string {
	s := m.Start()
	var text []byte
	for {
		mask := m.Mask(s)
		if m.Complete(s) || m.Ends(s) && (len(text) >= most || r.IntN(most/4) == 0) {
			return string(text)
		}
		var ids []int32
		for id := range int32(m.vocab.size) {
			if Allows(mask, id) && m.vocab.text(id) != "" {
				ids = append(ids, id)
			}
		}
		id := ids[r.IntN(len(ids))]
		if r.IntN(8) > 0 { // mostly printable ones
			for range 8 {
				if id < 0x7f && id > ' ' {
					break
				}
				id = ids[r.IntN(len(ids))]
			}
		}
		if s = m.Advance(s, id); s == Dead {
			panic("the mask has a token that does not match")
		}
		text = append(text, m.vocab.text(id)...)
		if len(text) > 10*most {
			return string(text)
		}
	}
}

// TestMasks compares masks with the tokens tried one by one, on a vocabulary of random pieces.
func TestMasks(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	grammars := []string{
		`root ::= "\"" ([^"\\] | "\\" ["\\n])* "\"" ("," root)?`,
		`root ::= "[" item ("," item){2,40} "]"
item ::= [a-c]{3,60} | root`,
		`root ::= [ab]{25,90} ("," [ab]{30,})*`,
		`root ::= (("a" | "ab") ("b" | "")){2,50} "."`,
		`root ::= x{21,22} "\u00e4"*
x ::= "a" | "b" x`,
	}
	for _, source := range grammars {
		var more []string
		for range 300 {
			n := 1 + r.IntN(8)
			if r.IntN(4) == 0 {
				n = 15 + r.IntN(30)
			}
			var b strings.Builder
			for range n {
				b.WriteString([]string{"a", "b", "c", ",", "[", "]", "\"", "ä", "\\"}[r.IntN([]int{2, 3, 9}[r.IntN(3)])])
			}
			more = append(more, b.String())
		}
		more = append(more, "\xff", "\xffx", Control("x"))
		g, err := GBNF(source)
		if err != nil {
			t.Fatal(err)
		}
		m, err := NewMachine(g, byteVocab(more...))
		if err != nil {
			t.Fatal(err)
		}
		for range 60 {
			s := m.Start()
			for range 30 {
				mask := m.Mask(s)
				var ids []int32
				for id := range int32(m.vocab.size) {
					want := m.Advance(s, id) != Dead
					if id == 256 {
						want = m.Ends(s)
					}
					if Allows(mask, id) != want {
						t.Fatalf("%s: %s: token %d, %q: %v", source, m, id, m.vocab.text(id), Allows(mask, id))
					}
					if want && id != 256 {
						ids = append(ids, id)
					}
				}
				if len(ids) == 0 {
					break
				}
				s = m.Advance(s, ids[r.IntN(len(ids))])
			}
		}
	}
}

// TestHostile has grammars that would take all memory or time elsewhere.
func TestHostile(t *testing.T) {
	start := time.Now()
	for _, source := range []string{
		`root ::= "a"{1,1000000000}`,
		`root ::= ((("a"{0,1000000000}){0,1000000000}){0,1000000000}){0,1000000000} "b"`,
		`root ::= ("a" | "aa" | "aaa"){5,2000000000}`,
		`root ::= (a | b)* ` + "\na ::= \"x\" a | \"x\"\nb ::= \"x\" b | \"x\" a",
		`root ::= [a-z]{1000} [a-z]{2000000}`,
		`root ::= ("a"* "a"* "a"*){2,100000}`,
	} {
		g, err := GBNF(source)
		if err != nil {
			t.Error(err)
			continue
		}
		m, err := NewMachine(g, byteVocab(strings.Repeat("a", 50), strings.Repeat("x", 100)))
		if err != nil {
			t.Log(source, err)
			continue
		}
		s := m.Start()
		for range 300 {
			m.Mask(s)
			s = m.AdvanceText(s, "a")
		}
		if m.bytes > lostBytes+lostBytes/4 {
			t.Errorf("%s: %d bytes", source, m.bytes)
		}
		t.Logf("%s: %s, %v", source, m, time.Since(start))
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("%v", d)
	}
}
