package report

import (
	"cmp"
	"fmt"
	"html"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"

	"vgid/eval"
	"vgid/eval/metric"
)

// A drawing is plotW × plotH units; the page scales it. Colours come from the
// page's style sheet, so that light and dark both work.
const (
	plotW, plotH             = 400.0, 240.0
	left, right, top, bottom = 52.0, 16.0, 12.0, 38.0
)

// axes maps data, from x0, y0 to x1, y1, to the drawing, whose y grows downwards.
// x1 > x0 and y1 > y0, or the drawing would divide by nothing: callers see to it.
type axes struct{ x0, x1, y0, y1 float64 }

func (a axes) x(v float64) float64 { return left + (v-a.x0)/(a.x1-a.x0)*(plotW-left-right) }
func (a axes) y(v float64) float64 {
	return plotH - bottom - (v-a.y0)/(a.y1-a.y0)*(plotH-top-bottom)
}

// ticks are round numbers from lo to hi, about n of them.
//
// The step is 1, 2 or 5 times a power of ten, the least that gives no more than n steps.
// Without a range, or with one that is not finite, there are none.
func ticks(lo, hi float64, n int) []float64 {
	raw := (hi - lo) / float64(n)
	if !(raw > 0) || math.IsInf(raw, 0) {
		return nil
	}
	step := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, f := range []float64{1, 2, 5, 10} {
		if f*step >= raw {
			step *= f
			break
		}
	}
	var out []float64
	// Products and not sums of steps, which would drift; the hair is for ends that
	// are ticks themselves.
	for k := math.Ceil(lo/step - 1e-9); k*step <= hi+step*1e-9; k++ {
		out = append(out, k*step)
	}
	return out
}

// label is a tick's number, short enough for the margin.
func label(v float64) string {
	if math.Abs(v) < 1e-12 {
		return "0"
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// frame draws the grid, its labels and the axis titles.
// Grid lines across only: values are read off the left edge.
// b takes the SVG; an empty yTitle takes no room.
func (a axes) frame(b *strings.Builder, xTitle, yTitle string) {
	for _, v := range ticks(a.y0, a.y1, 4) {
		fmt.Fprintf(b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1[3]f"/><text class="tick" x="%.1f" y="%.1f" text-anchor="end">%s</text>`,
			left, plotW-right, a.y(v), left-6, a.y(v)+4, label(v))
	}
	for _, v := range ticks(a.x0, a.x1, 5) {
		fmt.Fprintf(b, `<text class="tick" x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, a.x(v), plotH-bottom+16, label(v))
	}
	fmt.Fprintf(b, `<line class="axis" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1[3]f"/>`, left, plotW-right, plotH-bottom)
	fmt.Fprintf(b, `<text class="tick" x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, (left+plotW-right)/2, plotH-6, html.EscapeString(xTitle))
	if yTitle != "" {
		fmt.Fprintf(b, `<text class="tick" transform="translate(12 %.1f) rotate(-90)" text-anchor="middle">%s</text>`, (top+plotH-bottom)/2, html.EscapeString(yTitle))
	}
}

// svg makes a drawing of parts that are escaped where they hold texts of others,
// which is why it is HTML already. The description is what a screen reader says.
func svg(description string, body string) template.HTML {
	return template.HTML(fmt.Sprintf(`<svg viewBox="0 0 %g %g" role="img" aria-label="%s">%s</svg>`, plotW, plotH, html.EscapeString(description), body))
}

// curves draws the losses, the gradient norm and the learning rate over steps, all in
// the colour of the model that they made.
// A value that is not finite leaves a gap, and does not set the scale.
func curves(points []CurvePoint, loss string) []figure {
	if len(points) < 2 {
		return nil
	}
	var out []figure
	for _, c := range []struct {
		title, unit string
		value       func(CurvePoint) float64
	}{
		{"Forget " + loss, "nats", func(p CurvePoint) float64 { return p.Forget }},
		{"Retain " + loss, "nats", func(p CurvePoint) float64 { return p.Retain }},
		{"Gradient norm", "", func(p CurvePoint) float64 { return p.GradNorm }},
		{"Learning rate", "", func(p CurvePoint) float64 { return p.LR }},
	} {
		// From 0 on and not from the least value: a loss that hardly falls should look so.
		hi := 0.0
		last := math.NaN()
		for _, p := range points {
			if v := c.value(p); finite(v) {
				hi, last = max(hi, v), v
			}
		}
		if hi == 0 { // a flat line at zero, or nothing finite: any scale does
			hi = 1
		}
		a := axes{float64(points[0].Step), float64(points[len(points)-1].Step), 0, hi * 1.05}
		// Histories whose steps do not rise have been written by hand, or by two runs.
		if a.x1 <= a.x0 {
			continue
		}
		var b strings.Builder
		a.frame(&b, "step", c.unit)
		b.WriteString(`<path class="curve" d="`)
		pen := "M"
		for _, p := range points {
			v := c.value(p)
			if !finite(v) {
				pen = "M" // a gap, not a line over it
				continue
			}
			fmt.Fprintf(&b, "%s%.1f %.1f", pen, a.x(float64(p.Step)), a.y(v))
			pen = "L"
		}
		b.WriteString(`"/>`)
		detail := fmt.Sprintf("%s at the first step, %s at the last", label(c.value(points[0])), label(last))
		out = append(out, figure{c.title, detail, svg(c.title+" over steps: "+detail, b.String())})
	}
	return out
}

// finite reports whether a value can be drawn.
func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// tradeoff places each model by what it still says of the people to be
// forgotten and of those to be kept. It is empty when either is not known.
//
// Unlearning aims at the upper left, where gold should stand. The axes end near the
// points, as answers that share their wording have a ROUGE-L far from 0 even where
// nothing is known.
func tradeoff(s *eval.Summary) template.HTML {
	type point struct {
		name string
		x, y float64
	}
	var points []point
	a := axes{1, 0, 1, 0}
	for _, m := range s.ModelNames() {
		x, okX := s.Value(m, eval.Forget, "image_text", metric.ROUGEL)
		y, okY := s.Value(m, eval.Retain, "image_text", metric.ROUGEL)
		if !okX || !okY {
			continue
		}
		points = append(points, point{m, x, y})
		a = axes{min(a.x0, x), max(a.x1, x), min(a.y0, y), max(a.y1, y)}
	}
	if len(points) == 0 {
		return ""
	}
	pad := func(lo, hi float64) (float64, float64) {
		d := max(.25*(hi-lo), .1) // no less, or a difference of a hair would look like a chasm
		return max(0, lo-d), min(1, hi+d)
	}
	a.x0, a.x1 = pad(a.x0, a.x1)
	a.y0, a.y1 = pad(a.y0, a.y1)
	var b strings.Builder
	a.frame(&b, "forget ROUGE-L (← forgotten)", "retain ROUGE-L (kept →)")
	// from the top, so that labels that must give way keep the order of their dots
	slices.SortStableFunc(points, func(p, q point) int { return cmp.Compare(q.y, p.y) })
	var told []string
	var placed []point
	for _, p := range points {
		x, y := a.x(p.x), a.y(p.y)
		// The style sheet knows the three models; others share a colour.
		class := "c-" + p.name
		switch p.name {
		case eval.Vanilla, eval.Unlearned, eval.Gold:
		default:
			class = "c-other"
		}
		lx, ly, anchor := x+11, y+4, "start"
		if x > plotW*.72 {
			lx, anchor = x-11, "end"
		}
		for moved := true; moved; { // below the labels it would cover
			moved = false
			for _, q := range placed {
				if math.Abs(q.x-lx) < 70 && math.Abs(q.y-ly) < 14 {
					ly, moved = q.y+15, true
				}
			}
		}
		placed = append(placed, point{x: lx, y: ly})
		text := fmt.Sprintf("%s %.3f / %.3f", p.name, p.x, p.y)
		told = append(told, text)
		fmt.Fprintf(&b, `<circle class="dot %s" cx="%.1f" cy="%.1f" r="7"><title>%s</title></circle><text class="name %s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`,
			class, x, y, html.EscapeString(text), class, lx, ly, anchor, html.EscapeString(p.name))
	}
	return svg("Forget and retain ROUGE-L of each model: "+strings.Join(told, ", "), b.String())
}
