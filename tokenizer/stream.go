package tokenizer

import "unicode/utf8"

// A Decoder turns ids into text as they are generated. A token may end in the
// middle of a character; the Decoder holds such bytes back until the rest is
// there. Bytes that are no UTF-8 become U+FFFD, one for each sequence of them
// that could have begun a character, as in Python and in web browsers; the bytes
// themselves can be had from Tokenizer.Bytes.
//
// What Next and Flush return, put together, is the text of all ids. A Decoder is
// for one goroutine.
type Decoder struct {
	// Special shows control tokens by their names instead of leaving them out.
	Special bool

	t    *Tokenizer
	held []byte // at most the first three bytes of a character
}

// NewDecoder returns a Decoder for one text.
func (t *Tokenizer) NewDecoder() *Decoder { return &Decoder{t: t} }

// Next returns the text that is complete with this token, which may be none.
func (d *Decoder) Next(id int32) string { return string(d.Append(nil, id)) }

// Append is Next, appending to dst; it allocates nothing else.
func (d *Decoder) Append(dst []byte, id int32) []byte {
	if !d.Special && d.t.IsControl(id) {
		return dst
	}
	d.held = append(d.held, d.t.Token(id)...)
	return d.take(dst, false)
}

// Flush returns U+FFFD if bytes are held back, and makes the Decoder ready for
// another text.
func (d *Decoder) Flush() string { return string(d.take(nil, true)) }

// Held returns how many bytes are held back, 0 to 3.
func (d *Decoder) Held() int { return len(d.held) }

func (d *Decoder) take(dst []byte, all bool) []byte {
	b := d.held
	for len(b) > 0 {
		n := prefix(b)
		if n == len(b) && !all {
			break
		}
		if n > 0 {
			dst = append(dst, "\uFFFD"...)
			b = b[n:]
			continue
		}
		r, n := utf8.DecodeRune(b)
		dst = utf8.AppendRune(dst, r)
		b = b[n:]
	}
	d.held = append(d.held[:0], b...)
	return dst
}

// prefix returns the length of the longest start of b that is the start of a
// character without its end, 0 if b begins with a character or with a byte that
// cannot begin one.
func prefix(b []byte) int {
	n := 0
	for n < min(len(b), utf8.UTFMax) && !utf8.FullRune(b[:n+1]) {
		n++
	}
	if n < len(b) {
		if _, size := utf8.DecodeRune(b); size > 1 {
			return 0
		}
	}
	return n
}
