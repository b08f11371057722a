package jpeg

// picture finishes the planes and puts them together.
func (d *decoder) picture() *Picture {
	n := len(d.comp)
	out := &Picture{make([]byte, d.w*d.h*n), d.w, d.h, Space(n)}
	lines := make([][]byte, n)
	for i := range d.comp {
		c := &d.comp[i]
		if d.progressive {
			c.finish(&d.quant[c.quant])
		}
		// A row enlarged may be longer than the picture, by what whole samples of chroma leave
		// over.
		lines[i] = make([]byte, c.w*(d.hMax/c.h)+1)
	}
	luma := d.ycc()
	for y := range d.h {
		for i := range d.comp {
			d.comp[i].row(y, d.hMax, d.vMax, lines[i])
		}
		dst := out.Pix[y*d.w*n : (y+1)*d.w*n]
		for i, line := range lines {
			for x := range d.w {
				dst[x*n+i] = line[x]
			}
		}
		if luma {
			toRGB(dst, n)
		}
	}
	return out
}

// finish transforms all blocks of a progressive component.
// Only then, since each scan adds to every block; the coefficients are given up as the plane is
// made.
func (c *component) finish(quant *[64]int32) {
	c.pix = make([]byte, c.stride*8*c.blocksH)
	for i := range c.coef {
		y, x := i/c.blocksW, i%c.blocksW
		idct(&c.coef[i], quant, c.pix[8*(y*c.stride+x):], c.stride)
	}
	c.coef = nil
}

// ycc says that the components are luma and chroma. The standard leaves it open what
// components mean; this is how libjpeg-turbo guesses (default_decompress_parms): by
// the markers of JFIF, which is always YCbCr, and Adobe, else by the components'
// names.
func (d *decoder) ycc() bool {
	switch {
	case len(d.comp) == 4:
		return d.adobe > 0
	case len(d.comp) != 3:
		return false
	case d.jfif:
		return true
	case d.adobe >= 0:
		return d.adobe != 0
	}
	return d.comp[0].id != 'R' || d.comp[1].id != 'G' || d.comp[2].id != 'B'
}

// Chroma's shares of red, green and blue in 16 bits of fraction.
const (
	crRed   = 91881  // 1.40200
	cbGreen = 22554  // 0.34414
	crGreen = 46802  // 0.71414
	cbBlue  = 116130 // 1.77200
	half    = 1 << 15
)

// toRGB converts pixels of n bytes in place: Y, Cb, Cr to R, G, B, or with a
// fourth component to its complement C, M, Y.
// The products are rounded as in libjpeg's tables (jdcolor.c), green's after both are added.
func toRGB(pix []byte, n int) {
	for ; len(pix) > 0; pix = pix[n:] {
		y, cb, cr := int32(pix[0]), int32(pix[1])-128, int32(pix[2])-128
		r := y + (crRed*cr+half)>>16
		g := y + (-cbGreen*cb-crGreen*cr+half)>>16
		b := y + (cbBlue*cb+half)>>16
		if n == 4 {
			r, g, b = 255-r, 255-g, 255-b
		}
		pix[0], pix[1], pix[2] = clamp(r), clamp(g), clamp(b)
	}
}
