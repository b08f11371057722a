package train

import (
	"context"

	"vgid/model"
	"vgid/vgid/config"
)

// Supervised is plain fine-tuning: cross-entropy on the answer's tokens. It
// makes the base, the vanilla and the gold model.
type Supervised struct {
	model  *model.Model
	enc    *Encoder
	source Source
	cfg    config.Train
	losses rowLosses
}

// NewSupervised makes the objective of a supervised stage.
func NewSupervised(m *model.Model, enc *Encoder, src Source, cfg config.Train) *Supervised {
	return &Supervised{model: m, enc: enc, source: src, cfg: cfg, losses: rowLosses{be: m.Backend()}}
}

// Terms implements Objective.
func (o *Supervised) Terms() []Term { return []Term{{LossTerm, 1}} }

// Draw implements Objective.
func (o *Supervised) Draw(step int, s Shard) [][]Sample {
	return [][]Sample{s.draw(o.source, 0, step, o.cfg.Batch, 0)}
}

// Prepare implements Objective.
func (o *Supervised) Prepare(ctx context.Context, _ int, share []Sample) (Batch, error) {
	b := &answerBatch{rowBatch: newRowBatch(o.Terms(), o.cfg.Accumulate, &o.losses), model: o.model}
	return prepare(ctx, b, o.enc, o.cfg.Balance, share)
}

// Length implements Objective.
func (o *Supervised) Length(_ int, s Sample) (int, error) {
	v, err := o.enc.Encode(s, "", unseen)
	return v.Rows(), err
}

// Close implements Objective.
func (o *Supervised) Close() { o.losses.close() }
