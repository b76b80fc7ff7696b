package grammar

import (
	"errors"
	"strings"
	"sync"
)

// formats are those of JSON Schema that are enforced, as regular expressions for what RFC 3339, 4122, 5321, 1123, 2673, 4291 and 3986
// describe, or a part of that: a generated text has to be right, not every right text possible.
var formats = map[string]string{
	"date":          dateRegexp,
	"time":          timeRegexp,
	"date-time":     dateRegexp + `T` + timeRegexp,
	"duration":      `P([0-9]{1,6}W|[0-9]{1,6}D(T` + hoursRegexp + `)?|[0-9]{1,6}M([0-9]{1,6}D)?(T` + hoursRegexp + `)?|[0-9]{1,6}Y([0-9]{1,6}M([0-9]{1,6}D)?)?(T` + hoursRegexp + `)?|T` + hoursRegexp + `)`,
	"uuid":          `[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}`,
	"email":         `[A-Za-z0-9_%+-]{1,20}(\.[A-Za-z0-9_%+-]{1,20}){0,2}@` + hostRegexp,
	"hostname":      hostRegexp,
	"ipv4":          ipv4Regexp,
	"ipv6":          ipv6Regexp(),
	"uri":           `[a-z][a-z0-9+.-]{0,20}://` + hostRegexp + `(:[1-9][0-9]{0,3})?` + pathRegexp,
	"uri-reference": `(/` + charRegexp + `{1,60}){1,8}/?(\?` + charRegexp + `*)?(#` + charRegexp + `*)?`,
	"json-pointer":  `(/([^/~]|~[01])*)*`,
}

const (
	dateRegexp = `([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))` +
		`|([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)`
	timeRegexp  = `([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])`
	hoursRegexp = `([0-9]{1,6}H([0-9]{1,6}M([0-9]{1,6}S)?)?|[0-9]{1,6}M([0-9]{1,6}S)?|[0-9]{1,6}S)`
	// A name has at most 253 letters; these have 8 labels of 30.
	labelRegexp = `[A-Za-z0-9]([A-Za-z0-9-]{0,28}[A-Za-z0-9])?`
	hostRegexp  = labelRegexp + `(\.` + labelRegexp + `){0,6}\.[A-Za-z]{2,20}`
	byteRegexp  = `(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])`
	ipv4Regexp  = byteRegexp + `(\.` + byteRegexp + `){3}`
	charRegexp  = `([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})`
	pathRegexp  = `(/` + charRegexp + `*)*(\?(` + charRegexp + `|[/?])*)?(#(` + charRegexp + `|[/?])*)?`
)

// ipv6Regexp writes :: for some of the eight groups, or none.
func ipv6Regexp() string {
	const group = `[0-9a-fA-F]{1,4}`
	all := []string{`(` + group + `:){7}` + group}
	for before := range 8 { // groups in front of ::, and at most 7-before behind
		s := `::`
		if before > 0 {
			s = group + strings.Repeat(`:`+group, before-1) + `::`
		}
		if after := 7 - before; after > 0 {
			rest := group
			for range after - 1 {
				rest = group + `(:` + rest + `)?`
			}
			s += `(` + rest + `)?`
		}
		all = append(all, s)
	}
	return strings.Join(all, "|")
}

// known are formats of JSON Schema that are not enforced, and may not be passed over. Others are notes.
var known = []string{"idn-email", "idn-hostname", "iri", "iri-reference", "uri-template", "relative-json-pointer", "regex"}

var formatDFAs sync.Map // of *dfa, by name

// formatDFA gives the automaton of a format, or reports that it is only a note.
func formatDFA(name string) (d *dfa, enforced bool, err error) {
	source, ok := formats[name]
	if !ok {
		for _, k := range known {
			if k == name {
				return nil, false, errors.ErrUnsupported
			}
		}
		return nil, false, nil
	}
	if d, ok := formatDFAs.Load(name); ok {
		return d.(*dfa), true, nil
	}
	d = mustDFA(source)
	formatDFAs.Store(name, d)
	return d, true, nil
}
