package jinja

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/llama31/llama31/llama/internal/python"
)

// variables are those of a chat of two messages.
func variables(user, assistant string) python.Object {
	message := func(role, content string) python.Object {
		return python.Object{{Key: "role", Value: role}, {Key: "content", Value: content}}
	}
	return python.Object{
		{Key: "messages", Value: []any{message("user", user), message("assistant", assistant)}},
		{Key: "tools", Value: nil},
		{Key: "bos_token", Value: "<s>"},
	}
}

var chat = variables("hi", "ho")

// hostile are templates that a file could carry to hang a program, to fill its memory or to end it.
var hostile = map[string]string{
	"long loop":          "{% for i in range(1000000000000) %}{% endfor %}",
	"nested loops":       "{% for a in range(100000) %}{% for b in range(100000) %}{% for c in range(100000) %}x{% endfor %}{% endfor %}{% endfor %}",
	"backward loop":      "{% for a in range(9223372036854775807, -9223372036854775807, -1) %}{% endfor %}",
	"repeat":             "{{ 'a' * 10000000000 }}",
	"repeat of repeat":   "{{ ('a' * 10000000) * 10000000 }}",
	"doubling":           strings.Repeat("{% set x = (x or 'aaaaaaaaaaaaaaaa') ~ (x or 'b') %}", 80) + "{{ x }}",
	"doubling by +":      strings.Repeat("{% set x = (x or 'aaaaaaaaaaaaaaaa') + (x or 'b') %}", 80) + "{{ x }}",
	"doubling in a loop": "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(100) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
	"doubling blocks":    "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(100) %}{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}{% endfor %}",
	"list of lists":      "{% set ns = namespace(x=['a']) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
	"list of lists json": "{% set ns = namespace(x=['a']) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x|tojson(indent=4) }}",
	"list of lists ==":   "{% set ns = namespace(x=['a'], y=['a']) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
	"list of lists in":   "{% set ns = namespace(x=['a']) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x in [ns.x, 1] }}{{ ns.x|unique }}",
	"joined lists":       "{% set ns = namespace(x=['a']) %}{% for i in range(100) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
	"self":               "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}",
	"self json":          "{% set ns = namespace() %}{% set ns.a = [ns] %}{{ ns|tojson }}",
	"self equal":         "{% set a = namespace() %}{% set a.a = a %}{% set b = namespace() %}{% set b.a = b %}{{ a == b }}",
	"append to self":     "{% set x = [] %}{% set y = x.append(x) %}{{ x }}",
	"macro in itself":    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
	"macro twice":        "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(90) }}",
	"macro default":      "{% macro m(a=m()) %}{% endmacro %}{{ m() }}",
	"replace":            "{% set a = 'a' * 1000000 %}{{ a|replace('a', a) }}",
	"replace nothing":    "{% set a = 'a' * 1000000 %}{{ a.replace('', a) }}",
	"join":               "{% set a = 'a' * 1000000 %}{{ range(1000000)|join(a) }}",
	"join of the same":   "{% set a = 'a' * 1000000 %}{% for i in range(100000) %}{% set x = [a, a, a, a]|join %}{% endfor %}",
	"format":             "{% set a = 'a' * 1000000 %}{% for i in range(100000) %}{% set x = '{0}{0}{0}{0}'.format(a) %}{% endfor %}",
	"indent":             "{% set a = '\n' * 1000000 %}{{ a|indent(1000) }}",
	"indent by a text":   "{% set a = '\n' * 1000000 %}{{ a|indent(a) }}",
	"json indent":        "{{ [[[[[[1]]]]]]|tojson(indent=1000000000) }}",
	"json separators":    "{{ [1,2]|tojson(separators=['a'*1000000, 'b'*1000000]) }}",
	"split":              "{% for i in range(1000000) %}{% set x = ('a' * 1000000).split('a') %}{% endfor %}",
	"slices":             "{% set a = range(1000000)|list %}{% for i in range(1000000) %}{% set b = a[1:] %}{% endfor %}",
	"characters":         "{% for c in 'a' * 30000000 %}{% for d in 'a' * 30000000 %}{% endfor %}{% endfor %}",
	"sort":               "{% for i in range(1000000) %}{% set x = range(100000)|sort(reverse=true) %}{% endfor %}",
	"strip":              "{% set a = 'a' * 1000000 %}{{ a.strip('b' * 999999 + 'a') }}",
	"power":              "{{ 10 ** 10 ** 10 ** 10 }}{{ 9 ** 99999999999 }}{{ 'x' * (9 ** 30) }}",
	"least":              "{{ -9223372036854775807 - 1 }}{{ (-9223372036854775807 - 1) // -1 }}{{ (-9223372036854775807 - 1)|abs }}{{ 'x' * ((-9223372036854775807 - 1)|abs) }}{% for i in range(10000000000) %}{% endfor %}",
	"slice bounds":       "{{ 'abc'[9223372036854775807:-9223372036854775807:-9223372036854775807] }}{{ [1,2][::9223372036854775807] }}{{ [1][::0] }}",
	"tests":              "{% for i in range(100000000) %}{{ i is divisibleby(3) and i is odd and i in [1, 2] }}{% endfor %}",
	"chained calls":      "{{ 'x'" + strings.Repeat(".strip()", 1000) + " }}{{ 'a' * 10 ** 12 }}",
	"json of a macro":    "{% macro m() %}{% endmacro %}{{ m|tojson }}",
	"print a macro":      "{% macro m() %}{% endmacro %}{{ m }}",
	"read a file":        "{% include '/etc/passwd' %}",
	"read by import":     "{% from '/etc/passwd' import a %}",
	"Go methods":         "{{ messages.Len() }}{{ messages.items.Len() }}",
	"attributes":         "{{ ''.__class__.__mro__[1].__subclasses__() }}",
	"broken":             "{% for %}{{ | }}{% endfor",
	"unclosed":           "{% macro m( %}",
	"call at the end":    "{{ f(",
	"filter at the end":  "{{ a|f(",
	"empty tags":         "{%%}{{}}{##}",
	"lone else":          "{% else %}",
	"elif in for":        "{% for a in b %}{% elif 1 %}{% endfor %}",
	"if if":              "{{ if if else if }}",
	"string escapes":     `{{ '\' }}`,
	"huge numbers":       "{{ 99999999999999999999999999 }}",
}

func TestHostile(t *testing.T) {
	for name, source := range hostile {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			tmpl, err := Parse(source)
			if err == nil {
				_, err = tmpl.Render(chat, time.Now())
			}
			runtime.ReadMemStats(&after)
			// A budget of 67 million steps and bytes takes 0.5 s here at worst; the race detector and a busy machine are slower.
			if d := time.Since(start); d > 20*time.Second {
				t.Errorf("took %v", d)
			}
			// Allocated in all, most of it garbage at once: a list of n items is 16 n bytes, and text is copied.
			if n := after.TotalAlloc - before.TotalAlloc; n > 2<<30 {
				t.Errorf("allocated %d MB", n>>20)
			}
			var e *Error
			if !errors.As(err, &e) {
				t.Errorf("error %v, expected an *Error", err)
			}
			if err != nil && (len(err.Error()) > 2000 || strings.Contains(err.Error(), "cannot be rendered") || strings.Contains(err.Error(), "cannot be read")) {
				t.Errorf("error of %d bytes: %.300s", len(err.Error()), err)
			}
		})
	}
}

func FuzzRender(f *testing.F) {
	for _, source := range hostile {
		f.Add(source, "hi <|eot_id|>")
	}
	for _, name := range []string{"llama-3.1", "llama-3", "smollm2"} {
		source, err := os.ReadFile("../../testdata/templates/" + name + ".jinja")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(source), "x")
	}
	f.Add("{{ a if b else c }}{{ (1 if 2 else 3 if 4) }}{% set a, b = 1, 'x' in messages|list %}{% for a, b in {'x': 1}.items() if a in b %}{{ loop.index }}{% break %}{% endfor %}", "")
	f.Fuzz(func(t *testing.T, source, content string) {
		watchdog := time.AfterFunc(20*time.Second, func() { panic(fmt.Sprintf("hangs: %q", source)) })
		defer watchdog.Stop()
		tmpl, err := Parse(source)
		if err == nil {
			_, err = tmpl.Render(variables(content, content), time.Now())
		}
		var e *Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("%v is no *Error", err)
		}
		if err != nil && (strings.Contains(err.Error(), "cannot be rendered") || len(err.Error()) > 1<<16) {
			t.Errorf("a panic, or %d bytes: %.500v", len(err.Error()), err)
		}
	})
}

// TestSyntax has what published templates use and gonja's parser has not, or has otherwise.
func TestSyntax(t *testing.T) {
	for source, want := range map[string]string{
		"{{ 1 if false else 2 if false else 3 }}{{ 'x' if false }}|{{ ('a' if true else 'b') + 'c' }}":                                                                                 "3|ac",
		"{{ [1 if false else 2, 3]|join('-') }}{{ {'a': 1 if true else 2}['a'] }}":                                                                                                     "2-31",
		"{{ 'A' in 'xax'|upper }} {{ 'a' in ['a', 'b'] + ['c'] and 'c' not in 'ab' }}":                                                                                                 "True True",
		"{% for k, v in {'b': 1, 'a': 2}.items() if k in ['a', 'b']|reverse|list %}{{ k }}{{ v }}{% endfor %}":                                                                         "b1a2",
		"{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m.content }}{{ loop.index }}{{ loop.last }}{% endfor %}":                                                "ho2True",
		"{% for x in [] %}{% else %}none{% endfor %}":                                                                                                                                  "none",
		`{{ 'it\'s' }}{{ "a\"b\n\\n" }}{{ '\u00e9\x41' }}`:                                                                                                                             "it'sa\"b\n\\néA",
		"{% set x = 1 %}{% for i in [1] %}{% set x = 2 %}{% endfor %}{{ x }}{% if true %}{% set x = 3 %}{% endif %}{{ x }}":                                                            "13",
		"{% set ns = namespace(n=0) %}{% for i in range(2, 8, 2) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}":                                                                    "12",
		"{% macro m(a, b='y') %}{{ a }}{{ b }}{% endmacro %}{{ m('x') }}{{ m(b='z', a=1) }}":                                                                                           "xy1z",
		"{% set t %} a {% endset %}[{{ t }}]{{ t|trim|length }}":                                                                                                                       "[ a ]1",
		"{{ messages[-1].role }}{{ messages[::-1][0]['role'] }}{{ 'héllo'[1:3] }}{{ [1,2,3][:-1] }}":                                                                                   "assistantassistantél[1, 2]",
		"{{ none }} {{ true }} {{ 1.0 }} {{ 7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 3 }} {{ 1e20 }}":                                                                                "None True 1.0 3 2 3.5 8 1e+20",
		"{{ x is defined }}{{ tools is none }}{{ x is not defined and not x }}{{ 'a' is string }}{{ {} is mapping }}":                                                                  "FalseTrueTrueTrueTrue",
		"{{ {'b': [1, 'é<'], 'a': none}|tojson }}{{ {'a': 1}|tojson(indent=2) }}{{ {'b':1,'a':2}|tojson(sort_keys=true, separators=[',', ':']) }}{{ 'é😀'|tojson(ensure_ascii=true) }}": "{\"b\": [1, \"é<\"], \"a\": null}{\n  \"a\": 1\n}{\"a\":2,\"b\":1}\"\\u00e9\\ud83d\\ude00\"",
		"{{ ['a', 1, none, {'k': 'it\\'s'}] }}{{ ('a',) }}":                                                                                                                            `['a', 1, None, {'k': "it's"}]('a',)`,
		"{{ messages|map(attribute='content')|join(',') }}{{ messages|selectattr('role', 'equalto', 'user')|list|length }}":                                                            "hi,ho1",
		"{{ 'a,b,,c'.split(',') }}{{ ' a  b '.split() }}{{ 'a,b,c'.split(',', 1)[1] }}{{ 'xxaxx'.strip('x') }}":                                                                        "['a', 'b', '', 'c']['a', 'b']b,ca",
		"{{ x.get('y') if x else messages[0].get('z', 'd') }}{{ x|default('e') }}{{ ''|default('f', true) }}":                                                                          "def",
		"a\n  {% if true %}\n  b\n  {% endif %}\nc {{- ' d ' -}} e{# x #}\nf\n":                                                                                                        "a\n  b\nc d ef",
		"{% generation %}{{ bos_token }}{% endgeneration %}":                                                                                                                           "<s>",
		"{{ 'x' ~ 1 ~ none }}{{ '%s' }}{{ '{} {a}'.format(1, a=2) }}":                                                                                                                  "x1None%s1 2",
	} {
		tmpl, err := Parse(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got, err := tmpl.Render(chat, time.Now()); err != nil || got != want {
			t.Errorf("%s: %v\n got %q\nwant %q", source, err, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		source, quoted string
	}{
		{"ok\n{% if x %}", "line 2"},
		{"ok\n{{ a b }}", "line 2"},
		{"{% include 'a' %}", "include"},
		{"{% import 'a' as a %}", "import"},
		{"{% extends '/etc/passwd' %}", "extends"},
		{"{% block a %}{% endblock %}", "block"},
		{"a\n\n{{ messages[0].content.nothing.more }}", `line 3, "{{ messages[0].content.nothing.more }}"`},
		{"{% for m in messages %}\n  {{ raise_exception('no ' + m.role) }}\n{% endfor %}", "no user"},
		{"{{ 'a' + 1 }}", "a string + an integer"},
		{"{{ nothing() }}", "cannot be called"},
		{"{{ 1 | nothing }}", "no filter"},
		{"{{ 1 is nothing }}", "no test"},
		{"{{ ''.nothing() }}", "no method"},
		{"{{ 'a", "line 1"},
		{"{{ (1 }}", "line 1"},
		{"{{ messages[0].__class__.__mro__ }}", "__class__"},
		{strings.Repeat("x", maxTemplate+1), "bytes"},
		{"{{ " + strings.Repeat("(", 1000) + strings.Repeat(")", 1000) + " }}", "brackets"},
		{strings.Repeat("{% if 1 %}", 1000) + strings.Repeat("{% endif %}", 1000), "blocks"},
		{"{{ " + strings.Repeat("not ", 10000) + "1 }}", "tokens"},
	} {
		tmpl, err := Parse(c.source)
		if err == nil {
			_, err = tmpl.Render(chat, time.Now())
		}
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.quoted) {
			t.Errorf("%.80q: %v, expected an *Error with %q", c.source, err, c.quoted)
		}
	}
}
