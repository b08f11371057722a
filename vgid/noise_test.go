package vgid

import (
	"math"
	"slices"
	"testing"

	"vgid/vgid/config"
)

// The schedule's values, computed in float64 with NumPy from the definition.
func TestDiffusionSchedule(t *testing.T) {
	for _, g := range []struct {
		t             int
		signal, noise float64
	}{
		{0, .999989, .004726}, {100, .998293, .058406}, {200, .993879, .110475}, {300, .980984, .194089},
		{400, .944860, .327476}, {500, .863017, .505175}, {600, .734246, .678883}, {700, .592677, .805440},
		{800, .467014, .884250}, {900, .364888, .931051}, {999, .285042, .958515},
	} {
		s, n := diffusionScale(g.t)
		if math.Abs(s-g.signal) > 5e-7 || math.Abs(n-g.noise) > 5e-7 {
			t.Errorf("t=%d: %.6f %.6f, want %.6f %.6f", g.t, s, n, g.signal, g.noise)
		}
	}
}

func TestNoiseKinds(t *testing.T) {
	const c, h, w = 3, 24, 36
	src := make([]float32, c*h*w)
	for i := range src {
		src[i] = float32(i%7) - 3
	}
	stats := func(x []float32) (mean, std float64) {
		for _, v := range x {
			mean += float64(v)
		}
		mean /= float64(len(x))
		for _, v := range x {
			std += (float64(v) - mean) * (float64(v) - mean)
		}
		return mean, math.Sqrt(std / float64(len(x)))
	}
	for _, tc := range []struct {
		cfg   config.Noise
		check func(out []float32) bool
	}{
		{config.Noise{Kind: "none"}, func(o []float32) bool { return slices.Equal(o, src) }},
		{config.Noise{Kind: "uniform-replace"}, func(o []float32) bool {
			m, s := stats(o)
			return slices.Min(o) >= 0 && slices.Max(o) < 1 && math.Abs(m-.5) < .03 && math.Abs(s-math.Sqrt(1./12)) < .02
		}},
		{config.Noise{Kind: "gaussian-replace"}, func(o []float32) bool {
			m, s := stats(o)
			return math.Abs(m) < .08 && math.Abs(s-1) < .06
		}},
		{config.Noise{Kind: "gaussian-add", Sigma: .5}, func(o []float32) bool {
			d := slices.Clone(o)
			for i := range d {
				d[i] -= src[i]
			}
			m, s := stats(d)
			return math.Abs(m) < .04 && math.Abs(s-.5) < .03
		}},
		{config.Noise{Kind: "diffusion", Step: 500}, func(o []float32) bool {
			d := slices.Clone(o)
			for i := range d {
				d[i] -= .863017 * src[i]
			}
			m, s := stats(d)
			return math.Abs(m) < .04 && math.Abs(s-.505) < .03
		}},
		{config.Noise{Kind: "patch-mask", Ratio: 1}, func(o []float32) bool { return slices.Min(o) == 0 && slices.Max(o) == 0 }},
		{config.Noise{Kind: "patch-mask", Ratio: 0}, func(o []float32) bool { return slices.Equal(o, src) }},
	} {
		n, err := NewNoiser(tc.cfg, 7, c, h, w, 12)
		if err != nil {
			t.Fatal(err)
		}
		a, b := make([]float32, len(src)), make([]float32, len(src))
		n.Apply(a, src, 3, 9)
		if !tc.check(a) {
			t.Errorf("%s: wrong values", tc.cfg.Kind)
		}
		n.Apply(b, src, 3, 10)
		n.Apply(b, src, 3, 9)
		if !slices.Equal(a, b) {
			t.Errorf("%s: the same (step, sample) gave other noise", tc.cfg.Kind)
		}
		replace := tc.cfg.Kind == "uniform-replace"
		n.Apply(b, src, 4, 9)
		if replace && slices.Equal(a, b) {
			t.Errorf("%s: the next step gave the same noise", tc.cfg.Kind)
		}
		n.cfg.Fixed = true
		n.Apply(a, src, 5, 9)
		n.Apply(b, src, 6, 9)
		if !slices.Equal(a, b) {
			t.Errorf("%s: fixed noise changes over steps", tc.cfg.Kind)
		}
	}
	if _, err := NewNoiser(config.Noise{Kind: "patch-mask", Patch: 7}, 0, c, h, w, 12); err == nil {
		t.Error("a patch that does not divide the image was accepted")
	}
}
