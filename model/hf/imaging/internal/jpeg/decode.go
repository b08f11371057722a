package jpeg

import (
	"errors"
	"fmt"
)

// Space is what the components of a picture mean.
type Space int

// The colour spaces Decode gives.
const (
	Grey Space = 1
	RGB  Space = 3
	CMYK Space = 4 // as stored; files follow Adobe and store 255 − ink
)

// Picture is a decoded file: H rows of W pixels of Space bytes.
type Picture struct {
	Pix   []byte
	W, H  int
	Space Space
}

// Decode decodes a file.
// Memory is proportional to the picture, whose size the caller has to have bounded (Size). data is
// not kept.
func Decode(data []byte) (*Picture, error) {
	d := &decoder{data: data}
	if err := d.run(); err != nil {
		return nil, err
	}
	return d.picture(), nil
}

// Size reads the width and height of a file from its headers.
// What stands before the frame header has to be sound, and nothing behind it is looked at.
func Size(data []byte) (w, h int, err error) {
	d := &decoder{data: data, headerOnly: true}
	if err := d.run(); err != nil {
		return 0, 0, err
	}
	return d.w, d.h, nil
}

// component is one plane of the picture. Its size follows from the frame's largest
// sampling factors (A.1.1); it is coded in whole blocks of 8 × 8, of which those
// beyond w and rows are padding that no one sees.
// pix is [8·blocksH, stride] samples, coef [blocksH·blocksW] blocks in row order; a sequential
// component has no coef.
type component struct {
	id    byte
	h, v  int // sampling factors
	quant byte
	w     int // samples across and down, without padding
	rows  int

	blocksW, blocksH int // with the padding to whole MCUs
	stride           int
	pix              []byte
	coef             [][64]int16 // progressive: all coefficients
	missing          [64]uint8   // progressive: low bits not yet seen of each

	dc, ac byte // tables of the running scan
	pred   int
}

// decoder reads one file. Tables stay in force until others take their slot, also
// over scans (B.2.4), so they belong to the decoder and not to a scan.
// comp is nil until the frame header has been read.
type decoder struct {
	data       []byte
	pos        int
	headerOnly bool

	w, h        int
	comp        []component
	hMax, vMax  int
	progressive bool
	restart     int

	quant    [4][64]int32
	hasQuant [4]bool
	huff     [2][4]*huffman // class, slot

	jfif  bool
	adobe int // transform; −1: no marker
}

// Markers (table B.1): the second byte behind 0xff.
const (
	sof0, sof1, sof2 = 0xc0, 0xc1, 0xc2
	dht, soi, eoi    = 0xc4, 0xd8, 0xd9
	sos, dqt, dri    = 0xda, 0xdb, 0xdd
	app0, app14      = 0xe0, 0xee
)

// Unsupported is the error of a file that may be sound and is of a kind that is
// not decoded; it says of which.
type Unsupported string

func (u Unsupported) Error() string { return string(u) }

func unsupported(form string, args ...any) error { return Unsupported(fmt.Sprintf(form, args...)) }

// errTruncated is worded for a file of any format.
var errTruncated = errors.New("the data ends early")

// run walks over the markers (B.1.1.2) up to the end of the image, or of the frame
// header where that is enough.
func (d *decoder) run() error {
	d.adobe = -1
	if len(d.data) < 2 || d.data[0] != 0xff || d.data[1] != soi {
		return errors.New("no JPEG start marker")
	}
	d.pos = 2
	for {
		m, err := d.marker()
		if err != nil {
			return err
		}
		if m == eoi {
			break
		}
		if m == 0x01 || m >= 0xd0 && m <= soi {
			continue // TEM, RST and SOI stand alone: no segment follows
		}
		seg, err := d.segment()
		if err == nil {
			err = d.interpret(m, seg)
		}
		if err != nil {
			return err
		}
		if d.headerOnly && d.comp != nil {
			return nil
		}
	}
	return d.complete()
}

// interpret reads the segment behind a marker. Those that say nothing about pixels
// (comments, thumbnails, profiles) are passed over.
func (d *decoder) interpret(m byte, seg []byte) error {
	switch m {
	case sof0, sof1, sof2:
		return d.frame(seg, m == sof2)
	case dht:
		return d.huffmanTables(seg)
	case dqt:
		return d.quantTables(seg)
	case dri:
		if len(seg) != 2 {
			return errors.New("restart interval segment of a wrong length")
		}
		d.restart = int(seg[0])<<8 | int(seg[1])
	case sos:
		return d.scan(seg)
	// Only the mark is asked for: version, density and thumbnail mean nothing for pixels.
	case app0:
		d.jfif = d.jfif || len(seg) >= 5 && string(seg[:5]) == "JFIF\x00"
	case app14: // Adobe's: its last byte says which transform the colours went through
		if len(seg) >= 12 && string(seg[:5]) == "Adobe" {
			d.adobe = int(seg[11])
		}
	default:
		if m >= 0xc3 && m <= 0xcf { // DHT and the like between them are dealt with above
			return unsupported("coding process SOF%d: lossless, hierarchical or arithmetic", m-sof0)
		}
	}
	return nil
}

// complete checks that every component has been in a scan, and that a
// progressive one has all bits of its coefficients: where some are missing,
// libjpeg-turbo smooths the blocks.
func (d *decoder) complete() error {
	if d.comp == nil {
		return errors.New("there is no frame")
	}
	for i := range d.comp {
		c := &d.comp[i]
		if c.pix == nil && c.coef == nil {
			return errTruncated
		}
		for k, bits := range c.missing {
			if d.progressive && bits != 0 {
				return fmt.Errorf("component %d: the last scans of coefficient %d are missing", i, k)
			}
		}
	}
	return nil
}

// marker finds the next marker; what stands before it is skipped, as
// libjpeg-turbo does.
func (d *decoder) marker() (byte, error) {
	for d.pos+1 < len(d.data) {
		if d.data[d.pos] == 0xff && d.data[d.pos+1] != 0 && d.data[d.pos+1] != 0xff {
			d.pos += 2
			return d.data[d.pos-1], nil
		}
		d.pos++
	}
	return 0, errTruncated
}

// segment is what follows a marker, without its length of two bytes, which counts
// itself (B.1.1.4).
func (d *decoder) segment() ([]byte, error) {
	if d.pos+2 > len(d.data) {
		return nil, errTruncated
	}
	n := int(d.data[d.pos])<<8 | int(d.data[d.pos+1])
	if n < 2 {
		return nil, errors.New("segment of a wrong length")
	}
	if d.pos+n > len(d.data) {
		return nil, errTruncated
	}
	seg := d.data[d.pos+2 : d.pos+n]
	d.pos += n
	return seg, nil
}

// quantTables reads the divisors of coefficients, of 8 or 16 bits each, in the
// order of the zigzag (B.2.4.1). One segment may hold several tables.
// They are turned into row order here, so that idct multiplies place by place.
func (d *decoder) quantTables(seg []byte) error {
	for len(seg) > 0 {
		slot, wide := seg[0]&15, seg[0]>>4
		size := 64 * (1 + int(wide))
		if slot > 3 || wide > 1 || len(seg) < 1+size {
			return errors.New("bad quantization table")
		}
		for i := range 64 {
			v := int32(seg[1+i])
			if wide == 1 {
				v = int32(seg[1+2*i])<<8 | int32(seg[2+2*i])
			}
			d.quant[slot][zigzag[i]] = v
		}
		d.hasQuant[slot] = true
		seg = seg[1+size:]
	}
	return nil
}

// frame reads the picture's shape (B.2.2). Heights of 0, which a DNL marker behind
// the first scan would give, are refused, as by libjpeg-turbo.
func (d *decoder) frame(seg []byte, progressive bool) error {
	if d.comp != nil {
		return errors.New("two frames")
	}
	if len(seg) < 6 || len(seg) != 6+3*int(seg[5]) {
		return errors.New("frame header of a wrong length")
	}
	if seg[0] != 8 {
		return unsupported("samples of %d bits, not 8", seg[0])
	}
	d.progressive = progressive
	d.h, d.w = int(seg[1])<<8|int(seg[2]), int(seg[3])<<8|int(seg[4])
	if d.h == 0 || d.w == 0 {
		return fmt.Errorf("picture of %d×%d pixels is empty", d.w, d.h)
	}
	switch seg[5] {
	case 1, 3, 4:
	default:
		return unsupported("%d components, not 1, 3 or 4", seg[5])
	}
	d.comp = make([]component, seg[5])
	for i := range d.comp {
		s := seg[6+3*i:]
		c := &d.comp[i]
		c.id, c.h, c.v, c.quant = s[0], int(s[1]>>4), int(s[1]&15), s[2]
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.quant > 3 {
			return fmt.Errorf("component %d has bad sampling factors %d×%d or table %d", i, c.h, c.v, c.quant)
		}
		for j := range i {
			if d.comp[j].id == c.id {
				return errors.New("two components of the same name")
			}
		}
		d.hMax, d.vMax = max(d.hMax, c.h), max(d.vMax, c.v)
	}
	// Sizes need the largest factors of all components (A.1.1, A.2.4).
	for i := range d.comp {
		c := &d.comp[i]
		// The ratio of sampling factors is then a whole number, which row counts on.
		if d.hMax%c.h != 0 || d.vMax%c.v != 0 {
			return unsupported("component %d is sampled at %d/%d × %d/%d, which libjpeg-turbo does not enlarge either", i, c.h, d.hMax, c.v, d.vMax)
		}
		c.w, c.rows = ceilDiv(d.w*c.h, d.hMax), ceilDiv(d.h*c.v, d.vMax)
		// An MCU holds h × v blocks of each component, and the file holds whole MCUs.
		c.blocksW = ceilDiv(d.w, 8*d.hMax) * c.h
		c.blocksH = ceilDiv(d.h, 8*d.vMax) * c.v
		c.stride = 8 * c.blocksW
		for k := range c.missing {
			c.missing[k] = 16 // more than any: nothing has been seen
		}
	}
	return nil
}

// ceilDiv is a/b rounded up.
func ceilDiv(a, b int) int { return (a + b - 1) / b }
