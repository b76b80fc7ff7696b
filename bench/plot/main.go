// Plot draws what llamabench measured, of llama31 and of its peers, as an SVG:
//
//	go run ./bench/plot -o bench/results/cpu.svg bench/results/cpu.json
//
// The file is a list of what `llamabench -o json` printed for a model and a peer,
// each with the names of both:
//
//	[{"model": "q4_k_m", "peer": "llama.cpp", "results": [{"test": "pp256", "tok_s": 200, "peer_tok_s": 125}]}]
//
// -add MODEL -peer PEER puts what it finds on standard input into the file, in
// place of what is there of the same tests for these two, before it draws:
//
//	go run ./bench/llamabench -model F -peer LLAMA_BENCH -o json | go run ./bench/plot -add q4_k_m -peer llama.cpp -o bench/results/cpu.svg bench/results/cpu.json
//
// There is a picture for each test, with a group of bars for each model. What a
// model ran at several depths (llamabench -d), or prompts of several lengths, are
// lines over these instead, in a picture of that model.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/llama31/llama31/bench"
)

// measured is what llamabench gave for a model beside a peer.
type measured struct {
	Model   string              `json:"model"`
	Peer    string              `json:"peer,omitempty"` // "": none
	Results []bench.SpeedResult `json:"results"`
}

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

func run(args []string, stdin io.Reader, stdout io.Writer) error {
	fs := flag.NewFlagSet("plot", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // main prints the error, in one line
	out := fs.String("o", "", "SVG `file` to write (required)")
	add := fs.String("add", "", "`name` of a model whose results are on standard input, to put into the file first")
	peer := fs.String("peer", "", "with -add, `name` of the peer")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(stdout)
			fs.Usage()
		}
		return err
	}
	if *out == "" || fs.NArg() != 1 {
		return errors.New("expected -o FILE.svg and one file of results")
	}
	path := fs.Arg(0)
	all, err := read(path, *add != "")
	if err != nil {
		return err
	}
	if *add != "" {
		m := measured{Model: *add, Peer: *peer}
		if err := json.NewDecoder(stdin).Decode(&m.Results); err != nil {
			return fmt.Errorf("standard input: expected what llamabench -o json prints: %w", err)
		}
		all = put(all, m)
		b, err := json.MarshalIndent(all, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, append(b, '\n'), 0o666); err != nil {
			return err
		}
	}
	return drawAll(*out, all)
}

// put adds results in place of those of the same tests.
func put(all []measured, m measured) []measured {
	i := slices.IndexFunc(all, func(o measured) bool { return o.Model == m.Model && o.Peer == m.Peer })
	if i < 0 {
		return append(all, m)
	}
	for _, r := range m.Results {
		had := &all[i].Results
		if j := slices.IndexFunc(*had, func(o bench.SpeedResult) bool { return o.Test == r.Test }); j >= 0 {
			(*had)[j] = r
		} else {
			*had = append(*had, r)
		}
	}
	return all
}

// read reads a file of results; one that is missing has none if it is to be made.
func read(path string, create bool) (all []measured, err error) {
	b, err := os.ReadFile(path)
	if create && errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return all, nil
}

// table is one picture: tokens per second by engine, and by model or by a number of tokens.
type table struct {
	title   string
	tokens  string // what the places are numbers of; "": they are models
	engines []string
	places  []string              // in the order of the results, numbers ascend
	speed   map[[2]string]float64 // of engine and place
}

const ours = "llama31"

// tables sorts the results. Where several runs beside peers measured ours, the last counts.
func tables(all []measured) []*table {
	var tables []*table
	for _, m := range all {
		for _, r := range m.Results {
			title, tokens, place := r.Test, "", m.Model
			name, depth, _ := strings.Cut(r.Test, depthMark)
			switch {
			case m.has(func(test string) bool { return strings.HasPrefix(test, name+depthMark) }):
				title, tokens, place = m.Model+", "+name, "tokens in the KV cache", cmp.Or(depth, "0")
			case m.has(func(test string) bool {
				return test != name && strings.HasPrefix(name, "pp") && strings.HasPrefix(test, "pp")
			}):
				title, tokens, place = m.Model+", pp", "tokens of the prompt", name[len("pp"):]
			}
			i := slices.IndexFunc(tables, func(t *table) bool { return t.title == title })
			if i < 0 {
				i = len(tables)
				tables = append(tables, &table{title: title, tokens: tokens, engines: []string{ours}, speed: map[[2]string]float64{}})
			}
			tables[i].add(ours, place, r.TokensPerSec)
			if r.PeerPerSec > 0 {
				tables[i].add(m.Peer, place, r.PeerPerSec)
			}
		}
	}
	for _, t := range tables {
		if t.tokens != "" {
			slices.SortFunc(t.places, func(a, b string) int { return cmp.Compare(number(a), number(b)) })
		}
	}
	return tables
}

const depthMark = " @ d" // of the names of llamabench's tests

func (m *measured) has(test func(string) bool) bool {
	return slices.ContainsFunc(m.Results, func(r bench.SpeedResult) bool { return test(r.Test) })
}

func (t *table) add(engine, place string, speed float64) {
	if !slices.Contains(t.engines, engine) {
		t.engines = append(t.engines, engine)
	}
	if !slices.Contains(t.places, place) {
		t.places = append(t.places, place)
	}
	t.speed[[2]string{engine, place}] = speed
}

// number is a place's number of tokens.
func number(place string) float64 {
	n, _, _ := strings.Cut(place, " ") // of sequences
	f, _ := strconv.ParseFloat(n, 64)
	return f
}

// drawAll writes the pictures one below the other.
func drawAll(path string, all []measured) (err error) {
	tables := tables(all)
	if len(tables) == 0 {
		return errors.New("there are no results")
	}
	rows := make([][]*plot.Plot, len(tables))
	for i, t := range tables {
		p := plot.New()
		p.Title.Text, p.Y.Label.Text, p.Y.Min = t.title, "tokens per second", 0
		p.Legend.Top, p.Legend.Left, p.Legend.Padding = true, true, vg.Millimeter
		draw := t.bars
		if t.tokens != "" {
			draw = t.lines
		}
		if err := draw(p); err != nil {
			return err
		}
		p.Y.Max *= 1.45 // room for the legend
		rows[i] = []*plot.Plot{p}
	}
	width := 20 * vg.Centimeter
	for _, t := range tables {
		if t.tokens == "" {
			width = max(width, 3*vg.Centimeter+vg.Length(len(t.places)*(len(t.engines)+1))*barWidth)
		}
	}
	c := vgsvg.New(width, vg.Length(len(rows))*8*vg.Centimeter)
	for i, canvases := range plot.Align(rows, draw.Tiles{Rows: len(rows), Cols: 1, PadY: 5 * vg.Millimeter}, draw.New(c)) {
		rows[i][0].Draw(canvases[0])
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = c.WriteTo(f)
	return errors.Join(err, f.Close())
}

const barWidth = 2.5 * vg.Millimeter

// bars has a group for each model.
func (t *table) bars(p *plot.Plot) error {
	for e, engine := range t.engines {
		var values plotter.Values
		for _, place := range t.places {
			values = append(values, t.speed[[2]string{engine, place}])
		}
		bars, err := plotter.NewBarChart(values, barWidth)
		if err != nil {
			return err
		}
		bars.LineStyle.Width = 0
		bars.Color = plotutil.Color(e)
		bars.Offset = barWidth * vg.Length(2*e-len(t.engines)+1) / 2
		p.Add(bars)
		p.Legend.Add(engine, bars)
	}
	p.NominalX(t.places...)
	p.X.Tick.Label.Rotation, p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = math.Pi/4, draw.XRight, draw.YCenter
	return nil
}

// lines has a line for each engine.
func (t *table) lines(p *plot.Plot) error {
	p.X.Label.Text = t.tokens
	for e, engine := range t.engines {
		var points plotter.XYs
		for _, place := range t.places {
			if speed, ok := t.speed[[2]string{engine, place}]; ok {
				points = append(points, plotter.XY{X: number(place), Y: speed})
			}
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return err
		}
		line.Color, dots.Color, dots.Shape = plotutil.Color(e), plotutil.Color(e), draw.CircleGlyph{}
		p.Add(line, dots)
		p.Legend.Add(engine, line, dots)
	}
	p.X.Tick.Marker = t
	return nil
}

// Ticks marks the places.
func (t *table) Ticks(_, _ float64) (ticks []plot.Tick) {
	for _, place := range t.places {
		ticks = append(ticks, plot.Tick{Value: number(place), Label: place})
	}
	return ticks
}
