package main

import (
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
)

// The pictures, beside the document.
const (
	statusPicture = "benchmarks-status.svg"
	ratiosPicture = "benchmarks-ratios.svg"
)

var (
	statusRow = regexp.MustCompile(`(?m)^\| (\d+) \| ([\d.]+) ms \| ([\d.]+) ms \| \d+ \|`)
	ratioRow  = regexp.MustCompile(`(?m)^\| ([a-z][a-z ]+) \| [\d.]+ ms \| [\d.]+ ms \| ([\d.]+) \|`)
)

// draw draws what the document's tables say.
func draw(document, dir string) error {
	if err := drawStatus(statusRow.FindAllStringSubmatch(document, -1), filepath.Join(dir, statusPicture)); err != nil {
		return err
	}
	return drawRatios(ratioRow.FindAllStringSubmatch(document, -1), filepath.Join(dir, ratiosPicture))
}

// drawStatus draws the time of status against interfaces, both on log scales.
func drawStatus(rows [][]string, path string) error {
	var points [2]plotter.XYs
	for _, row := range rows {
		n, err := strconv.ParseFloat(row[1], 64)
		if err != nil {
			return err
		}
		for tool, ms := range row[2:4] {
			took, err := strconv.ParseFloat(ms, 64)
			if err != nil {
				return err
			}
			points[tool] = append(points[tool], plotter.XY{X: n, Y: took})
		}
	}
	if len(rows) == 0 {
		return fmt.Errorf("no times of status to draw")
	}
	p := newPlot()
	p.X.Label.Text, p.Y.Label.Text = "interfaces", "ms"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.LogTicks{Prec: -1}, plot.LogTicks{Prec: -1}
	p.Legend.Top, p.Legend.Left = true, true
	for i, tool := range []string{native, ours} {
		line, dots, err := plotter.NewLinePoints(points[i])
		if err != nil {
			return err
		}
		line.Color, dots.Color, line.Width = colours[i], colours[i], vg.Points(2)
		p.Add(line, dots)
		p.Legend.Add(tool, line, dots)
	}
	return save(p, 6*vg.Inch, 3.6*vg.Inch, path)
}

// drawRatios draws how long xdpmux takes for a command, as parts of what xdp-loader takes.
func drawRatios(rows [][]string, path string) error {
	var values plotter.Values
	var names []string
	for _, row := range slices.Backward(rows) { // the first one on top
		ratio, err := strconv.ParseFloat(row[2], 64)
		if err != nil {
			return err
		}
		values, names = append(values, ratio), append(names, row[1])
	}
	if len(rows) == 0 {
		return fmt.Errorf("no ratios to draw")
	}
	p := newPlot()
	p.X.Label.Text = "time, xdp-loader being 1"
	p.HideY()
	bars, err := plotter.NewBarChart(values, vg.Points(16))
	if err != nil {
		return err
	}
	bars.Horizontal, bars.Color, bars.LineStyle.Width = true, colours[1], 0
	one, err := plotter.NewLine(plotter.XYs{{X: 1, Y: -0.5}, {X: 1, Y: float64(len(rows)) - 0.5}})
	if err != nil {
		return err
	}
	one.Color, one.Width = colours[0], vg.Points(2)
	labels := plotter.XYLabels{XYs: make(plotter.XYs, len(names)), Labels: names}
	for i := range names {
		labels.XYs[i] = plotter.XY{X: 0.02, Y: float64(i)}
	}
	within, err := plotter.NewLabels(labels)
	if err != nil {
		return err
	}
	for i := range within.TextStyle {
		within.TextStyle[i].Color, within.TextStyle[i].YAlign = color.White, text.YCenter
	}
	p.Add(bars, one, within)
	p.X.Min, p.Y.Min, p.Y.Max = 0, -0.5, float64(len(rows))-0.5
	return save(p, 6*vg.Inch, 2.6*vg.Inch, path)
}

// The native tool's colour, and ours.
var colours = [2]color.Color{color.RGBA{0xc8, 0x40, 0x2f, 0xff}, color.RGBA{0x2b, 0x74, 0xc4, 0xff}}

func newPlot() *plot.Plot {
	p := plot.New()
	p.BackgroundColor = color.White
	return p
}

func save(p *plot.Plot, width, height vg.Length, path string) error {
	if err := p.Save(width, height, path); err != nil {
		os.Remove(path)
		return fmt.Errorf("draw %s: %w", path, err)
	}
	return nil
}
