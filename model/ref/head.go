package ref

import (
	"math"

	"vgid/model/backend"
)

// logSoftmax is the log-probabilities of row r of h over the vocabulary w at
// a temperature.
// Logits are divided by the temperature before, as in distillation (Hinton et al. 2015).
func logSoftmax(h matrix, r int, w matrix, temp float64) []float64 {
	out := make([]float64, w.Rows)
	for v := range out {
		out[v] = dot(h.row(r, 0), w.row(v, 0)) / temp
	}
	total := logSumExp(out)
	for v := range out {
		out[v] -= total
	}
	return out
}

// headBackward adds the gradient g of the logits of row r to dh and dw, each
// when given.
// dh and dw are added to, as the interface has it, so that several losses can share them.
func headBackward(dh, dw, h, w matrix, r int, g []float64) {
	for v, gv := range g {
		if dh.buffer != nil {
			for c, x := range w.row(v, 0) {
				dh.add(r, c, gv*x)
			}
		}
		if dw.buffer != nil {
			for c, x := range h.row(r, 0) {
				dw.add(v, c, gv*x)
			}
		}
	}
}

// LinearCE implements backend.Device.
// The gradient of −log p(target) by the logits is p − onehot(target), times the row's weight.
func (b *Device) LinearCE(loss, dh, dw, h, w, target, weight backend.Tensor) {
	m := mats(loss, dh, dw, h, w, target, weight)
	for r := range h.Rows {
		t := m[5].int(r, 0)
		if b.Fail(backend.CheckTarget(r, t, w.Rows)); b.Err() != nil {
			return
		}
		logp := logSoftmax(m[3], r, m[4], 1)
		m[0].set(r, 0, -logp[t])
		if dh.IsZero() && dw.IsZero() {
			continue
		}
		g := make([]float64, w.Rows)
		for v := range g {
			g[v] = m[6].at(r, 0) * math.Exp(logp[v])
		}
		g[t] -= m[6].at(r, 0)
		headBackward(m[1], m[2], m[3], m[4], r, g)
	}
}

// LinearKL implements backend.Device.
//
// The gradient is with respect to the student alone: the teacher is a constant.
// It is weight·scale/τs·(student − teacher): the factor 1/τs comes of the student's temperature.
func (b *Device) LinearKL(loss, dh, dw, h, w, ht, wt, weight backend.Tensor, p backend.KL) {
	m := mats(loss, dh, dw, h, w, ht, wt, weight)
	orOne := func(v float32) float64 {
		if v == 0 {
			return 1
		}
		return float64(v)
	}
	tempT, tempS, scale := orOne(p.TeacherTemp), orOne(p.StudentTemp), orOne(p.Scale)
	for r := range h.Rows {
		student := logSoftmax(m[3], r, m[4], tempS)
		teacher := logSoftmax(m[5], r, m[6], tempT)
		sum := 0.0
		for v := range teacher {
			// A probability that underflows to 0 contributes 0, not 0·Inf.
			if pt := math.Exp(teacher[v]); pt > 0 {
				sum += pt * (teacher[v] - student[v])
			}
		}
		m[0].set(r, 0, scale*sum)
		if dh.IsZero() && dw.IsZero() {
			continue
		}
		g := make([]float64, w.Rows)
		for v := range g {
			g[v] = m[7].at(r, 0) * scale / tempS * (math.Exp(student[v]) - math.Exp(teacher[v]))
		}
		headBackward(m[1], m[2], m[3], m[4], r, g)
	}
}
