package llama

import "time"

// costs is what steps of so many rows take, as measured: how long a step may become, and whether further rows are worth it.
type costs struct {
	at    [len(costRows)]cost
	steps int
}

type cost struct {
	rows, seconds float64 // averages
	last          int     // the step of the latest measurement; 0: none
}

// costRows are the upper ends of the classes of steps.
var costRows = [...]int{1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1 << 30}

// costMemory is for how many steps a measurement counts: what was slow once, for another program's sake, is tried again.
const costMemory = 4096

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
	if x.last == 0 || c.steps-x.last > costMemory {
		*x = cost{rows: float64(rows), seconds: s}
	}
	x.last = c.steps
	x.rows += (float64(rows) - x.rows) / 8
	x.seconds += (min(s, 2*x.seconds) - x.seconds) / 8
}

// of estimates the seconds of a step, 0 if nothing is known: on a line between the measurements around it, in proportion beyond the
// largest, and below the smallest no less than a 16th of it.
func (c *costs) of(rows int) float64 {
	r := float64(rows)
	var below, above *cost
	for i := range c.at {
		x := &c.at[i]
		switch {
		case x.last == 0 || c.steps-x.last > costMemory:
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
