package llama

import "time"

// costs is what steps of so many rows take, as measured: how long a step may become, and whether further rows are worth it.
type costs struct {
	at    [len(costRows)]cost
	steps int
}

type cost struct {
	rows, seconds float64 // averages
	count         int     // measurements
	last          int     // the step of the latest; 0: none
}

// costRows are the upper ends of the classes of steps.
var costRows = [...]int{1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1 << 30}

// costMemory is for how many steps measurements count, and costTrust for how many each does: what was slow, for another program's sake
// or because it was the first time, is tried again, and the sooner the less is known. A single slow step of three rows had kept two
// guesses from being run for a whole text.
const (
	costMemory = 4096
	costTrust  = 64
)

func costClass(rows int) int {
	i := 0
	for rows > costRows[i] {
		i++
	}
	return i
}

// note takes a measurement. Longer times count for less: on a busy machine they are others' doing.
func (c *costs) note(rows int, took time.Duration) {
	c.steps++
	x, s := &c.at[costClass(rows)], took.Seconds()
	if !c.counts(x) {
		x.rows, x.seconds = float64(rows), s
	}
	x.count, x.last = x.count+1, c.steps
	x.rows += (float64(rows) - x.rows) / 8
	x.seconds += (min(s, 2*x.seconds) - x.seconds) / 8
}

// counts says that a class has been measured, and not too long ago.
func (c *costs) counts(x *cost) bool {
	return x.last > 0 && c.steps-x.last <= min(costMemory, costTrust*x.count)
}

// of estimates the seconds of a step, 0 if nothing is known: on a line between the measurements around it, in proportion beyond the
// largest, and below the smallest no less than a 16th of it.
func (c *costs) of(rows int) float64 {
	r := float64(rows)
	var below, above *cost
	for i := range c.at {
		x := &c.at[i]
		switch {
		case !c.counts(x):
		case x.rows <= r:
			if below == nil || x.seconds > below.seconds {
				below = x
			}
		case above == nil:
			above = x
		}
	}
	switch {
	case below == nil && above == nil:
		return 0
	case above == nil:
		return below.seconds * max(1, r/below.rows)
	case below == nil:
		return above.seconds * max(r/above.rows, 1./16)
	}
	return below.seconds + max(0, above.seconds-below.seconds)*(r-below.rows)/(above.rows-below.rows)
}

// within is the most rows, from least to most, that take no longer than so many seconds.
func (c *costs) within(seconds float64, least, most int) int {
	for least < most {
		middle := (least + most + 1) / 2
		if c.of(middle) <= seconds {
			least = middle
		} else {
			most = middle - 1
		}
	}
	return least
}
