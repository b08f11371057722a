package vgid

import "vgid/model"

// responseRows lists the rows of a packed batch that a loss looks at.
type responseRows struct {
	base    int     // rows of the sequences before the current one
	student []int32 // row of the packed student batch
	targets []int32 // token that follows
	weights []float32
	term    []Term

	norms  []float64 // of each row, for the reported loss
	scaled []float32 // coef·norm·weight of each row, for the gradient
	losses []float32 // read back
}

func (r *responseRows) reset() {
	r.base = 0
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
func (r *responseRows) advance(rows int) { r.base += rows }

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

// rowLoss reads the losses of the rows back from the device.
type rowLoss struct {
	handle model.LossHandle
	rows   *responseRows
	batch  *model.Batch // released once the losses are read
}

// sum returns each term's normalised loss over this worker's rows.
func (l rowLoss) sum() (out [terms]float64, err error) {
	if l.batch == nil { // no samples fell to this worker
		return out, nil
	}
	l.batch.Release()
	l.rows.losses = append(l.rows.losses[:0], make([]float32, l.handle.Len())...)
	if err := l.handle.Download(l.rows.losses); err != nil {
		return out, err
	}
	for i, v := range l.rows.losses {
		out[l.rows.term[i]] += l.rows.norms[i] * float64(v)
	}
	return out, nil
}

func sequences(views []View) []model.Sequence {
	out := make([]model.Sequence, len(views))
	for i, v := range views {
		out[i] = v.Seq
	}
	return out
}
