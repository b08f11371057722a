package model

import (
	"fmt"
	"sort"

	"vgid/model/backend"
	"vgid/model/family"
	"vgid/model/tape"
)

// flat holds everything trained in one buffer and its gradients in another,
// in the order in which the backward pass finishes them: the last layer first.
// A bucket of gradients is then a slice of it.
type flat struct {
	values, grads backend.Buffer
	order         []*weight
	end           []int // element behind each weight
	index         map[*tape.Param]int
	final         []bool // which gradients are complete, during Backward
	n             int
}

const flatAlign = 16 // elements: a group starts on a cache line

func (f *flat) free(be backend.Backend) {
	be.Free(f.values)
	be.Free(f.grads)
}

// Trainable chooses what is trained besides the adapter: the parameters that
// one of the patterns names, or none. A pattern is a path or the end of one at
// a dot, in files or in memory, of a parameter or of a module that holds it; *
// stands for any run of characters. Weights that no output depends on are left out. It returns the
// names that are trained now, the adapter's included, in forward order.
// Optimizers made before are void.
func (m *Model) Trainable(patterns ...string) ([]string, error) {
	hit, err := selected("parameter", patterns, len(m.weights), func(i int) string { return m.weights[i].Name }, func(pattern, name string) bool {
		return matchesParam(pattern, name) || matchesParam(pattern, m.Config.Family.MemoryName(name))
	})
	if err != nil {
		return nil, err
	}
	for i, w := range m.weights {
		if w.lora == 0 {
			w.Trainable = hit[i] && !m.Config.Idle(w.Name) || w.whole
		}
	}
	if err := m.flatten(); err != nil {
		return nil, err
	}
	return m.trained(), nil
}

func (m *Model) trained() []string {
	var names []string
	for _, w := range m.weights {
		if w.Trainable {
			names = append(names, w.Name)
		}
	}
	return names
}

// flatten moves what is trained into a new flat buffer and what is not any
// more out of the old one.
func (m *Model) flatten() error {
	old := m.flat
	f := &flat{index: map[*tape.Param]int{}}
	var moved []*weight
	for _, w := range m.weights {
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
		return a.lora < b.lora
	})
	for i, w := range f.order {
		if i > 0 && (w.Group != f.order[i-1].Group || w.lora != f.order[i-1].lora) {
			f.n = (f.n + flatAlign - 1) / flatAlign * flatAlign
		}
		f.n += w.Value.Len()
		f.end = append(f.end, f.n)
		f.index[w.Param] = i
	}
	f.final = make([]bool, len(f.order))
	if err := m.evict(moved); err != nil {
		return err
	}
	if f.n > 0 {
		if err := m.fillFlat(f); err != nil {
			return err
		}
		m.flat = f
	} else {
		m.flat = nil
	}
	if err := m.be.Sync(); err != nil {
		return err
	}
	if old != nil {
		old.free(m.be)
	}
	m.collect()
	m.towerTrained, m.projectorTrained = m.anyTrained(family.Tower), m.anyTrained(family.Projector)
	return nil
}

// evict gives weights float32 memory of their own: those that are no longer
// trained, or about to be changed.
func (m *Model) evict(ws []*weight) error {
	need := int64(0)
	for _, w := range ws {
		need += 4 * int64(w.Value.Len())
	}
	if err := m.affordable(need, ""); err != nil {
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

func (m *Model) fillFlat(f *flat) error {
	if err := m.trainable(2, f.n, "the trained values and their gradients take"); err != nil {
		return err
	}
	defer backend.For(m.be, backend.Weights)()
	var err error
	if f.values, err = m.be.Alloc(backend.F32, f.n); err != nil {
		return fmt.Errorf("no memory for %d trained values: %w", f.n, err)
	}
	defer backend.For(m.be, backend.Gradients)()
	if f.grads, err = m.be.Alloc(backend.F32, f.n); err != nil {
		m.be.Free(f.values)
		return fmt.Errorf("no memory for %d gradients: %w", f.n, err)
	}
	for i, w := range f.order {
		v := w.Value
		at := f.end[i] - v.Len()
		w.Value = backend.View(f.values, at, v.Rows, v.Cols)
		w.Grad = backend.View(f.grads, at, v.Rows, v.Cols)
		if v.Buf != nil {
			m.be.Copy(w.Value, v)
		}
		w.mapped, w.pristine = false, false
	}
	return nil
}

// collect frees buffers that no weight lives in any more.
func (m *Model) collect() {
	live := map[backend.Buffer]bool{}
	for _, w := range m.weights {
		live[w.Value.Buf], live[w.Base.Buf] = true, true
	}
	for _, lo := range m.carried {
		live[lo.A.Value.Buf], live[lo.B.Value.Buf] = true, true
	}
	for b := range m.buffers {
		if !live[b] {
			m.be.Free(b)
			delete(m.buffers, b)
		}
	}
}

// FlatLen is the number of elements of the flat buffers: all trained
// parameters and a few zeros that align them.
func (m *Model) FlatLen() int {
	if m.flat == nil {
		return 0
	}
	return m.flat.n
}

// FlatValues are the trained parameters, [1, FlatLen].
func (m *Model) FlatValues() backend.Tensor { return m.flatView(true) }

// FlatGrads are their gradients, [1, FlatLen], in the order in which Backward
// finishes them.
func (m *Model) FlatGrads() backend.Tensor { return m.flatView(false) }

func (m *Model) flatView(values bool) backend.Tensor {
	switch {
	case m.flat == nil:
		return backend.Tensor{}
	case values:
		return backend.View(m.flat.values, 0, 1, m.flat.n)
	}
	return backend.View(m.flat.grads, 0, 1, m.flat.n)
}

// EachGrad downloads the gradient of every trained parameter, in forward
// order, under the name and shape that files give it.
func (m *Model) EachGrad(f func(name string, shape []int, grad []float32)) error {
	for _, w := range m.weights {
		if !w.Trainable {
			continue
		}
		g := make([]float32, w.Grad.Len())
		if err := m.be.Download(g, w.Grad); err != nil {
			return err
		}
		name := w.Name
		if w.lora != 0 {
			name = peftPrefix + m.Config.Family.MemoryName(name)
		}
		f(name, w.Shape, g)
	}
	return nil
}

// ZeroGrads clears the gradients before a step.
func (m *Model) ZeroGrads() {
	if m.flat != nil {
		m.be.Fill(m.FlatGrads(), 0)
	}
}

// Backward runs the tape backwards. ready, when given, is called with a
// growing n whenever the elements [0, n) of FlatGrads have received their last
// contribution, and at the end with FlatLen; between calls the backward pass
// goes on queueing work behind them.
func (m *Model) Backward(t *tape.Tape, ready func(n int)) error {
	if ready == nil || m.flat == nil {
		return t.Backward()
	}
	f := m.flat
	final := f.final
	clear(final)
	next := 0
	t.OnGrad = func(p *tape.Param) {
		i, mine := f.index[p]
		if !mine {
			return
		}
		final[i] = true
		from := next
		for next < len(final) && final[next] {
			next++
		}
		if next > from && next < len(final) {
			ready(f.end[next-1])
		}
	}
	err := t.Backward()
	t.OnGrad = nil
	if err != nil {
		return err
	}
	ready(f.n) // parameters that this batch did not touch are final too
	return nil
}
