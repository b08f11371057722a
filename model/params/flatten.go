package params

import (
	"fmt"
	"sort"

	"vgid/model/backend"
	"vgid/model/family"
	"vgid/model/tape"
)

// Flat holds what is trained now, nil for nothing.
func (s *Set) Flat() *Flat { return s.flat }

// Flatten moves what is trained into a new flat buffer and what is not any
// more out of the old one.
// Until the new buffers are full both exist, so that memory is needed for old and new together.
func (s *Set) Flatten() error {
	old := s.flat
	f := &Flat{be: s.be, index: map[*tape.Param]int{}}
	var moved []*Weight
	for _, w := range s.Weights {
		switch {
		case w.Trainable:
			f.order = append(f.order, w)
		case old != nil && w.Value.Buf == old.values:
			moved = append(moved, w)
		}
	}
	sort.SliceStable(f.order, func(i, j int) bool {
		a, b := f.order[i], f.order[j]
		if a.Group != b.Group {
			return a.Group > b.Group
		}
		// All A of a group, then all B: projections of one input stay behind each other and run as
		// one product.
		return a.Branch < b.Branch
	})
	for i, w := range f.order {
		if i > 0 && (w.Group != f.order[i-1].Group || w.Branch != f.order[i-1].Branch) {
			f.n = (f.n + flatAlign - 1) / flatAlign * flatAlign
		}
		f.n += w.Value.Len()
		f.end = append(f.end, f.n)
		f.index[w.Param] = i
	}
	f.final = make([]bool, len(f.order))
	if err := s.mem.evict(moved); err != nil {
		return err
	}
	if f.n > 0 {
		if err := f.fill(); err != nil {
			return err
		}
		s.flat = f
	} else {
		s.flat = nil
	}
	if err := s.be.Sync(); err != nil {
		return err
	}
	if old != nil {
		old.free()
	}
	s.mem.collect(s.live())
	trained := map[family.Part]bool{}
	for _, w := range f.order {
		trained[s.Config.Family.Part(s.Config, w.Name)] = true
	}
	s.TowerTrained, s.ProjectorTrained = trained[family.Tower], trained[family.Projector]
	return nil
}

// live are the buffers that weights live in.
// The zero Buffer of weights without memory is among them and matches none.
func (s *Set) live() map[backend.Buffer]bool {
	live := map[backend.Buffer]bool{}
	for _, w := range s.Weights {
		live[w.Value.Buf], live[w.Base.Buf] = true, true
	}
	for _, w := range s.Carried {
		live[w.Value.Buf] = true
	}
	return live
}

// fill gives the flat buffers memory and moves the weights into it.
func (f *Flat) fill() error {
	if err := CheckTraining(f.be, 2, f.n, "the trained values and their gradients take"); err != nil {
		return err
	}
	defer backend.For(f.be, backend.Weights)()
	var err error
	if f.values, err = f.be.Alloc(backend.F32, f.n); err != nil {
		return fmt.Errorf("no memory for %d trained values: %w", f.n, err)
	}
	defer backend.For(f.be, backend.Gradients)()
	if f.grads, err = f.be.Alloc(backend.F32, f.n); err != nil {
		f.be.Free(f.values)
		return fmt.Errorf("no memory for %d gradients: %w", f.n, err)
	}
	for i, w := range f.order {
		v := w.Value
		at := f.end[i] - v.Len()
		w.Value = backend.View(f.values, at, v.Rows, v.Cols)
		w.Grad = backend.View(f.grads, at, v.Rows, v.Cols)
		if v.Buf != nil {
			f.be.Copy(w.Value, v)
		}
		w.mapped, w.pristine = false, false
	}
	return nil
}

// ZeroGrads clears the gradients before a step.
func (s *Set) ZeroGrads() {
	if s.flat != nil {
		s.be.Fill(s.flat.Grads(), 0)
	}
}

// Backward is Flat's.
func (s *Set) Backward(t *tape.Tape, ready func(n int)) error { return s.flat.Backward(t, ready) }
