package main

import (
	"slices"
	"strings"
)

// Requests for a story, with {what} for "a story about a cat".
var requests = words(`Tell me {what}., Tell me {what}., Tell me {what}., Tell me {what}, Please tell me {what}., Can you tell me {what}?, Could you tell me {what}?, Write {what}., Write {what},
	Write me {what}., Please write {what}., Can you write {what}?, Could you please write {what}?, I want {what}., I would like {what}., I would like to hear {what}., I'd like {what}., Give me {what}.,
	Make up {what}., Can you make up {what}?, Do you know {what}?, Let me hear {what}., How about {what}?, Create {what}., I want to hear {what}., Would you tell me {what}?,
	Tell us {what}., {What}., {What}, {What} please., Tell {what}., Please give me {what}., Compose {what}., Will you tell me {what}?, May I have {what}?, {What}!, Now tell me {what}.,
	Tell me {what}!, Generate {what}., Can I hear {what}?, Do you have {what}?, Invent {what}.`)

var forms = words(`a story, a story, a story, a story, a story, a short story, a short story, a short story, a little story, a bedtime story, a tale, a fairy tale, a fable, a funny story, a nice story, a sad story,
	a very short story, a children's story, an adventure story, a scary story, a sweet story, a cute story, a short tale, a happy story, a story for kids, a story for my son, a story for my daughter,
	a short story for children, a new story, a good story, an exciting story, a simple story, a small story, an interesting story, a beautiful story, a long story, a goodnight story, a kids story`)

// prompt asks for a story of the frame. facts are what the story has to have in it.
func (f *frame) prompt() (text string, facts []string) {
	q := f.asked()
	form, subject := f.pick(forms), ""
	hero := func(named bool) string {
		c := f.hero
		if !named || f.chance(0.4) {
			c.name = ""
		}
		if f.chance(0.15) {
			c.adj = ""
		}
		facts = append(facts, c.noun, c.adj, c.name)
		s := q.first(&c)
		if c.name == "" && f.chance(0.09) { // the cat, my cat
			_, s, _ = strings.Cut(s, " ")
			s = f.pick([]string{"the ", "the ", "my "}) + s
		}
		return s
	}
	switch n := f.IntN(100); {
	case n < 3:
		return f.typed(f.expand(f.pick(slices.Concat(anyStory, another)))), nil
	case n < 7:
		return f.finish(form), nil
	case n < 13: // a theme
		theme := f.pick(f.plot.themes)
		f.themed = true
		subject = f.pick([]string{" about ", " about ", " on "}) + theme
		switch f.IntN(4) {
		case 0:
			subject = " about " + hero(true) + " and " + theme
		case 1:
			subject = " with " + hero(true) + " " + f.pick([]string{"about ", "that is about "}) + theme
		}
	case n < 20 && f.plot.headline != nil:
		subject = " about " + q.expand(f.pick(f.plot.headline))
		facts = append(facts, f.keys(f.plot.headline[0])...)
	case n < 26: // a place
		_, in, _ := strings.Cut(f.place.in, " ")
		subject = f.pick([]string{" about " + f.place.the, " about " + in, " set " + f.place.in, " that takes place " + f.place.in, " " + f.place.in})
		facts = append(facts, in)
	case n < 33 && f.hero.name != "":
		subject = " about " + f.hero.name
		facts = append(facts, f.hero.name)
		if f.chance(0.4) {
			subject += " the " + f.hero.noun
			facts = append(facts, f.hero.noun)
		}
	case n < 44: // two
		f.hero.name, f.friend.name = f.maybe(f.hero.name, 0.3), f.maybe(f.friend.name, 0.3)
		q = f.asked()
		subject = " about " + hero(true) + " and " + q.first(&q.friend)
		facts = append(facts, f.friend.noun, f.friend.name, f.friend.adj)
	case n < 50:
		facts = append(facts, f.hero.noun, f.hero.adj)
		if f.hero.name = ""; f.chance(0.5) {
			f.hero.adj = ""
			facts = facts[:1]
		}
		text = f.pick([]string{"{A} story", "{A} story, please", "{A} story.", "Once upon a time there was {a}", "Once upon a time, there was {a}.", "Tell me about {a}.", "What happened to {a}?", "Story about {a}", "story about {a}", "{A}.", "Do you know a {n} story?", "I like {a}. Do you have a story?",
			"{A}", "{a}", "{N}", "{n}", "{n}", "About {a}", "about {a}", "{a} please"})
		a := article(join(f.hero.adj, f.hero.noun))
		text = strings.NewReplacer("{a}", a, "{A}", upper(a), "{n}", f.hero.noun, "{N}", upper(f.hero.noun)).Replace(text)
		return f.typed(text), facts
	default:
		subject = " about " + hero(true)
		if f.chance(0.1) {
			subject = f.pick([]string{" with ", " of ", " in which the hero is ", " featuring ", " where the hero is "}) + hero(true)
		}
		if f.chance(0.38) {
			clause := f.pick(f.plot.clauses)
			subject += " " + q.expand(clause)
			facts = append(facts, f.keys(clause)...)
			if strings.Contains(clause, "riendnoun}") || strings.Contains(clause, "{afriend}") {
				facts = append(facts, f.friend.adj, f.friend.name)
				if !q.friend.known {
					facts = facts[:len(facts)-1]
				}
			}
		}
		if f.chance(0.3) && !f.plot.homes {
			_, in, _ := strings.Cut(f.place.in, " ")
			facts = append(facts, in)
			subject += f.pick([]string{" ", " ", " ", " who lives "}) + f.place.in
			if !f.place.live || strings.Count(subject, " who ") > 1 {
				subject = strings.Replace(subject, " who lives "+f.place.in, " "+f.place.in, 1)
			}
		}
	}
	if f.season != "" {
		if f.chance(0.6) {
			subject += " " + f.season
		} else {
			f.season = ""
		}
	}
	return f.finish(form + subject), facts
}

// keys are the values that a text of the grammar names.
func (f *frame) keys(s string) (facts []string) {
	for _, part := range strings.Split(s, "{")[1:] {
		key, _, _ := strings.Cut(part, "}")
		switch key {
		case "his", "he", "him":
		case "afriend", "friend", "friendnoun":
			facts = append(facts, f.friend.noun)
		case "athing", "thing":
			facts = append(facts, join(f.look, f.thing))
		case "to", "place":
			_, in, _ := strings.Cut(f.place.in, " ")
			facts = append(facts, in)
		default:
			facts = append(facts, f.value(key))
		}
	}
	return facts
}

func (f *frame) maybe(s string, p float64) string {
	if f.chance(p) {
		return s
	}
	return ""
}

// finish makes a prompt of what is wanted, as different people write it.
func (f *frame) finish(what string) string {
	s := f.pick(requests)
	s = strings.Replace(s, "{what}", what, 1)
	s = strings.Replace(s, "{What}", upper(what), 1)
	if f.chance(0.05) {
		s = f.pick([]string{"Hi! ", "Hello! ", "Hello, ", "Hey, ", "Ok, ", "Please, ", "Good evening. "}) + s
	}
	if f.chance(0.05) {
		s = strings.TrimRight(s, ".!?") + f.pick([]string{", please.", " please", ", please!"})
	}
	return f.typed(s)
}

// typed is a text as people type it: some in lower case, and most of these without a full stop.
func (f *frame) typed(s string) string {
	bare := 0.1
	if f.chance(0.2) {
		s, bare = strings.ToLower(s), 0.6
	}
	if short := strings.TrimRight(s, ".!?"); short != "" && f.chance(bare) {
		return short
	}
	return s
}

// told is a prompt and a story that has all that the prompt asks for.
func told(newFrame func() *frame) (f *frame, prompt, story string) {
	for {
		f = newFrame()
		prompt, facts := f.prompt()
		if story = f.whole(facts); story != "" {
			return f, prompt, story
		}
	}
}

// whole is a story of the frame that has all facts in it, and "" if none of four has.
func (f *frame) whole(facts []string) string {
	for range 4 {
		story, whole := f.story(), true
		for _, fact := range facts {
			whole = whole && strings.Contains(strings.ToLower(story), strings.ToLower(fact))
		}
		if whole && len(story) < maxStory {
			return story
		}
	}
	return ""
}

// maxStory is in bytes: about 200 tokens.
const maxStory = 780
