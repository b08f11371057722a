package portrait

import (
	"image"
	"image/color"
	"image/draw"
	"math"

	"golang.org/x/image/vector"
)

// point is in portrait units unless a canvas has mapped it: x to the right, y downwards.
type point struct{ x, y float64 }

// canvas fills anti-aliased polygons given in portrait units (96 to a side)
// through one affine map.
// Shapes are given in the same units for every size and pose: only the map differs.
type canvas struct {
	img                *image.RGBA
	ras                vector.Rasterizer
	src                image.Uniform
	a, b, c, d, tx, ty float64 // x' = a·x + b·y + tx, y' = c·x + d·y + ty
	buf                []point
}

// fill is what every shape comes down to. Only the box around the polygon is rasterised.
// A path of fewer than three points has no area. col may be transparent: it is drawn
// over what is there.
func (k *canvas) fill(col color.RGBA, path []point) {
	if len(path) < 3 {
		return
	}
	minX, minY := math.Inf(1), math.Inf(1)
	maxX, maxY := math.Inf(-1), math.Inf(-1)
	k.buf = k.buf[:0]
	for _, p := range path {
		q := point{k.a*p.x + k.b*p.y + k.tx, k.c*p.x + k.d*p.y + k.ty}
		minX, maxX = min(minX, q.x), max(maxX, q.x)
		minY, maxY = min(minY, q.y), max(maxY, q.y)
		k.buf = append(k.buf, q)
	}
	box := image.Rect(int(math.Floor(minX)), int(math.Floor(minY)), int(math.Ceil(maxX)), int(math.Ceil(maxY)))
	box = box.Intersect(k.img.Rect)
	if box.Empty() {
		return
	}
	k.ras.Reset(box.Dx(), box.Dy())
	ox, oy := float64(box.Min.X), float64(box.Min.Y)
	for i, q := range k.buf {
		x, y := float32(q.x-ox), float32(q.y-oy)
		if i == 0 {
			k.ras.MoveTo(x, y)
		} else {
			k.ras.LineTo(x, y)
		}
	}
	k.ras.ClosePath()
	k.ras.DrawOp = draw.Over
	k.src.C = col
	k.ras.Draw(k.img, box, &k.src, image.Point{})
}

// ellipse, rect, rounded, line, ring and frame are the shapes that faces are made of.
func (k *canvas) ellipse(col color.RGBA, x, y, rx, ry float64) {
	k.fill(col, arc(nil, x, y, rx, ry, 0, 2*math.Pi))
}

func (k *canvas) rect(col color.RGBA, x0, y0, x1, y1 float64) {
	k.fill(col, []point{{x0, y0}, {x1, y0}, {x1, y1}, {x0, y1}})
}

// rounded fills a rectangle with corners of radius r.
func (k *canvas) rounded(col color.RGBA, x0, y0, x1, y1, r float64) {
	k.fill(col, roundedPath(x0, y0, x1, y1, r))
}

// line fills a straight stroke of width w.
func (k *canvas) line(col color.RGBA, x0, y0, x1, y1, w float64) {
	dx, dy := x1-x0, y1-y0
	l := math.Hypot(dx, dy)
	if l == 0 {
		return
	}
	nx, ny := -dy/l*w/2, dx/l*w/2
	k.fill(col, []point{{x0 + nx, y0 + ny}, {x1 + nx, y1 + ny}, {x1 - nx, y1 - ny}, {x0 - nx, y0 - ny}})
}

// ring fills the band between two ellipses.
// The inner circle goes the other way round, so that the rule of winding numbers leaves it open.
// r is the outer radius, w the width of the band inwards.
func (k *canvas) ring(col color.RGBA, x, y, r, w float64) {
	path := arc(nil, x, y, r, r, 0, 2*math.Pi)
	path = arc(path, x, y, r-w, r-w, 2*math.Pi, 0)
	k.fill(col, path)
}

// frame fills the band inside the edge of a rectangle.
func (k *canvas) frame(col color.RGBA, x0, y0, x1, y1, w float64) {
	k.fill(col, []point{
		{x0, y0}, {x1, y0}, {x1, y1}, {x0, y1}, {x0, y0},
		{x0 + w, y0 + w}, {x0 + w, y1 - w}, {x1 - w, y1 - w}, {x1 - w, y0 + w}, {x0 + w, y0 + w},
	})
}

// arc appends an elliptic arc from angle a0 to a1 (radians, y downwards) as a
// polyline fine enough for portraits of a few hundred pixels.
func arc(path []point, x, y, rx, ry, a0, a1 float64) []point {
	n := int(math.Ceil(math.Abs(a1-a0) / (2 * math.Pi) * 36))
	for i := 0; i <= n; i++ {
		s, c := math.Sincos(a0 + (a1-a0)*float64(i)/float64(n))
		path = append(path, point{x + rx*c, y + ry*s})
	}
	return path
}

// roundedPath is a rectangle with round corners, from the left one at the top on clockwise.
func roundedPath(x0, y0, x1, y1, r float64) []point {
	p := arc(nil, x0+r, y0+r, r, r, math.Pi, 1.5*math.Pi)
	p = arc(p, x1-r, y0+r, r, r, 1.5*math.Pi, 2*math.Pi)
	p = arc(p, x1-r, y1-r, r, r, 0, .5*math.Pi)
	return arc(p, x0+r, y1-r, r, r, .5*math.Pi, math.Pi)
}

// above flattens what of a closed path lies below the line
// y = level + slope·x onto that line: the part above remains.
func above(path []point, level, slope float64) []point {
	out := make([]point, len(path))
	for i, p := range path {
		out[i] = point{p.x, min(p.y, level+slope*p.x)}
	}
	return out
}

// below is above for the other side.
func below(path []point, level, slope float64) []point {
	out := make([]point, len(path))
	for i, p := range path {
		out[i] = point{p.x, max(p.y, level+slope*p.x)}
	}
	return out
}
