package python

import (
	"strings"
	"time"
	"unicode"
)

// Strip is Python's str.strip, and Jinja's filter trim: Go's white space and the four separators of ASCII.
func Strip(s string) string { return strings.TrimFunc(s, IsSpace) }

// IsSpace tells what Strip takes off.
func IsSpace(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f }

// Strftime formats a time as C and Python do; a directive that it does not know stays as it is.
func Strftime(t time.Time, format string) string {
	layouts := map[byte]string{
		'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'd': "02", 'H': "15", 'I': "03", 'j': "002", 'm': "01", 'M': "04",
		'p': "PM", 'S': "05", 'y': "06", 'Y': "2006", 'z': "-0700", 'Z': "MST", 'F': "2006-01-02", 'T': "15:04:05",
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		if layout, ok := layouts[format[i]]; ok {
			b.WriteString(t.Format(layout))
		} else if format[i] == '%' {
			b.WriteByte('%')
		} else {
			b.WriteString(format[i-1 : i+1])
		}
	}
	return b.String()
}

// IsNoncharacter tells whether r is one of U+FDD0 to U+FDEF, which are for a program's own use. A [Style] leaves them as they are
// even where it escapes all others, so that a text marked with one can be told afterwards.
func IsNoncharacter(r rune) bool { return 0xFDD0 <= r && r <= 0xFDEF }
