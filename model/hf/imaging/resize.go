package imaging

import (
	"fmt"
	"image"
	"math"
)

// Resample is a resampling filter, numbered as in preprocessor_config.json
// (and in Pillow).
type Resample int

// The filters of Pillow that preprocessor files name.
const (
	Nearest  Resample = 0
	Lanczos  Resample = 1
	Bilinear Resample = 2
	Bicubic  Resample = 3
	Box      Resample = 4
	Hamming  Resample = 5
)

// Nearest has no filter: it is done by itself (nearest).
func (r Resample) validate() error {
	if r == Nearest {
		return nil
	}
	_, _, err := filterOf(r)
	return err
}

// filterOf gives a filter and the half width of its support, before newAxis widens it
// (Resample.c of Pillow has the same table).
func filterOf(r Resample) (func(float64) float64, float64, error) {
	switch r {
	case Box:
		return func(x float64) float64 {
			if x > -0.5 && x <= 0.5 {
				return 1
			}
			return 0
		}, 0.5, nil
	case Bilinear:
		return func(x float64) float64 { return max(0, 1-math.Abs(x)) }, 1, nil
	case Bicubic:
		return cubic, 2, nil
	case Lanczos:
		return func(x float64) float64 {
			if x < -3 || x >= 3 {
				return 0
			}
			return sinc(x) * sinc(x/3)
		}, 3, nil
	case Hamming:
		return func(x float64) float64 {
			if x = math.Abs(x); x >= 1 {
				return 0
			}
			return sinc(x) * (0.54 + float64(0.46*math.Cos(math.Pi*x)))
		}, 1, nil
	}
	return nil, 0, fmt.Errorf("resample %d is not supported (0 nearest, 1 lanczos, 2 bilinear, 3 bicubic, 4 box, 5 hamming)", r)
}

// cubic is the Keys kernel with a = -0.5. The conversions forbid fused
// multiply-adds, which would round differently on some machines.
func cubic(x float64) float64 {
	const a = -0.5
	x = math.Abs(x)
	if x < 1 {
		return float64(float64(float64(float64((a+2)*x)-(a+3))*x)*x) + 1
	}
	if x < 2 {
		return float64(float64(float64(float64(float64(x-5)*x)+8)*x)-4) * a
	}
	return 0
}

// sinc is sin(πx)/πx.
// The limit at 0 is 1, where the quotient is none.
func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	x *= math.Pi
	return math.Sin(x) / x
}

// fixedBits is the precision of the integer weights: 8 bits of sample and 2
// of headroom for sums beyond [0,255] are left in 32.
const fixedBits = 32 - 8 - 2

// axis holds the contributions along one axis: output i sums w[i*size+k] times
// input first[i]+k for k < count[i].
// first and count are in input samples, w has 22 bits of fraction, and size is the room of an
// output in w, more than count for most.
type axis struct {
	first, count []int
	w            []int32
	size         int
}

// newAxis computes the weights of in → out samples, for outputs lo to hi only:
// the filter is widened by the scale when shrinking, and normalised per output
// sample.
//
// Weights are integers, as Pillow's are for 8-bit pictures: sums are then exact in any order, and
// only the rounding of a weight could differ.
func newAxis(in, out, lo, hi int, filter func(float64) float64, support float64) axis {
	scale := float64(in) / float64(out)
	widen := max(scale, 1)
	support *= widen
	size := int(math.Ceil(support))*2 + 1
	n := hi - lo
	t := axis{make([]int, n), make([]int, n), make([]int32, n*size), size}
	k := make([]float64, size)
	inv := 1 / widen
	for i := range n {
		center := float64((float64(lo+i) + 0.5) * scale)
		// Pillow rounds the ends to whole samples, so that a sample at the edge of the
		// support has a weight or has none.
		lo := max(int(center-support+0.5), 0)
		n := min(int(center+support+0.5), in) - lo
		sum := 0.0
		for j := range n {
			k[j] = filter(float64(float64(j+lo)-center+0.5) * inv)
			sum += k[j]
		}
		norm := 1.0
		if sum != 0 {
			norm = 1 / sum
		}
		for j := range n {
			v := k[j]
			if sum != 0 {
				v = float64(v * norm)
			}
			v = float64(v * (1 << fixedBits))
			if v < 0 { // rounded away from zero: the conversion cuts off
				v -= 0.5
			} else {
				v += 0.5
			}
			t.w[i*size+j] = int32(v)
		}
		t.first[i], t.count[i] = lo, n
	}
	return t
}

// clip8 takes the fraction off a sum. Filters with negative lobes overshoot.
func clip8(v int32) byte {
	v >>= fixedBits
	if v < 0 {
		return 0
	}
	return byte(min(v, 255))
}

// span is the range of inputs the outputs need, and shift moves its beginning
// to 0.
func (t axis) span() (lo, hi int) {
	last := len(t.first) - 1
	return t.first[0], t.first[last] + t.count[last]
}

// shift counts inputs from another beginning.
func (t axis) shift(by int) {
	for i := range t.first {
		t.first[i] -= by
	}
}

// Resize scales img to w × h pixels with Pillow's results, bit for bit: two
// passes, each rounded to 8 bits (Pillow, Resample.c).
func Resize(img RGB, w, h int, r Resample) (RGB, error) {
	return resizeWindow(img, w, h, r, image.Rect(0, 0, w, h))
}

// verticalFirst is the order of the two passes. Releases of Pillow before 13
// always took the rows first; 13 takes the columns first for these shapes (found
// by comparing 5,885 of them, all filters). The orders differ by rounding only.
func verticalFirst(inW, inH, w, h int) bool {
	return h < inH && inH-h > 2*(inW-w)
}

// resizeWindow is Resize, computing no more than the window win of the result:
// a strip of 1 × 10000 pixels becomes 336 × 3360000 before its middle is cut.
// The result has the size of win, with win.Min at its origin.
func resizeWindow(img RGB, w, h int, r Resample, win image.Rectangle) (RGB, error) {
	if w <= 0 || h <= 0 || img.W <= 0 || img.H <= 0 {
		return RGB{}, fmt.Errorf("resize %d×%d to %d×%d: sides must be positive", img.W, img.H, w, h)
	}
	if r == Nearest {
		return nearest(img, w, h, win), nil
	}
	filter, support, err := filterOf(r)
	if err != nil {
		return RGB{}, err
	}
	across := newAxis(img.W, w, win.Min.X, win.Max.X, filter, support)
	down := newAxis(img.H, h, win.Min.Y, win.Max.Y, filter, support)
	columns, rows := w != img.W, h != img.H // a side that keeps its length is not filtered
	if verticalFirst(img.W, img.H, w, h) {
		lo, hi := win.Min.X, win.Max.X
		if columns {
			lo, hi = across.span()
			across.shift(lo)
		}
		img = resizeColumns(img, down, lo, hi)
		if columns {
			img = resizeRows(img, across, 0, img.H)
		}
		return img, nil
	}
	lo, hi := win.Min.Y, win.Max.Y
	if rows {
		lo, hi = down.span()
		down.shift(lo)
	}
	if columns {
		img = resizeRows(img, across, lo, hi)
	} else {
		img = img.cut(image.Rect(win.Min.X, lo, win.Max.X, hi))
	}
	if rows {
		img = resizeColumns(img, down, 0, img.W)
	}
	return img, nil
}

// resizeRows filters rows lo to hi of img.
func resizeRows(img RGB, t axis, lo, hi int) RGB {
	w := len(t.first)
	out := RGB{make([]byte, 3*w*(hi-lo)), w, hi - lo}
	for y := range hi - lo {
		row := img.Pix[3*(lo+y)*img.W : 3*(lo+y+1)*img.W]
		dst := out.Pix[3*y*w : 3*(y+1)*w]
		for x := range w {
			k := t.w[x*t.size : x*t.size+t.count[x]]
			src := row[3*t.first[x]:]
			// One half, so that the shift at the end rounds.
			var r, g, b int32 = 1 << (fixedBits - 1), 1 << (fixedBits - 1), 1 << (fixedBits - 1)
			for j, c := range k {
				p := src[3*j : 3*j+3 : 3*j+3]
				r += int32(p[0]) * c
				g += int32(p[1]) * c
				b += int32(p[2]) * c
			}
			dst[3*x], dst[3*x+1], dst[3*x+2] = clip8(r), clip8(g), clip8(b)
		}
	}
	return out
}

// resizeColumns filters columns lo to hi of img.
// A row of sums for a row of output, so that memory is gone through in order.
func resizeColumns(img RGB, t axis, lo, hi int) RGB {
	h, stride := len(t.first), 3*(hi-lo)
	out := RGB{make([]byte, stride*h), hi - lo, h}
	acc := make([]int32, stride)
	for y := range h {
		for i := range acc {
			acc[i] = 1 << (fixedBits - 1)
		}
		for j, c := range t.w[y*t.size : y*t.size+t.count[y]] {
			row := img.Pix[3*((t.first[y]+j)*img.W+lo):][:stride]
			for i, v := range row {
				acc[i] += int32(v) * c
			}
		}
		dst := out.Pix[y*stride : (y+1)*stride]
		for i, v := range acc {
			dst[i] = clip8(v)
		}
	}
	return out
}

// nearest takes the sample under the centre of each output pixel.
func nearest(img RGB, w, h int, win image.Rectangle) RGB {
	out := RGB{make([]byte, 3*win.Dx()*win.Dy()), win.Dx(), win.Dy()}
	xs := nearestAxis(img.W, w, win.Min.X, win.Max.X)
	for y, iy := range nearestAxis(img.H, h, win.Min.Y, win.Max.Y) {
		for x, ix := range xs {
			copy(out.Pix[3*(y*out.W+x):][:3], img.Pix[3*(iy*img.W+ix):][:3])
		}
	}
	return out
}

// nearestAxis is the input of outputs lo to hi. Pillow steps by addition; a
// product would round to another sample where the centre falls on the edge
// between two.
func nearestAxis(in, out, lo, hi int) []int {
	scale := float64(in) / float64(out)
	at := make([]int, 0, hi-lo)
	for i, f := 0, scale*0.5; i < hi; i, f = i+1, f+scale {
		if i >= lo {
			at = append(at, min(int(f), in-1))
		}
	}
	return at
}
