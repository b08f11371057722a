package train

// The terms of methods that unlearn, by their place in pairTerms.
const (
	forgetTerm = iota
	retainTerm
)

// pairTerms are those of a loss on the forget set and one on the retain set.
func pairTerms(forget, retain float64) []Term {
	return []Term{{ForgetTerm, forget}, {RetainTerm, retain}}
}

// pair draws the batches of methods that unlearn: samples to forget beside samples
// to retain, in one batch or in two in turn.
type pair struct {
	forget, retain           Source // retain may be nil: there is nothing to hold on to
	batchForget, batchRetain int
	alternate                bool // a batch of each in turn
}

func newPair(s *Setup) pair {
	c := s.Config
	return pair{s.Forget, s.Retain, c.BatchForget, c.BatchRetain, c.Alternate}
}

// Draw implements Objective.
func (o pair) Draw(step int, s Shard) [][]Sample {
	f := s.draw(o.forget, forgetTerm, step, o.batchForget, 0)
	if o.retain == nil {
		return [][]Sample{f}
	}
	r := s.draw(o.retain, retainTerm, step, o.batchRetain, o.batchForget)
	if o.alternate {
		return [][]Sample{f, r}
	}
	return [][]Sample{append(f, r...)}
}
