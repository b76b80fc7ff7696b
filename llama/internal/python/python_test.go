package python

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestStrftime(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	const want = "Wednesday Wed 04 March 03 26 05:06:07 AM 063 % %q%"
	if got := Strftime(now, "%A %a %d %B %m %y %H:%M:%S %p %j %% %q%"); got != want {
		t.Errorf("%q, expected %q", got, want)
	}
}

// TestDumps has what json.dumps(json.loads(text), ensure_ascii=False) of Python 3.11 gives.
func TestDumps(t *testing.T) {
	for text, want := range map[string]string{
		`{"b":[1,2.50,{}],"a":null}`:     `{"b": [1, 2.5, {}], "a": null}`,
		`{"a":1,"b":2,"a":3}`:            `{"a": 3, "b": 2}`,
		`[1e16,1e-5,0.0001,-0,-0.0]`:     `[1e+16, 1e-05, 0.0001, 0, -0.0]`,
		`[12345678901234567890,1E2]`:     `[12345678901234567890, 100.0]`,
		`"\u0041\/\n\u0001\ud83d\ude00"`: `"A/\n\u0001😀"`,
		`[1e999,true]`:                   `[Infinity, true]`,
		` "<&>'" `:                       `"<&>'"`,
	} {
		v, err := ParseJSON([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := string((&Style{}).Append(nil, v)); got != want {
			t.Errorf("%s: %s, expected %s", text, got, want)
		}
	}
	v, err := ParseJSON([]byte(`{"a":["é",[],{}],"b":{"c":1}}`))
	if err != nil {
		t.Fatal(err)
	}
	const want = "{\n  \"a\": [\n    \"\\u00e9\",\n    [],\n    {}\n  ],\n  \"b\": {\n    \"c\": 1\n  }\n}"
	if got := string((&Style{Lines: true, Indent: "  ", ASCII: true}).Append(nil, v)); got != want {
		t.Errorf("indented:\n%s\nexpected\n%s", got, want)
	}
}

func TestParseErrors(t *testing.T) {
	for _, text := range []string{"", "{", "[1", `{"a"}`, "1 2", "nul", strings.Repeat("[", 101) + strings.Repeat("]", 101)} {
		if v, err := ParseJSON([]byte(text)); err == nil {
			t.Errorf("%.20q is %v, expected an error", text, v)
		}
	}
	if _, err := ParseJSON([]byte("{")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half an object: %v", err)
	}
}
