package imaging

import (
	"image"
	"image/color"
)

// RGB is a packed 8-bit picture: Pix holds H rows of W pixels of 3 bytes. It is
// an image.Image of its own so that what is decoded is not copied again.
type RGB struct {
	Pix  []byte
	W, H int
}

// ColorModel implements image.Image.
func (RGB) ColorModel() color.Model { return color.NRGBAModel }

// Bounds implements image.Image.
func (m RGB) Bounds() image.Rectangle { return image.Rect(0, 0, m.W, m.H) }

// At implements image.Image.
func (m RGB) At(x, y int) color.Color {
	p := m.Pix[3*(y*m.W+x):]
	return color.NRGBA{R: p[0], G: p[1], B: p[2], A: 255}
}

// Opaque says that no pixel is transparent.
func (RGB) Opaque() bool { return true }

// cut copies a part, which must lie inside.
// A part that is the whole is the picture itself, not a copy.
func (m RGB) cut(r image.Rectangle) RGB {
	if r == m.Bounds() {
		return m
	}
	out := RGB{make([]byte, 3*r.Dx()*r.Dy()), r.Dx(), r.Dy()}
	for y := range out.H {
		copy(out.Pix[3*y*out.W:3*(y+1)*out.W], m.Pix[3*((r.Min.Y+y)*m.W+r.Min.X):])
	}
	return out
}

// frame puts the picture at a point of a w × h one of the given colour.
// The picture has to fit there.
// A picture that fills it is given back itself and not copied.
func (m RGB) frame(w, h int, at image.Point, paper [3]byte) RGB {
	if w == m.W && h == m.H {
		return m
	}
	out := RGB{make([]byte, 3*w*h), w, h}
	if paper != [3]byte{} {
		for i := range w * h {
			copy(out.Pix[3*i:], paper[:])
		}
	}
	for y := range m.H {
		copy(out.Pix[3*((at.Y+y)*w+at.X):], m.Pix[3*y*m.W:3*(y+1)*m.W])
	}
	return out
}

// ToRGB converts to packed RGB as Pillow's convert("RGB") does: alpha is
// dropped and not blended, grey is repeated, 16-bit samples keep their high
// byte, palettes are looked up.
// An RGB is given back as it is, so the result may be the argument.
func ToRGB(img image.Image) RGB {
	if m, ok := img.(RGB); ok {
		return m
	}
	b := img.Bounds()
	out := RGB{make([]byte, 3*b.Dx()*b.Dy()), b.Dx(), b.Dy()}
	i := 0
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			r, g, bl := rgbAt(img, x, y)
			out.Pix[i], out.Pix[i+1], out.Pix[i+2] = r, g, bl
			i += 3
		}
	}
	return out
}

// rgbAt reads one pixel; the concrete types avoid an interface value per pixel.
func rgbAt(img image.Image, x, y int) (r, g, b byte) {
	switch m := img.(type) {
	case *image.NRGBA:
		p := m.Pix[m.PixOffset(x, y):]
		return p[0], p[1], p[2]
	case *image.Gray:
		v := m.Pix[m.PixOffset(x, y)]
		return v, v, v
	case *image.RGBA:
		if p := m.Pix[m.PixOffset(x, y):]; p[3] == 255 {
			return p[0], p[1], p[2]
		}
	case *image.CMYK:
		p := m.Pix[m.PixOffset(x, y):]
		return cmykToRGB(p[0], p[1], p[2], p[3])
	}
	return straight(img.At(x, y))
}

// toNRGBA copies a picture with its transparency.
func toNRGBA(img image.Image) *image.NRGBA {
	rgb, b := ToRGB(img), img.Bounds()
	out := image.NewNRGBA(rgb.Bounds())
	o, ok := img.(interface{ Opaque() bool })
	opaque := ok && o.Opaque()
	for y := range rgb.H {
		for x := range rgb.W {
			i := y*rgb.W + x
			copy(out.Pix[4*i:4*i+3], rgb.Pix[3*i:])
			a := uint32(0xffff)
			if !opaque {
				_, _, _, a = img.At(b.Min.X+x, b.Min.Y+y).RGBA()
			}
			out.Pix[4*i+3] = byte(a >> 8)
		}
	}
	return out
}

// straight gives a colour without alpha's multiplication.
func straight(c color.Color) (r, g, b byte) {
	switch c := c.(type) {
	case color.NRGBA:
		return c.R, c.G, c.B
	case color.NRGBA64:
		return byte(c.R >> 8), byte(c.G >> 8), byte(c.B >> 8)
	}
	n := color.NRGBA64Model.Convert(c).(color.NRGBA64)
	return byte(n.R >> 8), byte(n.G >> 8), byte(n.B >> 8)
}

// cmykToRGB rounds as Pillow does: white minus key, minus the ink's share of it.
func cmykToRGB(c, m, y, k byte) (r, g, b byte) {
	white := int(255 - k)
	ink := func(v byte) byte {
		t := int(v)*white + 128
		return byte(max(0, white-(t>>8+t)>>8))
	}
	return ink(c), ink(m), ink(y)
}

// overWhite is ToRGB with transparent pixels blended over white in Pillow's
// integer arithmetic (alpha_composite).
// Seven bits of fraction, as in Pillow's AlphaComposite.c; on white the result is opaque.
func overWhite(img image.Image) RGB {
	out := ToRGB(img)
	if o, ok := img.(interface{ Opaque() bool }); ok && o.Opaque() {
		return out
	}
	b := img.Bounds()
	i := 0
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			_, _, _, a := img.At(x, y).RGBA()
			ink := uint32(a>>8) << 7
			paper := uint32(255)<<7 - ink
			for c := range 3 {
				t := uint32(out.Pix[i+c])*ink + 255*paper + 0x80<<7
				out.Pix[i+c] = byte((t>>8 + t) >> 8 >> 7)
			}
			i += 3
		}
	}
	return out
}
