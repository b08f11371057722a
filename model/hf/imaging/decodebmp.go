package imaging

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"math/bits"
	"slices"
)

// The kinds of BMP by their field biCompression (Windows GDI, wingdi.h).
const (
	bmpPlain  = 0
	bmpRLE8   = 1
	bmpRLE4   = 2
	bmpMasked = 3
)

// bmpHeader is what a BMP says before its pixels. Lengths are in bytes.
type bmpHeader struct {
	w, h    int
	topDown bool
	bits    int
	kind    uint32
	colours int       // entries of the palette, for up to 8 bits
	entry   int       // length of one
	palette int       // where it begins
	masks   [4]uint32 // red, green, blue, alpha; all 0 without
	pixels  int       // where they begin
}

// unread is a picture that may be sound and is of a kind that is not read.
type unread struct{ format, kind string }

func (u unread) Error() string {
	return fmt.Sprintf("%s of this kind is not read (%s); write it again as PNG", u.format, u.kind)
}

// parseBMP reads the headers. There have been seven kinds of them, told apart by their
// length.
// A header is at offset 14, behind the file header; offsets below count from the file's beginning,
// numbers are little-endian.
func parseBMP(data []byte) (h bmpHeader, err error) {
	no := func(form string, args ...any) (bmpHeader, error) {
		return h, unread{"BMP", fmt.Sprintf(form, args...)}
	}
	if len(data) < 18 {
		return h, io.ErrUnexpectedEOF
	}
	u16 := func(at int) int { return int(binary.LittleEndian.Uint16(data[at:])) }
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(data[at:]) }
	size := u32(14)
	if !slices.Contains([]uint32{12, 40, 52, 56, 64, 108, 124}, size) {
		return no("a header of %d bytes", size)
	}
	end := 14 + int(size)
	if len(data) < end {
		return h, io.ErrUnexpectedEOF
	}
	if size == 12 { // OS/2 1.x
		h.w, h.h, h.bits, h.entry = u16(18), u16(20), u16(24), 3
	} else {
		w, height := u32(18), u32(22)
		// A negative height means rows from the top. Pillow looks at its highest byte alone, and so
		// does this.
		if h.topDown = height>>24 == 0xff; h.topDown {
			height = -height
		}
		if w>>31 != 0 || height>>31 != 0 {
			return h, fmt.Errorf("size of %d×%d pixels", int32(w), int32(height))
		}
		h.w, h.h, h.bits, h.kind, h.entry = int(w), int(height), u16(28), u32(30), 4
		h.colours = int(u32(46))
	}
	switch h.bits {
	case 1, 4, 8, 16, 24, 32:
	default:
		return no("%d bits a pixel", h.bits)
	}
	switch {
	case h.kind == bmpPlain:
	case h.kind == bmpRLE8 && h.bits == 8, h.kind == bmpRLE4 && h.bits == 4:
	case h.kind == bmpMasked && h.bits >= 16:
		at, n := 54, 3 // behind the first 40 bytes, whether they are the header or its beginning
		if size >= 56 {
			n = 4
		}
		if end = max(end, at+4*n); len(data) < end {
			return h, io.ErrUnexpectedEOF
		}
		for i := range n {
			h.masks[i] = u32(at + 4*i)
		}
	default:
		return no("compression %d with %d bits a pixel", h.kind, h.bits)
	}
	// 0 means as many as the bits can name.
	if h.colours == 0 {
		h.colours = 1 << min(h.bits, 8)
	}
	h.palette, h.pixels = end, int(u32(10))
	if h.bits <= 8 {
		if h.colours > 256 {
			return no("a palette of %d colours", h.colours)
		}
		end += h.colours * h.entry
		if len(data) < end {
			return h, io.ErrUnexpectedEOF
		}
		if h.pixels == h.palette { // some writers leave the palette out of the count
			h.pixels = end
		}
	}
	if h.pixels == 0 {
		h.pixels = end
	}
	return h, nil
}

// sizeBMP reads the size alone.
func sizeBMP(data []byte) (w, h int, err error) {
	head, err := parseBMP(data)
	return head.w, head.h, err
}

// decodeBMP decodes what Pillow decodes, to the same bytes. Where Pillow reads a
// file otherwise than its format says, and there is a way to tell, it is unread.
func decodeBMP(data []byte) (image.Image, error) {
	h, err := parseBMP(data)
	if err != nil {
		return nil, err
	}
	switch {
	case h.bits <= 8:
		return h.indexed(data)
	case h.bits == 16:
		return h.packed16(data)
	}
	return h.wholeBytes(data)
}

// rows gives the bytes of each row from the top. The padding behind the last one
// in the file may be missing.
func (h bmpHeader) rows(data []byte) (row func(y int) []byte, err error) {
	used := (h.w*h.bits + 7) / 8
	// Rows begin at whole words of four bytes.
	stride := (h.w*h.bits + 31) / 32 * 4
	if h.pixels > len(data) || (h.h-1)*stride+used > len(data)-h.pixels {
		return nil, io.ErrUnexpectedEOF
	}
	return func(y int) []byte {
		if !h.topDown {
			y = h.h - 1 - y
		}
		at := h.pixels + y*stride
		return data[at : at+used]
	}, nil
}

// indexed decodes 1, 4 and 8 bits, with a palette.
func (h bmpHeader) indexed(data []byte) (image.Image, error) {
	var palette [256][3]byte // what it does not list is black
	for i := range h.colours {
		e := data[h.palette+i*h.entry:]
		palette[i] = [3]byte{e[2], e[1], e[0]}
	}
	if grey, step := h.greyRamp(&palette); grey {
		taken := 8
		if step == 255 {
			taken = 1
		}
		if h.kind == bmpPlain && h.bits != taken {
			// Pillow decides by the palette how many bits it reads.
			return nil, unread{"BMP", fmt.Sprintf("%d bits a pixel with a palette of %d greys in order", h.bits, h.colours)}
		}
		for i := range palette { // the palette is left aside
			v := byte(min(i*step, 255))
			palette[i] = [3]byte{v, v, v}
		}
	}
	var row func(y int) []byte
	var err error
	depth := h.bits
	if h.kind == bmpPlain {
		row, err = h.rows(data)
	} else {
		depth = 8
		row, err = h.runs(data)
	}
	if err != nil {
		return nil, err
	}
	out := RGB{make([]byte, 3*h.w*h.h), h.w, h.h}
	for y := range h.h {
		in, to := row(y), out.Pix[3*y*h.w:]
		for x := range h.w {
			bit := x * depth
			// The leftmost pixel is in the highest bits.
			v := in[bit/8] >> (8 - depth - bit%8) & (1<<depth - 1)
			copy(to[3*x:3*x+3], palette[v][:])
		}
	}
	return out, nil
}

// greyRamp reports whether the palette is black and white, or the greys 0, 1, 2 …,
// and the step between them.
// Pillow opens such files as mode 1 or L, which have no palette; that is why it matters here.
func (h bmpHeader) greyRamp(palette *[256][3]byte) (bool, int) {
	step := 1
	if h.colours == 2 {
		step = 255
	}
	for i, c := range palette[:h.colours] {
		if v := byte(i * step); c != [3]byte{v, v, v} {
			return false, 0
		}
	}
	if h.colours == 1 {
		step = 255
	}
	return true, step
}

// packed16 decodes 5-5-5, the plain kind, and 5-6-5 bits.
// Five or six bits become eight by scaling to 255, not by shifting.
func (h bmpHeader) packed16(data []byte) (image.Image, error) {
	green := 5
	switch rgb := [3]uint32(h.masks[:3]); {
	case h.kind == bmpPlain, rgb == [3]uint32{0x7c00, 0x3e0, 0x1f}:
	case rgb == [3]uint32{0xf800, 0x7e0, 0x1f}:
		green = 6
	default:
		return nil, h.masksUnread()
	}
	row, err := h.rows(data)
	if err != nil {
		return nil, err
	}
	out := RGB{make([]byte, 3*h.w*h.h), h.w, h.h}
	greens := 1<<green - 1
	for y := range h.h {
		in, to := row(y), out.Pix[3*y*h.w:]
		for x := range h.w {
			v := int(binary.LittleEndian.Uint16(in[2*x:]))
			to[3*x] = byte((v >> (5 + green) & 31) * 255 / 31)
			to[3*x+1] = byte((v >> 5 & greens) * 255 / greens)
			to[3*x+2] = byte((v & 31) * 255 / 31)
		}
	}
	return out, nil
}

// masksUnread says that channels lie where nobody reads them.
func (h bmpHeader) masksUnread() error {
	return unread{"BMP", fmt.Sprintf("%d bits a pixel with the masks %#x", h.bits, h.masks)}
}

// wholeBytes decodes 24 and 32 bits. Alpha counts only where a mask names it.
// Masks may name the channels in any order, as long as each is a whole byte.
func (h bmpHeader) wholeBytes(data []byte) (image.Image, error) {
	at := [4]int{2, 1, 0, -1} // which byte of a pixel is red, green, blue, alpha
	if h.kind == bmpMasked {
		masks := h.masks
		if h.bits == 24 {
			masks[3] = 0
		}
		// Without masks: blue, green, red and alpha, by their bytes.
		if masks == [4]uint32{} && h.bits == 32 {
			masks = [4]uint32{0xff0000, 0xff00, 0xff, 0xff000000}
		}
		var all uint32
		for i, m := range masks {
			shift := bits.TrailingZeros32(m)
			switch {
			case m == 0 && i == 3:
				continue
			// Eight bits in a row on a byte's border, which no other channel has.
			case m == 0 || m>>shift != 0xff || shift%8 != 0 || shift+8 > h.bits || all&m != 0:
				return nil, h.masksUnread()
			}
			all |= m
			at[i] = shift / 8
		}
	}
	row, err := h.rows(data)
	if err != nil {
		return nil, err
	}
	size, with := h.bits/8, at[3] >= 0
	n := 3
	if with {
		n = 4
	}
	pix := make([]byte, n*h.w*h.h)
	for y := range h.h {
		in, to := row(y), pix[n*y*h.w:]
		for x := range h.w {
			for c, k := range at[:n] {
				to[n*x+c] = in[size*x+k]
			}
		}
	}
	if with {
		return &image.NRGBA{Pix: pix, Stride: 4 * h.w, Rect: image.Rect(0, 0, h.w, h.h)}, nil
	}
	return RGB{pix, h.w, h.h}, nil
}

var errRuns = errors.New("the runs end before the picture is full")
