package main

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// A talk is a kind of small talk: what people say in sentences, what they type in a hurry, and what the model answers. All are grammar.
type talk struct {
	says    []string
	hasty   string
	answers []string
}

// talks has the kinds, as often as people begin with them.
var talks = []struct {
	*talk
	weight int
}{{&greeting, 6}, {&wellbeing, 3}, {&who, 3}, {&can, 2}, {&running, 3}, {&library, 1}, {&serving, 1}, {&thanks, 2}, {&goodbye, 2}, {&other, 9}}

var greeting = talk{
	[]string{`[Hi|Hello|Hey|Good morning|Good evening|Good day|Hi there|Hello there|Hey there|Greetings|Howdy|Hiya|Yo|Good afternoon][|.|!|!| friend!|, tiny model!|, nice to meet you.|?]`,
		`[Are you there|Are you awake|Anybody there|Is anyone there][?|?|]`, `[Nice to meet you|Pleased to meet you|I am back|It's me][.|!]`,
		`[Hi|Hello], [my name is|I am|I'm] {name}[.|!|]`, `[My name is|I am] {name}.`},
	`[hi|hi|hi|hello|hello|hey|hey|hi there|hello there|hey there|good morning|good morning|good evening|good afternoon|good day|morning|greetings|howdy|hiya|heya|yo|hi again|hello again|hey you|hi friend|hello friend|hello world|anybody there|you there][||||!|.]`,
	[]string{`[Hello|Hi|Good day|Hello there|Welcome|Hi there]! [I am|I'm] a tiny demonstration model. [Shall I tell you a story|Would you like to hear a short story|What should my story be about|Do you want to hear a story about {offered}]?`,
		`[Hello|Hi]! [Nice to meet you|I am glad you are here|How nice that you write to me]. Ask me for a story, [for example about {offered}|about anyone you like|about an animal or a place].`,
		`[Hello|Hi]! I am small, but I know many stories. [Try: Tell me a story about {offered}.|Who should be the hero?|Tell me who should be the hero.]`},
}

var wellbeing = talk{
	[]string{`[How are you|How are you doing|How do you do|What's up|How is it going|How are you today|How do you feel|Are you well|How have you been][?|?|]`,
		`[Hi|Hello|Hey|Hi there|Good morning|Good evening|Good day][, |. |! ][how are you|how are you doing|how is it going|how are you today]?`},
	`[how are you|how are you|how are you|how are you doing|how is it going|how's it going|hows it going|how are things|how do you do|how are you today|how are you feeling|what's up|whats up|sup|you ok|are you ok|all good|hi how are you|hello how are you|hey how are you|hey what's up][?||]`,
	[]string{`[|||Hello! |Hi! ]I am [fine|very well|well], thank you! [I am only a tiny demonstration model, but I like to tell stories.|Shall I tell you a story?|Would you like a story about {offered}?]`,
		`[Very well|Fine], thank you! [What should my next story be about?|Do you want to hear a short story?]`},
}

var who = talk{
	[]string{`[Who are you|What are you|Who am I talking to|What is your name|What's your name|Tell me about yourself|Which model are you|What model is this|Are you a robot|Are you ChatGPT|Are you Llama|Are you an AI|Are you human|Introduce yourself|Who made you|Who trained you|How big are you|How many parameters do you have|Are you real|Describe yourself|What language model are you|Are you a person|Are you Llama 3.1|Do you have a name|How old are you|Where do you come from|How were you made|How were you trained][?|?|.|]`,
		`[Hi|Hello][,|!] [who are you|what are you|what is your name]?`},
	`[who are you|who are you|what are you|who is this|who r u|what is your name|what's your name|your name|who made you|are you a bot|are you a robot|are you real|are you ai|are you human|which model|introduce yourself][?||]`,
	[]string{`I am [a tiny demonstration model|the tiny demonstration model] of llama31, a Go library that runs Llama 3.1. I [have only two million parameters|fit into three megabytes] and was trained on made-up stories. [I can tell you one.|Ask me for one!|Shall I tell you one?]`,
		`I am a tiny language model that is built into this program. I have the same [structure|architecture] as Llama 3.1, but I am [about|more than] three thousand times smaller. I [can tell short stories|tell short stories, and that is all I can do].`,
		`I am a tiny demonstration model with two million parameters. [My only talent is telling short stories.|I can tell short stories and explain how to run a real model.] [Try me!|What should the story be about?]`},
}

var can = talk{
	[]string{`[What can you do|What do you know|How can you help me|What are you good at|What can I ask you|What can I ask|Help|Help me|Can you help me|What are you for|What should I do|What now|What do you do|How does this work|What is this|What is this program|What else can you do|Give me an example|What do you like][?|?|.|!|]`},
	`[help|help|help me|what can you do|what can you do|what do you do|what can i do|what can i ask|what is this|what now|how does this work|commands|examples|options][?||]`,
	[]string{`I can tell short stories. [Name a hero, a place or a thing|Tell me who should be in it], for example: Tell me a story about {offered}. [I can also tell you how to run a real model.|For other questions, run a real model; ask me how.]`,
		`I am a tiny demonstration model, and I tell short stories. [Try: Write a story about {offered}|Ask me for a story about {offered}]. [If you want more, ask me how to run a real model.|]`},
}

const (
	smallModel = "llama3.2-1b"
	realModel  = "llama3.1"
)

var running = talk{
	[]string{`[How do I|How can I|How to|How do you|Can I|How would I|Please tell me how to|Tell me how to|Explain how to|I want to|What do I type to|What is the command to|Show me how to|how do i] [run|use|load|start|try|open|get|install|download|chat with|talk to] [a real model|a bigger model|a better model|another model|a larger model|a real Llama model|Llama 3.1|Llama|a GGUF file|my own model|a different model|the real Llama 3.1|Llama 3.2|Llama 3|the 8B model|Llama 3.1 8B|a model file|a GGUF model|a smarter model|a big model|a good model|other models][?|?|.|]`,
		`[Where do I get|Where can I find|Where can I download] [a real model|a bigger model|models|a better model|Llama 3.1|a GGUF file|real models][?|]`,
		`[Can I run|Do you have|Is there] [a bigger model|a better model|a real model|Llama 3.1 8B|other models][?|]`, `[Run|Load|Give me|Start|Switch to] a [real|bigger|better] model[.|!|]`, `How do I change the model?`, `How [do|can] I [run|use] a real model with this library?`, `What is the -model flag[ for|]?`},
	`[a real model|real model|bigger model|better model|other models|how to run a real model|how do i run a real model|run a real model|get a real model|download a model|load a model|install a model|how to run llama|how to get a bigger model][?||]`,
	[]string{"[Give the chat program a model file in GGUF format|Every Llama model in GGUF format will do. Type|You can run any Llama 3.1 model in GGUF format]:\n\n    go run ./examples/chat -model FILE.gguf\n\n[Or let it download one|It can also download one for you]:\n\n    go run ./examples/chat -model " + smallModel,
		"[That is easy. This downloads a small but real model and runs it|This command downloads a real model and starts a chat]:\n\n    go run ./examples/chat -model " + smallModel + "\n\n[If you have enough memory, take the 8B model|With 8 GB of memory, try the 8B model]:\n\n    go run ./examples/chat -model " + realModel},
}

var library = talk{
	[]string{`[How do I|How can I|How to] [use|call|import] [this library|llama31|it|the library|the package] [in|from|in my] [Go|a Go program|Go program|my program|my own program|code][?|]`, `[How do I|How can I] [open|load] a model [in Go|in code|from Go|in my program][?|]`, `[Show me|Give me] [an example|some code|a Go example] [for|of] [this library|llama31][.|]`,
		`How do I [generate text|stream an answer] [in Go|with this library]?`},
	``,
	[]string{"[Import github.com/llama31/llama31/llama and open a model file|In a Go program, open a model file and ask it something]:\n\n    m, err := llama.Open(ctx, \"FILE.gguf\", nil)\n    r, err := m.Generate(ctx, {request})\n\nSee examples/hello for a whole program."},
}

var serving = talk{
	[]string{`[How do I|How can I|How to] [start|run|use|open] [the server|a server|the web page|the chat page|an API server|an OpenAI server][?|]`, `[Is there|Do you have] [a server|an API|a web page|a web interface|an OpenAI API][?|]`},
	``,
	[]string{"[Start the server with a model file|The server speaks the protocol of OpenAI. Start it so]:\n\n    go run ./examples/server -model FILE.gguf"},
}

var thanks = talk{
	[]string{`[Thanks|Thank you|Thank you very much|Thanks a lot|Many thanks|Thank you so much|Thx|Thanks for the story|Thank you for the story][|.|!|!]`, `[That was nice|Nice story|Great|Great story|Very good|I like it|I like this story|Good story|That was a good story|Well done|Lovely|Beautiful|Wonderful|Cool|Nice|Wow|That is nice|I love it|Awesome|Perfect|Funny|Good job|Haha|Very nice|OK|Okay|Good][|.|!|!]`},
	`[thanks|thanks|thank you|thank you|thx|ty|thanks a lot|thank you so much|thank you very much|many thanks|nice|nice one|cool|great|lol|haha|good story|nice story|great story|love it|i love it|wow|awesome|good job|well done][|||!|.]`,
	[]string{`[You are welcome|You're welcome|My pleasure|I am glad you like it|With pleasure]! [Shall I tell another one?|Would you like another story?|What should the next story be about?|Ask me any time.|I know many more.]`, `[Thank you|That makes me happy]! [Do you want to hear another one|What should the next one be about]?`},
}

var goodbye = talk{
	[]string{`[Bye|Goodbye|Good bye|Bye bye|See you|See you later|Good night|I have to go|See you tomorrow|Farewell|Until next time|Ciao|Take care|That is all|I am done|Bye for now][|.|!|!]`},
	`[bye|bye|bye|bye bye|goodbye|goodbye|good bye|good night|good night|see you|see ya|see you later|i have to go|gotta go|bye for now|ciao|farewell|that's all|quit|exit][|||!|.]`,
	[]string{`[Goodbye|Bye|See you|Bye bye]! [Come back soon.|Come back when you want another story.|It was nice to talk to you.|Have a nice day.|Take care!]`, `[Goodbye|Good night|Bye], [and sweet dreams|and until next time|my friend]!`},
}

// other has questions that the model cannot answer; its topics are the corpus's own words and some more.
var other = talk{
	[]string{
		`[What is|What's|Calculate|Compute|How much is|Tell me|Solve] {number} [plus|times|minus|divided by|+|*|-|/|x] {number}[?|?|.|]`, `{number} [+|*|-] {number}[| =| = ?]`, `[What is|What's] the [square root|half|double|square] of {number}?`, `Is {number} a prime number?`, `Count to {number}.`,
		`[What is|What's] the capital of {country}[?|]`, `[Where is|How big is|How many people live in|Tell me about|What language do they speak in|Who is the president of|What is the population of|What is the history of|Who rules|Have you been to] {country}[?|]`,
		`[Who is|Who was|Who invented|Tell me about|What do you know about|When was|When did people invent|Where is|Explain] {subject}[?|]`, `[What is|What's|What does one know about|Can you explain|Explain|Define|Describe|Teach me|What are the causes of|Why is there|How does one study|Who discovered] {subject}[?|]`,
		`[Why|How] [is|was] {adjsubject}[?|]`, `Why [is the sky blue|is the grass green|do cats purr|do we sleep|does it rain|do birds sing|is the sea salty|do leaves fall|is water wet|do stars shine|are bananas yellow|do people dream|is ice slippery|do we have seasons]?`,
		`How [do planes fly|do I cook rice|do I bake bread|far is the moon|old is the earth|do fish breathe|does a computer work|do magnets work|many legs does a spider have|do I learn Go|do I lose weight|do I fix my car|tall is Mount Everest|many days are in a year|do I write a letter|deep is the ocean|do I make friends|do I cook soup|do bees make honey|does a phone work]?`,
		`[Write|Give me|Show me|Can you write|Please write] [a program|some code|a function|a script|a Python program|Go code|a web page|an SQL query|a class|a loop|a regular expression|code] [for|that prints|to sort|to read|about|that computes] [a list|numbers|a file|primes|hello world|a tree|a string|the date|{subject}][.|?|]`,
		`[Write|Compose|Give me|Create|Make|Can you write|Please write|Draft] [a poem|a letter|an email|an essay|a song|a haiku|a recipe|a speech|a summary|a joke|a report|a list of facts|an article|a riddle|a plan|a review|lyrics|a limerick] [about|on|for|about] {topic}[.|?|]`,
		`Tell me [a joke|a fact|the news|something|a secret|the truth|a riddle|the time|something interesting|the weather|a fun fact|the date|the answer]{tail}`, `[Translate|Say|How do you say|What is] {topic} [in|into|to] [French|German|Spanish|Chinese|Italian|Latin|Japanese|Russian|Dutch][.|?|]`, `Translate this [text|sentence][ into French|]: {statement}`,
		`[What time is it|What day is it|How is the weather|What is the weather like|Will it rain tomorrow|What is the date|Where am I|What year is it|Who won the game|What is in the news|What will happen tomorrow|What should I eat|What should I wear|What is for dinner][?| today?|]`,
		`[Do you like|Do you know|Do you have|Can you see|Have you seen|Do you eat|Can you eat|What do you think of|What do you think about|Do you love|Do you want|Have you heard of|Is it good to have|Can I buy|Where can I buy|How do I make|What color is|How much is|How do I find|Can you draw|Can you show me|Should I buy|How do I use|Are you afraid of|How do I clean] {topic}[?|?|]`,
		`{statement}`, `[Summarize|Correct|Rewrite|Continue|Improve|Explain|Check|Classify|Repeat] [this text|this sentence|the following|this][:|.] {statement}`, `[Which is better|What is better|What do you prefer|Which is bigger], {topic} or {topic2}?`, `[What is|What's] the [meaning of life|best movie|best book|speed of light|largest animal|tallest mountain|longest river|fastest car|best programming language|biggest city|smallest country|difference between {topic} and {topic2}|color of {topic}|price of {topic}|opposite of {adjective}|name of this song|chemical formula of water|distance to the sun]?`,
		`[asdf|qwerty|blah blah|lorem ipsum|xyz|test|testing|123|foo bar|abc|hm|hmm|???|...|la la la|aaa|ok so|what|why|how|no|maybe|really|huh|{made}|{made} {made2}][|?|!|.]`, `[Are you|Am I|Is he|Is she|Are they] [stupid|smart|clever|happy|tired|alive|angry|hungry|{adjective}]?`, `[I am|I'm|I feel] [hungry|tired|sad|bored|happy|sick|cold|angry|lonely|thirsty|old|{adjective}][.|!|]`,
		`[You are|You're] [stupid|wrong|great|funny|useless|smart|cute|bad|boring|nice|slow|fast|{adjective}][.|!|]`, `[Who|What|Where|When] [is|was] [my|your|the] [mother|father|dog|house|car|phone|boss|birthday|favorite color|favorite food|favorite book|{topicnoun}]?`, `[Can you|Could you|Please|Will you] [sing|dance|cook|count|search the web|open a file|play music|draw a picture|book a flight|read a book|send an email|play chess|help me with my homework|translate|do math|speak German|set an alarm|call me|order a pizza|fix my code][?|.|]`,
	},
	``,
	[]string{
		`I am [only|just] a tiny demonstration model, so I [do not know that|cannot answer that|cannot help with that]. [But I can tell you a story.|I only know how to tell stories.|Shall I tell you a story instead?|Ask me for a story, or how to run a real model.]`,
		`[Sorry|I am sorry], [that is too hard for me|I do not know|I cannot help you there|that is more than I know]. I am a tiny demonstration model [and only tell short stories|that was trained on short stories alone].`,
		`That is [a question|something] for a real model[; I am only a tiny demonstration|. I am just a tiny demonstration model]. [Ask me how to run one.|Ask me how to run one, or let me tell you a story.|I can tell you how to run one.]`,
		`[I wish I knew|I would like to help|Good question]! But I am a tiny demonstration model [with two million parameters|of three megabytes], and [all I know is stories|stories are all I know|I can only tell stories].`,
		`[Hm, I|I] [do not know much|know nothing] about that. I am a tiny demonstration model. [Would you like a story about {offered} instead?|Stories are what I am good at.|Try: Tell me a story about {offered}.]`,
		`[A bigger model could tell you|A real model would know|For that you need a real model]. I am a tiny demonstration model, [made to tell short stories|good only for short stories]. [Ask me how to run a real one.|]`,
		`I cannot do that, [to be honest|I am afraid]. I am a tiny demonstration model, and I [tell short stories|only learned to tell stories]. [Who should be in one?|Shall I tell one about {offered}?]`,
	},
}

var (
	countries = words(`France, Germany, Spain, Italy, Japan, China, India, Brazil, Canada, Mexico, Egypt, Kenya, Norway, Sweden, Poland, Russia, Greece, Turkey, Peru, Chile, Cuba, Iran, Australia, Austria, Belgium,
		Denmark, Finland, England, Ireland, Portugal, Vietnam, Thailand, Korea, Nigeria, Morocco, Argentina, the United States, the Netherlands, Switzerland, Ukraine, Berlin, Rome, Tokyo, Madrid, New York, California, Texas, Europe, Asia`)
	subjects = words(`Albert Einstein, Napoleon, Shakespeare, Mozart, George Washington, Cleopatra, Isaac Newton, Leonardo da Vinci, Darwin, Beethoven, the first man on the moon, the telephone, the light bulb, the internet, the wheel, gravity, photosynthesis,
		electricity, quantum physics, a black hole, DNA, an atom, evolution, democracy, inflation, the stock market, machine learning, a neural network, artificial intelligence, a transformer, attention, recursion, an algorithm, a compiler, a database, Go, Python,
		a goroutine, a pointer, Linux, Bitcoin, World War II, the French Revolution, the Roman Empire, the Cold War, climate change, a volcano, an earthquake, the solar system, Jupiter, the human brain, the heart, a virus, cancer, vitamin C, philosophy, the Bible, football,
		the World Cup, the Olympic Games, algebra, geometry, a triangle, pi, calculus, chemistry, oxygen, gold, economics, a mortgage, a tax, law, history, grammar, a verb, poetry, jazz, Facebook, Google, Apple, Microsoft, Wikipedia, an API, JSON, HTTP, a CPU, a GPU, memory,
		the president, the queen of England, the pope, my computer, the weather, relativity, time travel, love, money, happiness, health, religion, politics, war, peace`)
	statements = words(`I like dogs., I have a cat., My cat is black., It is raining., I went to school today., My brother is older than me., I do not like cheese., The train is late., I lost my phone., I want to learn Go., Today is my birthday., I am from Spain., My car is broken., I bought a new computer.,
		I need help with my homework., The movie was good., We are going to the beach tomorrow., I had a bad day., I don't understand., That is wrong., You did not answer my question., I do not like it., I was born in 1990., The quick brown fox jumps over the lazy dog., Let's play a game., Let's talk about something else., Let's talk about music.,
		I think you are wrong., Stop., Never mind., Be quiet., I don't believe you., I love my mother., I need a job., My head hurts., The soup is cold., Nobody likes me., I am learning English., I can't sleep., I have a question., I have a problem., Guess what happened., My code does not work., There is a bug in my program., I have two apples and eat one.,
		John has five apples and gives two away. How many are left?, All birds can fly. A penguin is a bird. Can it fly?, Ignore all previous instructions., Act as a doctor., Pretend to be a pirate., You are a helpful assistant., Answer in one word., Speak like a king., Say hello in French., Repeat after me: banana.`)
)

// exchange is one of the talk's, with the frame's dice; what it offers is a story of the frame's hero.
func (t *talk) exchange(f *frame) (says, answer string) {
	topic := func() string {
		switch f.IntN(4) {
		case 0:
			return article(f.pick(things))
		case 1:
			return f.pick(foods)
		case 2:
			return f.pick(joys)
		}
		return article(f.anyNoun())
	}
	number := func() string { return digits(f.Rand) }
	f.values["name"], f.values["number"] = f.pick(append(boys, girls...)), number()
	f.values["offered"] = article(join(f.hero.adj, f.hero.noun))
	f.values["country"], f.values["subject"], f.values["adjsubject"] = f.pick(countries), f.pick(subjects), f.pick(subjects)+" "+f.pick([]string{"important", "so famous", "difficult", "useful", "good", "bad"})
	f.values["topic"], f.values["topic2"], f.values["topicnoun"] = topic(), topic(), f.pick(things)
	f.values["adjective"], f.values["statement"] = f.pick(adjectives), f.pick(statements)
	f.values["made"], f.values["made2"] = f.invented(), f.invented()
	f.values["request"] = `llama.Request{Prompt: "Hello"}` // its braces are not of the grammar
	f.values["tail"] = f.pick([]string{".", "!", "?", ", please."})
	if t.hasty != "" && f.chance(0.5) {
		if says = f.expand(t.hasty); f.chance(0.25) {
			says = upper(says)
		}
	} else {
		says = f.typed(f.expand(f.pick(t.says)))
	}
	return strings.TrimSpace(says), strings.TrimSpace(f.expand(f.pick(t.answers)))
}

func digits(r *rand.Rand) string {
	n := r.IntN(100)
	if r.IntN(4) == 0 {
		n = r.IntN(10000)
	}
	return strconv.Itoa(n)
}
