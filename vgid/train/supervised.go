package train

import (
	"context"

	"vgid/model"
	"vgid/model/tape"
	"vgid/vgid/config"
	"vgid/vgid/monitor"
)

// Supervised is plain fine-tuning: cross-entropy on the answer's tokens. It
// makes the base, the vanilla and the gold model.
type Supervised struct {
	model  *model.Model
	enc    *Encoder
	source Source
	cfg    config.Train

	shares
}

// NewSupervised makes the objective of a supervised stage.
func NewSupervised(m *model.Model, enc *Encoder, src Source, cfg config.Train) *Supervised {
	return &Supervised{model: m, enc: enc, source: src, cfg: cfg, shares: newShares(m.Backend(), cfg.Accumulate)}
}

// Draw implements Objective.
func (o *Supervised) Draw(step int, s Shard) [][]Sample {
	return [][]Sample{s.draw(o.source, Learn, step, o.cfg.Batch, 0)}
}

// Batches implements Objective.
func (o *Supervised) Batches() int { return 1 }

// Terms implements Objective.
func (o *Supervised) Terms() []Term { return []Term{Learn} }

// Prepare implements Objective.
func (o *Supervised) Prepare(_ context.Context, _ int, mine []Sample) (weight [terms]float64, err error) {
	to := o.next
	to.reset()
	for _, s := range mine {
		v, err := o.enc.Encode(s, "", nil)
		if err != nil {
			return weight, err
		}
		w := to.rows.weight(o.cfg.Balance, len(v.Next))
		for j, next := range v.Next {
			to.rows.add(int32(v.First+j), next, w, Learn)
		}
		to.rows.advance(v.Rows())
		to.students = append(to.students, v)
		weight[Learn] += float64(w) * float64(len(v.Next))
	}
	return weight, nil
}

// Ahead implements Objective.
func (o *Supervised) Ahead() bool { return true }

// Stage implements Objective.
func (o *Supervised) Stage() error { return o.stage(o.model, o.next.students) }

// Forward implements Objective.
func (o *Supervised) Forward(t *tape.Tape, i int, norm [terms]float64, _ func(monitor.Phase)) error {
	from, to := part(len(o.now.students), i, o.Parts())
	if from == to { // more workers than samples
		return nil
	}
	o.loss.release()
	b, err := o.now.pack(o.model, o.now.students[from:to])
	if err != nil {
		return err
	}
	h := o.model.Hidden(t, b)
	o.now.rows.scale(norm, [terms]float64{Learn: 1})
	rows, lo, hi := o.now.rows.cut(from, to)
	return o.loss.expect(o.model.CE(t, h, rows, o.now.rows.targets[lo:hi], o.now.rows.scaled[lo:hi]), lo, b)
}

// Length implements Objective.
func (o *Supervised) Length(_ int, s Sample) (int, error) {
	v, err := o.enc.Encode(s, "", unseen)
	return v.Rows(), err
}

// Close implements Objective.
func (o *Supervised) Close() { o.shares.close() }
