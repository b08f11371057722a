package compliance

import (
	"math"
	"slices"

	"vgid/model/backend"
)

// twins makes tensors on a backend with the contents they have on the reference. It remembers
// all of them until suite.finish has looked at what stands around them and freed them: an
// operation that writes next to its output is found out there.
type twins struct {
	draws
	t            reporter
	dev          backend.Backend // the reference itself while answers are recorded
	answers      *answers
	why          purpose
	drawn, asked int // inputs and outputs so far
	made         []*twin
}

// twin is a tensor with the same contents as on the reference: a view with a random offset and
// stride into a buffer whose other elements hold a value that must neither
// change nor reach a result.
// Of floats and ints one is set, the other nil; a view made by cols has neither and is no twin to
// be checked.
type twin struct {
	dev    backend.Tensor
	floats []float32 // what was uploaded to the whole buffer
	ints   []int32
	output bool      // compared by same; others must still hold what was uploaded
	want   []float64 // of an output: the reference's values, row by row; nil when the part is repeated
}

// input is element (r, c) as it was uploaded.
func (w *twin) input(r, c int) float64 { return float64(w.floats[w.dev.Off+r*w.dev.Stride+c]) }

// guardInt is what integer buffers hold between and around rows; floats hold NaN.
const guardInt = -0x5EADBEE

// lentFloat is what the source of an upload holds afterwards.
// A device that keeps the slice instead of copying it computes with that, and is found out.
const lentFloat = 1e33

// layout draws where a view begins and how far apart its rows are: views of fused projections and
// of packed batches have both, and kernels for dense matrices must not be given them.
func (s *twins) layout(rows, cols int) (off, stride, total int) {
	off, stride = s.rng.IntN(5), cols+s.rng.IntN(4)*s.rng.IntN(8)
	return off, stride, off + rows*stride + s.rng.IntN(5) + 1
}

// floats makes a twin of [rows, cols] values from draw.
// draw is asked in row-major order, once for each element of the view.
func (s *twins) floats(rows, cols int, draw func() float64) *twin {
	off, stride, total := s.layout(rows, cols)
	return s.place(off, stride, total, rows, cols, draw)
}

// dense is floats without gaps between the rows.
// Some operations have a faster way for such tensors, which has to be tried as well.
func (s *twins) dense(rows, cols int, draw func() float64) *twin {
	return s.place(0, cols, rows*cols+1, rows, cols, draw)
}

func (s *twins) place(off, stride, total, rows, cols int, draw func() float64) *twin {
	return s.placeAs(backend.F32, off, stride, total, rows, cols, draw)
}

// placeAs fills a buffer with NaN and the view in it with values. NaN is what shows: whatever it
// is added to or multiplied with, by 0 even, becomes NaN.
// The buffer is [total] elements, and row r of the view begins at off + r·stride.
func (s *twins) placeAs(dt backend.DType, off, stride, total, rows, cols int, draw func() float64) *twin {
	host := s.draw(func() []float32 {
		host := make([]float32, total)
		for i := range host {
			host[i] = float32(math.NaN())
		}
		for r := range rows {
			row := host[off+r*stride:][:cols]
			for c := range row {
				row[c] = float32(draw())
			}
		}
		return host
	})
	w := &twin{floats: host}
	b := s.alloc(s.dev, dt, total)
	lent := slices.Clone(host)
	s.dev.Upload(backend.View(b, 0, 1, total), lent)
	fill(lent, lentFloat) // the source is ours again
	w.dev = backend.Tensor{Buf: b, Off: off, Rows: rows, Cols: cols, Stride: stride}
	s.made = append(s.made, w)
	return w
}

// fill sets all values, by copies: under the race detector each assignment is a call.
func fill[T any](to []T, v T) {
	if len(to) == 0 {
		return
	}
	to[0] = v
	for n := 1; n < len(to); n *= 2 {
		copy(to[n:], to[:n])
	}
}

// ints makes a twin of integers, values in row-major order.
func (s *twins) ints(rows, cols int, values []int32) *twin {
	off, stride, total := s.layout(rows, cols)
	host := make([]int32, total)
	for i := range host {
		host[i] = guardInt
	}
	for i, v := range values {
		host[off+i/cols*stride+i%cols] = v
	}
	w := &twin{ints: host}
	b := s.alloc(s.dev, backend.I32, total)
	lent := slices.Clone(host)
	s.dev.UploadInts(backend.View(b, 0, 1, total), lent)
	fill(lent, guardInt)
	w.dev = backend.Tensor{Buf: b, Off: off, Rows: rows, Cols: cols, Stride: stride}
	s.made = append(s.made, w)
	return w
}

// alloc ends the part when there is no memory: nothing behind it could be meant.
func (s *twins) alloc(be backend.Backend, dt backend.DType, n int) backend.Buffer {
	s.t.Helper()
	b, err := be.Alloc(dt, n)
	if err != nil {
		s.t.Fatalf("%s: Alloc(%v, %d): %v", be.Name(), dt, n, err)
	}
	return b
}

// halves is floats for a BF16 tensor.
// Values are rounded before they are uploaded, so that the reference holds the same and the device's
// own rounding is not what is tested.
func (s *twins) halves(rows, cols int, draw func() float64) *twin {
	off, stride, total := s.layout(rows, cols)
	return s.placeAs(backend.BF16, off, stride, total, rows, cols, func() float64 { return float64(roundBF16(float32(draw()))) })
}

// bf16 allocates a row on the device alone, for tests of storage that have no reference.
func (s *twins) bf16(n int) backend.Tensor {
	return backend.View(s.alloc(s.dev, backend.BF16, n), 0, 1, n)
}

// cols is the view of columns [from, to). It shares the buffer
// of w, which stays the one that is checked and freed.
func (w *twin) cols(from, to int) *twin {
	return &twin{dev: w.dev.ColRange(from, to)}
}

// allInts reads the whole buffer of t, what lies around the view included.
func (s *twins) allInts(t backend.Tensor) []int32 {
	s.t.Helper()
	out := make([]int32, t.Buf.Len())
	if err := s.dev.DownloadInts(out, backend.View(t.Buf, 0, 1, len(out))); err != nil {
		s.t.Fatalf("%s: %v", s.dev.Name(), err)
	}
	return out
}
