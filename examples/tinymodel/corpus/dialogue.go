package main

import (
	"math/rand/v2"
	"slices"
	"strings"
)

// A dialogue is one line of the corpus.
type dialogue struct {
	Messages []message `json:"messages"`
	// Of the first story: the hero's noun and the plot's name.
	Hero string `json:"hero,omitempty"`
	Plot string `json:"plot,omitempty"`
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

func (d *dialogue) text() string {
	var b strings.Builder
	for _, m := range d.Messages {
		b.WriteString(m.Role + "\n" + m.Content + "\n")
	}
	return b.String()
}

func (d *dialogue) say(says, answer string) {
	d.Messages = append(d.Messages, message{"user", says}, message{"assistant", answer})
}

var systems = []string{"You are a helpful assistant.", "You are a helpful assistant.", "You are a friendly storyteller.", "You tell stories to children.", "Answer briefly.", "You are a helpful, respectful and honest assistant.", "Be concise.", "You are a pirate.", "You are an assistant that helps people.", "Write in simple English."}

// maxDialogue is in bytes, of all messages: below 1,000 tokens.
const maxDialogue = 2800

// newDialogue has a story in six of seven cases. Small talk comes before and behind it in some, and alone in others.
func newDialogue(r *rand.Rand, held bool) *dialogue {
	next := func() *frame { return newFrame(r, held) }
	d := &dialogue{}
	if r.Float64() < 0.08 {
		d.Messages = append(d.Messages, message{"system", systems[r.IntN(len(systems))]})
	}
	if !held && r.IntN(100) < 36 {
		d.chatter(next)
	} else {
		f, prompt, story := told(next)
		d.tell(f, prompt, story, next)
	}
	if len(d.text()) > maxDialogue {
		return newDialogue(r, held)
	}
	return d
}

// tell adds the story of a frame, as it was asked for, and what follows.
func (d *dialogue) tell(f *frame, prompt, story string, next func() *frame) {
	d.say(prompt, story)
	if d.Hero == "" {
		d.Hero, d.Plot = f.hero.noun, f.plot.name
	}
	d.follow(f, next)
}

// chatter is small talk of one or two exchanges. A story follows if somebody asks for one, or says yes to the one that is offered.
func (d *dialogue) chatter(next func() *frame) {
	f := plain(next)
	d.say(f.talk().exchange(f))
	if f.chance(0.3) {
		d.say(f.talk().exchange(f))
	}
	switch n := f.IntN(100); {
	case n < 25:
		if story := f.whole([]string{f.hero.noun, f.hero.adj}); story != "" {
			d.tell(f, f.typed(f.expand(f.pick(consent))), story, next)
		}
	case n < 60:
		f, prompt, story := told(next)
		d.tell(f, prompt, story, next)
	}
}

// plain is a frame whose hero is one of kinds, and not made up.
func plain(next func() *frame) *frame {
	for {
		f := next()
		if slices.ContainsFunc(kinds, func(k kind) bool { return slices.Contains(k.nouns, f.hero.noun) }) {
			return f
		}
	}
}

// talk picks a kind of small talk.
func (f *frame) talk() *talk {
	total := 0
	for _, t := range talks {
		total += t.weight
	}
	n, i := f.IntN(total), 0
	for ; n >= talks[i].weight; i++ {
		n -= talks[i].weight
	}
	return talks[i].talk
}

var consent = []string{"[Yes|Yes|Yes please|Yes, please|Sure|OK|Okay|Yeah|Yep|Please|Please do|Go ahead|Of course|Why not|Yes, tell me one|Tell me|I would like that|Oh yes|Yes, of course|Do it][||.|!]"}
var another = []string{"[Another one|One more|Another story|Tell me another one|Again|One more story|Another][|.|!|, please.| please]", "[Tell me|I want|Please tell me] [another|a different|a new] story.", "[More|More please|Next|Next one][|.|!]"}
var anyStory = []string{"[Story|A story|Story please|A story please|Tell me a story|Tell me a story|Tell me a story|Tell a story|Tell me one|Tell me something nice|Give me a story|Write a story|I want a story|Story time|A story now|Your best story][|.|!|, please| please]"}
var onward = []string{"[What happened next|And then|What happened then|What happened after that|Then what][?|]", "[Go on|Continue|Tell me more|Please continue|Continue the story|More of this story|Please go on][|.|!]", "What did {hero} do next?", "How does the story go on?"}
var lessons = []string{"[What is the moral|What is the moral of the story|What do we learn from it|What does the story teach|What is the lesson|What can we learn from this][?|]"}
var ofWhom = []string{"[Who is the hero|Who is the story about|Who was it about|Who is the main character][?| of the story?]"}

// follow goes on after a story, in a quarter of the cases.
func (d *dialogue) follow(f *frame, next func() *frame) {
	says := func(list []string) string { return f.typed(f.expand(f.pick(list))) }
	switch n := f.IntN(100); {
	case n < 5:
		d.say(thanks.exchange(f))
	case n < 9:
		d.say(says(onward), f.expand(f.pick(sequels)))
	case n < 12:
		d.say(says(lessons), f.expand("[The story tells us|It teaches us|We learn] that {moral}."))
	case n < 14:
		d.say(says(ofWhom), "The story is about "+f.first(&f.hero)+".")
	case n < 17:
		g, _, story := told(next)
		d.tell(g, says(another), story, next)
	case n < 21:
		g, prompt, story := told(next)
		d.tell(g, prompt, story, next)
	case n < 24:
		d.say(other.exchange(plain(next)))
	case n < 26:
		d.say(goodbye.exchange(f))
	case n < 28:
		d.say(running.exchange(f))
	}
}
