package vgid

import (
	"context"

	"vgid/model"
	"vgid/model/tape"
	"vgid/vgid/monitor"
)

// Supervised is plain fine-tuning: cross-entropy on the answer's tokens. It
// makes the base, the vanilla and the gold model.
type Supervised struct {
	model   *model.Model
	enc     *Encoder
	source  Source
	batch   int
	balance bool

	views []View
	rows  responseRows
	loss  rowLoss
}

// NewSupervised makes the objective of a supervised stage; batch is global.
func NewSupervised(m *model.Model, enc *Encoder, src Source, batch int, balance bool) *Supervised {
	return &Supervised{model: m, enc: enc, source: src, batch: batch, balance: balance}
}

// Draw implements Objective.
func (o *Supervised) Draw(step int, s Shard) [][]Sample {
	return [][]Sample{s.draw(o.source, Learn, step, o.batch, 0)}
}

// Batches implements Objective.
func (o *Supervised) Batches() int { return 1 }

// Terms implements Objective.
func (o *Supervised) Terms() []Term { return []Term{Learn} }

// Prepare implements Objective.
func (o *Supervised) Prepare(_ context.Context, _ int, mine []Sample) (weight [terms]float64, err error) {
	o.views = o.views[:0]
	o.rows.reset()
	for _, s := range mine {
		v, err := o.enc.Encode(s, "", nil)
		if err != nil {
			return weight, err
		}
		w := o.rows.weight(o.balance, len(v.Next))
		for j, next := range v.Next {
			o.rows.add(int32(v.First+j), next, w, Learn)
		}
		o.rows.advance(v.Rows())
		o.views = append(o.views, v)
		weight[Learn] += float64(w) * float64(len(v.Next))
	}
	return weight, nil
}

// Forward implements Objective.
func (o *Supervised) Forward(t *tape.Tape, norm [terms]float64, _ func(monitor.Phase)) error {
	o.loss = rowLoss{}
	if len(o.views) == 0 { // more workers than samples
		return nil
	}
	b, err := o.model.Pack(sequences(o.views))
	if err != nil {
		return err
	}
	h := o.model.Hidden(t, b)
	o.rows.scale(norm, [terms]float64{Learn: 1})
	o.loss = rowLoss{o.model.CE(t, h, o.rows.student, o.rows.targets, o.rows.scaled), &o.rows, b}
	return nil
}

// Losses implements Objective.
func (o *Supervised) Losses() ([terms]float64, error) { return o.loss.sum() }

// Tokens implements Objective.
func (o *Supervised) Tokens() int { return o.rows.base }
