package jpeg

import (
	"errors"
	"slices"
)

// huffman is a code of up to 16 bits (annex C): those of one length follow each
// other, so a code's value is found from the first and last of its length. Short
// codes, which are nearly all there are in a file, are looked up at once.
// It does not change once it is made, so that components may share it.
type huffman struct {
	fast   [256]uint16 // value<<8 | length by the next 8 bits; 0: longer
	values []byte
	last   [17]int32 // largest code of each length; −1: none
	offset [17]int32 // index into values of code c is c + offset
}

// huffmanTables reads tables (B.2.4.2): how many codes there are of each length,
// then their values in the order of the codes.
func (d *decoder) huffmanTables(seg []byte) error {
	for len(seg) > 0 {
		class, slot := seg[0]>>4, seg[0]&15
		if class > 1 || slot > 3 || len(seg) < 17 {
			return errors.New("bad Huffman table")
		}
		n := 0
		for _, c := range seg[1:17] {
			n += int(c)
		}
		if n > 256 || len(seg) < 17+n {
			return errors.New("bad Huffman table")
		}
		h, err := newHuffman(seg[1:17], seg[17:17+n])
		if err != nil {
			return err
		}
		d.huff[class][slot] = h
		seg = seg[17+n:]
	}
	return nil
}

// newHuffman numbers the codes (figure C.2): within a length they count up, and the
// first of the next length is twice the one behind the last.
func newHuffman(counts, values []byte) (*huffman, error) {
	h := &huffman{values: slices.Clone(values)}
	code, k := int32(0), int32(0)
	for length := 1; length <= 16; length++ {
		count := int32(counts[length-1])
		h.offset[length] = k - code
		// libjpeg-turbo refuses such a table, too; unused codes are no fault.
		if code+count > 1<<length {
			return nil, errors.New("Huffman table with too many codes")
		}
		h.last[length] = -1
		if count > 0 {
			h.last[length] = code + count - 1
		}
		for range count {
			if length <= 8 {
				h.lookUp(code, length, h.values[k])
			}
			code, k = code+1, k+1
		}
		code <<= 1
	}
	return h, nil
}

// lookUp enters a short code with whatever bits may follow it.
func (h *huffman) lookUp(code int32, length int, value byte) {
	free := 8 - length
	for i := range int32(1) << free {
		h.fast[code<<free+i] = uint16(value)<<8 | uint16(length)
	}
}

// bits reads the entropy-coded data of a scan. Past its end it gives zeros and
// remembers: a whole block is decoded before anyone looks.
// acc holds its n bits at the low end, the next one highest among them.
type bits struct {
	data []byte
	pos  int
	acc  uint64
	n    uint // bits in acc
	over uint // zero bits that were made up and are still in acc
	bad  error
}

// fill takes bytes up to the next marker. A data byte 0xff has a zero behind it that
// is no data (B.1.1.5).
// It stops at a marker without passing it: next, or the decoder, looks at that.
func (b *bits) fill() {
	for b.n <= 48 {
		var v byte
		if b.pos < len(b.data) && (b.data[b.pos] != 0xff || b.pos+1 < len(b.data) && b.data[b.pos+1] == 0) {
			v = b.data[b.pos]
			b.pos++
			if v == 0xff {
				b.pos++
			}
		} else {
			b.over += 8
		}
		b.acc = b.acc<<8 | uint64(v)
		b.n += 8
	}
}

// peek gives the next n ≤ 16 bits.
func (b *bits) peek(n uint) uint32 {
	if b.n < n {
		b.fill()
	}
	return uint32(b.acc>>(b.n-n)) & (1<<n - 1)
}

// skip goes on by n bits that were peeked at.
func (b *bits) skip(n uint) {
	b.n -= n
	if b.n < b.over && b.bad == nil {
		b.bad = errTruncated
	}
}

// take reads n bits.
func (b *bits) take(n uint) int {
	if n == 0 {
		return 0
	}
	v := b.peek(n)
	b.skip(n)
	return int(v)
}

// receive reads a signed value of n bits (F.2.2.1): those that begin with 0 are the
// negative ones, counted from −(2ⁿ − 1) up.
func (b *bits) receive(n uint) int {
	v := b.take(n)
	if n > 0 && v < 1<<(n-1) {
		v -= 1<<n - 1
	}
	return v
}

// symbol reads a code and gives its value (F.2.2.3).
// A code that no table has is noted in bad and reads as 0, which every caller can go on with.
func (b *bits) symbol(h *huffman) byte {
	w := b.peek(16)
	if f := h.fast[w>>8]; f != 0 {
		b.skip(uint(f & 255))
		return byte(f >> 8)
	}
	for length := 9; length <= 16; length++ {
		if code := int32(w >> (16 - length)); code <= h.last[length] {
			b.skip(uint(length))
			return h.values[code+h.offset[length]]
		}
	}
	b.skip(16)
	if b.bad == nil {
		b.bad = errors.New("a code that is in no Huffman table")
	}
	return 0
}

// next goes on behind a restart marker.
// Bits left before a marker are padding (F.1.2.3).
func (b *bits) next() {
	b.acc, b.n, b.over = 0, 0, 0
	if b.pos+1 < len(b.data) && b.data[b.pos] == 0xff && b.data[b.pos+1]&0xf8 == 0xd0 {
		b.pos += 2
	} else if b.bad == nil {
		b.bad = errors.New("a restart marker is missing")
	}
}
