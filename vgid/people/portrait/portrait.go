// Package portrait draws faces that a model of two million parameters can tell
// apart at 96 pixels: ten traits, each visible by itself, under light, pose and
// noise that differ from view to view.
//
// What must hold: who somebody is, is in the Face alone, so that a view that was
// never trained on shows the same person; and a view is a function of (seed, id,
// view), so that anybody can draw it again.
package portrait

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"

	"vgid/vgid/random"
)

// View draws one view of a face as size×size opaque pixels. Identity comes
// from the face alone; shift, scale, rotation, light, background, gaze, smile
// and pixel noise from (seed, id, view).
func View(face Face, size int, seed uint64, id string, view int) *image.RGBA {
	return Draw(face, size, random.Stream(seed, "view/"+id, uint64(view)))
}

// rgb is an opaque colour.
func rgb(r, g, b uint8) color.RGBA { return color.RGBA{r, g, b, 255} }

// shade scales a colour's brightness.
func shade(c color.RGBA, f float64) color.RGBA {
	m := func(v uint8) uint8 { return uint8(min(255, float64(v)*f)) }
	return color.RGBA{m(c.R), m(c.G), m(c.B), 255}
}

// veil gives a colour an opacity, premultiplied as color.RGBA demands.
func veil(c color.RGBA, alpha float64) color.RGBA {
	m := func(v uint8) uint8 { return uint8(float64(v) * alpha) }
	return color.RGBA{m(c.R), m(c.G), m(c.B), uint8(255 * alpha)}
}

var (
	skinColours  = []color.RGBA{rgb(253, 232, 214), rgb(246, 190, 176), rgb(229, 181, 131), rgb(186, 158, 98), rgb(148, 98, 64), rgb(84, 54, 40)}
	hairColours  = []color.RGBA{rgb(26, 25, 30), rgb(108, 64, 32), rgb(236, 204, 108), rgb(202, 62, 34), rgb(152, 152, 157), rgb(45, 90, 215), rgb(40, 150, 70), rgb(246, 130, 190)}
	eyeColours   = []color.RGBA{rgb(18, 18, 22), rgb(40, 105, 235), rgb(35, 150, 70), rgb(215, 140, 20)}
	shirtColours = []color.RGBA{rgb(242, 242, 242), rgb(204, 45, 38), rgb(42, 150, 72), rgb(45, 88, 212), rgb(246, 214, 44), rgb(28, 28, 34), rgb(132, 60, 172), rgb(246, 140, 30)}
	// half width and half height of the head, by Shape
	headSizes = [][2]float64{{26, 25.5}, {22, 28}, {18.5, 31}, {25.5, 25}}
)

// drawing is the state of one view while it is drawn.
// Face decides what is drawn; smile, gaze, y and the canvas's map decide how this view shows it.
type drawing struct {
	canvas
	face           Face
	fx, fy         float64 // half width and height of the head, portrait units
	skin, hair     color.RGBA
	outline        []point
	smile, gaze, y float64 // the view's expression
}

// Draw is View with its chances drawn from r, for faces that nobody has.
func Draw(face Face, size int, r *rand.Rand) *image.RGBA {
	p := &drawing{face: face}
	p.img = image.NewRGBA(image.Rect(0, 0, size, size))
	// The background stands still: only what is drawn after it is moved and turned.
	u := float64(size) / 96
	p.a, p.d = u, u
	p.background(r)

	scale := u * uniform(r, .92, 1.08)
	sin, cos := math.Sincos(uniform(r, -6, 6) * math.Pi / 180)
	p.a, p.b, p.c, p.d = scale*cos, -scale*sin, scale*sin, scale*cos
	p.tx = float64(size) * (.5 + uniform(r, -.04, .04))
	p.ty = float64(size) * (.46 + uniform(r, -.03, .03))
	p.smile, p.gaze, p.y = uniform(r, 0, 1), uniform(r, -1, 1), -2+uniform(r, -1, 1)

	p.fx, p.fy = headSizes[face[Shape]][0], headSizes[face[Shape]][1]
	p.skin, p.hair = skinColours[face[Skin]], hairColours[face[HairColour]]
	p.outline = arc(nil, 0, 0, p.fx, p.fy, 0, 2*math.Pi)
	if face.Value(Shape) == "square" {
		p.outline = roundedPath(-p.fx, -p.fy, p.fx, p.fy, 6)
	}
	// From the back to the front: each covers what was drawn before it.
	p.hairBehind()
	p.shirt()
	p.head()
	p.beard()
	p.mouth()
	p.hairFront()
	p.eyes()
	p.hat()
	finish(p.img, uniform(r, .85, 1.12), r)
	return p.img
}

// uniform draws from lo to hi. The order of draws in Draw is part of every picture: what draws
// one number more changes all views that are drawn after it.
func uniform(r *rand.Rand, lo, hi float64) float64 { return lo + (hi-lo)*r.Float64() }

// Everything is drawn from r whether it shows or not, so that the draws behind it stay the same.
func (p *drawing) background(r *rand.Rand) {
	tone := func() color.RGBA {
		return rgb(uint8(60+r.IntN(170)), uint8(60+r.IntN(170)), uint8(60+r.IntN(170)))
	}
	base, other := tone(), tone()
	block, x, w := r.IntN(2) == 0, uniform(r, 0, 90), uniform(r, 10, 50)
	p.rect(base, 0, 0, 96, 96)
	if block {
		p.rect(other, x, 0, x+w, 96)
	}
	p.rect(veil(rgb(0, 0, 0), .12), 0, 76, 96, 96)
}

// hairBehind is what of the hair the head covers, and hairFront what covers the head.
func (p *drawing) hairBehind() {
	fx, fy := p.fx, p.fy
	dark := shade(p.hair, .82)
	switch p.face.Value(HairStyle) {
	case "long":
		p.rounded(dark, -fx-7, -fy*.75, fx+7, fy+17, 9)
		p.ellipse(p.hair, 0, -fy*.45, fx+7, fy*.72)
	case "bob":
		p.rounded(dark, -fx-8, -fy*.75, fx+8, fy*.62, 8)
		p.ellipse(p.hair, 0, -fy*.42, fx+8, fy*.75)
	case "curly":
		for a := -6; a <= 6; a++ {
			s, c := math.Sincos(float64(a) * .29)
			p.ellipse(p.hair, (fx+3)*s, -(fy+2)*c, 8.5, 8.5)
		}
	case "short":
		p.ellipse(p.hair, 0, -fy*.42, fx+2.5, fy*.7)
	case "bun":
		p.ellipse(p.hair, 0, -fy-8, 10.5, 9)
		p.ellipse(dark, 0, -fy-1.5, 8, 2.5)
		p.ellipse(p.hair, 0, -fy*.42, fx+2.5, fy*.7)
	case "mohawk":
		top := max(-fy-15, -47)
		p.fill(p.hair, []point{{-7, -fy * .5}, {-8, -fy - 6}, {-5, top + 2}, {-2, top + 5}, {1, top}, {4, top + 5}, {7, top + 3}, {8, -fy - 5}, {7, -fy * .5}})
	}
}

// The marks of a pattern contrast with the colour below them: dark on light shirts, white on
// others.
func (p *drawing) shirt() {
	fy := p.fy
	col := shirtColours[p.face[Shirt]]
	mark := rgb(250, 250, 250)
	if int(col.R)+int(col.G)+int(col.B) > 400 {
		mark = shade(col, .42)
	}
	p.fill(col, roundedPath(-36, fy+5, 36, fy+60, 13))
	switch p.face.Value(Pattern) {
	case "striped":
		for x := -30.0; x < 32; x += 11 {
			p.rect(mark, x, fy+7, x+4, 96)
		}
	case "dotted":
		for i, y := range []float64{11, 20, 29} {
			for x := -28 + 5.5*float64(i%2); x < 33; x += 11 {
				p.ellipse(mark, x, fy+y, 2.6, 2.6)
			}
		}
	}
	p.rounded(shade(p.skin, .85), -7.5, fy-8, 7.5, fy+11, 5)
	p.fill(shade(col, .8), []point{{-11, fy + 4}, {-7, fy + 4.5}, {0, fy + 11.5}, {7, fy + 4.5}, {11, fy + 4}, {0, fy + 15}})
}

// head has ears, cheeks and nose; a bald one shines.
func (p *drawing) head() {
	for _, s := range []float64{-1, 1} {
		p.ellipse(shade(p.skin, .88), s*p.fx, 1, 4, 6)
	}
	p.fill(p.skin, p.outline)
	blush := veil(rgb(225, 70, 60), .16)
	for _, s := range []float64{-1, 1} {
		p.ellipse(blush, s*p.fx*.58, p.fy*.32, 5, 3.5)
	}
	if p.face.Value(HairStyle) == "bald" {
		p.ellipse(veil(rgb(255, 255, 255), .3), -p.fx*.25, -p.fy*.68, 6, 3)
	}
	p.ellipse(shade(p.skin, .76), 0, 6, 2.3, 3.4)
}

// facialHair is the hair colour, or dark brown where a bald head shows none.
func (p *drawing) facialHair() color.RGBA {
	if p.face.Value(HairStyle) == "bald" {
		return rgb(60, 40, 30)
	}
	return p.hair
}

// A beard covers the lower part of the outline, a moustache only the lip.
func (p *drawing) beard() {
	m := p.fy * .55
	switch p.face.Value(Beard) {
	case "bearded":
		path := make([]point, len(p.outline))
		for i, q := range p.outline {
			path[i] = point{q.x * 1.02, q.y*1.02 + 3}
		}
		p.fill(p.facialHair(), below(path, m-7, 0))
	case "moustached":
		p.fill(p.facialHair(), []point{{0, m - 6.5}, {6, m - 6}, {11, m - 1}, {5, m - 1.2}, {0, m - 2.4}, {-5, m - 1.2}, {-11, m - 1}, {-6, m - 6}})
	}
}

func (p *drawing) mouth() {
	m, w := p.fy*.55, 5.5+2.5*p.smile
	lip := arc(nil, 0, m, w, 2.5+3*p.smile, 0, math.Pi)
	p.fill(rgb(186, 54, 66), lip)
	p.line(rgb(120, 30, 40), -w, m, w, m, .8)
}

// hairFront is the fringe: it follows the head's outline, a little larger.
func (p *drawing) hairFront() {
	grown := make([]point, len(p.outline))
	for i, q := range p.outline {
		grown[i] = point{q.x * 1.04, q.y * 1.04}
	}
	switch p.face.Value(HairStyle) {
	case "short":
		p.fill(p.hair, above(grown, -p.fy*.58, .12))
	case "long":
		p.fill(p.hair, above(grown, -p.fy*.55, -.3))
	case "curly":
		for x := -p.fx * .7; x <= p.fx*.71; x += p.fx * .35 {
			p.ellipse(p.hair, x, -p.fy*.8, 6.5, 6)
		}
	case "bob":
		p.fill(p.hair, above(grown, -p.fy*.45, 0))
	case "bun":
		p.fill(p.hair, above(grown, -p.fy*.72, 0))
	}
}

// eyes has brows and glasses. Behind dark ones the iris still shows, or its colour could not be
// asked for.
func (p *drawing) eyes() {
	ex, ey := p.fx*.46, p.y
	if p.face.Value(Shape) == "long" {
		ex = p.fx * .52
	}
	glasses := p.face.Value(Glasses)
	iris := eyeColours[p.face[Eyes]]
	brow := shade(p.facialHair(), .8)
	for _, s := range []float64{-1, 1} {
		x := s * ex
		p.line(brow, x-5, ey-8+.6*s, x+5, ey-8-.6*s, 2)
		if glasses == "dark" {
			p.ellipse(rgb(16, 16, 22), x, ey, 9.5, 7)
			p.ellipse(rgb(235, 235, 235), x, ey, 3.9, 3.9)
			p.ellipse(iris, x, ey, 3.3, 3.3)
			continue
		}
		p.ellipse(rgb(252, 252, 252), x, ey, 6, 4.8)
		p.ellipse(iris, x+p.gaze, ey, 3.7, 3.9)
		p.ellipse(rgb(255, 255, 255), x+p.gaze-1.2, ey-1.3, .9, .9)
		switch glasses {
		case "round":
			p.ring(rgb(20, 20, 24), x, ey, 9.3, 2.2)
		case "square":
			p.frame(rgb(172, 26, 30), x-9.3, ey-7, x+9.3, ey+7, 2.2)
		}
	}
	switch glasses {
	case "dark":
		p.rect(rgb(16, 16, 22), -ex, ey-3.5, ex, ey-1)
	case "round":
		p.rect(rgb(20, 20, 24), -max(ex-9, 1), ey-1, max(ex-9, 1), ey+1)
	case "square":
		p.rect(rgb(172, 26, 30), -max(ex-9, 1), ey-1, max(ex-9, 1), ey+1)
	}
}

// A hat is drawn last, over whatever hair there is.
func (p *drawing) hat() {
	fx, fy := p.fx, p.fy
	switch p.face.Value(Hat) {
	case "cap":
		col := rgb(28, 62, 128)
		p.fill(col, above(arc(nil, 0, -fy*.6, fx+2.5, fy*.58, 0, 2*math.Pi), -fy*.62, 0))
		p.fill(shade(col, .7), arc(nil, -fx*.35, -fy*.62, fx*.95, 4.5, 0, 2*math.Pi))
		p.ellipse(rgb(245, 245, 245), 0, -fy*.92, 3.5, 3.5)
	case "band":
		p.fill(rgb(250, 66, 150), []point{{-fx * .98, -fy * .78}, {0, -fy * .86}, {fx * .98, -fy * .78}, {fx * 1.02, -fy * .52}, {0, -fy * .6}, {-fx * 1.02, -fy * .52}})
	}
}

// finish scales the light and adds near-normal noise of standard deviation 5
// (of 255): per channel the sum of three 7-bit numbers from one draw a pixel.
func finish(img *image.RGBA, light float64, r *rand.Rand) {
	gain := int32(light * 4096)
	for i := 0; i < len(img.Pix); i += 4 {
		w := r.Uint64()
		for c := range 3 {
			// Three such numbers sum to 190.5 in the mean, with a deviation of 64.
			n := int32(w&127) + int32(w>>7&127) + int32(w>>14&127) - 190
			w >>= 21
			v := (int32(img.Pix[i+c])*gain + n*(5*4096/64) + 2048) >> 12
			img.Pix[i+c] = uint8(min(255, max(0, v)))
		}
		img.Pix[i+3] = 255
	}
}
