package train

import (
	"context"
	"fmt"

	"vgid/model"
	"vgid/model/backend"
)

// rowBatch is what batches have in common whose loss is a weighted sum over rows of
// the student: the views, the rows, and what they weigh.
type rowBatch struct {
	students   []View
	rows       responseRows
	terms      []Term
	weight     []float64 // of each term
	accumulate int       // parts, at most
	losses     *rowLosses
	seen       int // rows whose losses are in losses

	staged *model.Batch // of the first pass, when it has been uploaded ahead
}

func newRowBatch(terms []Term, accumulate int, losses *rowLosses) rowBatch {
	return rowBatch{terms: terms, weight: make([]float64, len(terms)), accumulate: accumulate, losses: losses}
}

// Weights implements Batch.
func (b *rowBatch) Weights(context.Context) ([]float64, error) { return b.weight, nil }

// Parts implements Batch.
func (b *rowBatch) Parts() int { return parts(len(b.students), b.accumulate) }

// Tokens implements Batch.
func (b *rowBatch) Tokens() int { return b.rows.base }

// Release implements Batch.
func (b *rowBatch) Release() {
	if b.staged != nil { // no pass took it
		b.staged.Release()
		b.staged = nil
	}
}

// upload packs the views of the first part for the pass of m that comes first.
func (b *rowBatch) upload(m *model.Model, views []View) error {
	from, to := part(len(views), 0, b.Parts())
	return b.uploadPart(m, views[from:to])
}

// uploadPart is upload for views of the first part that the first pass reads.
func (b *rowBatch) uploadPart(m *model.Model, views []View) (err error) {
	if len(views) > 0 {
		b.staged, err = m.Pack(sequences(views))
	}
	return err
}

// pack is the model's batch of views, the uploaded one where they are its.
func (b *rowBatch) pack(m *model.Model, views []View) (*model.Batch, error) {
	if s := b.staged; s != nil {
		b.staged = nil
		return s, nil
	}
	return m.Pack(sequences(views))
}

// span gives the samples of a part.
func (b *rowBatch) span(i int) (from, to int) { return part(len(b.students), i, b.Parts()) }

// keep notes the losses of a part, the rows from first on.
func (b *rowBatch) keep(h model.LossHandle, first int) error {
	b.seen = first + h.Len()
	return b.losses.put(h, first, len(b.rows.student))
}

// Losses implements Batch.
func (b *rowBatch) Losses() ([]float64, error) {
	sum := make([]float64, len(b.terms))
	if b.seen == 0 { // no samples fell to this worker
		return sum, nil
	}
	values, err := b.losses.read(b.seen)
	if err != nil {
		return nil, err
	}
	for i, v := range values {
		sum[b.rows.term[i]] += b.rows.norms[i] * float64(v)
	}
	return sum, nil
}

// rowLosses is where the losses of a batch's rows gather on the device until all
// micro-batches are queued, so that the host waits once. An objective has one, which
// its batches use in turn: it is as large as the largest of them needs.
type rowLosses struct {
	be   backend.Backend
	buf  backend.Buffer
	host []float32
}

// put copies the losses of a part to their place, first of the batch's rows.
func (l *rowLosses) put(h model.LossHandle, first, rows int) error {
	if l.buf == nil || l.buf.Len() < rows {
		l.close()
		var err error
		if l.buf, err = l.be.Alloc(backend.F32, rows+rows/4); err != nil {
			return fmt.Errorf("no memory for the losses: %w", err)
		}
	}
	l.be.Copy(backend.View(l.buf, first, h.Len(), 1), h.Rows)
	return nil
}

// read waits for the device and gives the first n losses, until the next read.
func (l *rowLosses) read(n int) ([]float32, error) {
	l.host = append(l.host[:0], make([]float32, n)...)
	return l.host, l.be.Download(l.host, backend.View(l.buf, 0, n, 1))
}

func (l *rowLosses) close() {
	if l.buf != nil {
		l.be.Free(l.buf)
		l.buf = nil
	}
}

// parts says how many a share of n samples is worked off in.
func parts(n, accumulate int) int { return max(1, min(n, accumulate)) }

// part cuts n samples into parts and gives the bounds of one.
func part(n, i, parts int) (from, to int) { return n * i / parts, n * (i + 1) / parts }

func sequences(views []View) []model.Sequence {
	out := make([]model.Sequence, len(views))
	for i, v := range views {
		out[i] = v.Seq
	}
	return out
}
