package params

import (
	"context"
	"hash/fnv"
	"runtime"
	"sync"

	"vgid/model/backend"
	"vgid/model/hf"
)

// Initial values are a function of the seed and the weight's name alone, so that
// host, device and file writer, whichever draws them, draw the same.

// Draw gives every weight memory and its initial values, drawn by the host row by
// row.
func (s *Set) Draw(seed uint64) error {
	if err := s.mem.place(s.Weights); err != nil {
		return err
	}
	for _, w := range s.Weights {
		w.upload(s.be, seed)
	}
	return s.be.Sync()
}

// upload draws the initial values of w, row by row.
func (w *Weight) upload(be backend.Backend, seed uint64) {
	if w.Std == 0 {
		be.Fill(w.Value, w.Fill)
		return
	}
	row := make([]float32, w.Value.Cols)
	for r := range w.Value.Rows {
		w.row(row, r, seed)
		be.Upload(w.Value.RowRange(r, r+1), row)
	}
}

// DrawOnDevice is Draw with matrices kept as o says and the values drawn by the
// device: Draw's but for the device's rounding.
func (s *Set) DrawOnDevice(seed uint64, o LoadOptions) error {
	rows := 1
	for _, w := range s.Weights {
		if rows = max(rows, w.Value.Rows); w.Decay {
			w.stored = o.stored("")
		}
	}
	need, _ := bytesOf(s.Weights)
	if err := s.mem.preflight(need, ""); err != nil {
		return err
	}
	if err := s.mem.place(s.Weights); err != nil {
		return err
	}
	// The device draws a row for each number; 0, 1, 2 … serve all weights.
	buf, err := s.be.Alloc(backend.I32, rows)
	if err != nil {
		return err
	}
	defer s.be.Free(buf)
	numbers := make([]int32, rows)
	for i := range numbers {
		numbers[i] = int32(i)
	}
	s.be.UploadInts(backend.View(buf, 0, rows, 1), numbers)
	for _, w := range s.Weights {
		if w.Std == 0 {
			s.be.Fill(w.Value, w.Fill)
			continue
		}
		s.be.Random(w.Value, backend.Normal, w.key(seed), backend.View(buf, 0, w.Value.Rows, 1))
		s.be.Scale(w.Value, float32(w.Std))
	}
	return s.be.Sync()
}

// Drawn are streams of the initial values, one for each weight, for files of that
// element type: none of them takes memory.
func (s *Set) Drawn(ctx context.Context, seed uint64, dtype string) []hf.Stream {
	var all []hf.Stream
	for _, w := range s.Weights {
		all = append(all, hf.Stream{
			Name: w.Name, TensorInfo: hf.TensorInfo{DType: dtype, Shape: w.Shape},
			Rows: func(dst []float32, from int) error {
				w.drawn(dst, from*w.RowLen(), seed)
				return ctx.Err()
			},
		})
	}
	return all
}

// drawn fills dst with the initial values of w from an element on, on all
// processors: a value costs some ten times its way to the disk.
// from may stand within a row, which is then drawn whole and cut.
func (w *Weight) drawn(dst []float32, from int, seed uint64) {
	if w.Std == 0 {
		for i := range dst {
			dst[i] = w.Fill
		}
		return
	}
	cols := w.Value.Cols
	first, last := from/cols, (from+len(dst)-1)/cols
	workers := min(runtime.GOMAXPROCS(0), last-first+1)
	var wait sync.WaitGroup
	for n := range workers {
		wait.Go(func() {
			row := make([]float32, cols)
			for r := first + n; r <= last; r += workers {
				w.row(row, r, seed)
				at := r*cols - from
				copy(dst[max(0, at):], row[max(0, -at):])
			}
		})
	}
	wait.Wait()
}

// row draws the initial values of a row of the matrix.
func (w *Weight) row(dst []float32, r int, seed uint64) {
	backend.FillRandom(dst, backend.Normal, w.key(seed), uint32(r))
	for i := range dst {
		dst[i] *= float32(w.Std)
	}
}

// key selects the stream that the weight's initial values come from.
// A hash of 32 bits may fall on the same for two names, whose values would then begin alike.
func (w *Weight) key(seed uint64) backend.Key {
	h := fnv.New32a()
	h.Write([]byte(w.Name))
	return backend.Key{Seed: seed, Site: h.Sum32()}
}
