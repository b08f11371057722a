package jpeg

import (
	"errors"
	"fmt"
)

// zigzag is the place in a block of the coefficients in the order of the file.
var zigzag = [64]byte{
	0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
}

// pass is what a scan adds to the coefficients: those from first to last, bits
// down to low; refine when higher bits are known.
type pass struct {
	first, last int
	low         uint
	refine      bool
	run         int // blocks left of an end-of-band run
}

// scan reads a scan header and the data behind it.
func (d *decoder) scan(seg []byte) error {
	if d.comp == nil {
		return errors.New("a scan before the frame")
	}
	if len(seg) < 1 || seg[0] < 1 || int(seg[0]) > len(d.comp) || len(seg) != 4+2*int(seg[0]) {
		return errors.New("scan header of a wrong length")
	}
	var in []*component
	for i := range int(seg[0]) {
		c := d.find(seg[1+2*i])
		if c == nil {
			return errors.New("a scan of an unknown component")
		}
		for _, other := range in {
			if other == c {
				return errors.New("a scan with a component twice")
			}
		}
		c.dc, c.ac = seg[2+2*i]>>4, seg[2+2*i]&15
		if c.dc > 3 || c.ac > 3 {
			return errors.New("a scan with a bad table")
		}
		in = append(in, c)
	}
	tail := seg[len(seg)-3:]
	p := pass{first: int(tail[0]), last: int(tail[1]), low: uint(tail[2] & 15), refine: tail[2]>>4 != 0}
	if !d.progressive {
		p = pass{last: 63}
	} else if p.last > 63 || p.first > p.last || p.low > 13 || (p.first == 0) != (p.last == 0) || p.first > 0 && len(in) > 1 ||
		p.refine && uint(tail[2]>>4) != p.low+1 {
		return errors.New("a progressive scan with bad parameters")
	}
	for _, c := range in {
		needDC, needAC := p.first == 0 && !p.refine, p.last > 0
		if needDC && d.huff[0][c.dc] == nil || needAC && d.huff[1][c.ac] == nil {
			return errors.New("a scan without its Huffman table")
		}
		if !d.hasQuant[c.quant] {
			return errors.New("a component without its quantization table")
		}
		c.pred = 0
		if d.progressive && c.coef == nil {
			c.coef = make([][64]int16, c.blocksW*c.blocksH)
		}
		for k := p.first; k <= p.last; k++ {
			c.missing[k] = uint8(p.low)
		}
		if !d.progressive && c.pix == nil {
			c.pix = make([]byte, c.stride*8*c.blocksH)
		}
	}
	b := &bits{data: d.data, pos: d.pos}
	err := d.blocks(b, in, &p)
	d.pos = b.pos
	return err
}

func (d *decoder) find(id byte) *component {
	for i := range d.comp {
		if d.comp[i].id == id {
			return &d.comp[i]
		}
	}
	return nil
}

// blocks visits the blocks of a scan in the order of the file: MCU by MCU, or,
// of a single component, row by row without the padding.
func (d *decoder) blocks(b *bits, in []*component, p *pass) error {
	across, down := ceilDiv(d.w, 8*d.hMax), ceilDiv(d.h, 8*d.vMax)
	if len(in) == 1 {
		across, down = ceilDiv(in[0].w, 8), ceilDiv(in[0].rows, 8)
	}
	for mcu := range across * down {
		if d.restart > 0 && mcu > 0 && mcu%d.restart == 0 {
			b.next()
			p.run = 0
			for _, c := range in {
				c.pred = 0
			}
		}
		my, mx := mcu/across, mcu%across
		if len(in) == 1 {
			d.block(b, in[0], p, my, mx)
		} else {
			for _, c := range in {
				for y := range c.v {
					for x := range c.h {
						d.block(b, c, p, my*c.v+y, mx*c.h+x)
					}
				}
			}
		}
		if b.bad != nil {
			return fmt.Errorf("block %d of %d: %w", mcu, across*down, b.bad)
		}
	}
	return nil
}

// block decodes one block; a sequential one goes straight into the plane.
func (d *decoder) block(b *bits, c *component, p *pass, y, x int) {
	switch {
	case !d.progressive:
		var coef [64]int16
		d.sequential(b, c, &coef)
		idct(&coef, &d.quant[c.quant], c.pix[8*(y*c.stride+x):], c.stride)
	case p.first == 0:
		coef := &c.coef[y*c.blocksW+x]
		if !p.refine {
			c.pred += b.receive(uint(b.symbol(d.huff[0][c.dc]) & 15))
			coef[0] = int16(c.pred << p.low)
		} else if b.take(1) == 1 {
			coef[0] |= 1 << p.low
		}
	case !p.refine:
		d.acFirst(b, c, p, &c.coef[y*c.blocksW+x])
	default:
		d.acRefine(b, c, p, &c.coef[y*c.blocksW+x])
	}
}

func (d *decoder) sequential(b *bits, c *component, coef *[64]int16) {
	c.pred += b.receive(uint(b.symbol(d.huff[0][c.dc]) & 15))
	coef[0] = int16(c.pred)
	h := d.huff[1][c.ac]
	for k := 1; k < 64; k++ {
		s := b.symbol(h)
		run, size := int(s>>4), uint(s&15)
		if size == 0 {
			if run != 15 {
				return
			}
			k += 15
			continue
		}
		k += run
		v := b.receive(size)
		if k > 63 {
			b.fail()
			return
		}
		coef[zigzag[k]] = int16(v)
	}
}

func (b *bits) fail() {
	if b.bad == nil {
		b.bad = errors.New("more coefficients than a block has")
	}
}

func (d *decoder) acFirst(b *bits, c *component, p *pass, coef *[64]int16) {
	if p.run > 0 {
		p.run--
		return
	}
	h := d.huff[1][c.ac]
	for k := p.first; k <= p.last; k++ {
		s := b.symbol(h)
		run, size := int(s>>4), uint(s&15)
		switch {
		case size > 0:
			k += run
			v := b.receive(size)
			if k > 63 {
				b.fail()
				return
			}
			coef[zigzag[k]] = int16(v << p.low)
		case run == 15:
			k += 15
		default:
			p.run = 1<<run - 1 + b.take(uint(run))
			return
		}
	}
}

// acRefine adds a bit to the coefficients that are not zero, and places new
// ones among those that are.
func (d *decoder) acRefine(b *bits, c *component, p *pass, coef *[64]int16) {
	bit := int16(1) << p.low
	correct := func(v *int16) {
		if b.take(1) == 1 && *v&bit == 0 {
			if *v > 0 {
				*v += bit
			} else {
				*v -= bit
			}
		}
	}
	k := p.first
	if p.run == 0 {
		h := d.huff[1][c.ac]
		for ; k <= p.last; k++ {
			s := b.symbol(h)
			run, size := int(s>>4), s&15
			var fresh int16
			if size > 0 {
				fresh = -bit
				if b.take(1) == 1 {
					fresh = bit
				}
			} else if run != 15 {
				p.run = 1<<run + b.take(uint(run))
				break
			}
			for ; k <= p.last; k++ {
				v := &coef[zigzag[k]]
				if *v != 0 {
					correct(v)
					continue
				}
				if run == 0 {
					*v = fresh
					break
				}
				run--
			}
			if b.bad != nil {
				return
			}
		}
	}
	if p.run > 0 {
		for ; k <= p.last; k++ {
			if v := &coef[zigzag[k]]; *v != 0 {
				correct(v)
			}
		}
		p.run--
	}
}
