package jpeg

import (
	"errors"
	"fmt"
	"slices"
)

// zigzag is the place in a block of the coefficients in the order of the file
// (figure A.6): low frequencies first, so that the zeros of high ones make one run.
var zigzag = [64]byte{
	0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
}

// pass is what a scan adds to the coefficients: those from first to last, bits
// down to low; refine when higher bits are known.
// run belongs to the scan and is 0 at its start and behind each restart marker.
type pass struct {
	first, last int
	low         uint
	refine      bool
	run         int // blocks left of an end-of-band run
}

// scan reads a scan header (B.2.3) and the data behind it.
func (d *decoder) scan(seg []byte) error {
	in, err := d.scanned(seg)
	if err != nil {
		return err
	}
	p, err := d.parameters(seg[len(seg)-3:], len(in))
	if err != nil {
		return err
	}
	for _, c := range in {
		if err := d.prepare(c, &p); err != nil {
			return err
		}
	}
	b := &bits{data: d.data, pos: d.pos}
	err = d.blocks(b, in, &p)
	d.pos = b.pos
	return err
}

// scanned are the components of a scan, with their tables.
func (d *decoder) scanned(seg []byte) ([]*component, error) {
	if d.comp == nil {
		return nil, errors.New("a scan before the frame")
	}
	if len(seg) < 1 || seg[0] < 1 || int(seg[0]) > len(d.comp) || len(seg) != 4+2*int(seg[0]) {
		return nil, errors.New("scan header of a wrong length")
	}
	var in []*component
	for i := range int(seg[0]) {
		c := d.find(seg[1+2*i])
		if c == nil {
			return nil, errors.New("a scan of an unknown component")
		}
		if slices.Contains(in, c) {
			return nil, errors.New("a scan with a component twice")
		}
		c.dc, c.ac = seg[2+2*i]>>4, seg[2+2*i]&15
		if c.dc > 3 || c.ac > 3 {
			return nil, errors.New("a scan with a bad table")
		}
		in = append(in, c)
	}
	return in, nil
}

// parameters reads the tail of a scan header: which coefficients (Ss, Se), and
// which of their bits (Ah, Al). Sequential scans have all of both, whatever the
// header says. Progressive ones keep the first coefficient apart from the others,
// take those of one component at a time, and refine bit by bit (G.1.1.1).
func (d *decoder) parameters(tail []byte, components int) (pass, error) {
	p := pass{first: int(tail[0]), last: int(tail[1]), low: uint(tail[2] & 15), refine: tail[2]>>4 != 0}
	if !d.progressive {
		return pass{last: 63}, nil
	}
	// Refinement has to go on one bit below the scan before (Ah = Al + 1).
	if p.last > 63 || p.first > p.last || p.low > 13 || (p.first == 0) != (p.last == 0) || p.first > 0 && components > 1 ||
		p.refine && uint(tail[2]>>4) != p.low+1 {
		return p, errors.New("a progressive scan with bad parameters")
	}
	return p, nil
}

// prepare checks that a component has its tables, and gives it memory when it is
// first scanned: a header alone makes none.
func (d *decoder) prepare(c *component, p *pass) error {
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
	return nil
}

func (d *decoder) find(id byte) *component {
	for i := range d.comp {
		if d.comp[i].id == id {
			return &d.comp[i]
		}
	}
	return nil
}

// blocks visits the blocks of a scan in the order of the file (A.2): MCU by MCU, or,
// of a single component, row by row without the padding. A restart marker resets
// what blocks take from those before them, so that damage ends there.
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

// block decodes one block; a sequential one goes straight into the plane. The first
// coefficient is coded as its difference to that of the component's block before.
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
			// Damaged data may leave 16 bits; what is then cut off is noise either way.
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

// sequential reads a block whole (F.2.2): each code is a run of zeros and the size
// of the value behind it. Of the codes without a value, 15 zeros stand for 16 and
// any other run for the end of the block.
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

// fail notes a run that leads out of a block.
func (b *bits) fail() {
	if b.bad == nil {
		b.bad = errors.New("more coefficients than a block has")
	}
}

// acFirst reads the high bits of a band of coefficients (G.1.2.2). What ends a block
// may end the band in the blocks behind it, too: a run of 0 to 14 stands for
// 2^run blocks and as many more as the run's bits say.
// p.run blocks have no more of the band, this one among them.
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
// ones among those that are (G.1.2.3). Runs count zeros only: the bits of the others
// stand between the codes, where the walk comes by them.
func (d *decoder) acRefine(b *bits, c *component, p *pass, coef *[64]int16) {
	bit := int16(1) << p.low
	k := p.first
	for h := d.huff[1][c.ac]; p.run == 0 && k <= p.last; {
		s := b.symbol(h)
		run, size := int(s>>4), s&15
		var fresh int16 // 0: sixteen zeros and no new one
		switch {
		case size > 0:
			fresh = -bit
			if b.take(1) == 1 {
				fresh = bit
			}
		case run != 15: // the band ends here, and in the next blocks
			p.run = 1<<run + b.take(uint(run))
			continue
		}
		if k = correct(b, p, coef, k, run, bit); k <= p.last {
			coef[zigzag[k]] = fresh
		}
		k++
		if b.bad != nil {
			return
		}
	}
	if p.run > 0 {
		correct(b, p, coef, k, len(coef), bit)
		p.run--
	}
}

// correct adds the bits of the coefficients from k on that are not zero, up to the
// zero behind so many others, and gives the place of that, or the one behind the
// band's last.
func correct(b *bits, p *pass, coef *[64]int16, k, zeros int, bit int16) int {
	for ; k <= p.last; k++ {
		v := &coef[zigzag[k]]
		if *v == 0 {
			if zeros == 0 {
				return k
			}
			zeros--
			continue
		}
		// A bit that is there already would be added twice by a damaged file.
		if b.take(1) == 1 && *v&bit == 0 {
			if *v > 0 {
				*v += bit
			} else {
				*v -= bit
			}
		}
	}
	return k
}
