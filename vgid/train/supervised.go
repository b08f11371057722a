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
func (o *Supervised) Prepare(_ context.Context, _ int, share []Sample) (Batch, error) {
	b := &answerBatch{rowBatch: newRowBatch(o.Terms(), o.cfg.Accumulate, &o.losses), model: o.model}
	if err := b.add(o.enc, o.cfg.Balance, share); err != nil {
		return nil, err
	}
	return b, nil
}

// Length implements Objective.
func (o *Supervised) Length(_ int, s Sample) (int, error) {
	v, err := o.enc.Encode(s, "", unseen)
	return v.Rows(), err
}

// Close implements Objective.
func (o *Supervised) Close() { o.losses.close() }

// answerBatch has the cross-entropy of each sample's answer for a loss.
type answerBatch struct {
	rowBatch
	model *model.Model
}

// add encodes samples.
func (b *answerBatch) add(enc *Encoder, balance bool, share []Sample) error {
	for _, s := range share {
		v, err := enc.Encode(s, "", nil)
		if err != nil {
			return err
		}
		w := tokenWeight(balance, len(v.Next))
		for j, next := range v.Next {
			b.rows.add(int32(v.First+j), next, w, s.Term)
		}
		b.rows.advance(v.Rows())
		b.students = append(b.students, v)
		b.weight[s.Term] += float64(w) * float64(len(v.Next))
	}
	return nil
}

// Upload implements Batch.
func (b *answerBatch) Upload() error { return b.upload(b.model, b.students) }

// Forward implements Batch.
func (b *answerBatch) Forward(p *Pass) error {
	from, to := b.span(p.Part)
	if from == to { // more workers than samples
		return nil
	}
	in, err := b.pack(b.model, b.students[from:to])
	if err != nil {
		return err
	}
	p.Hold(in)
	h := b.model.Hidden(p.Tape, in)
	b.rows.scale(p.Norm, b.terms)
	rows, lo, hi := b.rows.cut(from, to)
	return b.keep(b.model.CE(p.Tape, h, rows, b.rows.targets[lo:hi], b.rows.scaled[lo:hi]), lo)
}
