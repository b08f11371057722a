package imaging

// runs decodes run-length coded indices, one a byte. As Pillow does, it counts
// pixels, not rows: a row that ends at its first pixel is none, and a picture that
// is not full is refused.
// The order of rows is turned round at the end only: runs are counted from the file's first row.
func (h bmpHeader) runs(data []byte) (row func(y int) []byte, err error) {
	r := runReader{data: data, at: min(h.pixels, len(data)), w: h.w, size: h.w * h.h, four: h.kind == bmpRLE4}
	for len(r.out) < r.size && r.step() {
	}
	if len(r.out) < r.size {
		return nil, errRuns
	}
	return func(y int) []byte {
		if !h.topDown {
			y = h.h - 1 - y
		}
		return r.out[y*h.w : (y+1)*h.w]
	}, nil
}

// runReader is the state of one decoding.
// out grows to size; its length is the place of the next pixel, counted along the file's rows.
type runReader struct {
	data []byte
	at   int // next byte of data
	w    int
	size int // pixels of the picture
	four bool
	x    int // column of the next pixel; beyond the row where pixels given one by one ran over it
	out  []byte
}

// step carries out one order, two bytes and what follows them; false at the end.
func (r *runReader) step() bool {
	order, ok := r.take(2)
	if !ok {
		return false
	}
	n, v := int(order[0]), order[1]
	switch {
	case n > 0:
		// A run does not go on in the next row, as in Pillow.
		n = max(0, min(n, r.w-r.x))
		for i := range n {
			r.out = append(r.out, r.colour(v, i))
		}
		r.x += n
	case v == 0: // end of the row
		r.skip((r.w - len(r.out)%r.w) % r.w)
		r.x = 0
	case v == 1: // end of the picture
		return false
	// What is passed over keeps index 0, as what skip leaves out does.
	case v == 2: // move right and up
		by, ok := r.take(2)
		if !ok {
			return false
		}
		r.skip(min(r.size-len(r.out), int(by[0])+int(by[1])*r.w))
		r.x = len(r.out) % r.w
	default: // pixels one by one, padded to a whole number of words of the file
		return r.single(int(v))
	}
	return true
}

// single copies n indices, as many as the picture still has room for.
func (r *runReader) single(n int) bool {
	count := min(n, r.size-len(r.out))
	length := count
	if r.four {
		length = (count + 1) / 2
	}
	in, ok := r.take(length)
	if !ok {
		return false
	}
	for i := range count {
		at := i
		if r.four {
			at = i / 2
		}
		r.out = append(r.out, r.colour(in[at], i))
	}
	r.x += n
	// By the offset in the file and not in the data, as Pillow has it.
	r.at += r.at % 2
	return true
}

// colour is the index of the i-th pixel that a byte stands for.
func (r *runReader) colour(v byte, i int) byte {
	switch {
	case !r.four:
		return v
	case i%2 == 0:
		return v >> 4
	}
	return v & 15
}

// skip leaves n pixels out: they have index 0.
func (r *runReader) skip(n int) { r.out = append(r.out, make([]byte, n)...) }

// take reads n bytes, if there are so many.
func (r *runReader) take(n int) ([]byte, bool) {
	if r.at > len(r.data) || n > len(r.data)-r.at {
		return nil, false
	}
	b := r.data[r.at : r.at+n]
	r.at += n
	return b, true
}
