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
// place of what is there for these two, before it draws:
//
//	go run ./bench/llamabench -model F -peer LLAMA_BENCH -o json | go run ./bench/plot -add q4_k_m -peer llama.cpp -o bench/results/cpu.svg bench/results/cpu.json
//
// There is a picture for each test, with a group of bars for each model.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"

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
		if i := slices.IndexFunc(all, func(o measured) bool { return o.Model == m.Model && o.Peer == m.Peer }); i >= 0 {
			all[i] = m
		} else {
			all = append(all, m)
		}
		b, err := json.MarshalIndent(all, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, append(b, '\n'), 0o666); err != nil {
			return err
		}
	}
	return drawBars(*out, all)
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

// table is one picture: tokens per second by engine and model.
type table struct {
	test            string
	engines, models []string
	speed           map[[2]string]float64 // of engine and model
}

const ours = "llama31"

// tables sorts the results by test. Where several runs beside peers measured ours, the last counts.
func tables(all []measured) []*table {
	var tests []*table
	for _, m := range all {
		for _, r := range m.Results {
			i := slices.IndexFunc(tests, func(t *table) bool { return t.test == r.Test })
			if i < 0 {
				i = len(tests)
				tests = append(tests, &table{test: r.Test, engines: []string{ours}, speed: map[[2]string]float64{}})
			}
			t := tests[i]
			if !slices.Contains(t.models, m.Model) {
				t.models = append(t.models, m.Model)
			}
			t.speed[[2]string{ours, m.Model}] = r.TokensPerSec
			if r.PeerPerSec == 0 {
				continue
			}
			if !slices.Contains(t.engines, m.Peer) {
				t.engines = append(t.engines, m.Peer)
			}
			t.speed[[2]string{m.Peer, m.Model}] = r.PeerPerSec
		}
	}
	return tests
}

// drawBars writes the pictures one below the other.
func drawBars(path string, all []measured) (err error) {
	tests := tables(all)
	if len(tests) == 0 {
		return errors.New("there are no results")
	}
	rows := make([][]*plot.Plot, len(tests))
	for i, t := range tests {
		p := plot.New()
		p.Title.Text, p.Y.Label.Text, p.Y.Min = t.test, "tokens per second", 0
		p.Legend.Top, p.Legend.Left = true, false
		const width = 5 * vg.Millimeter
		for e, engine := range t.engines {
			var values plotter.Values
			for _, model := range t.models {
				values = append(values, t.speed[[2]string{engine, model}])
			}
			bars, err := plotter.NewBarChart(values, width)
			if err != nil {
				return err
			}
			bars.LineStyle.Width = 0
			bars.Color = plotutil.Color(e)
			bars.Offset = width * vg.Length(2*e-len(t.engines)+1) / 2
			p.Add(bars)
			p.Legend.Add(engine, bars)
		}
		p.Y.Max *= 1.25 // room for the legend
		p.NominalX(t.models...)
		rows[i] = []*plot.Plot{p}
	}
	c := vgsvg.New(20*vg.Centimeter, vg.Length(len(rows))*8*vg.Centimeter)
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
