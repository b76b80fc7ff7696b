package main

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// A character is the hero of a story or somebody else in it.
type character struct {
	noun, adj, name string
	gender          string // he, she or it
	known           bool   // the text has introduced it
}

// A frame is what a story is about: all that a prompt may ask for.
type frame struct {
	*rand.Rand
	plot                *plot
	hero, friend, other character
	place, place2       *place
	season              string
	thing, look         string
	values              map[string]string // food, joy, fear and so on
	seen                []string
	themed, moralized   bool
	held                bool // not for training
}

var pronouns = map[string][4]string{"he": {"he", "him", "his", "himself"}, "she": {"she", "her", "her", "herself"}, "it": {"it", "it", "its", "itself"}}

func (f *frame) pick(list []string) string { return list[f.IntN(len(list))] }
func (f *frame) chance(p float64) bool     { return f.Float64() < p }

// heldOut tells whether stories of this hero and this plot are left for the test: those of heldOutHeroes, and of the others' one in 16.
func heldOut(noun string, p *plot) bool {
	h := fnv.New32a()
	fmt.Fprint(h, noun, "/", p.name)
	return slices.Contains(heldOutHeroes, noun) || h.Sum32()%16 == 0
}

// reserved tells whether what was made up is one of heldOutHeroes, or has one as a word.
func reserved(noun string) bool {
	held := func(s string) bool { return slices.Contains(heldOutHeroes, s) }
	return held(noun) || slices.ContainsFunc(strings.Fields(noun), held)
}

// newFrame makes a frame, held out or not.
func newFrame(r *rand.Rand, held bool) *frame {
	for {
		f := &frame{Rand: r, held: held, plot: &plots[r.IntN(len(plots))], values: map[string]string{}}
		k := f.fillHero()
		if heldOut(f.hero.noun, f.plot) != held {
			continue
		}
		f.friend = f.someone(k)
		f.other = f.someone(k)
		if f.friend.noun == f.hero.noun || f.other.noun == f.friend.noun || f.other.noun == f.hero.noun {
			continue
		}
		f.other.name = ""
		f.fillPlaces(k)
		f.fillValues()
		return f
	}
}

func (f *frame) fillHero() *kind {
	weights := []int{30, 7, 14, 9, 7, 7, 14, 12, 14} // of kinds
	n := f.IntN(114)
	i := 0
	for ; n >= weights[i]; i++ {
		n -= weights[i]
	}
	k := &kinds[i]
	f.hero.noun = f.pick(k.nouns)
	switch {
	case f.held && f.chance(0.5):
		f.hero.noun = f.pick(heldOutHeroes)
	case f.chance(0.1) && k.gender == "either":
		f.hero.noun = f.invented()
	case !f.held && f.chance(0.4) && k.gender == "either":
		f.hero.noun = f.blended()
	}
	f.hero.gender = f.genderOf(k)
	if f.chance(0.45) {
		f.hero.name = f.nameFor(k, f.hero.gender)
	}
	if f.chance(0.7) {
		f.hero.adj = f.adjectiveFor(k, f.hero.noun)
	}
	return k
}

func (f *frame) adjectiveFor(k *kind, noun string) string {
	for {
		a := f.pick(adjectives)
		if !strings.Contains(noun, a) && !(strings.Contains(k.homes, "people") && slices.Contains(looksOfAnimals, a)) {
			return a
		}
	}
}

// invented is a word that no dictionary has, so that the model learns to copy instead of to remember.
func (f *frame) invented() string {
	var b strings.Builder
	for range 1 + f.IntN(2) {
		b.WriteString(f.pick(starts) + f.pick(middle) + f.pick(joints))
	}
	b.WriteString(f.pick(tails))
	if reserved(b.String()) {
		return f.invented()
	}
	return b.String()
}

// blended is the beginning of one of the corpus's words and the end of another, which looks more like English than what is invented:
// the pieces that it is spelled of are those of words that are not in the corpus. Some have a second word.
func (f *frame) blended() string {
	letters := func() string {
		w := f.anyNoun()
		if f.chance(0.3) {
			w = f.pick(things)
		}
		return strings.ReplaceAll(w, " ", "")
	}
	a, b := letters(), letters()
	w := a[:min(len(a), 2+f.IntN(4))] + b[max(0, len(b)-2-f.IntN(4)):]
	switch n := f.IntN(20); {
	case n == 0:
		w = f.anyNoun() + " " + w
	case n == 1:
		w += " " + f.anyNoun()
	}
	if reserved(w) {
		return f.blended()
	}
	return w
}

func (f *frame) anyNoun() string { return f.pick(kinds[f.IntN(len(kinds))].nouns) }

func (f *frame) genderOf(k *kind) string {
	if k.gender != "either" {
		return k.gender
	}
	return f.pick([]string{"he", "she"})
}

func (f *frame) nameFor(k *kind, gender string) string {
	if f.chance(0.2) {
		return upper(f.invented())
	}
	if !f.held && f.chance(0.15) {
		w, _, _ := strings.Cut(f.blended(), " ")
		return upper(w)
	}
	people := strings.Contains(k.homes, "people")
	if gender == "it" || !people && f.chance(0.6) {
		return f.pick(petNames)
	}
	if gender == "he" {
		return f.pick(boys)
	}
	return f.pick(girls)
}

// someone is another character, in a third of all cases of the hero's kind.
func (f *frame) someone(hero *kind) character {
	k := hero
	if f.chance(0.67) || k.gender == "it" {
		k = &kinds[f.IntN(len(kinds)-1)]
	}
	c := character{noun: f.pick(k.nouns), gender: f.genderOf(k)}
	if f.chance(0.05) && k.gender == "either" {
		c.noun = f.invented()
	} else if !f.held && f.chance(0.15) && k.gender == "either" {
		c.noun = f.blended()
	}
	if f.chance(0.25) {
		c.adj = f.adjectiveFor(k, c.noun)
	}
	if f.chance(0.3) {
		c.name = f.nameFor(k, c.gender)
	}
	if c.name == f.hero.name {
		c.name = ""
	}
	return c
}

func (f *frame) fillPlaces(k *kind) {
	fits := func(p *place) bool {
		for tag := range strings.FieldsSeq(k.homes) {
			if strings.Contains(p.tags, tag) {
				return true
			}
		}
		return f.chance(0.04)
	}
	for f.place == nil || !f.plot.homes && !fits(f.place) {
		f.place = &places[f.IntN(len(places))]
	}
	for f.place2 == nil || f.place2.the == f.place.the {
		f.place2 = &places[f.IntN(len(places))]
	}
	f.seen = slices.Clone(f.place.seen)
	f.Shuffle(len(f.seen), func(i, j int) { f.seen[i], f.seen[j] = f.seen[j], f.seen[i] })
	if f.chance(0.15) {
		f.season = f.pick(seasons)
	}
}

func (f *frame) fillValues() {
	f.thing = f.pick(things)
	if f.chance(0.05) {
		f.thing = f.invented()
	}
	if f.chance(0.5) && !strings.Contains(f.thing, " ") {
		if f.look = f.pick(looks); f.look == "broken" && f.plot.name == "truth" {
			f.look = ""
		}
	}
	for _, e := range []struct {
		key  string
		list []string
	}{{"food", foods}, {"joy", joys}, {"fear", fears}, {"skill", skills}, {"gift", gifts}, {"build", builds}, {"plant", plants}, {"event", events}, {"party", parties}, {"weather", weathers}} {
		f.values[e.key] = f.pick(e.list)
	}
}

// article puts a or an before words.
func article(s string) string {
	for _, prefix := range []string{"uni", "use", "one", "eu", "uk", "used"} {
		if strings.HasPrefix(s, prefix) {
			return "a " + s
		}
	}
	if strings.ContainsRune("aeiou", rune(s[0])) || strings.HasPrefix(s, "honest") || strings.HasPrefix(s, "hour") {
		return "an " + s
	}
	return "a " + s
}

func join(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}

// first is the text that introduces c, later the one that goes on about it.
func (f *frame) first(c *character) string {
	c.known = true
	s := article(join(c.adj, c.noun))
	if c.name != "" {
		s += f.pick([]string{" named ", " named ", " called "}) + c.name
	}
	return s
}

func (f *frame) later(c *character) string {
	switch {
	case c.name != "" && f.chance(0.8):
		return c.name
	case c.adj != "" && f.chance(0.15):
		return "the " + c.adj + " " + c.noun
	}
	return "the " + c.noun
}

// value is what {key} stands for.
func (f *frame) value(key string) string {
	of := func(c *character, form int) string { return pronouns[c.gender][form] }
	switch key {
	case "hero":
		if !f.hero.known {
			return f.first(&f.hero)
		}
		return f.later(&f.hero)
	case "ahero":
		return f.first(&f.hero)
	case "noun":
		return f.hero.noun
	case "adj":
		return f.hero.adj
	case "he":
		return of(&f.hero, 0)
	case "him":
		return of(&f.hero, 1)
	case "his":
		return of(&f.hero, 2)
	case "himself":
		return of(&f.hero, 3)
	case "friend", "afriend":
		if !f.friend.known {
			return f.first(&f.friend)
		}
		return f.later(&f.friend)
	case "friendnoun":
		return join(f.friend.adj, f.friend.noun)
	case "fhe":
		return of(&f.friend, 0)
	case "fhim":
		return of(&f.friend, 1)
	case "fhis":
		return of(&f.friend, 2)
	case "afriend2":
		return f.first(&f.other)
	case "xhe":
		return of(&f.other, 0)
	case "in":
		return f.place.in
	case "inthe": // at a place that has been named
		preposition, _, _ := strings.Cut(f.place.in, " ")
		if !strings.Contains(f.place.in, " a ") && !strings.Contains(f.place.in, " an ") {
			return f.place.in
		}
		return preposition + " " + f.place.the
	case "to":
		return f.place.to
	case "place":
		return f.place.the
	case "to2":
		return f.place2.to
	case "seen":
		return f.seen[0]
	case "seen2":
		return f.seen[1]
	case "thing":
		return join(f.look, f.thing)
	case "athing":
		return article(join(f.look, f.thing))
	case "spot":
		return f.pick(spots)
	case "moral":
		return f.expand("[" + f.plot.moral + "]")
	}
	if v, ok := f.values[key]; ok && v != "" {
		return v
	}
	panic("no key " + key)
}

// expand writes a text of the grammar out.
func (f *frame) expand(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '[':
			options, end := alternatives(s, i)
			b.WriteString(f.expand(f.pick(options)))
			i = end
		case '{':
			end := i + strings.IndexByte(s[i:], '}')
			key := s[i+1 : end]
			lower := strings.ToLower(key[:1]) + key[1:]
			switch {
			case strings.HasPrefix(key, "fH"):
				b.WriteString(upper(f.value(strings.ToLower(key))))
			case key == lower:
				b.WriteString(f.value(key))
			default:
				b.WriteString(upper(f.value(lower)))
			}
			i = end
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// alternatives splits the bracket that opens at s[at]; end is where it closes.
func alternatives(s string, at int) (options []string, end int) {
	depth, from := 0, at+1
	for i := at; i < len(s); i++ {
		switch s[i] {
		case '[':
			depth++
		case '|':
			if depth == 1 {
				options, from = append(options, s[from:i]), i+1
			}
		case ']':
			if depth--; depth == 0 {
				return append(options, s[from:i]), i
			}
		}
	}
	panic("no ] in " + s)
}

// story writes the frame's story.
func (f *frame) story() string {
	f.hero.known, f.friend.known = false, false
	var parts []string
	add := func(s string) { parts = append(parts, f.expand(s)) }
	switch {
	case f.plot.homes:
		add(f.pick(ofJourneys))
	case f.place.live && f.chance(0.85):
		add(f.pick(openings))
	default:
		add(f.pick(visits))
	}
	if f.season != "" {
		add(times[f.season])
	} else if !f.plot.homes && f.chance(0.2) && !strings.Contains(parts[0], f.seen[0]) {
		add(f.pick(scenes))
	}
	if t := traits[f.hero.adj]; t != "" && f.chance(0.7) {
		add("[" + t + "]")
	}
	for _, beat := range f.plot.beats {
		add(f.pick(beat))
	}
	switch {
	case f.themed || f.chance(0.15):
		add(f.pick(morals))
	case slices.Contains(praises, f.hero.adj) && f.chance(0.5):
		add(f.pick(praised))
	case f.chance(0.1):
		add(f.pick(theEnd))
	}
	return strings.Join(strings.Fields(strings.Join(parts, " ")), " ")
}

// asked copies the frame for a prompt, in which nobody has been introduced.
func (f *frame) asked() *frame {
	q := *f
	q.values = maps.Clone(f.values)
	q.hero.known, q.friend.known = false, false
	return &q
}
