package jpeg

import "errors"

// huffman is a code of up to 16 bits. Short codes are looked up at once.
type huffman struct {
	fast   [256]uint16 // value<<8 | length by the next 8 bits; 0: longer
	values []byte
	last   [17]int32 // largest code of each length; −1: none
	offset [17]int32 // index into values of code c is c + offset
}

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
		h := &huffman{values: append([]byte(nil), seg[17:17+n]...)}
		code, k := int32(0), int32(0)
		for length := 1; length <= 16; length++ {
			count := int32(seg[length])
			h.offset[length] = k - code
			if code+count > 1<<length {
				return errors.New("Huffman table with too many codes")
			}
			if length <= 8 {
				for i := range count {
					for j := range int32(1) << (8 - length) {
						h.fast[(code+i)<<(8-length)+j] = uint16(h.values[k+i])<<8 | uint16(length)
					}
				}
			}
			code += count
			k += count
			h.last[length] = -1
			if count > 0 {
				h.last[length] = code - 1
			}
			code <<= 1
		}
		d.huff[class][slot] = h
		seg = seg[17+n:]
	}
	return nil
}

// bits reads the entropy-coded data of a scan. Past its end it gives zeros and
// remembers: a whole block is decoded before anyone looks.
type bits struct {
	data []byte
	pos  int
	acc  uint64
	n    uint // bits in acc
	over uint // zero bits that were made up and are still in acc
	bad  error
}

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

func (b *bits) skip(n uint) {
	b.n -= n
	if b.n < b.over && b.bad == nil {
		b.bad = errTruncated
	}
}

func (b *bits) take(n uint) int {
	if n == 0 {
		return 0
	}
	v := b.peek(n)
	b.skip(n)
	return int(v)
}

// receive reads a signed value of n bits.
func (b *bits) receive(n uint) int {
	v := b.take(n)
	if n > 0 && v < 1<<(n-1) {
		v -= 1<<n - 1
	}
	return v
}

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
func (b *bits) next() {
	b.acc, b.n, b.over = 0, 0, 0
	if b.pos+1 < len(b.data) && b.data[b.pos] == 0xff && b.data[b.pos+1]&0xf8 == 0xd0 {
		b.pos += 2
	} else if b.bad == nil {
		b.bad = errors.New("a restart marker is missing")
	}
}
