package imaging

import (
	"testing"

	"vgid/model/kit/hftest"

	"pgregory.net/rapid"
)

func drawLayout(r *rapid.T) (Layout, Grid) {
	side := func(name string) int { return rapid.IntRange(1, 5).Draw(r, name) }
	if rapid.Bool().Draw(r, "planes") {
		return Planes(side("height"), side("width")), Grid{}
	}
	m := side("merge")
	return Patches(side("patch"), m, side("frames")), Grid{side("T"), m * side("H"), m * side("W")}
}

// Rows are all values once, in order, and At finds each of them.
func TestLayoutIsOneOrder(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		l, g := drawLayout(r)
		h, w := l.Size(g)
		seen, at := map[[4]int]bool{}, 0
		for row := range l.Rows(g) {
			if row.At != at {
				r.Fatalf("%+v %v: %+v should begin at %d", l, g, row, at)
			}
			for i := range row.Len {
				pixel := [4]int{row.Channel, row.Frame, row.Y, row.X + i}
				if seen[pixel] || row.Channel > 2 || row.Frame >= l.Frames(g) || row.Y >= h || row.X+i >= w {
					r.Fatalf("%+v %v: %+v comes twice or lies outside", l, g, row)
				}
				seen[pixel] = true
				if got := l.At(g, row.Channel, row.Frame, row.Y, row.X+i); got != at+i {
					r.Fatalf("%+v %v: channel, frame, y, x %v at %d, want %d", l, g, pixel, got, at+i)
				}
			}
			at += row.Len
		}
		if at != 3*l.Frames(g)*h*w || at != l.values(g) {
			r.Fatalf("%+v %v: %d values of %d×%d pixels", l, g, at, h, w)
		}
	})
}

// The order of a merge block, written out: patches of 2×2 pixels and 2 frames, in
// blocks of 2×2, of a picture of 4×8 pixels.
func TestLayoutOfMergeBlocks(t *testing.T) {
	l, g := Patches(2, 2, 2), Grid{1, 2, 4}
	for _, c := range []struct{ channel, frame, y, x, want int }{
		{0, 0, 0, 0, 0},
		{0, 0, 0, 1, 1},
		{0, 0, 1, 0, 2},
		{0, 1, 0, 0, 4},  // the frames of a channel follow each other
		{1, 0, 0, 0, 8},  // then the next channel
		{0, 0, 0, 2, 24}, // the next patch of the block
		{0, 0, 2, 0, 48}, // the block's second row, before
		{0, 0, 0, 4, 96}, // the next block
	} {
		if got := l.At(g, c.channel, c.frame, c.y, c.x); got != c.want {
			t.Errorf("%+v: at %d", c, got)
		}
	}
}

func TestLayoutSquares(t *testing.T) {
	for _, c := range []struct {
		l    Layout
		side int
		want string
	}{
		{Planes(12, 12), 4, ""},
		{Planes(12, 12), 5, "5 does not divide the 12×12 image"},
		{Planes(12, 12), 24, "24 does not divide the 12×12 image"},
		{Planes(12, 8), 3, "3 does not divide the 8×12 image"},
		{Patches(4, 2, 2), 12, ""},
		{Patches(4, 2, 2), 6, "6 is not a multiple of the model's patches of 4 pixels"},
	} {
		if err := c.l.CheckSquares(c.side); c.want != "" || err != nil {
			hftest.WantError(t, err, c.want)
		}
	}
}
