package tape

import "vgid/model/backend"

// recorder is the list of what was done, and how it is being done. What must
// always hold: a trained parameter that was used since Reset is in touched, and
// its pending is the number of its uses whose gradient is still to come, so that
// OnGrad is called once, with the last. A segment that is run again counts
// nothing: its first run did.
type recorder struct {
	nodes   []node
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

// start forgets everything.
func (r *recorder) start(o Options) {
	for _, p := range r.touched {
		p.pending = 0
	}
	*r = recorder{nodes: r.nodes[:0], extra: r.extra[:0], touched: r.touched[:0], OnGrad: r.OnGrad, grad: o.Grad, adapter: true, opt: o}
}

// SetGrad turns recording on or off for the operations that follow and returns
// what it was: a frozen tower or a teacher inside a training step.
func (r *recorder) SetGrad(on bool) bool {
	was := r.grad
	r.grad = on
	return was
}

// Grad reports whether operations are recorded.
func (r *recorder) Grad() bool { return r.grad }

// UseAdapter turns the adapter on or off for the operations that follow: the
// low-rank branches, and the weights that it trains as a whole. Operations
// without it read frozen weights; they must not be recorded where a Param has a
// Base.
func (r *recorder) UseAdapter(on bool) { r.adapter = on }

// SetRows names the rows of the activations that follow for dropout: I32
// [T, 2], (sample, position).
func (r *recorder) SetRows(rows backend.Tensor) { r.rows = rows }

// use counts a use of p in the forward pass and reports whether it is trained.
func (r *recorder) use(p *Param) bool {
	if p == nil || !p.Trainable || !(r.grad || r.counting > 0) {
		return false
	}
	r.uses++
	if !r.recompute {
		if p.pending == 0 {
			r.touched = append(r.touched, p)
		}
		p.pending++
	}
	return true
}

// done says that one use of p has made its contribution.
func (r *recorder) done(p *Param) {
	if p == nil || !p.Trainable {
		return
	}
	p.pending--
	if p.pending == 0 && r.OnGrad != nil {
		r.OnGrad(p)
	}
}

// A node remembers whether the adapter was on, since its backward pass comes when that may have
// changed.
func (r *recorder) record(n node) Var {
	n.adapter = r.adapter
	r.nodes = append(r.nodes, n)
	return n.out
}
