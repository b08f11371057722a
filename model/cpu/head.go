package cpu

import (
	"math"

	"vgid/model/backend"
	"vgid/model/cpu/internal/simd"
)

const (
	// logitChunk bounds the logits that exist at once, in elements per head.
	logitChunk = 1 << 20
	// leastLogitRows keeps the multiplications of a chunk worth their packing
	// when the vocabulary is so large that the bound would leave fewer rows.
	leastLogitRows = 16
)

// headTask turns rows of logits into losses and, in place, into gradients with
// respect to the logits.
// Logits of all rows at once would be the largest tensor of a step (rows times vocabulary);
// here they exist a few rows at a time, and their gradient replaces them in place.
type headTask struct {
	loss, weight    mat
	target          ints
	logits, teacher []float32 // [rows, vocab]; teacher only for KL
	rows, vocab     int
	step            int
	first           int // row of loss that the first row of logits belongs to
	scale, tempS    float32
	gradient, isKL  bool
}

// headGrads are the operands that gradients of logits flow into. The heads may
// be bfloat16.
type headGrads struct {
	dh, dw, h mat
	w         source
}

// LinearCE implements backend.Device.
func (b *Device) LinearCE(loss, dh, dw, h, w, target, weight backend.Tensor) {
	const op = "linear_ce"
	g := headGrads{b.mat(op, dh), b.mat(op, dw), b.mat(op, h), sourceOf(w)}
	t := &b.tasks.head
	*t = headTask{loss: b.mat(op, loss), weight: b.mat(op, weight), target: intsOf(target), vocab: w.Rows}
	for i := 0; i < h.Rows && b.Err() == nil; i++ {
		b.Fail(backend.CheckTarget(i, int(t.target.at(i)), w.Rows))
	}
	if b.Err() == nil {
		b.head(t, &g, mat{}, source{}, 1, 1)
	}
}

// LinearKL implements backend.Device.
func (b *Device) LinearKL(loss, dh, dw, h, w, ht, wt, weight backend.Tensor, p backend.KL) {
	const op = "linear_kl"
	g := headGrads{b.mat(op, dh), b.mat(op, dw), b.mat(op, h), sourceOf(w)}
	teacher, wTeacher := b.mat(op, ht), sourceOf(wt)
	t := &b.tasks.head
	*t = headTask{loss: b.mat(op, loss), weight: b.mat(op, weight), vocab: w.Rows, scale: orOne(p.Scale), tempS: orOne(p.StudentTemp), isKL: true}
	if b.Err() == nil {
		b.head(t, &g, teacher, wTeacher, t.tempS, orOne(p.TeacherTemp))
	}
}

// orOne makes 0, the zero value of a temperature or scale, mean 1.
func orOne(v float32) float32 {
	if v == 0 {
		return 1
	}
	return v
}

// head goes over the rows in groups: logits, losses and their gradients, then the products that
// carry these on to h and w. dw is added to group by group, in order.
func (b *Device) head(t *headTask, g *headGrads, ht mat, wt source, tempS, tempT float32) {
	b.shared.reset()
	t.step = rowStep(t.vocab)
	t.gradient = g.dh.given() || g.dw.given()
	per := max(leastLogitRows, logitChunk/t.vocab)
	for r := 0; r < g.h.rows; r += per {
		used := b.shared.used
		t.first, t.rows = r, min(per, g.h.rows-r)
		t.logits = b.logits(g.h, g.w, r, t, tempS)
		if t.isKL {
			t.teacher = b.logits(ht, wt, r, t, tempT)
		}
		b.pool.run(pieces(t.rows, t.step), t)
		b.headBackward(t, g, r)
		b.shared.used = used
	}
}

// logits returns the rows of h·wᵀ/temp from r on that t works on.
func (b *Device) logits(h mat, w source, r int, t *headTask, temp float32) []float32 {
	out := b.shared.floats(t.rows * t.vocab)
	m := &b.tasks.gemm
	*m = gemmTask{
		m: t.rows, n: t.vocab, k: h.cols,
		a: source{f: h.block(r, 0), rs: h.ld, cs: 1},
		b: w.transposed(),
		c: out, ldc: t.vocab, alpha: 1 / temp,
	}
	b.gemm(m)
	return out
}

// headBackward adds dlogits·w to dh and dlogitsᵀ·h to dw. The division by the temperature is in
// the gradient already (kl), where there is one.
func (b *Device) headBackward(t *headTask, g *headGrads, r int) {
	m := &b.tasks.gemm
	if g.dh.given() {
		*m = gemmTask{
			m: t.rows, n: g.h.cols, k: t.vocab,
			a: source{f: t.logits, rs: t.vocab, cs: 1},
			b: g.w,
			c: g.dh.block(r, 0), ldc: g.dh.ld, alpha: 1, beta: 1,
		}
		b.gemm(m)
	}
	if g.dw.given() {
		*m = gemmTask{
			m: t.vocab, n: g.h.cols, k: t.rows,
			a: source{f: t.logits, rs: 1, cs: t.vocab},
			b: source{f: g.h.block(r, 0), rs: g.h.ld, cs: 1},
			c: g.dw.d, ldc: g.dw.ld, alpha: 1, beta: 1,
		}
		b.gemm(m)
	}
}

func (t *headTask) do(chunk int, s *scratch) {
	for i := chunk * t.step; i < min((chunk+1)*t.step, t.rows); i++ {
		row := t.logits[i*t.vocab:][:t.vocab]
		weight := float32(0)
		if t.gradient {
			weight = t.weight.row(t.first + i)[0]
		}
		loss := t.loss.row(t.first + i)
		if t.isKL {
			loss[0] = t.kl(row, t.teacher[i*t.vocab:][:t.vocab], weight, s)
			continue
		}
		target := t.target.at(t.first + i)
		top := simd.Max(row)
		logit := row[target]
		sum := simd.ExpSum(row, row, top)
		loss[0] = float32(math.Log(float64(sum)) + float64(top) - float64(logit))
		if t.gradient {
			simd.Scale(row, weight/sum, row)
			row[target] -= weight
		}
	}
}

// kl is the loss of one row; it leaves the gradient in student. Its gradient with respect to
// h·wᵀ is weight·Scale·(q - p)/tempS.
func (t *headTask) kl(student, teacher []float32, weight float32, s *scratch) float32 {
	used := s.used
	tmp := s.floats(t.vocab)
	lseS, lseT := logSumExp(student, tmp), logSumExp(teacher, tmp)
	s.used = used
	return t.scale * simd.KL(student, teacher, lseS, lseT, weight*t.scale/t.tempS)
}

// In double precision: it is subtracted from logits of its own size.
func logSumExp(x, tmp []float32) float64 {
	top := simd.Max(x)
	return float64(top) + math.Log(float64(simd.ExpSum(tmp, x, top)))
}
