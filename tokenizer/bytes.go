package tokenizer

import "unicode/utf8"

// GPT-2's way to write bytes as printable letters: a byte that is a printable
// Latin-1 character other than a space stands for itself, and the other 68 are
// U+0100, U+0101, ... in order. A space is thus Ġ (U+0120), a line feed Ċ.
var (
	byteToRune [256]rune
	runeToByte [256 + 68]int16 // -1: no byte
)

func init() {
	for i := range runeToByte {
		runeToByte[i] = -1
	}
	next := rune(256)
	for b := range rune(256) {
		r := b
		if !('!' <= b && b <= '~' || '¡' <= b && b <= '¬' || '®' <= b && b <= 'ÿ') {
			r = next
			next++
		}
		byteToRune[b] = r
		runeToByte[r] = int16(b)
	}
}

// appendBytes appends the bytes that a token's letters stand for, or returns
// false if one of the letters stands for none.
func appendBytes(dst []byte, token string) ([]byte, bool) {
	for i := 0; i < len(token); {
		r, n := rune(token[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(token[i:])
		}
		if int(r) >= len(runeToByte) || runeToByte[r] < 0 {
			return dst, false
		}
		dst = append(dst, byte(runeToByte[r]))
		i += n
	}
	return dst, true
}

// letters is the other direction of appendBytes.
func letters(bytes string) string {
	dst := make([]byte, 0, 2*len(bytes))
	for i := range len(bytes) {
		dst = utf8.AppendRune(dst, byteToRune[bytes[i]])
	}
	return string(dst)
}
