package backend

// Arena hands out the tensors of one step from few large buffers and takes
// them all back at once, so that a steady-state step allocates nothing. Marks are
// released in the reverse order of their making; chunks are kept until Close and
// grow by half of what is held, so that their number stays small.
type Arena struct {
	be     Backend
	dt     DType
	chunks []Buffer
	cur    int // chunk in use
	off    int // elements used of it
	peak   int // most elements in use at once
	used   int
	err    error
}

// Mark is a point to Release back to.
type Mark struct{ cur, off, used int }

const (
	arenaChunk = 1 << 20 // elements; the least that is asked of the backend at once
	arenaAlign = 16      // elements; keeps every tensor on a cache line
)

// NewArena makes an empty arena of one element type.
func NewArena(be Backend, dt DType) *Arena { return &Arena{be: be, dt: dt} }

// Alloc returns an uninitialised dense tensor valid until the Release of an
// earlier Mark. When the device has no memory it returns a zero Tensor and
// Err reports why.
func (a *Arena) Alloc(rows, cols int) Tensor {
	n := (rows*cols + arenaAlign - 1) / arenaAlign * arenaAlign
	for a.cur < len(a.chunks) && a.off+n > a.chunks[a.cur].Len() {
		a.cur++
		a.off = 0
	}
	if a.cur == len(a.chunks) {
		defer For(a.be, Activations)()
		b, err := a.be.Alloc(a.dt, max(n, arenaChunk, a.held()/2))
		if err != nil {
			if a.err == nil {
				a.err = err
			}
			return Tensor{}
		}
		a.chunks = append(a.chunks, b)
	}
	t := View(a.chunks[a.cur], a.off, rows, cols)
	a.off += n
	a.used += n
	a.peak = max(a.peak, a.used)
	return t
}

// Mark remembers what is in use now.
func (a *Arena) Mark() Mark { return Mark{a.cur, a.off, a.used} }

// Release takes back everything allocated since the mark.
func (a *Arena) Release(m Mark) { a.cur, a.off, a.used = m.cur, m.off, m.used }

// Reset takes everything back.
func (a *Arena) Reset() { a.Release(Mark{}) }

// Err is the first allocation failure.
func (a *Arena) Err() error { return a.err }

// PeakBytes is the most that was in use at once.
func (a *Arena) PeakBytes() int64 { return int64(a.peak) * int64(a.dt.Size()) }

// Close frees the buffers.
func (a *Arena) Close() {
	for _, b := range a.chunks {
		a.be.Free(b)
	}
	a.chunks = nil
	a.Reset()
}

func (a *Arena) held() int {
	n := 0
	for _, c := range a.chunks {
		n += c.Len()
	}
	return n
}
