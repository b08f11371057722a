package jpeg

// row writes row y of the component enlarged to the picture's width into dst,
// which is a little longer than that.
// libjpeg-turbo's cases are in jdsample.c (jinit_upsampler); its result depends on which of them is
// taken.
func (c *component) row(y, hMax, vMax int, dst []byte) {
	line := func(y int) []byte {
		y = max(0, min(c.rows-1, y)) // the border repeats
		return c.pix[y*c.stride : y*c.stride+c.w]
	}
	h, v := hMax/c.h, vMax/c.v
	near := line(y / v)
	far := line(y/v - 1 + y%v*2) // the row on the other side of y, for v = 2
	switch {
	case h == 1 && v == 1:
		copy(dst, near)
	case h == 2 && v == 1 && c.w > 2:
		across(near, dst)
	case h == 2 && v == 2 && c.w > 2:
		both(near, far, dst)
	case h == 1 && v == 2:
		for x, s := range near {
			dst[x] = byte((3*int(s) + int(far[x]) + 1 + y%2) >> 2)
		}
	default: // repeated: other ratios, and pictures too small to interpolate
		for x, s := range near {
			for i := range h {
				dst[x*h+i] = s
			}
		}
	}
}

// across doubles a row by the triangle filter: 3/4 of the nearer sample, 1/4 of
// the farther, rounded down and up in turn.
func across(in, out []byte) {
	last := len(in) - 1
	for x, s := range in {
		v := 3 * int(s)
		out[2*x] = byte((v + int(in[max(x-1, 0)]) + 1) >> 2)
		out[2*x+1] = byte((v + int(in[min(x+1, last)]) + 2) >> 2)
	}
	out[0], out[2*last+1] = in[0], in[last]
}

// both doubles both ways: the rows' sums first, kept at 4 times, then across.
// Rounding by 8 and 7 in turn is libjpeg's, so that no side is favoured (h2v2_fancy_upsample).
func both(near, far, out []byte) {
	last := len(near) - 1
	sum := func(x int) int { return 3*int(near[x]) + int(far[x]) }
	before, here := sum(0), sum(0)
	for x := range near {
		after := here
		if x < last {
			after = sum(x + 1)
		}
		out[2*x] = byte((3*here + before + 8) >> 4)
		out[2*x+1] = byte((3*here + after + 7) >> 4)
		before, here = here, after
	}
}
