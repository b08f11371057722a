package vgid

import (
	"fmt"

	"vgid/model"
	"vgid/model/backend"
)

// responseRows lists the rows of packed sequences that a loss looks at, and
// cuts the list where micro-batches begin.
type responseRows struct {
	base    int // rows of the sequences before the current one
	ends    []rowMark
	student []int32 // row of the packed student batch
	targets []int32 // token that follows
	weights []float32
	term    []Term

	norms  []float64 // of each row, for the reported loss
	scaled []float32 // coef·norm·weight of each row, for the gradient
	packed []int32   // rows in the batch of a micro-batch
	losses []float32 // read back
}

// rowMark is the end of a sequence.
type rowMark struct {
	listed int // rows of the list up to it
	base   int // rows of the sequences up to it
}

// part cuts n samples into parts and gives the bounds of one.
func part(n, i, parts int) (from, to int) { return n * i / parts, n * (i + 1) / parts }

// before is the end of what stands before sequence i.
func (r *responseRows) before(i int) rowMark {
	if i == 0 {
		return rowMark{}
	}
	return r.ends[i-1]
}

// cut gives the listed rows of the sequences [from, to) as rows of a batch of
// those alone, and their place in the list.
func (r *responseRows) cut(from, to int) (rows []int32, lo, hi int) {
	start, end := r.before(from), r.before(to)
	r.packed = r.packed[:0]
	for _, row := range r.student[start.listed:end.listed] {
		r.packed = append(r.packed, row-int32(start.base))
	}
	return r.packed, start.listed, end.listed
}

func (r *responseRows) reset() {
	r.base, r.ends = 0, r.ends[:0]
	r.student, r.targets = r.student[:0], r.targets[:0]
	r.weights, r.term = r.weights[:0], r.term[:0]
}

// add lists row i of the current sequence.
func (r *responseRows) add(i, target int32, weight float32, term Term) {
	r.student = append(r.student, int32(r.base)+i)
	r.targets = append(r.targets, target)
	r.weights = append(r.weights, weight)
	r.term = append(r.term, term)
}

// advance goes on to the next sequence.
func (r *responseRows) advance(rows int) {
	r.base += rows
	r.ends = append(r.ends, rowMark{len(r.student), r.base})
}

// weight is what each token of a response of n tokens counts. Balanced, short
// answers (a letter, a word) weigh more than their share of tokens.
func (r *responseRows) weight(balance bool, n int) float32 {
	if !balance {
		return 1
	}
	return min(3, max(0.5, 6/float32(n)))
}

// scale turns row weights into what the loss multiplies each row by.
func (r *responseRows) scale(norm, coef [terms]float64) {
	r.scaled, r.norms = r.scaled[:0], r.norms[:0]
	for i, w := range r.weights {
		n := norm[r.term[i]] * float64(w)
		r.norms = append(r.norms, n)
		r.scaled = append(r.scaled, float32(coef[r.term[i]]*n))
	}
}

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

// stage uploads the views of the first micro-batch.
func (s *share) stage(m *model.Model, views []View, parts int) error {
	from, to := part(len(views), 0, parts)
	if from == to {
		return nil
	}
	var err error
	s.staged, err = m.Pack(sequences(views[from:to]))
	return err
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

// shares are the present share and the one that is prepared beside it.
type shares struct{ now, next *share }

func newShares() shares { return shares{&share{}, &share{}} }

func (s *shares) begin() { s.now, s.next = s.next, s.now }

func (s *shares) close() {
	s.now.unstage()
	s.next.unstage()
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
