package hf

import (
	"fmt"
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
)

// RGB is a packed 8-bit image: Pix holds H rows of W pixels of 3 bytes.
type RGB struct {
	Pix  []byte
	W, H int
}

// filterOf gives a filter and the half width of its support.
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
	}
	return nil, 0, fmt.Errorf("resample %d is not supported (0 nearest, 1 lanczos, 2 bilinear, 3 bicubic, 4 box)", r)
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
type axis struct {
	first, count []int
	w            []int32
	size         int
}

// newAxis computes the weights of in → out samples: the filter is widened
// by the scale when shrinking, and normalised per output sample.
func newAxis(in, out int, filter func(float64) float64, support float64) axis {
	scale := float64(in) / float64(out)
	widen := max(scale, 1)
	support *= widen
	size := int(math.Ceil(support))*2 + 1
	t := axis{make([]int, out), make([]int, out), make([]int32, out*size), size}
	k := make([]float64, size)
	inv := 1 / widen
	for i := range out {
		center := float64((float64(i) + 0.5) * scale)
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
			if v < 0 {
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

func clip8(v int32) byte {
	v >>= fixedBits
	if v < 0 {
		return 0
	}
	return byte(min(v, 255))
}

// Resize scales img to w × h pixels with Pillow's results, bit for bit: two
// passes, horizontal first, each rounded to 8 bits (Pillow, Resample.c).
// Pillow 13 takes the vertical pass first for some shapes, mostly when the
// height shrinks much more than the width; single samples then differ by
// rounding. Releases before it, which made the published models' inputs, never do.
func Resize(img RGB, w, h int, r Resample) (RGB, error) {
	if w <= 0 || h <= 0 || img.W <= 0 || img.H <= 0 {
		return RGB{}, fmt.Errorf("resize %d×%d to %d×%d: sides must be positive", img.W, img.H, w, h)
	}
	if w == img.W && h == img.H {
		return img, nil
	}
	if r == Nearest {
		return nearest(img, w, h), nil
	}
	filter, support, err := filterOf(r)
	if err != nil {
		return RGB{}, err
	}
	if w != img.W {
		img = resizeRows(img, newAxis(img.W, w, filter, support))
	}
	if h != img.H {
		img = resizeColumns(img, newAxis(img.H, h, filter, support))
	}
	return img, nil
}

func resizeRows(img RGB, t axis) RGB {
	w := len(t.first)
	out := RGB{make([]byte, 3*w*img.H), w, img.H}
	for y := range img.H {
		row := img.Pix[3*y*img.W : 3*(y+1)*img.W]
		dst := out.Pix[3*y*w : 3*(y+1)*w]
		for x := range w {
			k := t.w[x*t.size : x*t.size+t.count[x]]
			src := row[3*t.first[x]:]
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

func resizeColumns(img RGB, t axis) RGB {
	h, stride := len(t.first), 3*img.W
	out := RGB{make([]byte, stride*h), img.W, h}
	acc := make([]int32, stride)
	for y := range h {
		for i := range acc {
			acc[i] = 1 << (fixedBits - 1)
		}
		for j, c := range t.w[y*t.size : y*t.size+t.count[y]] {
			row := img.Pix[(t.first[y]+j)*stride : (t.first[y]+j+1)*stride]
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
func nearest(img RGB, w, h int) RGB {
	out := RGB{make([]byte, 3*w*h), w, h}
	sx, sy := float64(img.W)/float64(w), float64(img.H)/float64(h)
	// Pillow steps by addition; a product would round to another sample where
	// the centre falls on the edge between two.
	for y, fy := 0, sy*0.5; y < h; y, fy = y+1, fy+sy {
		iy := min(int(fy), img.H-1)
		for x, fx := 0, sx*0.5; x < w; x, fx = x+1, fx+sx {
			ix := min(int(fx), img.W-1)
			copy(out.Pix[3*(y*w+x):][:3], img.Pix[3*(iy*img.W+ix):][:3])
		}
	}
	return out
}
