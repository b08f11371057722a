// Package tape is reverse-mode automatic differentiation over
// backend.Backend.
//
// A Tape runs operations at once and, in gradient mode, records a node for
// each. Nodes, values and gradient slots live in slabs that are reused from
// step to step, and tensors come from arenas that the tape owns, so a step in
// steady state allocates nothing.
//
// Gradients follow what the residual stream of a transformer needs: the
// gradient of x aliases the gradient of x+f(x) and contributions are added in
// place. A buffer shared by two gradients is copied before it is written.
//
// Shapes that do not fit and lost devices are reported as the backend reports
// them: the first failure sticks and the next Download or Sync returns it.
package tape

import (
	"vgid/model/backend"
)

// Var is a value on a tape: a matrix of activations. The zero Var is none.
type Var int32

// Options start a step.
type Options struct {
	// Grad records what Backward needs. Without it values can be released
	// early with Mark and Release.
	Grad bool
	// Seed and Step key the random streams of dropout, which is active in
	// steps started with Grad, in unrecorded parts of them too.
	Seed uint64
	Step uint32
}

// Tape is used by one goroutine at a time.
type Tape struct {
	be   backend.Backend
	act  *pool // activations and their gradients
	stat *pool // F32: statistics and losses
	ints *pool // I32

	nodes   []node
	vals    []value
	grads   []gradient
	extra   []Var    // inputs of the nodes that have many
	touched []*Param // trainable parameters used since Reset

	grad      bool // recording
	recompute bool // inside the recomputation of a segment: uses are counted already
	counting  int  // > 0 inside the first run of a segment: counts uses, records nothing
	uses      int  // trainable uses seen, to know whether a segment needs a gradient
	adapter   bool
	rows      backend.Tensor
	opt       Options

	// OnGrad, when set, is called during Backward with every trainable
	// parameter that the forward pass used, at the moment when its last
	// contribution has been queued.
	OnGrad func(p *Param)
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

type opcode uint8

const (
	opLinear opcode = iota
	opRMSNorm
	opLayerNorm
	opEmbedding
	opGather
	opMerge
	opResidual
	opActivate
	opSwiGLU
	opRoPE
	opAttention
	opConcat
	opReshape
	opLoss
	opCheckpoint
)

// node is one recorded operation; which fields count depends on op.
type node struct {
	op       opcode
	act      backend.Activation
	adapter  bool
	out      Var
	in       [2]Var
	p        [2]*Param
	lin      *Linear
	seg      Segment
	aux      [2]backend.Tensor // statistics, low-rank middle; returned to their pool after use
	idx      backend.Tensor    // indices, cosines; never owned
	idx2     backend.Tensor    // sines, dropout rows
	attn     backend.Attention
	from, to int // columns, or a range of extra
	heads    int
}

// For makes a tape whose activations have the element type the device chose.
func For(be backend.Backend) *Tape { return New(be, be.Traits().Activations) }

// New makes a tape whose activations have element type dt.
func New(be backend.Backend, dt backend.DType) *Tape {
	t := &Tape{be: be, act: newPool(be, dt), ints: newPool(be, backend.I32)}
	t.stat = t.act
	if dt != backend.F32 {
		t.stat = newPool(be, backend.F32)
	}
	t.Reset(Options{})
	return t
}

// Backend is the device the tape runs on.
func (t *Tape) Backend() backend.Backend { return t.be }

// Reset forgets everything recorded, takes all tensors back and starts a step.
func (t *Tape) Reset(o Options) {
	for _, p := range t.touched {
		p.pending = 0
	}
	t.touched = t.touched[:0]
	t.nodes = t.nodes[:0]
	t.vals = append(t.vals[:0], value{})
	t.grads = append(t.grads[:0], gradient{})
	t.extra = t.extra[:0]
	t.act.reset()
	t.stat.reset()
	t.ints.reset()
	t.grad, t.adapter, t.opt = o.Grad, true, o
	t.recompute, t.counting, t.uses = false, 0, 0
	t.rows = backend.Tensor{}
}

// Close frees the tape's memory.
func (t *Tape) Close() {
	t.Reset(Options{})
	t.act.arena.Close()
	if t.stat != t.act {
		t.stat.arena.Close()
	}
	t.ints.arena.Close()
}

// SetGrad turns recording on or off for the operations that follow and returns
// what it was: a frozen tower or a teacher inside a training step.
func (t *Tape) SetGrad(on bool) bool {
	was := t.grad
	t.grad = on
	return was
}

// Grad reports whether operations are recorded.
func (t *Tape) Grad() bool { return t.grad }

// UseAdapter turns the adapter on or off for the operations that follow: the
// low-rank branches, and the weights that it trains as a whole. Operations
// without it read frozen weights; they must not be recorded where a Param has a
// Base.
func (t *Tape) UseAdapter(on bool) { t.adapter = on }

// SetRows names the rows of the activations that follow for dropout: I32
// [T, 2], (sample, position).
func (t *Tape) SetRows(rows backend.Tensor) { t.rows = rows }

// Err is the first failure to get memory. Failures of operations are the
// backend's to report.
func (t *Tape) Err() error {
	for _, p := range [...]*pool{t.act, t.stat, t.ints} {
		if err := p.arena.Err(); err != nil {
			return err
		}
	}
	return nil
}

// PeakBytes is the most memory that was in use since New.
func (t *Tape) PeakBytes() int64 {
	n := t.act.arena.PeakBytes() + t.ints.arena.PeakBytes()
	if t.stat != t.act {
		n += t.stat.arena.PeakBytes()
	}
	return n
}

// Value is the matrix behind v. It is valid until Backward, Release of an
// earlier Mark, or Reset.
func (t *Tape) Value(v Var) backend.Tensor { return t.vals[v].data }

// GradOf is the gradient of v after Backward of a tape whose v is Input, or
// the zero Tensor when nothing flowed into it.
func (t *Tape) GradOf(v Var) backend.Tensor { return t.grads[t.vals[v].grad].t }

// Input puts a tensor of the caller's on the tape. With needs set a gradient
// is accumulated for it.
func (t *Tape) Input(x backend.Tensor, needs bool) Var {
	return t.push(value{data: x, needs: needs && t.grad})
}

// Ints uploads indices for this step, as [len(v)/cols, cols].
func (t *Tape) Ints(v []int32, cols int) backend.Tensor {
	x := t.ints.get(len(v)/cols, cols)
	t.be.UploadInts(x, v)
	return x
}

// Floats uploads values for this step, as F32 [len(v)/cols, cols].
func (t *Tape) Floats(v []float32, cols int) backend.Tensor {
	x := t.stat.get(len(v)/cols, cols)
	t.be.Upload(x, v)
	return x
}

// ScratchF32 returns uninitialised F32 memory of this step.
func (t *Tape) ScratchF32(rows, cols int) backend.Tensor { return t.stat.get(rows, cols) }

// ScratchInts returns uninitialised I32 memory of this step.
func (t *Tape) ScratchInts(rows, cols int) backend.Tensor { return t.ints.get(rows, cols) }

// Mark is a point to Release back to.
type Mark int

// Mark remembers the values that exist now.
func (t *Tape) Mark() Mark { return Mark(len(t.vals)) }

// Release takes back every value made since the mark but keep, which it
// returns under its new number. While recording it takes nothing back:
// Backward needs all.
func (t *Tape) Release(m Mark, keep Var) Var {
	if t.grad {
		return keep
	}
	if int(keep) < int(m) {
		t.truncate(int(m))
		return keep
	}
	kept := t.vals[keep]
	t.vals[keep].own, t.vals[keep].grad = false, 0
	t.truncate(int(m))
	return t.push(kept)
}

func (t *Tape) truncate(n int) {
	for v := n; v < len(t.vals); v++ {
		t.drop(Var(v))
		t.dropGrad(Var(v))
	}
	t.vals = t.vals[:n]
}

func (t *Tape) push(v value) Var {
	t.vals = append(t.vals, v)
	return Var(len(t.vals) - 1)
}

// output makes a fresh value.
func (t *Tape) output(rows, cols int, needs bool) Var {
	return t.push(value{data: t.act.get(rows, cols), needs: needs, own: true})
}

// drop returns the data of v to the pool.
func (t *Tape) drop(v Var) {
	x := &t.vals[v]
	if x.own {
		x.own = false
		t.act.put(x.data)
	}
}

// use counts a use of p in the forward pass and reports whether it is trained.
func (t *Tape) use(p *Param) bool {
	if p == nil || !p.Trainable || !(t.grad || t.counting > 0) {
		return false
	}
	t.uses++
	if !t.recompute {
		if p.pending == 0 {
			t.touched = append(t.touched, p)
		}
		p.pending++
	}
	return true
}

// done says that one use of p has made its contribution.
func (t *Tape) done(p *Param) {
	if p == nil || !p.Trainable {
		return
	}
	p.pending--
	if p.pending == 0 && t.OnGrad != nil {
		t.OnGrad(p)
	}
}

func (t *Tape) needs(v Var) bool { return t.grad && v != 0 && t.vals[v].needs }

func (t *Tape) record(n node) Var {
	n.adapter = t.adapter
	t.nodes = append(t.nodes, n)
	return n.out
}
