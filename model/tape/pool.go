package tape

import "vgid/model/backend"

// pool lends tensors of one element type out of an arena and lends returned
// ones again when the same size is asked for, so that the backward pass runs
// in the memory that forward activations leave behind.
type pool struct {
	arena *backend.Arena
	free  []backend.Tensor
}

func newPool(be backend.Backend, dt backend.DType) *pool {
	return &pool{arena: backend.NewArena(be, dt)}
}

// get returns an uninitialised dense tensor.
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
