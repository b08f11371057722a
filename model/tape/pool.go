package tape

import "vgid/model/backend"

// pool lends tensors of one element type out of an arena and lends returned
// ones again when the same size is asked for, so that the backward pass runs
// in the memory that forward activations leave behind.
// What it lends belongs to the tape's step: Reset takes all back, whoever still holds it.
type pool struct {
	arena *backend.Arena
	free  []backend.Tensor
}

func newPool(be backend.Backend, dt backend.DType) *pool {
	return &pool{arena: backend.NewArena(be, dt)}
}

// get returns an uninitialised dense tensor.
// The last one returned is tried first, since it is the likeliest to be in a cache.
func (p *pool) get(rows, cols int) backend.Tensor {
	n := rows * cols
	for i := len(p.free) - 1; i >= 0; i-- {
		if f := p.free[i]; f.Len() == n {
			last := len(p.free) - 1
			p.free[i] = p.free[last]
			p.free = p.free[:last]
			return backend.View(f.Buf, f.Off, rows, cols)
		}
	}
	return p.arena.Alloc(rows, cols)
}

// put takes a tensor back that get returned.
func (p *pool) put(t backend.Tensor) {
	if !t.IsZero() {
		p.free = append(p.free, t)
	}
}

func (p *pool) reset() {
	p.free = p.free[:0]
	p.arena.Reset()
}

// memory is what a tape takes from its device: one pool for each element type,
// all of it back at the next Reset.
type memory struct {
	be   backend.Backend
	act  *pool // activations and their gradients
	stat *pool // F32: statistics and losses; act where that is F32
	ints *pool // I32
}

func newMemory(be backend.Backend, act backend.DType) memory {
	m := memory{be: be, act: newPool(be, act), ints: newPool(be, backend.I32)}
	m.stat = m.act
	if act != backend.F32 {
		m.stat = newPool(be, backend.F32)
	}
	return m
}

// takeBack ends the life of every tensor that was lent.
func (m *memory) takeBack() {
	m.act.reset()
	m.stat.reset()
	m.ints.reset()
}

func (m *memory) free() {
	m.act.arena.Close()
	if m.stat != m.act {
		m.stat.arena.Close()
	}
	m.ints.arena.Close()
}

// Backend is the device the tape runs on.
func (m *memory) Backend() backend.Backend { return m.be }

// Err is the first failure to get memory. Failures of operations are the
// backend's to report.
func (m *memory) Err() error {
	for _, p := range [...]*pool{m.act, m.stat, m.ints} {
		if err := p.arena.Err(); err != nil {
			return err
		}
	}
	return nil
}

// PeakBytes is the most memory that was in use since New.
func (m *memory) PeakBytes() int64 {
	n := m.act.arena.PeakBytes() + m.ints.arena.PeakBytes()
	if m.stat != m.act {
		n += m.stat.arena.PeakBytes()
	}
	return n
}

// Ints uploads indices for this step, as [len(v)/cols, cols].
func (m *memory) Ints(v []int32, cols int) backend.Tensor {
	x := m.ints.get(len(v)/cols, cols)
	m.be.UploadInts(x, v)
	return x
}

// Floats uploads values for this step, as F32 [len(v)/cols, cols].
func (m *memory) Floats(v []float32, cols int) backend.Tensor {
	x := m.stat.get(len(v)/cols, cols)
	m.be.Upload(x, v)
	return x
}

// ScratchF32 returns uninitialised F32 memory of this step.
func (m *memory) ScratchF32(rows, cols int) backend.Tensor { return m.stat.get(rows, cols) }

// ScratchInts returns uninitialised I32 memory of this step.
func (m *memory) ScratchInts(rows, cols int) backend.Tensor { return m.ints.get(rows, cols) }
