package tape

import "vgid/model/backend"

// Param is a weight of a model. Value is [rows, cols]; Grad has the same shape
// and accumulates, the owner zeroes it between optimizer steps. Grad is only
// touched when Trainable is set.
//
// Base is given where an adapter trains the weight as a whole: what passes
// without the adapter read in Value's place. Such passes are not recorded; Grad
// belongs to Value.
type Param struct {
	Name              string
	Value, Grad, Base backend.Tensor
	Trainable         bool

	pending int // uses in the forward pass whose gradient is still to come
}

// of is the value that passes with the adapter, or without it, read.
func (p *Param) of(adapter bool) backend.Tensor {
	if adapter || p.Base.IsZero() {
		return p.Value
	}
	return p.Base
}

// Linear is one or several projections of the same input, y = x·[W₀; W₁; …]ᵀ
// + [b₀, b₁, …]. The projections run as one matrix product when their weights
// lie behind each other in memory.
type Linear struct {
	Parts []Part
}

// Part is one projection of a Linear: W is [out, in], B [1, out] or nil.
type Part struct {
	W, B *Param
	LoRA *LoRA // nil when there is none
}

// LoRA is the low-rank branch of Hu et al. (2022): y += Scale·dropout(x)·Aᵀ·Bᵀ
// with A [r, in] and B [out, r].
type LoRA struct {
	A, B    *Param
	Scale   float32
	Dropout float32
	Site    uint32 // of the dropout's random stream, distinct per module
}

// Out is the width of the result.
func (l *Linear) Out() int {
	n := 0
	for i := range l.Parts {
		n += l.Parts[i].W.Value.Rows
	}
	return n
}

// joined returns the tensors pick selects from the parts as one matrix of the
// same width when they are dense and follow each other in one buffer.
func (l *Linear) joined(pick func(*Part) backend.Tensor) (backend.Tensor, bool) {
	all := pick(&l.Parts[0])
	if all.IsZero() || !all.Dense() {
		return backend.Tensor{}, false
	}
	for i := 1; i < len(l.Parts); i++ {
		t := pick(&l.Parts[i])
		if t.IsZero() || t.Buf != all.Buf || t.Cols != all.Cols || !t.Dense() || t.Off != all.Off+all.Rows*all.Cols {
			return backend.Tensor{}, false
		}
		all.Rows += t.Rows
	}
	all.Stride = all.Cols
	return all, true
}

func partW(p *Part) backend.Tensor { return p.W.Value }

func partBaseW(p *Part) backend.Tensor { return p.W.of(false) }

func partGradW(p *Part) backend.Tensor {
	if !p.W.Trainable {
		return backend.Tensor{}
	}
	return p.W.Grad
}

// The biases are rows [1, out]; seen as columns they join like the weights.
func partB(p *Part) backend.Tensor { return column(p.B, true) }

func partBaseB(p *Part) backend.Tensor { return column(p.B, false) }

// column is a bias [1, out] as [out, 1].
func column(b *Param, adapter bool) backend.Tensor {
	if b == nil {
		return backend.Tensor{}
	}
	return b.of(adapter).Reshape(b.Value.Cols, 1)
}

func partGradB(p *Part) backend.Tensor {
	if p.B == nil || !p.B.Trainable {
		return backend.Tensor{}
	}
	return p.B.Grad.Reshape(p.B.Grad.Cols, 1)
}

// With dropout each branch has an input of its own, and no product is common to them.
func partA(p *Part) backend.Tensor {
	if p.LoRA == nil || p.LoRA.Dropout > 0 {
		return backend.Tensor{}
	}
	return p.LoRA.A.Value
}

func partGradA(p *Part) backend.Tensor {
	if p.LoRA == nil || p.LoRA.Dropout > 0 || !p.LoRA.A.Trainable {
		return backend.Tensor{}
	}
	return p.LoRA.A.Grad
}
