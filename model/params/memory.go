package params

import (
	"fmt"

	"vgid/model/backend"
)

// memory is the memory of weights that are not trained: buffers of their own and
// adopted pieces of files. It owns every buffer that it gave, until it is
// collected.
// A buffer may hold several weights, and is freed when the last of them has left.
type memory struct {
	be      backend.Backend
	buffers map[backend.Buffer]bool
}

// free gives all buffers back.
func (m *memory) free() {
	for b := range m.buffers {
		m.be.Free(b)
	}
	m.buffers = nil
}

// collect frees the buffers that are not live.
func (m *memory) collect(live map[backend.Buffer]bool) {
	for b := range m.buffers {
		if !live[b] {
			m.be.Free(b)
			delete(m.buffers, b)
		}
	}
}

// place gives weights memory of their own, one buffer for those of a group and
// element type.
func (m *memory) place(ws []*Weight) error {
	defer backend.For(m.be, backend.Weights)()
	for g := range groups(ws) {
		for _, dt := range []backend.DType{backend.F32, backend.BF16} {
			n := 0
			for _, w := range g {
				if w.stored == dt {
					n += w.Value.Len()
				}
			}
			if n == 0 {
				continue
			}
			buf, err := m.be.Alloc(dt, n)
			if err != nil {
				return fmt.Errorf("no memory for %s: %w", g[0].Name, err)
			}
			m.buffers[buf] = true
			at := 0
			for _, w := range g {
				if v := w.Value; w.stored == dt {
					w.Value, w.mapped = backend.View(buf, at, v.Rows, v.Cols), false
					at += v.Len()
				}
			}
		}
	}
	return nil
}

// adopt makes a piece of a mapped file the memory of weights that lie behind each
// other in it, and reports whether it could. Memory that is
// not aligned to its elements, as in files of careless writers, is not adopted.
func (m *memory) adopt(span []byte, ws []*Weight) bool {
	if span == nil {
		return false
	}
	buf, err := m.be.Adopt(ws[0].stored, span)
	if err != nil {
		return false
	}
	m.buffers[buf] = true
	at := 0
	for _, w := range ws {
		v := w.Value
		w.Value, w.mapped = backend.View(buf, at, v.Rows, v.Cols), true
		at += v.Len()
	}
	return true
}

// evict gives weights float32 memory of their own: those that are no longer
// trained, or about to be changed.
// The old memory stays until collect finds that nothing lives in it.
func (m *memory) evict(ws []*Weight) error {
	need := int64(0)
	for _, w := range ws {
		need += 4 * int64(w.Value.Len())
	}
	if err := m.preflight(need, ""); err != nil {
		return err
	}
	from := make([]backend.Tensor, len(ws))
	for i, w := range ws {
		from[i] = w.Value
		w.Grad, w.stored = backend.Tensor{}, backend.F32
	}
	if err := m.place(ws); err != nil {
		return err
	}
	for i, w := range ws {
		m.be.Copy(w.Value, from[i])
	}
	return nil
}

// groups yields the runs of weights of one group.
// Groups are neighbours in ws, which is in forward order.
func groups(ws []*Weight) func(yield func([]*Weight) bool) {
	return func(yield func([]*Weight) bool) {
		for i := 0; i < len(ws); {
			j := i
			for j < len(ws) && ws[j].Group == ws[i].Group {
				j++
			}
			if !yield(ws[i:j]) {
				return
			}
			i = j
		}
	}
}
