package main

import (
	"math/rand/v2"
	"strings"
)

// A dialogue is one line of the corpus.
type dialogue struct {
	Messages []message `json:"messages"`
	// Of the first story: the hero's noun, and the facts that the prompt asks for.
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

// newDialogue has a story in five of six cases. Small talk comes before and behind it in some, and alone in others.
func newDialogue(r *rand.Rand, held bool) *dialogue {
	f := func() *frame { return newFrame(r, held) }
	d := &dialogue{}
	if r.Float64() < 0.08 {
		d.Messages = append(d.Messages, message{"system", systems[r.IntN(len(systems))]})
	}
	n := r.IntN(100)
	if n < 22 && !held {
		d.chatter(f(), n)
		if r.IntN(3) == 0 {
			return d
		}
	}
	if n >= 22 || n%2 == 0 || held {
		f, prompt, story := told(f)
		d.say(prompt, story)
		d.Hero, d.Plot = f.hero.noun, f.plot.name
		d.follow(f, func() *frame { return newFrame(r, held) })
	}
	if len(d.text()) > maxDialogue {
		return newDialogue(r, held)
	}
	return d
}

// chatter is small talk of one or two exchanges.
func (d *dialogue) chatter(f *frame, n int) {
	kinds := []*talk{&greeting, &wellbeing, &who, &who, &can, &running, &running, &library, &serving, &thanks, &goodbye, &other, &other, &other, &other, &other, &other, &other, &other, &other, &greeting, &other}
	d.say(kinds[n%len(kinds)].exchange(f))
	if f.chance(0.35) {
		d.say(kinds[f.IntN(len(kinds))].exchange(f))
	}
}

var another = []string{"[Another one|One more|Another story|Tell me another one|Again|One more story|Another][|.|!|, please.| please]", "[Tell me|I want|Please tell me] [another|a different|a new] story.", "[More|More please|Next|Next one][|.|!]"}
var onward = []string{"[What happened next|And then|What happened then|What happened after that|Then what][?|]", "[Go on|Continue|Tell me more|Please continue|Continue the story|More of this story|Please go on][|.|!]", "What did {hero} do next?", "How does the story go on?"}
var lessons = []string{"[What is the moral|What is the moral of the story|What do we learn from it|What does the story teach|What is the lesson|What can we learn from this][?|]"}
var ofWhom = []string{"[Who is the hero|Who is the story about|Who was it about|Who is the main character][?| of the story?]"}

// follow goes on after a story, in a quarter of the cases.
func (d *dialogue) follow(f *frame, next func() *frame) {
	switch n := f.IntN(100); {
	case n < 5:
		d.say(thanks.exchange(f))
	case n < 9:
		d.say(f.expand(f.pick(onward)), f.expand(f.pick(sequels)))
	case n < 12:
		d.say(f.expand(f.pick(lessons)), f.expand("[The story tells us|It teaches us|We learn] that {moral}."))
	case n < 14:
		d.say(f.expand(f.pick(ofWhom)), "The story is about "+f.first(&f.hero)+".")
	case n < 17:
		g, _, story := told(next)
		d.say(f.expand(f.pick(another)), story)
		d.follow(g, next)
	case n < 21:
		g, prompt, story := told(next)
		d.say(prompt, story)
		d.follow(g, next)
	case n < 24:
		d.say(other.exchange(f))
	case n < 26:
		d.say(goodbye.exchange(f))
	case n < 28:
		d.say(running.exchange(f))
	}
}
