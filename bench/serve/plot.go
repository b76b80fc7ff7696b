package main

import (
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/llama31/llama31/bench"
)

// panels are the pictures side by side.
var panels = []struct {
	title string
	value func(bench.LoadResult) float64
}{
	{"tokens per second", func(r bench.LoadResult) float64 { return r.TokensPerSec }},
	{"first token, p99, ms", func(r bench.LoadResult) float64 { return 1000 * r.First.P99 }},
	{"between tokens, p99, ms", func(r bench.LoadResult) float64 { return 1000 * r.Between.P99 }},
}

// drawPanels writes an SVG with a line per target over the load.
func drawPanels(path string, results []bench.LoadResult) (err error) {
	var names []string
	lines := map[string][]bench.LoadResult{}
	for _, r := range results {
		if lines[r.Name] == nil {
			names = append(names, r.Name)
		}
		lines[r.Name] = append(lines[r.Name], r)
	}
	row := make([]*plot.Plot, len(panels))
	for i, panel := range panels {
		p := plot.New()
		p.Title.Text, p.X.Label.Text, p.Y.Min = panel.title, "users, or requests per second", 0
		p.Legend.Top, p.Legend.Left = true, true
		for j, name := range names {
			var points plotter.XYs
			for _, r := range lines[name] {
				points = append(points, plotter.XY{X: r.Rate + float64(r.Concurrency), Y: panel.value(r)})
			}
			line, marks, err := plotter.NewLinePoints(points)
			if err != nil {
				return err
			}
			line.Color, marks.Color = plotutil.Color(j), plotutil.Color(j)
			p.Add(line, marks)
			p.Legend.Add(name, line, marks)
		}
		row[i] = p
	}
	c := vgsvg.New(vg.Length(len(panels))*10*vg.Centimeter, 8*vg.Centimeter)
	tiles := draw.Tiles{Rows: 1, Cols: len(panels), PadX: 5 * vg.Millimeter}
	for i, canvas := range plot.Align([][]*plot.Plot{row}, tiles, draw.New(c))[0] {
		row[i].Draw(canvas)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = c.WriteTo(f)
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
