package main

// A plot is the course of a story. Its texts are grammar: [a|b|c] takes one of several, {key} is filled in from the frame, with a
// capital where the key has one. A beat is one of its texts.
type plot struct {
	name     string
	themes   []string // what a prompt may call it
	moral    string
	clauses  []string // behind the hero in a prompt
	homes    bool     // the place is a goal, not the home
	beats    [][]string
	headline []string // short forms of prompts: "a story about {thing}"
}

var plots = []plot{
	{
		name: "lost", themes: words("searching, losing things, not giving up"), moral: "what is lost can often be found [if you look long enough|with the help of a friend]",
		clauses: []string{"who lost {his} {thing}", "who loses {his} {thing}", "who has lost {his} {thing}", "looking for {his} {thing}", "who cannot find {his} {thing}", "and a lost {thing}", "who is looking for a lost {thing}"},
		beats: [][]string{
			{`[One morning|One day|One evening], {his} {thing} was gone. {Hero} looked [everywhere|high and low], but could not find it.`,
				`{Hero} had {athing}, and {he} loved it very much. But [one day|one windy day], the {thing} was [gone|nowhere to be found].`,
				`{His} favorite thing was {athing}. One day {he} [lost it|came home without it]. "Where is my {thing}?" {he} cried.`},
			{`{He} looked under [the bed|a bush|every stone] and behind [the door|every tree|the wall]. [No {thing}.|There was no {thing}.]`,
				`{He} asked {afriend}. "I have not seen your {thing}," said {friend}, "but I will help you look."`,
				`{Afriend} came by. "Why are you so sad?" asked {friend}. "I have lost my {thing}," said {hero}. "[Then we will look together|Let us look together|Come, I will help you]," said {friend}.`},
			{`[They looked all day long.|Together they searched until the sun went down.|They looked up and down, left and right.] [Just when they wanted to give up|At last], {friend} saw something {spot}.`,
				`They followed [a trail of footprints|a strange sound|the path] for a long time. Then {hero} stopped. There was something {spot}!`},
			{`It was the {thing}! "[You found it|There it is]!" {Hero} [cheered|laughed|jumped for joy].`,
				`There lay the {thing}[, a little dusty, but not broken|, safe and sound|]. {Hero} [hugged {friend}|was so happy that {he} danced].`},
			{`"Thank you," said {hero}. "[I will never lose it again|You are a true friend]." [And {he} never did.|They shared some {food} and laughed.]`,
				`From that day on, {hero} always kept the {thing} [close|in a safe place]. [And {friend} came to visit every week.|]`},
		},
	},
	{
		name: "fear", themes: words("courage, being brave, fear, being afraid"), moral: "being brave means [going on even when you are afraid|trying even when your knees shake]",
		clauses: []string{"who is afraid of {fear}", "who was afraid of {fear}", "who is scared of {fear}", "that is afraid of {fear}", "who fears {fear}", "afraid of {fear}", "who is not afraid of {fear} any more"},
		beats: [][]string{
			{`There was only one problem. {Hero} was afraid of {fear}.`, `But {hero} had a secret. {He} was very afraid of {fear}.`, `{He} was afraid of just one thing: {fear}. [When {he} thought of it, {his} knees shook.|]`},
			{`One day, {afriend} was in trouble and called for help. To get there, {hero} had to face {fear}.`,
				`One evening, {afriend} came running. "Help! My little [brother|sister] is lost!" said {friend}. {Hero} knew that this meant facing {fear}.`,
				`"[I cannot do it|I am too scared]," {he} told {afriend}. "Everyone is afraid of something," said {friend}. "[Take my hand|Come, we will go together|Let us try it together]."`},
			{`{Hero} took a deep breath. [{His} heart beat fast.|{His} legs felt like jelly.] [Step by step, {he} went on|But {he} did not turn back]. [{He} hummed a little song.|{He} counted to ten.]`,
				`At first {he} wanted to run away. Then {he} closed {his} eyes, counted to [three|five|ten] and [went on|took one small step, and then another].`},
			{`And do you know what? It was not so bad at all. "[I did it|I am not afraid any more]!" said {hero}.`,
				`After a while {he} noticed something. {His} fear was gone! "You did it!" cried {friend}.`,
				`In the end everything went well. "You are a hero," said {friend}. {Hero} [blushed|smiled proudly].`},
			{`[From then on|After that], {hero} was not afraid of {fear} any more[. Well, only a little|].`,
				`That night {hero} slept very well. {Fear} did not frighten {him} any more.`},
		},
	},
	{
		name: "skill", themes: words("learning, practice, never giving up, trying again"), moral: "everyone has to start small|you can learn anything if you keep trying",
		clauses: []string{"who wants to {skill}", "who wanted to {skill}", "who learns to {skill}", "who cannot {skill}", "who could not {skill}", "learning to {skill}", "who wants to learn to {skill}",
			"that wants to learn how to {skill}", "who dreams that {he} can {skill}", "who learns how to {skill}"},
		beats: [][]string{
			{`More than anything, {hero} wanted to {skill}. [But {he} did not know how.|But nobody had ever shown {him} how.]`, `{Hero} had one big dream. {He} wanted to learn to {skill}.`, `All the others could {skill}, but {hero} could not. [That made {him} sad.|{He} only watched.]`},
			{`{He} tried it once and fell on {his} nose. {He} tried it again and [fell into a puddle|bumped into a tree|landed in a bush]. "[It is too hard|I will never learn it]," {he} [sighed|said].`,
				`"You will never {skill}!" laughed the others. {Hero} [went away and cried a little|felt small and sad].`},
			{`{Afriend} had watched {him}. "I can help you," said {friend}. "But you must [practice every day|be patient|not give up]."`,
				`Then {he} met {afriend}. "Nobody can do it the first time," said {friend}. "[Try again|Let me show you]."`},
			{`So they practiced, [day after day|in the morning and in the evening|in sunshine and in rain]. Slowly it went better and better.`,
				`{Hero} practiced and practiced. [On the third day|After a week|One morning], something [happened|was different].`},
			{`"Look, I can {skill}!" cried {hero}. {Friend} clapped and cheered.`, `And suddenly {he} could {skill}! [Everyone was amazed.|Everybody came to watch.]`},
			{`Now {hero} teaches the little ones how to {skill}.`, `[That evening|From then on], {hero} was the happiest {noun} {inthe}.`, `"Thank you for believing in me," {he} said to {friend}.`},
		},
	},
	{
		name: "food", themes: words("sharing, food, being generous"), moral: "[food tastes better when you share it|sharing makes everyone happy]",
		clauses: []string{"who likes {food}", "who loves {food}", "who loved {food}", "that likes {food}", "who only eats {food}", "and {his} {food}", "who wants some {food}", "who makes {food}", "who loves to eat {food}", "who eats too much {food}",
			"who shares {his} {food}"},
		beats: [][]string{
			{`{Hero} loved {food} more than anything in the world.`, `Every day {hero} ate {food}. [{He} ate {food} for breakfast and {food} for dinner.|{He} could never get enough.]`, `There was nothing that {hero} liked better than {food}.`},
			{`One day, there was no {food} left. [Not one little bite!|The shelf was empty.] So {he} set out to find some.`, `One morning, {hero} found a big [basket|bowl|pot] full of {food}. "[All for me|What luck]!" {he} said.`, `One day {he} smelled something wonderful. "I know that smell!" {he} said and ran to see. There was a table full of {food}.`},
			{`On the way {he} met {afriend}. "I am so hungry," said {friend}. [{Hero} thought for a while.|{Hero} did not know what to do.]`, `Just then {afriend} came by. {Friend} had not eaten for [a whole day|two days]. {Hero} looked at {his} {food}.`},
			{`"Come, sit down," said {hero}. "There is enough for two." They ate until they were full.`, `At first {hero} wanted to keep everything. But {friend} looked so sad. "[Here, take half|Let us share]," {he} said at last.`,
				`"I know where there is more," said {friend}. So they went together, and soon they had a whole basket full.`},
			{`And the {food} tasted better than ever before.`, `Soon everybody came, and it became a big feast with {food} for all.`, `"[Alone it is only half as good|It tastes better when we share]," said {hero}.`},
		},
	},
	{
		name: "joy", themes: words("happiness, dreams, being yourself"), moral: "[it is good to have a dream|what you love is worth sharing]",
		clauses:  []string{"who loves {joy}", "who likes {joy}", "who loved {joy}", "that likes {joy}", "who dreams of {joy}", "and {joy}", "who is in love with {joy}", "who knows all about {joy}"},
		headline: []string{"{joy}"},
		beats: [][]string{
			{`What {hero} loved most was {joy}. [{He} thought of {joy} all day long.|At night {he} dreamed of {joy}.]`, `{Hero} loved {joy}. "There is nothing better than {joy}," {he} always said.`},
			{`But nobody else cared for {joy}. "[That is silly|How boring]," said the others. So {hero} was often alone.`, `[One day|One afternoon], {he} met {afriend}, who looked very sad. "What is so good about {joy}?" asked {friend}.`,
				`"Why do you like {joy} so much?" asked {afriend} one day.`},
			{`"Come with me," said {hero} to {afriend}. "I will show you." They went {to2}, sat down and waited. [It was very quiet.|The air was soft and warm.]`, `{Hero} thought for a long time. "I cannot tell you why," {he} said, "but I can show you."`},
			{`And then {friend} understood. {fHis} eyes became big and round. "[It is wonderful|I never knew]!" {fhe} whispered.`, `{Friend} laughed for the first time in weeks. "[Can we do this again tomorrow|May I come again]?" {fhe} asked.`},
			{`Since then, the two of them share {his} love of {joy}.`, `From that day on, {hero} was never alone again. Two hearts were full of {joy}.`, `And if you go there [in the evening|early in the morning], you can still see them, happy with {joy}.`},
		},
	},
	{
		name: "help", themes: words("helping others, kindness, helping a friend, being kind"), moral: "[kindness always comes back|even someone small can help]",
		clauses: []string{"who helps {afriend}", "who helped {afriend}", "who helps everyone", "that helps {afriend}", "who saves {afriend}", "helping {afriend}"},
		beats: [][]string{
			{`One day, {he} heard a small voice. "Help! Please help me!" It was {afriend}.`, `[One morning|On {his} way home], {hero} saw {afriend} [crying|sitting all alone]. "What is wrong?" {he} asked.`},
			{`{Friend} was stuck {spot} and could not get out. [Others only shook their heads, but {hero} stopped.|{Hero} did not think twice.] "Hold on," {he} said. {He} fetched a long rope and pulled with all {his} strength. [One, two, three, and it worked!|At last {friend} was free.]`,
				`"I have lost my way," said {friend}. "I want to go home." [Others walked by, but {hero} stopped.|{Hero} took {fhim} by the hand.] "Do not be afraid," {he} said. "[I will bring you home|I know the way]." They went over hills and through tall grass[, until they saw a light|].`,
				`"My foot hurts, and I cannot walk," said {friend}. "[Do not worry|Do not cry]," said {hero}. "I will carry you." {He} took {friend} on {his} back and went slowly, step by step, [until they reached the doctor|all the way home].`,
				`"My house was blown away by the wind," said {friend}. [Others walked by, but {hero} stopped.|{Hero} thought for a moment.] "I will build you a new one," {he} said. {He} worked [all day and all night|until the moon came up]. It was hard, but {he} did not stop.`,
				`"I am so hungry and cold," said {friend}. "[Come with me|Come in]," said {hero}. {He} made a fire and gave {fhim} {food} and a warm blanket. [Soon {friend} felt better.|{Friend} ate and ate.]`},
			{`"How can I thank you?" asked {friend}. "[You do not have to|Just be my friend]," said {hero}.`, `"You are so kind," said {friend} and gave {him} {gift}.`},
			{`Some time later, {hero} needed help {himself}. And who came running? {Friend}!`, `From then on, {hero} and {friend} were the best of friends.`},
		},
	},
	{
		name: "found", themes: words("treasure, adventure, a discovery, magic, a secret"), moral: "the best treasure is [a good friend|sharing your luck]",
		clauses:  []string{"who finds {athing}", "who found {athing}", "and {athing}", "with {athing}", "who discovers {athing}", "that finds {athing}", "and the {thing}", "who has {athing}", "and the secret of the {thing}"},
		headline: []string{"{athing}", "the {thing}", "{athing}"},
		beats: [][]string{
			{`One day, {he} found {athing} {spot}. [It shone in the sun.|{He} had never seen anything like it.|It was covered with dust.]`, `One [morning|evening], something glittered {spot}. {Hero} went closer. It was {athing}!`},
			{`When {he} picked it up, the {thing} began to [glow|hum|shake]. "[Whose is it|What can it be]?" {he} wondered.`, `"Who has lost it?" {he} thought. {He} took the {thing} and asked everyone {he} met.`, `{He} took the {thing} home and looked at it all night.`},
			{`Then {he} met {afriend}. "That {thing} is magic," said {friend}. "It grants one wish." {Hero} thought of gold and [fine food|a big house]. But then {he} saw how [sad|lonely|tired] {friend} was. "[I wish that you are happy|I wish that nobody is sad today]," {he} said. [The {thing} sparkled, and|And at once] {friend} began to laugh.`,
				`{Afriend} saw it and began to cry. "That is my {thing}! I have looked for it [everywhere|for a hundred days]," said {friend}. {Hero} wanted to keep the {thing}. [It was so pretty!|] But {he} knew what was right. "Here, it is yours," {he} said and gave the {thing} to {friend}. {Friend} hugged {him} tightly.`,
				`{Afriend} knew an old story about it. "Whoever has the {thing} finds a treasure," said {friend}. They [looked|searched] together for three days. They found no gold. But they [laughed a lot|had many adventures], and that was worth more.`,
				`{He} showed it to {afriend}. "What can we do with it?" asked {friend}. They had [a hundred|many] ideas. First they played with the {thing}, then they [danced around it|told stories about it], until the stars came out.`},
			{`{Hero} had found more than a {thing}. {He} had found a friend.`, `And the {thing}? It [still shines|hangs] above {his} door, so that everyone can see it.`},
		},
	},
	{
		name: "storm", themes: words("a storm, the weather, working together"), moral: "together we are strong|after every storm comes the sun",
		clauses:  []string{"in a {weather}", "and the {weather}", "caught in a {weather}", "who lives through a {weather}", "who gets lost in a {weather}", "during a {weather}"},
		headline: []string{"a {weather}", "the {weather}"},
		beats: [][]string{
			{`One [day|night], a terrible {weather} came. [Everyone ran to hide.|It was dark as night.]`, `[In the morning the sky was still blue.|It had been a quiet day.] But then the {weather} came[, faster than anyone had thought|].`},
			{`{Hero} found a safe place {spot}. But then {he} heard somebody call. It was {afriend}, all alone outside.`, `"I must get home," thought {hero}. But {he} could not see the way. Then {he} bumped into {afriend}, who was lost too.`},
			{`"[Come to me, quickly|Hold on to me]!" cried {hero}. They held each other tight. [The {weather} roared all around them.|]`, `"Two are better than one," said {hero}. [Side by side, they went on.|They told each other stories so that they would not be afraid.]`},
			{`They waited for a long, long time. [To pass the time, they sang songs.|They shared the last piece of bread.]`, `"Will it ever stop?" asked {friend}. "[Every storm ends|It will]," said {hero}.`},
			{`At last it was quiet. The {weather} was over, and a rainbow stood [in the sky|over {place}].`, `In the morning the sun came out, and [birds sang|everything was clean and bright]. The {weather} was over.`},
			{`Together they repaired what was broken. [And they stayed friends forever.|]`, `"I was not afraid with you," said {friend}. "[Me neither|Nor was I]," said {hero}.`},
		},
	},
	{
		name: "lonely", themes: words("friendship, friends, making friends, a new friend, being different, love"), moral: "[a friend may be nearer than you think|you do not have to be alike to be friends]",
		clauses: []string{"who has no friends", "who is lonely", "who wants a friend", "looking for a friend", "who meets {afriend}", "who makes friends with {afriend}", "who finds a friend", "and {his} friend the {friendnoun}", "and {his} new friend", "who is different from the others"},
		beats: [][]string{
			{`{Hero} had no friends. [Every day {he} played alone.|In the evening {he} talked to the moon.]`, `"I wish I had a friend," {hero} often said. But [nobody heard {him}|only the wind answered].`},
			{`One day, {afriend} moved in next door. "[Will {fhe} like me|Shall I say hello]?" thought {hero}.`, `One day, {he} met {afriend}. {Friend} was quite different. [{fHe} liked other games and other food.|]`},
			{`"Hello," said {hero} quietly. {Friend} looked up. "Hello," {fhe} said. "[Do you want to play|Would you like some {food}]?"`, `At first they did not know what to say. Then {friend} [told a joke|fell over {fhis} own feet], and both had to laugh.`},
			{`They played [hide and seek|with a ball|in the sun] until it was dark. [It had never been so much fun.|]`, `They found out that both of them loved {joy}. They talked for hours.`},
			{`"Will you come back tomorrow?" asked {hero}. "Of course," said {friend}. "[Friends always come back|And the day after, too]."`, `"I was lonely too," said {friend}. "Now we are two."`},
			{`And so {hero} was never lonely again.`, `Since that day, you never see {hero} without {friend}.`},
		},
	},
	{
		name: "contest", themes: words("winning and losing, being fair, a contest"), moral: "there are more important things than winning",
		clauses:  []string{"who wants to win {event}", "in {event}", "who wins {event}", "who takes part in {event}", "and {event}", "who loses {event}"},
		headline: []string{"{event}"},
		beats: [][]string{
			{`[One summer|One day], there was {event}. {Hero} wanted to win it more than anything.`, `Everybody was talking about {event}. "[I will win|I will try my best]," said {hero}.`},
			{`{He} practiced every day, [even in the rain|from morning to night]. The others laughed. "You are too [small|slow|young] to win," they said.`, `The strongest of all was {afriend}, who had won [every year|three times]. {Hero} was a little nervous.`},
			{`The big day came. [Three, two, one, go!|A bell rang, and it began.] {Hero} was [fast|good], better than ever before. Soon only {friend} was ahead of {him}.`, `When it began, {hero} [shook with excitement|took a deep breath]. At first everything went well. {He} was in front!`},
			{`Then {friend} fell and hurt {fhis} leg. {Hero} could win now! But {he} stopped and [turned back|helped {friend} up].`, `Suddenly {he} saw {afriend2} crying at the side. "Nobody wants me to take part," {xhe} sobbed. "Come with me," said {hero}.`},
			{`{Hero} came in last. But everyone cheered for {him}, louder than for anyone else.`, `They finished together, hand in hand. [Everyone clapped.|"We have two winners!" cried the judge.]`},
			{`"You are the real winner," said {friend} and gave {him} {gift}.`, `{Hero} did not get the prize. But {he} got a new friend, and that was better.`},
		},
	},
	{
		name: "build", themes: words("working together, building, teamwork, patience"), moral: "many hands make light work|you learn from your mistakes",
		clauses:  []string{"who builds {build}", "who wants to build {build}", "who built {build}", "and {his} plan to build {build}", "who makes {build}", "building {build}"},
		headline: []string{"{build}"},
		beats: [][]string{
			{`One day, {hero} had an idea. {He} wanted to build {build}!`, `{Hero} had always wanted {build}. "[I will build it myself|Then I will make one]," {he} said.`},
			{`{He} collected [wood and nails|everything {he} could find|old boxes and ropes] and worked all day. But in the evening, everything fell down with a crash.`, `{He} hammered and pulled and pushed. [But it was too heavy for one alone.|But one piece was always missing.]`},
			{`{Afriend} heard the noise. "What are you doing?" asked {friend}. "It does not work," sighed {hero}.`, `"May I help?" asked {afriend}. {Hero} did not like to ask for help. But then {he} nodded.`},
			{`"[You hold, and I tie|You push, and I pull]," said {friend}. Together it was [much easier|twice as fast]. They [laughed|sang] while they worked.`, `{Friend} had a good eye, and {hero} had strong hands. Piece by piece it grew.`},
			{`After [three days|a week], it was ready. "It is the best one in the world!" said {hero}.`, `When the sun went down, it was done. They stood before it and were very proud.`},
			{`They gave a big party, and everyone could try it.`, `"What shall we build next?" asked {friend}. {Hero} laughed. "[Let us rest first|Something even bigger]!"`},
		},
	},
	{
		name: "gift", themes: words("giving, presents, gratitude, a birthday"), moral: "a gift comes from the heart",
		clauses:  []string{"who makes a gift for {afriend}", "who looks for a present", "who wants to give a present to {afriend}", "who gives {gift} to {afriend}", "and a birthday present", "and the birthday of {afriend}", "who has a birthday"},
		headline: []string{"a birthday", "a present"},
		beats: [][]string{
			{`Tomorrow was the birthday of {afriend}. {Hero} had no present yet. "What can I give?" {he} thought.`, `{His} best friend was {afriend}. "I want to make {fhim} happy," said {hero}, for it was {fhis} birthday.`},
			{`{He} had no money. {He} looked in all the shops, but everything was too [big|small|expensive].`, `First {he} wanted to give away {his} {thing}. But that was not good enough.`},
			{`Then {he} had an idea. {He} would make {gift}! {He} worked until late at night.`, `{He} went {to2} and thought. [There the idea came to {him}.|] "I will make {gift}!" {he} said.`},
			{`It was not perfect. It was a little crooked. "[What if {fhe} does not like it|Is it good enough]?" {hero} worried.`, `At last it was ready. {Hero} [put a ribbon on it|wrapped it in a big leaf].`},
			{`The next day, {friend} opened it very slowly. "Did you make it yourself?" {fhe} asked. {Hero} nodded. "It is the best present I ever got!"`, `When {friend} saw it, {fhis} eyes shone. "Nobody ever made something for me," {fhe} said.`},
			{`They ate {food} and danced until the moon came up.`, `And {hero} was even happier than {friend}.`},
		},
	},
	{
		name: "quarrel", themes: words("forgiveness, making up, saying sorry, arguing, a quarrel"), moral: "a friend is worth more than being right|saying sorry is not hard",
		clauses: []string{"who quarrels with {afriend}", "who fights with {afriend}", "who says sorry to {afriend}", "and {afriend} who both want the same {thing}", "who argues with {afriend}"},
		beats: [][]string{
			{`{Hero} and {afriend} did everything together. But one day, they found {athing}. "It is mine!" said {hero}. "No, I saw it first!" said {friend}.`, `{His} best friend was {afriend}. One day they quarreled about {athing}. [Both wanted it.|Both pulled at it.]`},
			{`They shouted, and then each went home alone. {Hero} had the {thing}, but it was no fun [without {friend}|to play alone].`, `"I never want to see you again!" {hero} shouted. {Friend} went away without a word.`},
			{`[The day was long and quiet.|In the evening it was very still.] {Hero} looked at the {thing} and felt sad.`, `At night {hero} could not sleep. "I was wrong," {he} thought.`},
			{`In the morning {he} took the {thing} and went to {friend}. "I am sorry," {he} said. "You can have it."`, `{He} went to see {friend}. But {friend} was already on the way to {him}! "I am sorry," they both said at the same time.`},
			{`"I do not want the {thing}," said {friend}. "I want my friend back." They hugged for a long time.`, `"Let us share it," said {friend}. "One day for you and one day for me."`},
			{`And the {thing}? It belongs to both of them now.`, `Since then they have never quarreled again. Well, almost never.`},
		},
	},
	{
		name: "rescue", themes: words("bravery, saving a friend, a rescue, a hero"), moral: "true courage comes from the heart",
		clauses: []string{"who saves {afriend}", "who rescues {afriend}", "who saves the day", "who becomes a hero", "who saves {his} friends", "rescuing {afriend}", "who saved {afriend}"},
		beats: [][]string{
			{`One day, {he} heard a loud cry. {Afriend} had fallen into the [water|deep hole|old well]!`, `One day, {afriend} was trapped {spot}. "Help!" cried {friend}. "I cannot get out!"`},
			{`Everybody stood around, but nobody dared to help. "[It is too dangerous|It is too deep]," they said.`, `There was no time to lose. {Hero} ran as fast as {he} could.`},
			{`{Hero} was afraid too. But {he} thought of {friend} and [went closer|lay down at the edge|reached out]. [{He} held on tight.|"I am coming!" {he} called.]`, `{Hero} looked around. There was a long branch! {He} held it out. "Hold on!" {he} cried.`},
			{`{He} pulled and pulled. {His} arms hurt, but {he} did not let go. And then, at last, {friend} was free!`, `Bit by bit, {he} pulled {friend} up. [It was not easy.|] "[Almost there|Just a little more]!" {he} said.`},
			{`"You saved me!" said {friend}. [{fHe} was wet and cold, but safe.|{fHe} could not stop shaking.] {Hero} gave {fhim} a warm blanket and {food}.`, `Everyone cheered. "Three cheers for {hero}!" they shouted.`},
			{`Since that day, {hero} and {friend} look after each other.`, `They gave {him} a medal of gold. But {hero} only said, "Anyone would have done it."`},
		},
	},
	{
		name: "journey", themes: words("a journey, adventure, traveling, home, a trip"), moral: "the way is as good as the goal|home is the best place of all", homes: true,
		clauses: []string{"who goes {to}", "who wants to go {to}", "who travels {to}", "who went {to}", "and {his} trip {to}", "who wants to see {place}", "on a journey {to}", "who dreams of {place}", "going {to}", "who flies {to}"},
		beats: [][]string{
			{`All {his} life, {hero} had dreamed of {place}. One morning {he} packed {his} bag. "Today I will go," {he} said.`, `One day, {he} heard a story about {place}. "I want to see it with my own eyes!" said {hero}.`},
			{`The way was long. {He} crossed [a wide river|high hills|three fields] and slept under the stars.`, `{He} went for three days and three nights. [Sometimes it rained, and sometimes the sun shone.|{His} feet were tired.]`},
			{`On the way {he} met {afriend}. "Where are you going?" asked {friend}. "[I am going|I want to go] {to}," said {hero}. "May I come with you?" asked {friend}.`, `Then {he} lost {his} way. Luckily {afriend} came by. "I know the way," said {friend}. "Follow me."`},
			{`At last they were there. There were {seen} and {seen2}! {Hero} could not believe {his} eyes.`, `And then {he} saw it: {place}! [It was even more beautiful than in {his} dreams.|There were {seen} everywhere.]`},
			{`They stayed until evening and [played|watched the sun go down]. "[It was worth every step|I will never forget this]," said {hero}.`, `{Hero} made a picture so that {he} would never forget it. Then {he} thought of home.`},
			{`When {he} came home, {he} told everyone about it. And at night {he} dreamed of the next journey.`, `Then they went home, for at home it is nice too.`},
		},
	},
	{
		name: "truth", themes: words("honesty, telling the truth, lying"), moral: "honest words make the heart light|it is always better to tell the truth",
		clauses: []string{"who breaks {athing}", "who tells a lie", "who told a lie", "who tells the truth", "who broke {athing}", "and the broken {thing}"},
		beats: [][]string{
			{`One day, {hero} was playing and was not careful. Crash! {He} broke {athing}. It belonged to {afriend}.`, `{Afriend} had {athing} and was very proud of it. [One day|One afternoon], {hero} took it, just to look, and dropped it.`},
			{`{Hero} was frightened. {He} hid the pieces {spot}[ and ran home|].`, `Nobody had seen it. {Hero} quickly hid the {thing} {spot}.`},
			{`"Have you seen my {thing}?" asked {friend}. "No," said {hero}, and {his} cheeks became hot.`, `In the evening {friend} came. "My {thing} is gone," {fhe} said sadly. {Hero} said nothing.`},
			{`That night {hero} could not sleep. The lie was heavy as a stone in {his} belly.`, `{His} heart felt heavy. Even {food} did not taste good.`},
			{`In the morning {he} went to {friend}. "I broke your {thing}," {he} said. "I am so sorry."`, `At last {he} could not bear it. "It was me," {he} said with tears in {his} eyes.`},
			{`{Friend} was quiet for a moment. "Thank you for telling me," {fhe} said. "Come, we can repair it together."`, `"I am sad about the {thing}," said {friend}, "but I am glad that you told the truth."`},
		},
	},
	{
		name: "sleep", themes: words("going to sleep, the night, bedtime, a dream"), moral: "every day has an end, and every night has a morning",
		clauses:  []string{"who cannot sleep", "who could not sleep", "who is tired", "who has a dream", "who will not go to bed", "who wants to sleep", "who does not want to go to bed"},
		headline: []string{"the night", "sleep", "a dream"},
		beats: [][]string{
			{`One night, {hero} could not sleep. {He} turned to the left and to the right. [But sleep did not come.|{His} eyes would not close.]`, `It was late, but {hero} was wide awake. The moon looked in and smiled.`},
			{`{He} counted [stars|sheep|clouds] up to one hundred. That did not help. {He} drank a cup of warm milk. That did not help either.`, `{He} got up and looked outside. Everything was dark and quiet. Only {afriend} was still awake.`},
			{`"Can you not sleep?" asked {afriend}. "No," said {hero}. "I think of too many things."`, `"What do you do when you cannot sleep?" asked {hero}. "I think of the nicest thing of the day," said {afriend}.`},
			{`They sat side by side and listened to the wind. {Friend} told a story about {joy}.`, `{Friend} sang a soft song about {place}. {Hero} listened. [The song was slow and sweet.|]`},
			{`{His} eyes became heavy. {He} yawned once, and twice, and then {he} slept.`, `Slowly {his} breath became calm. "Good night," whispered {friend}.`},
			{`And {he} dreamed of {joy} until the morning came. Good night!`, `The stars kept watch until the morning. Sleep well!`},
		},
	},
	{
		name: "grow", themes: words("patience, growing, spring, waiting, nature"), moral: "good things take time",
		clauses:  []string{"who plants a seed", "who plants a {plant}", "who grows a {plant}", "and a {plant}", "and the little seed", "and {his} {plant}", "waiting for a {plant} to grow"},
		headline: []string{"a {plant}", "a seed"},
		beats: [][]string{
			{`One spring day, {hero} found a tiny seed. "It will become a {plant}," said {afriend}. {He} put it into the earth.`, `{Hero} wanted to have a {plant}. So {he} planted a seed in {his} garden.`},
			{`{He} gave it water every day. But nothing happened. [Not on the first day, and not on the second.|"Hurry up!" said {hero}.]`, `Every morning {he} ran to look. There was only brown earth.`},
			{`"It does not work!" said {hero}. "Wait," said {afriend}. "Good things take time."`, `{He} sang to it. {He} read stories to it. [Still nothing came.|And {he} waited.]`},
			{`Then came rain, and after the rain came the sun. And one morning, there was a small green leaf!`, `After two weeks, something green looked out of the earth. {Hero} [danced for joy|held {his} breath].`},
			{`The {plant} grew and grew, until it was taller than {hero}.`, `In summer it was the most beautiful {plant} {inthe}.`},
			{`{Hero} sat in its shade with {friend} and was happy.`, `And in autumn it gave new seeds. {Hero} gave one to every friend.`},
		},
	},
	{
		name: "wish", themes: words("wishes, magic, being content, a wish"), moral: "be careful what you wish for|you are good just as you are",
		clauses:  []string{"who makes a wish", "who has three wishes", "who wants to be big", "who wants to be someone else", "who wishes to be {afriend}", "with magic powers", "who finds magic", "who meets a fairy"},
		headline: []string{"a wish", "three wishes", "magic"},
		beats: [][]string{
			{`One night, a star fell from the sky. "Make a wish!" it said. {Hero} did not have to think for long.`, `One day, {he} met a fairy with silver wings. "You may make one wish," said the fairy.`},
			{`"I want to be as big as a [house|mountain]!" {he} said. And it happened at once. At first {he} laughed. But then {he} could not fit through {his} own door, and [everyone ran away from {him}|nobody wanted to play with {him}].`,
				`"I want to be {afriend}!" {he} said. [Puff! There was smoke.|] And so it was. At first it was fun. But {he} did not know how to live like that, and nothing was as before.`,
				`"I want {food}, as much as I can see!" {he} said. And it rained {food}. At first it was fun. But soon {his} belly hurt, and {he} could not even see {food} any more.`,
				`"I want to be the [strongest|richest|tallest] {noun} in the world!" {he} said. And it happened. But soon {hero} noticed that nobody wanted to play with {him} any more.`},
			{`"I want everything to be as before," {he} said and cried. [The wind carried the words to the sky.|]`, `{He} missed {his} bed and {his} friends. "I was so silly," {he} sighed.`},
			{`[Somebody heard {him} and smiled.|The night heard {him}.] There was a soft light, and everything was as it had been.`, `Then {he} woke up. It had all been a dream!`},
			{`"I am happy to be a {noun}," said {hero}. [And {he} meant it.|]`, `And {hero} never wanted to be anyone else again.`},
		},
	},
	{
		name: "party", themes: words("a party, celebrating, being together, a surprise"), moral: "everybody is welcome|a party is best with all your friends",
		clauses:  []string{"who goes to {party}", "at {party}", "and {party}", "who gives {party}", "who was not invited to {party}", "who plans {party}", "who wants to have {party}"},
		headline: []string{"{party}"},
		beats: [][]string{
			{`One day, there was {party}. Everyone was invited. But {hero} had not got a letter.`, `{Hero} wanted to give {party}. {He} wrote letters to all {his} friends and prepared {food}.`},
			{`{He} waited and waited. [Nobody came.|The clock struck three, and then four.] "They have forgotten me," {he} thought and became sad.`, `{He} sat at home and heard the music from far away. {He} felt very alone.`},
			{`Then there was a knock at the door. It was {afriend}. "Why are you sitting here?" asked {friend}. "Come quickly!"`, `"Something is wrong," said {hero}. {He} went out and met {afriend}. {Friend} had a secret and smiled.`},
			{`{Friend} led {him} {to2}. It was dark. Then all the lights went on. "Surprise!" everyone shouted.`, `{Friend} took {him} by the hand. And there they all were, with balloons and {food}!`},
			{`They danced and laughed and ate {food}. [Even the moon seemed to dance.|]`, `There was music, and there was {food} for everyone. {Hero} danced with {friend} all night.`},
			{`"That was the best party ever," said {hero} when the stars came out.`, `Tired and happy, {hero} went home. {He} was not forgotten at all.`},
		},
	},
}

// openings introduce the hero and the place; ofJourneys only the hero, at home somewhere.
var openings = []string{
	"Once upon a time, there was {ahero} who lived {in}.", "Once upon a time there was {ahero}. {He} lived {in}.", "There once was {ahero} who lived {in}.",
	"Long ago, {ahero} lived {in}.", "{In}, there lived {ahero}.", "Once there was {ahero} {in}.", "This is the story of {ahero} who lived {in}.",
	"Far away, {in}, there was {ahero}.", "{Ahero} lived {in}, where there were {seen} and {seen2}.", "Not long ago, there lived {ahero} {in}.",
}

var visits = []string{
	"[One day|One sunny day|One morning|One rainy day|One afternoon|One cold day], {ahero} was {in}.", "Once upon a time, {ahero} went {to}.", "Once upon a time, there was {ahero}. {He} liked to be {in}.",
	"[One day|Early one morning], {ahero} came {to}.", "This is the story of {ahero} who went {to}.", "{In}, there was {ahero}.",
	"Once there was {ahero} who was often {in}.",
}

var ofJourneys = []string{
	"Once upon a time, there was {ahero}.", "There once was {ahero} who lived in a little house.", "This is the story of {ahero}.", "Long ago, there lived {ahero}.", "Once there was {ahero} who had never been far from home.",
}

// scenes may follow an opening.
var scenes = []string{"All around were {seen} and {seen2}.", "There were {seen} everywhere.", "{Hero} liked the {seen} there.", "{He} knew all the {seen} there."}

// morals end a story that was asked for by its theme, and others.
var morals = []string{
	"{Hero} had learned something: {moral}.", "And so we see that {moral}.", "Now {hero} knew that {moral}.", "Remember: {moral}.", "From that day on, {hero} never forgot that {moral}.",
}

// praised are endings for heroes of an adjective in praises.
var praised = []string{
	"Everyone said that {he} was a very {adj} {noun}.", "And everyone spoke of the {adj} {noun} for a long time.", "There never was a more {adj} {noun} {inthe}.",
	"What a {adj} {noun}!",
}

var theEnd = []string{"The end.", "And they lived happily ever after.", "And that is the end of the story.", "And if they have not stopped, they are still laughing today."}

// sequels go on after a story.
var sequels = []string{
	`The next day, {hero} and {friend} met again. [They told everyone what had happened.|They had many more adventures together.] [One day they even found {athing}, but that is another story.|In the evening they ate {food} together.]`,
	`A few days later, {hero} found {athing} {spot}. "[What can it be|Look at this]!" {he} said to {friend}. [And so a new adventure began.|They took it home and put it over the door.]`,
	`{Hero} slept for a whole day. Then {he} [looked for some {food}|went {to2}] and invited {friend}. [They laughed about everything that had happened.|"What shall we do next?" asked {friend}. "Something new!" said {hero}.]`,
	`After that, {hero} went home and rested. But the next morning, {friend} knocked at the door. "[Come quickly|Wake up]! There is {party} today!" {Hero} jumped up, and they ran off together.`,
}

// times are sentences behind an opening that a season calls for.
var times = map[string]string{
	"in winter": "[It was winter, and snow lay everywhere.|It was a cold winter.]", "in spring": "[It was spring, and the first flowers bloomed.|It was a warm spring day.]",
	"in summer": "[It was summer, and the sun was hot.|It was a warm summer day.]", "in autumn": "[It was autumn, and the leaves were red and gold.|It was a windy autumn day.]",
	"at night": "[It was night, and the stars were out.|It was a dark night.]", "on a rainy day": "[It was a rainy day.|It rained, and the rain would not stop.]",
	"on a sunny day": "[It was a sunny day.|The sun was shining.]", "on a snowy day": "[It was a snowy day.|It had snowed all night.]", "on Christmas Eve": "[It was Christmas Eve.|It was Christmas Eve, and candles shone in every window.]",
	"at Halloween": "[It was Halloween.|It was Halloween, and pumpkins glowed in the dark.]", "in the middle of the night": "[It was the middle of the night.|It was midnight, and all was still.]",
	"early in the morning": "[It was early in the morning.|It was early in the morning, and the sun was just coming up.]", "on a windy day": "[It was a windy day.|The wind blew hard that day.]",
}

var spots = words("under a bush, behind a big stone, in the tall grass, under an old tree, in a deep hole, behind a wall, in a dark corner, between two rocks, under a pile of leaves, behind a door, in a hollow log, near an old well, beside the path, under a bench, behind a fence")
