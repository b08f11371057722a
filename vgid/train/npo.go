package train

import (
	"context"
	"math"

	"vgid/model"
	"vgid/model/tape"
	"vgid/vgid/config"
	"vgid/vgid/monitor"
)

// Negative preference optimization (Zhang, Lin, Bai, Mei, arXiv 2404.05868, equation 3):
// an answer y to forget is a response that is not preferred, and nothing is preferred
// to it,
//
//	L = -(2α/b)·E_forget log σ(-b·r) + β·E_retain CE(p(·| I, q), y),  r = log p(y| I, q) - log p₀(y| I, q)
//
// with log-probabilities of whole answers under the model p and the model p₀ as it was,
// and b = unlearn.npo.beta. As b goes to 0, the first term becomes gradient ascent;
// else it lets go of answers that are already improbable. The retain term, a mean over
// tokens, is the paper's NPO+RT; unlearn.beta 0 leaves it out.
//
// The gradient of the first term is that of the answers' cross-entropy with the weight
// -2σ(b·r): of each answer, one number, which is known once both models have read it.
// So a micro-batch takes a pass of each without a loss, one wait of the host for the
// log-probabilities, and then the loss of the student's hidden states that are there
// already; its logits at the answers to forget are made twice.
func init() {
	config.RegisterSection(npo, npoConfig{Beta: 0.1})
	Register(Method{
		Name: npo, Order: 2, Loss: "loss",
		Doc:   "answers to forget are dispreferred, the less the more improbable they have become (arXiv 2404.05868)",
		Needs: Needs{Teacher: true},
		New: func(s Setup) (Objective, error) {
			if err := s.answersOnly(); err != nil {
				return nil, err
			}
			be := s.Student.Backend()
			return &preference{
				pair: newPair(&s), Setup: s, base: s.before(), strength: config.Section[npoConfig](s.Config, npo).Beta,
				tape: tape.For(be), losses: rowLosses{be: be},
			}, nil
		},
	})
}

const npo = "npo"

type npoConfig struct {
	Beta float64 `yaml:"beta" doc:"how soon method npo lets go of an answer that has become less probable; towards 0 it is gradient ascent" min:"0.000001"`
}

// preference is NPO's objective.
type preference struct {
	pair
	Setup
	base     model.View // the model as it was
	strength float64    // b

	tape   *tape.Tape // of the model as it was: records nothing
	losses rowLosses
}

// Terms implements Objective.
func (o *preference) Terms() []Term { return pairTerms(o.Config.Alpha, o.Config.Beta) }

// Prepare implements Objective.
func (o *preference) Prepare(ctx context.Context, _ int, share []Sample) (Batch, error) {
	return prepare(ctx, o.batch(), o.Encoder, o.Config.Balance, share)
}

func (o *preference) batch() lister {
	return &preferenceBatch{rowBatch: newRowBatch(o.Terms(), o.Config.Accumulate, &o.losses), of: o}
}

// Length implements Objective.
func (o *preference) Length(_ int, s Sample) (int, error) {
	v, err := o.Encoder.Encode(s, "", unseen)
	if s.Term == forgetTerm {
		return 2 * v.Rows(), err
	}
	return v.Rows(), err
}

// Close implements Objective.
func (o *preference) Close() {
	o.tape.Close()
	o.losses.close()
	if o.Teacher != nil {
		o.Teacher.Close()
	}
}

// preferenceBatch lists the samples to forget before those to retain, as they are
// drawn.
type preferenceBatch struct {
	rowBatch
	of     *preference
	forget int     // samples to forget
	lost   float64 // Σ norm·loss of those that had their passes
}

// list implements lister. Of an answer to forget every token has the same weight, and
// the answer counts 1.
func (b *preferenceBatch) list(s Sample, v View, w float32) {
	if s.Term == forgetTerm {
		w = 1
		b.forget++
		b.weight[s.Term]++
	} else {
		b.weight[s.Term] += float64(w) * float64(len(v.Next))
	}
	for j, next := range v.Next {
		b.rows.add(int32(v.First+j), next, w, s.Term)
	}
	b.rows.advance(v.Rows())
	b.students = append(b.students, v)
}

// Upload implements Batch: the pass of the model as it was is the first.
func (b *preferenceBatch) Upload() error {
	from, to := b.span(0)
	if end := min(to, b.forget); from < end {
		return b.uploadPart(b.of.base.Model(), b.students[from:end])
	}
	return b.uploadPart(b.of.Student, b.students[from:to])
}

// Forward implements Batch.
func (b *preferenceBatch) Forward(p *Pass) error {
	from, to := b.span(p.Part)
	if from == to { // more workers than samples
		return nil
	}
	o := b.of
	end := max(from, min(to, b.forget)) // of the samples to forget
	var before model.LossHandle
	if from < end {
		in, err := b.pack(o.base.Model(), b.students[from:end])
		if err != nil {
			return err
		}
		o.tape.Reset(tape.Options{})
		before = b.answers(o.base, o.tape, o.base.Hidden(o.tape, in), from, end)
		in.Release() // nothing of the pass is recorded
		p.Lap(monitor.PhaseTeacher)
	}
	in, err := b.pack(o.Student, b.students[from:to])
	if err != nil {
		return err
	}
	p.Hold(in)
	h := o.Student.Hidden(p.Tape, in)
	// What answers to forget count for, as losses and in the gradient, weigh says.
	norm, err := p.Norm()
	if err != nil {
		return err
	}
	b.rows.scale([]float64{retainTerm: norm[retainTerm]}, b.terms)
	if from < end {
		recording, mark := p.Tape.SetGrad(false), p.Tape.Mark()
		now := b.answers(o.Student.View, p.Tape, h, from, end)
		h = p.Tape.Release(mark, h)
		p.Tape.SetGrad(recording)
		if err := b.weigh(before, now, from, end, norm[forgetTerm]); err != nil {
			return err
		}
	}
	rows, lo, hi := b.rows.cut(from, to)
	return b.keep(o.Student.CE(p.Tape, h, rows, b.rows.targets[lo:hi], b.rows.scaled[lo:hi]), lo)
}

// answers is the cross-entropy of the answers of the samples [from, to), which are
// the first of the batch that h is of.
func (b *preferenceBatch) answers(v model.View, t *tape.Tape, h tape.Var, from, to int) model.LossHandle {
	rows, lo, hi := b.rows.cut(from, to)
	return v.CE(t, h, rows, b.rows.targets[lo:hi], b.rows.weights[lo:hi])
}

// weigh waits for the log-probabilities of the answers of the samples [from, to),
// and makes of them their losses and the weights of their rows.
func (b *preferenceBatch) weigh(before, now model.LossHandle, from, to int, norm float64) error {
	was, is := make([]float32, before.Len()), make([]float32, now.Len())
	if err := before.Download(was); err != nil {
		return err
	}
	if err := now.Download(is); err != nil {
		return err
	}
	k, strength := 0, b.of.strength
	for i := from; i < to; i++ {
		lo, hi := b.rows.before(i).listed, b.rows.before(i+1).listed
		r := 0.0
		for range hi - lo {
			r += float64(was[k]) - float64(is[k])
			k++
		}
		loss, slope := npoLoss(strength, r)
		b.lost += norm * loss
		for row := lo; row < hi; row++ {
			b.rows.scaled[row] = float32(-slope * b.terms[forgetTerm].Coef * norm)
		}
	}
	return nil
}

// npoLoss is -(2/b)·log σ(-b·r) and its derivative by r, 2σ(b·r).
func npoLoss(b, r float64) (loss, slope float64) {
	x := b * r
	soft := max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) // log(1 + eˣ)
	return 2 / b * soft, 2 / (1 + math.Exp(-x))
}

// Losses implements Batch.
func (b *preferenceBatch) Losses() ([]float64, error) {
	sum, err := b.rowBatch.Losses()
	if err == nil {
		sum[forgetTerm] += b.lost
	}
	return sum, err
}
