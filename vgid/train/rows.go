package train

// responseRows lists the rows of packed sequences that a loss looks at, and
// cuts the list where micro-batches begin.
type responseRows struct {
	base    int // rows of the sequences before the current one
	ends    []rowMark
	student []int32 // row of the packed student batch
	targets []int32 // token that follows
	weights []float32
	term    []int // index of the row's term

	norms  []float64 // of each row, for the reported loss
	scaled []float32 // coef·norm·weight of each row, for the gradient
	packed []int32   // rows in the batch of a micro-batch
}

// rowMark is the end of a sequence.
type rowMark struct {
	listed int // rows of the list up to it
	base   int // rows of the sequences up to it
}

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

// add lists row i of the current sequence.
func (r *responseRows) add(i, target int32, weight float32, term int) {
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

// tokenWeight is what each token of a response of n tokens counts. Balanced, short
// answers (a letter, a word) weigh more than their share of tokens.
func tokenWeight(balance bool, n int) float32 {
	if !balance {
		return 1
	}
	return min(3, max(0.5, 6/float32(n)))
}

// scale turns row weights into what the loss multiplies each row by.
func (r *responseRows) scale(norm []float64, terms []Term) {
	r.scaled, r.norms = r.scaled[:0], r.norms[:0]
	for i, w := range r.weights {
		n := norm[r.term[i]] * float64(w)
		r.norms = append(r.norms, n)
		r.scaled = append(r.scaled, float32(terms[r.term[i]].Coef*n))
	}
}
