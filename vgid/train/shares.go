package train

import (
	"fmt"

	"vgid/model"
	"vgid/model/backend"
)

// share is a worker's part of a batch, encoded. Teachers have none in supervised
// stages.
type share struct {
	students, teachers []View
	rows               responseRows
	teacherRows        responseRows // beside rows, row by row

	staged *model.Batch // of the first pass, when it has been uploaded ahead
}

func (s *share) reset() {
	s.unstage()
	s.students, s.teachers = s.students[:0], s.teachers[:0]
	s.rows.reset()
	s.teacherRows.reset()
}

// unstage gives back what no pass took.
func (s *share) unstage() {
	if s.staged != nil {
		s.staged.Release()
		s.staged = nil
	}
}

// pack is the batch of views, the staged one where they are its.
func (s *share) pack(m *model.Model, views []View) (*model.Batch, error) {
	if b := s.staged; b != nil {
		s.staged = nil
		return b, nil
	}
	return m.Pack(sequences(views))
}

// shares are the present share and the one that is prepared beside it, with the
// losses of the present one: what objectives have in common.
type shares struct {
	now, next  *share
	loss       rowLoss
	accumulate int // parts of a share, at most
}

func newShares(be backend.Backend, accumulate int) shares {
	return shares{now: &share{}, next: &share{}, loss: rowLoss{be: be}, accumulate: accumulate}
}

// Begin implements Objective.
func (s *shares) Begin() {
	s.now, s.next = s.next, s.now
	s.loss.reset(&s.now.rows)
}

// Parts implements Objective.
func (s *shares) Parts() int { return micro(len(s.now.students), s.accumulate) }

// Collect implements Objective.
func (s *shares) Collect() error { return s.loss.collect() }

// Losses implements Objective.
func (s *shares) Losses() [terms]float64 { return s.loss.sum }

// Tokens implements Objective.
func (s *shares) Tokens() int { return s.now.rows.base }

// stage uploads what the first pass over the next share reads: of the views, its
// students or teachers, those of the first micro-batch.
func (s *shares) stage(m *model.Model, views []View) (err error) {
	s.loss.release() // its backward pass is queued
	if from, to := part(len(views), 0, micro(len(views), s.accumulate)); from < to {
		s.next.staged, err = m.Pack(sequences(views[from:to]))
	}
	return err
}

func (s *shares) close() {
	s.now.unstage()
	s.next.unstage()
	s.loss.close()
}

// rowLoss adds up the losses of a share's rows. They gather on the device until
// all micro-batches are queued, so that the host waits once.
type rowLoss struct {
	be   backend.Backend
	rows *responseRows
	sum  [terms]float64

	buf   backend.Buffer // the losses in the order of the list
	n     int            // how many there are
	batch *model.Batch   // of the last micro-batch, until its backward pass is queued
}

func (l *rowLoss) reset(rows *responseRows) {
	l.rows, l.sum, l.n = rows, [terms]float64{}, 0
	l.release()
}

// expect keeps the losses of a micro-batch, the rows from first on.
func (l *rowLoss) expect(h model.LossHandle, first int, b *model.Batch) error {
	l.batch = b
	if rows := len(l.rows.student); l.buf == nil || l.buf.Len() < rows {
		l.free()
		var err error
		if l.buf, err = l.be.Alloc(backend.F32, rows+rows/4); err != nil {
			return fmt.Errorf("no memory for the losses: %w", err)
		}
	}
	l.n = first + h.Len()
	l.be.Copy(backend.View(l.buf, first, h.Len(), 1), h.Rows)
	return nil
}

// release gives the last micro-batch back. Its backward pass has been queued.
func (l *rowLoss) release() {
	if l.batch != nil {
		l.batch.Release()
		l.batch = nil
	}
}

// collect waits for the device and adds up each term's normalised loss.
func (l *rowLoss) collect() error {
	l.release()
	if l.n == 0 { // no samples fell to this worker
		return nil
	}
	r := l.rows
	r.losses = append(r.losses[:0], make([]float32, l.n)...)
	if err := l.be.Download(r.losses, backend.View(l.buf, 0, l.n, 1)); err != nil {
		return err
	}
	for i, v := range r.losses {
		l.sum[r.term[i]] += r.norms[i] * float64(v)
	}
	return nil
}

// close gives back all that is held.
func (l *rowLoss) close() {
	l.release()
	l.free()
}

func (l *rowLoss) free() {
	if l.buf != nil {
		l.be.Free(l.buf)
		l.buf = nil
	}
}

// micro says how many parts a share of n samples is worked off in.
func micro(n, accumulate int) int { return max(1, min(n, accumulate)) }

func sequences(views []View) []model.Sequence {
	out := make([]model.Sequence, len(views))
	for i, v := range views {
		out[i] = v.Seq
	}
	return out
}
