package main

import "strings"

// words splits a list that is written one entry a comma.
func words(s string) []string {
	list := strings.Split(strings.Join(strings.Fields(s), " "), ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// kind is a group of heroes that feel at home in the same places and have the same pronouns.
type kind struct {
	nouns  []string
	gender string // he, she, it; either: he or she, as the story likes
	homes  string // tags of places
}

var kinds = []kind{
	{words(`cat, dog, mouse, rabbit, fox, bear, wolf, deer, squirrel, badger, mole, rat, hamster, pig, cow, horse, pony, donkey, sheep, lamb,
		goat, kitten, puppy, bunny, piglet, calf, foal, raccoon, skunk, beaver, moose, boar, bat, lion, tiger, leopard, panther, elephant,
		giraffe, zebra, monkey, gorilla, hippo, rhino, camel, kangaroo, koala, panda, cheetah, hyena, jackal, antelope, buffalo, bison,
		llama, alpaca, porcupine, armadillo, anteater, sloth, lemur, meerkat, ferret, weasel, chipmunk, guinea pig, baby elephant, polar bear,
		bear cub, lion cub, reindeer, snow leopard, wombat, lynx, stoat, field mouse, house cat, sheepdog, bulldog, poodle`), "either", "land"},
	{words(`snail, ant, bee, beetle, spider, butterfly, caterpillar, ladybug, cricket, grasshopper, firefly, dragonfly, worm, moth,
		snake, lizard, frog, toad, tortoise, gecko, chameleon, centipede, bumblebee, tree frog`), "either", "land"},
	{words(`bird, owl, crow, sparrow, robin, eagle, hawk, duck, goose, hen, rooster, chick, duckling, swan, parrot, raven, peacock, penguin,
		pelican, flamingo, pigeon, dove, woodpecker, hummingbird, seagull, stork, crane, ostrich, turkey, magpie, swallow, canary, blackbird`), "either", "land sky"},
	{words(`fish, whale, dolphin, shark, octopus, crab, lobster, seal, turtle, starfish, seahorse, jellyfish, squid, shrimp, walrus,
		goldfish, sea turtle, baby whale, eel, clownfish, hermit crab, sea lion, stingray, manatee`), "either", "sea"},
	{words(`boy, king, prince, man, old man, grandfather, uncle, fisherman, wizard, knight, shepherd boy, little boy, father, farm boy, monk, young man`), "he", "people land"},
	{words(`girl, queen, princess, woman, old woman, grandmother, aunt, witch, little girl, mother, milkmaid, shepherd girl, young woman, duchess`), "she", "people land"},
	{words(`child, farmer, baker, teacher, doctor, sailor, pirate, gardener, painter, clown, cook, tailor, blacksmith, miller, musician, dancer, singer,
		poet, explorer, astronaut, pilot, captain, firefighter, nurse, student, scientist, inventor, carpenter, shoemaker, clockmaker,
		postman, librarian, magician, juggler, hunter, woodcutter, toymaker, beekeeper, diver, cowboy, detective, driver, builder, engineer,
		soldier, traveler, beggar, merchant, ninja, acrobat, mechanic, potter, weaver, lighthouse keeper, ice skater`), "either", "people land"},
	{words(`dragon, unicorn, fairy, elf, giant, troll, goblin, gnome, dwarf, ghost, monster, mermaid, phoenix, griffin, ogre, yeti, vampire,
		baby dragon, sea monster, sprite, pixie, genie, alien, imp, leprechaun, werewolf, dinosaur, mammoth, centaur`), "either", "land magic"},
	{words(`robot, train, car, truck, boat, ship, airplane, rocket, tractor, bicycle, bus, teapot, spoon, lamp, clock, pencil, doll, teddy bear,
		toy soldier, snowman, scarecrow, kite, balloon, candle, umbrella, shoe, sock, button, book, chair, violin, drum, bell, broom, cup, hat,
		star, cloud, raindrop, snowflake, tree, flower, leaf, acorn, seed, apple, pumpkin, potato, carrot, mushroom, stone, cookie, cupcake,
		puppet, submarine, helicopter, lighthouse, windmill, fire truck, steam engine, paper boat, music box, sunflower, pillow, mitten, crayon, sandcastle`), "it", "land"},
}

// heldOutHeroes are in no dialogue of the training part, as heroes or otherwise.
var heldOutHeroes = words(`otter, hedgehog, nurse shark, ladybird, raven queen, plumber, sea otter, hare, musketeer, salamander, wagon,
	astronomer, kingfisher, gingerbread man, cobbler, narwhal, bus driver, chef, barber, lantern`)

var (
	boys = words(`Tom, Ben, Sam, Max, Leo, Jack, Tim, Oliver, Noah, Finn, Henry, Lucas, Oscar, Theo, Hugo, Felix, Jasper, Milo, Otto, Peter, Paul, Adam, Alex,
		Ali, Amir, Anton, Arthur, Ben, Bruno, Carlos, Charlie, Daniel, David, Diego, Eddie, Eli, Emil, Erik, Ethan, Frank, Fred, George, Hans, Harry, Ian, Igor, Ivan,
		Jacob, James, Jim, Joe, John, Jonas, Jose, Juan, Karl, Kevin, Lars, Liam, Luis, Luke, Marco, Mark, Martin, Mateo, Matt, Mike, Mohammed, Nick, Nils, Omar,
		Pablo, Pedro, Ravi, Ray, Rick, Rob, Robin, Ryan, Simon, Stefan, Steve, Thomas, Tony, Victor, Will, William, Yusuf, Zack, Kenji, Hiro, Wei, Arjun, Kofi, Bob`)
	girls = words(`Mia, Lily, Anna, Emma, Lucy, Rosie, Ella, Ruby, Zoe, Nora, Clara, Ida, Maya, Alice, Molly, Sophie, Julia, Eva, Amy, Ada, Aisha, Amelia,
		Beth, Bella, Carla, Carmen, Chloe, Daisy, Dora, Ellen, Elsa, Emily, Fatima, Fiona, Flora, Frida, Grace, Greta, Hannah, Heidi, Helen, Ines, Irene, Iris,
		Isabel, Ivy, Jane, Jenny, Jill, Jo, Karen, Kate, Kim, Laura, Lea, Lena, Lina, Lisa, Lola, Luna, Maria, Marie, Mary, Mei, Nadia, Nina, Nora, Olga, Olivia,
		Paula, Penny, Polly, Priya, Rachel, Rita, Rosa, Sally, Sara, Sarah, Selma, Sonia, Stella, Sue, Susan, Tara, Tina, Vera, Violet, Wendy, Yuki, Zara, Sakura, Amina`)
	petNames = words(`Pip, Tuck, Whiskers, Bubbles, Fluffy, Spot, Patches, Ginger, Pepper, Biscuit, Cookie, Muffin, Pebble, Sparky, Rusty, Snowy, Shadow,
		Buddy, Lucky, Bramble, Clover, Hazel, Willow, Ember, Blaze, Misty, Sunny, Breeze, Nutmeg, Peanut, Pickle, Pumpkin, Noodle, Button, Dusty, Freckles,
		Honey, Jelly, Juniper, Maple, Marble, Mochi, Mango, Olive, Poppy, Puddle, Quill, Rocket, Sage, Scout, Smokey, Socks, Squeak, Tango, Teddy, Thistle,
		Toffee, Twig, Waffles, Ziggy, Bolt, Dash, Echo, Comet, Nova, Orbit, Pixel, Zip, Beep, Gizmo, Sprocket, Copper, Coral, Pearl, Splash, Ripple, Finley`)
	starts = words(`b, bl, br, c, ch, cl, d, dr, f, fl, fr, g, gl, gr, h, j, k, kr, l, m, n, p, pl, pr, qu, r, s, sh, sk, sl, sm, sn, sp, st, t, th, tr, tw, v, w, y, z, zl`)
	middle = words(`a, e, i, o, u, oo, ee, ai, ea, ou, o, a, i`)
	joints = words(`bb, ck, d, dd, ff, g, gg, l, ll, lb, ld, m, mm, mp, n, nn, nd, nk, p, pp, r, rb, rd, rk, rm, rt, s, ss, st, t, tt, v, x, zz, b, z`)
	tails  = words(`o, a, y, i, in, el, en, er, le, us, ix, on, ow, um, im, ert, ling, kin, by, ber, bin, dle`)
)

var adjectives = words(`brave, kind, clever, lonely, shy, hungry, sleepy, happy, sad, curious, lazy, greedy, funny, tiny, little, big, old, young, small, gentle,
	proud, quiet, noisy, grumpy, cheerful, friendly, honest, patient, careful, careless, busy, silly, wise, strong, fast, slow, clumsy, playful, polite, rude, magic,
	lost, lucky, unlucky, nervous, stubborn, jealous, selfish, generous, helpful, dreamy, forgetful, tired, angry, bored, excited, naughty, white, black, red, blue,
	green, golden, silver, purple, yellow, orange, pink, gray, brown, fluffy, fat, thin, tall, round, spotted, striped, furry, shiny, pretty, beautiful, handsome,
	ugly, poor, rich, famous, strange, invisible, talking, singing, dancing, flying, giant, wild, tame, fearless, timid, cowardly, bold, daring, grateful, humble,
	loyal, mysterious, rainbow, sneaky, sweet, thoughtful, tricky, vain, worried, young, messy, tidy, one-eyed, cold, hopeful, homeless, gloomy, merry, adventurous`)

// looksOfAnimals are adjectives that people do not get.
var looksOfAnimals = words(`white, black, red, blue, green, golden, silver, purple, yellow, orange, pink, gray, brown, fluffy, fat, round, spotted, striped, furry, shiny, ugly, one-eyed, wild, tame, talking, rainbow, flying, homeless`)

// traits say more about a hero of that adjective. A story has one where the hero has it.
var traits = map[string]string{
	"brave":       `{He} was not afraid of [thunder|the dark|storms|anything].|When others ran away, {he} stayed.|Even the wind could not frighten {him}.`,
	"fearless":    `Nothing could scare {him}.|{He} was not afraid of [thunder|the dark|anything].`,
	"bold":        `{He} always went first.|{He} was not afraid of [storms|anything].`,
	"daring":      `{He} always went first.|{He} liked [high places|deep water|dark caves] best.`,
	"kind":        `{He} helped everyone who asked.|{He} always had a good word for everyone.|{He} shared all that {he} had.`,
	"clever":      `{He} could solve any riddle.|{He} always had a good idea.|{He} knew a hundred tricks.`,
	"wise":        `{He} knew the answer to almost every question.|Everyone came to {him} for advice.`,
	"lonely":      `{He} had nobody to talk to.|Every evening {he} sat alone and watched the stars.|{He} wished for a friend.`,
	"shy":         `{He} hid whenever someone came near.|{He} spoke so softly that nobody heard {him}.`,
	"timid":       `{He} hid whenever someone came near.|Even a small noise made {him} jump.`,
	"cowardly":    `Even a small noise made {him} jump.|{He} ran away from [everything|shadows].`,
	"hungry":      `{He} was always looking for something to eat.|{His} belly rumbled all day long.`,
	"sleepy":      `{He} could fall asleep anywhere.|{He} yawned from morning to night.`,
	"tired":       `{He} yawned from morning to night.|{He} had not slept for two days.`,
	"happy":       `{He} sang from morning to night.|{He} smiled at everyone.`,
	"cheerful":    `{He} sang from morning to night.|{He} smiled at everyone.`,
	"merry":       `{He} sang from morning to night.|{He} laughed at everything.`,
	"sad":         `{He} had not smiled for a long time.|{He} sighed all day long.`,
	"gloomy":      `{He} had not smiled for a long time.|{He} sighed all day long.`,
	"curious":     `{He} wanted to know everything.|{He} asked questions all day long.|{He} looked behind every door.`,
	"lazy":        `{He} slept until noon every day.|{He} never did today what could wait until tomorrow.`,
	"greedy":      `{He} always wanted more.|{He} never shared with anyone.`,
	"selfish":     `{He} never shared with anyone.|{He} thought only of {himself}.`,
	"generous":    `{He} gave away almost everything {he} had.|{He} shared all that {he} had.`,
	"helpful":     `{He} helped everyone who asked.|{He} was always there when someone needed a hand.`,
	"funny":       `{He} made everyone laugh.|{He} knew a hundred jokes.`,
	"silly":       `{He} wore a sock on {his} head.|{He} laughed at everything.`,
	"tiny":        `{He} was no bigger than a [thimble|walnut|button].|{He} was so small that nobody saw {him}.`,
	"little":      `{He} was the smallest of all.|{He} was small, but {his} heart was big.`,
	"small":       `{He} was the smallest of all.|{He} was small, but {his} heart was big.`,
	"big":         `{He} was bigger than anyone else.|{He} could not hide behind anything.`,
	"giant":       `{He} was as tall as a house.|The ground shook when {he} came.`,
	"old":         `{He} had seen many winters.|{He} remembered everything that had happened there.`,
	"young":       `{He} still had much to learn.|Everything was new to {him}.`,
	"gentle":      `{He} never hurt anyone.|{He} was careful with every little thing.`,
	"proud":       `{He} thought {he} was better than everyone.|{He} looked at {himself} in every puddle.`,
	"vain":        `{He} looked at {himself} in every puddle.|{He} thought nobody was as pretty.`,
	"quiet":       `{He} hardly ever said a word.|{He} liked to listen.`,
	"noisy":       `Everyone could hear {him} from far away.|{He} was never quiet.`,
	"grumpy":      `{He} complained about everything.|{He} never said good morning.`,
	"angry":       `{He} shouted at everyone.|{He} stamped and growled all day long.`,
	"friendly":    `{He} said hello to everyone.|{He} had a smile for everyone.`,
	"honest":      `{He} never told a lie.|Everyone could believe what {he} said.`,
	"patient":     `{He} never hurried.|{He} could wait for hours.`,
	"busy":        `{He} never had time to rest.|{He} worked from morning to night.`,
	"strong":      `{He} could lift a [barrel|log|rock] with ease.|{He} was the strongest of all.`,
	"fast":        `{He} was as quick as the wind.|Nobody could catch {him}.`,
	"slow":        `{He} never hurried.|{He} was always the last to arrive.`,
	"clumsy":      `{He} bumped into everything.|{He} dropped whatever {he} picked up.`,
	"playful":     `{He} wanted to play all day long.|{He} turned everything into a game.`,
	"naughty":     `{He} played tricks on everyone.|{He} never did as {he} was told.`,
	"tricky":      `{He} played tricks on everyone.`,
	"sneaky":      `{He} played tricks on everyone.|Nobody ever heard {him} coming.`,
	"stubborn":    `{He} never changed {his} mind.|{He} never gave up.`,
	"forgetful":   `{He} forgot everything.|{He} could not even remember {his} own birthday.`,
	"nervous":     `{He} worried about everything.|Even a small noise made {him} jump.`,
	"worried":     `{He} worried about everything.`,
	"bored":       `{He} had nothing to do.|Every day was like the day before.`,
	"poor":        `{He} had only one coin.|{He} had nothing but an old coat.`,
	"rich":        `{He} had a chest full of gold.|{He} had everything, but no friends.`,
	"magic":       `{He} could make flowers grow with a whisper.|At night {he} glowed like a lamp.`,
	"mysterious":  `Nobody knew where {he} came from.`,
	"invisible":   `Nobody could see {him}.`,
	"talking":     `{He} talked all day long.`,
	"singing":     `{He} knew a hundred songs.|{His} voice was as clear as a bell.`,
	"dancing":     `{He} danced all day long.`,
	"adventurous": `{He} wanted to see the whole world.|{He} looked behind every door.`,
	"messy":       `{He} never put anything away.`,
	"tidy":        `{He} liked everything in its place.`,
	"loyal":       `{He} never left a friend alone.`,
	"jealous":     `{He} wanted what the others had.`,
	"dreamy":      `{He} spent the days looking at the clouds.`,
	"hopeful":     `{He} believed that something wonderful would happen.`,
}

// praises are the adjectives that people praise somebody for.
var praises = words(`brave, kind, clever, wise, generous, helpful, friendly, honest, patient, gentle, strong, loyal, fearless, bold, daring, thoughtful, polite`)

// A place has what is seen there in the plural.
type place struct {
	in, to, the string
	live        bool // somebody can live there
	tags        string
	seen        []string
}

var places = []place{
	{"in the forest", "to the forest", "the forest", true, "land magic", words(`tall trees, ferns, mushrooms, old oaks`)},
	{"in the woods", "to the woods", "the woods", true, "land", words(`tall trees, berry bushes, fallen logs`)},
	{"in a dark forest", "to a dark forest", "the forest", true, "land magic", words(`black trees, shadows, glowing mushrooms`)},
	{"in the jungle", "to the jungle", "the jungle", true, "land", words(`green vines, bright flowers, tall palms`)},
	{"at the beach", "to the beach", "the beach", false, "land sea people", words(`white shells, small waves, sandcastles, round pebbles`)},
	{"by the sea", "to the sea", "the sea", true, "land sea people", words(`waves, seagulls, white sails, shells`)},
	{"in the ocean", "to the ocean", "the ocean", true, "sea", words(`waves, coral reefs, silver fish, bubbles`)},
	{"at the bottom of the sea", "to the bottom of the sea", "the sea", true, "sea magic", words(`sea plants, coral reefs, old shipwrecks, bubbles`)},
	{"in a coral reef", "to a coral reef", "the reef", true, "sea", words(`bright corals, silver fish, sea plants`)},
	{"on a small island", "to a small island", "the island", true, "land sea", words(`palm trees, white shells, rock pools`)},
	{"in a river", "to a river", "the river", true, "sea", words(`smooth stones, reeds, little fish`)},
	{"by the river", "to the river", "the river", true, "land", words(`reeds, smooth stones, willow trees`)},
	{"by a lake", "to a lake", "the lake", true, "land sea", words(`water lilies, reeds, little boats`)},
	{"by the pond", "to the pond", "the pond", true, "land", words(`water lilies, reeds, dragonflies`)},
	{"in the mountains", "to the mountains", "the mountains", true, "land sky magic", words(`white peaks, gray rocks, pine trees`)},
	{"on a high mountain", "to a high mountain", "the mountain", true, "land sky magic", words(`gray rocks, clouds, snow fields`)},
	{"on top of a hill", "to the top of a hill", "the hill", true, "land sky", words(`yellow flowers, soft grass, butterflies`)},
	{"in a green valley", "to a green valley", "the valley", true, "land", words(`wild flowers, apple trees, streams`)},
	{"in a dark cave", "to a dark cave", "the cave", true, "land magic", words(`crystals, bats, echoes, shadows`)},
	{"in the desert", "to the desert", "the desert", true, "land", words(`golden dunes, cactus plants, hot stones`)},
	{"on a farm", "to a farm", "the farm", true, "land people", words(`haystacks, wooden fences, red barns`)},
	{"in a barn", "to a barn", "the barn", true, "land", words(`bales of hay, wooden beams, sacks of grain`)},
	{"in the meadow", "to the meadow", "the meadow", true, "land", words(`wild flowers, bees, butterflies`)},
	{"in a garden", "to a garden", "the garden", true, "land people", words(`roses, bees, tomato plants, stone paths`)},
	{"in the park", "to the park", "the park", false, "land people", words(`benches, tall trees, swings, ducks`)},
	{"at the zoo", "to the zoo", "the zoo", true, "land people", words(`cages, signs, children with balloons`)},
	{"in a small village", "to a small village", "the village", true, "land people", words(`little houses, crooked streets, gardens`)},
	{"in a big city", "to a big city", "the city", true, "land people", words(`tall houses, bright lights, busy streets`)},
	{"in a small town", "to a small town", "the town", true, "land people", words(`little shops, red roofs, street lamps`)},
	{"in a castle", "to a castle", "the castle", true, "people magic", words(`stone towers, flags, long halls`)},
	{"in an old tower", "to an old tower", "the tower", true, "people magic sky", words(`steep stairs, cobwebs, narrow windows`)},
	{"in a palace", "to a palace", "the palace", true, "people magic", words(`golden doors, mirrors, fountains`)},
	{"in a cottage", "to a cottage", "the cottage", true, "people land", words(`flower pots, wooden spoons, warm blankets`)},
	{"in an old house", "to an old house", "the house", true, "people land", words(`dusty books, creaking doors, cobwebs`)},
	{"in a tree house", "to a tree house", "the tree house", true, "land people sky", words(`green leaves, ropes, birds`)},
	{"in a hollow tree", "to a hollow tree", "the tree", true, "land", words(`acorns, soft leaves, squirrels`)},
	{"at school", "to school", "the school", false, "people", words(`books, desks, colored pencils`)},
	{"in the library", "to the library", "the library", false, "people", words(`tall shelves, old books, soft chairs`)},
	{"at the market", "to the market", "the market", false, "people land", words(`baskets of apples, loud voices, colorful tents`)},
	{"in a toy shop", "to a toy shop", "the toy shop", true, "people", words(`wooden trains, dolls, bright balls`)},
	{"in a bakery", "to a bakery", "the bakery", true, "people", words(`warm loaves, sweet rolls, sacks of flour`)},
	{"in the kitchen", "to the kitchen", "the kitchen", false, "people", words(`pots, spoons, jars of honey`)},
	{"in a museum", "to a museum", "the museum", false, "people", words(`old statues, paintings, golden masks`)},
	{"at the train station", "to the train station", "the station", false, "people", words(`suitcases, long trains, clocks`)},
	{"on a ship", "to a ship", "the ship", true, "people sea", words(`ropes, barrels, white sails`)},
	{"on a pirate ship", "to a pirate ship", "the ship", true, "people", words(`ropes, cannons, black flags`)},
	{"at the harbor", "to the harbor", "the harbor", true, "people sea land", words(`fishing boats, nets, seagulls`)},
	{"in a lighthouse", "to a lighthouse", "the lighthouse", true, "people", words(`steep stairs, waves, seagulls`)},
	{"on the moon", "to the moon", "the moon", true, "sky magic", words(`gray rocks, deep craters, bright stars`)},
	{"in space", "to space", "space", true, "sky magic", words(`bright stars, planets, comets`)},
	{"on Mars", "to Mars", "Mars", true, "sky magic", words(`red rocks, dust clouds, deep craters`)},
	{"in the sky", "to the sky", "the sky", false, "sky", words(`white clouds, birds, sunbeams`)},
	{"above the clouds", "to the clouds", "the clouds", true, "sky magic", words(`sunbeams, rainbows, white towers`)},
	{"at the North Pole", "to the North Pole", "the North Pole", true, "land", words(`icebergs, snow fields, northern lights`)},
	{"in the snow", "to the snow", "the snow", false, "land", words(`white trees, snowflakes, icicles`)},
	{"in the swamp", "to the swamp", "the swamp", true, "land magic", words(`frogs, muddy pools, twisted trees`)},
	{"at the circus", "to the circus", "the circus", true, "people land", words(`colorful tents, clowns, drums`)},
	{"at the playground", "to the playground", "the playground", false, "people", words(`swings, slides, sandboxes`)},
	{"under a bridge", "to a bridge", "the bridge", true, "land magic", words(`wet stones, reeds, shadows`)},
	{"under the bed", "under the bed", "the room", true, "magic", words(`dust balls, lost socks, old toys`)},
	{"in an enchanted forest", "to an enchanted forest", "the forest", true, "magic land", words(`glowing flowers, silver leaves, whispering trees`)},
	{"in a haunted house", "to a haunted house", "the house", true, "magic people", words(`creaking stairs, cobwebs, flickering candles`)},
	{"in Paris", "to Paris", "Paris", true, "people", words(`cafes, bridges, street lamps`)},
	{"in London", "to London", "London", true, "people", words(`red buses, bridges, umbrellas`)},
	{"in Africa", "to Africa", "Africa", true, "land", words(`tall grasses, wide rivers, acacia trees`)},
	{"at the hospital", "to the hospital", "the hospital", false, "people", words(`white beds, long halls, flowers in vases`)},
	{"on the playing field", "to the playing field", "the field", false, "people", words(`white lines, benches, cheering friends`)},
	{"in a candy shop", "to a candy shop", "the shop", false, "people", words(`lollipops, jars of sweets, chocolate bars`)},
	{"in the attic", "to the attic", "the attic", true, "people", words(`old trunks, cobwebs, dusty books`)},
	{"in a snowy village", "to a snowy village", "the village", true, "people land", words(`white roofs, sleds, snowmen`)},
}

// Things, that get lost, found, made and given. Each goes with a color or the like.
var (
	things = words(`kite, ball, key, ring, hat, scarf, book, map, lamp, bell, drum, flute, violin, coin, crown, necklace, feather, shell, stone, letter, box, basket,
		umbrella, blanket, pillow, cup, spoon, watch, compass, telescope, mirror, boat, toy train, doll, teddy bear, button, glove, shoe, sock,
		boot, coat, bag, backpack, balloon, pencil, paintbrush, camera, whistle, marble, egg, seed, acorn, pearl, candle, flag, sword, shield, wand, rope,
		ladder, bucket, broom, bicycle, sled, puzzle, picture, diary, notebook, music box, clock, rose, flower, star, bracelet, bottle, vase, teapot, guitar, trumpet,
		ribbon, mask, cape, puppet, jewel, diamond, treasure chest, golden key, magic ring, magic stone, magic carpet, flying broom, crystal ball`)
	looks = words(`red, blue, green, yellow, golden, silver, little, old, tiny, wooden, shiny, round, big, beautiful, strange, white, black, purple, dusty, soft, magic, broken,
		orange, pink, favorite`)
	foods = words(`cake, honey, cheese, apples, bread, cookies, soup, strawberries, carrots, pancakes, ice cream, chocolate, pie, nuts, berries, cherries, bananas,
		pizza, pasta, fish, rice, tomatoes, popcorn, candy, jam, butter, peanuts, pears, plums, grapes, oranges, watermelon, waffles,
		muffins, cupcakes, noodles, potatoes, pumpkins, corn, peas, cabbage, mushrooms, marshmallows, pickles, donuts, sandwiches, blueberries, coconuts,
		mangoes, toast, porridge, apple pie, birthday cake, cinnamon rolls`)
	joys = words(`music, books, stories, flowers, the moon, the stars, the rain, the snow, the wind, the sun, trains, songs, games, riddles, rainbows, butterflies, puddles,
		clouds, the sea, trees, boats, balloons, jokes, puzzles, colors, dancing, singing, painting, drawing, reading, running, sleeping, jumping, climbing, swimming,
		football, chess, cars, toys, shells, old maps, stamps, hats, socks, clocks, gardening, cooking, baking, fishing, sailing, traveling, the night, winter, summer,
		spring, autumn, fireflies, kites, bees, birds, horses, roses, shiny things, adventures, computers, dinosaurs, magic tricks, poems, numbers`)
	fears = words(`the dark, thunder, deep water, heights, spiders, loud noises, ghosts, storms, shadows, dogs, cats, monsters, the sea, being alone, strangers, snakes, mice,
		the doctor, the first day of school, lightning, crowds, the moon, fire, bees, water, the wind, flying, the forest, caves, getting lost, big waves, bats, owls, the dentist`)
	skills = words(`swim, fly, read, dance, sing, bake, paint, climb, juggle, skate, ski, ride a bicycle, play the piano, play the violin, play the drums, cook,
		write, count, whistle, sail, surf, draw, run fast, jump high, dive, knit, sew, play chess, play football, speak French, do magic, tell jokes, build a house,
		catch fish, make friends, grow flowers, drive, bake bread, tie a knot, play the guitar, spell, do a handstand, do a cartwheel, paddle a boat, ride a horse,
		play hide and seek, sleep in the dark, say sorry, be brave, cross the river, climb a tree, make music, tell stories`)
	gifts    = words(`a paper star, a warm scarf, a wooden flute, a chain of shells, a honey cake, a jar of jam, a little boat, a painted stone, a basket of berries, a crown of flowers, a soft blanket, a picture, a pair of mittens`)
	builds   = words(`a boat, a raft, a tree house, a sandcastle, a snowman, a bridge, a rocket, a kite, a robot, a tower, a house, a flying machine, a swing, a birdhouse, a sled, a fort, a cart, a garden shed, a machine, a windmill, a hut, a nest, a time machine, a submarine`)
	plants   = words(`sunflower, apple tree, rose, pumpkin, bean, tulip, oak, cherry tree, carrot, strawberry plant, lemon tree, daisy, cactus, tomato plant, pear tree, lily, magic bean, melon`)
	events   = words(`a race, a singing contest, a dance contest, a baking contest, a swimming race, a drawing contest, a boat race, a kite contest, a talent show, a sports day, a chess contest, a spelling contest, a jumping contest, a sled race`)
	parties  = words(`a birthday party, a picnic, a wedding, a ball, a feast, a tea party, a summer festival, a surprise party, a costume party, a winter festival, a concert, a parade`)
	weathers = words(`storm, snowstorm, flood, thick fog, sandstorm, hurricane, thunderstorm, strong wind, blizzard, hailstorm`)
	seasons  = words(`in winter, in spring, in summer, in autumn, at night, on a rainy day, on a sunny day, on a snowy day, on Christmas Eve, at Halloween, in the middle of the night, early in the morning, on a windy day`)
)
