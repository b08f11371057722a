package tape

import "vgid/model/backend"

// values are the matrices on a tape and their gradients. What must always hold:
//
//   - a value that is own has memory of the pool, which goes back once, by drop;
//   - a value that is saved is read by a recorded node: nobody overwrites it;
//   - refs of a gradient is how many values hold it, and only one that holds it
//     alone is written to;
//   - index 0 is none, in both lists.
type values struct {
	memory
	vals  []value
	grads []gradient
}

type value struct {
	data  backend.Tensor
	grad  int32 // index into grads, 0 for none yet
	needs bool  // a gradient is wanted
	own   bool  // data goes back to the pool when nobody needs it any more
	saved bool  // a recorded node reads data in its backward pass
}

type gradient struct {
	t    backend.Tensor
	refs int32 // values that hold it
}

func (t *values) clear() {
	t.vals = append(t.vals[:0], value{})
	t.grads = append(t.grads[:0], gradient{})
}

// Value is the matrix behind v. It is valid until Backward, Release of an
// earlier Mark, or Reset.
func (t *values) Value(v Var) backend.Tensor { return t.vals[v].data }

// GradOf is the gradient of v after Backward of a tape whose v is Input, or
// the zero Tensor when nothing flowed into it.
func (t *values) GradOf(v Var) backend.Tensor { return t.grads[t.vals[v].grad].t }

// truncate ends the values from n on: memory of their own goes back.
func (t *values) truncate(n int) {
	for v := n; v < len(t.vals); v++ {
		t.drop(Var(v))
		t.dropGrad(Var(v))
	}
	t.vals = t.vals[:n]
}

func (t *values) push(v value) Var {
	t.vals = append(t.vals, v)
	return Var(len(t.vals) - 1)
}

// output makes a fresh value.
func (t *values) output(rows, cols int, needs bool) Var {
	return t.push(value{data: t.act.get(rows, cols), needs: needs, own: true})
}

// drop returns the data of v to the pool.
func (t *values) drop(v Var) {
	x := &t.vals[v]
	if x.own {
		x.own = false
		t.act.put(x.data)
	}
}

// take makes a new value out of the memory of v, which is dead from now on.
func (t *values) take(v Var, needs bool) Var {
	x := &t.vals[v]
	if x.saved {
		panic("tape: a value that the backward pass reads is about to be overwritten")
	}
	own := x.own
	x.own = false
	return t.push(value{data: x.data, needs: needs, own: own})
}

// gradInto returns where the gradient of v is to be written: with add false
// the memory is fresh and must be overwritten, with add true it holds earlier
// contributions that must be added to.
func (t *values) gradInto(v Var) (dst backend.Tensor, add bool) {
	x := &t.vals[v]
	if x.grad == 0 {
		g := t.act.get(x.data.Rows, x.data.Cols)
		t.grads = append(t.grads, gradient{g, 1})
		x.grad = int32(len(t.grads) - 1)
		return g, false
	}
	t.unshare(v)
	return t.grads[x.grad].t, true
}

// gradAdd is gradInto for operations that can only add.
func (t *values) gradAdd(v Var) backend.Tensor {
	dst, add := t.gradInto(v)
	if !add {
		t.be.Fill(dst, 0)
	}
	return dst
}

// gradSet is gradInto for operations that can only overwrite: they write to
// the returned tensor and then call gradSetDone.
func (t *values) gradSet(v Var) (dst backend.Tensor, tmp bool) {
	if x := &t.vals[v]; x.grad != 0 {
		return t.act.get(x.data.Rows, x.data.Cols), true
	}
	dst, _ = t.gradInto(v)
	return dst, false
}

func (t *values) gradSetDone(v Var, dst backend.Tensor, tmp bool) {
	if tmp {
		sum, _ := t.gradInto(v)
		t.be.Add(sum, sum, dst)
		t.act.put(dst)
	}
}

// unshare makes the gradient of v its own before it is written.
func (t *values) unshare(v Var) {
	x := &t.vals[v]
	g := &t.grads[x.grad]
	if g.refs == 1 {
		return
	}
	g.refs--
	own := t.act.get(g.t.Rows, g.t.Cols)
	t.be.Copy(own, g.t)
	t.grads = append(t.grads, gradient{own, 1})
	x.grad = int32(len(t.grads) - 1)
}

// flow hands the gradient of from to v as it is: v shares the buffer when it
// has none yet, otherwise it is added.
func (t *values) flow(v, from Var) {
	if !t.vals[v].needs {
		return
	}
	g := t.vals[from].grad
	if t.vals[v].grad == 0 {
		t.vals[v].grad = g
		t.grads[g].refs++
		return
	}
	sum, _ := t.gradInto(v)
	t.be.Add(sum, sum, t.grads[g].t)
}

func (t *values) dropGrad(v Var) {
	x := &t.vals[v]
	if x.grad == 0 {
		return
	}
	g := &t.grads[x.grad]
	x.grad = 0
	if g.refs--; g.refs == 0 {
		t.act.put(g.t)
	}
}
