package train

import (
	"context"

	"vgid/model"
)

// answerBatch has the cross-entropy of each sample's answer for a loss, weighted by
// the coefficient of its term: a negative one climbs.
type answerBatch struct {
	rowBatch
	model *model.Model
}

// lister lists the rows of a sample's view that have a loss.
type lister interface {
	Batch
	list(s Sample, v View, w float32)
}

// prepare encodes a share for a batch that takes answers as they are.
func prepare(ctx context.Context, b lister, enc *Encoder, balance bool, share []Sample) (Batch, error) {
	for _, s := range share {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		v, err := enc.Encode(s, "", nil)
		if err != nil {
			return nil, err
		}
		b.list(s, v, tokenWeight(balance, len(v.Next)))
	}
	return b, nil
}

func (b *answerBatch) list(s Sample, v View, w float32) {
	for j, next := range v.Next {
		b.rows.add(int32(v.First+j), next, w, s.Term)
	}
	b.rows.advance(v.Rows())
	b.students = append(b.students, v)
	b.weight[s.Term] += float64(w) * float64(len(v.Next))
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
	norm, err := p.Norm()
	if err != nil {
		return err
	}
	b.rows.scale(norm, b.terms)
	rows, lo, hi := b.rows.cut(from, to)
	return b.keep(b.model.CE(p.Tape, h, rows, b.rows.targets[lo:hi], b.rows.scaled[lo:hi]), lo)
}
