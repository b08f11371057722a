package train

import "context"

// Gradient difference (Liu, Liu, Stone: Continual Learning and Private Unlearning,
// arXiv 2203.12817; as a baseline of TOFU, arXiv 2401.06121, and MLLMU-Bench, arXiv
// 2410.22108): up the cross-entropy of the answers to forget, down that of those to
// retain,
//
//	L = -α·E_forget CE(p(·| I, q), y) + β·E_retain CE(p(·| I, q), y)
//
// with means over the tokens of the answers y. The first term has no lower bound, so
// the second is not optional.
func init() {
	Register(Method{
		Name: "graddiff", Order: 1, Loss: "cross-entropy",
		Doc:   "up the cross-entropy of answers to forget, down that of answers to retain (arXiv 2203.12817)",
		Needs: Needs{Retain: true},
		New: func(s Setup) (Objective, error) {
			if err := s.answersOnly(); err != nil {
				return nil, err
			}
			return &gradDiff{pair: newPair(&s), Setup: s, losses: rowLosses{be: s.Student.Backend()}}, nil
		},
	})
}

type gradDiff struct {
	pair
	Setup
	losses rowLosses
}

// Terms implements Objective.
func (o *gradDiff) Terms() []Term { return pairTerms(-o.Config.Alpha, o.Config.Beta) }

// Prepare implements Objective.
func (o *gradDiff) Prepare(ctx context.Context, _ int, share []Sample) (Batch, error) {
	return prepare(ctx, o.batch(), o.Encoder, o.Config.Balance, share)
}

func (o *gradDiff) batch() lister {
	return &answerBatch{rowBatch: newRowBatch(o.Terms(), o.Config.Accumulate, &o.losses), model: o.Student}
}

// Length implements Objective.
func (o *gradDiff) Length(_ int, s Sample) (int, error) {
	v, err := o.Encoder.Encode(s, "", unseen)
	return v.Rows(), err
}

// Close implements Objective.
func (o *gradDiff) Close() { o.losses.close() }
