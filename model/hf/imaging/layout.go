package imaging

import (
	"fmt"
	"image"
	"iter"
)

// Layout says which pixel of a picture each value of Image.Pixels is. It is the
// one description of that order: what makes pixels, what turns them back into a
// picture and what disturbs them (VGID's noise) walk by it.
//
// A picture is cut into tiles of equal size, which are stored one behind the
// other. A tile is its channels R, G, B, each of them all frames, each of these
// its rows from the top. Planes [3, h, w], as CLIP's tower reads them, are one
// tile as large as the picture. The towers of Qwen2-VL take patches for tiles;
// those of a merge block, the square of patches that becomes one token, follow
// each other, because the tower joins them by a mere reshape
// (Qwen2VLImageProcessor._preprocess in transformers).
type Layout struct {
	height, width int // of a tile, in pixels
	merge         int // tiles along a merge block's side; 0: the picture is one tile
	frames        int // of a tile
}

// Planes is the layout of pictures [3, height, width].
func Planes(height, width int) Layout { return Layout{height: height, width: width, frames: 1} }

// Patches is the layout of pictures of any shape, as patches of side × side
// pixels and so many frames, in blocks of merge × merge.
func Patches(side, merge, frames int) Layout { return Layout{side, side, merge, frames} }

// channelCount is the number of channels of a picture: R, G, B.
const channelCount = 3

// Row is a part of a row of one channel and frame of a picture: the pixels
// (X, Y) to (X+Len-1, Y), whose values are Pixels[At] to Pixels[At+Len-1].
type Row struct {
	At, Len        int
	Channel, Frame int
	Y, X           int
}

// Rows yields the rows of an image with grid g in the order in which they are
// stored; together they are all its values.
func (l Layout) Rows(g Grid) iter.Seq[Row] {
	g, m := l.grid(g), max(1, l.merge)
	down, across := g.H/m, g.W/m
	return func(yield func(Row) bool) {
		at := 0
		// Tiles of one moment follow each other, and within it those of a merge block.
		for tile := range g.T * down * across * m * m {
			block, in := tile/(m*m), tile%(m*m)
			time := block / (down * across)
			top := (block/across%down*m + in/m) * l.height
			left := (block%across*m + in%m) * l.width
			for i := range channelCount * l.frames * l.height {
				plane, y := i/l.height, i%l.height
				r := Row{
					At: at, Len: l.width, Channel: plane / l.frames, Frame: time*l.frames + plane%l.frames,
					Y: top + y, X: left,
				}
				if !yield(r) {
					return
				}
				at += l.width
			}
		}
	}
}

// At is the index in Pixels of a pixel of an image with grid g.
// It is the inverse of Rows; an index out of the picture is not refused.
func (l Layout) At(g Grid, channel, frame, y, x int) int {
	g, m := l.grid(g), max(1, l.merge)
	row, col := y/l.height, x/l.width
	block := (frame/l.frames*(g.H/m)+row/m)*(g.W/m) + col/m
	tile := block*m*m + row%m*m + col%m
	plane := (tile*channelCount+channel)*l.frames + frame%l.frames
	return (plane*l.height+y%l.height)*l.width + x%l.width
}

// grid counts tiles, also of pictures of one tile, whose images have no grid.
func (l Layout) grid(g Grid) Grid {
	if l.merge == 0 {
		return Grid{1, 1, 1}
	}
	return g
}

// Size is the height and width in pixels of a picture with grid g.
func (l Layout) Size(g Grid) (h, w int) {
	g = l.grid(g)
	return g.H * l.height, g.W * l.width
}

// Frames is how many frames a picture with grid g has. Those of a still picture
// are equal.
func (l Layout) Frames(g Grid) int { return l.grid(g).T * l.frames }

// values is how many values a picture with grid g has.
func (l Layout) values(g Grid) int {
	return l.grid(g).Patches() * channelCount * l.frames * l.height * l.width
}

// CheckSquares says whether every picture can be cut into squares of side
// pixels without cutting through a patch, or leaving a rest of planes.
func (l Layout) CheckSquares(side int) error {
	switch {
	case l.merge > 0 && side%l.height != 0:
		return fmt.Errorf("%d is not a multiple of the model's patches of %d pixels", side, l.height)
	case l.merge == 0 && (l.height%side != 0 || l.width%side != 0):
		return fmt.Errorf("%d does not divide the %d×%d image", side, l.width, l.height)
	}
	return nil
}

// store writes a picture, as each of the image's frames.
// rgb has the size of g. Towers take a still picture as frames that are equal.
func (l Layout) store(rgb RGB, g Grid, scale *PixelScale) Image {
	out := Image{make([]float32, l.values(g)), g}
	table := scale.tables()
	for r := range l.Rows(g) {
		src, dst := rgb.Pix[channelCount*(r.Y*rgb.W+r.X)+r.Channel:], out.Pixels[r.At:r.At+r.Len]
		for i := range dst {
			dst[i] = table[r.Channel][src[channelCount*i]]
		}
	}
	return out
}

// picture is the picture of an image of the right length. Of several frames it
// shows the last.
func (l Layout) picture(in Image, scale *PixelScale) *image.RGBA {
	h, w := l.Size(in.Grid)
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for r := range l.Rows(in.Grid) {
		dst := img.Pix[img.PixOffset(r.X, r.Y):]
		for i, x := range in.Pixels[r.At : r.At+r.Len] {
			dst[4*i+r.Channel], dst[4*i+3] = scale.sample(r.Channel, x), 255
		}
	}
	return img
}
