package hf

import (
	"image"
	"image/color"
)

// ToRGB converts to packed RGB as Pillow's convert("RGB") does: alpha is
// dropped and not blended, grey is repeated, 16-bit samples keep their high
// byte, palettes are looked up.
func ToRGB(img image.Image) RGB {
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
	case *image.YCbCr:
		yi, ci := m.YOffset(x, y), m.COffset(x, y)
		return color.YCbCrToRGB(m.Y[yi], m.Cb[ci], m.Cr[ci])
	case *image.NYCbCrA: // WebP with alpha
		yi, ci := m.YOffset(x, y), m.COffset(x, y)
		return color.YCbCrToRGB(m.Y[yi], m.Cb[ci], m.Cr[ci])
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
