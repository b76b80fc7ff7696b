package grammar

import (
	"fmt"
	"math/big"
	"strings"
)

// Numbers are written without more digits than a float64 or an int64 holds, so that a model cannot go on with digits for ever, and so
// that every program can read them.
const (
	integerRegexp = `0|-?[1-9][0-9]{0,17}`
	numberRegexp  = `(0|-?[1-9][0-9]{0,17})([eE][+-]?[0-9]{1,2})?|-?(0|[1-9][0-9]{0,17})\.[0-9]{1,16}([eE][+-]?[0-9]{1,2})?`
)

// numberDFA matches integers or numbers between two bounds that are multiples of some number; each may be nil. Numbers with bounds
// have no exponent. It is nil if it were too large.
func numberDFA(t types, lo, hi *bound, multiple *big.Rat) *dfa {
	if lo == nil && hi == nil && multiple == nil && t&typeInteger != 0 {
		if t&typeFraction == 0 {
			return mustDFA(integerRegexp)
		}
		return mustDFA(numberRegexp)
	}
	digits := 17
	for _, b := range []*bound{lo, hi} {
		if b != nil {
			whole, fraction := decimal(b.value)
			if digits = max(digits, len(whole)); digits > mostDigits || len(fraction) > mostDigits {
				return nil
			}
		}
	}
	integer := fmt.Sprintf(`0|-?[1-9][0-9]{0,%d}`, digits)
	d := mustDFA(integer)
	if t&typeFraction != 0 {
		d = mustDFA(fmt.Sprintf(`%s|-?(0|[1-9][0-9]{0,%d})\.[0-9]{1,16}`, integer, digits))
		if t&typeInteger == 0 {
			d = d.intersect(mustDFA(`-?[0-9]+(\.0+)?`).complement())
		}
	}
	and := func(o *dfa) {
		if d != nil && o != nil {
			o = d.intersect(o)
		}
		d = o
	}
	if multiple != nil {
		and(multipleDFA(multiple))
	}
	if lo != nil { // -x >= lo is x <= -lo
		and(mustDFA(atLeast(lo) + `|-(` + atMost(&bound{new(big.Rat).Neg(lo.value), lo.exclusive}) + `)`))
	}
	if hi != nil {
		and(mustDFA(atMost(hi) + `|-(` + atLeast(&bound{new(big.Rat).Neg(hi.value), hi.exclusive}) + `)`))
	}
	return d
}

// mostDigits bounds the digits of a bound, before the point and behind it.
const mostDigits = 40

const (
	noRegexp       = `[^\x00-\x{10FFFF}]` // matches nothing
	positiveRegexp = `[0-9]+(\.[0-9]+)?`
)

// decimal is the digits before and after the point of a number's amount, of the latter at most 420.
func decimal(x *big.Rat) (whole, fraction string) {
	text := new(big.Rat).Abs(x).FloatString(420)
	whole, fraction, _ = strings.Cut(text, ".")
	return whole, strings.TrimRight(fraction, "0")
}

// atLeast matches decimal numbers without a sign that are b or more.
func atLeast(b *bound) string {
	if b.value.Sign() < 0 {
		return positiveRegexp
	}
	whole, fraction := decimal(b.value)
	var all []string
	// A greater whole part: longer, or with a greater digit after equal ones.
	all = append(all, fmt.Sprintf(`[1-9][0-9]{%d}[0-9]*(\.[0-9]+)?`, len(whole)))
	for i := range whole {
		if whole[i] < '9' {
			all = append(all, fmt.Sprintf(`%s[%c-9][0-9]{%d}(\.[0-9]+)?`, whole[:i], whole[i]+1, len(whole)-i-1))
		}
	}
	// The same whole part, and as much behind the point.
	for i := range fraction {
		if fraction[i] < '9' {
			all = append(all, fmt.Sprintf(`%s\.%s[%c-9][0-9]*`, whole, fraction[:i], fraction[i]+1))
		}
	}
	switch {
	case b.exclusive:
		all = append(all, whole+`\.`+fraction+`[0-9]*[1-9][0-9]*`)
	case fraction == "":
		all = append(all, whole+`(\.[0-9]+)?`)
	default:
		all = append(all, whole+`\.`+fraction+`[0-9]*`)
	}
	return strings.Join(all, "|")
}

// atMost matches decimal numbers without a sign that are b or less.
func atMost(b *bound) string {
	if b.value.Sign() < 0 || b.value.Sign() == 0 && b.exclusive {
		return noRegexp
	}
	whole, fraction := decimal(b.value)
	var all []string
	if len(whole) > 1 {
		all = append(all, fmt.Sprintf(`[0-9]{1,%d}(\.[0-9]+)?`, len(whole)-1))
	}
	for i := range whole {
		if whole[i] > '0' {
			all = append(all, fmt.Sprintf(`%s[0-%c][0-9]{%d}(\.[0-9]+)?`, whole[:i], whole[i]-1, len(whole)-i-1))
		}
	}
	for i := range fraction {
		if fraction[i] > '0' {
			all = append(all, fmt.Sprintf(`%s\.%s[0-%c][0-9]*`, whole, fraction[:i], fraction[i]-1))
		}
		if i > 0 {
			all = append(all, whole+`\.`+fraction[:i])
		}
	}
	if fraction != "" {
		all = append(all, whole)
	}
	if !b.exclusive {
		if fraction != "" {
			all = append(all, whole+`\.`+fraction+`0*`)
		} else {
			all = append(all, whole+`(\.0+)?`)
		}
	}
	return strings.Join(all, "|")
}

// mostMultiple bounds the states of multipleDFA.
const mostMultiple = 10_000

// multipleDFA matches decimal numbers that are multiples of m, by their rest so far; nil if there are too many. They have as many
// digits behind the point as m, or fewer.
func multipleDFA(m *big.Rat) *dfa {
	_, fraction := decimal(m)
	places := len(fraction)
	if places > 6 {
		return nil
	}
	scale := func(n int) *big.Rat {
		return new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil))
	}
	whole := new(big.Rat).Mul(m, scale(places))
	if !whole.IsInt() || !whole.Num().IsInt64() || whole.Num().Int64() > mostMultiple {
		return nil
	}
	k := int(whole.Num().Int64())
	// State 0 is the start, 1 after a sign; 2 + rest + k·n after n-1 digits behind the point, n = 0 before it, and further on the
	// states of n = 1 stand behind the point itself.
	d := &dfa{states: make([]dfaState, 2+k*(places+2))}
	at := func(rest, n int) int { return 2 + rest%k + k*n }
	digits := func(s, rest, n int) {
		for c := range 10 {
			d.states[s].edges = append(d.states[s].edges, dfaEdge{rune('0' + c), rune('0' + c), at(10*rest+c, n)})
		}
	}
	d.states[0].edges = []dfaEdge{{'-', '-', 1}}
	digits(0, 0, 0)
	digits(1, 0, 0)
	for rest := range k {
		for n := range places + 2 {
			s := at(rest, n)
			scaled := rest
			for range places - max(0, n-1) {
				scaled = scaled * 10 % k
			}
			d.states[s].accept = scaled == 0 && n != 1
			switch {
			case n == 0:
				if places > 0 {
					d.states[s].edges = append(d.states[s].edges, dfaEdge{'.', '.', at(rest, 1)})
				}
				digits(s, rest, 0)
			case n <= places:
				digits(s, rest, n+1)
			}
		}
	}
	return d.trim()
}
