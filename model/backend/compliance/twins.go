package compliance

import (
	"math"
	"slices"

	"vgid/model/backend"
)

// twins makes tensors on a backend and on the reference, with equal contents. It remembers
// all of them until suite.finish has looked at what stands around them and freed them: an
// operation that writes next to its output is found out there.
type twins struct {
	draws
	t    reporter
	dev  backend.Backend
	ref  reference // nil when a part is played again
	made []*twin
}

// twin is the same tensor on both backends: a view with a random offset and
// stride into a buffer whose other elements hold a value that must neither
// change nor reach a result.
// Of floats and ints one is set, the other nil; a view made by cols has neither and is no twin to
// be checked.
type twin struct {
	dev, ref backend.Tensor
	floats   []float32 // what was uploaded to the whole buffer
	ints     []int32
	output   bool // compared by same; others must still hold what was uploaded
}

// side is one of the backends, and where a twin is there.
type side struct {
	be backend.Backend
	t  *backend.Tensor
}

// sides are the backends a twin is made on: the device and, where there is one, the reference.
func (s *twins) sides(w *twin) []side {
	sides := []side{{s.dev, &w.dev}}
	if s.ref != nil {
		sides = append(sides, side{s.ref, &w.ref})
	}
	return sides
}

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
	host := make([]float32, total)
	for i := range host {
		host[i] = float32(math.NaN())
	}
	for r := range rows {
		for c := range cols {
			host[off+r*stride+c] = float32(draw())
		}
	}
	w := &twin{floats: host}
	for _, side := range s.sides(w) {
		b := s.alloc(side.be, dt, total)
		lent := slices.Clone(host)
		side.be.Upload(backend.View(b, 0, 1, total), lent)
		for i := range lent {
			lent[i] = lentFloat // the source is ours again
		}
		*side.t = backend.Tensor{Buf: b, Off: off, Rows: rows, Cols: cols, Stride: stride}
	}
	s.made = append(s.made, w)
	return w
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
	for _, side := range s.sides(w) {
		b := s.alloc(side.be, backend.I32, total)
		lent := slices.Clone(host)
		side.be.UploadInts(backend.View(b, 0, 1, total), lent)
		for i := range lent {
			lent[i] = guardInt
		}
		*side.t = backend.Tensor{Buf: b, Off: off, Rows: rows, Cols: cols, Stride: stride}
	}
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
// Values are rounded before they are uploaded, so that both sides hold the same and the device's
// own rounding is not what is tested.
func (s *twins) halves(rows, cols int, draw func() float64) *twin {
	off, stride, total := s.layout(rows, cols)
	return s.placeAs(backend.BF16, off, stride, total, rows, cols, func() float64 { return float64(roundBF16(float32(draw()))) })
}

// bf16 allocates a row on the device alone, for tests of storage that have no reference.
func (s *twins) bf16(n int) backend.Tensor {
	return backend.View(s.alloc(s.dev, backend.BF16, n), 0, 1, n)
}

// cols is the view of columns [from, to) on both sides. It shares the buffer
// of w, which stays the one that is checked and freed.
func (w *twin) cols(from, to int) *twin {
	return &twin{dev: w.dev.ColRange(from, to), ref: w.ref.ColRange(from, to)}
}

// allInts reads the whole buffer of t, what lies around the view included.
func (s *twins) allInts(be backend.Backend, t backend.Tensor) []int32 {
	s.t.Helper()
	out := make([]int32, t.Buf.Len())
	if err := be.DownloadInts(out, backend.View(t.Buf, 0, 1, len(out))); err != nil {
		s.t.Fatalf("%s: %v", be.Name(), err)
	}
	return out
}
